/*
 * The tiles of a stage: targets placed in lanes and taken out again, and passes put through all
 * tiles.
 */
#include "solver/stage.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"

/* ---- passes ---- */

int dms_stage_open_source(const struct dms_stage_work *stage, enum dms_role role, bool shuffled,
                          uint32_t batch_rows, struct dms_batch_source *source)
{
    const struct dms_block *block = stage->block;
    const struct dms_problem *problem = block->run->problem;
    bool packed = block->run->engine->takes_packed && problem->open_packed;

    return (packed ? problem->open_packed : problem->open)(
        problem->context, role, shuffled, block->first, block->target_ct, batch_rows, source);
}

int dms_stage_run_pass(struct dms_stage_work *stage, struct dms_batch_source *source,
                       uint64_t epoch)
{
    struct dms_panel *panel = &stage->panel;
    int rc = panel->engine->begin(panel);

    panel->half_outputs = source->half_outputs;
    if (rc == DMS_OK)
        rc = source->seek(source->context, epoch);
    while (rc == DMS_OK) {
        const struct dms_batch *batch;

        rc = source->next(source->context, &batch);
        if (rc != DMS_OK)
            break;
        rc = panel->engine->batch(panel, batch);
        source->release(source->context, batch);
    }
    return rc == DMS_END ? panel->engine->end(panel) : rc;
}

/* ---- tiles and models ---- */

void dms_stage_free_tiles(struct dms_stage_work *stage)
{
    if (stage->panel.engine)
        stage->panel.engine->close(&stage->panel);
    stage->panel.engine = NULL;
    free(stage->tiles);
    stage->tiles = NULL;
    stage->tile_ct = 0;
}

int dms_stage_extract_model(struct dms_stage_work *stage, const struct dms_work_tile *work,
                            size_t l, struct dms_sparse_model *model)
{
    return stage->panel.engine->extract(&stage->panel, work->tile, l, model);
}

/* Takes all targets that are still moving out of the tiles, as models. */
int dms_stage_collect_models(struct dms_stage_work *stage)
{
    for (size_t t = 0; t < stage->tile_ct; t++) {
        struct dms_work_tile *work = &stage->tiles[t];

        for (size_t l = 0; l < DMS_LANES; l++) {
            struct dms_target_path *path = work->paths[l];
            int rc = DMS_OK;

            if (!path || path->finished)
                continue;
            path->slow = path->slow || (work->accelerated && stage->method == DMS_METHOD_SAGA);
            rc = dms_stage_extract_model(stage, work, l, &path->model);
            if (rc < 0)
                return rc;
        }
    }
    return DMS_OK;
}

static int place_target(struct dms_stage_work *stage, struct dms_work_tile *work, size_t l,
                        struct dms_target_path *path)
{
    struct dms_lane *lane = &work->tile->lanes[l];

    work->paths[l] = path;
    work->planned_epochs[l] = 1;
    lane->used = true;
    lane->moving = true;
    lane->column = path->column;
    lane->self = path->self;
    lane->lambda = path->lambda;
    return stage->panel.engine->set_weights(&stage->panel, work->tile, l, path->model.weight_ct,
                                            path->model.examples, path->model.weights);
}

/* The bound of Gazagnadou, Gower and Salmon 2019 (prop. 3.8 and 3.11) on the step of SAGA with
 * batches of b rows. Their step is 1/4 of it and proven; half is twice as fast and what is used
 * here, since every result is certified and a tile that diverges is taken over by accelerated
 * steps. */
static double saga_step(const struct dms_design *design, uint32_t batch_rows)
{
    double rows = (double)design->row_ct;
    double batch = fmin(batch_rows, rows);
    double ratio = (double)design->example_ct / rows;
    double smallest = ratio < 1 ? (1 - sqrt(ratio)) * (1 - sqrt(ratio)) : 0;
    double spread, smoothness;

    if (rows < 2 || !(design->largest_eigenvalue > 0))
        return 0;
    spread = (rows - batch) / (batch * (rows - 1)) * design->largest_row_norm;
    smoothness = rows * (batch - 1) / (batch * (rows - 1)) * design->largest_eigenvalue + spread;
    return 1 / (2 * fmax(smoothness, spread + smallest * rows / (4 * batch)));
}

static int build_tile(struct dms_stage_work *stage, struct dms_work_tile *work, bool accelerated)
{
    int rc = stage->panel.engine->add_tile(&stage->panel, !accelerated, &work->tile);

    if (rc < 0)
        return rc;
    work->tile->eigenvalue = stage->design->largest_eigenvalue;
    work->tile->step_scale = saga_step(stage->design, stage->block->run->saga_rows);
    work->accelerated = accelerated;
    work->fresh = true;
    return DMS_OK;
}

/* Places unfinished targets in new tiles: those that SAGA was slow for, or the others. */
static int place_targets(struct dms_stage_work *stage, bool slow)
{
    struct dms_block *block = stage->block;
    bool accelerated = slow || stage->method == DMS_METHOD_ACCELERATED;
    struct dms_work_tile *work = NULL;
    size_t lane = DMS_LANES;

    for (size_t i = 0; i < block->target_ct; i++) {
        struct dms_target_path *path = &block->paths[i];
        int rc;

        if (path->finished || path->slow != slow)
            continue;
        if (lane == DMS_LANES) {
            work = &stage->tiles[stage->tile_ct];
            rc = build_tile(stage, work, accelerated);
            if (rc < 0)
                return rc;
            stage->tile_ct++;
            lane = 0;
        }
        rc = place_target(stage, work, lane++, path);
        if (rc < 0)
            return rc;
    }
    return DMS_OK;
}

/* The source of the stage's rows, with batches as the method wants them. */
static int open_source(struct dms_stage_work *stage)
{
    const struct dms_solver_run *run = stage->block->run;
    bool saga = stage->method == DMS_METHOD_SAGA;
    int rc;

    if (stage->has_source)
        stage->source.close(stage->source.context);
    rc = dms_stage_open_source(stage, stage->role, saga, saga ? run->saga_rows : run->batch_rows,
                               &stage->source);
    stage->has_source = rc == DMS_OK;
    return rc;
}

/* Mean, deviance and weights of the rows of every lane; then its bias is that of its model. */
static int find_moments(struct dms_stage_work *stage)
{
    bool weighted = false;
    int rc;

    for (size_t t = 0; t < stage->tile_ct; t++)
        stage->tiles[t].tile->pass = DMS_PASS_MOMENTS;
    rc = dms_stage_run_pass(stage, &stage->source, 0);
    for (size_t t = 0; rc == DMS_OK && t < stage->tile_ct; t++) {
        bool counts = stage->tiles[t].tile->weighted;

        weighted = weighted || counts;
        stage->tiles[t].tile->pass = counts ? DMS_PASS_COUNTS : DMS_PASS_NONE;
    }
    if (rc == DMS_OK && weighted)
        rc = dms_stage_run_pass(stage, &stage->source, 0);
    if (rc < 0)
        return rc;
    for (size_t t = 0; t < stage->tile_ct; t++)
        for (size_t l = 0; l < DMS_LANES; l++) {
            const struct dms_lane *lane = &stage->tiles[t].tile->lanes[l];
            struct dms_target_path *path = stage->tiles[t].paths[l];

            if (!path)
                continue;
            path->row_weight = lane->row_weight;
            path->mean = lane->mean;
            path->null_deviance = lane->null_deviance;
            stage->panel.engine->set_bias(&stage->panel, stage->tiles[t].tile, l,
                                          path->model.weight_ct > 0 ? path->model.bias
                                                                    : lane->mean);
        }
    return DMS_OK;
}

/* A panel with room for all unfinished targets: slow ones and others have tiles of their own. */
static int open_panel(struct dms_stage_work *stage)
{
    const struct dms_block *block = stage->block;
    size_t tile_max = dms_block_unfinished_ct(block) / DMS_LANES + 2;

    stage->tiles = dms_alloc(tile_max, sizeof *stage->tiles);
    if (!stage->tiles)
        return DMS_ERR_NO_MEMORY;
    stage->panel = (struct dms_panel){.engine = block->run->engine,
                                      .run = block->run,
                                      .design = stage->design,
                                      .real_bytes = stage->real_bytes,
                                      .output_stride = block->target_ct + DMS_LANES,
                                      .batch_rows = block->run->batch_rows,
                                      .tile_max = tile_max};
    return stage->panel.engine->open(&stage->panel);
}

int dms_stage_build_tiles(struct dms_stage_work *stage)
{
    enum dms_method method = dms_block_choose_method(stage->block);
    int rc;

    dms_stage_free_tiles(stage);
    if (!stage->has_source || method != stage->method) {
        stage->method = method;
        rc = open_source(stage);
        if (rc < 0)
            return rc;
    }
    rc = open_panel(stage);
    if (rc == DMS_OK)
        rc = place_targets(stage, true);
    if (rc == DMS_OK)
        rc = place_targets(stage, false);
    return rc == DMS_OK ? find_moments(stage) : rc;
}
