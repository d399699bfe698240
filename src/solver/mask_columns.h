/*
 * The masks of the models of one role, held in memory as a reader gives them: 64 models to a word,
 * the words of all examples side by side. That is the order in which kernels/lanes.h multiplies;
 * and pairs of a few examples are counted from it, on any subset of the models.
 */
#ifndef DMS_SOLVER_MASK_COLUMNS_H
#define DMS_SOLVER_MASK_COLUMNS_H

#include "solver/problem.h"

struct dms_mask_columns {
    size_t example_ct;
    uint64_t row_ct;
    size_t word_ct;  /* (row_ct + 63) / 64 */
    uint64_t *words; /* word_ct x example_ct; bit i & 63 of words[(i >> 6) * example_ct + k] */
};

/* Reads the models of `role` in one pass, in the order of a source that is not shuffled. The caller
 * ends *columns with dms_mask_columns_free, which accepts what is all zero. */
int dms_mask_columns_read(const struct dms_problem *problem, enum dms_role role,
                          struct dms_mask_columns *columns);
void dms_mask_columns_free(struct dms_mask_columns *columns);

/* counts[a * stride + b] = rows with weight that have both examples[a] and examples[b], for first
 * <= a < size and b <= a. row_words: word_ct words with the bits of the rows with weight. */
int dms_mask_columns_count(const struct dms_mask_columns *columns, const uint64_t *row_words,
                           size_t first, size_t size, const uint32_t *examples, uint32_t *counts,
                           size_t stride);
/* Bytes that it takes meanwhile. */
uint64_t dms_mask_columns_count_bytes(size_t size);

#endif
