/*
 * Counting pairs in portable C, a word of columns at a time.
 */
#include "kernels/pair_variants.h"

typedef struct {
    uint64_t word;
} bits;

static inline bits load_bits(const uint64_t *address)
{
    return (bits){*address};
}

static inline bits xor_bits(bits a, bits b, bits c)
{
    return (bits){a.word ^ b.word ^ c.word};
}

static inline bits majority_bits(bits a, bits b, bits c)
{
    return (bits){(a.word & b.word) | ((a.word ^ b.word) & c.word)};
}

static inline void add_planes(const bits *planes, size_t plane_ct, uint32_t *counts)
{
    for (size_t p = 0; p < plane_ct; p++)
        for (size_t j = 0; j < 64; j++)
            counts[j] += (uint32_t)(planes[p].word >> j & 1) << p;
}

#include "kernels/ref/count_rows.h"

static size_t list_rows(const uint64_t *words, size_t word_ct, uint16_t *rows)
{
    size_t row_ct = 0;

    for (size_t w = 0; w < word_ct; w++)
        for (uint64_t left = words[w]; left != 0; left &= left - 1)
            rows[row_ct++] = (uint16_t)(64 * w + (size_t)__builtin_ctzll(left) + 1);
    while (row_ct % STEP_ROWS != 0)
        rows[row_ct++] = 0;
    return row_ct;
}

const struct dms_pair_kernels dms_pair_kernels_ref = {
    .name = "ref",
    .list_rows = list_rows,
    .count_rows = count_rows,
};
