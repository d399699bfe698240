/*
 * Reads the outputs of a block of targets; see target_outputs.h.
 */
#include "solver/target_outputs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "kernels/lane_updates.h"
#include "kernels/lanes.h"
#include "solver/pass.h"

uint64_t dms_target_outputs_bytes(size_t example_ct, uint64_t row_ct, enum dms_kept_outputs keep)
{
    uint64_t kept = keep == DMS_KEEP_PRODUCTS ? 2 * sizeof(double) * (uint64_t)example_ct
                                              : sizeof(float) * row_ct;

    return kept + row_ct / 8 + sizeof(uint64_t) + sizeof(struct dms_output_moments);
}

double dms_output_mean(const struct dms_output_moments *moments)
{
    return moments->row_weight > 0 ? moments->shift + moments->sum / moments->row_weight : 0;
}

double dms_output_null_deviance(const struct dms_output_moments *moments)
{
    double weight = moments->row_weight;

    if (!(weight > 0))
        return 0;
    return fmax(0, moments->square_sum - moments->sum * moments->sum / weight) / (2 * weight);
}

static int allocate(struct dms_target_outputs *targets, enum dms_kept_outputs keep)
{
    size_t lane_ct = targets->tile_ct * DMS_LANES, value_ct, bytes;

    targets->moments = dms_alloc(lane_ct, sizeof *targets->moments);
    targets->row_words = dms_alloc(lane_ct * targets->word_ct, sizeof *targets->row_words);
    if (!targets->moments || !targets->row_words)
        return DMS_ERR_NO_MEMORY;
    if (keep == DMS_KEEP_OUTPUTS) {
        targets->outputs =
            dms_alloc(targets->row_ct * targets->target_ct, sizeof *targets->outputs);
        return targets->outputs ? DMS_OK : DMS_ERR_NO_MEMORY;
    }
    if (dms_mul_overflow(lane_ct, targets->example_ct, &value_ct) ||
        dms_mul_overflow(value_ct, sizeof(double), &bytes))
        return dms_fail(DMS_ERR_NO_MEMORY, "a block of %zu targets is too large", lane_ct);
    targets->products = dms_alloc_aligned(64, bytes);
    targets->sums = dms_alloc_aligned(64, bytes);
    if (!targets->products || !targets->sums)
        return DMS_ERR_NO_MEMORY;
    memset(targets->products, 0, bytes);
    return DMS_OK;
}

/* ---- a batch ---- */

struct batch_work {
    const struct dms_problem *problem;
    struct dms_pool *pool;
    struct dms_target_outputs *targets;
    const struct dms_batch *batch;
};

static bool has_example(const struct dms_batch *batch, size_t row, int64_t example)
{
    return example >= 0 &&
           (batch->masks[row * batch->mask_stride_bytes + (size_t)(example >> 3)] >> (example & 7) &
            1);
}

/* Takes in one output; returns it for the products, or 0 when its row has no weight. */
static double take_output(const struct batch_work *work, size_t row, size_t target)
{
    struct dms_target_outputs *targets = work->targets;
    struct dms_output_moments *moments = &targets->moments[target];
    const struct dms_batch *batch = work->batch;
    const float *outputs = batch->outputs;
    const int64_t *self = work->problem->self;
    double y = (double)outputs[row * batch->output_stride_values + target];
    uint64_t position = batch->position + row;

    if (!isfinite(y) || (self && has_example(batch, row, self[targets->first + target])))
        return 0;
    if (moments->row_weight == 0)
        moments->shift = y;
    targets->row_words[target * targets->word_ct + position / 64] |= UINT64_C(1) << (position & 63);
    moments->row_weight += 1;
    y -= moments->shift;
    moments->sum += y;
    moments->square_sum += y * y;
    return y;
}

static int take_tile(void *context, size_t tile)
{
    const struct batch_work *work = context;
    struct dms_target_outputs *targets = work->targets;
    const struct dms_batch *batch = work->batch;
    const struct dms_lane_kernels *kernels = dms_lane_variant_get()->f64;
    size_t value_ct = (size_t)batch->row_ct * DMS_LANES, first = tile * DMS_LANES;
    size_t product_ct = targets->example_ct * DMS_LANES;
    double *values = dms_alloc_aligned(64, value_ct * sizeof *values + kernels->workspace_bytes);

    if (!values)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < batch->row_ct; i++)
        for (size_t l = 0; l < DMS_LANES; l++)
            values[i * DMS_LANES + l] =
                first + l < targets->target_ct ? take_output(work, i, first + l) : 0;
    if (targets->products) {
        kernels->multiply_transposed(batch->mask_columns, targets->example_ct, batch->row_ct,
                                     targets->example_ct, values, targets->sums + tile * product_ct,
                                     values + value_ct);
        dms_lane_updates_get(sizeof(double))
            ->accumulate(product_ct, targets->sums + tile * product_ct,
                         targets->products + tile * product_ct);
    }
    free(values);
    return DMS_OK;
}

static void keep_outputs(struct dms_target_outputs *targets, const struct dms_batch *batch)
{
    const float *outputs = batch->outputs;

    for (size_t i = 0; i < batch->row_ct; i++)
        memcpy(targets->outputs + (batch->position + i) * targets->target_ct,
               outputs + i * batch->output_stride_values, targets->target_ct * sizeof *outputs);
}

static int take_batch(void *context, const struct dms_batch *batch)
{
    struct batch_work *work = context;

    work->batch = batch;
    if (work->targets->outputs)
        keep_outputs(work->targets, batch);
    return dms_pool_run(work->pool, work->targets->tile_ct, take_tile, work);
}

int dms_target_outputs_read(const struct dms_problem *problem, struct dms_pool *pool,
                            enum dms_role role, size_t first, size_t target_ct,
                            enum dms_kept_outputs keep, struct dms_target_outputs *targets)
{
    struct dms_target_outputs made = {
        .first = first,
        .target_ct = target_ct,
        .tile_ct = (target_ct + DMS_LANES - 1) / DMS_LANES,
        .example_ct = problem->example_ct,
        .row_ct = problem->row_ct[role],
        .word_ct = (size_t)((problem->row_ct[role] + 63) / 64),
    };
    struct batch_work work = {.problem = problem, .pool = pool, .targets = &made};
    int rc = allocate(&made, keep);

    if (rc == DMS_OK)
        rc = dms_problem_visit(problem, role, first, target_ct, take_batch, &work);
    free(made.sums);
    made.sums = NULL;
    if (rc < 0)
        dms_target_outputs_free(&made);
    else
        *targets = made;
    return rc;
}

void dms_target_outputs_free(struct dms_target_outputs *targets)
{
    free(targets->moments);
    free(targets->row_words);
    free(targets->products);
    free(targets->outputs);
    *targets = (struct dms_target_outputs){0};
}
