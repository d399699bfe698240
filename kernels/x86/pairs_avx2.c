/*
 * Counting pairs for x86-64 with AVX2.
 */
#include "kernels/pair_variants.h"
#include "kernels/x86/list_rows.h"

typedef __m256i bits;

static inline bits load_bits(const uint64_t *address)
{
    return _mm256_load_si256((const __m256i *)(const void *)address);
}

static inline bits xor_bits(bits a, bits b, bits c)
{
    return _mm256_xor_si256(_mm256_xor_si256(a, b), c);
}

static inline bits majority_bits(bits a, bits b, bits c)
{
    return _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(_mm256_xor_si256(a, b), c));
}

/* counts[0 .. 15] += values. */
static inline void add_values(__m256i values, uint32_t *counts)
{
    __m256i *at = (__m256i *)(void *)counts;
    __m256i low = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(values));
    __m256i high = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(values, 1));

    _mm256_storeu_si256(at, _mm256_add_epi32(_mm256_loadu_si256(at), low));
    _mm256_storeu_si256(at + 1, _mm256_add_epi32(_mm256_loadu_si256(at + 1), high));
}

/* Sixteen counters at a time, their highest bit first. */
static inline void add_planes(const bits *planes, size_t plane_ct, uint32_t *counts)
{
    const __m256i lane_bits =
        _mm256_setr_epi16(1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 8,
                          1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, INT16_MIN);
    int16_t parts[14][16];

    for (size_t p = 0; p < plane_ct; p++)
        _mm256_storeu_si256((__m256i *)(void *)parts[p], planes[p]);
    for (size_t part = 0; part < 16; part++) {
        __m256i values = _mm256_setzero_si256();

        for (size_t p = plane_ct; p-- > 0;) {
            __m256i chosen = _mm256_and_si256(_mm256_set1_epi16(parts[p][part]), lane_bits);

            values = _mm256_sub_epi16(_mm256_add_epi16(values, values),
                                      _mm256_cmpeq_epi16(chosen, lane_bits));
        }
        add_values(values, counts + 16 * part);
    }
}

#include "kernels/ref/count_rows.h"

const struct dms_pair_kernels dms_pair_kernels_avx2 = {
    .name = "avx2",
    .list_rows = list_rows,
    .count_rows = count_rows,
};
