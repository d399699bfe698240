/*
 * Files of products: sums of any kind are encoded in the least width and come back; damage at any
 * byte, and files that are cut short, are noticed. (That sums are right, tests/cli/products.sh
 * shows.)
 */
#include "base/hash.h"
#include "base/mix.h"
#include "dmstore/error.h"
#include "format/product_file.h"
#include "solver/gram_writer.h"
#include "solver/products_file.h"
#include "tests/unit/flip.h"
#include "tests/unit/tap.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXAMPLES = 37, TARGETS = 5 };

static uint64_t random_state = 1;

static int64_t random_within(int64_t reach)
{
    return (int64_t)(dms_mix_next(&random_state) % (uint64_t)(2 * reach + 1)) - reach;
}

/* ---- sums ---- */

/* Encodes and decodes; whether the sums come back, in the least width. */
static bool returns(const struct dms_product_masks *masks, const int64_t *sums, int64_t total,
                    unsigned width, unsigned shift)
{
    struct dms_product_entry entry = {.total = total};
    uint8_t bytes[EXAMPLES * DMS_PRODUCT_WIDTH_MAX];
    int64_t again[EXAMPLES];

    dms_product_sums_measure(masks, sums, &entry);
    dms_product_sums_encode(masks, sums, &entry, bytes);
    if (!dms_product_sums_decode(masks, &entry, bytes, again))
        return false;
    if (entry.width != width || entry.shift != shift)
        diag("width %u, shift %u", entry.width, entry.shift);
    return entry.width == width && entry.shift == shift &&
           memcmp(sums, again, masks->example_ct * sizeof *sums) == 0;
}

static void test_sums(void)
{
    static const int64_t edges[] = {0,
                                    1,
                                    -1,
                                    127,
                                    -128,
                                    128,
                                    -129,
                                    32767,
                                    -32768,
                                    32768,
                                    INT64_C(1) << 52,
                                    -(INT64_C(1) << 52)};
    static const unsigned widths[] = {1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 7, 7};
    uint32_t none[EXAMPLES] = {0}, singles[EXAMPLES];
    int64_t sums[EXAMPLES] = {0};
    const struct dms_product_masks lone = {2, 1, none}, masks = {EXAMPLES, 1000, singles};

    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        sums[0] = edges[i];
        sums[1] = edges[i] == 0 ? 0 : 1; /* odd: no shift */
        ok(returns(&lone, sums, 0, widths[i], 0), "a sum of %" PRId64 " takes %u bytes", edges[i],
           widths[i]);
    }
    for (int kind = 0; kind < 4; kind++) {
        int64_t total = kind % 2 ? -123456788 : INT64_C(1) << 51;
        unsigned shift = kind < 2 ? 0 : 2, width = kind < 2 ? 2 : 3;

        for (size_t k = 0; k < EXAMPLES; k++) {
            singles[k] = (uint32_t)(400 + random_within(100));
            sums[k] = (int64_t)(singles[k] * (double)total / 1000);
            sums[k] = kind < 2 ? sums[k] + random_within(30000)
                               : (sums[k] + random_within(4000000)) / 4 * 4;
        }
        sums[0] = kind < 2 ? sums[0] / 2 * 2 + 1 : sums[0] / 8 * 8 + 4;
        ok(returns(&masks, sums, total, width, shift),
           "sums near what is expected of a total of %" PRId64, total);
    }
}

/* ---- files ---- */

static const char path[] = "products_test.products";
static const uint8_t uuid[16] = "a store's number";

/* Sums of all kinds; target 2 has none. */
static int write_file(void)
{
    struct dms_id_range ranges[2] = {{7, 999}, {5000, 1}};
    struct dms_row_set set = {.range_ct = 2, .ranges = ranges, .row_ct = 1000, .digest = {11, 12}};
    struct dms_gram_description description = {.sequence = 5, .example_ct = EXAMPLES, .rows = &set};
    struct dms_product_entry entries[TARGETS] = {{.total = 0}};
    uint32_t singles[EXAMPLES];
    struct dms_product_masks masks = {EXAMPLES, 1000, singles};
    uint64_t offset = dms_product_targets_offset(EXAMPLES, 2, TARGETS);
    struct dms_gram_writer *writer = NULL;
    struct dms_buffer lists = {0};
    struct dms_gram_head head;
    int rc = dms_gram_writer_create(path, &writer);

    memcpy(description.store_uuid, uuid, sizeof uuid);
    for (size_t k = 0; k < EXAMPLES; k++)
        singles[k] = (uint32_t)(500 + k);
    if (rc == DMS_OK)
        dms_gram_writer_begin(writer, offset);
    for (size_t t = 0; rc == DMS_OK && t < TARGETS; t++) {
        uint8_t bytes[EXAMPLES * DMS_PRODUCT_WIDTH_MAX];
        int64_t sums[EXAMPLES];

        for (size_t k = 0; k < EXAMPLES; k++)
            sums[k] = (int64_t)(t * 1000 + k);
        if (t == 2)
            continue;
        entries[t] = (struct dms_product_entry){.fingerprint = 77 + t, .total = 1000};
        dms_product_sums_measure(&masks, sums, &entries[t]);
        dms_product_sums_encode(&masks, sums, &entries[t], bytes);
        entries[t].hash = dms_hash64(bytes, entries[t].width * (size_t)EXAMPLES);
        rc = dms_gram_writer_append(writer, bytes, entries[t].width * (size_t)EXAMPLES);
    }
    if (rc == DMS_OK)
        rc = dms_product_lists_encode(&set, EXAMPLES, singles, TARGETS, entries, &lists);
    head = dms_gram_head_of(DMS_GRAM_PRODUCTS, &description);
    head.column_id = 3;
    head.target_ct = TARGETS;
    if (rc == DMS_OK)
        rc = dms_gram_writer_finish(writer, &head, &lists);
    dms_buffer_free(&lists);
    dms_gram_writer_free(writer);
    return rc;
}

/* Opens the file and reads all of it; *right: what was read is right. */
static int read_file(bool *right)
{
    dms_products *products = NULL;
    double sums[EXAMPLES];
    int rc = dms_products_file_open(path, uuid, &products);

    *right = rc == DMS_OK && dms_products_example_ct(products) == EXAMPLES &&
             dms_products_target_ct(products) == TARGETS &&
             dms_products_rows(products)->row_ct == 1000 &&
             dms_products_singles(products)[1] == 501 && dms_products_has(products, 1, 78) &&
             !dms_products_has(products, 1, 77) && !dms_products_has(products, 2, 0) &&
             dms_products_read(products, 2, sums) == DMS_ERR_NOT_FOUND &&
             dms_products_read(products, TARGETS, sums) == DMS_ERR_INVALID;
    for (uint64_t t = 0; rc == DMS_OK && t < TARGETS; t++) {
        rc = t == 2 ? DMS_OK : dms_products_read(products, t, sums);
        for (size_t k = 0; rc == DMS_OK && t != 2 && k < EXAMPLES; k++)
            *right &= sums[k] == (double)(t * 1000 + k) * DMS_OUTPUT_UNIT;
    }
    dms_products_close(products);
    return rc;
}

static void test_damage(long file_bytes)
{
    bool noticed = true, right;

    for (long at = 0; noticed && at < file_bytes; at++) {
        int rc;

        noticed = flip(path, at);
        rc = read_file(&right);
        noticed &= rc == DMS_ERR_CORRUPT || rc == DMS_ERR_VERSION;
        noticed &= strstr(dms_error_message(), path) != NULL && flip(path, at);
        if (!noticed)
            diag("byte %ld: %d, %s", at, rc, dms_error_message());
    }
    ok(noticed, "damage at any byte is noticed, and the file is named");
    ok(read_file(&right) == DMS_OK && right, "without it all is good again");
}

static void test_cuts(long file_bytes)
{
    dms_products *products = NULL;
    double sums[EXAMPLES];
    bool noticed = true, right;
    int rc = dms_products_file_open(path, uuid, &products);

    ok(rc == DMS_OK && truncate(path, file_bytes - 1) == 0, "a file is cut short while it is open");
    ok(dms_products_read(products, 0, sums) == DMS_OK, "targets before the cut are there");
    is_int(dms_products_read(products, 4, sums), DMS_ERR_CORRUPT, "the last one is not");
    dms_products_close(products);
    for (long length = 0; noticed && length < file_bytes; length += 50)
        noticed = truncate(path, length) == 0 && read_file(&right) == DMS_ERR_CORRUPT;
    ok(noticed, "no shorter file is taken");
}

static void test_file(void)
{
    uint8_t other[16] = "another store's";
    dms_products *products = NULL;
    struct stat file;
    bool right;

    if (!ok(write_file() == DMS_OK && stat(path, &file) == 0, "products are written")) {
        diag("%s", dms_error_message());
        return;
    }
    ok(read_file(&right) == DMS_OK && right, "they come back");
    is_int(dms_products_file_open(path, other, &products), DMS_ERR_INVALID, "to no other store");
    is_int(dms_products_file_open("nowhere.products", uuid, &products), DMS_ERR_NOT_FOUND,
           "nor from none");
    test_damage((long)file.st_size);
    test_cuts((long)file.st_size);
    remove(path);
}

int main(void)
{
    test_sums();
    test_file();
    return tap_done();
}
