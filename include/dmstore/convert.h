/*
 * Conversions between what programs keep in memory and what a store takes: masks of one byte an
 * example, and float32 values for float16 columns. The fastest variant that the machine supports is
 * used; all of them give the same bytes.
 */
#ifndef DMSTORE_CONVERT_H
#define DMSTORE_CONVERT_H

#include <stddef.h>
#include <stdint.h>

#include "dmstore/export.h"

DMS_BEGIN_DECLS

/* Packs one mask: bit k & 7 of mask[k >> 3] is set where bytes[k] is not 0. bytes: example_ct;
 * mask: (example_ct + 7) / 8 bytes, the bits after the last example zero. Returns the OR of all
 * bytes, so that a result above 1 tells that one of them was neither 0 nor 1. */
DMS_API uint8_t dms_pack_mask(const uint8_t *bytes, uint64_t example_ct, uint8_t *mask);

/* The inverse: bytes[k] = 0 or 1 for k < example_ct. */
DMS_API void dms_unpack_mask(const uint8_t *mask, uint64_t example_ct, uint8_t *bytes);

/* Rounds value_ct float32 values to the nearest float16, ties to even (NaN stays NaN, infinities
 * stay). Returns the index of the first finite value that is too large for float16 and became an
 * infinity, value_ct when there is none; all values are converted in either case. */
DMS_API size_t dms_f32_to_f16(const float *from, size_t value_ct, uint16_t *to);

/* Widens value_ct float16 values, exactly. */
DMS_API void dms_f16_to_f32(const uint16_t *from, size_t value_ct, float *to);

DMS_END_DECLS

#endif
