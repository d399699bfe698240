/*
 * The masks of the models of one role, held in memory as packed columns, and how often every two
 * training examples are in together: exact integers, from which the Gram matrix follows with one
 * rounding.
 */
#ifndef DMS_SOLVER_PACKED_ROWS_H
#define DMS_SOLVER_PACKED_ROWS_H

#include "solver/problem.h"

struct dms_pool;
struct dms_pair_block; /* solver/pair_band.h */

struct dms_packed_rows {
    size_t example_ct;
    uint64_t row_ct;
    size_t word_ct;    /* (row_ct + 63) / 64 */
    uint64_t *columns; /* example_ct x word_ct; bit i & 63 of word i >> 6 is row i of the pass */
};

/* Reads the models of `role` in one pass, in the order of a source that is not shuffled. The caller
 * ends *rows with dms_packed_rows_free, which accepts what is all zero. */
int dms_packed_rows_read(const struct dms_problem *problem, enum dms_role role,
                         struct dms_packed_rows *rows);
void dms_packed_rows_free(struct dms_packed_rows *rows);

/* counts[k] = rows with weight that have example k. row_words: word_ct words with the bits of those
 * rows; NULL: all. */
void dms_packed_rows_count(const struct dms_packed_rows *rows, const uint64_t *row_words,
                           double *counts);

/* Calls `take` for all rows in blocks, with these examples and row words (either may be NULL). Ends
 * early with what `take` failed with. */
int dms_packed_rows_visit(const struct dms_packed_rows *rows, const uint32_t *examples,
                          const uint64_t *row_words, void *taker,
                          int (*take)(void *taker, const struct dms_pair_block *block));

/* Some of the examples and what their rows are. */
struct dms_covariance {
    const struct dms_packed_rows *rows;
    const uint64_t *row_words; /* NULL: all rows */
    double row_weight;         /* W: rows with weight */
    size_t size;
    const uint32_t *examples; /* size of them */
    const double *counts;     /* size: n_a, rows with weight that have it */
    const double *scales;     /* size: s_a */
};

/* matrix[a + size b] = (W n_ab - n_a n_b) / (W^2 s_a s_b), n_ab the rows with weight that have
 * both; numerators are exact below 2^53. */
int dms_packed_rows_covariance(struct dms_pool *pool, const struct dms_covariance *covariance,
                               double *matrix);

/* Memory that it takes beside the matrix. */
uint64_t dms_packed_rows_covariance_bytes(size_t size, uint64_t row_ct, unsigned thread_ct);

#endif
