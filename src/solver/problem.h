/*
 * What a solver is given: the numbers of a regression problem and a source of minibatches, and
 * where its results go. A solver sees no files; tests give it matrices in memory
 * (tests/unit/matrix_source.h).
 */
#ifndef DMS_SOLVER_PROBLEM_H
#define DMS_SOLVER_PROBLEM_H

#include "dmstore/solve.h"

struct dms_engine;
struct dms_pair_counts;
struct dms_pool;
struct dms_products;

/* Which models a source delivers. */
enum dms_role {
    DMS_ROLE_TRAINING,
    DMS_ROLE_VALIDATION,
    DMS_ROLE_REFIT, /* training and validation */
};
#define DMS_ROLE_CT 3

/*
 * A stream of batches with masks, mask_columns and float outputs (stride a multiple of DMS_LANES),
 * one column a target of the block it was opened for. seek: to the beginning of a pass; next and
 * release as dms_reader_next and dms_reader_release, with two batches held at most. The order of a
 * pass depends on its epoch number alone.
 */
struct dms_batch_source {
    void *context;
    int (*seek)(void *context, uint64_t epoch);
    int (*next)(void *context, const struct dms_batch **batch);
    void (*release)(void *context, const struct dms_batch *batch);
    void (*close)(void *context);
    bool half_outputs; /* outputs are float16, as bits: only of dms_problem.open_packed */
};

struct dms_problem {
    size_t example_ct;
    uint64_t row_ct[DMS_ROLE_CT]; /* models of each role; 0 validation models: no selection */
    uint64_t first_target;        /* targets first_target .. + target_ct - 1 of the column */
    size_t target_ct;
    /* target_ct training examples: target t's rows whose mask has self[t] get weight 0; -1: none.
     * NULL: none for any target. */
    const int64_t *self;
    uint32_t lambda_ct;
    double lambda_min_ratio;
    const double *lambdas; /* NULL, or lambda_ct of them, decreasing, for all targets */
    double tolerance;
    bool full_path, standardize, refit;
    double ridge_lambda; /* of dms_ridge_solve; below 0: chosen on the validation models */

    /* Opens a source over the models of `role` and targets first_target + target ..
     * + target_ct - 1, in random order when `shuffled`, else in the order that is cheapest. */
    void *context;
    int (*open)(void *context, enum dms_role role, bool shuffled, size_t target, size_t target_ct,
                uint32_t batch_rows, struct dms_batch_source *source);
    /* The same for engines that unpack batches themselves: without mask_columns, outputs as they
     * are stored where that is float16. NULL: `open` does. */
    int (*open_packed)(void *context, enum dms_role role, bool shuffled, size_t target,
                       size_t target_ct, uint32_t batch_rows, struct dms_batch_source *source);
    /* The same without masks and mask_columns, in the same order. NULL: `open` does. */
    int (*open_outputs)(void *context, enum dms_role role, bool shuffled, size_t target,
                        size_t target_ct, uint32_t batch_rows, struct dms_batch_source *source);
    /* Bytes that the buffers of two open sources take, with blocks of target_ct targets; grows with
     * target_ct. NULL: they are not counted. */
    uint64_t (*source_bytes)(void *context, size_t target_ct, uint32_t batch_rows);
    /* How often every two examples are in together, over the training or the validation models:
     * counts that are kept somewhere, for dms_gram_solve. NULL: it counts them itself. */
    int (*pair_counts)(void *kept_context, enum dms_role role, struct dms_pool *pool,
                       struct dms_pair_counts **counts);
    bool counts_in_memory; /* they are, or may be, where else they are pages of a file */
    /* Sums of masks times outputs over the models of a role that are kept somewhere, which stay as
     * long as the problem; *products NULL: there are none. NULL: nor are there ever. */
    int (*products)(void *kept_context, enum dms_role role, const struct dms_products **products);
    void *kept_context;
};

/* INVALID: there is nothing to fit, or lambdas or the tolerance make no sense for a LASSO. */
int dms_problem_check(const struct dms_problem *problem);

struct dms_encoder;

struct dms_solve_control {
    const struct dms_engine *engine;    /* that computes (solver/engine.h); NULL: the processor */
    unsigned thread_ct;                 /* 0: one a processor */
    uint64_t memory_bytes;              /* for the solver's arrays and the sources' buffers */
    uint64_t max_epochs;                /* of a stage of a block of targets */
    dms_fit_progress_function progress; /* may be NULL; called after every pass */
    int (*result)(void *context, const struct dms_fitted_target *target);
    /* May be NULL; called once or, where blocks become smaller, twice. The fields of *placement
     * that tell how the problem is divided are filled in. */
    void (*divided)(void *context, const struct dms_fit_placement *placement);
    /* May be NULL. Keeps the state of the block in work, replacing what was kept; `block` counts
     * the blocks that are done. */
    int (*save)(void *context, const void *state, size_t state_bytes);
    void *context;
    const void *state; /* NULL, or what save was given: go on from there */
    size_t state_bytes;
};

/* Keeps the state that `encode` writes, if the control keeps any. */
int dms_solve_save(const struct dms_solve_control *control,
                   void (*encode)(const void *context, struct dms_encoder *encoder),
                   const void *context);

/* What is saved of a block begins with its number, its first target and how many it has. A fit that
 * goes on has the blocks it had, whatever the machine: the tiles of DMS_LANES targets of one; 0:
 * there is no state. */
uint64_t dms_solve_saved_tiles(const struct dms_solve_control *control);

/* The block that a fit begins with, of block_ct: that of its state, else the first. CONFLICT: the
 * state is of another division. */
int dms_solve_first_block(const struct dms_solve_control *control, uint64_t block_ct,
                          uint64_t *index);

/* The largest number up to `most` that `fits`, where all below one that fits do, too; 0: none is.
 */
uint64_t dms_largest_fitting(uint64_t most, bool (*fits)(const void *context, uint64_t number),
                             const void *context);

/* Solves the problem with minibatch SAGA and accelerated steps; results come block by block, within
 * one in any order. Every target gets one, solved or not (DMS_FITTED_UNCERTIFIED). INVALID: the
 * problem makes no sense, or not even one tile of targets fits the memory. CONFLICT: `state` is of
 * another division into blocks. INTERRUPTED: `progress` asked for it. Else what a source, `result`
 * or `save` failed with. */
int dms_saga_solve(const struct dms_problem *problem, const struct dms_solve_control *control);

/* Solves the problem by coordinate descent on the Gram matrix of the masks (gram_solver.c); batches
 * are not shuffled. Errors as dms_saga_solve. */
int dms_gram_solve(const struct dms_problem *problem, const struct dms_solve_control *control);

/* Solves the ridge problem of solve.h in closed form; max_epochs and full_path do not matter. The
 * progress function is called after every pass and after every group of targets with the same rows.
 * INVALID: also a matrix that does not fit the memory, or is not positive definite to working
 * precision. UNSUPPORTED: LAPACK is not installed. Else as dms_saga_solve. */
int dms_ridge_solve(const struct dms_problem *problem, const struct dms_solve_control *control);

#endif
