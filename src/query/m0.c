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
#include "dmstore/retrained.h"
#include "query/scored_output.h"

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

/* What is done with the output of the fit, checked against the labels and the map. */
static int find_output(dms_snapshot *snapshot, dms_fit *fit,
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

/* Opens the models of the store. *mask: that of the controls. NOT_FOUND: there are none. The caller
 * closes *runs also after a failure. */
static int open_controls(dms_snapshot *snapshot, dms_fit *fit,
                         const struct dms_support_options *options, dms_retrained **runs,
                         size_t *mask)
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
    code = dms_retrained_open(NULL, snapshot, fit, &retrained, runs);
    return code < 0 ? code : dms_retrained_find_controls(*runs, mask);
}

/* Takes the mean outputs of the control runs where they count. */
static int take_means(const dms_retrained *runs, size_t mask,
                      const struct dms_scored_output *output, struct dms_support *supports,
                      size_t support_ct)
{
    struct dms_retrained_mean *means = dms_alloc(support_ct, sizeof(*means));
    int code = means ? 0 : DMS_ERR_NO_MEMORY;

    for (size_t i = 0; code == 0 && i < support_ct; i++)
        means[i] = (struct dms_retrained_mean){.mask = mask, .target = supports[i].target};
    if (code == 0)
        code = dms_retrained_means(runs, means, support_ct);
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

static int use_controls(dms_snapshot *snapshot, dms_fit *fit,
                        const struct dms_support_options *options, struct dms_support *supports,
                        size_t support_ct)
{
    struct dms_scored_output output;
    dms_retrained *runs = NULL;
    size_t mask;
    int code;

    if (options->m0 == DMS_M0_DATAMODEL ||
        (options->m0 == DMS_M0_AUTO && lacks_inputs(fit, options)))
        return 0;
    code = find_output(snapshot, fit, options, &output);
    if (code < 0)
        return code;
    code = open_controls(snapshot, fit, options, &runs, &mask);
    if (code == 0)
        code = take_means(runs, mask, &output, supports, support_ct);
    else if (code == DMS_ERR_NOT_FOUND)
        code = 0;
    dms_retrained_close(runs);
    return code;
}

/* ---- M0 ---- */

static double predict_all(const struct dms_fitted_target *target)
{
    double sum = target->bias;

    if (target->flags & DMS_FITTED_NO_BIAS)
        return NAN;
    for (size_t i = 0; i < target->weight_ct; i++)
        sum += target->weights[i];
    return sum;
}

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
            supports[i] = (struct dms_support){
                .target = target.target, .m0 = predict_all(&target), .m0_source = DMS_M0_DATAMODEL};
    }
    if (code == 0)
        code = use_controls(snapshot, fit, options, supports, position_ct);
    if (code == 0)
        code = check_sources(dms_fit_get_header(fit), options, supports, position_ct);
    return code;
}

/* ---- wrong classes ---- */

/* Mean logits of one output column: value_ct of them, NaN where there is no finite one. */
struct logits {
    const struct dms_column *column;
    uint64_t value_ct;
    double *means;
    uint64_t *cts;
};

/* Over all models, from the statistics that the store keeps. */
static int average_all(dms_snapshot *snapshot, struct logits *logits)
{
    const struct dms_schema *schema = dms_snapshot_schema(snapshot);
    struct dms_target_statistics *statistics = dms_alloc(logits->value_ct, sizeof(*statistics));
    int code = statistics ? dms_snapshot_target_statistics(
                                snapshot, (uint32_t)(logits->column - schema->columns), statistics)
                          : DMS_ERR_NO_MEMORY;

    for (uint64_t i = 0; code == 0 && i < logits->value_ct; i++)
        logits->means[i] =
            statistics[i].finite_ct > 0 ? statistics[i].sum / (double)statistics[i].finite_ct : NAN;
    free(statistics);
    return code;
}

static void add_row(const float *values, struct logits *logits)
{
    for (uint64_t i = 0; i < logits->value_ct; i++) {
        if (!isfinite(values[i]))
            continue;
        logits->means[i] += (double)values[i];
        logits->cts[i]++;
    }
}

static int average_models(dms_snapshot *snapshot, const uint64_t *ids, size_t id_ct,
                          struct logits *logits)
{
    struct dms_id_range *ranges = dms_alloc(id_ct, sizeof(*ranges));
    struct dms_reader_options options;
    const struct dms_batch *batch;
    dms_reader *reader = NULL;
    int code = ranges ? 0 : DMS_ERR_NO_MEMORY;

    for (size_t i = 0; code == 0 && i < id_ct; i++)
        ranges[i] = (struct dms_id_range){ids[i], 1};
    dms_reader_options_init(&options);
    options.output = logits->column->name;
    options.ids = ranges;
    options.id_range_ct = id_ct;
    options.batch_rows = 16;
    options.masks = false;
    if (code == 0)
        code = dms_reader_open(snapshot, &options, &reader);
    while (code == 0 && (code = dms_reader_next(reader, &batch)) == 0) {
        for (uint32_t row = 0; row < batch->row_ct; row++)
            add_row((const float *)batch->outputs + row * batch->output_stride_values, logits);
        dms_reader_release(reader, batch);
    }
    for (uint64_t i = 0; i < logits->value_ct; i++)
        logits->means[i] = logits->cts[i] > 0 ? logits->means[i] / (double)logits->cts[i] : NAN;
    dms_reader_close(reader);
    free(ranges);
    return code == DMS_END ? 0 : code;
}

static int average_logits(dms_snapshot *snapshot, dms_fit *fit,
                          const struct dms_support_options *options, struct logits *logits)
{
    dms_retrained *runs = NULL;
    const uint64_t *ids;
    size_t mask, id_ct;
    int code = open_controls(snapshot, fit, options, &runs, &mask);

    if (code == 0)
        code = dms_retrained_models(runs, mask, &ids, &id_ct);
    if (code == 0)
        code = average_models(snapshot, ids, id_ct, logits);
    else if (code == DMS_ERR_NOT_FOUND)
        code = average_all(snapshot, logits);
    dms_retrained_close(runs);
    return code;
}

/* The class other than `label` with the largest mean; -1: a mean is not known. */
static int64_t largest_wrong(const double *means, size_t class_ct, int64_t label)
{
    int64_t largest = -1;

    for (int64_t class = 0; class < (int64_t)class_ct; class ++) {
        if (isnan(means[class]))
            return -1;
        if (class != label && (largest < 0 || means[class] > means[largest]))
            largest = class;
    }
    return largest;
}

static int choose_classes(const dms_fit *fit, const size_t *positions, size_t position_ct,
                          const struct logits *logits, const int64_t *labels, int64_t *classes)
{
    size_t class_ct = logits->column->values_per_target;

    for (size_t i = 0; i < position_ct; i++) {
        struct dms_fitted_target target;
        int code = dms_fit_target(fit, positions[i], &target);

        if (code < 0)
            return code;
        classes[i] = largest_wrong(logits->means + target.target * class_ct, class_ct,
                                   labels[target.target]);
        if (classes[i] < 0)
            return dms_fail(DMS_ERR_INVALID, "target %" PRIu64 ": a class has no finite logit",
                            target.target);
    }
    return 0;
}

int dms_support_wrong_classes(dms_snapshot *snapshot, dms_fit *fit, const size_t *positions,
                              size_t position_ct, const struct dms_support_options *options,
                              int64_t *classes)
{
    struct dms_scored_output output;
    struct logits logits = {0};
    int code = find_output(snapshot, fit, options, &output);

    if (code < 0)
        return code;
    if (output.column->values_per_target < 2)
        return dms_fail(
            DMS_ERR_INVALID,
            "fit %s predicts column %s, which has no logits: say which class (a number, "
            "or one a target)",
            dms_fit_get_header(fit)->name, output.column->name);
    logits.column = output.column;
    logits.value_ct = dms_column_value_ct(output.column);
    logits.means = dms_alloc(logits.value_ct, sizeof(*logits.means));
    logits.cts = dms_alloc(logits.value_ct, sizeof(*logits.cts));
    code = logits.means && logits.cts ? 0 : DMS_ERR_NO_MEMORY;
    if (code == 0)
        code = average_logits(snapshot, fit, options, &logits);
    if (code == 0)
        code = choose_classes(fit, positions, position_ct, &logits, output.labels, classes);
    free(logits.means);
    free(logits.cts);
    return code;
}
