/*
 * The gram solver: coordinate descent on the Gram matrix of the masks, which is counted once and
 * serves all targets, so that no target reads the models again (covariance updates: Friedman,
 * Hastie, Tibshirani 2010, sec. 2.2; screening with checks of the whole: Qian et al. 2020, BASIL).
 *
 * Targets are solved in blocks that fit the memory: their products with the masks come from one
 * pass over the models, then the path is solved, and the refit on training and validation models,
 * whose moments are those of both added up. Targets whose outputs are not all finite, or that leave
 * models out (self), have Gram matrices of their own, of which only what working sets need is
 * counted.
 */
#include "solver/gram_solver.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "kernels/lanes.h"
#include "solver/gram_run.h"
#include "solver/pass.h"

/* A working set takes this part of the memory at most, and so many are in use at a time. */
#define SET_SHARE 32
#define SETS 8

/* Rounds between checkpoints: each encodes all targets of the block. */
#define CHECKPOINT_ROUNDS 64

/* ---- memory ---- */

static bool set_fits(const void *memory_bytes, uint64_t size)
{
    return dms_working_set_bytes((size_t)size) <= *(const uint64_t *)memory_bytes / SET_SHARE;
}

size_t dms_gram_largest_set(const struct dms_problem *problem, uint64_t memory_bytes)
{
    uint64_t size = dms_largest_fitting(problem->example_ct, set_fits, &memory_bytes);

    return size > 0 ? (size_t)size : 1;
}

/* A target's moments and products, and its path. */
static uint64_t target_bytes(const struct dms_problem *problem)
{
    size_t example_ct = problem->example_ct;

    return dms_target_outputs_bytes(example_ct, problem->row_ct[DMS_ROLE_TRAINING],
                                    DMS_KEEP_PRODUCTS) +
           dms_target_outputs_bytes(example_ct, problem->row_ct[DMS_ROLE_VALIDATION],
                                    DMS_KEEP_PRODUCTS) +
           dms_target_path_bytes(problem) + sizeof(struct dms_target_path);
}

/* Whether any target may have weight on all models. */
static bool shares_matrix(const struct dms_problem *problem)
{
    bool any = !problem->self;

    for (size_t t = 0; !any && t < problem->target_ct; t++)
        any = problem->self[t] < 0;
    return any;
}

static size_t most_sets(unsigned thread_ct)
{
    return thread_ct < SETS ? thread_ct : SETS;
}

/* What the need for memory follows from. */
struct demand {
    const struct dms_problem *problem;
    uint64_t memory_bytes;
    size_t set_ct;
    uint64_t wide_bytes; /* of the matrix, as far as it is known */
};

/* What is there all the time with blocks of target_ct targets: they, working sets, sources, and
 * counts of pairs. */
static uint64_t kept_bytes(const struct demand *demand, size_t target_ct)
{
    const struct dms_problem *problem = demand->problem;
    uint64_t lanes = (target_ct + DMS_LANES - 1) / DMS_LANES * DMS_LANES;
    uint64_t set = dms_working_set_bytes(dms_gram_largest_set(problem, demand->memory_bytes));
    uint64_t sources = problem->source_bytes
                           ? problem->source_bytes(problem->context, target_ct, DMS_PASS_ROWS)
                           : 0;
    uint64_t counts = shares_matrix(problem) ? dms_gram_counts_bytes(problem) : 0;

    return lanes * target_bytes(problem) + demand->set_ct * set + sources + counts;
}

/* What solving them takes beside: first those that share the matrix, then the others, of which
 * `own` are in work at a time. */
static uint64_t work_bytes(const struct demand *demand, struct dms_gram_own_size own)
{
    const struct dms_problem *problem = demand->problem;
    uint64_t others = dms_gram_own_bytes(problem, demand->memory_bytes, &own), shared = 0;

    if (shares_matrix(problem))
        shared = dms_gram_shared_bytes(problem, demand->memory_bytes, demand->set_ct) +
                 demand->wide_bytes;
    return shared > others ? shared : others;
}

/* Any target may be one of the others, as soon as an output is not finite: there must be room for
 * some, and they take what there is. Where they are all known to be (self), every thread has some.
 */
static uint64_t block_bytes(const struct demand *demand, size_t target_ct)
{
    struct dms_gram_own_size own = dms_gram_own_largest(demand->set_ct);

    if (!demand->problem->self)
        own = (struct dms_gram_own_size){1, 1};
    return kept_bytes(demand, target_ct) + work_bytes(demand, own);
}

uint64_t dms_gram_least_bytes(const struct dms_problem *problem, uint64_t memory_bytes)
{
    const struct demand demand = {problem, memory_bytes, 1, 0};

    return block_bytes(&demand, 1);
}

uint64_t dms_gram_most_bytes(const struct dms_problem *problem, uint64_t memory_bytes,
                             unsigned thread_ct)
{
    const struct demand demand = {problem, memory_bytes, most_sets(thread_ct), 0};
    uint64_t all = kept_bytes(&demand, problem->target_ct) +
                   work_bytes(&demand, dms_gram_own_largest(demand.set_ct));

    return all < memory_bytes ? all : memory_bytes;
}

static struct demand demand_of(const struct dms_gram_run *run)
{
    return (struct demand){run->problem, run->control->memory_bytes, run->set_ct, run->wide_bytes};
}

static uint64_t needed_bytes(const struct dms_gram_run *run, size_t tile_ct)
{
    const struct demand demand = demand_of(run);

    return block_bytes(&demand, tile_ct * DMS_LANES);
}

static bool tiles_fit(const void *context, uint64_t tile_ct)
{
    const struct dms_gram_run *run = context;

    return needed_bytes(run, (size_t)tile_ct) <= run->control->memory_bytes;
}

/* Fewer threads solve where more would leave no room for a block: for the least, or for those that
 * the fit had on another machine. */
static int choose_block(struct dms_gram_run *run)
{
    const struct dms_problem *problem = run->problem;
    size_t all = (problem->target_ct + DMS_LANES - 1) / DMS_LANES;
    size_t tile_ct = (size_t)dms_solve_saved_tiles(run->control);
    bool saved = tile_ct > 0 && tile_ct <= all;
    struct demand demand;

    run->set_ct = most_sets(dms_pool_threads(run->pool));
    while (run->set_ct > 1 && !tiles_fit(run, saved ? tile_ct : 1))
        run->set_ct--;
    if (!saved || !tiles_fit(run, tile_ct))
        tile_ct = (size_t)dms_largest_fitting(all, tiles_fit, run);
    if (tile_ct == 0)
        return dms_fail(DMS_ERR_INVALID,
                        "the gram solver keeps %zu x %zu numbers in memory and needs %" PRIu64
                        " MiB in all; %" PRIu64 " MiB are allowed: allow more, or take saga",
                        problem->example_ct, problem->example_ct,
                        needed_bytes(run, 1) / 1048576 + 1, run->control->memory_bytes / 1048576);
    run->block_ct = (all + tile_ct - 1) / tile_ct;
    /* Blocks of about one size, which those of a fit that goes on are already. */
    run->block_targets = (all + run->block_ct - 1) / run->block_ct * DMS_LANES;
    demand = demand_of(run);
    run->work_bytes = demand.memory_bytes - kept_bytes(&demand, run->block_targets);
    return DMS_OK;
}

/* ---- threads ---- */

struct each {
    struct dms_gram_run *run;
    size_t task_ct;
    int (*task)(void *context, size_t index, struct dms_working_set *set);
    void *context;
    atomic_size_t next;
};

static int run_each(void *context, size_t thread)
{
    struct each *each = context;
    size_t index;
    int rc = DMS_OK;

    while (rc == DMS_OK && (index = atomic_fetch_add(&each->next, 1)) < each->task_ct)
        rc = each->task(each->context, index, &each->run->sets[thread]);
    return rc;
}

int dms_gram_run_each(struct dms_gram_run *run, size_t task_ct,
                      int (*task)(void *context, size_t index, struct dms_working_set *set),
                      void *context)
{
    struct each each = {.run = run, .task_ct = task_ct, .task = task, .context = context};

    return dms_pool_run(run->pool, task_ct < run->set_ct ? task_ct : run->set_ct, run_each, &each);
}

/* ---- what a block has ---- */

enum dms_role dms_gram_role(const struct dms_gram_block *block)
{
    return block->stage == DMS_GRAM_REFIT ? DMS_ROLE_REFIT : DMS_ROLE_TRAINING;
}

bool dms_gram_is_shared(const struct dms_gram_block *block, size_t t)
{
    const struct dms_problem *problem = block->run->problem;

    if (problem->self && problem->self[block->first + t] >= 0)
        return false;
    for (int role = 0; role < DMS_ROLE_REFIT; role++)
        if (problem->row_ct[role] > 0 &&
            block->moments[role].moments[t].row_weight < (double)problem->row_ct[role])
            return false;
    return true;
}

bool dms_gram_find_next(const struct dms_gram_block *block, bool shared, size_t end, size_t *next)
{
    while (*next < end &&
           (block->paths[*next].finished || dms_gram_is_shared(block, *next) != shared))
        ++*next;
    return *next < end;
}

struct dms_output_moments dms_gram_moments(const struct dms_gram_block *block, size_t t)
{
    struct dms_output_moments sum = block->moments[DMS_ROLE_TRAINING].moments[t];
    const struct dms_output_moments *other;
    double between;

    if (dms_gram_role(block) == DMS_ROLE_TRAINING)
        return sum;
    other = &block->moments[DMS_ROLE_VALIDATION].moments[t];
    between = other->shift - sum.shift;
    sum.square_sum +=
        other->square_sum + 2 * between * other->sum + between * between * other->row_weight;
    sum.sum += other->sum + between * other->row_weight;
    sum.row_weight += other->row_weight;
    return sum;
}

double dms_gram_sum_products(const struct dms_gram_block *block, enum dms_role role, size_t t,
                             size_t k, double level)
{
    const struct dms_target_outputs *targets = &block->moments[role];
    double single = dms_pair_counts_singles(block->run->counts[role])[k];
    size_t at = (t / DMS_LANES * targets->example_ct + k) * DMS_LANES + t % DMS_LANES;

    return targets->products[at] - single * level;
}

void dms_gram_set_moments(struct dms_target_path *path, const struct dms_output_moments *moments)
{
    path->row_weight = moments->row_weight;
    path->mean = dms_output_mean(moments);
    path->null_deviance = dms_output_null_deviance(moments);
}

/* ---- progress and checkpoints ---- */

/* Targets that are not finished begin their stage anew when the fit goes on: no target depends on
 * another, so that the same bytes come out. */
static void save_block(const void *context, struct dms_encoder *encoder)
{
    const struct dms_gram_block *block = context;

    dms_encode_u64(encoder, block->index);
    dms_encode_u64(encoder, block->first);
    dms_encode_u64(encoder, block->target_ct);
    dms_encode_u32(encoder, (uint32_t)block->stage);
    dms_encode_u64(encoder, block->round_ct);
    for (size_t t = 0; t < block->target_ct; t++)
        dms_target_path_save(&block->paths[t], encoder);
}

static int checkpoint(const struct dms_gram_block *block)
{
    return dms_solve_save(block->run->control, save_block, block);
}

static int restore(struct dms_gram_block *block, struct dms_cursor *cursor)
{
    const struct dms_problem *problem = block->run->problem;
    uint64_t index = dms_cursor_u64(cursor), first = dms_cursor_u64(cursor);
    uint64_t target_ct = dms_cursor_u64(cursor);
    uint32_t stage = dms_cursor_u32(cursor);

    block->round_ct = dms_cursor_u64(cursor);
    if (cursor->bad || index != block->index || first != block->first ||
        target_ct != block->target_ct || stage > DMS_GRAM_REFIT)
        return dms_fail(DMS_ERR_CONFLICT, "the checkpoint is of another division into blocks: "
                                          "resume with the same memory");
    block->stage = (enum dms_gram_stage)stage;
    for (size_t t = 0; t < block->target_ct; t++) {
        struct dms_target_path *path = &block->paths[t];
        int rc = dms_target_path_load(path, problem, cursor);

        if (rc == DMS_OK && block->stage == DMS_GRAM_PATH && !path->finished) {
            dms_target_path_free(path);
            rc = dms_target_path_init(path, problem, block->first + t, t);
        }
        if (rc < 0)
            return rc;
    }
    if (!dms_cursor_ended_well(cursor))
        return dms_fail(DMS_ERR_CORRUPT, "the solver's state in the checkpoint is cut short");
    return DMS_OK;
}

int dms_gram_tell(struct dms_gram_block *block)
{
    const struct dms_gram_run *run = block->run;
    struct dms_fit_progress progress = {
        .stage = block->stage == DMS_GRAM_PATH ? "path" : "refit",
        .block = block->index,
        .block_ct = run->block_ct,
        .epoch = ++block->round_ct,
        .target_ct = run->problem->target_ct,
        .finished_ct = block->first,
        .counted = (double)NAN,
        .worst_gap = (double)NAN,
    };
    int rc = block->round_ct % CHECKPOINT_ROUNDS == 0 ? checkpoint(block) : DMS_OK;

    if (rc < 0 || !run->control->progress)
        return rc;
    for (size_t t = 0; t < block->target_ct; t++) {
        progress.lambdas_done += (double)block->paths[t].path_ct / (double)block->target_ct;
        progress.finished_ct += block->paths[t].finished;
    }
    if (run->control->progress(run->control->context, &progress) != 0)
        return dms_fail(DMS_ERR_INTERRUPTED,
                        "the fit was stopped in round %" PRIu64 " of stage '%s'", block->round_ct,
                        progress.stage);
    return DMS_OK;
}

/* ---- outputs ---- */

/* A reading of outputs on the models of a role, as told. */
struct reading {
    const struct dms_gram_block *block;
    uint64_t before, all; /* rows of the roles that are read before, and of all */
};

static int tell_reading(void *context, uint64_t row_ct)
{
    const struct reading *reading = context;
    const struct dms_gram_run *run = reading->block->run;
    const struct dms_fit_progress progress = {
        .stage = "products",
        .counted = (double)(reading->before + row_ct) / (double)reading->all,
        .block = reading->block->index,
        .block_ct = run->block_ct,
        .target_ct = run->problem->target_ct,
        .finished_ct = reading->block->first,
        .worst_gap = (double)NAN,
    };

    if (run->control->progress && run->control->progress(run->control->context, &progress) != 0)
        return dms_fail(DMS_ERR_INTERRUPTED, "the fit was stopped while it read the outputs");
    return DMS_OK;
}

static int read_moments(struct dms_gram_block *block)
{
    const struct dms_gram_run *run = block->run;
    const uint64_t *row_ct = run->problem->row_ct;
    struct reading reading = {.block = block,
                              .all = row_ct[DMS_ROLE_TRAINING] + row_ct[DMS_ROLE_VALIDATION]};
    struct dms_outputs_request request = {
        .first = block->first,
        .target_ct = block->target_ct,
        .keep = DMS_KEEP_PRODUCTS,
        .tell = tell_reading,
        .context = &reading,
    };
    int rc = DMS_OK;

    for (int role = 0; rc == DMS_OK && role < DMS_ROLE_REFIT; role++) {
        request.role = (enum dms_role)role;
        if (row_ct[role] > 0)
            rc = dms_target_outputs_read(run->problem, run->pool, &request, &block->moments[role]);
        reading.before += row_ct[role];
    }
    return rc;
}

/* ---- a block ---- */

static void free_block(struct dms_gram_block *block)
{
    for (size_t t = 0; block->paths && t < block->target_ct; t++)
        dms_target_path_free(&block->paths[t]);
    free(block->paths);
    for (int role = 0; role < DMS_ROLE_CT; role++)
        dms_target_outputs_free(&block->moments[role]);
}

/* The path is done: its choice is the result, or what the refit begins with. */
static void end_path(struct dms_gram_block *block)
{
    for (size_t t = 0; t < block->target_ct; t++) {
        struct dms_target_path *path = &block->paths[t];

        dms_target_path_take_best(path);
        /* A constant target has its mean, and nothing to refit. */
        if (!block->run->refit || path->flags & DMS_FITTED_CONSTANT)
            continue;
        path->finished = false;
        path->flags |= DMS_FITTED_REFITTED;
    }
    block->stage = DMS_GRAM_REFIT;
    block->round_ct = 0;
}

static int solve_stage(struct dms_gram_block *block)
{
    int rc = checkpoint(block);

    if (rc == DMS_OK)
        rc = dms_gram_solve_shared(block);
    return rc == DMS_OK ? dms_gram_solve_own(block) : rc;
}

static int hand_out(const struct dms_gram_block *block)
{
    const struct dms_solve_control *control = block->run->control;
    int rc = DMS_OK;

    for (size_t t = 0; rc == DMS_OK && t < block->target_ct; t++) {
        struct dms_fitted_target result;

        dms_target_path_result(&block->paths[t], &result);
        rc = control->result(control->context, &result);
    }
    return rc;
}

static int solve_block(struct dms_gram_run *run, uint64_t index, struct dms_cursor *saved)
{
    size_t first = (size_t)index * run->block_targets;
    size_t left = run->problem->target_ct - first;
    struct dms_gram_block block = {
        .run = run,
        .index = index,
        .first = first,
        .target_ct = left < run->block_targets ? left : run->block_targets,
    };
    int rc = DMS_OK;

    block.paths = dms_alloc(block.target_ct, sizeof *block.paths);
    if (!block.paths)
        return DMS_ERR_NO_MEMORY;
    for (size_t t = 0; rc == DMS_OK && t < block.target_ct; t++)
        rc = dms_target_path_init(&block.paths[t], run->problem, first + t, t);
    if (rc == DMS_OK && saved)
        rc = restore(&block, saved);
    if (rc == DMS_OK)
        rc = read_moments(&block);
    if (rc == DMS_OK && block.stage == DMS_GRAM_PATH) {
        rc = solve_stage(&block);
        if (rc == DMS_OK)
            end_path(&block);
    }
    if (rc == DMS_OK && run->refit)
        rc = solve_stage(&block);
    if (rc == DMS_OK)
        rc = hand_out(&block);
    free_block(&block);
    return rc;
}

/* ---- the whole ---- */

static void tell_division(const struct dms_gram_run *run)
{
    const struct dms_solve_control *control = run->control;
    size_t all = run->problem->target_ct;
    struct dms_fit_placement placement = {
        .block_ct = run->block_ct,
        .block_targets = all < run->block_targets ? all : run->block_targets,
        .batch_rows = DMS_PASS_ROWS,
        .table = "none",
    };

    if (control->divided)
        control->divided(control->context, &placement);
}

/* Counts, before anything else takes memory: that is what counting may use. The counts tell how
 * large the matrix is, and blocks may have to be smaller for it. */
static int count_pairs(struct dms_gram_run *run)
{
    uint64_t block_ct = run->block_ct;
    int rc = dms_gram_count_pairs(run);

    if (rc == DMS_OK)
        rc = dms_gram_measure_matrices(run, &run->wide_bytes);
    if (rc == DMS_OK && run->wide_bytes > 0)
        rc = choose_block(run);
    if (rc == DMS_OK && run->block_ct != block_ct)
        tell_division(run);
    return rc;
}

static int prepare(struct dms_gram_run *run)
{
    int rc = dms_pool_create(run->control->thread_ct, &run->pool);

    if (rc == DMS_OK)
        rc = choose_block(run);
    if (rc == DMS_OK)
        tell_division(run);
    if (rc == DMS_OK && shares_matrix(run->problem))
        rc = count_pairs(run);
    if (rc < 0)
        return rc;
    run->set_limit = dms_gram_largest_set(run->problem, run->control->memory_bytes);
    run->sets = dms_alloc(run->set_ct, sizeof *run->sets);
    return run->sets ? DMS_OK : DMS_ERR_NO_MEMORY;
}

static void release(struct dms_gram_run *run)
{
    for (size_t i = 0; run->sets && i < run->set_ct; i++)
        dms_working_set_free(&run->sets[i]);
    free(run->sets);
    for (int role = 0; role < DMS_ROLE_CT; role++)
        dms_pair_counts_free(run->counts[role]);
    dms_pool_free(run->pool);
}

int dms_gram_solve(const struct dms_problem *problem, const struct dms_solve_control *control)
{
    struct dms_gram_run run = {.problem = problem, .control = control};
    struct dms_cursor cursor = dms_cursor_begin(control->state, control->state_bytes);
    uint64_t first_block = 0;
    int rc = dms_problem_check(problem);

    if (rc == DMS_OK && problem->row_ct[DMS_ROLE_REFIT] > DMS_GRAM_ROWS_MAX)
        rc = dms_fail(DMS_ERR_INVALID, "the gram solver takes %d models at most: take saga",
                      DMS_GRAM_ROWS_MAX);
    if (rc < 0)
        return rc;
    run.refit = problem->refit && problem->row_ct[DMS_ROLE_VALIDATION] > 0;
    rc = prepare(&run);
    if (rc == DMS_OK)
        rc = dms_solve_first_block(control, run.block_ct, &first_block);
    for (uint64_t b = first_block; rc == DMS_OK && b < run.block_ct; b++)
        rc = solve_block(&run, b, control->state && b == first_block ? &cursor : NULL);
    release(&run);
    return rc;
}
