/*
 * Polishing lane l of a tile (solver/polish.h): begun after DMS_PASS_EVALUATE, unless too many
 * examples matter to it; then a pass DMS_PASS_PAIRS; then ended, which puts the solution in place
 * of the lane's weights.
 */
#ifndef DMS_SOLVER_TILE_POLISH_H
#define DMS_SOLVER_TILE_POLISH_H

#include "solver/engine.h"

int dms_tile_begin_polish(struct dms_panel *panel, struct dms_tile *tile, size_t l,
                          double tolerance);
int dms_tile_end_polish(struct dms_panel *panel, struct dms_tile *tile, size_t l);

#endif
