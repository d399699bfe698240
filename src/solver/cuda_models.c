/*
 * Models into a panel on the device and out of it. What the host changes is gathered, tile by tile,
 * so that threads may change different tiles at once, and goes to the device in one go.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "solver/cuda_panel.h"

static size_t tile_index(const struct dms_panel *panel, const struct dms_tile *tile)
{
    size_t t = 0;

    while (panel->tiles[t] != tile)
        t++;
    return t;
}

static struct dms_cuda_changes *changes_of(struct dms_panel *panel, const struct dms_tile *tile)
{
    struct dms_cuda_state *state = panel->state;
    struct dms_cuda_changes *changes = &state->changes[tile_index(panel, tile)];

    changes->has_any = true;
    return changes;
}

/* ---- in ---- */

int dms_cuda_set_weights(struct dms_panel *panel, struct dms_tile *tile, size_t l, size_t weight_ct,
                         const uint32_t *examples, const double *weights)
{
    struct dms_cuda_changes *changes = changes_of(panel, tile);
    uint32_t lane = (uint32_t)(tile_index(panel, tile) * DMS_LANES + l);
    int rc = dms_grow((void **)&changes->list, &changes->capacity, changes->weight_ct + weight_ct,
                      sizeof *changes->list);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < weight_ct; i++)
        changes->list[changes->weight_ct++] =
            (struct dms_cuda_weight){weights[i], examples[i], lane};
    return DMS_OK;
}

int dms_cuda_clear_weights(struct dms_panel *panel, struct dms_tile *tile, size_t l)
{
    changes_of(panel, tile)->clears[l] = true;
    return DMS_OK;
}

void dms_cuda_set_bias(struct dms_panel *panel, struct dms_tile *tile, size_t l, double bias)
{
    struct dms_cuda_changes *changes = changes_of(panel, tile);

    changes->bias[l] = bias;
    changes->has_bias[l] = true;
}

void dms_cuda_restart(struct dms_panel *panel, struct dms_tile *tile, size_t l)
{
    struct dms_cuda_state *state = panel->state;

    tile->lanes[l].momentum = 1;
    tile->lanes[l].pure = true;
    state->restarts[tile_index(panel, tile) * DMS_LANES + l] = true;
}

/* The weights of one tile. */
static int send_changes(struct dms_cuda_state *state, const struct dms_cuda_changes *changes,
                        size_t t)
{
    const struct dms_cuda_module *module = state->cuda->module;
    int code = 0;

    for (size_t l = 0; code == 0 && l < DMS_LANES; l++)
        if (changes->clears[l])
            code =
                module->clear_lane(&state->view, (uint32_t)(t * DMS_LANES + l), state->computing);
    for (size_t at = 0; code == 0 && at < changes->weight_ct; at += DMS_CUDA_CHANGES) {
        size_t left = changes->weight_ct - at;
        size_t weight_ct = left < DMS_CUDA_CHANGES ? left : DMS_CUDA_CHANGES;

        code = module->copy(state->changed, changes->list + at, weight_ct * sizeof *changes->list,
                            state->computing);
        if (code == 0)
            code = module->set_weights(&state->view, state->changed, weight_ct, state->computing);
    }
    return code;
}

/* The biases that were asked for, from the shifts of the weights as they are now. */
static void take_biases(struct dms_panel *panel, size_t t)
{
    struct dms_cuda_state *state = panel->state;
    struct dms_cuda_changes *changes = &state->changes[t];
    struct dms_tile *tile = panel->tiles[t];

    for (size_t l = 0; l < DMS_LANES; l++) {
        if (!changes->has_bias[l])
            continue;
        tile->shift[l] = *dms_cuda_field(panel, DMS_CUDA_SHIFT, t, l);
        tile->centre[l] = changes->bias[l] + tile->shift[l];
    }
    free(changes->list);
    *changes = (struct dms_cuda_changes){.list = NULL};
}

int dms_cuda_flush(struct dms_panel *panel)
{
    struct dms_cuda_state *state = panel->state;
    bool any = false;
    int code = 0, rc;

    for (size_t t = 0; code == 0 && t < panel->tile_ct; t++) {
        if (!state->changes[t].has_any)
            continue;
        any = true;
        code = send_changes(state, &state->changes[t], t);
    }
    if (code == 0 && any)
        code = state->cuda->module->find_shifts(&state->view, state->computing);
    rc = dms_cuda_check(state->cuda, code, "taking in models");
    if (rc == DMS_OK && any)
        rc = dms_cuda_download_fields(panel);
    for (size_t t = 0; rc == DMS_OK && t < panel->tile_ct; t++)
        if (state->changes[t].has_any)
            take_biases(panel, t);
    if (any)
        state->extracted = NULL;
    return rc;
}

/* ---- out ---- */

/* The models of the tile lie ready on the device afterwards. */
static int extract_tile(struct dms_panel *panel, const struct dms_tile *tile)
{
    struct dms_cuda_state *state = panel->state;
    const struct dms_cuda_module *module = state->cuda->module;
    int code =
        module->extract(&state->view, (uint32_t)(tile_index(panel, tile) * DMS_LANES), DMS_LANES,
                        state->examples, state->values, state->weight_cts, state->computing);

    if (code == 0)
        code = module->copy(state->host_cts, state->weight_cts, DMS_LANES * sizeof(uint32_t),
                            state->computing);
    if (code == 0)
        code = module->finish(state->computing);
    state->extracted = code == 0 ? tile : NULL;
    return dms_cuda_check(state->cuda, code, "taking out models");
}

static int copy_model(const struct dms_cuda_state *state, size_t l, struct dms_sparse_model *model)
{
    const struct dms_cuda_module *module = state->cuda->module;
    size_t first = l * state->view.example_ct, weight_ct = state->host_cts[l];
    int code;

    dms_sparse_model_free(model);
    model->examples = dms_alloc(weight_ct, sizeof *model->examples);
    model->weights = dms_alloc(weight_ct, sizeof *model->weights);
    if (!model->examples || !model->weights)
        return DMS_ERR_NO_MEMORY;
    code = module->copy(model->examples, state->examples + first,
                        weight_ct * sizeof *model->examples, state->computing);
    if (code == 0)
        code = module->copy(model->weights, state->values + first,
                            weight_ct * sizeof *model->weights, state->computing);
    if (code == 0)
        code = module->finish(state->computing);
    model->weight_ct = weight_ct;
    return dms_cuda_check(state->cuda, code, "taking out a model");
}

int dms_cuda_extract_model(struct dms_panel *panel, const struct dms_tile *tile, size_t l,
                           struct dms_sparse_model *model)
{
    struct dms_cuda_state *state = panel->state;
    int rc = dms_cuda_flush(panel);

    if (rc == DMS_OK && state->extracted != tile)
        rc = extract_tile(panel, tile);
    if (rc == DMS_OK)
        rc = copy_model(state, l, model);
    model->bias = tile->lanes[l].bias;
    return rc;
}

int dms_cuda_view_lane(struct dms_panel *panel, const struct dms_tile *tile, size_t l,
                       struct dms_lane_view *seen)
{
    struct dms_cuda_state *state = panel->state;
    const struct dms_cuda_module *module = state->cuda->module;
    double *parts[] = {seen->weights, seen->gradients, seen->scales};
    size_t example_ct = state->view.example_ct;
    int rc = dms_cuda_flush(panel), code;

    if (rc < 0)
        return rc;
    code = module->view(&state->view, (uint32_t)(tile_index(panel, tile) * DMS_LANES + l),
                        state->seen, state->computing);
    for (size_t i = 0; code == 0 && i < 3; i++)
        code = module->copy(parts[i], state->seen + i * example_ct, example_ct * sizeof(double),
                            state->computing);
    if (code == 0)
        code = module->finish(state->computing);
    return dms_cuda_check(state->cuda, code, "looking at a target");
}
