/*
 * The kernels for x86-64 with AVX-512 (F, BW, VL, DQ, VBMI) on top of what avx2.c asks for: 64
 * bytes at a time, and the portable functions for what is left over.
 */
#include "kernels/variants.h"

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

static inline __m512i load(const void *from)
{
    return _mm512_loadu_si512(from);
}

static inline void store(void *to, __m512i vector)
{
    _mm512_storeu_si512(to, vector);
}

static uint8_t or_of_bytes(__m512i vector)
{
    uint64_t seen = (uint64_t)_mm512_reduce_or_epi64(vector);

    seen |= seen >> 32;
    seen |= seen >> 16;
    seen |= seen >> 8;
    return (uint8_t)seen;
}

static uint8_t pack_bits(const uint8_t *bytes, size_t bit_ct, uint8_t *bits)
{
    __m512i seen = _mm512_setzero_si512();
    size_t k;

    for (k = 0; k + 64 <= bit_ct; k += 64) {
        __m512i values = load(bytes + k);
        uint64_t ones = _mm512_test_epi8_mask(values, values);

        seen = _mm512_or_si512(seen, values);
        memcpy(bits + (k >> 3), &ones, sizeof(ones));
    }
    return or_of_bytes(seen) | dms_ref_pack_bits(bytes + k, bit_ct - k, bits + (k >> 3));
}

static void unpack_bits(const uint8_t *bits, size_t bit_ct, uint8_t *bytes)
{
    const __m512i one = _mm512_set1_epi8(1);
    size_t k;

    for (k = 0; k + 64 <= bit_ct; k += 64) {
        uint64_t ones;

        memcpy(&ones, bits + (k >> 3), sizeof(ones));
        store(bytes + k, _mm512_maskz_mov_epi8(ones, one));
    }
    dms_ref_unpack_bits(bits + (k >> 3), bit_ct - k, bytes + k);
}

/* The number of ones in each byte, by looking up both halves of it. */
static inline __m512i ones_per_byte(__m512i vector)
{
    const __m512i ones_of_nibble =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m512i nibble = _mm512_set1_epi8(15);
    __m512i low = _mm512_and_si512(vector, nibble);
    __m512i high = _mm512_and_si512(_mm512_srli_epi16(vector, 4), nibble);

    return _mm512_add_epi8(_mm512_shuffle_epi8(ones_of_nibble, low),
                           _mm512_shuffle_epi8(ones_of_nibble, high));
}

static uint64_t popcount(const uint8_t *bits, size_t byte_ct)
{
    __m512i total = _mm512_setzero_si512();
    size_t i;

    for (i = 0; i + 256 <= byte_ct; i += 256) {
        /* At most 4 x 8 in a byte. */
        __m512i ones = ones_per_byte(load(bits + i));

        for (size_t j = 64; j < 256; j += 64)
            ones = _mm512_add_epi8(ones, ones_per_byte(load(bits + i + j)));
        total = _mm512_add_epi64(total, _mm512_sad_epu8(ones, _mm512_setzero_si512()));
    }
    return (uint64_t)_mm512_reduce_add_epi64(total) + dms_ref_popcount(bits + i, byte_ct - i);
}

/* What count_columns.h needs: full adders of single bits, and counters of one byte. */

typedef __m512i vector;

static inline vector zero_vector(void)
{
    return _mm512_setzero_si512();
}

static inline vector all_bytes(uint8_t value)
{
    return _mm512_set1_epi8((char)value);
}

static inline vector take_two(vector *digit, vector a, vector b)
{
    vector carry = _mm512_ternarylogic_epi64(*digit, a, b, 0xe8); /* the majority */

    *digit = _mm512_ternarylogic_epi64(*digit, a, b, 0x96); /* the parity */
    return carry;
}

static inline vector add_where(vector counters, const uint8_t *bits, vector amount)
{
    uint64_t mask;

    memcpy(&mask, bits, sizeof(mask));
    return _mm512_mask_add_epi8(counters, mask, counters, amount);
}

#include "kernels/x86/count_columns.h"

/* The 4 x 4 matrix of 128-bit lanes in four vectors, transposed. */
static inline void transpose_lanes(__m512i v[4])
{
    __m512i low01 = _mm512_shuffle_i32x4(v[0], v[1], 0x44);
    __m512i high01 = _mm512_shuffle_i32x4(v[0], v[1], 0xee);
    __m512i low23 = _mm512_shuffle_i32x4(v[2], v[3], 0x44);
    __m512i high23 = _mm512_shuffle_i32x4(v[2], v[3], 0xee);

    v[0] = _mm512_shuffle_i32x4(low01, low23, 0x88);
    v[1] = _mm512_shuffle_i32x4(low01, low23, 0xdd);
    v[2] = _mm512_shuffle_i32x4(high01, high23, 0x88);
    v[3] = _mm512_shuffle_i32x4(high01, high23, 0xdd);
}

/* The permutation that transposes row_ct x column_ct = 64 bytes. */
static __m512i transposed_bytes(unsigned row_ct, unsigned column_ct)
{
    uint8_t source[64];

    for (unsigned i = 0; i < row_ct; i++)
        for (unsigned j = 0; j < column_ct; j++)
            source[j * row_ct + i] = (uint8_t)(i * column_ct + j);
    return load(source);
}

static void split_bytes(const uint8_t *values, size_t value_ct, size_t value_size, uint8_t *planes)
{
    const __m512i by_plane = transposed_bytes((unsigned)(64 / value_size), (unsigned)value_size);
    size_t i = 0;

    for (; value_size == 2 && i + 64 <= value_ct; i += 64) {
        __m512i a = _mm512_permutexvar_epi8(by_plane, load(values + 2 * i));
        __m512i b = _mm512_permutexvar_epi8(by_plane, load(values + 2 * i + 64));

        store(planes + i, _mm512_shuffle_i64x2(a, b, 0x44));
        store(planes + value_ct + i, _mm512_shuffle_i64x2(a, b, 0xee));
    }
    for (; value_size == 4 && i + 64 <= value_ct; i += 64) {
        __m512i v[4];

#pragma GCC unroll 4 /* or the vectors go through memory */
        for (size_t j = 0; j < 4; j++)
            v[j] = _mm512_permutexvar_epi8(by_plane, load(values + 4 * i + 64 * j));
        transpose_lanes(v);
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++)
            store(planes + j * value_ct + i, v[j]);
    }
    dms_ref_split_range(values, i, value_ct, value_size, planes);
}

static void merge_bytes(const uint8_t *planes, size_t value_ct, size_t value_size, uint8_t *values)
{
    const __m512i by_value = transposed_bytes((unsigned)value_size, (unsigned)(64 / value_size));
    size_t i = 0;

    for (; value_size == 2 && i + 64 <= value_ct; i += 64) {
        __m512i low = load(planes + i);
        __m512i high = load(planes + value_ct + i);
        __m512i a = _mm512_shuffle_i64x2(low, high, 0x44);
        __m512i b = _mm512_shuffle_i64x2(low, high, 0xee);

        store(values + 2 * i, _mm512_permutexvar_epi8(by_value, a));
        store(values + 2 * i + 64, _mm512_permutexvar_epi8(by_value, b));
    }
    for (; value_size == 4 && i + 64 <= value_ct; i += 64) {
        __m512i v[4];

#pragma GCC unroll 4 /* or the vectors go through memory */
        for (size_t j = 0; j < 4; j++)
            v[j] = load(planes + j * value_ct + i);
        transpose_lanes(v);
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++)
            store(values + 4 * i + 64 * j, _mm512_permutexvar_epi8(by_value, v[j]));
    }
    dms_ref_merge_range(planes, i, value_ct, value_size, values);
}

static size_t f32_to_f16(const float *from, size_t n, uint16_t *to)
{
    const __m512i magnitude_bits = _mm512_set1_epi32(0x7fffffff);
    const __m512i overflow = _mm512_set1_epi32(0x477ff000); /* 65520 */
    const __m512i infinity = _mm512_set1_epi32(0x7f800000);
    size_t first_overflow = n;
    size_t i;
    size_t tail_overflow;

    for (i = 0; i + 16 <= n; i += 16) {
        __m512 values = _mm512_loadu_ps(from + i);
        __m512i magnitude = _mm512_and_si512(_mm512_castps_si512(values), magnitude_bits);
        __mmask16 below_infinity = _mm512_cmplt_epi32_mask(magnitude, infinity);
        __mmask16 overflows = _mm512_mask_cmpge_epi32_mask(below_infinity, magnitude, overflow);

        _mm256_storeu_si256((__m256i *)(void *)(to + i),
                            _mm512_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
        if (first_overflow == n && overflows != 0)
            first_overflow = i + (size_t)__builtin_ctz(overflows);
    }
    tail_overflow = i + dms_ref_f32_to_f16(from + i, n - i, to + i);
    return first_overflow < n ? first_overflow : tail_overflow;
}

static void f16_to_f32(const uint16_t *from, size_t n, float *to)
{
    size_t i;

    for (i = 0; i + 16 <= n; i += 16)
        _mm512_storeu_ps(
            to + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(from + i))));
    dms_ref_f16_to_f32(from + i, n - i, to + i);
}

/* What sum_f16.h needs. */

#define LANES 16

static inline vector scaled_integers(const uint16_t *values, vector *out_of_range)
{
    const __m512 scale = _mm512_set1_ps(0x1p24f);
    const __m512i indefinite = _mm512_set1_epi32(INT32_MIN);
    __m256i halves = _mm256_loadu_si256((const __m256i *)(const void *)values);
    __m512i integers = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtph_ps(halves), scale));
    __mmask16 outside = _mm512_cmpeq_epi32_mask(integers, indefinite);

    *out_of_range = _mm512_mask_mov_epi32(*out_of_range, outside, indefinite);
    return integers;
}

static inline bool any(vector lanes)
{
    return _mm512_test_epi32_mask(lanes, lanes) != 0;
}

static inline vector low_halves_widened(vector integers)
{
    return _mm512_cvtepi32_epi64(_mm512_castsi512_si256(integers));
}

static inline vector high_halves_widened(vector integers)
{
    return _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(integers, 1));
}

static inline vector add_64(vector a, vector b)
{
    return _mm512_add_epi64(a, b);
}

static inline vector square_even(vector integers)
{
    return _mm512_mul_epi32(integers, integers);
}

static inline vector lower_32(vector integers)
{
    return _mm512_and_si512(integers, _mm512_set1_epi64(0xffffffff));
}

static inline vector upper_32(vector integers)
{
    return _mm512_srli_epi64(integers, 32);
}

#include "kernels/x86/sum_f16.h"

const struct dms_kernels dms_kernels_avx512 = {
    .name = "avx512",
    .pack_bits = pack_bits,
    .unpack_bits = unpack_bits,
    .popcount = popcount,
    .count_columns = count_columns,
    .split_bytes = split_bytes,
    .merge_bytes = merge_bytes,
    .f32_to_f16 = f32_to_f16,
    .f16_to_f32 = f16_to_f32,
    .sum_f16 = sum_f16,
};
