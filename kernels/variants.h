/*
 * What the variants of the kernels share among themselves: their tables, for dispatch.c, and the
 * portable functions, with which the wider variants finish what does not fill a vector.
 */
#ifndef DMS_KERNELS_VARIANTS_H
#define DMS_KERNELS_VARIANTS_H

#include "kernels/kernels.h"

extern const struct dms_kernels dms_kernels_ref;
#if defined(__x86_64__)
extern const struct dms_kernels dms_kernels_avx2;
extern const struct dms_kernels dms_kernels_avx512;
#endif

uint8_t dms_ref_pack_bits(const uint8_t *bytes, size_t bit_ct, uint8_t *bits);
void dms_ref_unpack_bits(const uint8_t *bits, size_t bit_ct, uint8_t *bytes);
uint64_t dms_ref_popcount(const uint8_t *bits, size_t byte_ct);
void dms_ref_count_columns(const uint8_t *bits, size_t row_ct, size_t row_stride, size_t bit_ct,
                           uint32_t *counts);
void dms_ref_split_bytes(const uint8_t *values, size_t value_ct, size_t value_size,
                         uint8_t *planes);
void dms_ref_merge_bytes(const uint8_t *planes, size_t value_ct, size_t value_size,
                         uint8_t *values);
/* split_bytes and merge_bytes for the values first .. value_ct-1 alone. */
void dms_ref_split_range(const uint8_t *values, size_t first, size_t value_ct, size_t value_size,
                         uint8_t *planes);
void dms_ref_merge_range(const uint8_t *planes, size_t first, size_t value_ct, size_t value_size,
                         uint8_t *values);

size_t dms_ref_f32_to_f16(const float *from, size_t n, uint16_t *to);
void dms_ref_f16_to_f32(const uint16_t *from, size_t n, float *to);
void dms_ref_sum_f16(const uint16_t *values, size_t row_ct, size_t row_stride_values,
                     size_t column_ct, struct dms_exact_sum *sums);

#endif
