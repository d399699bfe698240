/*
 * Scores one target after another: the numbers of struct dms_target_evaluation from the outputs and
 * predictions of the held-out models. Each thread has a scorer of its own.
 */
#ifndef DMS_QUERY_SCORER_H
#define DMS_QUERY_SCORER_H

#include "dmstore/evaluate.h"
#include "query/bootstrap.h"
#include "query/held_out.h"

struct dms_scorer;

/* held_out and bootstrap must outlive it. */
int dms_scorer_create(const struct dms_held_out *held_out, const struct dms_bootstrap *bootstrap,
                      struct dms_scorer **scorer);
void dms_scorer_free(struct dms_scorer *scorer);

/* Bytes of a scorer for so many models and fits, its bootstrap sums included. */
size_t dms_scorer_bytes(size_t row_ct, const struct dms_bootstrap *bootstrap);

/* What the fits say about a target. */
struct dms_prediction {
    const float *values; /* one a held-out model; the prediction is bias + unit x value */
    double bias, unit;
    double mean;   /* of the output over the models that it was fitted to */
    bool no_level; /* it is of another number than the outputs: no MSE, R^2 and OPT */
    bool no_bias;  /* nothing but ranks counts: no Pearson and AUC either */
};

/*
 * Scores a target for all fits. outputs: one a held-out model; those that are not finite do not
 * count. Models with one mask get the prediction of the first of them. predictions: one a fit.
 * Sets row_ct and scores of *evaluations[fit].
 */
void dms_scorer_add(struct dms_scorer *scorer, const float *outputs,
                    const struct dms_prediction *predictions,
                    struct dms_target_evaluation *const *evaluations);

/* What the targets so far say to the bootstrap; belongs to the scorer. */
const struct dms_bootstrap_sums *dms_scorer_sums(const struct dms_scorer *scorer);

#endif
