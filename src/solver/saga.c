/*
 * Minibatch SAGA: what all targets share is measured once, then the targets are solved
 * in blocks that fit the memory.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "solver/block.h"
#include "solver/stage.h"

/* Smaller batches are not used where there are rows for larger ones: tables of subset sums and
 * steps would cost more than they give. */
#define SMALLEST_BATCH 512
/* Steps in an epoch of few rows. */
#define STEPS_PER_EPOCH 8

/* b* = 1 + mu (N - 1) / (4 L) is the largest batch that costs no additional epochs (Gazagnadou,
 * Gower, Salmon 2019, sec. 4), with the eigenvalues of random masks: (1 +- sqrt(d / N))^2. */
static uint32_t choose_batch(const struct dms_problem *problem)
{
    double rows = (double)problem->row_ct[DMS_ROLE_TRAINING];
    double ratio = sqrt((double)problem->example_ct / rows);
    double smallest = ratio < 1 ? (1 - ratio) * (1 - ratio) : 0;
    double batch = 1 + smallest * (rows - 1) / (4 * (1 + ratio) * (1 + ratio));

    batch = fmin(fmax(batch, SMALLEST_BATCH), DMS_LARGEST_BATCH);
    batch = fmin(batch, fmax(rows / STEPS_PER_EPOCH, 8));
    return (uint32_t)(batch + 7) & ~UINT32_C(7);
}

static int make_designs(struct dms_solver_run *run)
{
    static const enum dms_role roles[] = {DMS_ROLE_TRAINING, DMS_ROLE_REFIT};

    for (size_t i = 0; i < (run->problem->refit ? 2 : 1); i++) {
        int rc = dms_design_create(run->problem, roles[i], &run->designs[roles[i]]);

        if (rc == DMS_OK)
            rc = dms_design_measure(run->designs[roles[i]], run->problem, roles[i]);
        if (rc < 0)
            return rc;
    }
    return DMS_OK;
}

static bool fits_with_table(const void *context, uint64_t tile_ct)
{
    const struct dms_solver_run *run = context;

    return run->engine->fits(run, tile_ct, true);
}

static bool fits_without(const void *context, uint64_t tile_ct)
{
    const struct dms_solver_run *run = context;

    return run->engine->fits(run, tile_ct, false);
}

/* Targets of one block: as many as the memory holds beside what all share. */
static int choose_block(struct dms_solver_run *run, size_t *target_ct)
{
    uint64_t all = (run->problem->target_ct + DMS_LANES - 1) / DMS_LANES;
    uint64_t tile_ct = dms_largest_fitting(all, fits_with_table, run), saved = 0;

    /* Every further block reads all rows again: better without tables. */
    run->with_table = tile_ct == all;
    if (!run->with_table)
        tile_ct = dms_largest_fitting(all, fits_without, run);
    if (tile_ct == 0)
        return run->engine->refuse(run);
    /* Blocks of about one size. */
    tile_ct = (all + (all + tile_ct - 1) / tile_ct - 1) / ((all + tile_ct - 1) / tile_ct);
    if (run->engine->shares_memory)
        saved = dms_solve_saved_tiles(run->control);
    if (saved > 0 && run->engine->fits(run, saved, false))
        tile_ct = saved;
    *target_ct = tile_ct * DMS_LANES;
    return DMS_OK;
}

static void tell_division(const struct dms_solver_run *run, size_t block_targets)
{
    const struct dms_problem *problem = run->problem;
    bool with_table = run->with_table && dms_block_may_use_saga(problem);
    uint64_t tile_ct = (block_targets + DMS_LANES - 1) / DMS_LANES;
    size_t most = problem->target_ct < block_targets ? problem->target_ct : block_targets;
    struct dms_fit_placement placement = {
        .block_ct = run->block_ct,
        .block_targets = most,
        .batch_rows = run->batch_rows,
        .table = with_table ? run->engine->table_place(run, tile_ct) : "none"};

    if (run->control->divided)
        run->control->divided(run->control->context, &placement);
}

static int prepare(struct dms_solver_run *run)
{
    int rc = dms_pool_create(run->control->thread_ct, &run->pool);

    if (rc < 0)
        return rc;
    run->saga_rows = choose_batch(run->problem);
    run->batch_rows = run->engine->largest_batch(run);
    run->thread_ct = dms_block_thread_ct(run);
    if (run->thread_ct > dms_pool_threads(run->pool))
        run->thread_ct = dms_pool_threads(run->pool);
    run->scratch = dms_alloc(run->thread_ct, sizeof *run->scratch);
    if (!run->scratch)
        return DMS_ERR_NO_MEMORY;
    for (unsigned t = 0; rc == DMS_OK && t < run->thread_ct; t++)
        rc = dms_tile_scratch_create(run->problem->example_ct, run->batch_rows, &run->scratch[t]);
    return rc == DMS_OK ? make_designs(run) : rc;
}

static void release(struct dms_solver_run *run)
{
    for (unsigned t = 0; run->scratch && t < run->thread_ct; t++)
        dms_tile_scratch_free(&run->scratch[t]);
    free(run->scratch);
    for (int role = 0; role < DMS_ROLE_CT; role++)
        dms_design_free(run->designs[role]);
    dms_pool_free(run->pool);
}

static int hand_out(const struct dms_block *block)
{
    const struct dms_solve_control *control = block->run->control;

    for (size_t i = 0; i < block->target_ct; i++) {
        struct dms_fitted_target result;
        int rc;

        dms_target_path_result(&block->paths[i], &result);
        rc = control->result(control->context, &result);
        if (rc < 0)
            return rc;
    }
    return DMS_OK;
}

static int solve_block(struct dms_solver_run *run, uint64_t index, size_t first, size_t target_ct,
                       struct dms_cursor *saved)
{
    struct dms_block *block = NULL;
    int rc = dms_block_create(run, index, first, target_ct, &block);

    if (rc == DMS_OK)
        rc = saved ? dms_block_restore(block, saved) : dms_block_checkpoint(block);
    if (rc == DMS_OK)
        rc = dms_block_solve(block);
    if (rc == DMS_OK)
        rc = hand_out(block);
    dms_block_free(block);
    return rc;
}

int dms_saga_solve(const struct dms_problem *problem, const struct dms_solve_control *control)
{
    struct dms_problem own = *problem;
    struct dms_solver_run run = {.problem = &own,
                                 .control = control,
                                 .engine = control->engine ? control->engine : &dms_cpu_engine};
    struct dms_cursor cursor = dms_cursor_begin(control->state, control->state_bytes);
    size_t block_targets = 0;
    uint64_t first_block = 0;
    int rc = dms_problem_check(problem);

    if (rc < 0)
        return rc;
    /* Without validation models the path was fitted to all there are. */
    own.refit = problem->refit && problem->row_ct[DMS_ROLE_VALIDATION] > 0;
    rc = prepare(&run);
    if (rc == DMS_OK)
        rc = choose_block(&run, &block_targets);
    if (rc < 0)
        goto out;
    run.block_ct = (problem->target_ct + block_targets - 1) / block_targets;
    tell_division(&run, block_targets);
    rc = dms_solve_first_block(control, run.block_ct, &first_block);
    for (uint64_t b = first_block; rc == DMS_OK && b < run.block_ct; b++) {
        size_t first = b * block_targets;
        size_t left = problem->target_ct - first;

        run.finished_ct = first;
        rc = solve_block(&run, b, first, left < block_targets ? left : block_targets,
                         control->state && b == first_block ? &cursor : NULL);
    }
out:
    release(&run);
    return rc;
}
