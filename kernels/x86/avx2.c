/*
 * The kernels for x86-64 with AVX2, BMI2, F16C and POPCNT: 32 bytes at a time, and the portable
 * functions for what is left over.
 */
#include "kernels/variants.h"

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

static inline __m256i load(const void *from)
{
    return _mm256_loadu_si256(from);
}

static inline void store(void *to, __m256i vector)
{
    _mm256_storeu_si256(to, vector);
}

static uint8_t or_of_bytes(__m256i vector)
{
    __m128i folded =
        _mm_or_si128(_mm256_castsi256_si128(vector), _mm256_extracti128_si256(vector, 1));
    uint64_t seen = (uint64_t)_mm_cvtsi128_si64(folded) | (uint64_t)_mm_extract_epi64(folded, 1);

    seen |= seen >> 32;
    seen |= seen >> 16;
    seen |= seen >> 8;
    return (uint8_t)seen;
}

static uint8_t pack_bits(const uint8_t *bytes, size_t bit_ct, uint8_t *bits)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i seen = zero;
    size_t k;

    for (k = 0; k + 64 <= bit_ct; k += 64) {
        __m256i low = load(bytes + k);
        __m256i high = load(bytes + k + 32);
        uint32_t low_zeros = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, zero));
        uint32_t high_zeros = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, zero));
        uint64_t ones = ~((uint64_t)high_zeros << 32 | low_zeros);

        seen = _mm256_or_si256(seen, _mm256_or_si256(low, high));
        memcpy(bits + (k >> 3), &ones, sizeof(ones));
    }
    return or_of_bytes(seen) | dms_ref_pack_bits(bytes + k, bit_ct - k, bits + (k >> 3));
}

static void unpack_bits(const uint8_t *bits, size_t bit_ct, uint8_t *bytes)
{
    /* Byte i of the vector takes bit i & 7 of byte i >> 3 of the 32 bits, which are in all lanes.
     */
    const __m256i source = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                            2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i diagonal = _mm256_set1_epi64x((long long)UINT64_C(0x8040201008040201));
    const __m256i one = _mm256_set1_epi8(1);
    size_t k;

    for (k = 0; k + 32 <= bit_ct; k += 32) {
        int32_t word;
        __m256i spread;

        memcpy(&word, bits + (k >> 3), sizeof(word));
        spread = _mm256_shuffle_epi8(_mm256_set1_epi32(word), source);
        spread = _mm256_and_si256(spread, diagonal);
        store(bytes + k, _mm256_min_epu8(spread, one));
    }
    dms_ref_unpack_bits(bits + (k >> 3), bit_ct - k, bytes + k);
}

/* The number of ones in each byte, by looking up both halves of it. */
static inline __m256i ones_per_byte(__m256i vector)
{
    const __m256i ones_of_nibble = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
                                                    0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i low = _mm256_and_si256(vector, nibble);
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(vector, 4), nibble);

    return _mm256_add_epi8(_mm256_shuffle_epi8(ones_of_nibble, low),
                           _mm256_shuffle_epi8(ones_of_nibble, high));
}

static uint64_t popcount(const uint8_t *bits, size_t byte_ct)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i total = zero;
    uint64_t lanes[4];
    size_t i;

    for (i = 0; i + 128 <= byte_ct; i += 128) {
        /* At most 4 x 8 in a byte. */
        __m256i ones =
            _mm256_add_epi8(ones_per_byte(load(bits + i)), ones_per_byte(load(bits + i + 32)));

        ones = _mm256_add_epi8(ones, ones_per_byte(load(bits + i + 64)));
        ones = _mm256_add_epi8(ones, ones_per_byte(load(bits + i + 96)));
        total = _mm256_add_epi64(total, _mm256_sad_epu8(ones, zero));
    }
    store(lanes, total);
    return lanes[0] + lanes[1] + lanes[2] + lanes[3] + dms_ref_popcount(bits + i, byte_ct - i);
}

/* What count_columns.h needs: full adders of single bits, and counters of one byte. */

typedef __m256i vector;

static inline vector zero_vector(void)
{
    return _mm256_setzero_si256();
}

static inline vector all_bytes(uint8_t value)
{
    return _mm256_set1_epi8((char)value);
}

static inline vector take_two(vector *digit, vector a, vector b)
{
    vector differ = _mm256_xor_si256(*digit, a);
    vector carry = _mm256_or_si256(_mm256_and_si256(*digit, a), _mm256_and_si256(differ, b));

    *digit = _mm256_xor_si256(differ, b);
    return carry;
}

static inline vector add_where(vector counters, const uint8_t *bits, vector amount)
{
    const __m256i source = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                            2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i diagonal = _mm256_set1_epi64x((long long)UINT64_C(0x8040201008040201));
    int32_t word;
    __m256i set;

    memcpy(&word, bits, sizeof(word));
    set = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(word), source), diagonal);
    set = _mm256_cmpeq_epi8(set, diagonal);
    return _mm256_add_epi8(counters, _mm256_and_si256(set, amount));
}

#include "kernels/x86/count_columns.h"

/* The four vectors of 8 four-byte values hold one plane each afterwards. */
static inline void split_four(__m256i v[4])
{
    const __m256i by_plane = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
                                              0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m256i join_lanes = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i even01, odd01, even23, odd23; /* planes 0 and 2, planes 1 and 3, of two vectors */

#pragma GCC unroll 4 /* or the vectors go through memory */
    for (int i = 0; i < 4; i++)
        v[i] = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(v[i], by_plane), join_lanes);
    even01 = _mm256_unpacklo_epi64(v[0], v[1]);
    odd01 = _mm256_unpackhi_epi64(v[0], v[1]);
    even23 = _mm256_unpacklo_epi64(v[2], v[3]);
    odd23 = _mm256_unpackhi_epi64(v[2], v[3]);
    v[0] = _mm256_permute2x128_si256(even01, even23, 0x20);
    v[1] = _mm256_permute2x128_si256(odd01, odd23, 0x20);
    v[2] = _mm256_permute2x128_si256(even01, even23, 0x31);
    v[3] = _mm256_permute2x128_si256(odd01, odd23, 0x31);
}

/* The inverse of split_four. */
static inline void merge_four(__m256i v[4])
{
    __m256i low01 = _mm256_unpacklo_epi8(v[0], v[1]);  /* values 0-7, 16-23 */
    __m256i high01 = _mm256_unpackhi_epi8(v[0], v[1]); /* values 8-15, 24-31 */
    __m256i low23 = _mm256_unpacklo_epi8(v[2], v[3]);
    __m256i high23 = _mm256_unpackhi_epi8(v[2], v[3]);
    __m256i a = _mm256_unpacklo_epi16(low01, low23);   /* values 0-3, 16-19 */
    __m256i b = _mm256_unpackhi_epi16(low01, low23);   /* values 4-7, 20-23 */
    __m256i c = _mm256_unpacklo_epi16(high01, high23); /* values 8-11, 24-27 */
    __m256i d = _mm256_unpackhi_epi16(high01, high23); /* values 12-15, 28-31 */

    v[0] = _mm256_permute2x128_si256(a, b, 0x20);
    v[1] = _mm256_permute2x128_si256(c, d, 0x20);
    v[2] = _mm256_permute2x128_si256(a, b, 0x31);
    v[3] = _mm256_permute2x128_si256(c, d, 0x31);
}

static void split_bytes(const uint8_t *values, size_t value_ct, size_t value_size, uint8_t *planes)
{
    const __m256i low_byte = _mm256_set1_epi16(0xff);
    size_t i = 0;

    for (; value_size == 2 && i + 32 <= value_ct; i += 32) {
        __m256i a = load(values + 2 * i);
        __m256i b = load(values + 2 * i + 32);
        __m256i low =
            _mm256_packus_epi16(_mm256_and_si256(a, low_byte), _mm256_and_si256(b, low_byte));
        __m256i high = _mm256_packus_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8));

        /* Packing works within 128-bit lanes: put their halves in order. */
        store(planes + i, _mm256_permute4x64_epi64(low, 0xd8));
        store(planes + value_ct + i, _mm256_permute4x64_epi64(high, 0xd8));
    }
    for (; value_size == 4 && i + 32 <= value_ct; i += 32) {
        __m256i v[4];

#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++)
            v[j] = load(values + 4 * i + 32 * j);
        split_four(v);
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++)
            store(planes + j * value_ct + i, v[j]);
    }
    dms_ref_split_range(values, i, value_ct, value_size, planes);
}

static void merge_bytes(const uint8_t *planes, size_t value_ct, size_t value_size, uint8_t *values)
{
    size_t i = 0;

    for (; value_size == 2 && i + 32 <= value_ct; i += 32) {
        __m256i low = load(planes + i);
        __m256i high = load(planes + value_ct + i);
        __m256i a = _mm256_unpacklo_epi8(low, high); /* values 0-7, 16-23 */
        __m256i b = _mm256_unpackhi_epi8(low, high); /* values 8-15, 24-31 */

        store(values + 2 * i, _mm256_permute2x128_si256(a, b, 0x20));
        store(values + 2 * i + 32, _mm256_permute2x128_si256(a, b, 0x31));
    }
    for (; value_size == 4 && i + 32 <= value_ct; i += 32) {
        __m256i v[4];

#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++)
            v[j] = load(planes + j * value_ct + i);
        merge_four(v);
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++)
            store(values + 4 * i + 32 * j, v[j]);
    }
    dms_ref_merge_range(planes, i, value_ct, value_size, values);
}

static size_t f32_to_f16(const float *from, size_t n, uint16_t *to)
{
    const __m256i magnitude_bits = _mm256_set1_epi32(0x7fffffff);
    const __m256i below_overflow = _mm256_set1_epi32(0x477fefff); /* just below 65520 */
    const __m256i largest_finite = _mm256_set1_epi32(0x7f7fffff);
    size_t first_overflow = n;
    size_t i;
    size_t tail_overflow;

    for (i = 0; i + 8 <= n; i += 8) {
        __m256 values = _mm256_loadu_ps(from + i);
        __m256i magnitude = _mm256_and_si256(_mm256_castps_si256(values), magnitude_bits);
        __m256i overflows = _mm256_andnot_si256(_mm256_cmpgt_epi32(magnitude, largest_finite),
                                                _mm256_cmpgt_epi32(magnitude, below_overflow));

        _mm_storeu_si128((__m128i *)(void *)(to + i),
                         _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
        if (first_overflow == n && !_mm256_testz_si256(overflows, overflows)) {
            int lanes = _mm256_movemask_ps(_mm256_castsi256_ps(overflows));

            first_overflow = i + (size_t)__builtin_ctz((unsigned)lanes);
        }
    }
    tail_overflow = i + dms_ref_f32_to_f16(from + i, n - i, to + i);
    return first_overflow < n ? first_overflow : tail_overflow;
}

static void f16_to_f32(const uint16_t *from, size_t n, float *to)
{
    size_t i;

    for (i = 0; i + 8 <= n; i += 8)
        _mm256_storeu_ps(
            to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(from + i))));
    dms_ref_f16_to_f32(from + i, n - i, to + i);
}

/* What sum_f16.h needs. */

#define LANES 8

static inline vector scaled_integers(const uint16_t *values, vector *out_of_range)
{
    const __m256 scale = _mm256_set1_ps(0x1p24f);
    const __m256i indefinite = _mm256_set1_epi32(INT32_MIN);
    __m128i halves = _mm_loadu_si128((const __m128i *)(const void *)values);
    __m256i integers = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtph_ps(halves), scale));

    *out_of_range = _mm256_or_si256(*out_of_range, _mm256_cmpeq_epi32(integers, indefinite));
    return integers;
}

static inline bool any(vector lanes)
{
    return !_mm256_testz_si256(lanes, lanes);
}

static inline vector low_halves_widened(vector integers)
{
    return _mm256_cvtepi32_epi64(_mm256_castsi256_si128(integers));
}

static inline vector high_halves_widened(vector integers)
{
    return _mm256_cvtepi32_epi64(_mm256_extracti128_si256(integers, 1));
}

static inline vector add_64(vector a, vector b)
{
    return _mm256_add_epi64(a, b);
}

static inline vector square_even(vector integers)
{
    return _mm256_mul_epi32(integers, integers);
}

static inline vector lower_32(vector integers)
{
    return _mm256_and_si256(integers, _mm256_set1_epi64x(0xffffffff));
}

static inline vector upper_32(vector integers)
{
    return _mm256_srli_epi64(integers, 32);
}

#include "kernels/x86/sum_f16.h"

const struct dms_kernels dms_kernels_avx2 = {
    .name = "avx2",
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
