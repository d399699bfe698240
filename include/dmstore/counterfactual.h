/*
 * Data counterfactuals: what happens to the output on a target when some training examples R are
 * removed from the full training set S and a model is trained again. The datamodel g of the target
 * predicts it without training (Ilyas et al. 2022, section 4.1):
 *
 *     g(S) - g(S \ R) = theta . 1_R = sum of the weights of the examples in R,
 *
 * the *effect* of R, positive where R helps. The predicted *change* of the output when R is removed
 * is minus the effect, and the actual change is the mean output of models that were retrained
 * without R (several, because training is random) less that of models of everything. How well
 * changes are predicted is their correlation over many targets and sets (Figure 8, Algorithm A.2).
 *
 * The full training set is larger than the subsets that a datamodel was fitted to, so that all of
 * this extrapolates.
 */
#ifndef DMSTORE_COUNTERFACTUAL_H
#define DMSTORE_COUNTERFACTUAL_H

#include "dmstore/fit.h"
#include "dmstore/retrained.h"

DMS_BEGIN_DECLS

/* ---- which examples ---- */

/* How examples are chosen: the set of k examples is the first k of an order of all that qualify, so
 * that sets of one kind and target contain one another. Equal weights go by increasing example. */
enum dms_removal_kind {
    DMS_REMOVE_TOP = 0,    /* largest weight first: positive, then 0, then negative ones */
    DMS_REMOVE_BOTTOM = 1, /* smallest weight first: negative, then 0, then positive ones */
    DMS_REMOVE_RANDOM = 2, /* any examples, at random */
    DMS_REMOVE_ZERO = 3,   /* examples of weight 0, at random */
    DMS_REMOVE_CLASS = 4,  /* examples of one class, at random */
};

struct dms_removal_options {
    uint64_t example_ct; /* d */
    uint64_t seed;       /* random orders are a function of seed, kind and target->target */
    /* For DMS_REMOVE_CLASS: the class of each example, and which one to take. */
    const int64_t *labels;
    int64_t label;
};

/* The first of the examples that `kind` removes for a target. examples: room for k; *example_ct:
 * how many were set, fewer than k where no more qualify. NO_MEMORY (16 bytes for each of k and each
 * weight, or 4 an example for random orders). */
DMS_API int dms_removal_order(const struct dms_fitted_target *target, enum dms_removal_kind kind,
                              const struct dms_removal_options *options, size_t k,
                              uint64_t *examples, size_t *example_ct);

/* ---- what it does ---- */

/* theta . 1_R, where R are the examples that `mask` leaves out: example_ct bits, as
 * dms_snapshot_read_masks gives them. */
DMS_API double dms_removal_effect(const struct dms_fitted_target *target, const uint8_t *mask);

/* A training set that models were trained on, and a target. */
struct dms_actual_change {
    size_t position; /* of the target in the fit */
    size_t mask;     /* of the retrained models */
    /* Set: mean output less the base; NaN where one of them has no finite output. */
    double change;
    uint64_t model_ct;     /* set: models with a finite output */
    uint64_t nonfinite_ct; /* set: those without */
};

/* Sets the actual changes of change_ct pairs, against the base that dms_base_outputs finds; *base
 * says which. Memory: 40 bytes a pair, and that of dms_retrained_means. */
DMS_API int dms_actual_changes(dms_snapshot *snapshot, dms_fit *fit, const dms_retrained *retrained,
                               const struct dms_retrained_options *options,
                               struct dms_actual_change *changes, size_t change_ct,
                               enum dms_base *base);

/* Predicted and actual changes together. */
struct dms_change_score {
    size_t pair_ct; /* pairs where both are known */
    double predicted_mean, actual_mean;
    double pearson, spearman; /* NaN: undefined; Spearman's is of average ranks */
};

/* Compares pair_ct changes, without those where the actual one is NaN. Memory: 48 bytes a pair. */
DMS_API int dms_compare_changes(const double *predicted, const double *actual, size_t pair_ct,
                                struct dms_change_score *score);

DMS_END_DECLS

#endif
