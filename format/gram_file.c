/*
 * Heads, models and singles of the files of `gram/`. They come from a file that anybody may have
 * written over: each number is checked against the others before it is used.
 */
#include "format/gram_file.h"

#include <inttypes.h>
#include <string.h>

#include "base/endian.h"
#include "base/error.h"
#include "base/hash.h"

static const uint8_t magics[][8] = {
    [DMS_GRAM_PAIRS] = {'D', 'M', 'S', 'P', 'A', 'I', 'R', 'S'},
    [DMS_GRAM_PRODUCTS] = {'D', 'M', 'S', 'P', 'R', 'O', 'D', 'S'},
};

enum { GRAM_VERSION = 1, HASHED_HEAD_BYTES = DMS_GRAM_HEAD_BYTES - 8 };

/* Tiles of so many examples are fewer than 2^50, and their bytes fit 64 bits. */
static const uint64_t example_ct_max = UINT32_MAX;

/* ---- the head ---- */

void dms_gram_head_encode(const struct dms_gram_head *head, uint8_t bytes[DMS_GRAM_HEAD_BYTES])
{
    memset(bytes, 0, DMS_GRAM_HEAD_BYTES);
    memcpy(bytes, magics[head->kind], sizeof magics[0]);
    dms_store_u64(bytes + 8, GRAM_VERSION);
    memcpy(bytes + 16, head->store_uuid, DMS_UUID_BYTES);
    dms_store_u64(bytes + 32, head->sequence);
    dms_store_u64(bytes + 40, head->example_ct);
    dms_store_u64(bytes + 48, head->row_ct);
    dms_store_u64(bytes + 56, head->digest[0]);
    dms_store_u64(bytes + 64, head->digest[1]);
    dms_store_u64(bytes + 72, head->range_ct);
    dms_store_u64(bytes + 80, head->file_bytes);
    dms_store_u64(bytes + 88, head->lists_hash);
    dms_store_u64(bytes + 96, head->column_id);
    dms_store_u64(bytes + 104, head->target_ct);
    dms_store_u64(bytes + HASHED_HEAD_BYTES, dms_hash64(bytes, HASHED_HEAD_BYTES));
}

static int check_head(const struct dms_gram_head *head)
{
    bool of_column = head->column_id != 0 || head->target_ct != 0;

    if (head->example_ct == 0 || head->example_ct > example_ct_max || head->row_ct > UINT32_MAX ||
        head->range_ct > head->row_ct || (of_column && head->kind == DMS_GRAM_PAIRS))
        return dms_fail(DMS_ERR_CORRUPT, "the numbers in its head do not fit");
    return DMS_OK;
}

int dms_gram_head_decode(const uint8_t bytes[DMS_GRAM_HEAD_BYTES], enum dms_gram_kind kind,
                         struct dms_gram_head *head)
{
    struct dms_gram_head decoded;
    int rc;

    if (memcmp(bytes, magics[kind], sizeof magics[0]) != 0 ||
        dms_load_u64(bytes + HASHED_HEAD_BYTES) != dms_hash64(bytes, HASHED_HEAD_BYTES))
        return dms_fail(DMS_ERR_CORRUPT, "its head is damaged");
    if (dms_load_u64(bytes + 8) != GRAM_VERSION)
        return dms_fail(DMS_ERR_VERSION, "it is of version %" PRIu64 ", not %d",
                        dms_load_u64(bytes + 8), GRAM_VERSION);
    decoded = (struct dms_gram_head){
        .kind = kind,
        .sequence = dms_load_u64(bytes + 32),
        .example_ct = dms_load_u64(bytes + 40),
        .row_ct = dms_load_u64(bytes + 48),
        .digest = {dms_load_u64(bytes + 56), dms_load_u64(bytes + 64)},
        .range_ct = dms_load_u64(bytes + 72),
        .file_bytes = dms_load_u64(bytes + 80),
        .lists_hash = dms_load_u64(bytes + 88),
        .column_id = dms_load_u64(bytes + 96),
        .target_ct = dms_load_u64(bytes + 104),
    };
    memcpy(decoded.store_uuid, bytes + 16, DMS_UUID_BYTES);
    if (!dms_gram_is_padding(bytes, 112, HASHED_HEAD_BYTES))
        return dms_fail(DMS_ERR_CORRUPT, "its head has bytes that should be zero");
    rc = check_head(&decoded);
    if (rc == DMS_OK)
        *head = decoded;
    return rc;
}

/* ---- models and singles ---- */

uint64_t dms_gram_rows_bytes(uint64_t example_ct, uint64_t range_ct)
{
    return range_ct * DMS_GRAM_RANGE_BYTES + dms_align(example_ct * DMS_GRAM_SINGLE_BYTES, 8);
}

void dms_gram_rows_encode(const struct dms_row_set *rows, size_t example_ct,
                          const uint32_t *singles, uint8_t *to)
{
    for (size_t r = 0; r < rows->range_ct; r++, to += DMS_GRAM_RANGE_BYTES) {
        dms_store_u64(to, rows->ranges[r].first_id);
        dms_store_u64(to + 8, rows->ranges[r].id_ct);
    }
    for (size_t k = 0; k < example_ct; k++)
        dms_store_u32(to + DMS_GRAM_SINGLE_BYTES * k, singles[k]);
}

/* Increasing, disjoint, not touching, row_ct in all. */
static int decode_ranges(const struct dms_gram_head *head, const uint8_t *bytes,
                         struct dms_id_range *ranges)
{
    uint64_t row_ct = 0;

    for (uint64_t r = 0; r < head->range_ct; r++, bytes += DMS_GRAM_RANGE_BYTES) {
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

static int decode_singles(const struct dms_gram_head *head, const uint8_t *bytes, uint32_t *singles)
{
    for (uint64_t k = 0; k < head->example_ct; k++) {
        singles[k] = dms_load_u32(bytes + DMS_GRAM_SINGLE_BYTES * k);
        if (singles[k] > head->row_ct)
            return dms_fail(DMS_ERR_CORRUPT,
                            "example %" PRIu64 " is in %" PRIu32 " of its %" PRIu64 " models", k,
                            singles[k], head->row_ct);
    }
    return DMS_OK;
}

int dms_gram_rows_decode(const struct dms_gram_head *head, const uint8_t *bytes,
                         struct dms_id_range *ranges, uint32_t *singles)
{
    uint64_t singles_at = head->range_ct * DMS_GRAM_RANGE_BYTES;
    uint64_t singles_end = singles_at + head->example_ct * DMS_GRAM_SINGLE_BYTES;
    int rc = decode_ranges(head, bytes, ranges);

    if (rc == DMS_OK)
        rc = decode_singles(head, bytes + singles_at, singles);
    if (rc == DMS_OK && !dms_gram_is_padding(bytes, singles_end,
                                             dms_gram_rows_bytes(head->example_ct, head->range_ct)))
        rc = dms_fail(DMS_ERR_CORRUPT, "its lists have bytes that should be zero");
    return rc;
}

bool dms_gram_is_padding(const uint8_t *bytes, uint64_t from, uint64_t end)
{
    uint8_t any = 0;

    for (uint64_t k = from; k < end; k++)
        any |= bytes[k];
    return any == 0;
}
