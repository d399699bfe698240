/*
 * dms_support_wrong_classes: the class that a target is most likely to be mistaken for, by mean
 * logits over the control runs, else over all models.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "query/m0.h"

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
    dms_retrained *controls = NULL;
    const uint64_t *ids;
    size_t mask, id_ct;
    int code = dms_m0_open_controls(snapshot, fit, options, &controls);

    if (code == 0)
        code = dms_retrained_find_controls(controls, &mask);
    if (code == 0)
        code = dms_retrained_models(controls, mask, &ids, &id_ct);
    if (code == 0)
        code = average_models(snapshot, ids, id_ct, logits);
    else if (code == DMS_ERR_NOT_FOUND)
        code = average_all(snapshot, logits);
    dms_retrained_close(controls);
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
    int code = dms_m0_find_output(snapshot, fit, options, &output);

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
