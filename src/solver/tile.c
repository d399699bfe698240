/*
 * The passes of a tile, batch by batch.
 */
#include "solver/tile.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"

#define ALIGNMENT 64

/* Zeroed, aligned for whole rows of lanes. */
static void *allocate_lanes(uint64_t row_ct, size_t real_bytes)
{
    size_t bytes;
    void *array;

    if (dms_mul_overflow(row_ct, DMS_LANES * real_bytes, &bytes)) {
        dms_fail(DMS_ERR_NO_MEMORY, "a tile of %" PRIu64 " rows is too large for this machine",
                 row_ct);
        return NULL;
    }
    array = dms_alloc_aligned(ALIGNMENT, bytes ? bytes : ALIGNMENT);
    if (array)
        memset(array, 0, bytes);
    return array;
}

int dms_tile_scratch_create(size_t example_ct, size_t batch_rows, struct dms_tile_scratch *scratch)
{
    size_t workspace = 0;

    memset(scratch, 0, sizeof *scratch);
    for (size_t bytes = sizeof(float); bytes <= sizeof(double); bytes += sizeof(float)) {
        const struct dms_lane_variant *variant = dms_lane_variant_get();
        size_t needed = (bytes == sizeof(float) ? variant->f32 : variant->f64)->workspace_bytes;

        workspace = needed > workspace ? needed : workspace;
    }
    scratch->outputs = allocate_lanes(batch_rows, sizeof(double));
    scratch->row_weights = allocate_lanes(batch_rows, sizeof(double));
    scratch->products = allocate_lanes(batch_rows, sizeof(double));
    scratch->residuals = allocate_lanes(batch_rows, sizeof(double));
    scratch->sums = allocate_lanes(example_ct, sizeof(double));
    scratch->workspace = dms_alloc_aligned(ALIGNMENT, workspace + ALIGNMENT);
    if (!scratch->outputs || !scratch->row_weights || !scratch->products || !scratch->residuals ||
        !scratch->sums || !scratch->workspace) {
        dms_tile_scratch_free(scratch);
        return DMS_ERR_NO_MEMORY;
    }
    return DMS_OK;
}

void dms_tile_scratch_free(struct dms_tile_scratch *scratch)
{
    free(scratch->outputs);
    free(scratch->row_weights);
    free(scratch->products);
    free(scratch->residuals);
    free(scratch->sums);
    free(scratch->workspace);
    memset(scratch, 0, sizeof *scratch);
}

uint64_t dms_tile_bytes(size_t example_ct, uint64_t row_ct, size_t real_bytes, bool with_table)
{
    uint64_t examples = (uint64_t)example_ct * DMS_LANES;
    /* Weights, the last proximal point, average gradients. Counts and penalties come with weights.
     */
    uint64_t bytes = examples * (2 * real_bytes + sizeof(double));

    if (with_table)
        bytes += row_ct * DMS_LANES * real_bytes;
    return bytes + sizeof(struct dms_tile);
}

int dms_tile_create(struct dms_design *design, size_t real_bytes, bool with_table,
                    struct dms_tile **tile)
{
    const struct dms_lane_variant *variant = dms_lane_variant_get();
    struct dms_tile *made = dms_alloc(1, sizeof *made);
    int rc = DMS_ERR_NO_MEMORY;

    if (!made)
        return rc;
    dms_tile_init_lanes(made, design);
    made->kernels = real_bytes == sizeof(float) ? variant->f32 : variant->f64;
    made->updates = dms_lane_updates_get(real_bytes);
    made->used_penalties = dms_design_penalties(design, real_bytes);
    made->weights = allocate_lanes(design->example_ct, real_bytes);
    made->averages = allocate_lanes(design->example_ct, sizeof(double));
    if (with_table)
        made->table = allocate_lanes(design->row_ct, real_bytes);
    if (!made->used_penalties || !made->weights || !made->averages || (with_table && !made->table))
        goto out;
    *tile = made;
    made = NULL;
    rc = DMS_OK;
out:
    dms_tile_free(made);
    return rc;
}

void dms_tile_free(struct dms_tile *tile)
{
    if (!tile)
        return;
    free(tile->weights);
    free(tile->averages);
    free(tile->table);
    free(tile->previous);
    free(tile->counts);
    free(tile->penalties);
    for (size_t l = 0; l < DMS_LANES; l++)
        dms_polish_free(tile->polish[l]);
    free(tile);
}

/* ---- weights ---- */

static double load(const void *values, size_t at, size_t real_bytes)
{
    return real_bytes == sizeof(float) ? (double)((const float *)values)[at]
                                       : ((const double *)values)[at];
}

static void store(void *values, size_t at, size_t real_bytes, double value)
{
    if (real_bytes == sizeof(float))
        ((float *)values)[at] = (float)value;
    else
        ((double *)values)[at] = value;
}

double dms_tile_weight(const struct dms_tile *tile, size_t example, size_t lane)
{
    return load(tile->weights, example * DMS_LANES + lane, tile->kernels->real_bytes);
}

void dms_tile_set_weight(struct dms_tile *tile, size_t example, size_t lane, double weight)
{
    store(tile->weights, example * DMS_LANES + lane, tile->kernels->real_bytes, weight);
}

static void update_shifts(struct dms_tile *tile)
{
    memset(tile->shift, 0, sizeof tile->shift);
    for (size_t k = 0; k < tile->design->example_ct; k++)
        for (size_t l = 0; l < DMS_LANES; l++)
            tile->shift[l] += tile->design->means[k] * dms_tile_weight(tile, k, l);
}

void dms_tile_set_bias(struct dms_tile *tile, size_t lane, double bias)
{
    double shift = 0;

    for (size_t k = 0; k < tile->design->example_ct; k++)
        shift += tile->design->means[k] * dms_tile_weight(tile, k, lane);
    tile->shift[lane] = shift;
    tile->centre[lane] = bias + shift;
}

/* ---- a batch ---- */

/* The outputs of the tile's targets, row by row. Lanes without a target get what is in column 0. */
static void gather_outputs(const struct dms_tile *tile, const struct dms_batch *batch,
                           void *gathered)
{
    size_t columns[DMS_LANES];

    for (size_t l = 0; l < DMS_LANES; l++)
        columns[l] = tile->lanes[l].used ? tile->lanes[l].column : 0;
    for (size_t i = 0; i < batch->row_ct; i++) {
        const float *row = (const float *)batch->outputs + i * batch->output_stride_values;

        if (tile->kernels->real_bytes == sizeof(float))
            for (size_t l = 0; l < DMS_LANES; l++)
                ((float *)gathered)[i * DMS_LANES + l] = row[columns[l]];
        else
            for (size_t l = 0; l < DMS_LANES; l++)
                ((double *)gathered)[i * DMS_LANES + l] = (double)row[columns[l]];
    }
}

/* The weights of the rows in every lane, 0 or 1. A row of weight 0 gets output 0, since a NaN would
 * survive the product with 0. */
static void weigh_rows(const struct dms_tile *tile, const struct dms_batch *batch,
                       struct dms_tile_scratch *scratch)
{
    size_t real_bytes = tile->kernels->real_bytes;

    for (size_t i = 0; i < batch->row_ct; i++) {
        const uint8_t *mask = batch->masks + i * batch->mask_stride_bytes;

        for (size_t l = 0; l < DMS_LANES; l++) {
            const struct dms_lane *lane = &tile->lanes[l];
            size_t at = i * DMS_LANES + l;
            bool excluded = lane->self >= 0 && (mask[lane->self >> 3] >> (lane->self & 7) & 1);
            bool counts =
                lane->used && !excluded && isfinite(load(scratch->outputs, at, real_bytes));

            store(scratch->row_weights, at, real_bytes, counts);
            if (!counts)
                store(scratch->outputs, at, real_bytes, 0);
        }
    }
}

static void gather(const struct dms_tile *tile, const struct dms_batch *batch,
                   struct dms_tile_scratch *scratch, bool with_weights)
{
    gather_outputs(tile, batch, scratch->outputs);
    if (with_weights)
        weigh_rows(tile, batch, scratch);
}

static void add_moments(struct dms_tile *tile, const struct dms_batch *batch,
                        struct dms_tile_scratch *scratch)
{
    const float *outputs = batch->outputs;
    size_t real_bytes = tile->kernels->real_bytes;

    gather(tile, batch, scratch, true);
    for (size_t i = 0; i < batch->row_ct; i++) {
        for (size_t l = 0; l < DMS_LANES; l++) {
            struct dms_lane *lane = &tile->lanes[l];
            double y;

            if (!lane->used)
                continue;
            if (!isfinite(outputs[i * batch->output_stride_values + lane->column]))
                lane->nonfinite = true;
            if (load(scratch->row_weights, i * DMS_LANES + l, real_bytes) == 0)
                continue;
            y = load(scratch->outputs, i * DMS_LANES + l, real_bytes);
            if (tile->row_ct[l] == 0)
                tile->first[l] = y;
            tile->row_ct[l] += 1;
            tile->moment[0][l] += y - tile->first[l];
            tile->moment[1][l] += (y - tile->first[l]) * (y - tile->first[l]);
        }
    }
}

static void add_counts(struct dms_tile *tile, const struct dms_batch *batch,
                       struct dms_tile_scratch *scratch)
{
    size_t example_ct = tile->design->example_ct;

    gather(tile, batch, scratch, true);
    tile->kernels->multiply_transposed(batch->mask_columns, example_ct, batch->row_ct, example_ct,
                                       scratch->row_weights, scratch->sums, scratch->workspace);
    tile->updates->accumulate(example_ct * DMS_LANES, scratch->sums, tile->counts);
}

/* Residuals of the batch at the weights as they are, added to the sums of the pass. */
static void find_residuals(struct dms_tile *tile, const struct dms_batch *batch,
                           struct dms_tile_scratch *scratch)
{
    double bias[DMS_LANES], mean[DMS_LANES];
    /* Validation rows are others than those whose moments were taken. */
    bool with_weights = tile->weighted || tile->pass == DMS_PASS_VALIDATE;

    for (size_t l = 0; l < DMS_LANES; l++) {
        bias[l] = tile->centre[l] - tile->shift[l];
        mean[l] = tile->lanes[l].mean;
    }
    gather(tile, batch, scratch, with_weights);
    tile->kernels->multiply(batch->masks, batch->row_ct, batch->mask_stride_bytes,
                            tile->design->example_ct, tile->weights, scratch->products,
                            scratch->workspace);
    tile->updates->residuals(batch->row_ct, scratch->products, scratch->outputs,
                             with_weights ? scratch->row_weights : NULL, bias, mean,
                             scratch->residuals, &tile->sums);
}

static void evaluate_batch(struct dms_tile *tile, const struct dms_batch *batch,
                           struct dms_tile_scratch *scratch)
{
    size_t example_ct = tile->design->example_ct;
    size_t row_bytes = DMS_LANES * tile->kernels->real_bytes;

    find_residuals(tile, batch, scratch);
    if (tile->table)
        for (size_t i = 0; i < batch->row_ct; i++)
            memcpy((uint8_t *)tile->table + batch->ranks[i] * row_bytes,
                   (uint8_t *)scratch->residuals + i * row_bytes, row_bytes);
    tile->kernels->multiply_transposed(batch->mask_columns, example_ct, batch->row_ct, example_ct,
                                       scratch->residuals, scratch->sums, scratch->workspace);
    tile->updates->accumulate(example_ct * DMS_LANES, scratch->sums, tile->averages);
}

static void saga_batch(struct dms_tile *tile, const struct dms_batch *batch,
                       struct dms_tile_scratch *scratch)
{
    size_t example_ct = tile->design->example_ct;
    struct dms_lane_step step;

    find_residuals(tile, batch, scratch);
    tile->updates->exchange(batch->row_ct, batch->ranks, scratch->residuals, tile->table,
                            scratch->residuals, step.correction_sum);
    tile->kernels->multiply_transposed(batch->mask_columns, example_ct, batch->row_ct, example_ct,
                                       scratch->residuals, scratch->sums, scratch->workspace);
    dms_tile_prepare_step(tile, batch->row_ct, &step);
    memset(tile->shift, 0, sizeof tile->shift);
    tile->updates->step(example_ct, &step, scratch->sums, tile->design->means,
                        tile->design->inverse_variances, tile->used_penalties, tile->averages,
                        tile->weights, tile->shift);
}

static void validate_batch(struct dms_tile *tile, const struct dms_batch *batch,
                           struct dms_tile_scratch *scratch)
{
    find_residuals(tile, batch, scratch);
    for (size_t i = 0; i < batch->row_ct; i++)
        for (size_t l = 0; l < DMS_LANES; l++)
            tile->row_ct[l] +=
                load(scratch->row_weights, i * DMS_LANES + l, tile->kernels->real_bytes);
}

void dms_tile_batch(struct dms_tile *tile, const struct dms_batch *batch,
                    struct dms_tile_scratch *scratch)
{
    switch (tile->pass) {
    case DMS_PASS_NONE:
        break;
    case DMS_PASS_MOMENTS:
        add_moments(tile, batch, scratch);
        break;
    case DMS_PASS_COUNTS:
        add_counts(tile, batch, scratch);
        break;
    case DMS_PASS_SAGA:
        saga_batch(tile, batch, scratch);
        break;
    case DMS_PASS_EVALUATE:
        evaluate_batch(tile, batch, scratch);
        break;
    case DMS_PASS_VALIDATE:
        validate_batch(tile, batch, scratch);
        break;
    case DMS_PASS_PAIRS:
        if (tile->weighted)
            gather(tile, batch, scratch, true);
        dms_tile_count_pairs(tile, batch, scratch->row_weights);
        break;
    }
}

/* ---- before and after ---- */

int dms_tile_begin(struct dms_tile *tile)
{
    size_t value_ct = tile->design->example_ct * DMS_LANES;

    dms_tile_clear_sums(tile);
    if (tile->pass == DMS_PASS_EVALUATE)
        memset(tile->averages, 0, value_ct * sizeof(double));
    if (tile->pass == DMS_PASS_COUNTS && !tile->counts) {
        tile->counts = allocate_lanes(tile->design->example_ct, sizeof(double));
        if (!tile->counts)
            return DMS_ERR_NO_MEMORY;
    } else if (tile->pass == DMS_PASS_COUNTS) {
        memset(tile->counts, 0, value_ct * sizeof(double));
    }
    return DMS_OK;
}

/* The mean of example k over the rows of lane l; exactly 0 or 1 where it is constant. */
static double lane_mean(const struct dms_tile *tile, size_t example, size_t lane)
{
    if (!tile->counts)
        return tile->design->means[example];
    return tile->lanes[lane].row_weight > 0
               ? tile->counts[example * DMS_LANES + lane] / tile->lanes[lane].row_weight
               : 0;
}

double dms_tile_scale(const struct dms_tile *tile, size_t k, size_t l)
{
    /* An example in all models or in none has no weight in any lane. */
    return tile->design->inverse_variances[k] > 0
               ? dms_design_scale(tile->design->standardize, lane_mean(tile, k, l))
               : 0;
}

double dms_tile_gradient(const struct dms_tile *tile, size_t k, size_t l)
{
    double gradient = tile->averages[k * DMS_LANES + l];

    if (tile->counts)
        gradient += tile->residual_mean[l] * (tile->design->means[k] - lane_mean(tile, k, l));
    return gradient;
}

/* From the counts: each lane's own penalties. */
static int end_counts(struct dms_tile *tile)
{
    size_t real_bytes = tile->kernels->real_bytes;

    if (!tile->penalties)
        tile->penalties = allocate_lanes(tile->design->example_ct, real_bytes);
    if (!tile->penalties)
        return DMS_ERR_NO_MEMORY;
    for (size_t k = 0; k < tile->design->example_ct; k++) {
        for (size_t l = 0; l < DMS_LANES; l++) {
            double scale = dms_design_scale(tile->design->standardize, lane_mean(tile, k, l));
            double penalty =
                scale > 0 ? scale * tile->design->inverse_variances[k] : DMS_PENALTY_BLOCKED;

            store(tile->penalties, k * DMS_LANES + l, real_bytes, penalty);
        }
    }
    tile->used_penalties = tile->penalties;
    return DMS_OK;
}

/* The gap of every lane, from the average gradient and the sums of an evaluation. */
static void measure_gaps(struct dms_tile *tile)
{
    double norm[DMS_LANES] = {0}, largest[DMS_LANES] = {0};
    size_t weight_ct[DMS_LANES] = {0};

    for (size_t k = 0; k < tile->design->example_ct; k++) {
        double shared = dms_design_scale(tile->design->standardize, tile->design->means[k]);

        if (shared == 0)
            continue;
        for (size_t l = 0; l < DMS_LANES; l++) {
            /* One square root for all lanes where they share it. */
            double scale = tile->counts ? dms_tile_scale(tile, k, l) : shared;
            double weight = dms_tile_weight(tile, k, l);

            if (scale == 0)
                continue;
            norm[l] += scale * fabs(weight);
            weight_ct[l] += weight != 0;
            largest[l] = fmax(largest[l], fabs(dms_tile_gradient(tile, k, l)) / scale);
        }
    }
    dms_tile_find_gaps(tile, norm, largest, weight_ct);
}

/* Sums of x e become the average gradient of the centred masks. */
static void end_evaluation(struct dms_tile *tile)
{
    double scale[DMS_LANES];

    dms_tile_find_residual_means(tile);
    for (size_t l = 0; l < DMS_LANES; l++)
        scale[l] = tile->lanes[l].row_weight > 0 ? 1 / tile->lanes[l].row_weight : 0;
    for (size_t k = 0; k < tile->design->example_ct; k++)
        for (size_t l = 0; l < DMS_LANES; l++) {
            double *average = &tile->averages[k * DMS_LANES + l];

            *average = *average * scale[l] - tile->design->means[k] * tile->centre_average[l];
        }
    measure_gaps(tile);
    dms_tile_take_best_bias(tile);
}

int dms_tile_end(struct dms_tile *tile)
{
    int rc = DMS_OK;

    switch (tile->pass) {
    case DMS_PASS_NONE:
    case DMS_PASS_PAIRS:
        break;
    case DMS_PASS_MOMENTS:
        dms_tile_end_moments(tile);
        break;
    case DMS_PASS_COUNTS:
        rc = end_counts(tile);
        break;
    case DMS_PASS_SAGA:
        dms_tile_find_divergence(tile);
        break;
    case DMS_PASS_EVALUATE:
        end_evaluation(tile);
        break;
    case DMS_PASS_VALIDATE:
        dms_tile_end_validation(tile);
        break;
    }
    tile->pass = DMS_PASS_NONE;
    return rc;
}

/* ---- accelerated steps ---- */

void dms_tile_restart(struct dms_tile *tile, size_t lane)
{
    size_t real_bytes = tile->kernels->real_bytes;

    tile->lanes[lane].momentum = 1;
    tile->lanes[lane].pure = true;
    if (!tile->previous)
        return;
    for (size_t at = lane; at < tile->design->example_ct * DMS_LANES; at += DMS_LANES)
        store(tile->previous, at, real_bytes, load(tile->weights, at, real_bytes));
}

static double soften(double value, double threshold)
{
    return value > threshold ? value - threshold : value < -threshold ? value + threshold : 0;
}

/* The proximal point of the weight at `at` of example k, from the gradient of the last evaluation.
 * Row weights only scale the curvature up, by at most N / W. */
static double proximal_point(const struct dms_tile *tile, size_t k, size_t l)
{
    size_t at = k * DMS_LANES + l;
    size_t real_bytes = tile->kernels->real_bytes;
    const struct dms_design *design = tile->design;
    const struct dms_lane *lane = &tile->lanes[l];
    double point = load(tile->weights, at, real_bytes);
    double step = lane->row_weight / ((double)design->row_ct * tile->eigenvalue);

    if (!lane->moving || !(lane->row_weight > 0))
        return point;
    return soften(point - step * design->inverse_variances[k] * dms_tile_gradient(tile, k, l),
                  step * lane->lambda * load(tile->used_penalties, at, real_bytes));
}

static void descend(struct dms_tile *tile)
{
    size_t real_bytes = tile->kernels->real_bytes;

    for (size_t k = 0; k < tile->design->example_ct; k++)
        for (size_t l = 0; l < DMS_LANES; l++)
            store(tile->weights, k * DMS_LANES + l, real_bytes, proximal_point(tile, k, l));
    update_shifts(tile);
}

/* The proximal points go to `previous` and what was there to `averages`, which are used up by it;
 * restart[l] becomes the scalar product that tells whether momentum went too far. */
static void proximal_points(struct dms_tile *tile, double *restart)
{
    size_t real_bytes = tile->kernels->real_bytes;
    const struct dms_design *design = tile->design;

    for (size_t k = 0; k < design->example_ct; k++) {
        for (size_t l = 0; l < DMS_LANES; l++) {
            size_t at = k * DMS_LANES + l;
            double point = load(tile->weights, at, real_bytes);
            double last = load(tile->previous, at, real_bytes);
            double next = proximal_point(tile, k, l);

            if (design->inverse_variances[k] > 0)
                restart[l] += (point - next) * (next - last) / design->inverse_variances[k];
            tile->averages[at] = last;
            store(tile->previous, at, real_bytes, next);
        }
    }
}

static int accelerate(struct dms_tile *tile)
{
    size_t real_bytes = tile->kernels->real_bytes;
    double restart[DMS_LANES] = {0}, push[DMS_LANES] = {0};

    if (!tile->previous) {
        tile->previous = allocate_lanes(tile->design->example_ct, real_bytes);
        if (!tile->previous)
            return DMS_ERR_NO_MEMORY;
        memcpy(tile->previous, tile->weights, tile->design->example_ct * DMS_LANES * real_bytes);
    }
    proximal_points(tile, restart);
    for (size_t l = 0; l < DMS_LANES; l++)
        if (tile->lanes[l].moving)
            push[l] = dms_tile_push(tile, l, restart[l]);
    for (size_t k = 0; k < tile->design->example_ct; k++)
        for (size_t l = 0; l < DMS_LANES; l++) {
            size_t at = k * DMS_LANES + l;
            double next = load(tile->previous, at, real_bytes);

            if (tile->lanes[l].moving)
                store(tile->weights, at, real_bytes,
                      push[l] == 0 ? next : next + push[l] * (next - tile->averages[at]));
        }
    update_shifts(tile);
    return DMS_OK;
}

int dms_tile_step(struct dms_tile *tile)
{
    enum dms_step step = tile->step;

    tile->step = DMS_STEP_NONE;
    if (step == DMS_STEP_ACCELERATE)
        return accelerate(tile);
    if (step == DMS_STEP_DESCEND)
        descend(tile);
    return DMS_OK;
}
