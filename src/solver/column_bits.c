/*
 * Gathers and counts by the kernels; see column_bits.h.
 */
#include "solver/column_bits.h"

#include "kernels/kernels.h"

/* Words that are intersected at a time. */
#define WORDS 128

uint64_t dms_count_bits(const uint64_t *words, size_t word_ct)
{
    return dms_kernels_get()->popcount((const uint8_t *)words, word_ct * sizeof *words);
}

uint64_t dms_count_both(const uint64_t *a, const uint64_t *b, size_t word_ct)
{
    uint64_t both[WORDS], count = 0;

    for (size_t first = 0; first < word_ct; first += WORDS) {
        size_t some = word_ct - first < WORDS ? word_ct - first : WORDS;

        for (size_t w = 0; w < some; w++)
            both[w] = a[first + w] & b[first + w];
        count += dms_count_bits(both, some);
    }
    return count;
}

void dms_gather_columns(const uint64_t *words, size_t stride, size_t word_ct,
                        const uint64_t *row_words, size_t size, const uint32_t *examples,
                        uint64_t *to, size_t to_stride)
{
    for (size_t w = 0; w < word_ct; w++)
        for (size_t a = 0; a < size; a++)
            to[a * to_stride + w] =
                words[w * stride + examples[a]] & (row_words ? row_words[w] : UINT64_MAX);
}
