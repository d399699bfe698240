/*
 * Kernels of the solver: products of packed 0/1 masks with DMS_LANES targets at a time, in float
 * and in double.
 *
 * Masks are never unpacked to numbers. For 8 rows (or 8 columns) the 256 sums of every subset of 8
 * values are put in a table once; every byte of the bits is then one lookup and one addition, for
 * all lanes at once: 8 times fewer operations than a matrix product ("method of four Russians",
 * Arlazarov, Dinic, Kronrod, Faradzev 1970).
 *
 * Values of a tile lie lane by lane: value of row (or example) i and lane l at i * DMS_LANES + l,
 * 64-byte aligned. kernels/ref defines the results; other variants add the same terms in another
 * order and agree to the rounding of DMS_LANES-wise sums (tests: 1e-5 relative to the sum of
 * absolute values in float, 1e-13 in double). For one variant a result depends on its inputs alone,
 * never on threads or addresses.
 */
#ifndef DMS_KERNELS_LANES_H
#define DMS_KERNELS_LANES_H

#include <stddef.h>
#include <stdint.h>

#define DMS_LANES 16

struct dms_lane_kernels {
    const char *name;  /* "ref", "avx2" or "avx512" */
    size_t real_bytes; /* of a value: sizeof(float) or sizeof(double) */

    /* Scratch that multiply and multiply_transposed need, for any sizes; 64-byte aligned. */
    size_t workspace_bytes;

    /*
     * products[i, l] = sum over k < column_ct with bit k of row i of weights[k, l], for i < row_ct.
     * Row i starts at masks + i * row_stride_bytes, a multiple of 8; bits from column_ct to the end
     * of its last 8-byte word are zero. weights: column_ct x DMS_LANES.
     */
    void (*multiply)(const uint8_t *masks, size_t row_ct, size_t row_stride_bytes, size_t column_ct,
                     const void *weights, void *products, void *workspace);

    /*
     * sums[k, l] = sum over i < row_ct with bit i & 63 of columns[(i >> 6) * column_stride + k] of
     * values[i, l], for k < column_ct. Bits of rows from row_ct on are zero. values: row_ct x
     * DMS_LANES.
     */
    void (*multiply_transposed)(const uint64_t *columns, size_t column_stride, size_t row_ct,
                                size_t column_ct, const void *values, void *sums, void *workspace);
};

/*
 * columns[b * column_stride + k], for b < (row_ct + 63) / 64 and k < column_ct: bit i is bit k of
 * row 64 b + i, zero for rows from row_ct on. Rows as for multiply.
 */
typedef void dms_transpose_bits(const uint8_t *masks, size_t row_ct, size_t row_stride_bytes,
                                size_t column_ct, uint64_t *columns, size_t column_stride);

struct dms_lane_variant {
    const char *name;
    const struct dms_lane_kernels *f32, *f64;
    dms_transpose_bits *transpose_bits;
};

/* For this machine, or as DMS_KERNELS says; see dms_kernels_get. */
const struct dms_lane_variant *dms_lane_variant_get(void);
const struct dms_lane_variant *dms_lane_variant_by_name(const char *name);

#endif
