/*
 * One target on its way through the lambda path: which lambda it is at, what was found, which
 * lambda is best so far, and when to stop. Knows nothing of how a solution is found.
 */
#ifndef DMS_SOLVER_TARGET_PATH_H
#define DMS_SOLVER_TARGET_PATH_H

#include "format/cursor.h"
#include "solver/problem.h"

/* A path ends after this many lambdas without a new minimum of the validation error. */
#define DMS_PATH_PATIENCE 5

/* A datamodel with its zeros left out. */
struct dms_sparse_model {
    size_t weight_ct;
    uint32_t *examples;
    double *weights;
    double bias;
};
void dms_sparse_model_free(struct dms_sparse_model *model);

struct dms_target_path {
    uint64_t target; /* of the column */
    size_t column;   /* in the block */
    int64_t self;
    uint32_t flags;   /* DMS_FITTED_* */
    bool finished;    /* with the stage in work */
    bool slow;        /* SAGA was slow for it: accelerated steps from then on */
    bool polished;    /* the last solution needed polishing */
    uint32_t pass_ct; /* evaluations by the accelerated method at the present lambda */
    double row_weight, mean, null_deviance; /* of the stage's rows */
    double gap;                             /* of `model` */

    double largest_lambda;
    double lambda;    /* to be solved now */
    uint32_t path_ct; /* lambdas solved: the index of `lambda` */
    uint32_t chosen;
    uint32_t since_best;             /* lambdas since the last new minimum */
    double *lambdas, *errors, *gaps; /* path_ct of each, room for lambda_ct */
    uint32_t *weight_cts;

    /* Where the target stands (checkpoint, change of tile), and after the path stage the solution
     * at the chosen lambda. */
    struct dms_sparse_model model;
    struct dms_sparse_model best;
};

/* Bytes behind a path: two sparse models, at worst without a zero, and the numbers of each lambda.
 */
uint64_t dms_target_path_bytes(const struct dms_problem *problem);

/* Target number `target` of the problem, in column `column` of its block. */
int dms_target_path_init(struct dms_target_path *path, const struct dms_problem *problem,
                         size_t target, size_t column);
void dms_target_path_free(struct dms_target_path *path);

/* The largest lambda is known: the path begins there, or at the first given one. */
void dms_target_path_begin(struct dms_target_path *path, const struct dms_problem *problem,
                           double largest_lambda);

/* Lambda number `index` of the path, which has begun. */
double dms_target_path_lambda(const struct dms_target_path *path, const struct dms_problem *problem,
                              uint32_t index);

/* The solution at the present lambda was accepted with this gap, and its validation error (NaN:
 * none) is known. *is_best: it is the one to keep so far. Then the next lambda is set, or the path
 * is finished. */
void dms_target_path_advance(struct dms_target_path *path, const struct dms_problem *problem,
                             double gap, size_t weight_ct, double error, bool *is_best);

/* The path cannot go on (max_epochs): what it chose so far stands; without any, the target is left
 * with its present model, uncertified. */
void dms_target_path_abandon(struct dms_target_path *path);

/* The path is done: what it chose becomes the model, with its lambda and gap. */
void dms_target_path_take_best(struct dms_target_path *path);

/* What is handed out: `model` with everything known about it. Pointers belong to the path. */
void dms_target_path_result(const struct dms_target_path *path, struct dms_fitted_target *result);

/* To and from a checkpoint. Loading needs a path that was initialised for the same problem and
 * column; CORRUPT: the bytes are not of one. */
void dms_target_path_save(const struct dms_target_path *path, struct dms_encoder *encoder);
int dms_target_path_load(struct dms_target_path *path, const struct dms_problem *problem,
                         struct dms_cursor *cursor);

#endif
