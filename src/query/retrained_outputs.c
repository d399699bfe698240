/*
 * Outputs of retrained models, and their means over models of one mask; see dmstore/retrained.h.
 * They are read by readers, a block of targets at a time.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/order.h"
#include "query/id_ranges.h"
#include "query/retrained.h"
#include "solver/transform.h"

/* Rows of a batch, and values of one row that are read together: a slot of the reader takes 16 MiB.
 */
#define BATCH_ROWS 256
#define BLOCK_VALUES 16384

/* Outputs that means are made of at a time, which bounds their memory. */
#define MEAN_OUTPUTS ((size_t)1 << 20)

#define MISSING_TEXT_BYTES 1024

/* One that is asked for. */
struct wanted_output {
    uint64_t id, target;
    size_t place; /* in the caller's array */
};

static int compare_targets(const void *left, const void *right)
{
    const struct wanted_output *a = left, *b = right;

    return dms_compare_u64(&a->target, &b->target);
}

static int compare_ids(const void *left, const void *right)
{
    const struct wanted_output *a = left, *b = right;

    return dms_compare_u64(&a->id, &b->id);
}

/* The ids of `wanted`, which is sorted by id. */
static int ranges_of(const struct wanted_output *wanted, size_t wanted_ct,
                     struct dms_id_range **ranges, size_t *range_ct)
{
    uint64_t *ids = dms_alloc(wanted_ct, sizeof(*ids));
    int code;

    if (!ids)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < wanted_ct; i++)
        ids[i] = wanted[i].id;
    code = dms_id_ranges_of(ids, wanted_ct, ranges, range_ct);
    free(ids);
    return code;
}

static int open_reader(const dms_retrained *retrained, const struct dms_id_range *ranges,
                       size_t range_ct, uint64_t first, uint64_t target_ct, dms_reader **reader)
{
    struct dms_reader_options options;
    uint64_t row_ct = dms_id_ranges_count(ranges, range_ct);

    dms_reader_options_init(&options);
    options.output = retrained->output.column->name;
    options.first_target = first;
    options.target_ct = target_ct;
    options.ids = ranges;
    options.id_range_ct = range_ct;
    options.masks = false;
    options.batch_rows = row_ct < BATCH_ROWS ? (uint32_t)row_ct : BATCH_ROWS;
    options.thread_ct = retrained->thread_ct;
    return dms_reader_open(retrained->snapshot, &options, reader);
}

/* Takes what is wanted of row `row` of a batch that begins at target `first`. */
static void take_row(const dms_retrained *retrained, const struct dms_batch *batch, uint32_t row,
                     uint64_t first, const struct wanted_output *wanted, size_t wanted_ct,
                     struct dms_retrained_output *outputs)
{
    const struct dms_scored_output *output = &retrained->output;
    size_t class_ct = output->column->values_per_target;
    const float *values = (const float *)batch->outputs + (size_t)row * batch->output_stride_values;
    size_t low = 0, high = wanted_ct;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (wanted[middle].id < batch->ids[row])
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < wanted_ct && wanted[low].id == batch->ids[row]; low++) {
        struct dms_transform_shape one = {1, 1, class_ct, class_ct, 1};
        uint64_t target = wanted[low].target;
        float value;

        dms_transform_apply(output->transform, output->threshold, &one,
                            output->labels ? output->labels + target : NULL,
                            values + (target - first) * class_ct, &value);
        outputs[wanted[low].place].output = isfinite(value) ? value : NAN;
    }
}

/* Reads what is wanted of targets that lie close together. Sorts `wanted`. */
static int read_block(const dms_retrained *retrained, struct wanted_output *wanted,
                      size_t wanted_ct, struct dms_retrained_output *outputs)
{
    uint64_t first = wanted[0].target, last = wanted[wanted_ct - 1].target;
    struct dms_id_range *ranges = NULL;
    const struct dms_batch *batch;
    dms_reader *reader = NULL;
    size_t range_ct;
    int code;

    qsort(wanted, wanted_ct, sizeof(*wanted), compare_ids);
    code = ranges_of(wanted, wanted_ct, &ranges, &range_ct);
    if (code == 0)
        code = open_reader(retrained, ranges, range_ct, first, last - first + 1, &reader);
    while (code == 0 && (code = dms_reader_next(reader, &batch)) == 0) {
        for (uint32_t row = 0; row < batch->row_ct; row++)
            take_row(retrained, batch, row, first, wanted, wanted_ct, outputs);
        dms_reader_release(reader, batch);
    }
    dms_reader_close(reader);
    free(ranges);
    return code == DMS_END ? 0 : code;
}

/* Fails with the ids that are not there, if there are any. wanted: sorted by id. */
static int check_ids(const dms_retrained *retrained, const struct wanted_output *wanted,
                     size_t wanted_ct)
{
    struct dms_id_range *ranges;
    char text[MISSING_TEXT_BYTES];
    size_t missing_ct = 0, range_ct;
    uint64_t *missing = dms_alloc(wanted_ct, sizeof(*missing));
    int code;

    if (!missing)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < wanted_ct; i++) {
        if (!dms_retrained_find_id(retrained, wanted[i].id))
            missing[missing_ct++] = wanted[i].id;
    }
    code = dms_id_ranges_of(missing, missing_ct, &ranges, &range_ct);
    free(missing);
    if (code < 0)
        return code;
    if (missing_ct > 0) {
        dms_id_ranges_print(ranges, range_ct, text, sizeof(text));
        code = dms_fail(DMS_ERR_NOT_FOUND, "'%s' has no outputs %s of %" PRIu64 " models: %s",
                        dms_retrained_name(retrained), retrained->output.column->name,
                        dms_id_ranges_count(ranges, range_ct), text);
    }
    free(ranges);
    return code;
}

/* The outputs asked for, sorted by id. The caller frees *wanted. */
static int list_wanted(const dms_retrained *retrained, const struct dms_retrained_output *outputs,
                       size_t output_ct, struct wanted_output **wanted)
{
    const struct dms_column *column = retrained->output.column;
    struct wanted_output *made = dms_alloc(output_ct, sizeof(*made));

    if (!made)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < output_ct; i++) {
        if (outputs[i].target >= column->target_ct) {
            free(made);
            return dms_fail(DMS_ERR_INVALID,
                            "there is no target %" PRIu64 ": column %s has %" PRIu64,
                            outputs[i].target, column->name, column->target_ct);
        }
        made[i] = (struct wanted_output){outputs[i].id, outputs[i].target, i};
    }
    qsort(made, output_ct, sizeof(*made), compare_ids);
    *wanted = made;
    return 0;
}

int dms_retrained_outputs(const dms_retrained *retrained, struct dms_retrained_output *outputs,
                          size_t output_ct, uint64_t *nonfinite_ct)
{
    /* One target at least, however many classes it has. */
    uint64_t span = BLOCK_VALUES / retrained->output.column->values_per_target + 1;
    struct wanted_output *wanted = NULL;
    uint64_t count = 0;
    int code = list_wanted(retrained, outputs, output_ct, &wanted);

    if (code < 0)
        return code;
    code = check_ids(retrained, wanted, output_ct);
    qsort(wanted, output_ct, sizeof(*wanted), compare_targets);
    for (size_t start = 0, end; code == 0 && start < output_ct; start = end) {
        uint64_t first = wanted[start].target;

        for (end = start + 1; end < output_ct && wanted[end].target - first < span;)
            end++;
        code = read_block(retrained, wanted + start, end - start, outputs);
    }
    free(wanted);
    if (code < 0)
        return code;
    for (size_t i = 0; i < output_ct; i++)
        count += isnan(outputs[i].output);
    if (nonfinite_ct)
        *nonfinite_ct = count;
    return 0;
}

/* ---- means ---- */

/* Sets means whose models are output_ct together. */
static int average(const dms_retrained *retrained, struct dms_retrained_mean *means, size_t mean_ct,
                   size_t output_ct)
{
    struct dms_retrained_output *outputs = dms_alloc(output_ct, sizeof(*outputs)), *next = outputs;
    int code;

    if (!outputs)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < mean_ct; i++) {
        const struct dms_mask_group *group = &retrained->masks[means[i].mask];

        for (size_t k = 0; k < group->model_ct; k++)
            *next++ = (struct dms_retrained_output){
                .id = retrained->ids[group->first_model + k],
                .target = means[i].target,
            };
    }
    code = dms_retrained_outputs(retrained, outputs, output_ct, NULL);
    next = outputs;
    for (size_t i = 0; code == 0 && i < mean_ct; i++) {
        size_t model_ct = retrained->masks[means[i].mask].model_ct;
        double sum = 0;

        means[i].model_ct = 0;
        for (size_t k = 0; k < model_ct; k++, next++) {
            if (!isnan(next->output)) {
                sum += next->output;
                means[i].model_ct++;
            }
        }
        means[i].nonfinite_ct = model_ct - means[i].model_ct;
        means[i].mean = means[i].model_ct > 0 ? sum / (double)means[i].model_ct : NAN;
    }
    free(outputs);
    return code;
}

int dms_retrained_means(const dms_retrained *retrained, struct dms_retrained_mean *means,
                        size_t mean_ct)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < mean_ct; i++) {
        const uint64_t *ids;
        size_t id_ct;

        code = dms_retrained_models(retrained, means[i].mask, &ids, &id_ct); /* is there one? */
    }
    for (size_t start = 0, end; code == 0 && start < mean_ct; start = end) {
        size_t output_ct = 0;

        for (end = start; end < mean_ct && output_ct < MEAN_OUTPUTS; end++)
            output_ct += retrained->masks[means[end].mask].model_ct;
        code = average(retrained, means + start, end - start, output_ct);
    }
    return code;
}
