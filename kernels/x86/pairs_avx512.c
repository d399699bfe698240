/*
 * Counting pairs for x86-64 with AVX-512.
 */
#include "kernels/pair_variants.h"
#include "kernels/x86/list_rows.h"

typedef __m512i bits;

static inline bits load_bits(const uint64_t *address)
{
    return _mm512_load_si512(address);
}

static inline bits xor_bits(bits a, bits b, bits c)
{
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

static inline bits majority_bits(bits a, bits b, bits c)
{
    return _mm512_ternarylogic_epi64(a, b, c, 0xe8);
}

/* counts[0 .. 31] += values. */
static inline void add_values(__m512i values, uint32_t *counts)
{
    __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(values));
    __m512i high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(values, 1));

    _mm512_storeu_si512(counts, _mm512_add_epi32(_mm512_loadu_si512(counts), low));
    _mm512_storeu_si512(counts + 16, _mm512_add_epi32(_mm512_loadu_si512(counts + 16), high));
}

/* Thirty-two counters at a time, their highest bit first. */
static inline void add_planes(const bits *planes, size_t plane_ct, uint32_t *counts)
{
    uint32_t parts[14][16];

    for (size_t p = 0; p < plane_ct; p++)
        _mm512_storeu_si512(parts[p], planes[p]);
    for (size_t part = 0; part < 16; part++) {
        __m512i values = _mm512_setzero_si512();

        for (size_t p = plane_ct; p-- > 0;)
            values = _mm512_sub_epi16(_mm512_add_epi16(values, values),
                                      _mm512_movm_epi16(parts[p][part]));
        add_values(values, counts + 32 * part);
    }
}

#include "kernels/ref/count_rows.h"

const struct dms_pair_kernels dms_pair_kernels_avx512 = {
    .name = "avx512",
    .list_rows = list_rows,
    .count_rows = count_rows,
};
