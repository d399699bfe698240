/*
 * Polishing the lanes of a tile: from an evaluation to the small problem of a lane, and its
 * solution back into the tile.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "solver/tile_polish.h"

/* An example matters when its gradient is this near to where it enters. */
#define POLISH_MARGIN 0.95
/* The part of the tolerance that the small problem may use up; the other examples have the rest. */
#define POLISH_SHARE 0.05

static bool matters(const struct dms_lane_view *view, size_t k, double lambda)
{
    if (view->scales[k] == 0)
        return false;
    return view->weights[k] != 0 ||
           fabs(view->gradients[k]) >= POLISH_MARGIN * lambda * view->scales[k];
}

/* The problem of lane l, unless too many examples matter to it. */
static int pose_problem(struct dms_tile *tile, size_t l, double tolerance,
                        const struct dms_lane_view *view)
{
    const struct dms_lane *lane = &tile->lanes[l];
    struct dms_polish *polish = NULL;
    size_t example_ct = 0, a = 0;
    int rc;

    for (size_t k = 0; k < tile->design->example_ct; k++)
        example_ct += matters(view, k, lane->lambda);
    if (example_ct == 0 || example_ct > DMS_POLISH_EXAMPLES)
        return DMS_OK;
    rc = dms_polish_create(example_ct, &polish);
    if (rc < 0)
        return rc;
    polish->row_weight = lane->row_weight;
    polish->lambda = lane->lambda;
    polish->enough = tolerance * POLISH_SHARE;
    for (size_t k = 0; k < tile->design->example_ct; k++) {
        if (!matters(view, k, lane->lambda))
            continue;
        polish->examples[a] = (uint32_t)k;
        polish->weights[a] = view->weights[k];
        polish->gradients[a] = view->gradients[k];
        polish->scales[a++] = view->scales[k];
    }
    tile->polish[l] = polish;
    return DMS_OK;
}

int dms_tile_begin_polish(struct dms_panel *panel, struct dms_tile *tile, size_t l,
                          double tolerance)
{
    size_t example_ct = panel->design->example_ct;
    double *values = dms_alloc(example_ct, 3 * sizeof *values);
    struct dms_lane_view view = {values, values + example_ct, values + 2 * example_ct};
    int rc = values ? panel->engine->view(panel, tile, l, &view) : DMS_ERR_NO_MEMORY;

    if (rc == DMS_OK)
        rc = pose_problem(tile, l, tolerance, &view);
    free(values);
    return rc;
}

/* Which rows of the batch have weight in lane l, 64 to a word. */
static void pack_row_weights(const struct dms_tile *tile, size_t row_ct, size_t l,
                             const void *row_weights, uint64_t *words)
{
    bool wide = tile->kernels->real_bytes == sizeof(double);

    memset(words, 0, (row_ct + 63) / 64 * sizeof *words);
    for (size_t i = 0; i < row_ct; i++) {
        size_t at = i * DMS_LANES + l;
        bool counts =
            wide ? ((const double *)row_weights)[at] != 0 : ((const float *)row_weights)[at] != 0;

        words[i >> 6] |= (uint64_t)counts << (i & 63);
    }
}

void dms_tile_count_pairs(struct dms_tile *tile, const struct dms_batch *batch,
                          const void *row_weights)
{
    uint64_t words[DMS_BATCH_ROWS_MAX / 64];

    for (size_t l = 0; l < DMS_LANES; l++) {
        if (!tile->polish[l])
            continue;
        if (tile->weighted)
            pack_row_weights(tile, batch->row_ct, l, row_weights, words);
        dms_polish_count(tile->polish[l], batch->mask_columns, tile->design->example_ct,
                         (batch->row_ct + 63) / 64, tile->weighted ? words : NULL);
    }
}

int dms_tile_end_polish(struct dms_panel *panel, struct dms_tile *tile, size_t l)
{
    const struct dms_engine *engine = panel->engine;
    struct dms_polish *polish = tile->polish[l];
    double bias = tile->lanes[l].bias;
    int rc = dms_polish_solve(polish);
    size_t kept = 0;

    for (size_t a = 0; rc == DMS_OK && a < polish->example_ct; a++)
        if (isfinite(polish->weights[a])) {
            polish->examples[kept] = polish->examples[a];
            polish->weights[kept++] = polish->weights[a];
        }
    if (rc == DMS_OK)
        rc = engine->set_weights(panel, tile, l, kept, polish->examples, polish->weights);
    engine->set_bias(panel, tile, l, bias);
    engine->restart(panel, tile, l);
    dms_polish_free(polish);
    tile->polish[l] = NULL;
    return rc;
}
