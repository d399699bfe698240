/*
 * The lane kernels for x86-64 with AVX-512.
 */
#include "kernels/lane_variants.h"
#include "kernels/x86/lane_layout.h"

#include <string.h>

#define VARIANT_NAME "avx512"
#define VECTOR_BYTES 64
#define SLICE_VECTORS 1
#define WIDE_WORD_CT 1280
#define COLUMNS_PER_BLOCK 8192

#define REAL float
#define NAMED(name) name##_f32
#include "kernels/x86/lane_products.h"
#undef REAL
#undef NAMED

#define REAL double
#define NAMED(name) name##_f64
#include "kernels/x86/lane_products.h"
#undef REAL
#undef NAMED

const struct dms_lane_variant dms_lane_variant_avx512 = {
    .name = VARIANT_NAME,
    .f32 = &kernels_f32,
    .f64 = &kernels_f64,
    .transpose_bits = dms_ref_transpose_bits,
};
