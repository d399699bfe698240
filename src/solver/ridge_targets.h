/*
 * What ridge regression has to know of a block of targets on the models of one role: which rows
 * count for each of them, sums over these, and the products of their outputs with the masks.
 */
#ifndef DMS_SOLVER_RIDGE_TARGETS_H
#define DMS_SOLVER_RIDGE_TARGETS_H

#include "solver/packed_rows.h"

/* One target: sums over its rows, of y - shift. */
struct dms_ridge_moments {
    double row_weight; /* W */
    double shift;      /* the first output with weight, so that equal outputs give exact zeros */
    double sum, square_sum;
};

struct dms_ridge_targets {
    size_t first, target_ct; /* of the problem */
    size_t tile_ct;          /* of DMS_LANES targets */
    size_t example_ct;
    uint64_t row_ct;
    size_t word_ct;
    struct dms_ridge_moments *moments; /* tile_ct x DMS_LANES */
    uint64_t *row_words; /* as many x word_ct: the rows of each target, in the order of
                          * struct dms_packed_rows */
    double *products;    /* tile_ct x example_ct x DMS_LANES: sums of x_k (y - shift); or NULL */
    double *sums;        /* as many: of one batch */
    float *outputs;      /* row_ct x target_ct; or NULL */
};

/* What to keep beside rows and sums. */
enum dms_ridge_keep { DMS_RIDGE_PRODUCTS, DMS_RIDGE_OUTPUTS };

/* Bytes for one target of a tile. */
uint64_t dms_ridge_target_bytes(size_t example_ct, uint64_t row_ct, enum dms_ridge_keep keep);

/* Reads targets first .. first + target_ct - 1 of the problem in one pass. The caller ends *targets
 * with dms_ridge_targets_free, which accepts what is all zero. */
int dms_ridge_targets_read(const struct dms_problem *problem, struct dms_pool *pool,
                           enum dms_role role, size_t first, size_t target_ct,
                           enum dms_ridge_keep keep, struct dms_ridge_targets *targets);
void dms_ridge_targets_free(struct dms_ridge_targets *targets);

double dms_ridge_mean(const struct dms_ridge_moments *moments);
/* 1/(2W) sum (y - mean)^2; 0 without rows and where all outputs are equal. */
double dms_ridge_null_deviance(const struct dms_ridge_moments *moments);

#endif
