/*
 * The passes of a panel on the device, batch by batch; src/solver/tile.c has the same on the
 * processor. What follows from sums is worked out on the host, by tile_lanes.c for both.
 */
#include "solver/cuda_panel.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"

/* ---- what tiles take part in ---- */

static enum dms_cuda_mode mode_of_pass(const struct dms_tile *tile)
{
    switch (tile->pass) {
    case DMS_PASS_NONE:
        break;
    case DMS_PASS_SAGA:
        return DMS_CUDA_MODE_SAGA;
    case DMS_PASS_MOMENTS:
    case DMS_PASS_COUNTS:
    case DMS_PASS_PAIRS:
    case DMS_PASS_VALIDATE:
        return DMS_CUDA_MODE_VALIDATE;
    case DMS_PASS_EVALUATE:
        return DMS_CUDA_MODE_EVALUATE;
    }
    return DMS_CUDA_MODE_NONE;
}

static enum dms_cuda_mode mode_of_evaluation(const struct dms_tile *tile)
{
    return tile->pass == DMS_PASS_EVALUATE ? DMS_CUDA_MODE_EVALUATE : DMS_CUDA_MODE_NONE;
}

static enum dms_cuda_mode mode_of_descent(const struct dms_tile *tile)
{
    return tile->step == DMS_STEP_DESCEND ? DMS_CUDA_MODE_EVALUATE : DMS_CUDA_MODE_NONE;
}

static enum dms_cuda_mode mode_of_acceleration(const struct dms_tile *tile)
{
    return tile->step == DMS_STEP_ACCELERATE ? DMS_CUDA_MODE_EVALUATE : DMS_CUDA_MODE_NONE;
}

/* Where some tiles count the rows of each example all do: the numbers are there for every lane or
 * for none. */
static enum dms_cuda_mode mode_of_counts(const struct dms_tile *tile)
{
    (void)tile;
    return DMS_CUDA_MODE_VALIDATE;
}

/* Tiles make the same kind of pass, but that some are evaluated while others are in SAGA. */
static enum dms_pass pass_of(const struct dms_panel *panel)
{
    enum dms_pass pass = DMS_PASS_NONE;

    for (size_t t = 0; t < panel->tile_ct; t++)
        if (panel->tiles[t]->pass != DMS_PASS_NONE && pass != DMS_PASS_SAGA)
            pass = panel->tiles[t]->pass;
    return pass;
}

/* ---- products ---- */

static bool takes_doubles(const struct dms_panel *panel)
{
    const struct dms_cuda_state *state = panel->state;

    return panel->real_bytes == sizeof(double) || state->cuda->in_double;
}

static int split(const struct dms_cuda_state *state, const double *values, uint32_t factor_ct,
                 uint64_t *halves, double *scales)
{
    const struct dms_cuda_split work = {.values = values,
                                        .halves = halves,
                                        .scales = scales,
                                        .partial = state->view.partial,
                                        .factor_ct = factor_ct,
                                        .stride = state->view.stride};

    return state->cuda->module->split_halves(&work, state->computing);
}

static int multiply(const struct dms_panel *panel, const struct dms_cuda_product *product)
{
    const struct dms_cuda_state *state = panel->state;
    const struct dms_cuda_module *module = state->cuda->module;

    return takes_doubles(panel) ? module->multiply(product, state->computing)
                                : module->multiply_halves(product, state->computing);
}

/* The weights as the products of the next batches take them. */
static int prepare_weights(const struct dms_panel *panel)
{
    const struct dms_cuda_state *state = panel->state;

    return takes_doubles(panel) ? 0
                                : split(state, state->view.weights, state->view.example_ct,
                                        state->weight_halves, state->weight_scales);
}

static int multiply_weights(const struct dms_panel *panel, const struct dms_cuda_batch *batch)
{
    const struct dms_cuda_state *state = panel->state;
    const struct dms_cuda_product product = {
        .bits = {batch->masks, batch->mask_words, 1, batch->row_ct, state->view.example_ct},
        .values = state->view.weights,
        .halves = state->weight_halves,
        .scales = state->weight_scales,
        .active = state->active,
        .result = state->view.products,
        .stride = state->view.stride};

    return multiply(panel, &product);
}

/* result = X' residuals, or is increased by it. */
static int multiply_residuals(const struct dms_panel *panel, const struct dms_cuda_batch *batch,
                              double *result, bool adds)
{
    const struct dms_cuda_state *state = panel->state;
    uint32_t example_ct = state->view.example_ct;
    const struct dms_cuda_product product = {
        .bits = {batch->columns, 1, example_ct, example_ct, batch->row_ct},
        .values = state->view.residuals,
        .halves = state->residual_halves,
        .scales = state->residual_scales,
        .active = state->active,
        .result = result,
        .stride = state->view.stride,
        .adds = adds};
    int code = 0;

    if (!takes_doubles(panel))
        code = split(state, state->view.residuals, batch->row_ct, state->residual_halves,
                     state->residual_scales);
    return code == 0 ? multiply(panel, &product) : code;
}

/* ---- a batch ---- */

/* Copies the batch behind what is being computed on; it may be read from when `copied` has come. */
static int copy_batch(const struct dms_panel *panel, const struct dms_batch *batch,
                      const struct dms_cuda_slot *slot, struct dms_cuda_batch *copy)
{
    const struct dms_cuda_state *state = panel->state;
    const struct dms_cuda_module *module = state->cuda->module;
    size_t value_bytes = panel->half_outputs ? sizeof(uint16_t) : sizeof(float);
    int code = module->wait(state->copying, slot->used);

    *copy = (struct dms_cuda_batch){.masks = slot->masks,
                                    .columns = state->columns,
                                    .outputs = slot->outputs,
                                    .ranks = slot->ranks,
                                    .row_ct = batch->row_ct,
                                    .mask_words = (uint32_t)(batch->mask_stride_bytes / 8),
                                    .output_stride = batch->output_stride_values,
                                    .half_outputs = panel->half_outputs};
    if (code == 0)
        code = module->copy(slot->masks, batch->masks, batch->row_ct * batch->mask_stride_bytes,
                            state->copying);
    if (code == 0)
        code =
            module->copy(slot->outputs, batch->outputs,
                         batch->row_ct * batch->output_stride_values * value_bytes, state->copying);
    if (code == 0)
        code = module->copy(slot->ranks, batch->ranks, batch->row_ct * sizeof(uint64_t),
                            state->copying);
    if (code == 0)
        code = module->record(slot->copied, state->copying);
    return code == 0 ? module->wait(state->computing, slot->copied) : code;
}

static int add_counts(const struct dms_panel *panel, const struct dms_cuda_batch *batch)
{
    const struct dms_cuda_state *state = panel->state;
    int code = state->cuda->module->weigh_rows(&state->view, batch, state->computing);

    return code == 0 ? multiply_residuals(panel, batch, state->view.counts, !state->is_first)
                     : code;
}

static int evaluate(const struct dms_panel *panel, const struct dms_cuda_batch *batch)
{
    const struct dms_cuda_state *state = panel->state;
    int code = multiply_weights(panel, batch);

    if (code == 0)
        code = state->cuda->module->find_residuals(&state->view, batch, state->computing);
    if (code == 0 && state->pass == DMS_PASS_EVALUATE)
        code = multiply_residuals(panel, batch, state->view.averages, !state->is_first);
    return code;
}

/* Tiles that are evaluated meanwhile keep their weights, and add to their averages. */
static int take_saga_step(const struct dms_panel *panel, const struct dms_cuda_batch *batch)
{
    const struct dms_cuda_state *state = panel->state;
    int code = evaluate(panel, batch);

    if (code == 0)
        code = multiply_residuals(panel, batch, state->view.sums, false);
    if (code == 0)
        code = state->cuda->module->take_saga_step(&state->view, batch->row_ct, state->is_first,
                                                   state->computing);
    return code == 0 ? prepare_weights(panel) : code;
}

/* Pairs of one lane; the counts of a batch are added up on the host. */
static int count_pairs(const struct dms_panel *panel, const struct dms_cuda_batch *batch, size_t t,
                       size_t l)
{
    const struct dms_cuda_state *state = panel->state;
    const struct dms_cuda_module *module = state->cuda->module;
    struct dms_polish *polish = panel->tiles[t]->polish[l];
    bool is_weighted = panel->tiles[t]->weighted;
    uint32_t example_ct = (uint32_t)polish->example_ct;
    size_t pair_ct = polish->example_ct * polish->example_ct;
    const struct dms_cuda_pairs pairs = {batch->columns,
                                         state->view.example_ct,
                                         (batch->row_ct + 63) / 64,
                                         is_weighted ? state->pair_rows : NULL,
                                         state->pair_examples,
                                         state->pair_examples,
                                         example_ct,
                                         example_ct,
                                         state->pair_cts};
    int code = module->copy(state->pair_examples, polish->examples, example_ct * sizeof(uint32_t),
                            state->computing);

    if (code == 0)
        code = module->clear(state->pair_cts, pair_ct * sizeof(uint64_t), state->computing);
    if (code == 0 && is_weighted)
        code = module->mark_rows(&state->view, batch, (uint32_t)(t * DMS_LANES + l),
                                 state->pair_rows, state->computing);
    if (code == 0)
        code = (state->cuda->counts_in_bits ? module->count_pairs_mma
                                            : module->count_pairs)(&pairs, state->computing);
    if (code == 0)
        code = module->copy(state->host_pairs, state->pair_cts, pair_ct * sizeof(uint64_t),
                            state->computing);
    if (code == 0)
        code = module->finish(state->computing);
    for (size_t i = 0; code == 0 && i < pair_ct; i++)
        polish->pair_cts[i] += state->host_pairs[i];
    return code;
}

static int count_all_pairs(const struct dms_panel *panel, const struct dms_cuda_batch *batch)
{
    int code = 0;

    for (size_t t = 0; t < panel->tile_ct; t++)
        for (size_t l = 0; code == 0 && l < DMS_LANES; l++)
            if (panel->tiles[t]->polish[l])
                code = count_pairs(panel, batch, t, l);
    return code;
}

static int compute(const struct dms_panel *panel, const struct dms_cuda_batch *batch)
{
    const struct dms_cuda_state *state = panel->state;
    const struct dms_cuda_module *module = state->cuda->module;
    int code = 0;

    if (state->pass != DMS_PASS_MOMENTS && state->pass != DMS_PASS_VALIDATE)
        code =
            module->transpose_bits(batch, state->view.example_ct, state->columns, state->computing);
    if (code != 0)
        return code;
    switch (state->pass) {
    case DMS_PASS_NONE:
        break;
    case DMS_PASS_MOMENTS:
        return module->add_moments(&state->view, batch, state->computing);
    case DMS_PASS_COUNTS:
        return add_counts(panel, batch);
    case DMS_PASS_SAGA:
        return take_saga_step(panel, batch);
    case DMS_PASS_EVALUATE:
    case DMS_PASS_VALIDATE:
        return evaluate(panel, batch);
    case DMS_PASS_PAIRS:
        return count_all_pairs(panel, batch);
    }
    return 0;
}

static int check_batch(const struct dms_panel *panel, const struct dms_batch *batch)
{
    const struct dms_cuda_state *state = panel->state;

    if (batch->row_ct <= panel->batch_rows && batch->mask_stride_bytes % 8 == 0 &&
        batch->mask_stride_bytes <= state->mask_words * 8 &&
        batch->output_stride_values <= panel->output_stride)
        return DMS_OK;
    return dms_fail(DMS_ERR_INVALID,
                    "a batch of %" PRIu32 " rows with strides of %zu bytes and %zu values does "
                    "not fit what the device has ready for it",
                    batch->row_ct, batch->mask_stride_bytes, batch->output_stride_values);
}

int dms_cuda_batch(struct dms_panel *panel, const struct dms_batch *batch)
{
    struct dms_cuda_state *state = panel->state;
    const struct dms_cuda_module *module = state->cuda->module;
    const struct dms_cuda_slot *slot = &state->slots[state->batch_ct++ % DMS_CUDA_SLOTS];
    struct dms_cuda_batch copy;
    int rc = check_batch(panel, batch), code;

    if (rc < 0)
        return rc;
    code = copy_batch(panel, batch, slot, &copy);
    if (code == 0)
        code = compute(panel, &copy);
    if (code == 0)
        code = module->record(slot->used, state->computing);
    /* The batch is given back now. Computing goes on. */
    if (code == 0)
        code = module->await(slot->copied);
    state->is_first = false;
    return dms_cuda_check(state->cuda, code, "a pass over the models");
}

/* ---- before and after ---- */

int dms_cuda_begin(struct dms_panel *panel)
{
    struct dms_cuda_state *state = panel->state;
    int rc = dms_cuda_flush(panel);

    state->pass = pass_of(panel);
    state->is_first = true;
    for (size_t t = 0; t < panel->tile_ct; t++)
        dms_tile_clear_sums(panel->tiles[t]);
    if (rc == DMS_OK && state->pass == DMS_PASS_COUNTS)
        rc = dms_cuda_need_counts(panel);
    if (rc == DMS_OK && state->pass == DMS_PASS_PAIRS)
        rc = dms_cuda_need_pairs(panel);
    if (rc == DMS_OK)
        rc = dms_cuda_upload_lanes(panel,
                                   state->pass == DMS_PASS_COUNTS ? mode_of_counts : mode_of_pass);
    if (rc == DMS_OK && (state->pass == DMS_PASS_SAGA || state->pass == DMS_PASS_EVALUATE ||
                         state->pass == DMS_PASS_VALIDATE))
        rc = dms_cuda_check(state->cuda, prepare_weights(panel), "preparing weights");
    return rc;
}

/* Fields of the device as the sums of a tile. */
static void take_sums(const struct dms_panel *panel, size_t t)
{
    struct dms_tile *tile = panel->tiles[t];

    for (size_t l = 0; l < DMS_LANES; l++) {
        tile->sums.residual[l] = *dms_cuda_field(panel, DMS_CUDA_SUM_RESIDUAL, t, l);
        tile->sums.square[l] = *dms_cuda_field(panel, DMS_CUDA_SUM_SQUARE, t, l);
        tile->sums.output[l] = *dms_cuda_field(panel, DMS_CUDA_SUM_OUTPUT, t, l);
        tile->row_ct[l] = *dms_cuda_field(panel, DMS_CUDA_SUM_ROWS, t, l);
        tile->first[l] = *dms_cuda_field(panel, DMS_CUDA_PIVOT, t, l);
        tile->moment[0][l] = *dms_cuda_field(panel, DMS_CUDA_MOMENT_1, t, l);
        tile->moment[1][l] = *dms_cuda_field(panel, DMS_CUDA_MOMENT_2, t, l);
        if (*dms_cuda_field(panel, DMS_CUDA_NONFINITE, t, l) > 0)
            tile->lanes[l].nonfinite = true;
    }
}

/* What SAGA has moved. */
static void take_centres(const struct dms_panel *panel, size_t t)
{
    struct dms_tile *tile = panel->tiles[t];

    for (size_t l = 0; l < DMS_LANES; l++) {
        tile->centre[l] = *dms_cuda_field(panel, DMS_CUDA_CENTRE, t, l);
        tile->centre_average[l] = *dms_cuda_field(panel, DMS_CUDA_CENTRE_AVERAGE, t, l);
        tile->shift[l] = *dms_cuda_field(panel, DMS_CUDA_SHIFT, t, l);
    }
}

static void find_gaps(const struct dms_panel *panel, size_t t)
{
    struct dms_tile *tile = panel->tiles[t];
    double norm[DMS_LANES], largest[DMS_LANES];
    size_t weight_ct[DMS_LANES];

    for (size_t l = 0; l < DMS_LANES; l++) {
        norm[l] = *dms_cuda_field(panel, DMS_CUDA_NORM, t, l);
        largest[l] = *dms_cuda_field(panel, DMS_CUDA_LARGEST, t, l);
        weight_ct[l] = (size_t)*dms_cuda_field(panel, DMS_CUDA_WEIGHT_CT, t, l);
    }
    dms_tile_find_gaps(tile, norm, largest, weight_ct);
    dms_tile_take_best_bias(tile);
}

/* Sums of x e become average gradients on the device, which measures them. */
static int end_evaluations(struct dms_panel *panel)
{
    struct dms_cuda_state *state = panel->state;
    int rc;

    for (size_t t = 0; t < panel->tile_ct; t++)
        if (panel->tiles[t]->pass == DMS_PASS_EVALUATE)
            dms_tile_find_residual_means(panel->tiles[t]);
    rc = dms_cuda_upload_lanes(panel, mode_of_evaluation);
    if (rc == DMS_OK)
        rc = dms_cuda_check(state->cuda,
                            state->cuda->module->end_evaluation(&state->view, state->computing),
                            "measuring gaps");
    if (rc == DMS_OK)
        rc = dms_cuda_download_fields(panel);
    for (size_t t = 0; rc == DMS_OK && t < panel->tile_ct; t++)
        if (panel->tiles[t]->pass == DMS_PASS_EVALUATE)
            find_gaps(panel, t);
    return rc;
}

static void end_tile(const struct dms_panel *panel, size_t t)
{
    struct dms_tile *tile = panel->tiles[t];

    switch (tile->pass) {
    case DMS_PASS_NONE:
    case DMS_PASS_PAIRS:
    case DMS_PASS_COUNTS:
        break;
    case DMS_PASS_MOMENTS:
        take_sums(panel, t);
        dms_tile_end_moments(tile);
        break;
    case DMS_PASS_SAGA:
        take_sums(panel, t);
        take_centres(panel, t);
        dms_tile_find_divergence(tile);
        break;
    case DMS_PASS_EVALUATE:
        take_sums(panel, t);
        break;
    case DMS_PASS_VALIDATE:
        take_sums(panel, t);
        dms_tile_end_validation(tile);
        break;
    }
}

int dms_cuda_end(struct dms_panel *panel)
{
    struct dms_cuda_state *state = panel->state;
    bool is_evaluated = false;
    int rc = dms_cuda_download_fields(panel);

    if (state->pass == DMS_PASS_SAGA)
        state->extracted = NULL;
    for (size_t t = 0; rc == DMS_OK && t < panel->tile_ct; t++) {
        end_tile(panel, t);
        is_evaluated = is_evaluated || panel->tiles[t]->pass == DMS_PASS_EVALUATE;
    }
    if (rc == DMS_OK && is_evaluated)
        rc = end_evaluations(panel);
    for (size_t t = 0; rc == DMS_OK && t < panel->tile_ct; t++)
        panel->tiles[t]->pass = DMS_PASS_NONE;
    return rc;
}

/* ---- steps ---- */

static bool any_step(const struct dms_panel *panel, enum dms_step step)
{
    for (size_t t = 0; t < panel->tile_ct; t++)
        if (panel->tiles[t]->step == step)
            return true;
    return false;
}

static void take_shifts(const struct dms_panel *panel, enum dms_step step)
{
    for (size_t t = 0; t < panel->tile_ct; t++)
        for (size_t l = 0; l < DMS_LANES && panel->tiles[t]->step == step; l++)
            panel->tiles[t]->shift[l] = *dms_cuda_field(panel, DMS_CUDA_SHIFT, t, l);
}

static int descend(struct dms_panel *panel)
{
    const struct dms_cuda_state *state = panel->state;
    int rc = dms_cuda_upload_lanes(panel, mode_of_descent);

    if (rc == DMS_OK)
        rc = dms_cuda_check(state->cuda,
                            state->cuda->module->descend(&state->view, state->computing), "a step");
    if (rc == DMS_OK)
        rc = dms_cuda_download_fields(panel);
    if (rc == DMS_OK)
        take_shifts(panel, DMS_STEP_DESCEND);
    return rc;
}

/* Each lane's momentum, from whether the last went too far. */
static void choose_pushes(struct dms_panel *panel)
{
    struct dms_cuda_state *state = panel->state;

    for (size_t t = 0; t < panel->tile_ct; t++) {
        struct dms_tile *tile = panel->tiles[t];

        if (tile->step != DMS_STEP_ACCELERATE)
            continue;
        for (size_t l = 0; l < DMS_LANES; l++) {
            double restart = *dms_cuda_field(panel, DMS_CUDA_RESTART, t, l);

            *dms_cuda_field(panel, DMS_CUDA_PUSH, t, l) =
                tile->lanes[l].moving ? dms_tile_push(tile, l, restart) : 0;
            state->restarts[t * DMS_LANES + l] = false;
        }
    }
}

static int accelerate(struct dms_panel *panel)
{
    const struct dms_cuda_state *state = panel->state;
    const struct dms_cuda_module *module = state->cuda->module;
    int rc = dms_cuda_upload_lanes(panel, mode_of_acceleration);

    if (rc == DMS_OK)
        rc = dms_cuda_check(state->cuda, module->find_points(&state->view, state->computing),
                            "a step");
    if (rc == DMS_OK)
        rc = dms_cuda_download_fields(panel);
    if (rc < 0)
        return rc;
    choose_pushes(panel);
    rc = dms_cuda_upload_fields(panel);
    if (rc == DMS_OK)
        rc = dms_cuda_check(state->cuda, module->push_points(&state->view, state->computing),
                            "a step");
    if (rc == DMS_OK)
        rc = dms_cuda_download_fields(panel);
    if (rc == DMS_OK)
        take_shifts(panel, DMS_STEP_ACCELERATE);
    return rc;
}

int dms_cuda_step(struct dms_panel *panel)
{
    struct dms_cuda_state *state = panel->state;
    int rc = dms_cuda_flush(panel);

    state->extracted = NULL;
    if (rc == DMS_OK && any_step(panel, DMS_STEP_DESCEND))
        rc = descend(panel);
    if (rc == DMS_OK && any_step(panel, DMS_STEP_ACCELERATE))
        rc = accelerate(panel);
    for (size_t t = 0; t < panel->tile_ct; t++)
        panel->tiles[t]->step = DMS_STEP_NONE;
    return rc;
}
