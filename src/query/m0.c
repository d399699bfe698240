/*
 * What models that are trained on everything put out; see m0.h. Control runs are found and read as
 * retrained models of the fit's own store.
 */
#include "query/m0.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "query/base_outputs.h"
#include "query/retrained.h"

const char *dms_m0_source_name(enum dms_m0_source source)
{
    switch (source) {
    case DMS_M0_CONTROL_RUNS:
        return "control runs";
    case DMS_M0_DATAMODEL:
        return "datamodel";
    case DMS_M0_AUTO:
        break;
    }
    return "auto";
}

/* ---- control runs ---- */

/* Whether every example is in some model: where one is in none, there is no need to look at the
 * masks. */
static int may_have_controls(dms_snapshot *snapshot, bool *may)
{
    size_t example_ct = (size_t)dms_snapshot_schema(snapshot)->example_ct;
    uint64_t *counts = dms_alloc(example_ct, sizeof(*counts));
    int code = counts ? dms_snapshot_example_counts(snapshot, counts) : DMS_ERR_NO_MEMORY;

    *may = true;
    for (size_t i = 0; code == 0 && *may && i < example_ct; i++)
        *may = counts[i] > 0;
    free(counts);
    return code;
}

/* Whether labels or a map are missing without which no output of the fit can be computed. */
static bool lacks_inputs(const dms_fit *fit, const struct dms_support_options *options)
{
    const struct dms_fit_header *header = dms_fit_get_header(fit);

    return (dms_fit_problem(header, "labels") && !options->labels) ||
           (dms_fit_problem(header, "self") && !options->self);
}

int dms_m0_find_output(dms_snapshot *snapshot, dms_fit *fit,
                       const struct dms_support_options *options, struct dms_scored_output *output)
{
    struct dms_evaluate_options evaluate;

    dms_evaluate_options_init(&evaluate);
    evaluate.labels = options->labels;
    evaluate.label_ct = options->label_ct;
    evaluate.self = options->self;
    evaluate.self_ct = options->self_ct;
    return dms_scored_output_find(snapshot, &fit, 1, &evaluate, output);
}

int dms_m0_open_controls(dms_snapshot *snapshot, dms_fit *fit,
                         const struct dms_support_options *options, dms_retrained **controls)
{
    struct dms_retrained_options retrained;
    bool may;
    int code = may_have_controls(snapshot, &may);

    if (code < 0 || !may)
        return code < 0 ? code : dms_fail(DMS_ERR_NOT_FOUND, "there are no control runs");
    dms_retrained_options_init(&retrained);
    retrained.labels = options->labels;
    retrained.label_ct = options->label_ct;
    retrained.thread_ct = options->thread_ct;
    return dms_retrained_open_controls(snapshot, fit, &retrained, controls);
}

/* Takes the mean outputs of the control runs where they count. */
static int take_means(const dms_retrained *controls, const dms_fit *fit, const size_t *positions,
                      const struct dms_scored_output *output, struct dms_support *supports,
                      size_t support_ct)
{
    struct dms_retrained_mean *means = dms_alloc(support_ct, sizeof(*means));
    int code =
        means ? dms_control_means(controls, fit, positions, support_ct, means) : DMS_ERR_NO_MEMORY;

    for (size_t i = 0; code == 0 && i < support_ct; i++) {
        if (means[i].model_ct == 0 || dms_scored_output_self(output, supports[i].target) >= 0)
            continue;
        supports[i].m0 = means[i].mean;
        supports[i].m0_source = DMS_M0_CONTROL_RUNS;
        supports[i].control_ct = means[i].model_ct;
    }
    free(means);
    return code;
}

static int use_controls(dms_snapshot *snapshot, dms_fit *fit, const size_t *positions,
                        const struct dms_support_options *options, struct dms_support *supports,
                        size_t support_ct)
{
    struct dms_scored_output output;
    dms_retrained *controls = NULL;
    int code;

    if (options->m0 == DMS_M0_DATAMODEL ||
        (options->m0 == DMS_M0_AUTO && lacks_inputs(fit, options)))
        return 0;
    code = dms_m0_find_output(snapshot, fit, options, &output);
    if (code < 0)
        return code;
    code = dms_m0_open_controls(snapshot, fit, options, &controls);
    if (code == 0)
        code = take_means(controls, fit, positions, &output, supports, support_ct);
    dms_retrained_close(controls);
    return code == DMS_ERR_NOT_FOUND ? 0 : code;
}

/* ---- M0 ---- */

static int check_sources(const struct dms_fit_header *header,
                         const struct dms_support_options *options,
                         const struct dms_support *supports, size_t support_ct)
{
    for (size_t i = 0; i < support_ct; i++) {
        if (supports[i].m0_source == DMS_M0_CONTROL_RUNS)
            continue;
        if (options->m0 == DMS_M0_CONTROL_RUNS)
            return dms_fail(DMS_ERR_INVALID,
                            "target %" PRIu64 " of fit %s has no control runs: no model in the "
                            "store was trained on all examples and has a finite output on it that "
                            "counts",
                            supports[i].target, header->name);
        if (isnan(supports[i].m0))
            return dms_fail(DMS_ERR_INVALID,
                            "target %" PRIu64 " of fit %s has no bias, and there are no control "
                            "runs to tell its output when nothing is removed",
                            supports[i].target, header->name);
    }
    return 0;
}

int dms_m0_find(dms_snapshot *snapshot, dms_fit *fit, const size_t *positions, size_t position_ct,
                const struct dms_support_options *options, struct dms_support *supports)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < position_ct; i++) {
        struct dms_fitted_target target;

        code = dms_fit_target(fit, positions[i], &target);
        if (code == 0)
            supports[i] = (struct dms_support){.target = target.target,
                                               .m0 = dms_predict_full(&target),
                                               .m0_source = DMS_M0_DATAMODEL};
    }
    if (code == 0)
        code = use_controls(snapshot, fit, positions, options, supports, position_ct);
    if (code == 0)
        code = check_sources(dms_fit_get_header(fit), options, supports, position_ct);
    return code;
}
