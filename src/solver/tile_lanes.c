/*
 * The numbers of a tile's lanes: what follows from the sums of a pass, wherever they were taken.
 */
#include <math.h>
#include <string.h>

#include "solver/tile.h"

void dms_tile_init_lanes(struct dms_tile *tile, const struct dms_design *design)
{
    tile->design = design;
    for (size_t l = 0; l < DMS_LANES; l++)
        tile->lanes[l] = (struct dms_lane){.self = -1, .gap = NAN, .momentum = 1, .pure = true};
}

void dms_tile_clear_sums(struct dms_tile *tile)
{
    memset(&tile->sums, 0, sizeof tile->sums);
    memset(tile->row_ct, 0, sizeof tile->row_ct);
    memset(tile->moment, 0, sizeof tile->moment);
}

void dms_tile_end_moments(struct dms_tile *tile)
{
    for (size_t l = 0; l < DMS_LANES; l++) {
        struct dms_lane *lane = &tile->lanes[l];
        double row_weight = tile->row_ct[l];
        double shift = row_weight > 0 ? tile->moment[0][l] / row_weight : 0;
        double square = tile->moment[1][l] - row_weight * shift * shift;

        lane->row_weight = row_weight;
        lane->mean = row_weight > 0 ? tile->first[l] + shift : 0;
        /* A constant has no deviance but what rounding leaves of it. */
        if (!(square > 1e-14 * tile->moment[1][l]))
            square = 0;
        lane->null_deviance = row_weight > 0 ? square / (2 * row_weight) : 0;
        tile->centre[l] = lane->mean;
        if (lane->used && (lane->nonfinite || lane->self >= 0))
            tile->weighted = true;
    }
}

void dms_tile_find_divergence(struct dms_tile *tile)
{
    for (size_t l = 0; l < DMS_LANES; l++)
        tile->lanes[l].diverged = !isfinite(tile->sums.square[l]);
}

void dms_tile_end_validation(struct dms_tile *tile)
{
    for (size_t l = 0; l < DMS_LANES; l++)
        tile->lanes[l].squared_error =
            tile->row_ct[l] > 0 ? tile->sums.square[l] / tile->row_ct[l] : NAN;
}

/* ---- evaluations ---- */

void dms_tile_find_residual_means(struct dms_tile *tile)
{
    for (size_t l = 0; l < DMS_LANES; l++) {
        double row_weight = tile->lanes[l].row_weight;

        tile->centre_average[l] = tile->sums.residual[l] * (row_weight > 0 ? 1 / row_weight : 0);
        tile->residual_mean[l] = tile->centre_average[l];
    }
}

void dms_tile_find_gaps(struct dms_tile *tile, const double *norm, const double *largest,
                        const size_t *weight_ct)
{
    struct dms_certificate certificate;

    for (size_t l = 0; l < DMS_LANES; l++) {
        struct dms_lane *lane = &tile->lanes[l];

        certificate = (struct dms_certificate){.row_weight = lane->row_weight,
                                               .residual_sum = tile->sums.residual[l],
                                               .residual_square = tile->sums.square[l],
                                               .output_product = tile->sums.output[l],
                                               .largest_gradient = largest[l],
                                               .weighted_norm = norm[l],
                                               .lambda = lane->lambda,
                                               .null_deviance = lane->null_deviance};
        lane->gap = lane->used ? dms_certificate_gap(&certificate) : 0;
        lane->largest_gradient = largest[l];
        lane->weight_ct = weight_ct[l];
    }
}

void dms_tile_take_best_bias(struct dms_tile *tile)
{
    for (size_t l = 0; l < DMS_LANES; l++) {
        tile->centre[l] -= tile->centre_average[l];
        tile->lanes[l].bias = tile->centre[l] - tile->shift[l];
    }
}

/* ---- steps ---- */

void dms_tile_prepare_step(struct dms_tile *tile, size_t batch_rows, struct dms_lane_step *step)
{
    double rows = (double)tile->design->row_ct;

    for (size_t l = 0; l < DMS_LANES; l++) {
        const struct dms_lane *lane = &tile->lanes[l];
        double change = step->correction_sum[l];
        bool moving = lane->moving && lane->row_weight > 0;
        double eta = moving ? tile->step_scale * lane->row_weight / rows : 0;

        step->average_scale[l] = lane->row_weight > 0 ? 1 / lane->row_weight : 0;
        step->batch_scale[l] = step->average_scale[l] * rows / (double)batch_rows;
        step->step[l] = eta;
        step->threshold[l] = eta * lane->lambda;
        tile->centre[l] -= eta * (change * step->batch_scale[l] + tile->centre_average[l]);
        tile->centre_average[l] += change * step->average_scale[l];
    }
}

double dms_tile_push(struct dms_tile *tile, size_t l, double restart)
{
    struct dms_lane *lane = &tile->lanes[l];
    double next, push;

    if (restart > 0 || tile->settle[l])
        lane->momentum = 1;
    next = (1 + sqrt(1 + 4 * lane->momentum * lane->momentum)) / 2;
    push = tile->settle[l] ? 0 : (lane->momentum - 1) / next;
    lane->momentum = tile->settle[l] ? 1 : next;
    lane->pure = push == 0;
    return push;
}
