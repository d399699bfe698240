/*
 * Estimates of data support, from weights and from retrained models; see dmstore/support.h.
 */
#include "dmstore/support.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "query/m0.h"
#include "query/weight_order.h"

/* The factor with which estimates are conservative. */
#define SAFETY 1.2

void dms_support_options_init(struct dms_support_options *options)
{
    *options = (struct dms_support_options){.m0 = DMS_M0_AUTO};
}

static void set_size(double k, uint64_t example_ct, struct dms_support *support)
{
    double conservative = ceil(SAFETY * k);

    support->k = k;
    support->support = (uint64_t)ceil(k);
    support->conservative = conservative < (double)example_ct ? (uint64_t)conservative : example_ct;
}

/* ---- from the weights ---- */

struct work {
    const dms_fit *fit;
    const size_t *positions;
    size_t position_ct;
    struct dms_support *supports;
    uint64_t example_ct;
    size_t weight_ct;            /* at most this many of a target */
    atomic_size_t next_position; /* to be estimated */
};

/* The smallest k of Appendix F.3.2. entries: room for the target's weights. */
static int estimate(const struct work *work, size_t place, struct dms_weighted_example *entries)
{
    struct dms_support *support = &work->supports[place];
    struct dms_fitted_target target;
    size_t positive_ct, k = 0;
    double sum = 0;
    int code = dms_fit_target(work->fit, work->positions[place], &target);

    if (code < 0)
        return code;
    positive_ct = dms_weight_order_sign(&target, DMS_POSITIVE_WEIGHTS, entries);
    while (k < positive_ct && !(sum > support->m0))
        sum += entries[k++].weight;
    support->censored = !(sum > support->m0);
    set_size((double)k, work->example_ct, support);
    return 0;
}

static int estimate_targets(void *context, size_t worker)
{
    struct work *work = context;
    struct dms_weighted_example *entries = dms_alloc(work->weight_ct, sizeof(*entries));
    size_t place;
    int code = entries ? 0 : DMS_ERR_NO_MEMORY;

    (void)worker;
    while (code == 0 && (place = atomic_fetch_add(&work->next_position, 1)) < work->position_ct)
        code = estimate(work, place, entries);
    free(entries);
    return code;
}

static int find_most_weights(struct work *work)
{
    int code = 0;

    for (size_t i = 0; i < work->position_ct && code == 0; i++) {
        struct dms_fitted_target target;

        code = dms_fit_target(work->fit, work->positions[i], &target);
        if (code == 0 && target.weight_ct > work->weight_ct)
            work->weight_ct = target.weight_ct;
    }
    return code;
}

/* Where the output is no margin, 0 is no boundary. */
static int check_output(const struct dms_fit_header *header)
{
    const char *transform = dms_fit_problem(header, "transform");

    if (transform && strcmp(transform, "correct") == 0)
        return dms_fail(
            DMS_ERR_INVALID,
            "fit %s predicts correctness, which is never below 0: data support is asked "
            "of fits of margins",
            header->name);
    return 0;
}

int dms_support_estimate(dms_snapshot *snapshot, dms_fit *fit, const size_t *positions,
                         size_t position_ct, const struct dms_support_options *options,
                         struct dms_support *supports)
{
    const struct dms_fit_header *header = dms_fit_get_header(fit);
    struct work work = {fit, positions, position_ct, supports, header->example_ct, 0, 0};
    struct dms_support_options defaults;
    struct dms_pool *pool = NULL;
    int code = check_output(header);

    if (!options) {
        dms_support_options_init(&defaults);
        options = &defaults;
    }
    if (code == 0)
        code = dms_m0_find(snapshot, fit, positions, position_ct, options, supports);
    if (code == 0)
        code = find_most_weights(&work);
    if (code == 0)
        code = dms_pool_create(options->thread_ct, &pool);
    if (code == 0)
        code = dms_pool_run(pool, dms_pool_threads(pool), estimate_targets, &work);
    dms_pool_free(pool);
    return code;
}

int dms_support_examples(const dms_fit *fit, size_t position, size_t example_ct, uint64_t *examples,
                         double *weights)
{
    const struct dms_fit_header *header = dms_fit_get_header(fit);
    struct dms_weighted_example *entries, *scratch;
    struct dms_fitted_target target;
    int code = dms_fit_target(fit, position, &target);

    if (code < 0)
        return code;
    if (example_ct > header->example_ct)
        return dms_fail(DMS_ERR_INVALID,
                        "fit %s is of %" PRIu64 " training examples: there are no %zu",
                        header->name, header->example_ct, example_ct);
    entries = dms_alloc(example_ct, sizeof(*entries));
    scratch = dms_alloc(target.weight_ct, sizeof(*scratch));
    code = entries && scratch ? 0 : DMS_ERR_NO_MEMORY;
    if (code == 0)
        dms_weight_order(&target, DMS_POSITIVE_WEIGHTS, (size_t)header->example_ct, example_ct,
                         entries, scratch);
    for (size_t i = 0; code == 0 && i < example_ct; i++) {
        examples[i] = entries[i].example;
        weights[i] = entries[i].weight;
    }
    free(entries);
    free(scratch);
    return code;
}

/* ---- from retrained models ---- */

static int check_points(const struct dms_support_point *points, size_t point_ct)
{
    if (point_ct == 0 || points[0].k != 0 || points[0].run_ct == 0)
        return dms_fail(DMS_ERR_INVALID, "the first point of a search is k = 0, with a run");
    for (size_t i = 0; i < point_ct; i++) {
        if (i > 0 && points[i].k <= points[i - 1].k)
            return dms_fail(DMS_ERR_INVALID,
                            "points of a search go up in k: %" PRIu64 " follows %" PRIu64,
                            points[i].k, points[i - 1].k);
        if (points[i].run_ct > 0 && !isfinite(points[i].output))
            return dms_fail(DMS_ERR_INVALID, "the mean output at k = %" PRIu64 " is not finite",
                            points[i].k);
    }
    return 0;
}

/* The points that count, as arrays of `count` values in one allocation, which `ks` is. */
struct curve {
    double *ks, *outputs, *weights, *fitted;
    size_t count;
};

static int fit_curve(const struct dms_support_point *points, size_t point_ct, struct curve *curve)
{
    double *values = dms_alloc(4 * point_ct, sizeof(*values));

    if (!values)
        return DMS_ERR_NO_MEMORY;
    *curve =
        (struct curve){values, values + point_ct, values + 2 * point_ct, values + 3 * point_ct, 0};
    for (size_t i = 0; i < point_ct; i++) {
        if (points[i].run_ct == 0)
            continue;
        curve->ks[curve->count] = (double)points[i].k;
        curve->outputs[curve->count] = points[i].output;
        curve->weights[curve->count++] = (double)points[i].run_ct;
    }
    return dms_isotonic_fit(curve->outputs, curve->weights, curve->count, curve->fitted);
}

static void set_fitted(const struct curve *curve, struct dms_support_point *points, size_t point_ct)
{
    const double *fitted = curve->fitted;

    for (size_t i = 0; i < point_ct; i++)
        points[i].fitted = points[i].run_ct > 0 ? *fitted++ : NAN;
}

int dms_support_search(struct dms_support_point *points, size_t point_ct, uint64_t example_ct,
                       struct dms_support *support)
{
    struct curve curve = {0};
    int code = check_points(points, point_ct);

    if (code == 0)
        code = fit_curve(points, point_ct, &curve);
    if (code == 0) {
        double k =
            points[0].output < 0 ? 0 : dms_zero_crossing(curve.ks, curve.fitted, curve.count);

        set_fitted(&curve, points, point_ct);
        support->m0 = points[0].output;
        support->m0_source = DMS_M0_CONTROL_RUNS;
        support->control_ct = points[0].run_ct;
        support->censored = isnan(k);
        set_size(isnan(k) ? curve.ks[curve.count - 1] : k, example_ct, support);
    }
    free(curve.ks);
    return code;
}

/* ---- over targets ---- */

void dms_support_cdf(const struct dms_support *supports, size_t support_ct, const uint64_t *ks,
                     size_t k_ct, double *fractions)
{
    for (size_t i = 0; i < k_ct; i++) {
        size_t within_ct = 0;

        for (size_t j = 0; j < support_ct; j++)
            within_ct +=
                !isnan(supports[j].m0) && !supports[j].censored && supports[j].support <= ks[i];
        fractions[i] = (double)within_ct / (double)support_ct;
    }
}
