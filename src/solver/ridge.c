/*
 * Ridge regression and least squares in closed form: blocks of targets that fit the memory, in each
 * of them groups of targets with the same rows, for each group one matrix.
 */
#include "solver/ridge.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/linear_algebra.h"
#include "base/pool.h"
#include "base/thread.h"
#include "format/cursor.h"
#include "kernels/lanes.h"
#include "solver/pass.h"
#include "solver/ridge_path.h"
#include "solver/ridge_system.h"
#include "solver/target_outputs.h"

/* Where every target has a matrix of its own, more targets together save little, and a checkpoint
 * comes after each block. */
#define OWN_MATRIX_TARGETS 64
/* Arrays of a value for each example and target beside struct dms_target_outputs: right hand sides,
 * solutions, gradients and scratch. */
#define TARGET_ARRAYS 5

/* ---- what it takes ---- */

bool dms_ridge_chooses(const struct dms_problem *problem)
{
    return problem->ridge_lambda < 0;
}

bool dms_ridge_needs_vectors(const struct dms_problem *problem)
{
    return !(problem->ridge_lambda > 0);
}

enum dms_role dms_ridge_role(const struct dms_problem *problem)
{
    return problem->refit && problem->row_ct[DMS_ROLE_VALIDATION] > 0 ? DMS_ROLE_REFIT
                                                                      : DMS_ROLE_TRAINING;
}

static uint64_t target_bytes(const struct dms_problem *problem)
{
    size_t example_ct = problem->example_ct;
    uint64_t bytes = TARGET_ARRAYS * sizeof(double) * (uint64_t)example_ct +
                     dms_target_outputs_bytes(example_ct, problem->row_ct[dms_ridge_role(problem)],
                                              DMS_KEEP_ROWS | DMS_KEEP_PRODUCTS);

    if (dms_ridge_chooses(problem))
        bytes += dms_target_outputs_bytes(example_ct, problem->row_ct[DMS_ROLE_VALIDATION],
                                          DMS_KEEP_ROWS | DMS_KEEP_OUTPUTS) +
                 2 * sizeof(double) * (uint64_t)problem->lambda_ct;
    return bytes;
}

uint64_t dms_ridge_bytes(const struct dms_problem *problem, size_t target_ct)
{
    size_t example_ct = problem->example_ct;
    uint64_t lanes = (target_ct + DMS_LANES - 1) / DMS_LANES * DMS_LANES;
    uint64_t bytes = dms_ridge_system_bytes(example_ct, dms_ridge_needs_vectors(problem)) +
                     lanes * target_bytes(problem) +
                     dms_mask_words_bytes(example_ct, problem->row_ct[dms_ridge_role(problem)]) +
                     dms_packed_rows_covariance_bytes(
                         example_ct, problem->row_ct[dms_ridge_role(problem)], dms_processor_ct());

    if (dms_ridge_chooses(problem))
        bytes += dms_mask_words_bytes(example_ct, problem->row_ct[DMS_ROLE_VALIDATION]) +
                 dms_mask_words_bytes(example_ct, problem->row_ct[DMS_ROLE_TRAINING]) +
                 dms_ridge_path_bytes(example_ct, target_ct, problem->lambda_ct);
    return bytes;
}

/* ---- a run ---- */

struct run {
    const struct dms_problem *problem;
    const struct dms_solve_control *control;
    struct dms_pool *pool;
    struct dms_ridge_setting setting;
    struct dms_packed_rows rows[DMS_ROLE_CT]; /* read when first needed */
    /* The system of all rows of `shared_role`, for all targets that use them; NULL: not made. */
    struct dms_ridge_system *shared;
    enum dms_role shared_role;
    bool keeps_shared; /* beside that of a group with other rows */
    size_t block_targets, block, block_ct;
    uint64_t pass_ct, finished_ct;
    /* Of the target that is handed out: a value for each example, and for each lambda. */
    uint32_t *examples, *weight_cts;
    double *weights, *no_gaps;
};

/* The targets in work. */
struct block {
    size_t first, target_ct;
    struct dms_target_outputs targets, validation;
    struct dms_ridge_path *paths; /* target_ct, when lambda is chosen; else NULL */
    double *means;                /* target_ct: of the rows in work */
    bool *done;                   /* target_ct: handed out */
    size_t *order;                /* target_ct: targets that are left, those of a group together */
    size_t order_ct;
};

static uint64_t needed_bytes(const struct run *run, size_t target_ct)
{
    const struct dms_problem *problem = run->problem;

    return dms_ridge_bytes(problem, target_ct) +
           (problem->source_bytes
                ? problem->source_bytes(problem->context, target_ct, DMS_PASS_ROWS)
                : 0);
}

static bool tiles_fit(const void *context, uint64_t tile_ct)
{
    const struct run *run = context;

    return needed_bytes(run, (size_t)tile_ct * DMS_LANES) <= run->control->memory_bytes;
}

static int choose_block(struct run *run)
{
    const struct dms_problem *problem = run->problem;
    size_t most = problem->self ? OWN_MATRIX_TARGETS : problem->target_ct;
    size_t all = ((problem->target_ct < most ? problem->target_ct : most) + 15) / 16;
    size_t tile_ct = (size_t)dms_largest_fitting(all, tiles_fit, run);
    uint64_t allowed = run->control->memory_bytes;

    if (tile_ct == 0)
        return dms_fail(DMS_ERR_INVALID,
                        "ridge regression on %zu examples keeps %s of %zu x %zu numbers in memory, "
                        "and needs %" PRIu64 " MiB in all; %" PRIu64 " MiB are allowed: allow more",
                        problem->example_ct,
                        dms_ridge_needs_vectors(problem) ? "three matrices" : "a matrix",
                        problem->example_ct, problem->example_ct,
                        needed_bytes(run, DMS_LANES) / 1048576 + 1, allowed / 1048576);
    run->block_targets = tile_ct * DMS_LANES;
    run->block_ct = (problem->target_ct + run->block_targets - 1) / run->block_targets;
    run->keeps_shared =
        needed_bytes(run, run->block_targets) +
            dms_ridge_system_bytes(problem->example_ct, dms_ridge_needs_vectors(problem)) <=
        allowed;
    return DMS_OK;
}

/* ---- progress ---- */

static int tell(struct run *run, const char *stage)
{
    struct dms_fit_progress progress = {
        .stage = stage,
        .block = run->block,
        .block_ct = run->block_ct,
        .epoch = ++run->pass_ct,
        .finished_ct = run->finished_ct,
        .counted = (double)NAN,
        .worst_gap = (double)NAN,
    };

    if (!run->control->progress)
        return DMS_OK;
    if (run->control->progress(run->control->context, &progress) != 0)
        return dms_fail(DMS_ERR_INTERRUPTED, "the fit was stopped in stage '%s'", stage);
    return DMS_OK;
}

/* ---- results ---- */

static void describe_path(const struct run *run, const struct dms_ridge_path *path, size_t size,
                          struct dms_fitted_target *result)
{
    for (uint32_t j = 0; j < path->lambda_ct; j++)
        run->weight_cts[j] = (uint32_t)size;
    if (path->chosen + 1 == path->lambda_ct)
        result->flags |= DMS_FITTED_LAST_LAMBDA;
    result->path_ct = path->lambda_ct;
    result->chosen = path->chosen;
    result->path_lambdas = path->lambdas;
    result->path_errors = path->errors;
    result->path_gaps = run->no_gaps;
    result->path_weight_cts = run->weight_cts;
}

static int hand_out(struct run *run, struct block *block, size_t t,
                    struct dms_fitted_target *result)
{
    const struct dms_output_moments *moments = &block->targets.moments[t];

    result->target = run->problem->first_target + block->first + t;
    result->mean = dms_output_mean(moments);
    result->null_deviance = dms_output_null_deviance(moments);
    result->row_ct = (uint64_t)moments->row_weight;
    result->examples = run->examples;
    result->weights = run->weights;
    block->done[t] = true;
    run->finished_ct++;
    return run->control->result(run->control->context, result);
}

static int hand_out_constant(struct run *run, struct block *block, size_t t)
{
    struct dms_fitted_target result = {
        .flags = DMS_FITTED_CONSTANT,
        .bias = dms_output_mean(&block->targets.moments[t]),
    };

    return hand_out(run, block, t, &result);
}

/* `weights`: of the columns of the system. gap: not relative yet. */
static int hand_out_solution(struct run *run, struct block *block, size_t t,
                             const struct dms_ridge_system *system, const double *weights,
                             double lambda, double gap)
{
    const struct dms_problem *problem = run->problem;
    const struct dms_output_moments *moments = &block->targets.moments[t];
    struct dms_fitted_target result = {
        .bias = dms_output_mean(moments),
        .lambda = lambda,
        .gap = gap / dms_output_null_deviance(moments),
    };

    for (size_t k = 0; k < system->size; k++) {
        result.bias -= system->means[k] * weights[k];
        if (weights[k] == 0)
            continue;
        run->examples[result.weight_ct] = system->examples[k];
        run->weights[result.weight_ct++] = weights[k];
    }
    if (!(result.gap <= problem->tolerance))
        result.flags |= DMS_FITTED_UNCERTIFIED;
    if (dms_ridge_role(problem) == DMS_ROLE_REFIT)
        result.flags |= DMS_FITTED_REFITTED;
    if (block->paths)
        describe_path(run, &block->paths[t], system->size, &result);
    return hand_out(run, block, t, &result);
}

/* ---- groups ---- */

static const uint64_t *row_words(const struct dms_target_outputs *targets, size_t t)
{
    return targets->row_words + t * targets->word_ct;
}

static int compare_rows(const void *a, const void *b, void *context)
{
    const struct dms_target_outputs *targets = context;
    size_t left = *(const size_t *)a, right = *(const size_t *)b;
    double left_weight = targets->moments[left].row_weight;
    double right_weight = targets->moments[right].row_weight;
    int order = (left_weight < right_weight) - (left_weight > right_weight);

    if (order == 0)
        order = memcmp(row_words(targets, left), row_words(targets, right),
                       targets->word_ct * sizeof(uint64_t));
    return order != 0 ? order : (left > right) - (left < right);
}

/* Puts the targets that are left in order: those with all rows first, then group by group. */
static void find_groups(struct block *block)
{
    block->order_ct = 0;
    for (size_t t = 0; t < block->target_ct; t++)
        if (!block->done[t])
            block->order[block->order_ct++] = t;
    qsort_r(block->order, block->order_ct, sizeof *block->order, compare_rows, &block->targets);
}

/* The end of the group that begins at position `begin` of the order. */
static size_t group_end(const struct block *block, size_t begin)
{
    const struct dms_target_outputs *targets = &block->targets;
    const uint64_t *first = row_words(targets, block->order[begin]);
    size_t end = begin + 1;

    while (end < block->order_ct && memcmp(first, row_words(targets, block->order[end]),
                                           targets->word_ct * sizeof *first) == 0)
        end++;
    return end;
}

/* c of the targets of a group. */
static void find_products(const struct dms_target_outputs *targets,
                          const struct dms_ridge_system *system, size_t target_ct,
                          const size_t *members, double *products)
{
    for (size_t t = 0; t < target_ct; t++) {
        const struct dms_output_moments *moments = &targets->moments[members[t]];
        const double *sums = targets->products +
                             members[t] / DMS_LANES * targets->example_ct * DMS_LANES +
                             members[t] % DMS_LANES;

        for (size_t k = 0; k < system->size; k++) {
            double sum = sums[system->examples[k] * (size_t)DMS_LANES];

            products[k + system->size * t] =
                (sum - system->means[k] * moments->sum) / moments->row_weight / system->scales[k];
        }
    }
}

static int solve_group(struct run *run, struct block *block, struct dms_ridge_system *system,
                       size_t target_ct, const size_t *members, const double *products)
{
    double *weights = dms_alloc(system->size * target_ct, sizeof *weights);
    double *lambdas = dms_alloc(target_ct, sizeof *lambdas);
    double *gaps = dms_alloc(target_ct, sizeof *gaps);
    int rc = weights && lambdas && gaps ? DMS_OK : DMS_ERR_NO_MEMORY;

    for (size_t t = 0; rc == DMS_OK && t < target_ct; t++) {
        const struct dms_ridge_path *path = block->paths ? &block->paths[members[t]] : NULL;

        lambdas[t] = path ? path->lambdas[path->chosen] : run->problem->ridge_lambda;
    }
    if (rc == DMS_OK)
        rc = dms_ridge_system_solve(system, target_ct, lambdas, products, weights, gaps);
    for (size_t t = 0; rc == DMS_OK && t < target_ct; t++)
        rc = hand_out_solution(run, block, members[t], system, weights + system->size * t,
                               lambdas[t], gaps[t]);
    free(weights);
    free(lambdas);
    free(gaps);
    return rc;
}

/* *system: of a group's rows; *own: it is for this group alone. */
static int get_system(struct run *run, const struct block *block, enum dms_role role, size_t member,
                      struct dms_ridge_system **system, bool *own)
{
    double row_weight = block->targets.moments[member].row_weight;
    bool has_all = row_weight == (double)run->problem->row_ct[role];
    int rc = DMS_OK;

    *own = !has_all;
    if (has_all && run->shared && run->shared_role == role) {
        *system = run->shared;
        return DMS_OK;
    }
    if (has_all || !run->keeps_shared) {
        dms_ridge_system_free(run->shared);
        run->shared = NULL;
    }
    rc = dms_ridge_system_create(&run->setting, &run->rows[role],
                                 has_all ? NULL : row_words(&block->targets, member), row_weight,
                                 system);
    if (rc == DMS_OK && has_all) {
        run->shared = *system;
        run->shared_role = role;
    }
    return rc;
}

/* Chooses the lambdas of the targets of a group, or solves them, or both. */
static int work_group(struct run *run, struct block *block, enum dms_role role, size_t target_ct,
                      const size_t *members)
{
    bool chooses = block->paths && role == DMS_ROLE_TRAINING, own = false;
    const struct dms_ridge_validation validation = {.rows = &run->rows[DMS_ROLE_VALIDATION],
                                                    .targets = &block->validation};
    struct dms_ridge_system *system = NULL;
    double *products = NULL;
    int rc = get_system(run, block, role, members[0], &system, &own);

    if (rc < 0)
        return rc;
    products = dms_alloc(system->size * target_ct, sizeof *products);
    if (!products)
        rc = DMS_ERR_NO_MEMORY;
    if (rc == DMS_OK)
        find_products(&block->targets, system, target_ct, members, products);
    if (rc == DMS_OK && chooses)
        rc = dms_ridge_path_choose(run->problem, system, &validation, target_ct, members, products,
                                   block->means, block->paths);
    if (rc == DMS_OK && role == dms_ridge_role(run->problem))
        rc = solve_group(run, block, system, target_ct, members, products);
    free(products);
    if (own)
        dms_ridge_system_free(system);
    return rc;
}

/* ---- blocks ---- */

static int read_rows(struct run *run, enum dms_role role)
{
    return run->rows[role].columns ? DMS_OK
                                   : dms_packed_rows_read(run->problem, role, &run->rows[role]);
}

static int read_outputs(const struct run *run, const struct block *block, enum dms_role role,
                        enum dms_kept_outputs keep, struct dms_target_outputs *targets)
{
    const struct dms_outputs_request request = {
        .role = role,
        .first = block->first,
        .target_ct = block->target_ct,
        .keep = DMS_KEEP_ROWS | keep,
    };

    return dms_target_outputs_read(run->problem, run->pool, &request, targets);
}

/* Reads the targets' outputs of a role and works through their groups. */
static int work_role(struct run *run, struct block *block, enum dms_role role)
{
    const char *stage = block->paths && role == DMS_ROLE_TRAINING ? "path" : "ridge";
    int rc = read_rows(run, role);

    dms_target_outputs_free(&block->targets);
    if (rc == DMS_OK)
        rc = read_outputs(run, block, role, DMS_KEEP_PRODUCTS, &block->targets);
    if (rc == DMS_OK)
        rc = tell(run, stage);
    for (size_t t = 0; rc == DMS_OK && t < block->target_ct; t++) {
        block->means[t] = dms_output_mean(&block->targets.moments[t]);
        if (!block->done[t] && !(dms_output_null_deviance(&block->targets.moments[t]) > 0))
            rc = hand_out_constant(run, block, t);
    }
    if (rc < 0)
        return rc;
    find_groups(block);
    for (size_t begin = 0, end; rc == DMS_OK && begin < block->order_ct; begin = end) {
        end = group_end(block, begin);
        rc = work_group(run, block, role, end - begin, block->order + begin);
        if (rc == DMS_OK)
            rc = tell(run, stage);
    }
    return rc;
}

static int work_block(struct run *run, struct block *block)
{
    enum dms_role role = dms_ridge_role(run->problem);
    int rc = DMS_OK;

    if (block->paths) {
        rc = read_rows(run, DMS_ROLE_VALIDATION);
        if (rc == DMS_OK)
            rc =
                read_outputs(run, block, DMS_ROLE_VALIDATION, DMS_KEEP_OUTPUTS, &block->validation);
        if (rc == DMS_OK)
            rc = work_role(run, block, DMS_ROLE_TRAINING);
    }
    if (rc == DMS_OK && !(block->paths && role == DMS_ROLE_TRAINING))
        rc = work_role(run, block, role);
    return rc;
}

static void free_block(struct block *block)
{
    dms_target_outputs_free(&block->targets);
    dms_target_outputs_free(&block->validation);
    for (size_t t = 0; block->paths && t < block->target_ct; t++)
        dms_ridge_path_free(&block->paths[t]);
    free(block->paths);
    free(block->means);
    free(block->done);
    free(block->order);
}

static int solve_block(struct run *run, size_t first, size_t target_ct)
{
    bool chooses = dms_ridge_chooses(run->problem);
    struct block block = {
        .first = first,
        .target_ct = target_ct,
        .paths = chooses ? dms_alloc(target_ct, sizeof *block.paths) : NULL,
        .means = dms_alloc(target_ct, sizeof *block.means),
        .done = dms_alloc(target_ct, sizeof *block.done),
        .order = dms_alloc(target_ct, sizeof *block.order),
    };
    int rc = block.means && block.done && block.order && (block.paths || !chooses)
                 ? DMS_OK
                 : DMS_ERR_NO_MEMORY;

    for (size_t t = 0; rc == DMS_OK && chooses && t < target_ct; t++)
        rc = dms_ridge_path_init(&block.paths[t], run->problem->lambda_ct);
    if (rc == DMS_OK)
        rc = work_block(run, &block);
    free_block(&block);
    return rc;
}

/* ---- the whole ---- */

static int check_problem(const struct dms_problem *problem)
{
    if (problem->target_ct == 0 || problem->example_ct == 0)
        return dms_fail(DMS_ERR_INVALID, "there is nothing to fit: %zu targets, %zu examples",
                        problem->target_ct, problem->example_ct);
    if (problem->row_ct[DMS_ROLE_TRAINING] < 1)
        return dms_fail(DMS_ERR_INVALID, "there is no model to train on");
    if (!isfinite(problem->ridge_lambda))
        return dms_fail(DMS_ERR_INVALID, "lambda is %g: it must be a number",
                        problem->ridge_lambda);
    if (dms_ridge_chooses(problem) && problem->row_ct[DMS_ROLE_VALIDATION] == 0)
        return dms_fail(DMS_ERR_INVALID, "there are no validation models to choose lambda on");
    return DMS_OK;
}

static int prepare(struct run *run)
{
    const struct dms_problem *problem = run->problem;
    int rc = dms_lapack_get(&run->setting.lapack);

    if (rc == DMS_OK)
        rc = choose_block(run);
    if (rc == DMS_OK)
        rc = dms_pool_create(run->control->thread_ct, &run->pool);
    if (rc < 0)
        return rc;
    run->setting.pool = run->pool;
    run->setting.lambda = problem->ridge_lambda;
    run->setting.standardize = problem->standardize && problem->ridge_lambda != 0;
    run->examples = dms_alloc(problem->example_ct, sizeof *run->examples);
    run->weights = dms_alloc(problem->example_ct, sizeof *run->weights);
    run->weight_cts = dms_alloc(problem->lambda_ct, sizeof *run->weight_cts);
    run->no_gaps = dms_alloc(problem->lambda_ct, sizeof *run->no_gaps);
    if (!run->examples || !run->weights || !run->weight_cts || !run->no_gaps)
        return DMS_ERR_NO_MEMORY;
    for (uint32_t j = 0; j < problem->lambda_ct; j++)
        run->no_gaps[j] = (double)NAN;
    return DMS_OK;
}

static void release(struct run *run)
{
    for (int role = 0; role < DMS_ROLE_CT; role++)
        dms_packed_rows_free(&run->rows[role]);
    dms_ridge_system_free(run->shared);
    dms_pool_free(run->pool);
    free(run->examples);
    free(run->weights);
    free(run->weight_cts);
    free(run->no_gaps);
}

/* The state of a fit that was stopped is its first target without a result. */
static int restore(const struct run *run, size_t *first)
{
    struct dms_cursor cursor = dms_cursor_begin(run->control->state, run->control->state_bytes);
    uint64_t target = dms_cursor_u64(&cursor);

    if (cursor.bad || target >= run->problem->target_ct)
        return dms_fail(DMS_ERR_CONFLICT, "the checkpoint is of another job");
    *first = (size_t)target;
    return DMS_OK;
}

static int save(const struct run *run, size_t first)
{
    uint8_t state[8];

    if (!run->control->save || first == 0)
        return DMS_OK;
    dms_store_u64(state, first);
    return run->control->save(run->control->context, state, sizeof state);
}

int dms_ridge_solve(const struct dms_problem *problem, const struct dms_solve_control *control)
{
    struct run run = {.problem = problem, .control = control};
    size_t first = 0;
    int rc = check_problem(problem);

    if (rc < 0)
        return rc;
    rc = prepare(&run);
    if (rc == DMS_OK && control->state)
        rc = restore(&run, &first);
    while (rc == DMS_OK && first < problem->target_ct) {
        size_t left = problem->target_ct - first;
        size_t target_ct = left < run.block_targets ? left : run.block_targets;

        run.finished_ct = first;
        run.block = first / run.block_targets;
        rc = save(&run, first);
        if (rc == DMS_OK)
            rc = solve_block(&run, first, target_ct);
        first += target_ct;
    }
    release(&run);
    return rc;
}
