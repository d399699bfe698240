/*
 * How well fits predict models that they have never seen: the scores of datamodels on the models
 * that were held out.
 *
 * Everything is computed for each target by itself and then averaged over targets: a correlation
 * over all values of all targets would mostly tell that targets differ in their means.
 *
 *  - lds, the linear datamodeling score: Spearman's correlation, with average ranks, of predictions
 *    and outputs over the models (Park et al. 2023, "TRAK", section 2).
 *  - pearson: Pearson's correlation. Both are 0 where the predictions are all equal.
 *  - mse: mean of (output - prediction)^2. The error of Ilyas et al. 2022, eq. 10, is half of it.
 *  - r2: 1 - sum (output - prediction)^2 / sum (output - mean)^2, where `mean` is that of the
 *    models that the target was fitted to.
 *  - auc: area under the ROC curve of the prediction for output > 0; undefined for one class.
 *  - opt: where several models share a mask, the variance of their outputs around their mean, with
 *    divisor T - 1 for T models, averaged over such masks (Ilyas et al. 2022, eq. 11; also without
 *    the factor 1/2): no function of the mask has a smaller expected mse.
 *  - lds_averaged: LDS over the masks that several models share, of the prediction and the average
 *    output of these models. Its noise ceiling is what the exact expectation of the output would
 *    score: with Spearman's correlation c of the averages of every second model with those of the
 *    others, reliability = 2 c / (1 + c) (Spearman and Brown), ceiling = sqrt(reliability);
 *    undefined where c <= 0.
 *
 * What is undefined is NaN. A target whose output is constant has no score at all: it is left out
 * of the means and counted.
 *
 * Of a datamodel without a bias (DMS_FITTED_NO_BIAS) only lds, lds_averaged and ceiling are
 * defined. A fit may predict another number of the same column than the first one does, the
 * correctness where that predicts the margin, or the other way round: all are scored on what the
 * first one predicts, and such a fit has no mse, r2 and opt.
 */
#ifndef DMSTORE_EVALUATE_H
#define DMSTORE_EVALUATE_H

#include "dmstore/error.h"
#include "dmstore/fit.h"
#include "dmstore/snapshot.h"
#include "dmstore/solve.h"

DMS_BEGIN_DECLS

struct dms_evaluate_options {
    uint64_t first_target, end_target; /* targets A .. B - 1; end 0: all that the fits have */
    /* For fits that were made with labels, or with a map of examples of their own (see struct
     * dms_fit_options), which a fit does not keep: they must be given again, and are held against
     * the digests that it keeps. */
    const int64_t *labels;
    size_t label_ct;
    const int64_t *self;
    size_t self_ct;
    uint32_t bootstrap_ct; /* 1,000 resamples; 0: no intervals */
    uint64_t seed;         /* of the resamples */
    unsigned thread_ct;    /* 0: one a processor; changes no result */
    uint64_t memory_bytes; /* 4 GiB: bound on what an evaluation allocates */
    dms_progress progress; /* may be NULL: targets that are done, and all */
    void *progress_context;
};
DMS_API void dms_evaluate_options_init(struct dms_evaluate_options *options);

enum dms_score {
    DMS_SCORE_LDS,
    DMS_SCORE_PEARSON,
    DMS_SCORE_MSE,
    DMS_SCORE_R2,
    DMS_SCORE_AUC,
    DMS_SCORE_OPT, /* this and the next two: NaN unless masks repeat */
    DMS_SCORE_LDS_AVERAGED,
    DMS_SCORE_CEILING,
};
#define DMS_SCORE_CT 8

/* "lds", "pearson" ... */
DMS_API const char *dms_score_name(enum dms_score score);

/* A 95% interval: between the 2.5% and the 97.5% quantile of the resamples; NaN without any. */
struct dms_interval {
    double low, high;
};

struct dms_target_evaluation {
    uint64_t target;
    uint32_t flags;        /* DMS_FITTED_* of the datamodel */
    uint64_t row_ct;       /* models whose output counted */
    uint64_t nonfinite_ct; /* models left out because their output is not finite */
    uint64_t excluded_ct;  /* models left out because their mask has the target's own example */
    double scores[DMS_SCORE_CT];
};

struct dms_fit_evaluation {
    const char *name;
    const char *method;                    /* as dms_fit_method says; belongs to the fit */
    bool is_of_another_number;             /* than the one that is scored, which fits[0] predicts */
    struct dms_target_evaluation *targets; /* target_ct of struct dms_evaluation, increasing */
    double means[DMS_SCORE_CT];            /* over the targets where the score is defined */
    uint64_t defined_cts[DMS_SCORE_CT];    /* how many targets those are */
    struct dms_interval lds_interval;      /* of means[DMS_SCORE_LDS] */
};

/* Mean LDS of fits[0] taken from that of a later fit, over the same targets and models. */
struct dms_lds_difference {
    double difference;
    struct dms_interval interval; /* both fits are scored on the same resamples */
};

enum dms_bootstrap_method {
    DMS_BOOTSTRAP_NONE = 0,
    /* Every resample is ranked and scored anew. */
    DMS_BOOTSTRAP_RESAMPLED = 1,
    /* A resample's score is the score plus the sum of the influences (first derivatives) of the
     * models drawn: where targets x models x resamples is more than 2 x 10^9. */
    DMS_BOOTSTRAP_LINEARISED = 2,
};

struct dms_evaluation {
    const char *output; /* the column */
    /* What is scored of it, which fits[0] predicts; threshold: of DMS_TRANSFORM_CORRECT. */
    enum dms_transform transform;
    double threshold;
    uint64_t row_ct;          /* models that all fits have held out */
    uint64_t left_out_ct;     /* models that only some of them have held out: not used */
    uint64_t mask_ct;         /* different masks among row_ct; the bootstrap draws masks */
    uint64_t repeated_ct;     /* masks that several of the models share */
    uint64_t target_ct;       /* targets that all fits have, in the range asked for */
    uint64_t missing_ct;      /* targets in that range that only some of the fits have: not used */
    uint64_t constant_ct;     /* targets without scores: their output is constant */
    uint64_t empty_ct;        /* targets without scores: fewer than two models are left */
    uint64_t smallest_subset; /* examples in the masks of the models ... */
    uint64_t largest_subset;
    /* ... and of the first 4,096 of those that each fit was trained on and that are still there;
     * the smallest is above the largest where none is. */
    uint64_t smallest_training_subset;
    uint64_t largest_training_subset;
    enum dms_bootstrap_method bootstrap;
    size_t fit_ct;
    struct dms_fit_evaluation *fits;
    struct dms_lds_difference *differences; /* fit_ct - 1: of fits 1, 2 ... with fits[0] */
};

/*
 * Scores fits of one output column on the models that all of them have held out, for the targets
 * that all of them have. Models are left out for a target where its output is not finite or, when
 * any of the fits was made so, where the mask has the target's own example. The caller ends
 * *evaluation with dms_evaluation_free; fits must outlive it.
 *
 * INVALID: a fit has nothing held out, the fits have no held-out model or no target in common, are
 * of different outputs, predict nothing (method pca), or need labels or a map that is not given.
 * CONFLICT: masks have changed since a fit was made, labels or a map are not those it was made
 * with, or a fit was trained on models that it says it has held out. NOT_FOUND: held-out models are
 * gone.
 */
DMS_API int dms_evaluate(dms_snapshot *snapshot, dms_fit *const *fits, size_t fit_ct,
                         const struct dms_evaluate_options *options,
                         struct dms_evaluation **evaluation);
DMS_API void dms_evaluation_free(struct dms_evaluation *evaluation);

/* What is behind the scores of one target: its output in the held-out models that count, and what
 * the fit predicted for them. */
struct dms_target_models {
    struct dms_target_evaluation evaluation;
    size_t model_ct; /* evaluation.row_ct */
    uint64_t *ids;   /* increasing */
    float *outputs;
    float *predictions;
};

/* Evaluates one fit on one target, as dms_evaluate does (without intervals), and keeps its models.
 * The caller ends *models with dms_target_models_free. Errors as dms_evaluate. */
DMS_API int dms_evaluate_target(dms_snapshot *snapshot, dms_fit *fit, uint64_t target,
                                const struct dms_evaluate_options *options,
                                struct dms_target_models **models);
DMS_API void dms_target_models_free(struct dms_target_models *models);

DMS_END_DECLS

#endif
