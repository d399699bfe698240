/*
 * What solvers in closed form have to know of the outputs of a block of targets on the models of
 * one role: which rows count for each target, sums over these, and the products of outputs and
 * masks.
 */
#ifndef DMS_SOLVER_TARGET_OUTPUTS_H
#define DMS_SOLVER_TARGET_OUTPUTS_H

#include "solver/packed_rows.h"

/* One target: sums over its rows, of y - shift. */
struct dms_output_moments {
    double row_weight; /* W */
    double shift;      /* the first output with weight, so that equal outputs give exact zeros */
    double sum, square_sum;
};

struct dms_target_outputs {
    size_t first, target_ct; /* of the problem */
    size_t tile_ct;          /* of DMS_LANES targets */
    size_t example_ct;
    uint64_t row_ct;
    size_t word_ct;
    struct dms_output_moments *moments; /* tile_ct x DMS_LANES */
    uint64_t *row_words; /* as many x word_ct: the rows of each target, in the order of
                          * struct dms_packed_rows */
    double *products;    /* tile_ct x example_ct x DMS_LANES: sums of x_k (y - shift); or NULL */
    double *sums;        /* as many, while they are read: of one batch */
    float *outputs;      /* row_ct x target_ct; or NULL */
};

/* What to keep beside rows and sums. */
enum dms_kept_outputs { DMS_KEEP_PRODUCTS, DMS_KEEP_OUTPUTS };

/* Bytes for one target of a tile. */
uint64_t dms_target_outputs_bytes(size_t example_ct, uint64_t row_ct, enum dms_kept_outputs keep);

/* Reads targets first .. first + target_ct - 1 of the problem in one pass. The caller ends *targets
 * with dms_target_outputs_free, which accepts what is all zero. */
int dms_target_outputs_read(const struct dms_problem *problem, struct dms_pool *pool,
                            enum dms_role role, size_t first, size_t target_ct,
                            enum dms_kept_outputs keep, struct dms_target_outputs *targets);
void dms_target_outputs_free(struct dms_target_outputs *targets);

double dms_output_mean(const struct dms_output_moments *moments);
/* 1/(2W) sum (y - mean)^2; 0 without rows and where all outputs are equal. */
double dms_output_null_deviance(const struct dms_output_moments *moments);

#endif
