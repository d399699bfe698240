/*
 * How far two fits of the same targets agree: made of other models (another share of the training
 * set, another architecture, a smaller model that stands in for a large one) or by other methods.
 *
 * For each target, over all d training examples, those without a weight counting as 0:
 *
 *  - spearman, pearson: correlations of the weights; Spearman's with average ranks. Undefined where
 *    all weights of one fit are equal.
 *  - cosine: of the two vectors of weights. Undefined where one is all zeros.
 *  - the examples that the k largest weights of both have in common. Positive weights come first,
 *    then examples without a weight, then negative weights; of equal ones the lower index.
 *    overlap = common / k, jaccard = common / (2 k - common).
 *  - a_lds, b_lds: LDS (see dmstore/evaluate.h) of the weights of a, and of b, on the models that b
 *    has held out: how well a predicts the runs of b (the transfer and proxy-model studies), beside
 *    what b itself reaches.
 *
 * What is undefined is NaN, and left out of the means.
 */
#ifndef DMSTORE_COMPARE_H
#define DMSTORE_COMPARE_H

#include "dmstore/fit.h"
#include "dmstore/snapshot.h"

DMS_BEGIN_DECLS

struct dms_compare_options {
    const uint64_t *top_cts; /* the k for which the largest weights are compared, each in 1 .. d */
    size_t top_ct;           /* how many k; 0: none */
    bool score;              /* true: the two LDS, where there are models for them */
    /* For a fit b that was made with them, as in struct dms_evaluate_options. */
    const int64_t *labels;
    size_t label_ct;
    const int64_t *self;
    size_t self_ct;
    unsigned thread_ct;    /* 0: one a processor; changes no result */
    uint64_t memory_bytes; /* 4 GiB: bound on what the LDS takes */
    dms_progress progress; /* may be NULL: targets that are scored, and all */
    void *progress_context;
};
DMS_API void dms_compare_options_init(struct dms_compare_options *options);

enum dms_agreement {
    DMS_AGREEMENT_SPEARMAN,
    DMS_AGREEMENT_PEARSON,
    DMS_AGREEMENT_COSINE,
    DMS_AGREEMENT_A_LDS,
    DMS_AGREEMENT_B_LDS,
};
#define DMS_AGREEMENT_CT 5

/* "spearman", "pearson", "cosine", "a_lds", "b_lds". */
DMS_API const char *dms_agreement_name(enum dms_agreement agreement);

struct dms_target_comparison {
    uint64_t target;
    size_t a_weight_ct, b_weight_ct;
    double values[DMS_AGREEMENT_CT];
    uint64_t *common_cts; /* top_ct: examples that the k largest weights have in common */
};

struct dms_comparison {
    uint64_t target_ct; /* those asked for that both fits have */
    uint64_t a_only_ct; /* asked for, and not in b */
    uint64_t b_only_ct; /* targets of b that a does not have at all */
    struct dms_target_comparison *targets;
    double means[DMS_AGREEMENT_CT]; /* over the targets where it is defined */
    uint64_t defined_cts[DMS_AGREEMENT_CT];
    size_t top_ct;
    uint64_t *top_cts;
    double *overlaps, *jaccards; /* top_ct: means over targets */
    uint64_t row_ct;             /* models that are scored on; 0: none */
    const char *unscored;        /* NULL, or why there is no LDS */
    /* Examples in the masks that are scored on, and in those that a was trained on; extrapolates:
     * the former leave the latter. */
    uint64_t smallest_subset, largest_subset;
    uint64_t smallest_training_subset, largest_training_subset;
    bool extrapolates;
};

/*
 * Compares the targets at `positions` of fit a, opened on a_snapshot, with the same targets of fit
 * b, opened on b_snapshot, which may be the same. In one store LDS is scored on the models that
 * both have held out: b's alone may have trained a. The caller ends *comparison with
 * dms_comparison_free.
 *
 * INVALID: the fits are of other numbers of examples or targets, have no target in common, only one
 * is of principal components, or there is no k so large; CONFLICT: their stores are about other
 * data sets; else as dms_evaluate.
 */
DMS_API int dms_compare(dms_snapshot *a_snapshot, dms_fit *a, dms_snapshot *b_snapshot, dms_fit *b,
                        const size_t *positions, size_t position_ct,
                        const struct dms_compare_options *options,
                        struct dms_comparison **comparison);
DMS_API void dms_comparison_free(struct dms_comparison *comparison);

DMS_END_DECLS

#endif
