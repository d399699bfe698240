/*
 * The training examples that matter most to targets by the weights of their datamodels, and what
 * follows from weights that stand out: training examples that are the same as a target.
 *
 * Examples of large positive weight are those that the model class takes to be most alike (Ilyas et
 * al. 2022, section 4.2.1); the most negative ones do the most harm.
 */
#ifndef DMSTORE_NEAREST_H
#define DMSTORE_NEAREST_H

#include "dmstore/fit.h"

DMS_BEGIN_DECLS

struct dms_weighted_example {
    uint32_t example;
    double weight;
};

enum dms_weight_sign {
    DMS_POSITIVE_WEIGHTS, /* largest first */
    DMS_NEGATIVE_WEIGHTS, /* most negative first */
};

/*
 * The at most k examples of largest positive weight, or of the most negative, for each of the
 * targets at `positions` of a fit; equal weights by increasing example. Weights of the other sign
 * and zeros are never among them.
 *
 * examples: those of target i from examples[i * k] on, example_cts[i] <= k of them. INVALID: no
 * such position; CORRUPT: a part of the fit is damaged.
 */
DMS_API int dms_fit_top(const dms_fit *fit, const size_t *positions, size_t position_ct, size_t k,
                        enum dms_weight_sign sign, struct dms_weighted_example *examples,
                        size_t *example_cts);

/* ---- leakage ---- */

/* A training example that may be the same as a target, or show the same scene. */
struct dms_leak {
    uint64_t target;
    size_t position; /* the target's, in the fit */
    uint32_t example;
    double weight;
    /* How far the weight stands out: weight / (1.4826 x the median of |weight| over the other
     * non-zero weights of the target), that is, in robust standard deviations of what is around it
     * (Hampel 1974). Infinite where there are no others. */
    double score;
};

struct dms_leak_options {
    /* A pair is a candidate with a positive weight, and with this score (10: of weights that are
     * distributed exponentially, one in 29,000 has it by chance) ... */
    double least_score;
    double least_weight; /* ... and this weight (0), or more */
    size_t leak_max;     /* 20: how many candidates are wanted */
};
DMS_API void dms_leak_options_init(struct dms_leak_options *options);

/*
 * Candidates for leakage of targets into the training set (Ilyas et al. 2022, section 4.2.2): pairs
 * of a target and a training example whose weight stands out, by decreasing weight over all targets
 * at `positions`, then by target, then by example.
 *
 * leaks: room for options->leak_max. *leak_ct: how many of them were set; *found_ct: how many there
 * are. Takes 160 bytes for each of leak_max at most. Errors as dms_fit_top.
 */
DMS_API int dms_fit_leaks(const dms_fit *fit, const size_t *positions, size_t position_ct,
                          const struct dms_leak_options *options, struct dms_leak *leaks,
                          size_t *leak_ct, uint64_t *found_ct);

/* How good the first pair_ct pairs of a target and an example are, in the order of their weights or
 * in a random order of all pairs that there are. */
struct dms_detection_point {
    uint64_t pair_ct;
    double precision; /* share of the pairs that are true */
    double recall; /* share of the targets in true pairs that are in one of these; NaN: none is */
    double random_precision, random_recall; /* expected of a random order */
};

/* Points at 1, 2, 5, 10, 20, 50 ... pairs and at all pairs of positive weight. */
#define DMS_DETECTION_POINT_MAX 60

struct dms_detection_curve {
    uint64_t pair_ct;          /* pairs with a positive weight */
    uint64_t true_pair_ct;     /* true pairs, whatever their weight */
    uint64_t leaked_target_ct; /* targets that are in one */
    size_t point_ct;
    struct dms_detection_point points[DMS_DETECTION_POINT_MAX];
};

/* Says which examples are truly the same as a target: sets flags[k], one for each example, to 1 or
 * 0. Not 0 ends the computation with that result. */
typedef int (*dms_true_pairs)(void *context, uint64_t target, uint8_t *flags);

/*
 * The detection curve of the targets at `positions`: pairs go by decreasing weight, then by target,
 * then by example, as far as weights are positive (Ilyas et al. 2022, Figure 12).
 * For the random order, all pairs of these targets with all examples are drawn without replacement,
 * and the expectations are computed, not drawn.
 *
 * true_pairs is called once for each target, in order. Takes 24 bytes for each positive weight.
 */
DMS_API int dms_fit_detection(const dms_fit *fit, const size_t *positions, size_t position_ct,
                              dms_true_pairs true_pairs, void *context,
                              struct dms_detection_curve *curve);

DMS_END_DECLS

#endif
