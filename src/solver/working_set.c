/*
 * Coordinate descent and Newton steps on a matrix of covariances; see working_set.h.
 */
#include "solver/working_set.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "kernels/gram.h"

#define ROUNDS 60
#define SWEEPS_PER_ROUND 4
/* What is added to the diagonal of a Newton step, relative to it: duplicated masks make it
 * singular. */
#define RIDGE 1e-10

uint64_t dms_working_set_bytes(size_t size)
{
    uint64_t count = size;

    return count * count * 2 * sizeof(double) + count * (6 * sizeof(double) + sizeof(size_t));
}

int dms_working_set_reserve(struct dms_working_set *set, size_t size)
{
    set->size = size;
    if (size <= set->capacity)
        return DMS_OK;
    dms_working_set_free(set);
    set->size = size;
    set->matrix = dms_alloc(size * size, sizeof *set->matrix);
    set->gradients = dms_alloc(size, sizeof *set->gradients);
    set->weights = dms_alloc(size, sizeof *set->weights);
    set->scales = dms_alloc(size, sizeof *set->scales);
    if (!set->matrix || !set->gradients || !set->weights || !set->scales)
        return DMS_ERR_NO_MEMORY;
    set->capacity = size;
    return DMS_OK;
}

void dms_working_set_free(struct dms_working_set *set)
{
    free(set->matrix);
    free(set->gradients);
    free(set->weights);
    free(set->scales);
    free(set->system);
    free(set->step);
    free(set->old_weights);
    free(set->old_gradients);
    free(set->support);
    set->matrix = set->gradients = set->weights = set->scales = NULL;
    set->system = set->step = set->old_weights = set->old_gradients = NULL;
    set->support = NULL;
    set->size = set->capacity = set->system_capacity = 0;
}

static void move_weight(struct dms_working_set *set, size_t a, double weight)
{
    double change = weight - set->weights[a];

    if (change == 0)
        return;
    set->weights[a] = weight;
    dms_gram_kernels_get()->add_scaled(set->size, change, set->matrix + a * set->size,
                                       set->gradients);
}

static void sweep(struct dms_working_set *set)
{
    for (size_t a = 0; a < set->size; a++) {
        double variance = set->matrix[a * set->size + a];
        double threshold = set->lambda * set->scales[a];
        double pull = set->weights[a] * variance - set->gradients[a];

        if (!(variance > 0) || set->scales[a] == 0)
            continue;
        pull = pull > threshold ? pull - threshold : pull < -threshold ? pull + threshold : 0;
        move_weight(set, a, pull / variance);
    }
}

static double violation(const struct dms_working_set *set)
{
    double worst = 0;

    for (size_t a = 0; a < set->size; a++) {
        double threshold = set->lambda * set->scales[a];
        double gradient = set->gradients[a], weight = set->weights[a];
        double off = weight > 0   ? fabs(gradient + threshold)
                     : weight < 0 ? fabs(gradient - threshold)
                                  : fmax(0, fabs(gradient) - threshold);

        if (threshold > 0)
            worst = fmax(worst, off / threshold);
    }
    return worst;
}

/* ---- Newton steps ---- */

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

/* Moves the weights that are not zero along the step, by `length` of it; one that changes its sign
 * stops at zero. Returns by how much the objective changes. */
static double take_step(struct dms_working_set *set, size_t support_ct, double length)
{
    double change = 0;

    for (size_t i = 0; i < support_ct; i++) {
        size_t a = set->support[i];
        double old = set->weights[a], gradient = set->gradients[a];
        double new = old + length * set->step[i];
        double threshold = set->lambda * set->scales[a];

        new = (new > 0) == (old > 0) ? new : 0;
        change += (new - old) * (gradient + 0.5 * (new - old) * set->matrix[a * set->size + a]) +
                  threshold * (fabs(new) - fabs(old));
        move_weight(set, a, new);
    }
    return change;
}

static int reserve_system(struct dms_working_set *set, size_t support_ct)
{
    size_t room = set->capacity;

    if (!set->step) {
        set->step = dms_alloc(room, sizeof *set->step);
        set->old_weights = dms_alloc(room, sizeof *set->old_weights);
        set->old_gradients = dms_alloc(room, sizeof *set->old_gradients);
        set->support = dms_alloc(room, sizeof *set->support);
    }
    if (support_ct > set->system_capacity) {
        free(set->system);
        set->system = dms_alloc(support_ct * support_ct, sizeof *set->system);
        set->system_capacity = set->system ? support_ct : 0;
    }
    return set->step && set->old_weights && set->old_gradients && set->support && set->system
               ? DMS_OK
               : DMS_ERR_NO_MEMORY;
}

/* Which weights are not zero, and the system whose solution moves them to the minimum with these
 * signs. */
static int pose_system(struct dms_working_set *set, size_t *support_ct)
{
    size_t count = 0;
    int rc;

    for (size_t a = 0; a < set->size; a++)
        count += set->weights[a] != 0;
    rc = count > 0 ? reserve_system(set, count) : DMS_OK;
    if (rc < 0 || count == 0)
        goto out;
    count = 0;
    for (size_t a = 0; a < set->size; a++)
        if (set->weights[a] != 0)
            set->support[count++] = a;
    for (size_t i = 0; i < count; i++) {
        size_t a = set->support[i];

        for (size_t j = 0; j < count; j++)
            set->system[i * count + j] = set->matrix[a * set->size + set->support[j]];
        set->system[i * count + i] *= 1 + RIDGE;
        set->step[i] = -set->gradients[a] - copysign(set->lambda * set->scales[a], set->weights[a]);
    }
out:
    *support_ct = count;
    return rc;
}

/* One Newton step on the weights that are not zero: to the solution with these signs. Where that
 * changes signs and does not lower the objective, only until the first weight becomes zero. */
static int newton(struct dms_working_set *set)
{
    size_t bytes = set->size * sizeof(double), support_ct;
    double length = 1;
    int rc = pose_system(set, &support_ct);

    if (rc < 0 || support_ct == 0)
        return rc;
    solve_symmetric(set->system, support_ct, set->step);
    memcpy(set->old_weights, set->weights, bytes);
    memcpy(set->old_gradients, set->gradients, bytes);
    if (take_step(set, support_ct, 1) <= 0)
        return DMS_OK;
    memcpy(set->weights, set->old_weights, bytes);
    memcpy(set->gradients, set->old_gradients, bytes);
    for (size_t i = 0; i < support_ct; i++) {
        double to_zero = -set->weights[set->support[i]] / set->step[i];

        if (to_zero > 0 && to_zero < length)
            length = to_zero;
    }
    take_step(set, support_ct, length);
    return DMS_OK;
}

int dms_working_set_solve(struct dms_working_set *set)
{
    int rc = DMS_OK;

    /* Sweeps first find the weights that are not zero; a Newton step costs many of them. */
    for (unsigned round = 0; rc == DMS_OK && round < ROUNDS && violation(set) > set->enough;
         round++) {
        for (int i = 0; i < SWEEPS_PER_ROUND && (i == 0 || violation(set) > set->enough); i++)
            sweep(set);
        if (round >= set->patience)
            rc = newton(set);
    }
    return rc;
}
