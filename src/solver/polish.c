/*
 * Coordinate descent and Newton steps on co-occurrence counts.
 */
#include "solver/polish.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "kernels/kernels.h"

#define ROUNDS 40
#define SWEEPS_PER_ROUND 4
#define SWEEP_ROUNDS 1 /* without Newton steps */
/* 64-row words of each example that are counted at once. */
#define WORDS 16
/* What is added to the diagonal of a Newton step, relative to it: duplicated masks make it
 * singular. */
#define RIDGE 1e-10

uint64_t dms_polish_bytes(size_t example_ct)
{
    uint64_t count = example_ct;
    /* Pairs, covariances and the system of a Newton step; beside them lists of the examples. */
    uint64_t squares = sizeof(uint64_t) + 2 * sizeof(double);
    uint64_t lists =
        sizeof(uint32_t) + 6 * sizeof(double) + sizeof(size_t) + WORDS * sizeof(uint64_t);

    return sizeof(struct dms_polish) + count * count * squares + count * lists;
}

int dms_polish_create(size_t example_ct, struct dms_polish **polish)
{
    struct dms_polish *made = dms_alloc(1, sizeof *made);

    if (!made)
        return DMS_ERR_NO_MEMORY;
    made->example_ct = example_ct;
    made->examples = dms_alloc(example_ct, sizeof *made->examples);
    made->gradients = dms_alloc(example_ct, sizeof *made->gradients);
    made->weights = dms_alloc(example_ct, sizeof *made->weights);
    made->scales = dms_alloc(example_ct, sizeof *made->scales);
    made->columns = dms_alloc(example_ct * WORDS, sizeof *made->columns);
    made->pair_cts = dms_alloc(example_ct * example_ct, sizeof *made->pair_cts);
    if (!made->examples || !made->gradients || !made->weights || !made->scales || !made->columns ||
        !made->pair_cts) {
        dms_polish_free(made);
        return DMS_ERR_NO_MEMORY;
    }
    *polish = made;
    return DMS_OK;
}

void dms_polish_free(struct dms_polish *polish)
{
    if (!polish)
        return;
    free(polish->examples);
    free(polish->gradients);
    free(polish->weights);
    free(polish->scales);
    free(polish->columns);
    free(polish->pair_cts);
    free(polish);
}

/* Adds the pairs in word_ct <= WORDS words, which are made to lie one after the other for each
 * example. */
static void count_words(struct dms_polish *polish, const uint64_t *words, size_t stride,
                        size_t word_ct, const uint64_t *row_words)
{
    const struct dms_kernels *kernels = dms_kernels_get();
    uint64_t both[WORDS];

    for (size_t a = 0; a < polish->example_ct; a++)
        for (size_t w = 0; w < word_ct; w++)
            polish->columns[a * WORDS + w] =
                words[w * stride + polish->examples[a]] & (row_words ? row_words[w] : UINT64_MAX);
    for (size_t a = 0; a < polish->example_ct; a++)
        for (size_t b = a; b < polish->example_ct; b++) {
            for (size_t w = 0; w < word_ct; w++)
                both[w] = polish->columns[a * WORDS + w] & polish->columns[b * WORDS + w];
            polish->pair_cts[a * polish->example_ct + b] +=
                kernels->popcount((const uint8_t *)both, word_ct * sizeof *both);
        }
}

void dms_polish_count(struct dms_polish *polish, const uint64_t *words, size_t stride,
                      size_t word_ct, const uint64_t *row_words)
{
    for (size_t w = 0; w < word_ct; w += WORDS)
        count_words(polish, words + w * stride, stride, word_ct - w < WORDS ? word_ct - w : WORDS,
                    row_words ? row_words + w : NULL);
}

/* The covariance matrix of the masks: (n_ab - n_a n_b / W) / W, from exact counts. */
static double *covariances(const struct dms_polish *polish)
{
    size_t n = polish->example_ct;
    double *matrix = dms_alloc(n * n, sizeof *matrix);

    for (size_t a = 0; matrix && a < n; a++)
        for (size_t b = a; b < n; b++) {
            double both = (double)polish->pair_cts[a * n + b];
            double first = (double)polish->pair_cts[a * n + a];
            double second = (double)polish->pair_cts[b * n + b];
            double value = (both - first * second / polish->row_weight) / polish->row_weight;

            matrix[a * n + b] = matrix[b * n + a] = value;
        }
    return matrix;
}

static void move_weight(struct dms_polish *polish, const double *matrix, size_t a, double weight)
{
    double change = weight - polish->weights[a];

    if (change == 0)
        return;
    polish->weights[a] = weight;
    for (size_t b = 0; b < polish->example_ct; b++)
        polish->gradients[b] += matrix[a * polish->example_ct + b] * change;
}

static void sweep(struct dms_polish *polish, const double *matrix)
{
    for (size_t a = 0; a < polish->example_ct; a++) {
        double variance = matrix[a * polish->example_ct + a];
        double threshold = polish->lambda * polish->scales[a];
        double pull = polish->weights[a] * variance - polish->gradients[a];

        if (!(variance > 0) || polish->scales[a] == 0)
            continue;
        pull = pull > threshold ? pull - threshold : pull < -threshold ? pull + threshold : 0;
        move_weight(polish, matrix, a, pull / variance);
    }
}

/* How far the optimality conditions are from holding, over lambda s_k. */
static double violation(const struct dms_polish *polish)
{
    double worst = 0;

    for (size_t a = 0; a < polish->example_ct; a++) {
        double threshold = polish->lambda * polish->scales[a];
        double gradient = polish->gradients[a], weight = polish->weights[a];
        double off = weight > 0   ? fabs(gradient + threshold)
                     : weight < 0 ? fabs(gradient - threshold)
                                  : fmax(0, fabs(gradient) - threshold);

        if (threshold > 0)
            worst = fmax(worst, off / threshold);
    }
    return worst;
}

/* Four sums at a time: one alone would wait for every addition. */
static double dot(const double *a, const double *b, size_t n)
{
    double sums[4] = {0};
    size_t i = 0;

    for (; i + 4 <= n; i += 4)
        for (size_t s = 0; s < 4; s++)
            sums[s] += a[i + s] * b[i + s];
    for (; i < n; i++)
        sums[0] += a[i] * b[i];
    return sums[0] + sums[1] + sums[2] + sums[3];
}

/* Solves L L' x = b by the Cholesky factor of the n x n matrix, which it overwrites; x replaces b.
 */
static void solve_symmetric(double *matrix, size_t n, double *b)
{
    for (size_t j = 0; j < n; j++) {
        double *row = matrix + j * n;

        for (size_t k = 0; k < j; k++) {
            row[k] -= dot(row, matrix + k * n, k);
            row[k] /= matrix[k * n + k];
        }
        row[j] -= dot(row, row, j);
        /* The ridge keeps pivots above rounding; one that is not moves nothing. */
        row[j] = row[j] > 0 ? sqrt(row[j]) : INFINITY;
        b[j] = (b[j] - dot(row, b, j)) / row[j];
    }
    for (size_t j = n; j-- > 0;) {
        for (size_t k = j + 1; k < n; k++)
            b[j] -= matrix[k * n + j] * b[k];
        b[j] /= matrix[j * n + j];
    }
}

/* What the solution of a problem needs beside it: for a system of all examples at most. */
struct workspace {
    double *matrix;              /* covariances */
    double *system;              /* of a Newton step */
    double *step;                /* of the weights that are not zero */
    size_t *support;             /* which these are */
    double *weights, *gradients; /* before the step */
};

/* Moves the weights that are not zero along the step, by `length` of it; one that changes its sign
 * stops at zero. Returns by how much the objective changes. */
static double take_step(struct dms_polish *polish, const struct workspace *work, size_t support_ct,
                        double length)
{
    double change = 0;

    for (size_t i = 0; i < support_ct; i++) {
        size_t a = work->support[i];
        double old = polish->weights[a], gradient = polish->gradients[a];
        double new = old + length * work->step[i];
        double threshold = polish->lambda * polish->scales[a];

        new = (new > 0) == (old > 0) ? new : 0;
        change += (new - old) *
                      (gradient + 0.5 * (new - old) * work->matrix[a * polish->example_ct + a]) +
                  threshold * (fabs(new) - fabs(old));
        move_weight(polish, work->matrix, a, new);
    }
    return change;
}

/* One Newton step on the weights that are not zero: to the solution with these signs. Where that
 * changes signs and does not lower the objective, only until the first weight becomes zero. */
static void newton(struct dms_polish *polish, const struct workspace *work)
{
    size_t n = polish->example_ct, bytes = n * sizeof(double), support_ct = 0;
    double length = 1;

    for (size_t a = 0; a < n; a++)
        if (polish->weights[a] != 0)
            work->support[support_ct++] = a;
    for (size_t i = 0; i < support_ct; i++) {
        size_t a = work->support[i];

        for (size_t j = 0; j < support_ct; j++)
            work->system[i * support_ct + j] = work->matrix[a * n + work->support[j]];
        work->system[i * support_ct + i] *= 1 + RIDGE;
        work->step[i] = -polish->gradients[a] -
                        copysign(polish->lambda * polish->scales[a], polish->weights[a]);
    }
    solve_symmetric(work->system, support_ct, work->step);
    memcpy(work->weights, polish->weights, bytes);
    memcpy(work->gradients, polish->gradients, bytes);
    if (take_step(polish, work, support_ct, 1) <= 0)
        return;
    memcpy(polish->weights, work->weights, bytes);
    memcpy(polish->gradients, work->gradients, bytes);
    for (size_t i = 0; i < support_ct; i++) {
        double to_zero = -polish->weights[work->support[i]] / work->step[i];

        if (to_zero > 0 && to_zero < length)
            length = to_zero;
    }
    take_step(polish, work, support_ct, length);
}

static int allocate_workspace(struct dms_polish *polish, struct workspace *work)
{
    size_t n = polish->example_ct;

    work->matrix = covariances(polish);
    work->system = dms_alloc(n * n, sizeof *work->system);
    work->step = dms_alloc(n, sizeof *work->step);
    work->support = dms_alloc(n, sizeof *work->support);
    work->weights = dms_alloc(n, sizeof *work->weights);
    work->gradients = dms_alloc(n, sizeof *work->gradients);
    return work->matrix && work->system && work->step && work->support && work->weights &&
                   work->gradients
               ? DMS_OK
               : DMS_ERR_NO_MEMORY;
}

int dms_polish_solve(struct dms_polish *polish)
{
    struct workspace work;
    int rc = allocate_workspace(polish, &work);

    /* Sweeps first find the weights that are not zero; a Newton step costs many of them. */
    for (int round = 0; rc == DMS_OK && round < ROUNDS && violation(polish) > polish->enough;
         round++) {
        for (int i = 0; i < SWEEPS_PER_ROUND; i++)
            sweep(polish, work.matrix);
        if (round >= SWEEP_ROUNDS)
            newton(polish, &work);
    }
    free(work.matrix);
    free(work.system);
    free(work.step);
    free(work.support);
    free(work.weights);
    free(work.gradients);
    return rc;
}
