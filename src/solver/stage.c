/*
 * A stage from its first pass to its last: which pass each tile makes next, and what follows from
 * it.
 */
#include "solver/stage.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "solver/tile_polish.h"

/* Epochs at one lambda after which SAGA counts as slow. */
#define SLOW_EPOCHS 12
/* Accelerated passes at one lambda after which a target is polished, and then again every so many,
 * if it is not solved by that. A target that needed it once is polished at once from then on. */
#define POLISH_PASSES 40
#define POLISH_AGAIN 4

/* ---- what follows from a pass ---- */

/* A tile of SAGA is evaluated when most of its targets have had the epochs that they are expected
 * to need. */
static enum dms_pass choose_pass(const struct dms_work_tile *work, bool sync)
{
    size_t live = 0, ready = 0;

    for (size_t l = 0; l < DMS_LANES; l++) {
        if (!work->paths[l] || work->paths[l]->finished)
            continue;
        live++;
        ready += work->epochs_at_lambda[l] >= work->planned_epochs[l];
    }
    if (live == 0)
        return DMS_PASS_NONE;
    if (sync || work->fresh || work->accelerated || 2 * ready >= live)
        return DMS_PASS_EVALUATE;
    return DMS_PASS_SAGA;
}

/* After an epoch of SAGA. */
static int note_epoch(struct dms_stage_work *stage, struct dms_work_tile *work)
{
    struct dms_panel *panel = &stage->panel;

    for (size_t l = 0; l < DMS_LANES; l++) {
        struct dms_target_path *path = work->paths[l];

        if (!path || path->finished)
            continue;
        work->epochs_at_lambda[l]++;
        if (work->epochs_at_lambda[l] >= SLOW_EPOCHS)
            work->accelerated = true;
        if (work->tile->lanes[l].diverged) {
            int rc = panel->engine->clear_weights(panel, work->tile, l);

            if (rc < 0)
                return rc;
            panel->engine->set_bias(panel, work->tile, l, path->mean);
            work->accelerated = true;
        }
    }
    return DMS_OK;
}

/* Epochs to plan for the next lambda: one more after too few, one less after more than enough. */
static void plan_epochs(struct dms_work_tile *work, size_t l, double tolerance)
{
    double gap = work->tile->lanes[l].gap;

    if (gap > tolerance && work->epochs_at_lambda[l] >= work->planned_epochs[l])
        work->planned_epochs[l]++;
    else if (gap < tolerance / 4 && work->planned_epochs[l] > 1)
        work->planned_epochs[l]--;
}

/* After an evaluation: which targets are solved at their lambda. */
static void judge(struct dms_stage_work *stage, struct dms_work_tile *work)
{
    const struct dms_problem *problem = stage->block->run->problem;

    work->fresh = false;
    for (size_t l = 0; l < DMS_LANES; l++) {
        struct dms_target_path *path = work->paths[l];
        struct dms_lane *lane = &work->tile->lanes[l];
        bool close;

        work->accepted[l] = work->settle[l] = false;
        if (!path || path->finished)
            continue;
        if (stage->block->stage == DMS_STAGE_PATH && path->largest_lambda == 0) {
            dms_target_path_begin(path, problem, lane->largest_gradient);
            lane->lambda = path->lambda;
            lane->gap = path->lambda >= path->largest_lambda ? 0 : INFINITY;
        }
        if (path->finished)
            continue;
        close = lane->gap <= stage->tolerance;
        plan_epochs(work, l, stage->tolerance);
        /* The last word of a stage is a proximal point: only such a one is sparse. */
        work->accepted[l] = close && (lane->pure || stage->block->stage == DMS_STAGE_PATH);
        work->settle[l] = close && !work->accepted[l];
    }
}

/* The validation errors of all targets that were accepted. */
static int validate(struct dms_stage_work *stage)
{
    bool any = false;

    for (size_t t = 0; t < stage->tile_ct; t++) {
        bool wanted = false;

        for (size_t l = 0; l < DMS_LANES; l++) {
            stage->tiles[t].tile->lanes[l].squared_error = NAN;
            wanted = wanted || stage->tiles[t].accepted[l];
        }
        any = any || wanted;
        stage->tiles[t].tile->pass = wanted ? DMS_PASS_VALIDATE : DMS_PASS_NONE;
    }
    return any && stage->has_validation ? dms_stage_run_pass(stage, &stage->validation, 0) : DMS_OK;
}

/* Moves an accepted target on. */
static int advance_target(struct dms_stage_work *stage, struct dms_work_tile *work, size_t l)
{
    struct dms_target_path *path = work->paths[l];
    struct dms_lane *lane = &work->tile->lanes[l];
    bool best = false;
    int rc = DMS_OK;

    if (stage->block->stage == DMS_STAGE_PATH) {
        dms_target_path_advance(path, stage->block->run->problem, lane->gap, lane->weight_ct,
                                lane->squared_error, &best);
        if (best)
            rc = dms_stage_extract_model(stage, work, l, &path->best);
    } else {
        rc = dms_stage_extract_model(stage, work, l, &path->model);
        path->gap = lane->gap;
        path->finished = true;
    }
    stage->block->solution_ct[stage->method]++;
    lane->lambda = path->lambda;
    lane->moving = !path->finished;
    work->epochs_at_lambda[l] = 0;
    path->pass_ct = 0;
    stage->panel.engine->restart(&stage->panel, work->tile, l);
    return rc;
}

/* Moves the accepted targets of a tile on; finished ones stand still. */
static int advance_targets(struct dms_stage_work *stage, struct dms_work_tile *work)
{
    for (size_t l = 0; l < DMS_LANES; l++) {
        int rc = work->accepted[l] ? advance_target(stage, work, l) : DMS_OK;

        if (rc < 0)
            return rc;
        if (work->paths[l] && work->paths[l]->finished)
            work->tile->lanes[l].moving = false;
    }
    return DMS_OK;
}

static bool needs_polish(const struct dms_work_tile *work, size_t l)
{
    const struct dms_target_path *path = work->paths[l];
    uint32_t first = path && path->polished ? 0 : POLISH_PASSES;

    if (!path || path->finished || !work->accelerated || work->settle[l] ||
        work->pass != DMS_PASS_EVALUATE)
        return false;
    return path->pass_ct >= first && (path->pass_ct - first) % POLISH_AGAIN == 0;
}

/* Begins to polish targets from lane *next of the stage on until the memory for it is used; *next
 * becomes the first lane that was not looked at. */
static int begin_polish(struct dms_stage_work *stage, size_t *next)
{
    uint64_t room = stage->block->run->control->memory_bytes / DMS_POLISH_SHARE, used = 0;

    for (; *next < stage->tile_ct * DMS_LANES && (used == 0 || used < room); ++*next) {
        struct dms_work_tile *work = &stage->tiles[*next / DMS_LANES];
        size_t l = *next % DMS_LANES;
        int rc = needs_polish(work, l)
                     ? dms_tile_begin_polish(&stage->panel, work->tile, l, stage->tolerance)
                     : DMS_OK;

        if (rc < 0)
            return rc;
        if (work->tile->polish[l])
            used += dms_polish_bytes(work->tile->polish[l]->example_ct);
    }
    return DMS_OK;
}

/* Has the pairs of all targets that are being polished counted. */
static int count_pairs(struct dms_stage_work *stage)
{
    bool any = false;

    for (size_t t = 0; t < stage->tile_ct; t++) {
        struct dms_tile *tile = stage->tiles[t].tile;
        bool some = false;

        for (size_t l = 0; l < DMS_LANES; l++)
            some = some || tile->polish[l];
        tile->pass = some ? DMS_PASS_PAIRS : DMS_PASS_NONE;
        any = any || some;
    }
    return any ? dms_stage_run_pass(stage, &stage->source, stage->block->epoch) : DMS_OK;
}

/* A task of the pool: solves what is being polished in one tile. */
static int end_polish(void *context, size_t t)
{
    struct dms_stage_work *stage = context;
    struct dms_work_tile *work = &stage->tiles[t];

    for (size_t l = 0; l < DMS_LANES; l++) {
        int rc =
            work->tile->polish[l] ? dms_tile_end_polish(&stage->panel, work->tile, l) : DMS_END;

        if (rc < 0)
            return rc;
        if (rc == DMS_END)
            continue;
        work->paths[l]->polished = true;
        work->tile->lanes[l].moving = false;
    }
    return DMS_OK;
}

/* Polishes the targets that have been in work for long: they have taken their step then. */
static int polish_targets(struct dms_stage_work *stage)
{
    size_t next = 0;
    int rc = DMS_OK;

    while (rc == DMS_OK && next < stage->tile_ct * DMS_LANES) {
        rc = begin_polish(stage, &next);
        if (rc == DMS_OK)
            rc = count_pairs(stage);
        if (rc == DMS_OK)
            rc = dms_pool_run(stage->block->run->pool, stage->tile_ct, end_polish, stage);
    }
    return rc;
}

/* One step of each tile that was evaluated. Polished targets have taken theirs: all that are
 * accelerated move again afterwards. */
static int take_steps(struct dms_stage_work *stage)
{
    int rc;

    for (size_t t = 0; t < stage->tile_ct; t++) {
        struct dms_work_tile *work = &stage->tiles[t];

        if (work->pass != DMS_PASS_EVALUATE)
            continue;
        work->tile->step = work->accelerated ? DMS_STEP_ACCELERATE : DMS_STEP_DESCEND;
        memcpy(work->tile->settle, work->settle, sizeof work->settle);
    }
    rc = stage->panel.engine->step(&stage->panel);
    for (size_t t = 0; t < stage->tile_ct; t++) {
        struct dms_work_tile *work = &stage->tiles[t];

        for (size_t l = 0; l < DMS_LANES; l++) {
            struct dms_target_path *path = work->paths[l];

            if (work->pass != DMS_PASS_EVALUATE || !work->accelerated || !path || path->finished)
                continue;
            work->tile->lanes[l].moving = true;
            path->pass_ct++;
        }
    }
    return rc;
}

/* What follows from the passes that the tiles made. After the last pass of a stage no step is
 * taken: the gaps stay those of the weights. */
static int follow_passes(struct dms_stage_work *stage, bool last)
{
    int rc = DMS_OK;

    for (size_t t = 0; rc == DMS_OK && t < stage->tile_ct; t++) {
        struct dms_work_tile *work = &stage->tiles[t];

        memset(work->accepted, 0, sizeof work->accepted);
        if (work->pass == DMS_PASS_SAGA)
            rc = note_epoch(stage, work);
        if (work->pass == DMS_PASS_EVALUATE)
            judge(stage, work);
    }
    if (rc == DMS_OK)
        rc = validate(stage);
    for (size_t t = 0; rc == DMS_OK && t < stage->tile_ct; t++)
        rc = advance_targets(stage, &stage->tiles[t]);
    if (rc == DMS_OK && !last)
        rc = polish_targets(stage);
    return rc == DMS_OK && !last ? take_steps(stage) : rc;
}

/* ---- a stage ---- */

static int report(const struct dms_stage_work *stage)
{
    static const char *const names[DMS_STAGE_CT] = {"path", "refit", "certificate"};
    const struct dms_block *block = stage->block;
    const struct dms_solver_run *run = block->run;
    struct dms_fit_progress progress = {.stage = names[block->stage],
                                        .block = block->index,
                                        .block_ct = run->block_ct,
                                        .epoch = block->epoch,
                                        .target_ct = run->problem->target_ct,
                                        .counted = NAN,
                                        .worst_gap = NAN};

    if (!run->control->progress)
        return DMS_OK;
    progress.finished_ct = run->finished_ct + block->target_ct - dms_block_unfinished_ct(block);
    for (size_t i = 0; i < block->target_ct; i++)
        progress.lambdas_done += (double)block->paths[i].path_ct / (double)block->target_ct;
    for (size_t t = 0; t < stage->tile_ct; t++)
        for (size_t l = 0; l < DMS_LANES; l++)
            if (stage->tiles[t].paths[l] && !stage->tiles[t].paths[l]->finished)
                progress.worst_gap = fmax(progress.worst_gap, stage->tiles[t].tile->lanes[l].gap);
    if (run->control->progress(run->control->context, &progress) != 0)
        return dms_fail(DMS_ERR_INTERRUPTED,
                        "the fit was stopped in pass %" PRIu64 " of stage '%s'", block->epoch,
                        progress.stage);
    return DMS_OK;
}

/* One pass of every tile and what follows from it. */
static int run_epoch(struct dms_stage_work *stage, bool sync, bool last)
{
    int rc;

    for (size_t t = 0; t < stage->tile_ct; t++) {
        struct dms_work_tile *work = &stage->tiles[t];

        work->pass = choose_pass(work, sync);
        work->tile->pass = work->pass;
    }
    rc = dms_stage_run_pass(stage, &stage->source, stage->block->epoch);
    return rc == DMS_OK ? follow_passes(stage, last) : rc;
}

/* Targets that did not get there in time. */
static int abandon(struct dms_stage_work *stage)
{
    int rc = dms_stage_collect_models(stage);

    for (size_t t = 0; rc == DMS_OK && t < stage->tile_ct; t++)
        for (size_t l = 0; rc == DMS_OK && l < DMS_LANES; l++) {
            struct dms_target_path *path = stage->tiles[t].paths[l];

            if (!path || path->finished)
                continue;
            path->gap = stage->tiles[t].tile->lanes[l].gap;
            if (path->path_ct == 0)
                rc = dms_stage_extract_model(stage, &stage->tiles[t], l, &path->best);
            /* What is left open by the refit, the certificate stage may still prove. */
            if (stage->block->stage == DMS_STAGE_REFIT)
                path->finished = true;
            else
                dms_target_path_abandon(path);
        }
    return rc;
}

int dms_stage_solve(struct dms_stage_work *stage)
{
    struct dms_block *block = stage->block;
    int rc = dms_stage_build_tiles(stage);

    while (rc == DMS_OK && dms_block_unfinished_ct(block) > 0) {
        bool last = block->epoch + 1 >= block->run->control->max_epochs;
        bool sync = last || block->epoch % DMS_SYNC_EPOCHS == DMS_SYNC_EPOCHS - 1;

        rc = run_epoch(stage, sync, last);
        block->epoch++;
        block->pass_ct[stage->method]++;
        if (rc == DMS_OK)
            rc = report(stage);
        if (rc == DMS_OK && last)
            rc = abandon(stage);
        if (rc != DMS_OK || !sync || last)
            continue;
        rc = dms_stage_collect_models(stage);
        if (rc == DMS_OK)
            rc = dms_block_checkpoint(block);
        if (rc == DMS_OK)
            rc = dms_stage_build_tiles(stage);
    }
    return rc;
}

int dms_stage_open(struct dms_block *block, struct dms_stage_work *stage)
{
    struct dms_solver_run *run = block->run;
    const struct dms_problem *problem = run->problem;
    int rc = DMS_OK;

    memset(stage, 0, sizeof *stage);
    stage->block = block;
    stage->role =
        block->stage != DMS_STAGE_PATH && problem->refit ? DMS_ROLE_REFIT : DMS_ROLE_TRAINING;
    stage->design = run->designs[stage->role];
    stage->real_bytes =
        block->stage == DMS_STAGE_FINISH ? sizeof(double) : dms_block_real_bytes(problem);
    /* What is accepted in float is proven in double: it should stand that. */
    stage->tolerance = problem->tolerance * (block->stage == DMS_STAGE_REFIT ? 0.9 : 1);
    if (block->stage == DMS_STAGE_PATH && problem->row_ct[DMS_ROLE_VALIDATION] > 0) {
        rc = dms_stage_open_source(stage, DMS_ROLE_VALIDATION, false, run->batch_rows,
                                   &stage->validation);
        stage->has_validation = rc == DMS_OK;
    }
    return rc;
}

void dms_stage_close(struct dms_stage_work *stage)
{
    dms_stage_free_tiles(stage);
    if (stage->has_source)
        stage->source.close(stage->source.context);
    if (stage->has_validation)
        stage->validation.close(stage->validation.context);
}
