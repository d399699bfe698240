/*
 * count_rows for any vector width: included by each variant after it has defined
 *   bits: a type of 8, 32 or 64 bytes, so much of a row as is counted at a time;
 *   load_bits(address), xor_bits(a, b, c), majority_bits(a, b, c): bit by bit;
 *   add_planes(planes, plane_ct, counts): counts[j] += sum over p < plane_ct of bit j of planes[p]
 *     times 2^p, for all bits of a plane. plane_ct is MAX_PLANES at most.
 */
#ifndef DMS_KERNELS_REF_COUNT_ROWS_H
#define DMS_KERNELS_REF_COUNT_ROWS_H

#include "kernels/pairs.h"

#define BITS_CT (sizeof(bits) * 8)

/* Rows that are added up before there is a carry into the upper planes, and the planes below. */
#define STEP_ROWS 16
#define STEP_PLANES 4

/* For counts to DMS_PANEL_ROWS + 15. */
#define MAX_PLANES 14
#define UPPER_PLANES (MAX_PLANES - STEP_PLANES)

/* *sum + a + b = new *sum + 2 x result, in each bit. */
static inline bits add_bits(bits *sum, bits a, bits b)
{
    bits carry = majority_bits(*sum, a, b);

    *sum = xor_bits(*sum, a, b);
    return carry;
}

static inline bits load_row(const uint64_t *panel, size_t row)
{
    return load_bits(panel + row * DMS_PANEL_WORDS);
}

/* Adds four rows to the two lowest planes. */
static inline bits add_four(bits *planes, const uint64_t *panel, const uint16_t *rows)
{
    bits low = add_bits(&planes[0], load_row(panel, rows[0]), load_row(panel, rows[1]));
    bits high = add_bits(&planes[0], load_row(panel, rows[2]), load_row(panel, rows[3]));

    return add_bits(&planes[1], low, high);
}

static inline bits add_eight(bits *planes, const uint64_t *panel, const uint16_t *rows)
{
    bits low = add_four(planes, panel, rows);
    bits high = add_four(planes, panel, rows + 4);

    return add_bits(&planes[2], low, high);
}

static inline bits add_step(bits *planes, const uint64_t *panel, const uint16_t *rows)
{
    bits low = add_eight(planes, panel, rows);
    bits high = add_eight(planes, panel, rows + 8);

    return add_bits(&planes[3], low, high);
}

/*
 * The planes above the carry of a step. An upper plane waits for its second carry before it adds
 * both: bit u of step_ct tells whether one waits, so that a step costs one addition on average.
 */
struct upper_planes {
    bits sums[UPPER_PLANES], waiting[UPPER_PLANES];
    size_t step_ct;
};

static inline void add_carry(struct upper_planes *upper, bits carry)
{
    size_t u = 0;

    for (size_t steps = upper->step_ct++; steps & 1; steps >>= 1, u++)
        carry = add_bits(&upper->sums[u], upper->waiting[u], carry);
    upper->waiting[u] = carry;
}

/* Adds what waits. */
static inline void finish_carries(struct upper_planes *upper)
{
    const bits zero = {0};
    bits carry = zero;

    for (size_t u = 0; u < UPPER_PLANES; u++)
        carry =
            add_bits(&upper->sums[u], upper->step_ct >> u & 1 ? upper->waiting[u] : zero, carry);
}

/* One slice of the columns of a panel: as many as `bits` has. */
static inline void count_slice(const uint64_t *panel, const uint16_t *rows, size_t row_ct,
                               uint32_t *counts)
{
    struct upper_planes upper = {.step_ct = 0};
    bits planes[MAX_PLANES] = {{0}};
    size_t plane_ct = STEP_PLANES;

    for (size_t i = 0; i < row_ct; i += STEP_ROWS)
        add_carry(&upper, add_step(planes, panel, rows + i));
    finish_carries(&upper);
    for (size_t u = 0; u < UPPER_PLANES; u++)
        planes[STEP_PLANES + u] = upper.sums[u];
    while (row_ct >> plane_ct > 0)
        plane_ct++;
    add_planes(planes, plane_ct, counts);
}

static void count_rows(const uint64_t *panel, const uint16_t *rows, size_t row_ct, uint32_t *counts)
{
    for (size_t j = 0; j < DMS_PANEL_COLUMNS; j += BITS_CT)
        count_slice(panel + j / 64, rows, row_ct, counts + j);
}

#endif
