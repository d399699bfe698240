/*
 * Sums of output values: see sums.h.
 */
#include "store/sums.h"

#include <math.h>
#include <string.h>

enum { FRACTION_BITS = 24 };

static double as_double(dms_uint128 bits)
{
    uint64_t low = (uint64_t)bits;
    double value;
    memcpy(&value, &low, sizeof value);
    return value;
}

static dms_uint128 from_double(double value)
{
    uint64_t low;
    memcpy(&low, &value, sizeof low);
    return low;
}

static void add_f32(const uint8_t *row, size_t value_ct, struct dms_exact_sum *sums)
{
    for (size_t k = 0; k < value_ct; k++) {
        float value;
        memcpy(&value, row + k * sizeof value, sizeof value);
        if (!isfinite(value)) {
            sums[k].nonfinite_ct++;
            continue;
        }
        sums[k].sum = (dms_int128)from_double(as_double((dms_uint128)sums[k].sum) + value);
        sums[k].square_sum = from_double(as_double(sums[k].square_sum) + (double)value * value);
        sums[k].finite_ct++;
    }
}

static void add_integer(struct dms_exact_sum *sum, uint64_t value)
{
    sum->sum += (dms_int128)value << FRACTION_BITS;
    sum->square_sum += (dms_uint128)(value * value) << (2 * FRACTION_BITS);
    sum->finite_ct++;
}

void dms_sums_add(enum dms_dtype dtype, const uint8_t *rows, size_t row_ct, size_t row_stride,
                  size_t value_ct, struct dms_exact_sum *sums)
{
    if (dtype == DMS_F16) {
        dms_kernels_get()->sum_f16((const uint16_t *)(const void *)rows, row_ct, row_stride / 2,
                                   value_ct, sums);
        return;
    }
    for (size_t r = 0; r < row_ct; r++) {
        const uint8_t *row = rows + r * row_stride;
        if (dtype == DMS_F32) {
            add_f32(row, value_ct, sums);
            continue;
        }
        for (size_t k = 0; k < value_ct; k++) {
            add_integer(&sums[k], dtype == DMS_BOOL ? row[k >> 3] >> (k & 7) & 1 : row[k]);
        }
    }
}

void dms_sums_merge(enum dms_dtype dtype, struct dms_exact_sum *total,
                    const struct dms_exact_sum *part, int sign)
{
    uint64_t unit = sign < 0 ? UINT64_MAX : 1;
    total->finite_ct += unit * part->finite_ct;
    total->nonfinite_ct += unit * part->nonfinite_ct;
    if (dtype == DMS_F32) {
        total->sum = (dms_int128)from_double(as_double((dms_uint128)total->sum) +
                                             sign * as_double((dms_uint128)part->sum));
        total->square_sum =
            from_double(as_double(total->square_sum) + sign * as_double(part->square_sum));
    } else if (sign < 0) {
        total->sum -= part->sum;
        total->square_sum -= part->square_sum;
    } else {
        total->sum += part->sum;
        total->square_sum += part->square_sum;
    }
}

struct dms_target_statistics dms_sums_statistics(enum dms_dtype dtype,
                                                 const struct dms_exact_sum *sum)
{
    struct dms_target_statistics statistics = {.finite_ct = sum->finite_ct,
                                               .nonfinite_ct = sum->nonfinite_ct};
    if (dtype == DMS_F32) {
        statistics.sum = as_double((dms_uint128)sum->sum);
        statistics.square_sum = as_double(sum->square_sum);
    } else {
        statistics.sum = ldexp((double)sum->sum, -FRACTION_BITS);
        statistics.square_sum = ldexp((double)sum->square_sum, -2 * FRACTION_BITS);
    }
    return statistics;
}
