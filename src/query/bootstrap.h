/*
 * Intervals for the mean LDS by the bootstrap (Efron 1979): the held-out masks are drawn anew, with
 * all models that share a mask together, and the same draws are scored for all fits and targets.
 *
 * What is summed over targets is kept in fixed point, so that the order of the targets, and with it
 * the number of threads, changes nothing.
 */
#ifndef DMS_QUERY_BOOTSTRAP_H
#define DMS_QUERY_BOOTSTRAP_H

#include "dmstore/evaluate.h"
#include "query/ranks.h"

struct dms_bootstrap {
    enum dms_bootstrap_method method;
    uint32_t resample_ct;
    uint64_t seed;
    size_t fit_ct;
    uint32_t mask_ct;
};

/* The method for so many targets, models and resamples. */
enum dms_bootstrap_method dms_bootstrap_method(uint64_t target_ct, uint64_t row_ct,
                                               uint64_t resample_ct);

/* counts: how often each of the mask_ct masks is drawn in a resample; their sum is mask_ct. A pure
 * function of (seed, mask_ct, resample). */
void dms_bootstrap_draw(const struct dms_bootstrap *bootstrap, uint32_t resample, uint32_t *counts);

/* Sums over the targets that one thread has scored. A zeroed one may be freed. */
struct dms_bootstrap_sums {
    size_t value_ct; /* of each fit: resample_ct (resampled) or mask_ct (linearised) */
    int64_t *values; /* fit_ct x value_ct: LDS of each resample, or influence of each mask */
    size_t defined_ct;
    uint64_t *defined; /* targets that have an LDS: in each resample, or at all */
};
int dms_bootstrap_sums_create(const struct dms_bootstrap *bootstrap,
                              struct dms_bootstrap_sums *sums);
void dms_bootstrap_sums_free(struct dms_bootstrap_sums *sums);
void dms_bootstrap_sums_merge(const struct dms_bootstrap *bootstrap,
                              const struct dms_bootstrap_sums *from,
                              struct dms_bootstrap_sums *into);

/* Working memory for one thread and targets of up to row_ct models. */
struct dms_bootstrap_scratch {
    uint32_t *mask_counts; /* mask_ct */
    uint32_t *row_counts;  /* row_ct */
    double *influences;    /* row_ct */
    double *ranks;         /* 2 x row_ct */
};

/* Adds a target. predictions: fit_ct rankings over the same models as `outputs`, which vary; masks:
 * the mask of each of these models. */
void dms_bootstrap_add(const struct dms_bootstrap *bootstrap, const struct dms_ranking *predictions,
                       const struct dms_ranking *outputs, const uint32_t *masks,
                       struct dms_bootstrap_scratch *scratch, struct dms_bootstrap_sums *sums);

/* The intervals. means: fit_ct mean LDS. intervals: fit_ct; differences: fit_ct - 1, of the later
 * fits with the first. All are NaN where no resample has a score. */
int dms_bootstrap_intervals(const struct dms_bootstrap *bootstrap,
                            const struct dms_bootstrap_sums *sums, const double *means,
                            struct dms_interval *intervals, struct dms_interval *differences);

#endif
