/*
 * The totals in the index: counts of training examples and sums of output values, in blocks
 * (index.h).
 */
#include "store/index.h"

#include "format/cursor.h"
#include "format/schema.h"
#include "store/index_values.h"
#include "store/sums.h"

#include <string.h>

enum {
    TOTALS_BLOCK = 256, /* values in one entry */
    SUM_BYTES = 48,
};

static uint64_t totals_key(uint32_t column_id, uint32_t block)
{
    return (uint64_t)column_id << 32 | block;
}

/* Reads one block of totals of `bytes` bytes into `block`, zeros when it is not there yet. */
static int totals_get(struct dms_index_txn *txn, uint64_t key, uint8_t *block, size_t bytes)
{
    struct dms_cursor cursor;
    memset(block, 0, bytes);
    int status = dms_index_value_get(txn, DMS_INDEX_TOTALS, key, &cursor);
    if (status == DMS_END) {
        return 0;
    }
    if (status == 0 && cursor.size != bytes) {
        status = dms_index_value_fail(txn, DMS_INDEX_TOTALS);
    }
    if (status == 0) {
        memcpy(block, cursor.data, bytes);
    }
    return status;
}

static int totals_put(struct dms_index_txn *txn, uint64_t key, const uint8_t *block, size_t bytes)
{
    int status;
    struct dms_buffer *buffer = dms_index_value_begin(txn, &status);
    status = status ? status : dms_buffer_append(buffer, block, bytes);
    return status ? status : dms_index_value_put(txn, DMS_INDEX_TOTALS, key);
}

static uint64_t block_values(uint64_t value_ct, uint64_t first)
{
    return value_ct - first < TOTALS_BLOCK ? value_ct - first : TOTALS_BLOCK;
}

int dms_index_add_counts(struct dms_index_txn *txn, const uint32_t *counts, uint64_t count_ct,
                         int sign)
{
    uint8_t block[TOTALS_BLOCK * 8];
    for (uint64_t first = 0; first < count_ct; first += TOTALS_BLOCK) {
        uint64_t key = totals_key(DMS_SCHEMA_MASK_COLUMN, (uint32_t)(first / TOTALS_BLOCK));
        uint64_t here = block_values(count_ct, first);
        int status = totals_get(txn, key, block, here * 8);
        for (uint64_t k = 0; k < here; k++) {
            uint64_t count = dms_load_u64(block + k * 8);
            dms_store_u64(block + k * 8,
                          sign > 0 ? count + counts[first + k] : count - counts[first + k]);
        }
        status = status ? status : totals_put(txn, key, block, here * 8);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

int dms_index_get_counts(struct dms_index_txn *txn, uint64_t *counts, uint64_t count_ct)
{
    uint8_t block[TOTALS_BLOCK * 8];
    for (uint64_t first = 0; first < count_ct; first += TOTALS_BLOCK) {
        uint64_t here = block_values(count_ct, first);
        int status =
            totals_get(txn, totals_key(DMS_SCHEMA_MASK_COLUMN, (uint32_t)(first / TOTALS_BLOCK)),
                       block, here * 8);
        if (status != 0) {
            return status;
        }
        for (uint64_t k = 0; k < here; k++) {
            counts[first + k] = dms_load_u64(block + k * 8);
        }
    }
    return 0;
}

static void sum_load(const uint8_t *from, struct dms_exact_sum *sum)
{
    sum->sum = (dms_int128)((dms_uint128)dms_load_u64(from + 8) << 64 | dms_load_u64(from));
    sum->square_sum = (dms_uint128)dms_load_u64(from + 24) << 64 | dms_load_u64(from + 16);
    sum->finite_ct = dms_load_u64(from + 32);
    sum->nonfinite_ct = dms_load_u64(from + 40);
}

static void sum_store(uint8_t *to, const struct dms_exact_sum *sum)
{
    dms_store_u64(to, (uint64_t)(dms_uint128)sum->sum);
    dms_store_u64(to + 8, (uint64_t)((dms_uint128)sum->sum >> 64));
    dms_store_u64(to + 16, (uint64_t)sum->square_sum);
    dms_store_u64(to + 24, (uint64_t)(sum->square_sum >> 64));
    dms_store_u64(to + 32, sum->finite_ct);
    dms_store_u64(to + 40, sum->nonfinite_ct);
}

int dms_index_add_sums(struct dms_index_txn *txn, const struct dms_column *column,
                       uint64_t first_value, const struct dms_exact_sum *sums, uint64_t value_ct,
                       int sign)
{
    uint64_t total_ct = dms_column_value_ct(column);
    uint8_t block[TOTALS_BLOCK * SUM_BYTES];
    for (uint64_t done = 0; done < value_ct;) {
        uint64_t at = first_value + done;
        uint64_t block_first = at / TOTALS_BLOCK * TOTALS_BLOCK;
        uint64_t here = block_values(total_ct, block_first);
        uint64_t key = totals_key(column->id, (uint32_t)(at / TOTALS_BLOCK));
        int status = totals_get(txn, key, block, here * SUM_BYTES);
        for (; done < value_ct && first_value + done < block_first + here; done++) {
            uint8_t *entry = block + (first_value + done - block_first) * SUM_BYTES;
            struct dms_exact_sum sum;
            sum_load(entry, &sum);
            dms_sums_merge(column->dtype, &sum, &sums[done], sign);
            sum_store(entry, &sum);
        }
        status = status ? status : totals_put(txn, key, block, here * SUM_BYTES);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

int dms_index_get_sums(struct dms_index_txn *txn, const struct dms_column *column,
                       struct dms_exact_sum *sums)
{
    uint64_t total_ct = dms_column_value_ct(column);
    uint8_t block[TOTALS_BLOCK * SUM_BYTES];
    for (uint64_t first = 0; first < total_ct; first += TOTALS_BLOCK) {
        uint64_t here = block_values(total_ct, first);
        int status = totals_get(txn, totals_key(column->id, (uint32_t)(first / TOTALS_BLOCK)),
                                block, here * SUM_BYTES);
        if (status != 0) {
            return status;
        }
        for (uint64_t k = 0; k < here; k++) {
            sum_load(block + k * SUM_BYTES, &sums[first + k]);
        }
    }
    return 0;
}

int dms_index_clear_totals(struct dms_index_txn *txn)
{
    return dms_index_clear(txn, DMS_INDEX_TOTALS);
}
