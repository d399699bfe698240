/*
 * The lists of files of counts. Lengths come from a file that anybody may have written over: each
 * is checked against the others before it is used.
 */
#include "format/pair_file.h"

#include <inttypes.h>

#include "base/endian.h"
#include "base/error.h"
#include "base/hash.h"

int dms_pair_head_decode(const uint8_t bytes[DMS_GRAM_HEAD_BYTES], struct dms_gram_head *head)
{
    uint64_t tiles_at, tile_ct, tile_bytes;
    int rc = dms_gram_head_decode(bytes, DMS_GRAM_PAIRS, head);

    if (rc < 0)
        return rc;
    tiles_at = dms_pair_tiles_offset(head->example_ct, head->range_ct);
    tile_ct = dms_pair_tile_ct((size_t)head->example_ct);
    tile_bytes = head->file_bytes - tiles_at;
    if (head->file_bytes < tiles_at || tile_bytes / DMS_PAIR_TILE_CELLS < tile_ct ||
        tile_bytes / DMS_PAIR_TILE_CELLS > tile_ct * DMS_PAIR_WIDTH_MAX)
        return dms_fail(DMS_ERR_CORRUPT, "the length in its head does not fit");
    return DMS_OK;
}

uint64_t dms_pair_lists_bytes(uint64_t example_ct, uint64_t range_ct)
{
    return dms_pair_tiles_offset(example_ct, range_ct) - DMS_GRAM_HEAD_BYTES;
}

uint64_t dms_pair_tiles_offset(uint64_t example_ct, uint64_t range_ct)
{
    uint64_t entry_bytes = dms_pair_tile_ct((size_t)example_ct) * DMS_PAIR_ENTRY_BYTES;

    return dms_align(DMS_GRAM_HEAD_BYTES + dms_gram_rows_bytes(example_ct, range_ct) + entry_bytes,
                     DMS_PAIR_ALIGNMENT);
}

int dms_pair_lists_encode(const struct dms_row_set *rows, size_t example_ct,
                          const uint32_t *singles, const struct dms_pair_entry *entries,
                          struct dms_buffer *buffer)
{
    size_t tile_ct = dms_pair_tile_ct(example_ct), start = buffer->size;
    size_t bytes = (size_t)dms_pair_lists_bytes(example_ct, rows->range_ct);
    int rc = dms_buffer_append_zeros(buffer, bytes);
    uint8_t *at = buffer->data + start;

    if (rc < 0)
        return rc;
    dms_gram_rows_encode(rows, example_ct, singles, at);
    at += dms_gram_rows_bytes(example_ct, rows->range_ct);
    for (size_t t = 0; t < tile_ct; t++, at += DMS_PAIR_ENTRY_BYTES) {
        dms_store_u64(at, entries[t].hash);
        dms_store_u64(at + 8, entries[t].width);
    }
    return DMS_OK;
}

static int decode_entries(const struct dms_gram_head *head, const uint8_t *bytes,
                          struct dms_pair_entry *entries)
{
    size_t tile_ct = dms_pair_tile_ct((size_t)head->example_ct);
    uint64_t offset = dms_pair_tiles_offset(head->example_ct, head->range_ct);

    for (size_t t = 0; t < tile_ct; t++, bytes += DMS_PAIR_ENTRY_BYTES) {
        uint64_t width = dms_load_u64(bytes + 8);

        if (width != 1 && width != 2 && width != 4)
            return dms_fail(DMS_ERR_CORRUPT, "tile %zu has a width of %" PRIu64 " bytes", t, width);
        entries[t] = (struct dms_pair_entry){
            .offset = offset, .hash = dms_load_u64(bytes), .width = (uint8_t)width};
        offset += width * DMS_PAIR_TILE_CELLS;
    }
    return offset == head->file_bytes
               ? DMS_OK
               : dms_fail(DMS_ERR_CORRUPT, "its tiles end at 0x%" PRIx64 ", not 0x%" PRIx64, offset,
                          head->file_bytes);
}

int dms_pair_lists_decode(const struct dms_gram_head *head, const uint8_t *bytes,
                          struct dms_id_range *ranges, uint32_t *singles,
                          struct dms_pair_entry *entries)
{
    uint64_t size = dms_pair_lists_bytes(head->example_ct, head->range_ct);
    uint64_t entries_at = dms_gram_rows_bytes(head->example_ct, head->range_ct);
    uint64_t entry_bytes = dms_pair_tile_ct((size_t)head->example_ct) * DMS_PAIR_ENTRY_BYTES;
    int rc;

    if (dms_hash64(bytes, (size_t)size) != head->lists_hash ||
        !dms_gram_is_padding(bytes, entries_at + entry_bytes, size))
        return dms_fail(DMS_ERR_CORRUPT, "its lists are damaged");
    rc = dms_gram_rows_decode(head, bytes, ranges, singles);
    if (rc == DMS_OK)
        rc = decode_entries(head, bytes + entries_at, entries);
    return rc;
}
