/*
 * Fills a block of targets from a reader; see target_block.h.
 */
#include "query/target_block.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "solver/transform.h"

int dms_target_block_create(const struct dms_block_setting *setting, struct dms_target_block *block)
{
    size_t value_ct = setting->capacity * setting->held_out->row_ct;
    struct dms_target_block made = {0};

    made.fitted = dms_alloc(setting->fit_ct * setting->capacity, sizeof(*made.fitted));
    made.outputs = dms_alloc(value_ct, sizeof(*made.outputs));
    made.predictions = dms_alloc(setting->fit_ct * value_ct, sizeof(*made.predictions));
    made.excluded_cts = dms_alloc(setting->capacity, sizeof(*made.excluded_cts));
    if (!made.fitted || !made.outputs || !made.predictions || !made.excluded_cts) {
        dms_target_block_free(&made);
        return DMS_ERR_NO_MEMORY;
    }
    *block = made;
    return 0;
}

void dms_target_block_free(struct dms_target_block *block)
{
    free(block->fitted);
    free(block->outputs);
    free(block->predictions);
    free(block->excluded_cts);
    *block = (struct dms_target_block){0};
}

/* ---- one batch ---- */

struct batch_work {
    const struct dms_block_setting *setting;
    struct dms_target_block *block;
    const struct dms_batch *batch;
    atomic_size_t next_target; /* multiples of DMS_LANES */
};

static bool has_example(const struct dms_batch *batch, uint32_t row, uint64_t example)
{
    const uint8_t *mask = batch->masks + (size_t)row * batch->mask_stride_bytes;

    return mask[example >> 3] >> (example & 7) & 1;
}

/* Outputs of one target of the block; models that have seen it themselves get NaN. */
static void take_outputs(struct batch_work *work, size_t t)
{
    const struct dms_scored_output *output = work->setting->output;
    const struct dms_batch *batch = work->batch;
    uint64_t first = work->block->fitted[0].target, target = work->block->fitted[t].target;
    size_t class_ct = output->column->values_per_target;
    const float *from = (const float *)batch->outputs + (target - first) * class_ct;
    float *outputs = work->block->outputs + t * work->setting->held_out->row_ct;
    int64_t self = dms_scored_output_self(output, target);

    for (uint32_t row = 0; row < batch->row_ct; row++) {
        struct dms_transform_shape one = {1, 1, class_ct, class_ct, 1};
        float *to = &outputs[batch->ranks[row]];

        dms_transform_apply(output->transform, output->threshold, &one,
                            output->labels ? output->labels + target : NULL,
                            from + (size_t)row * batch->output_stride_values, to);
        if (self >= 0 && has_example(batch, row, (uint64_t)self)) {
            *to = NAN;
            work->block->excluded_cts[t]++;
        }
    }
}

static void take_predictions(struct batch_work *work, struct dms_predictor *predictor, size_t fit,
                             size_t t, size_t lane_ct)
{
    const struct dms_batch *batch = work->batch;
    size_t row_ct = work->setting->held_out->row_ct;
    size_t place = fit * work->block->target_ct + t;
    const float *predicted = dms_predict(predictor, work->block->fitted + place, lane_ct,
                                         batch->masks, batch->mask_stride_bytes, batch->row_ct);

    for (size_t lane = 0; lane < lane_ct; lane++) {
        float *to = work->block->predictions + (place + lane) * row_ct;

        for (uint32_t row = 0; row < batch->row_ct; row++)
            to[batch->ranks[row]] = predicted[(size_t)row * DMS_LANES + lane];
    }
}

static int take_targets(void *context, size_t worker)
{
    struct batch_work *work = context;
    size_t target_ct = work->block->target_ct;
    size_t t;

    while ((t = atomic_fetch_add(&work->next_target, DMS_LANES)) < target_ct) {
        size_t lane_ct = target_ct - t < DMS_LANES ? target_ct - t : DMS_LANES;

        for (size_t lane = 0; lane < lane_ct; lane++)
            take_outputs(work, t + lane);
        for (size_t fit = 0; fit < work->setting->fit_ct; fit++)
            take_predictions(work, work->setting->predictors[worker], fit, t, lane_ct);
    }
    return 0;
}

/* ---- all of them ---- */

static int open_reader(const struct dms_block_setting *setting,
                       const struct dms_target_block *block, dms_reader **reader)
{
    struct dms_reader_options options;
    uint64_t first = block->fitted[0].target;

    dms_reader_options_init(&options);
    options.output = setting->output->column->name;
    options.first_target = first;
    options.target_ct = block->fitted[block->target_ct - 1].target - first + 1;
    options.ids = setting->held_out->ranges;
    options.id_range_ct = setting->held_out->range_ct;
    options.batch_rows = setting->batch_rows;
    options.thread_ct = setting->reader_thread_ct;
    options.memory_bytes = setting->reader_bytes;
    return dms_reader_open(setting->snapshot, &options, reader);
}

int dms_target_block_read(const struct dms_block_setting *setting, struct dms_target_block *block,
                          int (*interrupted)(void *context), void *context)
{
    const struct dms_batch *batch;
    dms_reader *reader = NULL;
    int code;

    for (size_t t = 0; t < block->target_ct; t++)
        block->excluded_cts[t] = 0;
    code = open_reader(setting, block, &reader);
    while (code == 0 && (code = dms_reader_next(reader, &batch)) == 0) {
        struct batch_work work = {.setting = setting, .block = block, .batch = batch};

        code = dms_pool_run(setting->pool, setting->worker_ct, take_targets, &work);
        dms_reader_release(reader, batch);
        if (code == 0 && interrupted(context) != 0)
            code = dms_fail(DMS_ERR_INTERRUPTED, "the evaluation was interrupted");
    }
    dms_reader_close(reader);
    return code == DMS_END ? 0 : code;
}
