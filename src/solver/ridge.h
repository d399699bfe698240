/*
 * What ridge regression takes, known before it begins; dms_ridge_solve itself is in problem.h.
 */
#ifndef DMS_SOLVER_RIDGE_H
#define DMS_SOLVER_RIDGE_H

#include "solver/problem.h"

/* Whether lambda is chosen on the validation models. */
bool dms_ridge_chooses(const struct dms_problem *problem);

/* Whether the matrix is taken apart into eigenvectors: to choose lambda, or for lambda 0. */
bool dms_ridge_needs_vectors(const struct dms_problem *problem);

/* The models that the weights are fitted to in the end. */
enum dms_role dms_ridge_role(const struct dms_problem *problem);

/* Bytes that a block of target_ct targets takes, sources left out. */
uint64_t dms_ridge_bytes(const struct dms_problem *problem, size_t target_ct);

#endif
