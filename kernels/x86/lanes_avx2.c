/*
 * The lane kernels for x86-64 with AVX2.
 */
#include "kernels/lane_variants.h"
#include "kernels/x86/lane_layout.h"

#include <immintrin.h>
#include <string.h>

#define VARIANT_NAME "avx2"
#define VECTOR_BYTES 32
#define SLICE_VECTORS 2
#define WIDE_WORD_CT 1280
#define COLUMNS_PER_BLOCK 4096

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

typedef __m256i bytes_vector;

static inline __m256i shuffle(__m256i vector, __m128i order)
{
    return _mm256_shuffle_epi8(vector, _mm256_broadcastsi128_si256(order));
}

static inline uint32_t sign_bits(__m256i vector)
{
    return (uint32_t)_mm256_movemask_epi8(vector);
}

#define load_words(rows, offset) \
    _mm256_set_m128i(two_words((rows) + 16, offset), two_words(rows, offset))
#define interleave_low_16 _mm256_unpacklo_epi16
#define interleave_high_16 _mm256_unpackhi_epi16
#define interleave_low_32 _mm256_unpacklo_epi32
#define interleave_high_32 _mm256_unpackhi_epi32
#define interleave_low_64 _mm256_unpacklo_epi64
#define interleave_high_64 _mm256_unpackhi_epi64
#define add_bytes _mm256_add_epi8

#include "kernels/x86/transpose_bits.h"

const struct dms_lane_variant dms_lane_variant_avx2 = {
    .name = VARIANT_NAME,
    .f32 = &kernels_f32,
    .f64 = &kernels_f64,
    .transpose_bits = transpose_bits,
};
