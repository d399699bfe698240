/*
 * Data support: how few training examples a prediction hangs on. The data support of a target is
 * the size of the smallest set R of training examples such that models that are trained without R
 * get the target wrong on average, that is, their mean margin is below 0 (Ilyas et al. 2022,
 * section 4.1). It is estimated in one of two ways:
 *
 *  - from the weights alone (the heuristic of Appendix F.3.2): the smallest k such that the k
 *    largest weights have a sum above M0, the mean margin of models that are trained on everything.
 *  - by a guided search (Algorithm 1): models are trained without the k examples of largest weight
 *    for a few k, and where their mean margins cross 0 is interpolated.
 *
 * The same two find how many examples must be mislabelled instead of removed (Appendix F.4), when
 * the models of the search are trained on the mislabelled examples.
 *
 * Whatever the way, the set is the k examples of largest weight: positive weights from the largest
 * down, then the examples without a weight, then negative weights; the lower index first where
 * weights are equal.
 */
#ifndef DMSTORE_SUPPORT_H
#define DMSTORE_SUPPORT_H

#include <stdbool.h>

#include "dmstore/fit.h"
#include "dmstore/snapshot.h"

DMS_BEGIN_DECLS

/* ---- the estimate ---- */

/* Where M0, the mean output of models trained on everything, is from. */
enum dms_m0_source {
    /* To ask for: control runs where there are any (and the labels or the map that a fit needs are
     * given), else the datamodel. */
    DMS_M0_AUTO = 0,
    /* The mean output of the models in the store whose mask has every example. */
    DMS_M0_CONTROL_RUNS = 1,
    /* What the datamodel predicts for it: bias + sum of all weights. Subsets of one size leave this
     * level unidentified, so that it is an extrapolation. */
    DMS_M0_DATAMODEL = 2,
};

/* "control runs", "datamodel". */
DMS_API const char *dms_m0_source_name(enum dms_m0_source source);

struct dms_support {
    uint64_t target;
    double m0;                    /* NaN: not known, and there is no estimate */
    enum dms_m0_source m0_source; /* CONTROL_RUNS or DATAMODEL */
    uint64_t control_ct;          /* control runs with a finite output on the target */
    /* No set that was looked at is large enough: the support is above `support`, which is the
     * number of positive weights (their sum does not exceed M0), or the largest k of the search. */
    bool censored;
    double k;         /* where the output crosses 0; not an integer after a search */
    uint64_t support; /* ceil(k), and 0 where M0 < 0: the target is wrong from the beginning */
    /* ceil(1.2 k), at most all examples: with this factor the paper's estimates held when models
     * were trained without these sets (92% of them, section 4.1). */
    uint64_t conservative;
};

/* ---- from the weights ---- */

struct dms_support_options {
    enum dms_m0_source m0; /* AUTO; CONTROL_RUNS fails where a target has none */
    /* For fits that were made with labels, or with a map of examples of their own (see struct
     * dms_evaluate_options): needed to read control runs. */
    const int64_t *labels;
    size_t label_ct;
    const int64_t *self;
    size_t self_ct;
    unsigned thread_ct; /* 0: one a processor; changes no result */
};
DMS_API void dms_support_options_init(struct dms_support_options *options);

/*
 * Estimates the support of the fitted targets at position_ct positions of the fit (see
 * dms_fit_find) from their weights; supports[i] is that of positions[i]. `options` may be NULL.
 * A control run does not count for a target whose own example it was trained on, where the fit
 * leaves out such models (--exclude-self).
 *
 * INVALID: the fit predicts correctness, which is never below 0; a target's bias is not known
 * (DMS_FITTED_NO_BIAS) and there is no control run; control runs are asked for and a target has
 * none, or the labels or map of the fit are missing. CONFLICT: they are not those of the fit.
 */
DMS_API int dms_support_estimate(dms_snapshot *snapshot, dms_fit *fit, const size_t *positions,
                                 size_t position_ct, const struct dms_support_options *options,
                                 struct dms_support *supports);

/* The class that a target is to be mistaken for when examples are mislabelled, for a fit of logits:
 * the wrong class with the largest mean logit over the control runs, else over all models; of equal
 * ones the lowest. options->labels are needed. classes: position_ct. INVALID: the output has no
 * logits, or the mean of some class is not known. */
DMS_API int dms_support_wrong_classes(dms_snapshot *snapshot, dms_fit *fit, const size_t *positions,
                                      size_t position_ct, const struct dms_support_options *options,
                                      int64_t *classes);

/* The first example_ct examples of that order, and their weights (0: none). INVALID: more than the
 * training set has. */
DMS_API int dms_support_examples(const dms_fit *fit, size_t position, size_t example_ct,
                                 uint64_t *examples, double *weights);

/* ---- from retrained models ---- */

/* Models that were trained without the k examples of largest weight (or with them mislabelled). */
struct dms_support_point {
    uint64_t k;
    uint64_t run_ct; /* models with a finite output on the target; 0: the point does not count */
    double output;   /* their mean output */
    double fitted;   /* set by dms_support_search; NaN where the point does not count */
};

/*
 * Algorithm 1 of Ilyas et al. 2022 for one target. points: by increasing k, the first one k = 0
 * (the control runs, M0) with run_ct > 0. A non-increasing function is fitted to the means,
 * weighted by run_ct (see dms_isotonic_fit), and support->k is where its linear interpolation first
 * reaches 0. Sets everything but support->target. INVALID: points out of order; a mean that is not
 * finite.
 */
DMS_API int dms_support_search(struct dms_support_point *points, size_t point_ct,
                               uint64_t example_ct, struct dms_support *support);

/*
 * The non-increasing sequence with the least sum of weights[i] (values[i] - fitted[i])^2, by the
 * pooling of adjacent violators (Barlow, Bartholomew, Bremner, Brunk 1972). Weights are above 0.
 */
DMS_API int dms_isotonic_fit(const double *values, const double *weights, size_t value_ct,
                             double *fitted);

/* Where the line through (ks[i], values[i]), ks increasing and values non-increasing, first is at
 * or below 0: ks[0] when it begins there; NaN when it ends above 0. */
DMS_API double dms_zero_crossing(const double *ks, const double *values, size_t value_ct);

/* ---- over targets ---- */

/* fractions[i]: the part of the supports that is at most ks[i] (the cumulative distribution of
 * Figure 7); censored ones, and those without M0, are above every k. support_ct > 0. */
DMS_API void dms_support_cdf(const struct dms_support *supports, size_t support_ct,
                             const uint64_t *ks, size_t k_ct, double *fractions);

DMS_END_DECLS

#endif
