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
    const uint8_t *masks;         /* rows x example_ct, one byte each */
    const float *outputs;         /* rows x target_ct */
    uint64_t seed;                /* of shuffled passes */
};

/* A problem over the matrix with the defaults of dms_fit_options_init; the matrix must outlive it.
 */
void matrix_problem(const struct matrix *matrix, struct dms_problem *problem);

#endif
