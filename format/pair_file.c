/*
 * The code of files of counts. Lengths come from a file that anybody may have written over: each
 * is checked against the others before it is used.
 */
#include "format/pair_file.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/endian.h"
#include "base/error.h"
#include "base/hash.h"

static const uint8_t magic[8] = {'D', 'M', 'S', 'P', 'A', 'I', 'R', 'S'};

enum { PAIR_VERSION = 1, HASHED_HEAD_BYTES = DMS_PAIR_HEAD_BYTES - 8 };

/* Tiles of so many examples are fewer than 2^50, and their bytes fit 64 bits. */
static const uint64_t example_ct_max = UINT32_MAX;

/* ---- the head ---- */

void dms_pair_head_encode(const struct dms_pair_head *head, uint8_t bytes[DMS_PAIR_HEAD_BYTES])
{
    memset(bytes, 0, DMS_PAIR_HEAD_BYTES);
    memcpy(bytes, magic, sizeof magic);
    dms_store_u64(bytes + 8, PAIR_VERSION);
    memcpy(bytes + 16, head->store_uuid, DMS_UUID_BYTES);
    dms_store_u64(bytes + 32, head->sequence);
    dms_store_u64(bytes + 40, head->example_ct);
    dms_store_u64(bytes + 48, head->row_ct);
    dms_store_u64(bytes + 56, head->digest[0]);
    dms_store_u64(bytes + 64, head->digest[1]);
    dms_store_u64(bytes + 72, head->range_ct);
    dms_store_u64(bytes + 80, head->file_bytes);
    dms_store_u64(bytes + 88, head->lists_hash);
    dms_store_u64(bytes + HASHED_HEAD_BYTES, dms_hash64(bytes, HASHED_HEAD_BYTES));
}

static int check_head(const struct dms_pair_head *head)
{
    uint64_t tiles_at, tile_ct, tile_bytes;

    if (head->example_ct == 0 || head->example_ct > example_ct_max || head->row_ct > UINT32_MAX ||
        head->range_ct > head->row_ct)
        return dms_fail(DMS_ERR_CORRUPT, "the numbers in its head do not fit");
    tiles_at = dms_pair_tiles_offset(head->example_ct, head->range_ct);
    tile_ct = dms_pair_tile_ct((size_t)head->example_ct);
    tile_bytes = head->file_bytes - tiles_at;
    if (head->file_bytes < tiles_at || tile_bytes / DMS_PAIR_TILE_CELLS < tile_ct ||
        tile_bytes / DMS_PAIR_TILE_CELLS > tile_ct * DMS_PAIR_WIDTH_MAX)
        return dms_fail(DMS_ERR_CORRUPT, "the length in its head does not fit");
    return DMS_OK;
}

int dms_pair_head_decode(const uint8_t bytes[DMS_PAIR_HEAD_BYTES], struct dms_pair_head *head)
{
    static const uint8_t zeros[HASHED_HEAD_BYTES - 96];
    struct dms_pair_head decoded;
    int rc;

    if (memcmp(bytes, magic, sizeof magic) != 0 ||
        dms_load_u64(bytes + HASHED_HEAD_BYTES) != dms_hash64(bytes, HASHED_HEAD_BYTES))
        return dms_fail(DMS_ERR_CORRUPT, "its head is damaged");
    if (dms_load_u64(bytes + 8) != PAIR_VERSION)
        return dms_fail(DMS_ERR_VERSION, "it is of version %" PRIu64 ", not %d",
                        dms_load_u64(bytes + 8), PAIR_VERSION);
    decoded = (struct dms_pair_head){
        .sequence = dms_load_u64(bytes + 32),
        .example_ct = dms_load_u64(bytes + 40),
        .row_ct = dms_load_u64(bytes + 48),
        .digest = {dms_load_u64(bytes + 56), dms_load_u64(bytes + 64)},
        .range_ct = dms_load_u64(bytes + 72),
        .file_bytes = dms_load_u64(bytes + 80),
        .lists_hash = dms_load_u64(bytes + 88),
    };
    memcpy(decoded.store_uuid, bytes + 16, DMS_UUID_BYTES);
    if (memcmp(bytes + 96, zeros, sizeof zeros) != 0)
        return dms_fail(DMS_ERR_CORRUPT, "its head has bytes that should be zero");
    rc = check_head(&decoded);
    if (rc == DMS_OK)
        *head = decoded;
    return rc;
}

/* ---- the lists ---- */

/* Where the list of entries begins, in the lists. */
static uint64_t entries_at(uint64_t example_ct, uint64_t range_ct)
{
    return range_ct * DMS_PAIR_RANGE_BYTES + dms_align(example_ct * DMS_PAIR_SINGLE_BYTES, 8);
}

uint64_t dms_pair_lists_bytes(uint64_t example_ct, uint64_t range_ct)
{
    return dms_pair_tiles_offset(example_ct, range_ct) - DMS_PAIR_HEAD_BYTES;
}

uint64_t dms_pair_tiles_offset(uint64_t example_ct, uint64_t range_ct)
{
    uint64_t entry_bytes = dms_pair_tile_ct((size_t)example_ct) * DMS_PAIR_ENTRY_BYTES;

    return dms_align(DMS_PAIR_HEAD_BYTES + entries_at(example_ct, range_ct) + entry_bytes,
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
    for (size_t r = 0; r < rows->range_ct; r++, at += DMS_PAIR_RANGE_BYTES) {
        dms_store_u64(at, rows->ranges[r].first_id);
        dms_store_u64(at + 8, rows->ranges[r].id_ct);
    }
    for (size_t k = 0; k < example_ct; k++)
        dms_store_u32(at + DMS_PAIR_SINGLE_BYTES * k, singles[k]);
    at = buffer->data + start + entries_at(example_ct, rows->range_ct);
    for (size_t t = 0; t < tile_ct; t++, at += DMS_PAIR_ENTRY_BYTES) {
        dms_store_u64(at, entries[t].hash);
        dms_store_u64(at + 8, entries[t].width);
    }
    return DMS_OK;
}

/* Increasing, disjoint, not touching, row_ct in all. */
static int decode_ranges(const struct dms_pair_head *head, const uint8_t *bytes,
                         struct dms_id_range *ranges)
{
    uint64_t row_ct = 0;

    for (uint64_t r = 0; r < head->range_ct; r++, bytes += DMS_PAIR_RANGE_BYTES) {
        struct dms_id_range range = {dms_load_u64(bytes), dms_load_u64(bytes + 8)};
        const struct dms_id_range *last = r > 0 ? &ranges[r - 1] : NULL;
        uint64_t left = head->row_ct - row_ct;

        if (range.id_ct == 0 || range.id_ct > left ||
            range.id_ct - 1 > UINT64_MAX - range.first_id ||
            (last &&
             (range.first_id <= last->first_id || range.first_id - last->first_id <= last->id_ct)))
            return dms_fail(DMS_ERR_CORRUPT, "range %" PRIu64 " of its models does not fit", r);
        row_ct += range.id_ct;
        ranges[r] = range;
    }
    return row_ct == head->row_ct
               ? DMS_OK
               : dms_fail(DMS_ERR_CORRUPT, "its ranges have %" PRIu64 " models, not %" PRIu64,
                          row_ct, head->row_ct);
}

static int decode_singles(const struct dms_pair_head *head, const uint8_t *bytes, uint32_t *singles)
{
    for (uint64_t k = 0; k < head->example_ct; k++) {
        singles[k] = dms_load_u32(bytes + DMS_PAIR_SINGLE_BYTES * k);
        if (singles[k] > head->row_ct)
            return dms_fail(DMS_ERR_CORRUPT,
                            "example %" PRIu64 " is in %" PRIu32 " of its %" PRIu64 " models", k,
                            singles[k], head->row_ct);
    }
    return DMS_OK;
}

static int decode_entries(const struct dms_pair_head *head, const uint8_t *bytes,
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

/* Padding is zero, so that a file has one form only. */
static bool is_padded(const struct dms_pair_head *head, const uint8_t *bytes)
{
    uint64_t singles_end =
        head->range_ct * DMS_PAIR_RANGE_BYTES + head->example_ct * DMS_PAIR_SINGLE_BYTES;
    uint64_t entries_start = entries_at(head->example_ct, head->range_ct);
    uint64_t entries_end =
        entries_start + dms_pair_tile_ct((size_t)head->example_ct) * DMS_PAIR_ENTRY_BYTES;
    uint64_t end = dms_pair_lists_bytes(head->example_ct, head->range_ct);
    uint8_t any = 0;

    for (uint64_t k = singles_end; k < entries_start; k++)
        any |= bytes[k];
    for (uint64_t k = entries_end; k < end; k++)
        any |= bytes[k];
    return any == 0;
}

int dms_pair_lists_decode(const struct dms_pair_head *head, const uint8_t *bytes,
                          struct dms_id_range *ranges, uint32_t *singles,
                          struct dms_pair_entry *entries)
{
    size_t size = (size_t)dms_pair_lists_bytes(head->example_ct, head->range_ct);
    int rc;

    if (dms_hash64(bytes, size) != head->lists_hash || !is_padded(head, bytes))
        return dms_fail(DMS_ERR_CORRUPT, "its lists are damaged");
    rc = decode_ranges(head, bytes, ranges);
    if (rc == DMS_OK)
        rc = decode_singles(head, bytes + head->range_ct * DMS_PAIR_RANGE_BYTES, singles);
    if (rc == DMS_OK)
        rc = decode_entries(head, bytes + entries_at(head->example_ct, head->range_ct), entries);
    return rc;
}
