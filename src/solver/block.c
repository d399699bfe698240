/*
 * A block of targets: its stages one after the other, its method, its checkpoint.
 *
 * There are two methods. SAGA alternates epochs of minibatches with evaluations: passes at fixed
 * weights that give the certificate, and leave a table and an average gradient without the errors
 * that epochs of floats have added up. The accelerated method takes one proximal gradient step with
 * momentum after each evaluation. Which of them needs fewer passes for a solution depends on the
 * rows for each example, on the tolerance and on how close the lambdas are; so a block tries both,
 * each for DMS_SYNC_EPOCHS passes, and goes on with the better one. Where there are few rows for
 * each example, or no room for SAGA's table, only the accelerated method is used; a tile in which
 * SAGA is slow goes over to it.
 *
 * Every DMS_SYNC_EPOCHS passes all tiles are taken apart into their targets' models and built anew:
 * targets that are done leave, and a checkpoint taken then is all that a later process needs to do
 * the very same steps.
 */
#include "solver/block.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "solver/stage.h"

/* Below so many rows for each example SAGA is not tried. */
#define SAGA_ROWS 2
/* Floats cannot be relied on for gaps below this. */
#define FLOAT_TOLERANCE 1e-6
/* Scratch of threads takes this part of the memory at most, and is for so many. */
#define SCRATCH_SHARE 8
#define SCRATCHES 64

size_t dms_block_real_bytes(const struct dms_problem *problem)
{
    return problem->tolerance < FLOAT_TOLERANCE ? sizeof(double) : sizeof(float);
}

bool dms_block_may_use_saga(const struct dms_problem *problem)
{
    return problem->row_ct[DMS_ROLE_TRAINING] >= SAGA_ROWS * (uint64_t)problem->example_ct;
}

/* Bytes of one tile, with its targets' paths. */
static uint64_t tile_bytes(const struct dms_solver_run *run, bool with_table)
{
    const struct dms_problem *problem = run->problem;

    return run->engine->tile_bytes(problem, with_table && dms_block_may_use_saga(problem)) +
           DMS_LANES * dms_target_path_bytes(problem);
}

static uint64_t scratch_bytes(const struct dms_solver_run *run)
{
    return DMS_LANES * sizeof(double) * (4 * (uint64_t)run->batch_rows + run->problem->example_ct);
}

unsigned dms_block_thread_ct(const struct dms_solver_run *run)
{
    uint64_t thread_ct = run->control->memory_bytes / SCRATCH_SHARE / scratch_bytes(run);

    return thread_ct < 1 ? 1 : thread_ct < SCRATCHES ? (unsigned)thread_ct : SCRATCHES;
}

uint64_t dms_block_bytes(const struct dms_solver_run *run, uint64_t tile_ct, bool with_table)
{
    const struct dms_problem *problem = run->problem;
    uint64_t lanes = DMS_LANES * sizeof(double);
    uint64_t example_ct = problem->example_ct;
    uint64_t scratch = dms_block_thread_ct(run) * scratch_bytes(run);
    /* Penalties of both precisions for two designs. */
    uint64_t shared = scratch + 4 * lanes * example_ct;
    uint64_t sources =
        problem->source_bytes
            ? problem->source_bytes(problem->context, tile_ct * DMS_LANES, run->batch_rows)
            : 0;
    uint64_t bytes = shared + sources + tile_ct * tile_bytes(run, with_table);

    return bytes + bytes / (DMS_POLISH_SHARE - 1) + 1;
}

/* ---- the block ---- */

int dms_block_create(struct dms_solver_run *run, uint64_t index, size_t first, size_t target_ct,
                     struct dms_block **block)
{
    struct dms_block *made = dms_alloc(1, sizeof *made);
    int rc = DMS_ERR_NO_MEMORY;

    if (!made)
        return rc;
    *made = (struct dms_block){.run = run, .index = index, .first = first};
    made->paths = dms_alloc(target_ct, sizeof *made->paths);
    if (!made->paths)
        goto out;
    for (size_t i = 0; i < target_ct; i++) {
        rc = dms_target_path_init(&made->paths[i], run->problem, first + i, i);
        if (rc < 0)
            goto out;
        made->target_ct = i + 1;
    }
    *block = made;
    made = NULL;
    rc = DMS_OK;
out:
    dms_block_free(made);
    return rc;
}

void dms_block_free(struct dms_block *block)
{
    if (!block)
        return;
    for (size_t i = 0; i < block->target_ct; i++)
        dms_target_path_free(&block->paths[i]);
    free(block->paths);
    free(block);
}

static void save_block(const void *context, struct dms_encoder *encoder)
{
    const struct dms_block *block = context;

    dms_encode_u64(encoder, block->index);
    dms_encode_u64(encoder, block->first);
    dms_encode_u64(encoder, block->target_ct);
    dms_encode_u32(encoder, (uint32_t)block->stage);
    dms_encode_u64(encoder, block->epoch);
    for (size_t i = 0; i < DMS_METHOD_CT; i++) {
        dms_encode_u64(encoder, block->pass_ct[i]);
        dms_encode_u64(encoder, block->solution_ct[i]);
    }
    for (size_t i = 0; i < block->target_ct; i++)
        dms_target_path_save(&block->paths[i], encoder);
}

int dms_block_restore(struct dms_block *block, struct dms_cursor *cursor)
{
    uint64_t index = dms_cursor_u64(cursor);
    uint64_t first = dms_cursor_u64(cursor);
    uint64_t target_ct = dms_cursor_u64(cursor);
    uint32_t stage = dms_cursor_u32(cursor);
    int rc;

    block->epoch = dms_cursor_u64(cursor);
    for (size_t i = 0; i < DMS_METHOD_CT; i++) {
        block->pass_ct[i] = dms_cursor_u64(cursor);
        block->solution_ct[i] = dms_cursor_u64(cursor);
    }
    if (cursor->bad || index != block->index || first != block->first ||
        target_ct != block->target_ct || stage >= DMS_STAGE_CT)
        return dms_fail(DMS_ERR_CONFLICT, "the checkpoint is of another division into blocks: "
                                          "resume with the same memory");
    block->stage = (enum dms_stage)stage;
    for (size_t i = 0; i < block->target_ct; i++) {
        rc = dms_target_path_load(&block->paths[i], block->run->problem, cursor);
        if (rc < 0)
            return rc;
    }
    if (!dms_cursor_ended_well(cursor))
        return dms_fail(DMS_ERR_CORRUPT, "the solver's state in the checkpoint is cut short");
    return DMS_OK;
}

int dms_block_checkpoint(const struct dms_block *block)
{
    return dms_solve_save(block->run->control, save_block, block);
}

size_t dms_block_unfinished_ct(const struct dms_block *block)
{
    size_t count = 0;

    for (size_t i = 0; i < block->target_ct; i++)
        count += !block->paths[i].finished;
    return count;
}

enum dms_method dms_block_choose_method(const struct dms_block *block)
{
    const uint64_t *passes = block->pass_ct, *solutions = block->solution_ct;

    if (block->stage == DMS_STAGE_FINISH || !block->run->with_table ||
        !dms_block_may_use_saga(block->run->problem))
        return DMS_METHOD_ACCELERATED;
    if (passes[DMS_METHOD_SAGA] < DMS_SYNC_EPOCHS)
        return DMS_METHOD_SAGA;
    if (passes[DMS_METHOD_ACCELERATED] < DMS_SYNC_EPOCHS)
        return DMS_METHOD_ACCELERATED;
    return (double)solutions[DMS_METHOD_SAGA] / (double)passes[DMS_METHOD_SAGA] >
                   (double)solutions[DMS_METHOD_ACCELERATED] /
                       (double)passes[DMS_METHOD_ACCELERATED]
               ? DMS_METHOD_SAGA
               : DMS_METHOD_ACCELERATED;
}

/* ---- stages ---- */

/* The next stage begins with what the last one found. */
static int enter_stage(struct dms_block *block, enum dms_stage next)
{
    for (size_t i = 0; i < block->target_ct; i++) {
        struct dms_target_path *path = &block->paths[i];

        if (block->stage == DMS_STAGE_PATH)
            dms_target_path_take_best(path);
        /* A constant target has its mean, and nothing to refit. */
        if (path->flags & DMS_FITTED_CONSTANT)
            continue;
        path->finished = false;
        if (next == DMS_STAGE_REFIT)
            path->flags |= DMS_FITTED_REFITTED;
    }
    block->stage = next;
    block->epoch = 0;
    return dms_block_checkpoint(block);
}

int dms_block_solve(struct dms_block *block)
{
    const struct dms_problem *problem = block->run->problem;
    struct dms_stage_work stage;
    int rc = DMS_OK;

    for (;;) {
        rc = dms_stage_open(block, &stage);
        if (rc == DMS_OK)
            rc = dms_stage_solve(&stage);
        dms_stage_close(&stage);
        if (rc != DMS_OK || block->stage == DMS_STAGE_FINISH)
            return rc;
        rc =
            enter_stage(block, block->stage == DMS_STAGE_PATH && problem->refit ? DMS_STAGE_REFIT
                                                                                : DMS_STAGE_FINISH);
        if (rc != DMS_OK)
            return rc;
    }
}
