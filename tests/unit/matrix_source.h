/*
 * A batch source over a matrix in memory: what a solver is given in tests and benchmarks instead of
 * a store.
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

#endif
