/*
 * The numbers of lanes on their way between tiles and the device. All of them go at once: they are
 * few beside a batch.
 */
#include "solver/cuda_panel.h"

#include <string.h>

double *dms_cuda_field(const struct dms_panel *panel, enum dms_cuda_field f, size_t t, size_t l)
{
    const struct dms_cuda_state *state = panel->state;

    return &state->fields[(size_t)f * state->view.stride + t * DMS_LANES + l];
}

/* The step of SAGA, or of a proximal step (tile.c): row weights scale the curvature. */
static double lane_step(const struct dms_tile *tile, size_t l, enum dms_cuda_mode mode)
{
    const struct dms_lane *lane = &tile->lanes[l];
    double rows = (double)tile->design->row_ct;

    if (!lane->moving || !(lane->row_weight > 0))
        return 0;
    return mode == DMS_CUDA_MODE_SAGA ? tile->step_scale * lane->row_weight / rows
                                      : lane->row_weight / (rows * tile->eigenvalue);
}

static void fill_fields(struct dms_panel *panel, size_t t, enum dms_cuda_mode mode)
{
    const struct dms_tile *tile = panel->tiles[t];

    for (size_t l = 0; l < DMS_LANES; l++) {
        const struct {
            enum dms_cuda_field field;
            double value;
        } fields[] = {
            {DMS_CUDA_CENTRE, tile->centre[l]},
            {DMS_CUDA_CENTRE_AVERAGE, tile->centre_average[l]},
            {DMS_CUDA_SHIFT, tile->shift[l]},
            {DMS_CUDA_MEAN, tile->lanes[l].mean},
            {DMS_CUDA_ROW_WEIGHT, tile->lanes[l].row_weight},
            {DMS_CUDA_RESIDUAL_MEAN, tile->residual_mean[l]},
            {DMS_CUDA_STEP, lane_step(tile, l, mode)},
            {DMS_CUDA_LAMBDA, tile->lanes[l].lambda},
        };

        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
            *dms_cuda_field(panel, fields[i].field, t, l) = fields[i].value;
    }
}

static void fill_lanes(struct dms_panel *panel, size_t t, enum dms_cuda_mode mode)
{
    struct dms_cuda_state *state = panel->state;
    const struct dms_tile *tile = panel->tiles[t];

    for (size_t l = 0; l < DMS_LANES; l++) {
        const struct dms_lane *lane = &tile->lanes[l];
        size_t at = t * DMS_LANES + l;

        state->lanes[at] = (struct dms_cuda_lane){.self = lane->self,
                                                  .column = (uint32_t)lane->column,
                                                  .used = lane->used,
                                                  .moving = lane->moving && lane->row_weight > 0,
                                                  .mode = (uint8_t)mode,
                                                  .restart = state->restarts[at]};
    }
    state->host_active[t] = mode != DMS_CUDA_MODE_NONE;
}

int dms_cuda_upload_fields(struct dms_panel *panel)
{
    struct dms_cuda_state *state = panel->state;
    size_t bytes = DMS_CUDA_FIELD_CT * (size_t)state->view.stride * sizeof(double);

    return dms_cuda_check(
        state->cuda,
        state->cuda->module->copy(state->view.fields, state->fields, bytes, state->computing),
        "copying numbers of targets");
}

int dms_cuda_download_fields(struct dms_panel *panel)
{
    struct dms_cuda_state *state = panel->state;
    size_t bytes = DMS_CUDA_FIELD_CT * (size_t)state->view.stride * sizeof(double);
    int code =
        state->cuda->module->copy(state->fields, state->view.fields, bytes, state->computing);

    if (code == 0)
        code = state->cuda->module->finish(state->computing);
    return dms_cuda_check(state->cuda, code, "waiting for numbers of targets");
}

int dms_cuda_upload_lanes(struct dms_panel *panel, dms_cuda_mode_function *mode)
{
    struct dms_cuda_state *state = panel->state;
    const struct dms_cuda_module *module = state->cuda->module;
    size_t stride = state->view.stride;
    /* What went there before may still be on its way. */
    int code = module->finish(state->computing);

    memset(state->fields, 0, DMS_CUDA_FIELD_CT * stride * sizeof(double));
    memset(state->lanes, 0, stride * sizeof *state->lanes);
    memset(state->host_active, 0, stride / DMS_CUDA_TILE);
    for (size_t t = 0; t < panel->tile_ct; t++) {
        fill_fields(panel, t, mode(panel->tiles[t]));
        fill_lanes(panel, t, mode(panel->tiles[t]));
    }
    if (code == 0)
        code = module->copy((void *)(uintptr_t)state->view.lanes, state->lanes,
                            stride * sizeof *state->lanes, state->computing);
    if (code == 0)
        code = module->copy(state->active, state->host_active, stride / DMS_CUDA_TILE,
                            state->computing);
    if (code != 0)
        return dms_cuda_check(state->cuda, code, "copying numbers of targets");
    return dms_cuda_upload_fields(panel);
}
