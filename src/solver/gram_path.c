/*
 * Solutions along the path; see gram_path.h.
 */
#include "solver/gram_path.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"

/* Lambdas from one that is solved to the next, at most. There may be more when the gaps between
 * took no more than this part of what they might. */
#define LONGEST_STRIDE 8
#define STRIDE_SHARE 0.5
/* The part of the tolerance that weights between two solutions may take where validation errors
 * choose among them: their errors are all of one kind, and would move the choice. */
#define CHOICE_SHARE 0.1

/* ---- weights ---- */

double dms_gram_path_bias(const struct dms_gram_target *target)
{
    double bias = target->path->mean;

    for (size_t k = 0; k < target->example_ct; k++)
        if (target->now.weights[k] != 0)
            bias -= target->masks.means[k] * target->now.weights[k];
    return bias;
}

int dms_gram_path_extract(const struct dms_gram_target *target, struct dms_sparse_model *model)
{
    size_t weight_ct = target->weight_ct, i = 0;

    dms_sparse_model_free(model);
    model->examples = dms_alloc(weight_ct, sizeof *model->examples);
    model->weights = dms_alloc(weight_ct, sizeof *model->weights);
    if (!model->examples || !model->weights)
        return DMS_ERR_NO_MEMORY;
    for (size_t k = 0; k < target->example_ct; k++) {
        if (target->now.weights[k] == 0)
            continue;
        model->examples[i] = (uint32_t)k;
        model->weights[i++] = target->now.weights[k];
    }
    model->weight_ct = weight_ct;
    model->bias = dms_gram_path_bias(target);
    return DMS_OK;
}

/* ---- from lambda to lambda ---- */

static void copy_point(const struct dms_gram_target *target, const struct dms_gram_point *from,
                       struct dms_gram_point *to)
{
    to->lambda = from->lambda;
    memcpy(to->weights, from->weights, target->example_ct * sizeof *to->weights);
    memcpy(to->gradients, from->gradients, target->example_ct * sizeof *to->gradients);
}

void dms_gram_path_begin(struct dms_gram_target *target)
{
    target->now.lambda = target->path->largest_lambda;
    copy_point(target, &target->now, &target->start);
    copy_point(target, &target->now, &target->end);
    target->now.lambda = target->path->lambda;
    target->index = target->end_index = 0;
    target->stride = 1;
    target->worst_between = 0;
    target->interpolated = false;
}

/* The path takes the weights for its next lambda. */
static int advance(struct dms_gram_target *target, const struct dms_problem *problem,
                   const struct dms_gram_rows *rows)
{
    struct dms_target_path *path = target->path;
    double error = (double)NAN;
    bool best, validates = problem->row_ct[DMS_ROLE_VALIDATION] > 0;
    int rc = validates ? rows->validate(rows->context, target, &error) : DMS_OK;

    if (rc < 0)
        return rc;
    dms_target_path_advance(path, problem, target->gap, target->weight_ct, error, &best);
    /* Without validation errors the last lambda is the best one. */
    return best && (validates || path->finished) ? dms_gram_path_extract(target, &path->best)
                                                 : DMS_OK;
}

/* Weights and gradient that are linear in lambda from start to end, or beyond. */
static void move_on_line(struct dms_gram_target *target)
{
    const struct dms_gram_point *start = &target->start, *end = &target->end;
    struct dms_gram_point *now = &target->now;
    double span = start->lambda - end->lambda;
    double part = span != 0 ? (start->lambda - now->lambda) / span : 0;

    /* Far beyond the end of a short segment, rounding would be all that there is: lambdas may be as
     * good as equal. */
    if (!(fabs(part) <= LONGEST_STRIDE))
        part = 0;

    for (size_t k = 0; k < target->example_ct; k++) {
        now->weights[k] = start->weights[k] + part * (end->weights[k] - start->weights[k]);
        now->gradients[k] = start->gradients[k] + part * (end->gradients[k] - start->gradients[k]);
    }
}

/* Solutions are linear in lambda but where an example joins or leaves, and so are their gradients.
 * Between two of them, dual points are feasible, and the gap comes only of examples that have a
 * weight at one end alone: it is of second order in the distance. So a lambda some way down the
 * path is solved, and those before it are interpolated and certified. */
static void interpolate(struct dms_gram_target *target)
{
    target->now.lambda = target->path->lambda;
    move_on_line(target);
    target->index = target->path->path_ct;
    target->interpolated = true;
}

static double share_between(const struct dms_problem *problem)
{
    return problem->row_ct[DMS_ROLE_VALIDATION] > 0 ? CHOICE_SHARE : 1;
}

double dms_gram_path_wanted_gap(const struct dms_gram_target *target,
                                const struct dms_problem *problem)
{
    return (target->interpolated ? share_between(problem) : 1) * problem->tolerance;
}

static void swap_points(struct dms_gram_point *a, struct dms_gram_point *b)
{
    struct dms_gram_point swap = *a;

    *a = *b;
    *b = swap;
}

/* How far down the path the next lambda is that is solved: no farther than the path goes, whatever
 * the validation errors are. */
static uint32_t choose_stride(const struct dms_gram_target *target,
                              const struct dms_problem *problem)
{
    const struct dms_target_path *path = target->path;
    uint32_t left = problem->lambda_ct - path->path_ct;

    if (problem->row_ct[DMS_ROLE_VALIDATION] > 0 && !problem->full_path &&
        left > DMS_PATH_PATIENCE - path->since_best)
        left = DMS_PATH_PATIENCE - path->since_best;
    return target->stride < left ? target->stride : left;
}

/* The segment has come to its end. */
static void begin_segment(struct dms_gram_target *target, const struct dms_problem *problem)
{
    if (target->worst_between <= STRIDE_SHARE * share_between(problem) * problem->tolerance &&
        target->stride < LONGEST_STRIDE)
        target->stride++;
    target->worst_between = 0;
    target->index = target->path->path_ct + choose_stride(target, problem) - 1;
    target->now.lambda = dms_target_path_lambda(target->path, problem, target->index);
    target->at_lambda = false;
    move_on_line(target);
}

/* The weights, which were solved, are where the path goes on. While nothing is known of what is
 * further down, `end` is the solution before. */
static void keep(struct dms_gram_target *target)
{
    if (target->path->path_ct > target->end_index)
        swap_points(&target->start, &target->end);
    copy_point(target, &target->now, &target->start);
}

int dms_gram_path_accept(struct dms_gram_target *target, const struct dms_problem *problem,
                         const struct dms_gram_rows *rows)
{
    struct dms_target_path *path = target->path;
    int rc;

    if (target->index > path->path_ct) {
        target->end_index = target->index;
        swap_points(&target->now, &target->end);
        interpolate(target);
        return DMS_OK;
    }
    rc = advance(target, problem, rows);
    if (rc < 0 || path->finished)
        return rc;
    if (target->interpolated)
        target->worst_between = fmax(target->worst_between, target->gap);
    else
        keep(target);
    if (path->path_ct < target->end_index) {
        interpolate(target);
    } else if (path->path_ct == target->end_index) {
        swap_points(&target->now, &target->end);
        target->index = target->end_index;
        target->interpolated = false;
    } else {
        begin_segment(target, problem);
    }
    return DMS_OK;
}

void dms_gram_path_refuse(struct dms_gram_target *target)
{
    if (!target->interpolated)
        return;
    target->interpolated = false;
    target->at_lambda = true;
    target->worst_between = INFINITY;
    target->stride = (target->stride + 1) / 2;
}

bool dms_gram_path_retreat(struct dms_gram_target *target)
{
    struct dms_target_path *path = target->path;

    if (target->refit || target->index == path->path_ct)
        return false;
    copy_point(target, &target->start, &target->now);
    target->now.lambda = path->lambda;
    target->index = path->path_ct;
    target->at_lambda = false;
    target->stride = 1;
    target->worst_between = INFINITY;
    path->pass_ct = target->sweep_ct = 0;
    return true;
}

void dms_gram_path_go_back(struct dms_gram_target *target)
{
    /* It is on the line still. */
    target->now.lambda = target->path->lambdas[target->path->path_ct - 1];
    move_on_line(target);
}
