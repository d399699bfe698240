/*
 * Fitting datamodels: one LASSO for every target on the masks of the training models,
 *
 *     min over b, w of 1/(2 W) sum_i r_i (y_i - b - x_i . w)^2 + lambda sum_k s_k |w_k|,
 *
 * over a path of lambdas, chosen by the error on validation models, refitted on both, every
 * solution with its duality gap. x_i is the 0/1 mask of model i, y_i its output on the target, r_i
 * 0 or 1 the weight of the row, W the sum of r, s_k the population standard deviation of column k
 * over the weighted rows (1 without standardisation). Ilyas et al. 2022, eq. 8 and 9, in glmnet's
 * scaling (Friedman, Hastie, Tibshirani 2010, eq. 1).
 *
 * For comparison there is ridge regression (Hoerl and Kennard 1970), in the same scaling,
 *
 *     min over b, w of 1/(2 W) sum_i r_i (y_i - b - x_i . w)^2 + lambda / 2 sum_k s_k^2 w_k^2,
 *
 * solved in closed form. A column with s_k = 0 gets weight 0, without standardisation too. lambda 0
 * is ordinary least squares: of all solutions the one with the smallest sum of w_k^2, whatever
 * `standardize` says (subsets of one size leave the direction of equal weights undetermined).
 */
#ifndef DMSTORE_SOLVE_H
#define DMSTORE_SOLVE_H

#include "dmstore/device.h"
#include "dmstore/fit.h"
#include "dmstore/snapshot.h"

DMS_BEGIN_DECLS

enum dms_solver {
    DMS_SOLVER_SAGA = 0,  /* passes over the models, on the processor or a device */
    DMS_SOLVER_RIDGE = 1, /* ridge regression in place of LASSO */
    DMS_SOLVER_GRAM = 2,  /* coordinate descent on the Gram matrix of the masks, on the processor */
    DMS_SOLVER_AUTO = 3,  /* saga or gram, as size and memory say: both find the same solution */
};

/* What is computed from the column before it is fitted. Outputs of `values_per_target` C > 1 are
 * logits and need one; `labels` are the correct classes. */
enum dms_transform {
    DMS_TRANSFORM_NONE = 0,
    DMS_TRANSFORM_MARGIN = 1,  /* correct-class logit minus the largest other one */
    DMS_TRANSFORM_CORRECT = 2, /* 1 where the margin is above `threshold`, else 0 */
};

/* For held_out_ct and validation_ct: as in the fit that is there, else none are held out and a
 * tenth of the models chooses lambda. */
#define DMS_FIT_DEFAULT UINT64_MAX

/* For ridge_lambda: the lambda of the path with the smallest error on the validation models. */
#define DMS_RIDGE_CHOOSE (-1.0)

struct dms_fit_options {
    const char *name;   /* of the fit */
    const char *output; /* output column */
    enum dms_transform transform;
    double threshold;      /* of DMS_TRANSFORM_CORRECT: 0 */
    const int64_t *labels; /* one class a target of the column, or NULL */
    size_t label_ct;
    uint64_t first_target, end_target; /* targets A .. B - 1; end 0: all */

    /* Which models. Ids decide, not the order of arrival. */
    uint64_t held_out_ct;   /* DMS_FIT_DEFAULT; the largest ids: never used */
    uint64_t validation_ct; /* DMS_FIT_DEFAULT; the largest ids before those choose lambda */
    uint64_t rows_used;     /* the first so many training ids only; 0: all */
    bool exclude_self;      /* target j is fitted to models that have not seen example self[j] */
    const int64_t *self;    /* one example a target of the column, -1: none; NULL: j itself */
    size_t self_ct;

    /* The problem. */
    enum dms_solver solver;  /* DMS_SOLVER_AUTO */
    uint32_t lambda_ct;      /* 100, log-spaced from the largest down, both ends included */
    double lambda_min_ratio; /* 0.01: the smallest over the largest */
    const double *lambdas;   /* NULL, or lambda_ct decreasing values > 0 for all targets */
    double tolerance;        /* 1e-4: duality gap over null deviance */
    bool full_path;          /* false: a path ends after 5 lambdas without a new minimum */
    bool standardize;        /* true */
    bool refit;              /* true */
    /* DMS_RIDGE_CHOOSE, or for DMS_SOLVER_RIDGE the lambda of all targets, 0 or above. They are
     * fitted to training and validation models at once then, with refit = false to the training
     * models, and have no path. Where lambda is chosen, the path is as for LASSO, but complete, its
     * gaps are not computed (NaN), and its first lambda is 100 times the mean eigenvalue of the
     * penalised problem (100 when standardised); a lambda_min_ratio like 1e-6 is sensible. */
    double ridge_lambda;

    /* How it is done: none of these changes the problem. */
    enum dms_device device;
    unsigned thread_ct; /* 0: one a processor */
    /* 4 GiB: bound on what a fit allocates, but for the results that a checkpoint keeps (12 bytes a
     * weight). */
    uint64_t memory_bytes;
    uint64_t seed;       /* of the order of the rows */
    uint64_t max_epochs; /* 100,000 a stage of a block; then targets are left uncertified */
};
/* Sets the defaults that stand above; 0 and NULL where none does. */
DMS_API void dms_fit_options_init(struct dms_fit_options *options);

/* Tells where a fit is. Return other than 0 to stop it: dms_fit_run then fails with INTERRUPTED. */
struct dms_fit_progress {
    const char *stage; /* "pairs", "products", "path", "refit" ... */
    /* Of "pairs" and "products", the part of the models whose pairs are counted, or whose outputs
     * are multiplied with their masks, 0 .. 1; else NaN. */
    double counted;
    uint64_t block, block_ct;
    /* Passes over the rows in this stage of the block; with DMS_SOLVER_RIDGE, passes and groups of
     * targets with the same rows so far. */
    uint64_t epoch;
    uint64_t target_ct;     /* of this job */
    uint64_t finished_ct;   /* targets whose path or refit is done */
    double lambdas_done;    /* mean over the targets of the block, 0 .. lambda_ct */
    double worst_gap;       /* relative, of the targets in work, as last seen; NaN: none yet */
    double rows_per_second; /* of the last passes */
};
typedef int (*dms_fit_progress_function)(void *context, const struct dms_fit_progress *progress);

/* The header of the fit that `options` ask for on this snapshot: the row sets are chosen here.
 * Models whose masks are equal are kept on one side of the split: all go where the one with the
 * largest id goes. When the store has a fit of this name already, its header is taken: its row sets
 * must be in the snapshot with unchanged masks, and the options must describe the same problem
 * (CONFLICT names the first difference; NOT_FOUND: a model is gone). INVALID: the options are
 * wrong, or leave no model to train on; NOT_FOUND: no such output column. The caller frees *header
 * with dms_fit_header_free, which accepts NULL. */
DMS_API int dms_fit_plan(dms_snapshot *snapshot, const struct dms_fit_options *options,
                         struct dms_fit_header **header);
DMS_API void dms_fit_header_free(struct dms_fit_header *header);

/* What ridge regression takes before its first result. Every set of rows that targets have in
 * common needs a matrix of d x d numbers and its factorization: with exclude_self that is one for
 * each target. Targets with outputs that are not finite have matrices of their own, too, which are
 * not counted here. */
struct dms_ridge_cost {
    uint64_t matrix_ct;
    bool has_eigenvectors; /* for lambda 0 or to choose lambda; else Cholesky factors */
    double operations;     /* of the factorizations: d^3 / 3, or about 9 d^3, each */
    uint64_t memory_bytes; /* the least */
};
/* INVALID: more memory than the options allow; *cost is set then. UNSUPPORTED: LAPACK is not
 * installed. */
DMS_API int dms_ridge_cost(const struct dms_fit_header *header,
                           const struct dms_fit_options *options, struct dms_ridge_cost *cost);

/* Where and how a fit is computed, known before its first pass. */
struct dms_fit_placement {
    enum dms_device device;    /* DMS_DEVICE_CPU or DMS_DEVICE_CUDA */
    const char *device_name;   /* of the card; NULL: the processor */
    const char *reason;        /* why this device */
    uint64_t device_bytes;     /* free on the card when the fit began; 0: the processor */
    enum dms_solver solver;    /* never DMS_SOLVER_AUTO */
    const char *solver_reason; /* why this solver */
    uint64_t memory_bytes;     /* what it takes at most, beside results; 0: not known */
    /* Of LASSO; 0 for others. */
    uint64_t block_ct;      /* blocks of targets, one after the other */
    uint64_t block_targets; /* of a block at most */
    uint32_t batch_rows;    /* of a minibatch at most */
    /* Where the table of SAGA is: "device", "host" (pinned, streamed), or "none". */
    const char *table;
};

struct dms_fit_hooks {
    dms_fit_progress_function
        progress; /* may be NULL; called after every pass, in the caller's thread */
    /* May be NULL; called when the blocks are known, and again should counts of pairs show that
     * they must be smaller. *placement is valid during the call. */
    void (*placement)(void *context, const struct dms_fit_placement *placement);
    /* Called with every finished target, in no order; fails the fit when it returns an error. */
    int (*result)(void *context, const struct dms_fitted_target *target);
    /* NULL, or the file that keeps unfinished work: written every few epochs, read when `resume` if
     * it is there. A resumed fit gives the same bytes as one that ran through. CONFLICT: the file
     * is of another job; EXISTS: it is there, and `resume` is not set. When the fit is done it
     * holds all results, and the caller removes it once they are safe elsewhere. */
    const char *checkpoint_path;
    bool resume;
    void *context;
};

/* Fits the targets of `options` on the row sets of `header`, which dms_fit_plan made of the same
 * options. Returns when every target has had its result, certified or not. INVALID: options, or a
 * memory that not even one tile of targets fits; UNSUPPORTED: the device; NO_MEMORY: also of the
 * device; IO: also a device that was lost or failed, the checkpoint is kept; CONFLICT: header,
 * options, store or checkpoint do not belong together; INTERRUPTED: `progress` asked for it; else
 * what `result` or reading the store failed with. */
DMS_API int dms_fit_run(dms_snapshot *snapshot, const struct dms_fit_header *header,
                        const struct dms_fit_options *options, const struct dms_fit_hooks *hooks);

DMS_END_DECLS

#endif
