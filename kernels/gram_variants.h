/*
 * The variants of the gram solver's kernels that dispatch.c chooses from.
 */
#ifndef DMS_KERNELS_GRAM_VARIANTS_H
#define DMS_KERNELS_GRAM_VARIANTS_H

#include "kernels/gram.h"

extern const struct dms_gram_kernels dms_gram_kernels_ref;
#if defined(__x86_64__)
extern const struct dms_gram_kernels dms_gram_kernels_avx2;
extern const struct dms_gram_kernels dms_gram_kernels_avx512;
#endif

#endif
