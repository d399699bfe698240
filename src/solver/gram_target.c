/*
 * Screening, steps and certificates of one target; see gram_target.h.
 */
#include "solver/gram_target.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "kernels/gram.h"
#include "solver/certificate.h"

/* The part of the tolerance that a working set may use up; the other examples have the rest. */
#define SET_SHARE 0.25
/* How much more exactly each further step at a lambda solves its set. */
#define SHARPER 0.2
/* Rounds of sweeps in a working set before Newton steps: those cost more than many sweeps there. */
#define PATIENCE 12
#define SMALL_SET 64
#define SMALL_PATIENCE 1
/* A lambda farther down the path than the next one is solved on the examples that have this part of
 * its gradient; the strong rule would let in most of them. */
#define FAR_SHARE 0.8
/* Lambdas from one that is solved to the next, at most. There may be more when the gaps between
 * took no more than this part of what they might. */
#define LONGEST_STRIDE 8
#define STRIDE_SHARE 0.5
/* The part of the tolerance that weights between two solutions may take where validation errors
 * choose among them: their errors are all of one kind, and would move the choice. */
#define CHOICE_SHARE 0.1
/* Sweeps over whole rows at one lambda, and in one step. */
#define DENSE_SWEEPS 64
#define SWEEPS_AT_ONCE 8
/* Steps at one lambda after which rounding is in the way. */
#define STEPS_AT_LAMBDA 1000

uint64_t dms_gram_target_bytes(size_t example_ct)
{
    return example_ct * (8 * sizeof(double) + sizeof(uint32_t));
}

static int create_point(size_t example_ct, struct dms_gram_point *point)
{
    point->weights = dms_alloc(example_ct, sizeof *point->weights);
    point->gradients = dms_alloc(example_ct, sizeof *point->gradients);
    return point->weights && point->gradients ? DMS_OK : DMS_ERR_NO_MEMORY;
}

static void free_point(struct dms_gram_point *point)
{
    free(point->weights);
    free(point->gradients);
}

int dms_gram_target_create(size_t example_ct, struct dms_gram_target *target)
{
    *target = (struct dms_gram_target){.example_ct = example_ct};
    target->products = dms_alloc(example_ct, sizeof *target->products);
    target->examples = dms_alloc(example_ct, sizeof *target->examples);
    target->changes = dms_alloc(example_ct, sizeof *target->changes);
    if (target->products && target->examples && target->changes &&
        create_point(example_ct, &target->now) == DMS_OK &&
        create_point(example_ct, &target->start) == DMS_OK &&
        create_point(example_ct, &target->end) == DMS_OK)
        return DMS_OK;
    dms_gram_target_free(target);
    return DMS_ERR_NO_MEMORY;
}

void dms_gram_target_free(struct dms_gram_target *target)
{
    free(target->products);
    free_point(&target->now);
    free_point(&target->start);
    free_point(&target->end);
    free(target->examples);
    free(target->changes);
    *target = (struct dms_gram_target){0};
}

static struct dms_gram_sums sum_up(const struct dms_gram_target *target)
{
    struct dms_gram_sums sums;

    dms_gram_kernels_get()->sum_up(target->example_ct, target->now.weights, target->now.gradients,
                                   target->products, target->masks.scales, &sums);
    return sums;
}

static void copy_point(const struct dms_gram_target *target, const struct dms_gram_point *from,
                       struct dms_gram_point *to)
{
    to->lambda = from->lambda;
    memcpy(to->weights, from->weights, target->example_ct * sizeof *to->weights);
    memcpy(to->gradients, from->gradients, target->example_ct * sizeof *to->gradients);
}

/* Without weights, which is the solution at the largest lambda. */
static void begin_path(struct dms_gram_target *target)
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

void dms_gram_target_begin(struct dms_gram_target *target, const struct dms_problem *problem)
{
    struct dms_target_path *path = target->path;
    const struct dms_sparse_model *model = &path->model;

    memset(target->now.weights, 0, target->example_ct * sizeof *target->now.weights);
    for (size_t k = 0; k < target->example_ct; k++)
        target->now.gradients[k] = -target->products[k];
    target->change_ct = 0;
    target->at_lambda = target->refit;
    target->step_ct = 0;
    path->pass_ct = target->sweep_ct = 0;
    if (!target->refit) {
        dms_target_path_begin(path, problem, sum_up(target).largest_gradient);
        begin_path(target);
        return;
    }
    target->now.lambda = path->lambda;
    for (size_t i = 0; i < model->weight_ct; i++) {
        size_t k = model->examples[i];

        /* An example that is in no model of these rows, or in all. */
        if (target->masks.scales[k] == 0)
            continue;
        target->now.weights[k] = model->weights[i];
        target->examples[target->change_ct] = (uint32_t)k;
        target->changes[target->change_ct++] = model->weights[i];
    }
}

double dms_gram_target_bias(const struct dms_gram_target *target)
{
    double bias = target->path->mean;

    for (size_t k = 0; k < target->example_ct; k++)
        if (target->now.weights[k] != 0)
            bias -= target->masks.means[k] * target->now.weights[k];
    return bias;
}

/* ---- certificates ---- */

/* All sums over rows follow from covariances: with w the weights, g the gradient, c the products
 * and D twice the null deviance, sum r^2 = W (w.g - w.c + D) and sum y~ e = W (w.c - D). */
static void certify(struct dms_gram_target *target, struct dms_certificate *certificate)
{
    double weight = target->path->row_weight, deviance = 2 * target->path->null_deviance;
    struct dms_gram_sums sums = sum_up(target);

    *certificate = (struct dms_certificate){
        .row_weight = weight,
        .residual_square = weight * (sums.slope - sums.product + deviance),
        .output_product = weight * (sums.product - deviance),
        .largest_gradient = sums.largest_gradient,
        .weighted_norm = sums.norm,
        .lambda = target->now.lambda,
        .null_deviance = target->path->null_deviance,
    };
    target->gap = dms_certificate_gap(certificate);
    target->weight_ct = sums.weight_ct;
}

static int extract_model(const struct dms_gram_target *target, struct dms_sparse_model *model)
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
    model->bias = dms_gram_target_bias(target);
    return DMS_OK;
}

/* ---- what follows from a certificate ---- */

static int finish_refit(struct dms_gram_target *target)
{
    target->path->gap = target->gap;
    target->path->finished = true;
    return extract_model(target, &target->path->model);
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
    return best && (validates || path->finished) ? extract_model(target, &path->best) : DMS_OK;
}

/* ---- from lambda to lambda ---- */

/* Weights and gradient that are linear in lambda from start to end, or beyond. */
static void move_on_line(struct dms_gram_target *target)
{
    const struct dms_gram_point *start = &target->start, *end = &target->end;
    struct dms_gram_point *now = &target->now;
    double span = start->lambda - end->lambda;
    double part = span != 0 ? (start->lambda - now->lambda) / span : 0;

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

static double wanted_gap(const struct dms_gram_target *target, const struct dms_problem *problem)
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

/* The weights are a solution at their lambda. */
static int accept(struct dms_gram_target *target, const struct dms_problem *problem,
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

/* What lies between two solutions is none, and is to become one. */
static void refuse(struct dms_gram_target *target)
{
    if (!target->interpolated)
        return;
    target->interpolated = false;
    target->at_lambda = true;
    target->worst_between = INFINITY;
    target->stride = (target->stride + 1) / 2;
}

/* The last solution that the path has taken, which is on the line still. */
static void go_back(struct dms_gram_target *target)
{
    struct dms_certificate certificate;

    target->now.lambda = target->path->lambdas[target->path->path_ct - 1];
    move_on_line(target);
    certify(target, &certificate);
}

/* A target that does not get there. */
static int give_up(struct dms_gram_target *target, const struct dms_problem *problem)
{
    struct dms_target_path *path = target->path;
    bool keeps_best = path->path_ct > 0 && problem->row_ct[DMS_ROLE_VALIDATION] > 0;
    int rc = DMS_OK;

    path->gap = target->gap;
    if (!target->refit && path->path_ct > 0 && !keeps_best)
        go_back(target);
    if (target->refit)
        rc = extract_model(target, &path->model);
    else if (!keeps_best)
        rc = extract_model(target, &path->best);
    dms_target_path_abandon(path);
    return rc;
}

/* ---- the working set ---- */

/* Which examples are looked at: those with a weight, and those whose weight may become other than
 * 0. First by the sequential strong rule (Tibshirani et al. 2012, sec. 2), which may be wrong, then
 * by the optimality conditions; and never one that the gap excludes: its gradient at the solution
 * is within deviation x sqrt(2 gap) of that of the dual point (Ndiaye et al. 2017, sec. 3).
 */
static size_t choose_examples(struct dms_gram_target *target,
                              const struct dms_certificate *certificate)
{
    double lambda = target->now.lambda;
    double threshold =
        target->at_lambda ? lambda : fmax(2 * lambda - target->start.lambda, FAR_SHARE * lambda);
    double scale = dms_certificate_dual_scale(certificate);
    double radius = sqrt(2 * target->gap * target->path->null_deviance);
    size_t count = 0;

    for (size_t k = 0; k < target->example_ct; k++) {
        double gradient = fabs(target->now.gradients[k]), penalty = target->masks.scales[k];

        if (penalty == 0)
            continue;
        if (target->now.weights[k] == 0 &&
            (gradient < threshold * penalty ||
             fabs(scale) * gradient + target->masks.deviations[k] * radius < lambda * penalty))
            continue;
        target->examples[count++] = (uint32_t)k;
    }
    return count;
}

size_t dms_gram_target_candidates(const struct dms_gram_target *target, uint32_t *examples)
{
    size_t count = 0;

    for (size_t k = 0; k < target->example_ct; k++) {
        double penalty = target->now.lambda * target->masks.scales[k];
        bool moves = target->now.weights[k] != 0 || fabs(target->now.gradients[k]) > penalty;

        /* Without a branch, which could not be predicted. */
        examples[count] = (uint32_t)k;
        count += moves & (penalty > 0);
    }
    return count;
}

struct urgency {
    double value; /* how far an example is from what its optimality condition says */
    uint32_t example;
};

static int compare_urgency(const void *a, const void *b)
{
    const struct urgency *left = a, *right = b;
    int order = (left->value < right->value) - (left->value > right->value);

    return order != 0 ? order : (left->example > right->example) - (left->example < right->example);
}

static int compare_examples(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

/* Leaves the `limit` most urgent ones of the examples. */
static int keep_urgent(struct dms_gram_target *target, size_t size, size_t limit)
{
    struct urgency *order = dms_alloc(size, sizeof *order);

    if (!order)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < size; i++) {
        uint32_t k = target->examples[i];
        double penalty = target->now.lambda * target->masks.scales[k];
        double pull = copysign(penalty, target->now.weights[k]);

        order[i].example = k;
        order[i].value = (target->now.weights[k] != 0 ? fabs(target->now.gradients[k] + pull)
                                                      : fabs(target->now.gradients[k]) - penalty) /
                         penalty;
    }
    qsort(order, size, sizeof *order, compare_urgency);
    for (size_t i = 0; i < limit; i++)
        target->examples[i] = order[i].example;
    qsort(target->examples, limit, sizeof *target->examples, compare_examples);
    free(order);
    return DMS_OK;
}

static int solve_set(struct dms_gram_target *target, const struct dms_gram_rows *rows,
                     double enough, size_t size, struct dms_working_set *set)
{
    int rc = dms_working_set_reserve(set, size);

    if (rc == DMS_OK)
        rc = rows->covariances(rows->context, size, target->examples, set->matrix);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < size; i++) {
        size_t k = target->examples[i];

        set->gradients[i] = target->now.gradients[k];
        set->weights[i] = target->now.weights[k];
        set->scales[i] = target->masks.scales[k];
    }
    set->lambda = target->now.lambda;
    set->enough = enough;
    set->patience = size <= SMALL_SET ? SMALL_PATIENCE : PATIENCE;
    rc = dms_working_set_solve(set);
    for (size_t i = 0; rc == DMS_OK && i < size; i++) {
        size_t k = target->examples[i];
        double change = set->weights[i] - target->now.weights[k];

        if (change == 0 || !isfinite(change))
            continue;
        target->now.weights[k] = set->weights[i];
        target->examples[target->change_ct] = (uint32_t)k;
        target->changes[target->change_ct++] = change;
    }
    return rc;
}

/* How far the optimality conditions may be from holding, over lambda s_k. With e that violation and
 * n = lambda sum s_k |w_k| over the null deviance, the gap that comes of it is about 2 n e + e^2:
 * the dual point shrinks by 1 - e, and each weight is off by as much of its penalty. */
static double choose_exactness(const struct dms_gram_target *target,
                               const struct dms_problem *problem,
                               const struct dms_certificate *certificate)
{
    double norm = certificate->lambda * certificate->weighted_norm / certificate->null_deviance;
    double exact = sqrt(norm * norm + SET_SHARE * problem->tolerance) - norm;

    return exact * pow(SHARPER, (double)(target->path->pass_ct - 1));
}

static int move(struct dms_gram_target *target, const struct dms_problem *problem,
                const struct dms_gram_rows *rows, const struct dms_certificate *certificate,
                struct dms_working_set *set, size_t limit)
{
    size_t size = choose_examples(target, certificate);
    double enough = choose_exactness(target, problem, certificate);
    int rc = DMS_OK;

    target->at_lambda = true;
    if (size > limit) {
        rc = keep_urgent(target, size, limit);
        size = limit;
    }
    return rc == DMS_OK ? solve_set(target, rows, enough, size, set) : rc;
}

/* Whether the next step is a sweep over whole rows. Where sweeps do not get there, a working set
 * has Newton steps. */
static bool is_dense(const struct dms_gram_target *target, const struct dms_gram_rows *rows,
                     size_t limit)
{
    return rows->sweep && target->weight_ct > rows->dense_from &&
           (target->sweep_ct < DENSE_SWEEPS || target->weight_ct > limit);
}

/* Takes the solutions that the weights are, and goes on to the first lambda where they are none. */
static int judge(struct dms_gram_target *target, const struct dms_problem *problem,
                 const struct dms_gram_rows *rows, struct dms_certificate *certificate)
{
    int rc = DMS_OK;

    while (rc == DMS_OK && !target->path->finished) {
        certify(target, certificate);
        if (!(target->gap <= wanted_gap(target, problem)))
            break;
        target->path->pass_ct = target->sweep_ct = 0;
        rc = target->refit ? finish_refit(target) : accept(target, problem, rows);
    }
    return rc;
}

int dms_gram_target_step(struct dms_gram_target *target, const struct dms_problem *problem,
                         const struct dms_gram_rows *rows, struct dms_working_set *set,
                         size_t limit, uint64_t max_steps)
{
    struct dms_target_path *path = target->path;
    struct dms_certificate certificate;

    target->change_ct = 0;
    for (unsigned sweep = 0; sweep < SWEEPS_AT_ONCE; sweep++) {
        int rc = judge(target, problem, rows, &certificate);
        uint32_t *count;
        bool dense;

        if (rc < 0 || path->finished)
            return rc;
        refuse(target);
        dense = is_dense(target, rows, limit);
        count = dense ? &target->sweep_ct : &path->pass_ct;
        if (target->step_ct++ >= max_steps || (*count)++ >= STEPS_AT_LAMBDA)
            return give_up(target, problem);
        if (!dense)
            return move(target, problem, rows, &certificate, set, limit);
        target->at_lambda = true;
        rows->sweep(rows->context, target);
    }
    return DMS_OK;
}
