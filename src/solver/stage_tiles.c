/*
 * The tiles of a stage: targets placed in lanes and taken out again, and passes put through all
 * tiles.
 */
#include "solver/stage.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"

/* ---- passes ---- */

static int tile_task(void *context, size_t thread)
{
    struct dms_stage_work *stage = context;
    struct dms_tile_scratch *scratch = &stage->block->run->scratch[thread];
    size_t t;

    while ((t = atomic_fetch_add(&stage->next_tile, 1)) < stage->tile_ct)
        dms_tile_batch(stage->tiles[t].tile, stage->batch, scratch);
    return DMS_OK;
}

int dms_stage_run_pass(struct dms_stage_work *stage, struct dms_batch_source *source,
                       uint64_t epoch)
{
    struct dms_solver_run *run = stage->block->run;
    size_t task_ct = stage->tile_ct < run->thread_ct ? stage->tile_ct : run->thread_ct;
    int rc = source->seek(source->context, epoch);

    while (rc == DMS_OK) {
        rc = source->next(source->context, &stage->batch);
        if (rc != DMS_OK)
            break;
        atomic_store(&stage->next_tile, 0);
        rc = dms_pool_run(run->pool, task_ct, tile_task, stage);
        source->release(source->context, stage->batch);
    }
    if (rc != DMS_END)
        return rc;
    rc = DMS_OK;
    for (size_t t = 0; rc == DMS_OK && t < stage->tile_ct; t++)
        rc = dms_tile_end(stage->tiles[t].tile);
    return rc;
}

/* ---- tiles and models ---- */

void dms_stage_free_tiles(struct dms_stage_work *stage)
{
    for (size_t t = 0; t < stage->tile_ct; t++)
        dms_tile_free(stage->tiles[t].tile);
    free(stage->tiles);
    stage->tiles = NULL;
    stage->tile_ct = 0;
}

int dms_stage_extract_model(const struct dms_work_tile *work, size_t l,
                            struct dms_sparse_model *model)
{
    const struct dms_tile *tile = work->tile;
    size_t example_ct = tile->design->example_ct;
    size_t weight_ct = 0, at = 0;

    dms_sparse_model_free(model);
    for (size_t k = 0; k < example_ct; k++)
        weight_ct += dms_tile_weight(tile, k, l) != 0;
    model->examples = dms_alloc(weight_ct, sizeof *model->examples);
    model->weights = dms_alloc(weight_ct, sizeof *model->weights);
    if (!model->examples || !model->weights)
        return DMS_ERR_NO_MEMORY;
    for (size_t k = 0; k < example_ct; k++) {
        double weight = dms_tile_weight(tile, k, l);

        if (weight != 0) {
            model->examples[at] = (uint32_t)k;
            model->weights[at++] = weight;
        }
    }
    model->weight_ct = weight_ct;
    model->bias = tile->lanes[l].bias;
    return DMS_OK;
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
            rc = dms_stage_extract_model(work, l, &path->model);
            if (rc < 0)
                return rc;
        }
    }
    return DMS_OK;
}

static void place_target(struct dms_work_tile *work, size_t l, struct dms_target_path *path)
{
    struct dms_lane *lane = &work->tile->lanes[l];

    work->paths[l] = path;
    work->planned_epochs[l] = 1;
    lane->used = true;
    lane->moving = true;
    lane->column = path->column;
    lane->self = path->self;
    lane->lambda = path->lambda;
    for (size_t i = 0; i < path->model.weight_ct; i++)
        dms_tile_set_weight(work->tile, path->model.examples[i], l, path->model.weights[i]);
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
    int rc = dms_tile_create(stage->design, stage->real_bytes, !accelerated, &work->tile);

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

        if (path->finished || path->slow != slow)
            continue;
        if (lane == DMS_LANES) {
            int rc;

            work = &stage->tiles[stage->tile_ct];
            rc = build_tile(stage, work, accelerated);
            if (rc < 0)
                return rc;
            stage->tile_ct++;
            lane = 0;
        }
        place_target(work, lane++, path);
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
    rc = run->problem->open(run->problem->context, stage->role, saga, stage->block->first,
                            stage->block->target_ct, saga ? run->saga_rows : DMS_LARGEST_BATCH,
                            &stage->source);
    stage->has_source = rc == DMS_OK;
    return rc;
}

/* Mean, deviance and weights of the rows of every lane; then its bias is that of its model. */
static int find_moments(struct dms_stage_work *stage)
{
    bool weighted = false;
    int rc = DMS_OK;

    for (size_t t = 0; rc == DMS_OK && t < stage->tile_ct; t++)
        rc = dms_tile_begin(stage->tiles[t].tile, DMS_PASS_MOMENTS);
    if (rc == DMS_OK)
        rc = dms_stage_run_pass(stage, &stage->source, 0);
    for (size_t t = 0; rc == DMS_OK && t < stage->tile_ct; t++) {
        bool counts = stage->tiles[t].tile->weighted;

        weighted = weighted || counts;
        rc = dms_tile_begin(stage->tiles[t].tile, counts ? DMS_PASS_COUNTS : DMS_PASS_NONE);
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
            dms_tile_set_bias(stage->tiles[t].tile, l,
                              path->model.weight_ct > 0 ? path->model.bias : lane->mean);
        }
    return DMS_OK;
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
    stage->tiles = dms_alloc(stage->block->target_ct / DMS_LANES + 2, sizeof *stage->tiles);
    if (!stage->tiles)
        return DMS_ERR_NO_MEMORY;
    rc = place_targets(stage, true);
    if (rc == DMS_OK)
        rc = place_targets(stage, false);
    return rc == DMS_OK ? find_moments(stage) : rc;
}
