/*
 * Which lambda ridge regression takes: the one with the smallest validation error on a path.
 */
#ifndef DMS_SOLVER_RIDGE_PATH_H
#define DMS_SOLVER_RIDGE_PATH_H

#include "solver/ridge_system.h"
#include "solver/target_outputs.h"

/* The largest lambda of a path, in units of the mean eigenvalue of A: there, almost nothing is left
 * of any weight. */
#define DMS_RIDGE_LARGEST_LAMBDA 100

struct dms_ridge_path {
    uint32_t lambda_ct;
    double *lambdas; /* decreasing */
    double *errors;  /* mean squared errors on the validation rows; NaN: none has weight */
    uint32_t chosen; /* the smallest error, the larger lambda of equals; the last one without any */
};

/* Room for lambda_ct lambdas. The caller ends *path with dms_ridge_path_free. */
int dms_ridge_path_init(struct dms_ridge_path *path, uint32_t lambda_ct);
void dms_ridge_path_free(struct dms_ridge_path *path);

/* What the targets of a group are judged by. */
struct dms_ridge_validation {
    const struct dms_packed_rows *rows;
    const struct dms_target_outputs *targets; /* of the block, with their outputs */
};

/* Scratch for a group of target_ct targets. */
uint64_t dms_ridge_path_bytes(size_t example_ct, size_t target_ct, uint32_t lambda_ct);

/* Fills the paths of target_ct targets of the block, numbers `members`, whose problems `system`
 * describes (with eigenvectors). products: size x target_ct; means, paths: one a target of the
 * block. */
int dms_ridge_path_choose(const struct dms_problem *problem, const struct dms_ridge_system *system,
                          const struct dms_ridge_validation *validation, size_t target_ct,
                          const size_t *members, const double *products, const double *means,
                          struct dms_ridge_path *paths);

#endif
