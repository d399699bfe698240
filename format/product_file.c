/*
 * The lists and the sums of files of products. Lengths come from a file that anybody may have
 * written over: each is checked against the others before it is used. Sums that come out of it may
 * be any numbers within bounds; their hash says whether they are right.
 */
#include "format/product_file.h"

#include <inttypes.h>

#include "base/endian.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/mix.h"

/* So many targets have lists whose length fits 64 bits. */
static const uint64_t target_ct_max = UINT32_MAX;

uint64_t dms_output_key(uint64_t model_id)
{
    return dms_mix(model_id + DMS_MIX_STEP) | 1;
}

/* ---- head and lists ---- */

int dms_product_head_decode(const uint8_t bytes[DMS_GRAM_HEAD_BYTES], struct dms_gram_head *head)
{
    uint64_t targets_at, left;
    int rc = dms_gram_head_decode(bytes, DMS_GRAM_PRODUCTS, head);

    if (rc < 0)
        return rc;
    if (head->row_ct == 0 || head->target_ct == 0 || head->target_ct > target_ct_max ||
        head->column_id > UINT32_MAX)
        return dms_fail(DMS_ERR_CORRUPT, "the numbers in its head do not fit");
    targets_at = dms_product_targets_offset(head->example_ct, head->range_ct, head->target_ct);
    left = head->file_bytes - targets_at;
    if (head->file_bytes < targets_at ||
        left / DMS_PRODUCT_WIDTH_MAX / head->example_ct > head->target_ct)
        return dms_fail(DMS_ERR_CORRUPT, "the length in its head does not fit");
    return DMS_OK;
}

uint64_t dms_product_lists_bytes(uint64_t example_ct, uint64_t range_ct, uint64_t target_ct)
{
    return dms_gram_rows_bytes(example_ct, range_ct) + target_ct * DMS_PRODUCT_ENTRY_BYTES;
}

uint64_t dms_product_targets_offset(uint64_t example_ct, uint64_t range_ct, uint64_t target_ct)
{
    return DMS_GRAM_HEAD_BYTES + dms_product_lists_bytes(example_ct, range_ct, target_ct);
}

int dms_product_lists_encode(const struct dms_row_set *rows, size_t example_ct,
                             const uint32_t *singles, size_t target_ct,
                             const struct dms_product_entry *entries, struct dms_buffer *buffer)
{
    size_t start = buffer->size;
    size_t bytes = (size_t)dms_product_lists_bytes(example_ct, rows->range_ct, target_ct);
    int rc = dms_buffer_append_zeros(buffer, bytes);
    uint8_t *at = buffer->data + start;

    if (rc < 0)
        return rc;
    dms_gram_rows_encode(rows, example_ct, singles, at);
    at += dms_gram_rows_bytes(example_ct, rows->range_ct);
    for (size_t t = 0; t < target_ct; t++, at += DMS_PRODUCT_ENTRY_BYTES) {
        dms_store_u64(at, entries[t].hash);
        dms_store_u64(at + 8, entries[t].fingerprint);
        dms_store_u64(at + 16, (uint64_t)entries[t].total);
        at[24] = entries[t].width;
        at[25] = entries[t].shift;
        dms_store_u16(at + 26, entries[t].largest);
    }
    return DMS_OK;
}

static bool is_within(int64_t units)
{
    return units >= -DMS_PRODUCT_UNITS_MAX && units <= DMS_PRODUCT_UNITS_MAX;
}

static int decode_entry(uint64_t target, const uint8_t *bytes, struct dms_product_entry *entry)
{
    *entry = (struct dms_product_entry){
        .hash = dms_load_u64(bytes),
        .fingerprint = dms_load_u64(bytes + 8),
        .total = (int64_t)dms_load_u64(bytes + 16),
        .width = bytes[24],
        .shift = bytes[25],
        .largest = dms_load_u16(bytes + 26),
    };
    if (entry->width > DMS_PRODUCT_WIDTH_MAX || entry->shift > DMS_PRODUCT_SHIFT_MAX ||
        !is_within(entry->total) || entry->total % (INT64_C(1) << entry->shift) != 0 ||
        !dms_gram_is_padding(bytes, 28, DMS_PRODUCT_ENTRY_BYTES) ||
        (entry->width == 0 && !dms_gram_is_padding(bytes, 0, DMS_PRODUCT_ENTRY_BYTES)))
        return dms_fail(DMS_ERR_CORRUPT, "the entry of target %" PRIu64 " does not fit", target);
    return DMS_OK;
}

static int decode_entries(const struct dms_gram_head *head, const uint8_t *bytes,
                          struct dms_product_entry *entries)
{
    uint64_t offset = dms_product_targets_offset(head->example_ct, head->range_ct, head->target_ct);

    for (uint64_t t = 0; t < head->target_ct; t++, bytes += DMS_PRODUCT_ENTRY_BYTES) {
        int rc = decode_entry(t, bytes, &entries[t]);

        if (rc < 0)
            return rc;
        entries[t].offset = offset;
        offset += entries[t].width * head->example_ct;
    }
    return offset == head->file_bytes
               ? DMS_OK
               : dms_fail(DMS_ERR_CORRUPT, "its targets end at 0x%" PRIx64 ", not 0x%" PRIx64,
                          offset, head->file_bytes);
}

int dms_product_lists_decode(const struct dms_gram_head *head, const uint8_t *bytes,
                             struct dms_id_range *ranges, uint32_t *singles,
                             struct dms_product_entry *entries)
{
    uint64_t size = dms_product_lists_bytes(head->example_ct, head->range_ct, head->target_ct);
    int rc;

    if (dms_hash64(bytes, (size_t)size) != head->lists_hash)
        return dms_fail(DMS_ERR_CORRUPT, "its lists are damaged");
    rc = dms_gram_rows_decode(head, bytes, ranges, singles);
    if (rc == DMS_OK)
        rc = decode_entries(head, bytes + dms_gram_rows_bytes(head->example_ct, head->range_ct),
                            entries);
    return rc;
}

/* ---- sums ---- */

/* Where the sums of a target are expected, in units of 2^shift: floor(n_k T / m) = n_k q +
 * floor(n_k r / m), with T = q m + r. All mod 2^64, which matters for damaged entries only. */
struct expectation {
    uint64_t quotient, remainder, row_ct;
};

/* Division by a power of two that there is no remainder of. */
static int64_t shift_down(int64_t value, unsigned shift)
{
    return value / (INT64_C(1) << shift);
}

static struct expectation expect(const struct dms_product_masks *masks,
                                 const struct dms_product_entry *entry)
{
    int64_t total = shift_down(entry->total, entry->shift), row_ct = (int64_t)masks->row_ct;
    int64_t quotient = total / row_ct, remainder = total % row_ct;

    if (remainder < 0) {
        quotient--;
        remainder += row_ct;
    }
    return (struct expectation){(uint64_t)quotient, (uint64_t)remainder, masks->row_ct};
}

static uint64_t expected_sum(const struct expectation *expectation, uint32_t single)
{
    return single * expectation->quotient + single * expectation->remainder / expectation->row_ct;
}

static int64_t deviation(const struct expectation *expectation,
                         const struct dms_product_entry *entry, uint32_t single, int64_t sum)
{
    return shift_down(sum, entry->shift) - (int64_t)expected_sum(expectation, single);
}

/* The largest power of two that divides all of them. */
static uint8_t find_shift(size_t example_ct, const int64_t *sums, int64_t total)
{
    uint64_t bits = (uint64_t)total;
    uint8_t shift = 0;

    for (size_t k = 0; k < example_ct; k++)
        bits |= (uint64_t)sums[k];
    while (bits != 0 && (bits >> shift & 1) == 0)
        shift++;
    return shift;
}

void dms_product_sums_measure(const struct dms_product_masks *masks, const int64_t *sums,
                              struct dms_product_entry *entry)
{
    struct expectation expectation;
    uint64_t reach = 0; /* bits of all deviations; those of d < 0 are of -1 - d */

    entry->shift = find_shift(masks->example_ct, sums, entry->total);
    expectation = expect(masks, entry);
    for (size_t k = 0; k < masks->example_ct; k++) {
        int64_t d = deviation(&expectation, entry, masks->singles[k], sums[k]);

        reach |= (uint64_t)(d < 0 ? -1 - d : d);
    }
    for (entry->width = 1; reach >> (8 * entry->width - 1) != 0;)
        entry->width++;
}

void dms_product_sums_encode(const struct dms_product_masks *masks, const int64_t *sums,
                             const struct dms_product_entry *entry, uint8_t *to)
{
    struct expectation expectation = expect(masks, entry);

    for (size_t k = 0; k < masks->example_ct; k++) {
        uint64_t d = (uint64_t)deviation(&expectation, entry, masks->singles[k], sums[k]);

        for (unsigned byte = 0; byte < entry->width; byte++, d >>= 8)
            *to++ = (uint8_t)d;
    }
}

bool dms_product_sums_decode(const struct dms_product_masks *masks,
                             const struct dms_product_entry *entry, const uint8_t *bytes,
                             int64_t *sums)
{
    struct expectation expectation = expect(masks, entry);
    uint64_t sign = UINT64_C(1) << (8 * entry->width - 1);
    bool within = true;

    for (size_t k = 0; k < masks->example_ct; k++) {
        uint64_t d = 0;

        for (unsigned byte = 0; byte < entry->width; byte++)
            d |= (uint64_t)*bytes++ << (8 * byte);
        d = (d ^ sign) - sign; /* its sign, as two's complement has it */
        sums[k] = (int64_t)((d + expected_sum(&expectation, masks->singles[k])) << entry->shift);
        within = within && is_within(sums[k]);
    }
    return within;
}
