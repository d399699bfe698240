/*
 * The gram solver's kernels compiled for AVX2.
 */
#include "kernels/gram_variants.h"

#include "kernels/ref/gram_body.h"

GRAM_TABLE(avx2)
