/*
 * What the variants of the lane kernels share among themselves: their tables, for dispatch.c, and
 * the portable functions that the wider variants use as they are.
 */
#ifndef DMS_KERNELS_LANE_VARIANTS_H
#define DMS_KERNELS_LANE_VARIANTS_H

#include "kernels/lanes.h"

extern const struct dms_lane_variant dms_lane_variant_ref;
#if defined(__x86_64__)
extern const struct dms_lane_variant dms_lane_variant_avx2;
extern const struct dms_lane_variant dms_lane_variant_avx512;
#endif

/* Multiply with no workspace: one addition for every bit that is set. */
void dms_ref_lane_multiply_f32(const uint8_t *masks, size_t row_ct, size_t row_stride_bytes,
                               size_t column_ct, const void *weights, void *products,
                               void *workspace);
void dms_ref_lane_multiply_f64(const uint8_t *masks, size_t row_ct, size_t row_stride_bytes,
                               size_t column_ct, const void *weights, void *products,
                               void *workspace);
void dms_ref_lane_multiply_transposed_f32(const uint64_t *columns, size_t column_stride,
                                          size_t row_ct, size_t column_ct, const void *values,
                                          void *sums, void *workspace);
void dms_ref_lane_multiply_transposed_f64(const uint64_t *columns, size_t column_stride,
                                          size_t row_ct, size_t column_ct, const void *values,
                                          void *sums, void *workspace);

dms_transpose_bits dms_ref_transpose_bits;

#endif
