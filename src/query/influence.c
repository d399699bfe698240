/*
 * Differences of means, from the sums of estimate.h; see dmstore/influence.h.
 */
#include "dmstore/influence.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "kernels/lanes.h"
#include "query/estimate.h"

static void describe(const struct dms_fit_options *options, struct dms_problem_text *text)
{
    dms_estimate_describe(options, "influence", text);
}

static struct dms_fit_options without_validation(const struct dms_fit_options *options)
{
    struct dms_fit_options resolved = *options;

    resolved.validation_ct = 0;
    return resolved;
}

int dms_influence_plan(dms_snapshot *snapshot, const struct dms_fit_options *options,
                       struct dms_fit_header **header)
{
    struct dms_fit_options resolved = without_validation(options);

    return dms_fit_plan_as(snapshot, &resolved, describe, header);
}

/* ---- a target ---- */

struct run {
    const struct dms_influence_hooks *hooks;
    size_t example_ct;
    uint32_t *examples;
    double *weights;
};

/* The difference of means; 0 for an example that is in all or none of the rows. */
static double influence_of(const struct dms_target_sums *sums, size_t example, double *share)
{
    uint64_t with_ct = sums->example_row_cts[example * DMS_LANES];
    uint64_t without_ct = sums->row_ct - with_ct;
    double with_sum = sums->example_sums[example * DMS_LANES];

    if (with_ct == 0 || without_ct == 0)
        return 0;
    *share = (double)with_ct / (double)sums->row_ct;
    return with_sum / (double)with_ct - (sums->sum - with_sum) / (double)without_ct;
}

static int estimate(void *context, const struct dms_target_sums *sums)
{
    const struct run *run = context;
    struct dms_output_moments moments;
    struct dms_fitted_target target = {
        .target = sums->target,
        .flags = DMS_FITTED_ESTIMATED,
        .row_ct = sums->row_ct,
        .examples = run->examples,
        .weights = run->weights,
    };
    double weighted_share = 0;

    dms_target_sums_moments(sums, &moments);
    for (size_t k = 0; k < run->example_ct; k++) {
        double share, weight = influence_of(sums, k, &share);

        if (weight == 0)
            continue;
        weighted_share += weight * share;
        run->examples[target.weight_ct] = (uint32_t)k;
        run->weights[target.weight_ct++] = weight;
    }
    if (moments.null_deviance == 0)
        target.flags |= DMS_FITTED_CONSTANT;
    target.null_deviance = moments.null_deviance;
    target.mean = moments.mean;
    target.bias = moments.mean - weighted_share;
    return run->hooks->result(run->hooks->context, &target);
}

/* ---- all of them ---- */

int dms_influence_run(dms_snapshot *snapshot, const struct dms_fit_header *header,
                      const struct dms_fit_options *options,
                      const struct dms_influence_hooks *hooks)
{
    struct dms_fit_options resolved = without_validation(options);
    struct run run = {.hooks = hooks, .example_ct = (size_t)header->example_ct};
    const struct dms_sums_job job = {
        .snapshot = snapshot,
        .header = header,
        .options = &resolved,
        .by_example = true,
        .progress = hooks->progress,
        .progress_context = hooks->context,
        .result = estimate,
        .context = &run,
    };
    int code = dms_fit_check_problem_as(header, &resolved, describe);

    if (code == 0)
        code = dms_fit_check_store(header, snapshot);
    if (code < 0)
        return code;
    run.examples = dms_alloc(run.example_ct, sizeof(*run.examples));
    run.weights = dms_alloc(run.example_ct, sizeof(*run.weights));
    code = run.examples && run.weights ? dms_sums_run(&job) : DMS_ERR_NO_MEMORY;
    free(run.examples);
    free(run.weights);
    return code;
}
