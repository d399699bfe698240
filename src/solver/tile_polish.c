/*
 * Polishing the lanes of a tile: from an evaluation to the small problem of a lane, and its
 * solution back into the tile.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "solver/tile.h"

/* An example matters when its gradient is this near to where it enters. */
#define POLISH_MARGIN 0.95
/* The part of the tolerance that the small problem may use up; the other examples have the rest. */
#define POLISH_SHARE 0.05

static bool matters(const struct dms_tile *tile, size_t k, size_t l)
{
    double scale = dms_tile_scale(tile, k, l);

    if (scale == 0)
        return false;
    return dms_tile_weight(tile, k, l) != 0 ||
           fabs(dms_tile_gradient(tile, k, l)) >= POLISH_MARGIN * tile->lanes[l].lambda * scale;
}

int dms_tile_begin_polish(struct dms_tile *tile, size_t l, double tolerance)
{
    const struct dms_lane *lane = &tile->lanes[l];
    struct dms_polish *polish = NULL;
    size_t example_ct = 0, a = 0;
    int rc;

    for (size_t k = 0; k < tile->design->example_ct; k++)
        example_ct += matters(tile, k, l);
    if (example_ct == 0 || example_ct > DMS_POLISH_EXAMPLES)
        return DMS_OK;
    rc = dms_polish_create(example_ct, &polish);
    if (rc < 0)
        return rc;
    polish->row_weight = lane->row_weight;
    polish->lambda = lane->lambda;
    polish->enough = tolerance * POLISH_SHARE;
    for (size_t k = 0; k < tile->design->example_ct; k++) {
        if (!matters(tile, k, l))
            continue;
        polish->examples[a] = (uint32_t)k;
        polish->weights[a] = dms_tile_weight(tile, k, l);
        polish->gradients[a] = dms_tile_gradient(tile, k, l);
        polish->scales[a++] = dms_tile_scale(tile, k, l);
    }
    tile->polish[l] = polish;
    return DMS_OK;
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
    uint64_t words[DMS_LARGEST_BATCH / 64];

    for (size_t l = 0; l < DMS_LANES; l++) {
        if (!tile->polish[l])
            continue;
        if (tile->weighted)
            pack_row_weights(tile, batch->row_ct, l, row_weights, words);
        dms_polish_count(tile->polish[l], batch->mask_columns, tile->design->example_ct,
                         (batch->row_ct + 63) / 64, tile->weighted ? words : NULL);
    }
}

int dms_tile_end_polish(struct dms_tile *tile, size_t l)
{
    struct dms_polish *polish = tile->polish[l];
    double bias = tile->lanes[l].bias;
    int rc = dms_polish_solve(polish);

    for (size_t a = 0; rc == DMS_OK && a < polish->example_ct; a++)
        if (isfinite(polish->weights[a]))
            dms_tile_set_weight(tile, polish->examples[a], l, polish->weights[a]);
    dms_tile_set_bias(tile, l, bias);
    dms_tile_restart(tile, l);
    dms_polish_free(polish);
    tile->polish[l] = NULL;
    return rc;
}
