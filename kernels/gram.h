/*
 * Kernels of the gram solver: sums of rows of a matrix of small integers, of columns of bits, of
 * vectors; all in double.
 *
 * kernels/ref defines the results. Other variants may contract multiplications and additions: they
 * agree to rounding (tests: 1e-14 relative to the sum of absolute values). For one variant a result
 * depends on its inputs alone. Any size, zero included; inputs and outputs do not overlap.
 */
#ifndef DMS_KERNELS_GRAM_H
#define DMS_KERNELS_GRAM_H

#include <stddef.h>
#include <stdint.h>

/* Rows that add_rows takes at most: more would not stay in registers. */
#define DMS_GRAM_ROWS 4
/* Rows of add_multiples, and the largest factor: sums of their products fit 32 bits. */
#define DMS_GRAM_MULTIPLES 8
#define DMS_GRAM_LARGEST_FACTOR 8191

/* Sums over the examples for a certificate; values are those of the arrays that sum_up takes. */
struct dms_gram_sums {
    double product;          /* sum w c */
    double slope;            /* sum w g */
    double norm;             /* sum s |w| */
    double largest_gradient; /* max |g| / s where s > 0; 0: nowhere */
    size_t weight_ct;        /* w other than 0 */
};

struct dms_gram_kernels {
    const char *name; /* "ref", "avx2" or "avx512" */

    /* sums[k] += sum over r < row_ct of weights[r] * rows[r][k], for k < column_ct; row_ct is at
     * most DMS_GRAM_ROWS. */
    void (*add_rows)(size_t row_ct, const int16_t *const *rows, const double *weights,
                     size_t column_ct, double *sums);

    /* sums[k] += unit * sum over r < DMS_GRAM_MULTIPLES of factors[r] * rows[r][k], for k <
     * column_ct; the inner sum is exact. Factors are at most DMS_GRAM_LARGEST_FACTOR, either sign.
     */
    void (*add_multiples)(const int16_t *const *rows, const int16_t *factors, double unit,
                          size_t column_ct, double *sums);

    /* sums[k] += weight * row[k], for k < column_ct. */
    void (*add_wide_row)(const int32_t *row, double weight, size_t column_ct, double *sums);

    /* sums[k] += scale * values[k], for k < value_ct. */
    void (*add_scaled)(size_t value_ct, double scale, const double *values, double *sums);

    /* sums[i] += value where bit i & 63 of words[(i >> 6) * stride] is set, for i < row_ct. */
    void (*add_where)(const uint64_t *words, size_t stride, size_t row_ct, double value,
                      double *sums);

    /* The sum over k < n of weights[k] * (counts[k] - mean * singles[k]); counts are below 2^31. */
    double (*sum_pairs)(size_t n, const uint32_t *counts, const double *singles,
                        const double *weights, double mean);

    /* Of weights w, gradients g, products c and scales s >= 0. */
    void (*sum_up)(size_t example_ct, const double *weights, const double *gradients,
                   const double *products, const double *scales, struct dms_gram_sums *sums);
};

/* For this machine, or as DMS_KERNELS says; see dms_kernels_get. */
const struct dms_gram_kernels *dms_gram_kernels_get(void);
const struct dms_gram_kernels *dms_gram_kernels_by_name(const char *name);

#endif
