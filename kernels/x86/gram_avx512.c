/*
 * The gram solver's kernels compiled for AVX-512.
 */
#include "kernels/gram_variants.h"

#include "kernels/ref/gram_body.h"

GRAM_TABLE(avx512)
