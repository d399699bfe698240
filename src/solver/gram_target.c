/*
 * Steps and certificates of one target; see gram_target.h.
 */
#include "solver/gram_target.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "kernels/gram.h"
#include "solver/certificate.h"
#include "solver/gram_path.h"
#include "solver/gram_screening.h"

/* The part of the tolerance that a working set may use up; the other examples have the rest. */
#define SET_SHARE 0.25
/* How much more exactly each further step at a lambda solves its set. */
#define SHARPER 0.2
/* Rounds of sweeps in a working set before Newton steps: those cost more than many sweeps there. */
#define PATIENCE 12
#define SMALL_SET 64
#define SMALL_PATIENCE 1
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
        dms_gram_path_begin(target);
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

/* ---- what follows from a certificate ---- */

static int finish_refit(struct dms_gram_target *target)
{
    target->path->gap = target->gap;
    target->path->finished = true;
    return dms_gram_path_extract(target, &target->path->model);
}

/* A target that does not get there. */
static int give_up(struct dms_gram_target *target, const struct dms_problem *problem)
{
    struct dms_target_path *path = target->path;
    bool keeps_best = path->path_ct > 0 && problem->row_ct[DMS_ROLE_VALIDATION] > 0;
    struct dms_certificate certificate;
    int rc = DMS_OK;

    path->gap = target->gap;
    if (!target->refit && path->path_ct > 0 && !keeps_best) {
        dms_gram_path_go_back(target);
        certify(target, &certificate);
    }
    if (target->refit)
        rc = dms_gram_path_extract(target, &path->model);
    else if (!keeps_best)
        rc = dms_gram_path_extract(target, &path->best);
    dms_target_path_abandon(path);
    return rc;
}

/* ---- the working set ---- */

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
    size_t size = dms_gram_choose_examples(target, certificate);
    double enough = choose_exactness(target, problem, certificate);
    int rc = DMS_OK;

    target->at_lambda = true;
    if (size > limit) {
        rc = dms_gram_keep_urgent(target, size, limit);
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
        if (!(target->gap <= dms_gram_path_wanted_gap(target, problem)))
            break;
        target->path->pass_ct = target->sweep_ct = 0;
        rc = target->refit ? finish_refit(target) : dms_gram_path_accept(target, problem, rows);
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
        dms_gram_path_refuse(target);
        dense = is_dense(target, rows, limit);
        count = dense ? &target->sweep_ct : &path->pass_ct;
        if (target->step_ct++ >= max_steps)
            return give_up(target, problem);
        if ((*count)++ >= STEPS_AT_LAMBDA) {
            if (!dms_gram_path_retreat(target))
                return give_up(target, problem);
            continue;
        }
        if (!dense)
            return move(target, problem, rows, &certificate, set, limit);
        target->at_lambda = true;
        rows->sweep(rows->context, target);
    }
    return DMS_OK;
}
