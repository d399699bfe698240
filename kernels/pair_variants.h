/*
 * The variants of the kernels that count pairs, for dispatch.c.
 */
#ifndef DMS_KERNELS_PAIR_VARIANTS_H
#define DMS_KERNELS_PAIR_VARIANTS_H

#include "kernels/pairs.h"

extern const struct dms_pair_kernels dms_pair_kernels_ref;
#if defined(__x86_64__)
extern const struct dms_pair_kernels dms_pair_kernels_avx2;
extern const struct dms_pair_kernels dms_pair_kernels_avx512;
#endif

#endif
