/*
 * Draws resamples, sums what the targets say about them, and reads off quantiles; see bootstrap.h.
 */
#include "query/bootstrap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/mix.h"
#include "base/order.h"

/* A resample of a model takes about 10 ns a target: 20 s of one processor. */
#define RESAMPLED_MAX UINT64_C(2000000000)

/* Fixed point: 40 bits behind the point keep a sum over 2^20 targets of numbers up to 8. */
#define FIXED_ONE ((double)(INT64_C(1) << 40))

enum dms_bootstrap_method dms_bootstrap_method(uint64_t target_ct, uint64_t row_ct,
                                               uint64_t resample_ct)
{
    uint64_t work;

    if (resample_ct == 0)
        return DMS_BOOTSTRAP_NONE;
    if (__builtin_mul_overflow(target_ct, row_ct, &work) ||
        __builtin_mul_overflow(work, resample_ct, &work) || work > RESAMPLED_MAX)
        return DMS_BOOTSTRAP_LINEARISED;
    return DMS_BOOTSTRAP_RESAMPLED;
}

/* ---- draws ---- */

void dms_bootstrap_draw(const struct dms_bootstrap *bootstrap, uint32_t resample, uint32_t *counts)
{
    uint64_t state = bootstrap->seed;

    state = dms_mix_next(&state) + resample;
    state = dms_mix_next(&state);
    memset(counts, 0, bootstrap->mask_ct * sizeof(*counts));
    for (uint32_t i = 0; i < bootstrap->mask_ct; i++) {
        /* The upper half of a product of 32-bit numbers: uniform to 2^-32 x mask_ct. */
        uint64_t random = dms_mix_next(&state) >> 32;

        counts[random * bootstrap->mask_ct >> 32]++;
    }
}

/* ---- sums ---- */

int dms_bootstrap_sums_create(const struct dms_bootstrap *bootstrap,
                              struct dms_bootstrap_sums *sums)
{
    bool resampled = bootstrap->method == DMS_BOOTSTRAP_RESAMPLED;
    struct dms_bootstrap_sums made = {
        .value_ct = resampled ? bootstrap->resample_ct : bootstrap->mask_ct,
        .defined_ct = resampled ? bootstrap->resample_ct : 1,
    };

    made.values = dms_alloc(bootstrap->fit_ct * made.value_ct, sizeof(*made.values));
    made.defined = dms_alloc(made.defined_ct, sizeof(*made.defined));
    if (!made.values || !made.defined) {
        dms_bootstrap_sums_free(&made);
        return DMS_ERR_NO_MEMORY;
    }
    *sums = made;
    return 0;
}

void dms_bootstrap_sums_free(struct dms_bootstrap_sums *sums)
{
    free(sums->values);
    free(sums->defined);
    *sums = (struct dms_bootstrap_sums){0};
}

void dms_bootstrap_sums_merge(const struct dms_bootstrap *bootstrap,
                              const struct dms_bootstrap_sums *from,
                              struct dms_bootstrap_sums *into)
{
    for (size_t i = 0; i < bootstrap->fit_ct * from->value_ct; i++)
        into->values[i] += from->values[i];
    for (size_t i = 0; i < from->defined_ct; i++)
        into->defined[i] += from->defined[i];
}

static void add_resamples(const struct dms_bootstrap *bootstrap,
                          const struct dms_ranking *predictions, const struct dms_ranking *outputs,
                          const uint32_t *masks, struct dms_bootstrap_scratch *scratch,
                          struct dms_bootstrap_sums *sums)
{
    for (uint32_t resample = 0; resample < bootstrap->resample_ct; resample++) {
        bool defined = true;

        dms_bootstrap_draw(bootstrap, resample, scratch->mask_counts);
        for (size_t i = 0; i < outputs->value_ct; i++)
            scratch->row_counts[i] = scratch->mask_counts[masks[i]];
        for (size_t fit = 0; fit < bootstrap->fit_ct && defined; fit++) {
            double lds = dms_spearman_counted(&predictions[fit], outputs, scratch->row_counts,
                                              scratch->ranks);

            defined = !isnan(lds); /* that depends on the outputs alone: the same for all fits */
            if (defined)
                sums->values[fit * sums->value_ct + resample] += llround(lds * FIXED_ONE);
        }
        sums->defined[resample] += defined;
    }
}

static void add_influences(const struct dms_bootstrap *bootstrap,
                           const struct dms_ranking *predictions, const struct dms_ranking *outputs,
                           const uint32_t *masks, struct dms_bootstrap_scratch *scratch,
                           struct dms_bootstrap_sums *sums)
{
    for (size_t fit = 0; fit < bootstrap->fit_ct; fit++) {
        int64_t *values = sums->values + fit * sums->value_ct;

        dms_spearman_influences(&predictions[fit], outputs, scratch->influences, scratch->ranks);
        for (size_t i = 0; i < outputs->value_ct; i++)
            values[masks[i]] += llround(scratch->influences[i] * FIXED_ONE);
    }
    sums->defined[0]++;
}

void dms_bootstrap_add(const struct dms_bootstrap *bootstrap, const struct dms_ranking *predictions,
                       const struct dms_ranking *outputs, const uint32_t *masks,
                       struct dms_bootstrap_scratch *scratch, struct dms_bootstrap_sums *sums)
{
    if (bootstrap->method == DMS_BOOTSTRAP_RESAMPLED)
        add_resamples(bootstrap, predictions, outputs, masks, scratch, sums);
    else if (bootstrap->method == DMS_BOOTSTRAP_LINEARISED)
        add_influences(bootstrap, predictions, outputs, masks, scratch, sums);
}

/* ---- intervals ---- */

/* Interpolated between the two nearest of the sorted values. */
static double quantile(const double *sorted, size_t value_ct, double share)
{
    double place = share * (double)(value_ct - 1);
    size_t below = (size_t)place;

    if (below + 1 >= value_ct)
        return sorted[value_ct - 1];
    return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

/* Of values[i] - others[i], others NULL standing for zeros. */
static struct dms_interval interval_of(const double *values, const double *others, size_t value_ct,
                                       double *sorted)
{
    size_t kept = 0;

    for (size_t i = 0; i < value_ct; i++) {
        if (!isnan(values[i]))
            sorted[kept++] = others ? values[i] - others[i] : values[i];
    }
    if (kept == 0)
        return (struct dms_interval){NAN, NAN};
    qsort(sorted, kept, sizeof(*sorted), dms_compare_double);
    return (struct dms_interval){quantile(sorted, kept, 0.025), quantile(sorted, kept, 0.975)};
}

/* resampled: fit_ct x resample_ct, the mean LDS of each resample. mask_counts: mask_ct. */
static void average_resamples(const struct dms_bootstrap *bootstrap,
                              const struct dms_bootstrap_sums *sums, const double *means,
                              uint32_t *mask_counts, double *resampled)
{
    for (uint32_t resample = 0; resample < bootstrap->resample_ct; resample++) {
        bool linearised = bootstrap->method == DMS_BOOTSTRAP_LINEARISED;
        double scale = FIXED_ONE * (double)sums->defined[linearised ? 0 : resample];

        if (linearised)
            dms_bootstrap_draw(bootstrap, resample, mask_counts);
        for (size_t fit = 0; fit < bootstrap->fit_ct; fit++) {
            const int64_t *values = sums->values + fit * sums->value_ct;
            double change = 0;

            for (uint32_t mask = 0; linearised && mask < bootstrap->mask_ct; mask++)
                change += ((double)mask_counts[mask] - 1) * (double)values[mask];
            resampled[fit * bootstrap->resample_ct + resample] =
                scale == 0   ? NAN
                : linearised ? means[fit] + change / scale
                             : (double)values[resample] / scale;
        }
    }
}

int dms_bootstrap_intervals(const struct dms_bootstrap *bootstrap,
                            const struct dms_bootstrap_sums *sums, const double *means,
                            struct dms_interval *intervals, struct dms_interval *differences)
{
    uint32_t resample_ct = bootstrap->resample_ct;
    double *resampled = dms_alloc((size_t)resample_ct * bootstrap->fit_ct, sizeof(*resampled));
    double *sorted = dms_alloc(resample_ct, sizeof(*sorted));
    uint32_t *mask_counts = dms_alloc(bootstrap->mask_ct, sizeof(*mask_counts));
    int code = resampled && sorted && mask_counts ? 0 : DMS_ERR_NO_MEMORY;

    if (code == 0)
        average_resamples(bootstrap, sums, means, mask_counts, resampled);
    for (size_t fit = 0; code == 0 && fit < bootstrap->fit_ct; fit++) {
        const double *values = resampled + fit * resample_ct;

        intervals[fit] = interval_of(values, NULL, resample_ct, sorted);
        if (fit > 0)
            differences[fit - 1] = interval_of(values, resampled, resample_ct, sorted);
    }
    free(resampled);
    free(sorted);
    free(mask_counts);
    return code;
}
