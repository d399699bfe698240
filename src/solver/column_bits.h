/*
 * Columns of bits, 64 models to a word: some of them gathered, and the bits that they have counted.
 */
#ifndef DMS_SOLVER_COLUMN_BITS_H
#define DMS_SOLVER_COLUMN_BITS_H

#include <stddef.h>
#include <stdint.h>

/* The bits that are set in word_ct words. */
uint64_t dms_count_bits(const uint64_t *words, size_t word_ct);

/* Those that are set in both columns. */
uint64_t dms_count_both(const uint64_t *a, const uint64_t *b, size_t word_ct);

/* to[a * to_stride + w] = words[w * stride + examples[a]], without the bits that row_words[w] lacks
 * (NULL: all are taken), for a < size and w < word_ct. */
void dms_gather_columns(const uint64_t *words, size_t stride, size_t word_ct,
                        const uint64_t *row_words, size_t size, const uint32_t *examples,
                        uint64_t *to, size_t to_stride);

#endif
