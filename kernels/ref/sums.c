/*
 * Exact sums of float16 columns in portable C: every finite value is an integer times 2^-24, so
 * plain integer addition loses nothing and taking a row away again restores what was there before.
 */
#include "kernels/variants.h"

#include <string.h>

/* Columns that are summed together: their sums stay in the first-level cache. */
#define STRIP_COLUMNS 256

/* sign must be a constant or hoisted by the compiler: it decides nothing that depends on a value.
 */
static inline void add_value(uint16_t half, int sign, struct dms_exact_sum *sum)
{
    unsigned exponent = half >> 10 & 31;
    int64_t magnitude = half & 0x3ff;
    int64_t integer;
    dms_uint128 square;

    if (exponent == 31) {
        sum->nonfinite_ct += (uint64_t)(int64_t)sign;
        return;
    }
    if (exponent > 0)
        magnitude = (magnitude | 0x400) << (exponent - 1);
    integer = (half & 0x8000) != 0 ? -magnitude : magnitude;
    square = (dms_uint128)magnitude * (dms_uint128)magnitude;
    sum->sum += sign < 0 ? -integer : integer;
    sum->square_sum += sign < 0 ? -square : square;
    sum->finite_ct += (uint64_t)(int64_t)sign;
}

static uint16_t load_half(const uint16_t *values, size_t index)
{
    uint16_t half;

    memcpy(&half, (const uint8_t *)values + index * sizeof(half), sizeof(half));
    return half;
}

void dms_sum_f16_row(const uint16_t *values, size_t column_ct, int sign, struct dms_exact_sum *sums)
{
    for (size_t column = 0; column < column_ct; column++)
        add_value(load_half(values, column), sign, &sums[column]);
}

void dms_ref_sum_f16(const uint16_t *values, size_t row_ct, size_t row_stride_values,
                     size_t column_ct, struct dms_exact_sum *sums)
{
    for (size_t start = 0; start < column_ct; start += STRIP_COLUMNS) {
        size_t end = column_ct - start < STRIP_COLUMNS ? column_ct : start + STRIP_COLUMNS;

        for (size_t row = 0; row < row_ct; row++)
            for (size_t column = start; column < end; column++)
                add_value(load_half(values, row * row_stride_values + column), 1, &sums[column]);
    }
}
