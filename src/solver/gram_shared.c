/*
 * Targets that have weight on all models: one Gram matrix is everybody's. Their steps are taken
 * side by side, then the rows of the matrix that any of them needs are added up, a range of columns
 * at a time, so that each is read once from memory for all targets. Targets with many weights add
 * rows up by themselves instead, while they sweep over them.
 */
#include "solver/gram_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "kernels/lanes.h"
#include "solver/design.h"
#include "solver/gram_screening.h"
#include "solver/gram_validation.h"
#include "solver/pass.h"

/* Columns that are added up at a time: those of the gradient stay in the first cache. */
#define COLUMNS 1024
/* A target with weights on this part of the examples, and on so many, has no working set: to gather
 * its covariances takes longer than sweeps over whole rows, as long as those come out of a cache.
 */
#define DENSE_SHARE 48
#define LEAST_DENSE 64
#define CACHED_BYTES (UINT64_C(64) << 20)

struct shared_work {
    struct dms_gram_block *block;
    struct dms_gram_matrix *matrix;
    double *means, *deviations, *scales; /* example_ct: of the stage's models */
    size_t dense_from;                   /* weights of a target that is swept over whole rows */
    struct dms_gram_target *targets;     /* in work; path NULL: a free place */
    size_t place_ct;
    struct dms_gram_validation *validation; /* NULL: nothing is validated */
    size_t next;                            /* target of the block that was not looked at yet */
};

uint64_t dms_gram_shared_bytes(const struct dms_problem *problem, uint64_t memory_bytes,
                               size_t set_ct)
{
    size_t example_ct = problem->example_ct;
    uint64_t solving = dms_gram_matrix_bytes(example_ct) +
                       DMS_GRAM_BATCH * dms_gram_target_bytes(example_ct) +
                       3 * sizeof(double) * (uint64_t)example_ct +
                       dms_gram_validation_bytes(problem, memory_bytes, set_ct);
    uint64_t counting = 0;

    if (!problem->pair_counts)
        counting = dms_mask_words_bytes(example_ct, problem->row_ct[DMS_ROLE_TRAINING]) +
                   dms_pair_counts_bytes(example_ct, problem->row_ct[DMS_ROLE_TRAINING]);
    return counting > solving ? counting : solving;
}

uint64_t dms_gram_counts_bytes(const struct dms_problem *problem)
{
    if (problem->pair_counts && !problem->counts_in_memory)
        return 0;
    return dms_pair_counts_tile_bytes(problem->example_ct, problem->row_ct[DMS_ROLE_TRAINING]) +
           dms_pair_counts_tile_bytes(problem->example_ct, problem->row_ct[DMS_ROLE_VALIDATION]);
}

/* ---- masks ---- */

static int count_role(struct dms_gram_run *run, enum dms_role role)
{
    const struct dms_problem *problem = run->problem;
    struct dms_packed_rows rows = {0};
    int rc;

    if (run->counts[role] || problem->row_ct[role] == 0)
        return DMS_OK;
    if (problem->pair_counts)
        return problem->pair_counts(problem->kept_context, role, run->pool, &run->counts[role]);
    rc = dms_packed_rows_read(problem, role, &rows);
    if (rc == DMS_OK)
        rc = dms_pair_counts_compute(run->pool, &rows, &run->counts[role]);
    dms_packed_rows_free(&rows);
    return rc;
}

int dms_gram_count_pairs(struct dms_gram_run *run)
{
    int rc = count_role(run, DMS_ROLE_TRAINING);

    return rc == DMS_OK ? count_role(run, DMS_ROLE_VALIDATION) : rc;
}

/* The counts that the matrix of a role is made of; how many there are. */
static size_t list_parts(const struct dms_gram_run *run, enum dms_role role,
                         const struct dms_pair_counts *parts[2])
{
    parts[0] = run->counts[DMS_ROLE_TRAINING];
    parts[1] = run->counts[DMS_ROLE_VALIDATION];
    return role == DMS_ROLE_REFIT ? 2 : 1;
}

int dms_gram_measure_matrices(const struct dms_gram_run *run, uint64_t *wide_bytes)
{
    static const enum dms_role roles[] = {DMS_ROLE_TRAINING, DMS_ROLE_REFIT};
    const struct dms_pair_counts *parts[2];
    uint64_t most = 0;

    for (size_t i = 0; i < (run->refit ? 2 : 1); i++) {
        size_t part_ct = list_parts(run, roles[i], parts);
        uint64_t bytes;
        int rc = dms_gram_matrix_wide_bytes(run->pool, part_ct, parts, &bytes);

        if (rc < 0)
            return rc;
        most = bytes > most ? bytes : most;
    }
    *wide_bytes = most;
    return DMS_OK;
}

static int make_matrix(struct shared_work *work)
{
    struct dms_gram_run *run = work->block->run;
    const struct dms_pair_counts *parts[2];
    size_t part_ct = list_parts(run, dms_gram_role(work->block), parts);

    return dms_gram_matrix_create(run->pool, part_ct, parts, &work->matrix);
}

static int describe_masks(struct shared_work *work)
{
    const struct dms_problem *problem = work->block->run->problem;
    size_t example_ct = problem->example_ct;

    work->means = dms_alloc(example_ct, sizeof *work->means);
    work->deviations = dms_alloc(example_ct, sizeof *work->deviations);
    work->scales = dms_alloc(example_ct, sizeof *work->scales);
    if (!work->means || !work->deviations || !work->scales)
        return DMS_ERR_NO_MEMORY;
    for (size_t k = 0; k < example_ct; k++) {
        double mean = work->matrix->singles[k] / work->matrix->row_weight;

        work->means[k] = mean;
        work->deviations[k] = sqrt(mean * (1 - mean));
        work->scales[k] = dms_design_scale(problem->standardize, mean);
    }
    return DMS_OK;
}

/* ---- what a target asks for ---- */

struct request {
    struct shared_work *work;
    size_t place, thread;
};

static int covariances(void *context, size_t size, const uint32_t *examples, double *matrix)
{
    const struct request *request = context;

    dms_gram_matrix_covariances(request->work->matrix, size, examples, matrix);
    return DMS_OK;
}

static int validate(void *context, const struct dms_gram_target *target, double *error)
{
    const struct request *request = context;
    struct shared_work *work = request->work;

    return dms_gram_validation_error(work->validation, request->place, request->thread, target,
                                     error);
}

/* How far the best weight of an example is from the one it has. */
static double find_change(const struct dms_gram_target *target, size_t k, double gradient)
{
    double variance = target->masks.deviations[k] * target->masks.deviations[k];
    double weight = target->now.weights[k];
    double threshold = target->now.lambda * target->masks.scales[k];
    double pull = weight * variance - gradient;

    pull = pull > threshold ? pull - threshold : pull < -threshold ? pull + threshold : 0;
    return pull / variance - weight;
}

/* Coordinate descent on whole rows of the matrix, so that the gradient is that of all examples
 * throughout. Changes are rounded, but for those that end at 0: the next sweep's unit is finer. */
static void sweep(void *context, struct dms_gram_target *target)
{
    const struct request *request = context;
    const struct dms_gram_matrix *matrix = request->work->matrix;
    size_t size = dms_gram_candidates(target, target->examples);
    struct dms_gram_update update;
    double largest = 0;

    for (size_t i = 0; i < size; i++) {
        size_t k = target->examples[i];

        largest = fmax(largest, fabs(find_change(target, k, target->now.gradients[k])));
    }
    update = dms_gram_update_begin(matrix, largest, target->now.gradients);
    for (size_t i = 0; i < size; i++) {
        size_t k = target->examples[i];
        double change = find_change(target, k, dms_gram_update_gradient(&update, k));

        if (target->now.weights[k] + change != 0)
            change = dms_gram_update_round(&update, change);
        target->now.weights[k] += change;
        if (change != 0)
            dms_gram_update_add(&update, k, change);
    }
    dms_gram_update_end(&update);
}

/* ---- rounds ---- */

static int step_task(void *context, size_t index, struct dms_working_set *set)
{
    struct shared_work *work = context;
    const struct dms_gram_run *run = work->block->run;
    struct request request = {work, index, (size_t)(set - run->sets)};
    struct dms_gram_rows rows = {&request, covariances, validate, sweep, work->dense_from};

    if (!work->targets[index].path)
        return DMS_OK;
    return dms_gram_target_step(&work->targets[index], run->problem, &rows, set, run->set_limit,
                                run->control->max_epochs);
}

/* A task of the pool: the gradients of all targets in a range of columns. */
static int add_task(void *context, size_t index)
{
    struct shared_work *work = context;
    size_t first = index * COLUMNS, end = first + COLUMNS;

    if (end > work->matrix->example_ct)
        end = work->matrix->example_ct;
    for (size_t t = 0; t < work->place_ct; t++) {
        const struct dms_gram_target *target = &work->targets[t];
        struct dms_weight_changes changes = {target->change_ct, target->examples, target->changes};

        if (target->path && target->change_ct > 0)
            dms_gram_matrix_add(work->matrix, &changes, first, end, target->now.gradients);
    }
    return DMS_OK;
}

/* Covariances of masks and outputs on the models of the stage. */
static void set_products(const struct dms_gram_block *block, struct dms_gram_target *target,
                         const struct dms_output_moments *moments)
{
    static const enum dms_role parts[] = {DMS_ROLE_TRAINING, DMS_ROLE_VALIDATION};
    size_t t = target->path->column;

    for (size_t k = 0; k < target->example_ct; k++)
        target->products[k] = 0;
    for (size_t i = 0; i < (dms_gram_role(block) == DMS_ROLE_REFIT ? 2 : 1); i++) {
        enum dms_role role = parts[i];
        /* In this order: shifts are outputs, and their difference is exact. */
        double level = moments->sum / moments->row_weight +
                       (moments->shift - block->moments[role].moments[t].shift);

        for (size_t k = 0; k < target->example_ct; k++)
            target->products[k] +=
                dms_gram_sum_products(block, role, t, k, level) / moments->row_weight;
    }
}

static void begin_target(struct shared_work *work, struct dms_gram_target *target, size_t t)
{
    struct dms_gram_block *block = work->block;
    struct dms_output_moments moments = dms_gram_moments(block, t);

    target->path = &block->paths[t];
    dms_gram_set_moments(target->path, &moments);
    target->masks = (struct dms_gram_masks){work->means, work->deviations, work->scales};
    target->refit = block->stage == DMS_GRAM_REFIT;
    set_products(block, target, &moments);
    dms_gram_target_begin(target, block->run->problem);
    if (work->validation)
        dms_gram_validation_begin(work->validation, (size_t)(target - work->targets));
}

/* Puts targets that are not finished in the places of those that are; whether there are any. */
static bool fill_places(struct shared_work *work)
{
    struct dms_gram_block *block = work->block;
    bool any = false;

    for (size_t i = 0; i < work->place_ct; i++) {
        struct dms_gram_target *target = &work->targets[i];

        if (!target->path || target->path->finished) {
            target->path = NULL;
            if (dms_gram_find_next(block, true, block->target_ct, &work->next))
                begin_target(work, target, work->next++);
        }
        any = any || target->path;
    }
    return any;
}

static int prepare(struct shared_work *work)
{
    struct dms_gram_run *run = work->block->run;
    size_t example_ct = run->problem->example_ct;
    int rc = make_matrix(work);

    if (rc == DMS_OK)
        rc = describe_masks(work);
    if (rc < 0)
        return rc;
    work->dense_from = example_ct;
    if (dms_gram_matrix_bytes(example_ct) <= CACHED_BYTES)
        work->dense_from = example_ct / DENSE_SHARE;
    if (work->dense_from < LEAST_DENSE)
        work->dense_from = LEAST_DENSE;
    if (work->dense_from > run->set_limit)
        work->dense_from = run->set_limit;
    work->targets = dms_alloc(DMS_GRAM_BATCH, sizeof *work->targets);
    if (!work->targets)
        return DMS_ERR_NO_MEMORY;
    if (work->block->stage == DMS_GRAM_PATH && run->counts[DMS_ROLE_VALIDATION])
        rc = dms_gram_validation_create(work->block, &work->validation);
    for (; rc == DMS_OK && work->place_ct < DMS_GRAM_BATCH; work->place_ct++)
        rc = dms_gram_target_create(example_ct, &work->targets[work->place_ct]);
    return rc;
}

static void release(struct shared_work *work)
{
    for (size_t i = 0; i < work->place_ct; i++)
        dms_gram_target_free(&work->targets[i]);
    free(work->targets);
    dms_gram_validation_free(work->validation);
    free(work->means);
    free(work->deviations);
    free(work->scales);
    dms_gram_matrix_free(work->matrix);
}

int dms_gram_solve_shared(struct dms_gram_block *block)
{
    struct shared_work work = {.block = block};
    struct dms_gram_run *run = block->run;
    size_t range_ct = (run->problem->example_ct + COLUMNS - 1) / COLUMNS;
    int rc = DMS_OK;

    if (dms_gram_find_next(block, true, block->target_ct, &work.next))
        rc = prepare(&work);
    while (rc == DMS_OK && fill_places(&work)) {
        /* A refit begins with its model as a change. */
        rc = dms_pool_run(run->pool, range_ct, add_task, &work);
        if (rc == DMS_OK)
            rc = dms_gram_run_each(run, work.place_ct, step_task, &work);
        if (rc == DMS_OK)
            rc = dms_gram_tell(block);
    }
    release(&work);
    return rc;
}
