/*
 * Reads files of products; see products_file.h.
 */
#include "solver/products_file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "solver/gram_head.h"

struct dms_products {
    char *path;
    int descriptor;
    struct dms_gram_head head;
    struct dms_row_set rows;
    uint32_t *singles;                 /* head.example_ct */
    struct dms_product_entry *entries; /* head.target_ct */
};

void dms_products_close(dms_products *products)
{
    if (!products)
        return;
    if (products->descriptor >= 0)
        dms_close(products->descriptor);
    free(products->entries);
    free(products->singles);
    free(products->rows.ranges);
    free(products->path);
    free(products);
}

/* ---- opening ---- */

static int read_lists(dms_products *products)
{
    const struct dms_gram_head *head = &products->head;
    size_t size =
        (size_t)dms_product_lists_bytes(head->example_ct, head->range_ct, head->target_ct);
    uint8_t *bytes = dms_alloc(size, 1);
    int rc;

    products->rows = (struct dms_row_set){
        .range_ct = (size_t)head->range_ct,
        .ranges = dms_alloc((size_t)head->range_ct, sizeof *products->rows.ranges),
        .row_ct = head->row_ct,
        .digest = {head->digest[0], head->digest[1]},
    };
    products->singles = dms_alloc((size_t)head->example_ct, sizeof *products->singles);
    products->entries = dms_alloc((size_t)head->target_ct, sizeof *products->entries);
    rc = bytes && products->rows.ranges && products->singles && products->entries
             ? DMS_OK
             : DMS_ERR_NO_MEMORY;
    if (rc == DMS_OK)
        rc = dms_pread_full(products->descriptor, products->path, bytes, size, DMS_GRAM_HEAD_BYTES);
    if (rc == DMS_OK)
        rc = dms_product_lists_decode(head, bytes, products->rows.ranges, products->singles,
                                      products->entries);
    free(bytes);
    return rc;
}

int dms_products_file_read(int descriptor, const char *path, const uint8_t *store_uuid,
                           dms_products **products)
{
    dms_products *made = dms_alloc(1, sizeof *made);
    int rc = DMS_ERR_NO_MEMORY;

    if (!made) {
        dms_close(descriptor);
        return rc;
    }
    made->descriptor = descriptor;
    made->path = dms_strdup(path);
    if (made->path)
        rc = dms_gram_head_read(made->descriptor, path, store_uuid, dms_product_head_decode,
                                &made->head);
    if (rc == DMS_OK)
        rc = read_lists(made);
    if (rc < 0)
        rc = dms_fail_prefix(rc, "products '%s'", path);
    if (rc < 0)
        dms_products_close(made);
    else
        *products = made;
    return rc;
}

int dms_products_file_open(const char *path, const uint8_t *store_uuid, dms_products **products)
{
    /* Not to wait for a writer, should a pipe be there. */
    int descriptor = dms_open(path, O_RDONLY | O_NONBLOCK, 0);

    return descriptor < 0 ? descriptor
                          : dms_products_file_read(descriptor, path, store_uuid, products);
}

/* ---- what it has ---- */

const struct dms_gram_head *dms_products_head(const dms_products *products)
{
    return &products->head;
}

const struct dms_row_set *dms_products_rows(const dms_products *products)
{
    return &products->rows;
}

const uint32_t *dms_products_singles(const dms_products *products)
{
    return products->singles;
}

uint64_t dms_products_example_ct(const dms_products *products)
{
    return products->head.example_ct;
}

uint64_t dms_products_target_ct(const dms_products *products)
{
    return products->head.target_ct;
}

const struct dms_product_entry *dms_products_entry(const dms_products *products, uint64_t target)
{
    return &products->entries[target];
}

bool dms_products_has(const dms_products *products, uint64_t target, uint64_t fingerprint)
{
    const struct dms_product_entry *entry = &products->entries[target];

    return entry->width > 0 && entry->fingerprint == fingerprint;
}

int dms_products_sums(const dms_products *products, uint64_t target, int64_t *sums)
{
    const struct dms_gram_head *head = &products->head;
    const struct dms_product_entry *entry = &products->entries[target];
    const struct dms_product_masks masks = {(size_t)head->example_ct, head->row_ct,
                                            products->singles};
    size_t size = (size_t)head->example_ct * entry->width;
    uint8_t *bytes = dms_alloc(size, 1);
    int rc = bytes
                 ? dms_pread_full(products->descriptor, products->path, bytes, size, entry->offset)
                 : DMS_ERR_NO_MEMORY;

    if (rc == DMS_OK && dms_hash64(bytes, size) != entry->hash)
        rc = dms_fail(DMS_ERR_CORRUPT,
                      "products '%s': checksum mismatch in target %" PRIu64 " at offset 0x%" PRIx64
                      ": remove it with 'dmstore gram --remove'",
                      products->path, target, entry->offset);
    if (rc == DMS_OK && !dms_product_sums_decode(&masks, entry, bytes, sums))
        rc = dms_fail(DMS_ERR_CORRUPT, "products '%s': sums of target %" PRIu64 " do not fit",
                      products->path, target);
    free(bytes);
    return rc;
}

int dms_products_read(const dms_products *products, uint64_t target, double *values)
{
    size_t example_ct = (size_t)products->head.example_ct;
    int64_t *sums;
    int rc;

    if (target >= products->head.target_ct)
        return dms_fail(DMS_ERR_INVALID, "there is no target %" PRIu64 ": products are of %" PRIu64,
                        target, products->head.target_ct);
    if (products->entries[target].width == 0)
        return dms_fail(DMS_ERR_NOT_FOUND,
                        "target %" PRIu64
                        " has no products: its outputs are not all finite, or too "
                        "large for exact sums",
                        target);
    sums = dms_alloc(example_ct, sizeof *sums);
    rc = sums ? dms_products_sums(products, target, sums) : DMS_ERR_NO_MEMORY;
    for (size_t k = 0; rc == DMS_OK && k < example_ct; k++)
        values[k] = (double)sums[k] * DMS_OUTPUT_UNIT;
    free(sums);
    return rc;
}
