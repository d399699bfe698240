/*
 * A batch source over a matrix in memory: what a solver is given in tests and benchmarks instead of
 * a store; and what tests of solvers share besides: random numbers, stopping a fit and going on.
 */
#ifndef DMS_TESTS_MATRIX_SOURCE_H
#define DMS_TESTS_MATRIX_SOURCE_H

#include "solver/problem.h"

struct matrix {
    size_t example_ct, target_ct;
    uint64_t row_ct[DMS_ROLE_CT]; /* training rows come first, then validation rows */
    const uint8_t *masks;         /* packed rows of matrix_mask_stride(example_ct) bytes */
    const float *outputs;         /* rows x target_ct */
    uint64_t seed;                /* of shuffled passes */
};

/* Bytes of a packed mask: whole 8-byte words. */
size_t matrix_mask_stride(size_t example_ct);

/* Packs rows x example_ct bytes of 0 and 1; NULL: no memory. The caller frees it. */
uint8_t *matrix_pack(const uint8_t *bytes, size_t row_ct, size_t example_ct);

/* A problem over the matrix with the defaults of dms_fit_options_init; the matrix must outlive it.
 */
void matrix_problem(const struct matrix *matrix, struct dms_problem *problem);

/* Uniform in 0 .. 1; *state is not 0. */
double matrix_uniform(uint64_t *state);

/* A fit that is stopped and goes on: what the context of a solve begins with, for the two functions
 * that are its hooks `progress` and `save`. Zero-initialise it; the caller frees state. */
struct matrix_stop {
    uint64_t stop_after; /* stop after so many calls; 0: never */
    uint64_t call_ct;
    void *state; /* kept last */
    size_t state_bytes;
};
int matrix_count_call(void *context, const struct dms_fit_progress *progress);
int matrix_keep_state(void *context, const void *state, size_t state_bytes);

#endif
