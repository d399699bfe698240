/*
 * The stages of a block: which pass each tile makes next, and what follows from it.
 *
 * There are two methods. SAGA alternates epochs of minibatches with evaluations: passes at fixed
 * weights that give the certificate, and leave a table and an average gradient without the errors
 * that epochs of floats have added up. The accelerated method takes one proximal gradient step with
 * momentum after each evaluation. Which of them needs fewer passes for a solution depends on the
 * rows for each example, on the tolerance and on how close the lambdas are; so a block tries both,
 * each for SYNC_EPOCHS passes, and goes on with the better one. Where there are few rows for each
 * example, or no room for SAGA's table, only the accelerated method is used; a tile in which SAGA
 * is slow goes over to it.
 *
 * Every SYNC_EPOCHS passes all tiles are taken apart into their targets' models and built anew:
 * targets that are done leave, and a checkpoint taken then is all that a later process needs to do
 * the very same steps.
 */
#include "solver/block.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"

#define SYNC_EPOCHS 24
/* Epochs at one lambda after which SAGA counts as slow. */
#define SLOW_EPOCHS 12
/* Below so many rows for each example SAGA is not tried. */
#define SAGA_ROWS 2
/* Floats cannot be relied on for gaps below this. */
#define FLOAT_TOLERANCE 1e-6

/* A tile in work, and whose targets are in its lanes. */
struct work_tile {
    struct dms_tile *tile;
    struct dms_target_path *paths[DMS_LANES];
    bool accelerated;
    bool fresh; /* no evaluation yet */
    unsigned epochs_at_lambda[DMS_LANES];
    unsigned planned_epochs[DMS_LANES]; /* at one lambda before it is evaluated */
    bool accepted[DMS_LANES];           /* at the present evaluation */
    bool settle[DMS_LANES];
};

/* One stage in work. */
struct stage {
    struct dms_block *block;
    enum dms_role role;
    struct dms_design *design;
    size_t real_bytes;
    double tolerance;
    enum dms_method method;
    struct dms_batch_source source, validation;
    bool has_source, has_validation;
    struct work_tile *tiles;
    size_t tile_ct;
    /* of the pass under way */
    const struct dms_batch *batch;
    atomic_size_t next_tile;
};

size_t dms_block_real_bytes(const struct dms_problem *problem)
{
    return problem->tolerance < FLOAT_TOLERANCE ? sizeof(double) : sizeof(float);
}

static bool enough_rows(const struct dms_problem *problem)
{
    return problem->row_ct[DMS_ROLE_TRAINING] >= SAGA_ROWS * (uint64_t)problem->example_ct;
}

uint64_t dms_block_tile_bytes(const struct dms_problem *problem, bool with_table)
{
    uint64_t rows = problem->row_ct[problem->refit ? DMS_ROLE_REFIT : DMS_ROLE_TRAINING];
    size_t examples = problem->example_ct;
    uint64_t working = dms_tile_bytes(examples, rows, dms_block_real_bytes(problem),
                                      with_table && enough_rows(problem));
    uint64_t finishing = dms_tile_bytes(examples, rows, sizeof(double), false);
    /* Two sparse models a target, at worst without a zero; each lane's own counts and penalties. */
    uint64_t models = 2 * (sizeof(double) + sizeof(uint32_t)) * DMS_LANES * (uint64_t)examples;
    uint64_t weighted = 2 * sizeof(double) * DMS_LANES * (uint64_t)examples;

    return (working > finishing ? working : finishing) + models + weighted;
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

static void save_block(const struct dms_block *block, struct dms_encoder *encoder)
{
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
    return DMS_OK;
}

/* ---- passes ---- */

static int tile_task(void *context, size_t thread)
{
    struct stage *stage = context;
    struct dms_tile_scratch *scratch = &stage->block->run->scratch[thread];
    size_t t;

    while ((t = atomic_fetch_add(&stage->next_tile, 1)) < stage->tile_ct)
        dms_tile_batch(stage->tiles[t].tile, stage->batch, scratch);
    return DMS_OK;
}

/* Puts every batch of a pass through all tiles. */
static int run_batches(struct stage *stage, struct dms_batch_source *source, uint64_t epoch)
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
    return rc == DMS_END ? DMS_OK : rc;
}

static int begin_pass(struct stage *stage, size_t t, enum dms_pass pass)
{
    return dms_tile_begin(stage->tiles[t].tile, pass);
}

static int end_passes(struct stage *stage)
{
    for (size_t t = 0; t < stage->tile_ct; t++) {
        int rc = dms_tile_end(stage->tiles[t].tile);

        if (rc < 0)
            return rc;
    }
    return DMS_OK;
}

/* ---- tiles and models ---- */

static void free_tiles(struct stage *stage)
{
    for (size_t t = 0; t < stage->tile_ct; t++)
        dms_tile_free(stage->tiles[t].tile);
    free(stage->tiles);
    stage->tiles = NULL;
    stage->tile_ct = 0;
}

static int extract_model(const struct work_tile *work, size_t l, struct dms_sparse_model *model)
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
static int collect_models(struct stage *stage)
{
    for (size_t t = 0; t < stage->tile_ct; t++) {
        struct work_tile *work = &stage->tiles[t];

        for (size_t l = 0; l < DMS_LANES; l++) {
            struct dms_target_path *path = work->paths[l];
            int rc = DMS_OK;

            if (!path || path->finished)
                continue;
            path->slow = path->slow || (work->accelerated && stage->method == DMS_METHOD_SAGA);
            rc = extract_model(work, l, &path->model);
            if (rc < 0)
                return rc;
        }
    }
    return DMS_OK;
}

static void place_target(struct work_tile *work, size_t l, struct dms_target_path *path)
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

static int build_tile(struct stage *stage, struct work_tile *work, bool accelerated)
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
static int place_targets(struct stage *stage, bool slow)
{
    struct dms_block *block = stage->block;
    bool accelerated = slow || stage->method == DMS_METHOD_ACCELERATED;
    struct work_tile *work = NULL;
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

static enum dms_method choose_method(const struct dms_block *block)
{
    const uint64_t *passes = block->pass_ct, *solutions = block->solution_ct;

    if (block->stage == DMS_STAGE_FINISH || !block->run->with_table ||
        !enough_rows(block->run->problem))
        return DMS_METHOD_ACCELERATED;
    if (passes[DMS_METHOD_SAGA] < SYNC_EPOCHS)
        return DMS_METHOD_SAGA;
    if (passes[DMS_METHOD_ACCELERATED] < SYNC_EPOCHS)
        return DMS_METHOD_ACCELERATED;
    return (double)solutions[DMS_METHOD_SAGA] / (double)passes[DMS_METHOD_SAGA] >
                   (double)solutions[DMS_METHOD_ACCELERATED] /
                       (double)passes[DMS_METHOD_ACCELERATED]
               ? DMS_METHOD_SAGA
               : DMS_METHOD_ACCELERATED;
}

/* The source of the stage's rows, with batches as the method wants them. */
static int open_source(struct stage *stage)
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
static int find_moments(struct stage *stage)
{
    bool weighted = false;
    int rc = DMS_OK;

    for (size_t t = 0; rc == DMS_OK && t < stage->tile_ct; t++)
        rc = begin_pass(stage, t, DMS_PASS_MOMENTS);
    if (rc == DMS_OK)
        rc = run_batches(stage, &stage->source, 0);
    if (rc == DMS_OK)
        rc = end_passes(stage);
    for (size_t t = 0; rc == DMS_OK && t < stage->tile_ct; t++) {
        bool counts = stage->tiles[t].tile->weighted;

        weighted = weighted || counts;
        rc = begin_pass(stage, t, counts ? DMS_PASS_COUNTS : DMS_PASS_NONE);
    }
    if (rc == DMS_OK && weighted)
        rc = run_batches(stage, &stage->source, 0);
    if (rc == DMS_OK)
        rc = end_passes(stage);
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

static int build_tiles(struct stage *stage)
{
    int rc;
    enum dms_method method = choose_method(stage->block);

    free_tiles(stage);
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

/* ---- what follows from a pass ---- */

/* A tile of SAGA is evaluated when most of its targets have had the epochs that they are expected
 * to need. */
static enum dms_pass choose_pass(const struct work_tile *work, bool sync)
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
static void note_epoch(struct work_tile *work)
{
    for (size_t l = 0; l < DMS_LANES; l++) {
        struct dms_target_path *path = work->paths[l];

        if (!path || path->finished)
            continue;
        work->epochs_at_lambda[l]++;
        if (work->epochs_at_lambda[l] >= SLOW_EPOCHS)
            work->accelerated = true;
        if (work->tile->lanes[l].diverged) {
            for (size_t k = 0; k < work->tile->design->example_ct; k++)
                dms_tile_set_weight(work->tile, k, l, 0);
            dms_tile_set_bias(work->tile, l, path->mean);
            work->accelerated = true;
        }
    }
}

/* Epochs to plan for the next lambda: one more after too few, one less after more than enough. */
static void plan_epochs(struct work_tile *work, size_t l, double tolerance)
{
    double gap = work->tile->lanes[l].gap;

    if (gap > tolerance && work->epochs_at_lambda[l] >= work->planned_epochs[l])
        work->planned_epochs[l]++;
    else if (gap < tolerance / 4 && work->planned_epochs[l] > 1)
        work->planned_epochs[l]--;
}

/* After an evaluation: which targets are solved at their lambda. */
static void judge(struct stage *stage, struct work_tile *work)
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
static int validate(struct stage *stage)
{
    bool any = false;
    int rc = DMS_OK;

    for (size_t t = 0; rc == DMS_OK && t < stage->tile_ct; t++) {
        bool wanted = false;

        for (size_t l = 0; l < DMS_LANES; l++) {
            stage->tiles[t].tile->lanes[l].squared_error = NAN;
            wanted = wanted || stage->tiles[t].accepted[l];
        }
        any = any || wanted;
        rc = begin_pass(stage, t, wanted ? DMS_PASS_VALIDATE : DMS_PASS_NONE);
    }
    if (rc == DMS_OK && any && stage->has_validation) {
        rc = run_batches(stage, &stage->validation, 0);
        if (rc == DMS_OK)
            rc = end_passes(stage);
    }
    return rc;
}

/* Moves an accepted target on. */
static int advance_target(struct stage *stage, struct work_tile *work, size_t l)
{
    struct dms_target_path *path = work->paths[l];
    struct dms_lane *lane = &work->tile->lanes[l];
    bool best = false;
    int rc = DMS_OK;

    if (stage->block->stage == DMS_STAGE_PATH) {
        dms_target_path_advance(path, stage->block->run->problem, lane->gap, lane->weight_ct,
                                lane->squared_error, &best);
        if (best)
            rc = extract_model(work, l, &path->best);
    } else {
        rc = extract_model(work, l, &path->model);
        path->gap = lane->gap;
        path->finished = true;
    }
    stage->block->solution_ct[stage->method]++;
    lane->lambda = path->lambda;
    lane->moving = !path->finished;
    work->epochs_at_lambda[l] = 0;
    dms_tile_restart(work->tile, l);
    return rc;
}

/* What an evaluation calls for; `evaluated` says which tiles had one. After the last pass of a
 * stage no step is taken: the gaps stay those of the weights. */
static int follow_evaluations(struct stage *stage, const bool *evaluated, bool last)
{
    int rc;

    for (size_t t = 0; t < stage->tile_ct; t++) {
        memset(stage->tiles[t].accepted, 0, sizeof stage->tiles[t].accepted);
        if (evaluated[t])
            judge(stage, &stage->tiles[t]);
    }
    rc = validate(stage);
    for (size_t t = 0; rc == DMS_OK && t < stage->tile_ct; t++) {
        struct work_tile *work = &stage->tiles[t];

        for (size_t l = 0; rc == DMS_OK && l < DMS_LANES; l++) {
            if (work->paths[l] && work->paths[l]->finished)
                work->tile->lanes[l].moving = false;
            if (work->accepted[l])
                rc = advance_target(stage, work, l);
        }
        if (rc == DMS_OK && evaluated[t] && !last) {
            if (work->accelerated)
                rc = dms_tile_accelerate(work->tile, work->settle);
            else
                dms_tile_descend(work->tile);
        }
    }
    return rc;
}

/* ---- a stage ---- */

static size_t unfinished_ct(const struct dms_block *block)
{
    size_t count = 0;

    for (size_t i = 0; i < block->target_ct; i++)
        count += !block->paths[i].finished;
    return count;
}

static int report(const struct stage *stage)
{
    static const char *const names[DMS_STAGE_CT] = {"path", "refit", "certificate"};
    const struct dms_block *block = stage->block;
    const struct dms_solver_run *run = block->run;
    struct dms_fit_progress progress = {.stage = names[block->stage],
                                        .block = block->index,
                                        .block_ct = run->block_ct,
                                        .epoch = block->epoch,
                                        .target_ct = run->problem->target_ct,
                                        .worst_gap = NAN};

    if (!run->control->progress)
        return DMS_OK;
    progress.finished_ct = run->finished_ct + block->target_ct - unfinished_ct(block);
    for (size_t i = 0; i < block->target_ct; i++)
        progress.lambdas_done += (double)block->paths[i].path_ct / (double)block->target_ct;
    for (size_t t = 0; t < stage->tile_ct; t++)
        for (size_t l = 0; l < DMS_LANES; l++)
            if (stage->tiles[t].paths[l] && !stage->tiles[t].paths[l]->finished)
                progress.worst_gap = fmax(progress.worst_gap, stage->tiles[t].tile->lanes[l].gap);
    if (run->control->progress(run->control->context, &progress) != 0)
        return dms_fail(DMS_ERR_INTERRUPTED, "the fit was stopped in pass %llu of stage '%s'",
                        (unsigned long long)block->epoch, progress.stage);
    return DMS_OK;
}

int dms_block_checkpoint(const struct dms_block *block)
{
    const struct dms_solve_control *control = block->run->control;
    struct dms_buffer buffer = {0};
    struct dms_encoder encoder = dms_encoder_begin(&buffer);
    int rc;

    if (!control->save)
        return DMS_OK;
    save_block(block, &encoder);
    rc = encoder.status;
    if (rc == DMS_OK)
        rc = control->save(control->context, buffer.data, buffer.size);
    dms_buffer_free(&buffer);
    return rc;
}

/* One pass of every tile and what follows from it. */
static int run_epoch(struct stage *stage, bool sync, bool last)
{
    bool *evaluated = dms_alloc(stage->tile_ct, sizeof *evaluated);
    int rc = evaluated ? DMS_OK : DMS_ERR_NO_MEMORY;

    for (size_t t = 0; rc == DMS_OK && t < stage->tile_ct; t++) {
        enum dms_pass pass = choose_pass(&stage->tiles[t], sync);

        evaluated[t] = pass == DMS_PASS_EVALUATE;
        rc = begin_pass(stage, t, pass);
    }
    if (rc == DMS_OK)
        rc = run_batches(stage, &stage->source, stage->block->epoch);
    for (size_t t = 0; rc == DMS_OK && t < stage->tile_ct; t++) {
        bool epoch = stage->tiles[t].tile->pass == DMS_PASS_SAGA;

        rc = dms_tile_end(stage->tiles[t].tile);
        if (epoch)
            note_epoch(&stage->tiles[t]);
    }
    if (rc == DMS_OK)
        rc = follow_evaluations(stage, evaluated, last);
    free(evaluated);
    return rc;
}

/* Targets that did not get there in time. */
static int abandon(struct stage *stage)
{
    int rc = collect_models(stage);

    for (size_t t = 0; rc == DMS_OK && t < stage->tile_ct; t++)
        for (size_t l = 0; rc == DMS_OK && l < DMS_LANES; l++) {
            struct dms_target_path *path = stage->tiles[t].paths[l];

            if (!path || path->finished)
                continue;
            path->gap = stage->tiles[t].tile->lanes[l].gap;
            if (path->path_ct == 0)
                rc = extract_model(&stage->tiles[t], l, &path->best);
            dms_target_path_abandon(path);
        }
    return rc;
}

static int run_stage(struct stage *stage)
{
    struct dms_block *block = stage->block;
    int rc = build_tiles(stage);

    while (rc == DMS_OK && unfinished_ct(block) > 0) {
        bool last = block->epoch + 1 >= block->run->control->max_epochs;
        bool sync = last || block->epoch % SYNC_EPOCHS == SYNC_EPOCHS - 1;

        rc = run_epoch(stage, sync, last);
        block->epoch++;
        block->pass_ct[stage->method]++;
        if (rc == DMS_OK)
            rc = report(stage);
        if (rc == DMS_OK && last)
            rc = abandon(stage);
        if (rc != DMS_OK || !sync || last)
            continue;
        rc = collect_models(stage);
        if (rc == DMS_OK)
            rc = dms_block_checkpoint(block);
        if (rc == DMS_OK)
            rc = build_tiles(stage);
    }
    return rc;
}

static int open_stage(struct dms_block *block, struct stage *stage)
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
        rc = problem->open(problem->context, DMS_ROLE_VALIDATION, false, block->first,
                           block->target_ct, DMS_LARGEST_BATCH, &stage->validation);
        stage->has_validation = rc == DMS_OK;
    }
    return rc;
}

static void close_stage(struct stage *stage)
{
    free_tiles(stage);
    if (stage->has_source)
        stage->source.close(stage->source.context);
    if (stage->has_validation)
        stage->validation.close(stage->validation.context);
}

/* The next stage begins with what the last one found. */
static int enter_stage(struct dms_block *block, enum dms_stage next)
{
    for (size_t i = 0; i < block->target_ct; i++) {
        struct dms_target_path *path = &block->paths[i];

        if (block->stage == DMS_STAGE_PATH) {
            struct dms_sparse_model swap = path->model;

            path->model = path->best;
            path->best = swap;
            if (path->path_ct > 0)
                path->lambda = path->lambdas[path->chosen];
        }
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
    struct stage stage;
    int rc = DMS_OK;

    for (;;) {
        rc = open_stage(block, &stage);
        if (rc == DMS_OK)
            rc = run_stage(&stage);
        close_stage(&stage);
        if (rc != DMS_OK || block->stage == DMS_STAGE_FINISH)
            return rc;
        rc =
            enter_stage(block, block->stage == DMS_STAGE_PATH && problem->refit ? DMS_STAGE_REFIT
                                                                                : DMS_STAGE_FINISH);
        if (rc != DMS_OK)
            return rc;
    }
}
