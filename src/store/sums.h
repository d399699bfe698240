/*
 * Sums over the values of output columns of any dtype, in the form of struct dms_exact_sum: exact
 * integers for f16, u8 and bool (units of 2^-24 and 2^-48); for f32, which no integer of 128 bits
 * holds, doubles in the fields' low bits.
 */
#ifndef DMS_STORE_SUMS_H
#define DMS_STORE_SUMS_H

#include "dmstore/schema.h"
#include "dmstore/snapshot.h"
#include "kernels/kernels.h"

#include <stddef.h>
#include <stdint.h>

/* Adds row_ct rows of value_ct values (packed rows of the store, row_stride bytes apart) to sums[0
 * .. value_ct). */
void dms_sums_add(enum dms_dtype dtype, const uint8_t *rows, size_t row_ct, size_t row_stride,
                  size_t value_ct, struct dms_exact_sum *sums);

/* total += sign * part. */
void dms_sums_merge(enum dms_dtype dtype, struct dms_exact_sum *total,
                    const struct dms_exact_sum *part, int sign);

/* The sums in natural units. */
struct dms_target_statistics dms_sums_statistics(enum dms_dtype dtype,
                                                 const struct dms_exact_sum *sum);

#endif
