/*
 * Any head, lists and sums of a file of products. The hashes of head and lists are made right
 * first, so that what they protect is reached; what is accepted is a row set, has targets that fill
 * the file, and is encoded to the same bytes again. Sums may be any: they are decoded without harm.
 */
#include "fuzz.h"

#include "base/buffer.h"
#include "base/endian.h"
#include "base/hash.h"
#include "format/product_file.h"

#include <string.h>

/* Larger lists than any input are not looked at: a reader holds lengths against the file's. */
#define LISTS_MAX (1u << 20)

/* Everything that a reader relies on. */
static void require_sound(const struct dms_gram_head *head, const uint32_t *singles,
                          const struct dms_product_entry *entries)
{
    uint64_t end = dms_product_targets_offset(head->example_ct, head->range_ct, head->target_ct);

    for (uint64_t t = 0; t < head->target_ct; t++) {
        require(entries[t].offset == end && entries[t].width <= DMS_PRODUCT_WIDTH_MAX);
        require(entries[t].shift <= DMS_PRODUCT_SHIFT_MAX);
        end += entries[t].width * head->example_ct;
    }
    require(end == head->file_bytes);
    for (uint64_t k = 0; k < head->example_ct; k++)
        require(singles[k] <= head->row_ct);
}

/* Decodes what comes behind the lists as the sums of each target; those that are within bounds have
 * a form that holds them. */
static void decode_sums(const struct dms_gram_head *head, const uint32_t *singles,
                        const struct dms_product_entry *entries, const uint8_t *bytes, size_t size)
{
    const struct dms_product_masks masks = {(size_t)head->example_ct, head->row_ct, singles};
    int64_t *sums = malloc(masks.example_ct * sizeof(*sums));

    uint8_t *room = malloc(masks.example_ct * DMS_PRODUCT_WIDTH_MAX);

    require(sums != NULL && room != NULL);
    for (uint64_t t = 0; t < head->target_ct; t++)
        if (entries[t].width > 0 && size / entries[t].width >= masks.example_ct &&
            dms_product_sums_decode(&masks, &entries[t], bytes, sums)) {
            struct dms_product_entry again = {.total = entries[t].total};

            dms_product_sums_measure(&masks, sums, &again);
            require(again.width > 0 && again.width <= DMS_PRODUCT_WIDTH_MAX);
            require(again.shift <= DMS_PRODUCT_SHIFT_MAX);
            memset(room, 0, masks.example_ct * DMS_PRODUCT_WIDTH_MAX);
            dms_product_sums_encode(&masks, sums, &again, room);
        }
    free(room);
    free(sums);
}

static void decode_lists(const struct dms_gram_head *head, const uint8_t *bytes, size_t size,
                         size_t left)
{
    struct dms_row_set rows = {.range_ct = (size_t)head->range_ct,
                               .ranges = malloc(head->range_ct * sizeof(*rows.ranges) + 1)};
    uint32_t *singles = malloc(head->example_ct * sizeof(*singles));
    struct dms_product_entry *entries = malloc(head->target_ct * sizeof(*entries));
    struct dms_buffer again = {0};

    require(rows.ranges && singles && entries);
    if (dms_product_lists_decode(head, bytes, rows.ranges, singles, entries) == 0) {
        require_sound(head, singles, entries);
        require(dms_product_lists_encode(&rows, (size_t)head->example_ct, singles,
                                         (size_t)head->target_ct, entries, &again) == 0);
        require(again.size == size && memcmp(again.data, bytes, size) == 0);
        decode_sums(head, singles, entries, bytes + size, left);
    }
    dms_buffer_free(&again);
    free(entries);
    free(singles);
    free(rows.ranges);
}

static void fuzz(uint8_t *data, size_t size)
{
    uint8_t *lists = data + DMS_GRAM_HEAD_BYTES, again[DMS_GRAM_HEAD_BYTES];
    size_t lists_bytes = size - DMS_GRAM_HEAD_BYTES;
    struct dms_gram_head head;
    uint64_t needed;

    dms_store_u64(data + 120, dms_hash64(data, 120));
    if (dms_product_head_decode(data, &head) != 0)
        return;
    dms_gram_head_encode(&head, again);
    require(memcmp(again, data, sizeof(again)) == 0);
    needed = dms_product_lists_bytes(head.example_ct, head.range_ct, head.target_ct);
    require(needed <= head.file_bytes);
    if (needed > lists_bytes || needed > LISTS_MAX)
        return;
    head.lists_hash = dms_hash64(lists, (size_t)needed);
    decode_lists(&head, lists, (size_t)needed, lists_bytes - (size_t)needed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_copy(data, size, DMS_GRAM_HEAD_BYTES, fuzz);
}
