/*
 * The lane kernels for x86-64 with AVX-512.
 */
#include "kernels/lane_variants.h"
#include "kernels/x86/lane_layout.h"

#include <immintrin.h>
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

typedef __m512i bytes_vector;

static inline __m512i shuffle(__m512i vector, __m128i order)
{
    return _mm512_shuffle_epi8(vector, _mm512_broadcast_i32x4(order));
}

static inline uint64_t sign_bits(__m512i vector)
{
    return _mm512_movepi8_mask(vector);
}

#define load_words(rows, offset)                                                        \
    _mm512_inserti64x4(                                                                 \
        _mm512_castsi256_si512(                                                         \
            _mm256_set_m128i(two_words((rows) + 16, offset), two_words(rows, offset))), \
        _mm256_set_m128i(two_words((rows) + 48, offset), two_words((rows) + 32, offset)), 1)
#define interleave_low_16 _mm512_unpacklo_epi16
#define interleave_high_16 _mm512_unpackhi_epi16
#define interleave_low_32 _mm512_unpacklo_epi32
#define interleave_high_32 _mm512_unpackhi_epi32
#define interleave_low_64 _mm512_unpacklo_epi64
#define interleave_high_64 _mm512_unpackhi_epi64
#define add_bytes _mm512_add_epi8

#include "kernels/x86/transpose_bits.h"

const struct dms_lane_variant dms_lane_variant_avx512 = {
    .name = VARIANT_NAME,
    .f32 = &kernels_f32,
    .f64 = &kernels_f64,
    .transpose_bits = transpose_bits,
};
