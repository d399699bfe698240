/*
 * list_rows for x86-64 with BMI2, AVX2: eight bits at a time, with no branch on what they are.
 */
#ifndef DMS_KERNELS_X86_LIST_ROWS_H
#define DMS_KERNELS_X86_LIST_ROWS_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* The numbers 1 to 8 of the bits that are set in a byte, packed to the front of 8 bytes. */
static inline uint64_t set_bits(uint64_t byte)
{
    uint64_t chosen = _pdep_u64(byte, UINT64_C(0x0101010101010101)) * 0xff;

    return _pext_u64(UINT64_C(0x0807060504030201), chosen);
}

static size_t list_rows(const uint64_t *words, size_t word_ct, uint16_t *rows)
{
    size_t row_ct = 0;

    for (size_t w = 0; w < word_ct; w++)
        for (size_t shift = 0; shift < 64; shift += 8) {
            uint64_t byte = words[w] >> shift & 0xff;
            __m128i numbers = _mm_cvtepu8_epi16(_mm_cvtsi64_si128((int64_t)set_bits(byte)));
            __m128i first = _mm_set1_epi16((int16_t)(64 * w + shift));

            _mm_storeu_si128((__m128i *)(void *)(rows + row_ct), _mm_add_epi16(numbers, first));
            row_ct += (size_t)__builtin_popcountll(byte);
        }
    while (row_ct % 16 != 0)
        rows[row_ct++] = 0;
    return row_ct;
}

#endif
