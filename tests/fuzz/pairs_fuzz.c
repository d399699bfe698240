/*
 * Any head and lists of a file of counts of pairs. The hashes of both are made right first, so that
 * what they protect is reached; what is accepted is a row set, has tiles that fill the file, and is
 * encoded to the same bytes again.
 */
#include "fuzz.h"

#include "base/buffer.h"
#include "base/endian.h"
#include "base/hash.h"
#include "format/pair_file.h"

#include <string.h>

/* Larger lists than any input are not looked at: a reader holds lengths against the file's. */
#define LISTS_MAX (1u << 20)

/* Everything that a reader relies on. */
static void require_sound(const struct dms_gram_head *head, const struct dms_row_set *rows,
                          const uint32_t *singles, const struct dms_pair_entry *entries)
{
    size_t tile_ct = dms_pair_tile_ct((size_t)head->example_ct);
    uint64_t end = dms_pair_tiles_offset(head->example_ct, head->range_ct), row_ct = 0;

    for (size_t t = 0; t < tile_ct; t++) {
        require(entries[t].offset == end && end % DMS_PAIR_ALIGNMENT == 0);
        end += entries[t].width * DMS_PAIR_TILE_CELLS;
    }
    require(end == head->file_bytes);
    for (size_t r = 0; r < rows->range_ct; r++) {
        require(rows->ranges[r].id_ct > 0);
        require(rows->ranges[r].id_ct - 1 <= UINT64_MAX - rows->ranges[r].first_id);
        row_ct += rows->ranges[r].id_ct;
    }
    require(row_ct == head->row_ct);
    for (uint64_t k = 0; k < head->example_ct; k++)
        require(singles[k] <= head->row_ct);
}

static void decode_lists(const struct dms_gram_head *head, const uint8_t *bytes)
{
    size_t size = (size_t)dms_pair_lists_bytes(head->example_ct, head->range_ct);
    size_t tile_ct = dms_pair_tile_ct((size_t)head->example_ct);
    struct dms_row_set rows = {.range_ct = (size_t)head->range_ct,
                               .ranges = malloc(head->range_ct * sizeof(*rows.ranges) + 1)};
    uint32_t *singles = malloc(head->example_ct * sizeof(*singles));
    struct dms_pair_entry *entries = malloc(tile_ct * sizeof(*entries));
    struct dms_buffer again = {0};

    require(rows.ranges && singles && entries);
    if (dms_pair_lists_decode(head, bytes, rows.ranges, singles, entries) == 0) {
        require_sound(head, &rows, singles, entries);
        require(dms_pair_lists_encode(&rows, (size_t)head->example_ct, singles, entries, &again) ==
                0);
        require(again.size == size && memcmp(again.data, bytes, size) == 0);
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
    if (dms_pair_head_decode(data, &head) != 0)
        return;
    dms_gram_head_encode(&head, again);
    require(memcmp(again, data, sizeof(again)) == 0);
    needed = dms_pair_lists_bytes(head.example_ct, head.range_ct);
    require(needed <= head.file_bytes);
    if (needed > lists_bytes || needed > LISTS_MAX)
        return;
    head.lists_hash = dms_hash64(lists, (size_t)needed);
    decode_lists(&head, lists);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_copy(data, size, DMS_GRAM_HEAD_BYTES, fuzz);
}
