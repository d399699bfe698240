/*
 * Coordinate descent and Newton steps on co-occurrence counts.
 */
#include "solver/polish.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"

#define ROUNDS 200
#define SWEEPS_PER_ROUND 10
/* Largest violation of the optimality conditions, over lambda s_k, that counts as none. */
#define ENOUGH 1e-12
/* What is added to the diagonal of a Newton step, relative to it: duplicated masks make it
 * singular. */
#define RIDGE 1e-10

uint64_t dms_polish_bytes(size_t example_ct)
{
    uint64_t count = example_ct;
    /* Pairs, covariances and the system of a Newton step; beside them lists of the examples. */
    uint64_t squares = sizeof(uint64_t) + 2 * sizeof(double);
    uint64_t lists = sizeof(uint32_t) + 4 * sizeof(double) + sizeof(size_t);

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
    made->pair_cts = dms_alloc(example_ct * example_ct, sizeof *made->pair_cts);
    if (!made->examples || !made->gradients || !made->weights || !made->scales || !made->pair_cts) {
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
    free(polish->pair_cts);
    free(polish);
}

void dms_polish_count(struct dms_polish *polish, const uint64_t *words, size_t stride,
                      size_t word_ct, const uint64_t *row_words)
{
    for (size_t block = 0; block < word_ct; block++) {
        const uint64_t *columns = words + block * stride;
        uint64_t rows = row_words ? row_words[block] : UINT64_MAX;

        for (size_t a = 0; a < polish->example_ct; a++) {
            uint64_t first = columns[polish->examples[a]] & rows;
            uint64_t *counts = polish->pair_cts + a * polish->example_ct;

            for (size_t b = a; b < polish->example_ct; b++)
                counts[b] += (uint64_t)__builtin_popcountll(first & columns[polish->examples[b]]);
        }
    }
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

/* Solves L L' x = b by the Cholesky factor of the n x n matrix, which it overwrites; x replaces b.
 */
static void solve_symmetric(double *matrix, size_t n, double *b)
{
    for (size_t j = 0; j < n; j++) {
        double *row = matrix + j * n;

        for (size_t k = 0; k < j; k++) {
            double sum = row[k];

            for (size_t i = 0; i < k; i++)
                sum -= row[i] * matrix[k * n + i];
            row[k] = sum / matrix[k * n + k];
        }
        for (size_t i = 0; i < j; i++)
            row[j] -= row[i] * row[i];
        /* The ridge keeps pivots above rounding; one that is not moves nothing. */
        row[j] = row[j] > 0 ? sqrt(row[j]) : INFINITY;
        for (size_t i = 0; i < j; i++)
            b[j] -= row[i] * b[i];
        b[j] /= row[j];
    }
    for (size_t j = n; j-- > 0;) {
        for (size_t k = j + 1; k < n; k++)
            b[j] -= matrix[k * n + j] * b[k];
        b[j] /= matrix[j * n + j];
    }
}

/* One Newton step on the weights that are not zero, their signs held: to the solution with these
 * signs, or until the first weight becomes zero. support, step: room for example_ct; system: for
 * its square. */
static void newton(struct dms_polish *polish, const double *matrix, size_t *support, double *step,
                   double *system)
{
    size_t n = polish->example_ct, support_ct = 0, stopper = SIZE_MAX;
    double length = 1;

    for (size_t a = 0; a < n; a++)
        if (polish->weights[a] != 0)
            support[support_ct++] = a;
    for (size_t i = 0; i < support_ct; i++) {
        size_t a = support[i];

        for (size_t j = 0; j < support_ct; j++)
            system[i * support_ct + j] = matrix[a * n + support[j]];
        system[i * support_ct + i] *= 1 + RIDGE;
        step[i] = -polish->gradients[a] -
                  copysign(polish->lambda * polish->scales[a], polish->weights[a]);
    }
    solve_symmetric(system, support_ct, step);
    for (size_t i = 0; i < support_ct; i++) {
        double to_zero = -polish->weights[support[i]] / step[i];

        if (to_zero > 0 && to_zero < length) {
            length = to_zero;
            stopper = i;
        }
    }
    for (size_t i = 0; i < support_ct; i++)
        move_weight(polish, matrix, support[i],
                    i == stopper ? 0 : polish->weights[support[i]] + length * step[i]);
}

int dms_polish_solve(struct dms_polish *polish)
{
    size_t n = polish->example_ct;
    double *matrix = covariances(polish);
    double *system = dms_alloc(n * n, sizeof *system);
    double *step = dms_alloc(n, sizeof *step);
    size_t *support = dms_alloc(n, sizeof *support);
    int rc = matrix && system && step && support ? DMS_OK : DMS_ERR_NO_MEMORY;

    for (int round = 0; rc == DMS_OK && round < ROUNDS && violation(polish) > ENOUGH; round++) {
        for (int i = 0; i < SWEEPS_PER_ROUND; i++)
            sweep(polish, matrix);
        newton(polish, matrix, support, step, system);
    }
    free(matrix);
    free(system);
    free(step);
    free(support);
    return rc;
}
