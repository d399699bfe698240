/*
 * sum_f16 for any vector width: included by each x86 variant after it has defined vector (of LANES
 * 32-bit or LANES / 2 64-bit integers), zero_vector(), store(to, vector) and
 *   scaled_integers(values, &out_of_range): LANES float16 values times 2^24, exactly; marks lanes
 * where the value is an infinity, a NaN or not below 128 in magnitude; any(lanes), add_64(a, b),
 * square_even(integers): the 64-bit squares of the even lanes; low_halves_widened(integers),
 * high_halves_widened(integers): LANES / 2 each, to 64 bits; lower_32(integers),
 * upper_32(integers): halves of each 64-bit lane as 64-bit lanes.
 *
 * A value below 128 is an integer below 2^31 in units of 2^-24, so that four squares fit in 64
 * bits. Their lower and upper halves are added up apart, which leaves room for 2^32 additions.
 * Blocks of four rows in which some value is out of range go through the portable code instead.
 */
#ifndef DMS_KERNELS_X86_SUM_F16_H
#define DMS_KERNELS_X86_SUM_F16_H

#include "kernels/variants.h"

#include <string.h>

#define SUM_BLOCK_ROWS 4
#define SUM_STRIP_GROUPS (512 / LANES) /* their sums stay in L1 */

/* More rows in one go could overflow the 64-bit sums. */
#define SUM_MAX_ROWS ((size_t)1 << 30)

/* What was added up for LANES columns. */
struct group_sum {
    vector low_sum;  /* columns 0 .. LANES/2 - 1 */
    vector high_sum; /* the other half */
    vector even_squares_lower, even_squares_upper;
    vector odd_squares_lower, odd_squares_upper;
    uint64_t row_ct;
};

static inline void sum_block(const uint16_t *values, size_t row_ct, size_t row_stride,
                             struct group_sum *group, struct dms_exact_sum *sums)
{
    vector low_sum = group->low_sum;
    vector high_sum = group->high_sum;
    vector even_squares = zero_vector();
    vector odd_squares = zero_vector();
    vector out_of_range = zero_vector();

#pragma GCC unroll 4
    for (size_t row = 0; row < row_ct; row++) {
        vector integers = scaled_integers(values + row * row_stride, &out_of_range);

        low_sum = add_64(low_sum, low_halves_widened(integers));
        high_sum = add_64(high_sum, high_halves_widened(integers));
        even_squares = add_64(even_squares, square_even(integers));
        odd_squares = add_64(odd_squares, square_even(upper_32(integers)));
    }
    if (any(out_of_range)) {
        dms_ref_sum_f16(values, row_ct, row_stride, LANES, sums);
        return;
    }
    group->low_sum = low_sum;
    group->high_sum = high_sum;
    group->even_squares_lower = add_64(group->even_squares_lower, lower_32(even_squares));
    group->even_squares_upper = add_64(group->even_squares_upper, upper_32(even_squares));
    group->odd_squares_lower = add_64(group->odd_squares_lower, lower_32(odd_squares));
    group->odd_squares_upper = add_64(group->odd_squares_upper, upper_32(odd_squares));
    group->row_ct += row_ct;
}

static void flush_group(const struct group_sum *group, struct dms_exact_sum *sums)
{
    int64_t sum[LANES];
    uint64_t lower[2][LANES / 2];
    uint64_t upper[2][LANES / 2];

    store(sum, group->low_sum);
    store(sum + LANES / 2, group->high_sum);
    store(lower[0], group->even_squares_lower);
    store(lower[1], group->odd_squares_lower);
    store(upper[0], group->even_squares_upper);
    store(upper[1], group->odd_squares_upper);
    for (size_t k = 0; k < LANES; k++) {
        sums[k].sum += sum[k];
        sums[k].square_sum += ((dms_uint128)upper[k & 1][k / 2] << 32) + lower[k & 1][k / 2];
        sums[k].finite_ct += group->row_ct;
    }
}

static void sum_strip(const uint16_t *values, size_t row_ct, size_t row_stride, size_t group_ct,
                      struct dms_exact_sum *sums)
{
    struct group_sum groups[SUM_STRIP_GROUPS];
    size_t row;

    memset(groups, 0, group_ct * sizeof(groups[0]));
    for (row = 0; row + SUM_BLOCK_ROWS <= row_ct; row += SUM_BLOCK_ROWS)
        for (size_t g = 0; g < group_ct; g++)
            sum_block(values + row * row_stride + g * LANES, SUM_BLOCK_ROWS, row_stride, &groups[g],
                      sums + g * LANES);
    for (size_t g = 0; row < row_ct && g < group_ct; g++)
        sum_block(values + row * row_stride + g * LANES, row_ct - row, row_stride, &groups[g],
                  sums + g * LANES);
    for (size_t g = 0; g < group_ct; g++)
        flush_group(&groups[g], sums + g * LANES);
}

static void sum_f16(const uint16_t *values, size_t row_ct, size_t row_stride_values,
                    size_t column_ct, struct dms_exact_sum *sums)
{
    size_t group_ct = column_ct / LANES;
    size_t rest = group_ct * LANES;

    for (size_t first = 0; first < row_ct; first += SUM_MAX_ROWS) {
        size_t part_rows = row_ct - first < SUM_MAX_ROWS ? row_ct - first : SUM_MAX_ROWS;
        const uint16_t *part = values + first * row_stride_values;

        for (size_t g = 0; g < group_ct; g += SUM_STRIP_GROUPS) {
            size_t strip_groups = group_ct - g < SUM_STRIP_GROUPS ? group_ct - g : SUM_STRIP_GROUPS;

            sum_strip(part + g * LANES, part_rows, row_stride_values, strip_groups,
                      sums + g * LANES);
        }
        dms_ref_sum_f16(part + rest, part_rows, row_stride_values, column_ct - rest, sums + rest);
    }
}

#endif
