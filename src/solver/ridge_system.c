/*
 * Factors, solves and certifies the normal equations; see ridge_system.h.
 */
#include "solver/ridge_system.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/linear_algebra.h"

/* Of dsyevd for eigenvectors, in units of size^3: reduction, divide and conquer, back
 * transformation. */
#define EIGENVECTOR_WORK 9

uint64_t dms_ridge_system_bytes(size_t size, bool with_vectors)
{
    return (uint64_t)size * size * sizeof(double) * (with_vectors ? 3 : 1);
}

double dms_ridge_system_operations(size_t size, bool with_vectors)
{
    return (double)size * (double)size * (double)size * (with_vectors ? EIGENVECTOR_WORK : 1.0 / 3);
}

/* ---- the matrix ---- */

/* Finds the columns that are neither all ones nor all zeros, and their scales. */
static int choose_columns(struct dms_ridge_system *system, const struct dms_packed_rows *rows,
                          const uint64_t *row_words, bool standardize)
{
    size_t example_ct = rows->example_ct;
    double weight = system->row_weight;

    system->examples = dms_alloc(example_ct, sizeof *system->examples);
    system->counts = dms_alloc(example_ct, sizeof *system->counts);
    system->means = dms_alloc(example_ct, sizeof *system->means);
    system->scales = dms_alloc(example_ct, sizeof *system->scales);
    if (!system->examples || !system->counts || !system->means || !system->scales)
        return DMS_ERR_NO_MEMORY;
    dms_packed_rows_count(rows, row_words, system->counts);
    for (size_t k = 0; k < example_ct; k++) {
        double count = system->counts[k];
        size_t a = system->size;

        if (!(count > 0 && count < weight))
            continue;
        system->examples[a] = (uint32_t)k;
        system->counts[a] = count;
        system->means[a] = count / weight;
        system->scales[a] = standardize ? sqrt(count * (weight - count)) / weight : 1;
        system->size++;
    }
    return DMS_OK;
}

static double *allocate_matrix(size_t size)
{
    size_t value_ct, bytes;

    if (dms_mul_overflow(size, size, &value_ct) ||
        dms_mul_overflow(value_ct, sizeof(double), &bytes)) {
        (void)dms_fail(DMS_ERR_NO_MEMORY, "a matrix of %zu x %zu is too large", size, size);
        return NULL;
    }
    return dms_alloc_aligned(64, bytes);
}

/* ---- factors ---- */

/* Whether every pivot of the Cholesky factor is more than rounding makes of one that is 0 (Higham
 * 2002, sec. 10.1): of a singular matrix they come out as small numbers of either sign. */
static bool has_pivots(const struct dms_ridge_system *system)
{
    double rounding = (double)system->size * DBL_EPSILON;
    bool all = true;

    for (size_t k = 0; k < system->size; k++) {
        double root = system->matrix[k * system->size + k];

        all = all && root * root > rounding * system->diagonal[k];
    }
    return all;
}

static int factor_cholesky(struct dms_ridge_system *system, double lambda)
{
    int n = (int)system->size, info = 0;

    system->diagonal = dms_alloc(system->size, sizeof *system->diagonal);
    if (!system->diagonal)
        return DMS_ERR_NO_MEMORY;
    for (size_t k = 0; k < system->size; k++) {
        double *entry = &system->matrix[k * system->size + k];

        *entry += lambda;
        system->diagonal[k] = *entry;
    }
    system->lapack->dpotrf("L", &n, system->matrix, &n, &info, 1);
    if (info != 0 || !has_pivots(system))
        return dms_fail(DMS_ERR_INVALID,
                        "lambda %g is too small for ridge regression in double precision: the "
                        "matrix of %zu examples is not positive definite (least squares of the "
                        "smallest norm is lambda 0)",
                        lambda, system->size);
    return DMS_OK;
}

/* Replaces the copy of the matrix in `vectors` by its eigenvectors. */
static int find_vectors(struct dms_ridge_system *system, double *work, size_t work_ct)
{
    int n = (int)system->size, info = 0;
    int work_size = (int)work_ct, index_ct = 3 + 5 * n;
    int *indices = dms_alloc((size_t)index_ct, sizeof *indices);

    if (!indices)
        return DMS_ERR_NO_MEMORY;
    system->lapack->dsyevd("V", "L", &n, system->vectors, &n, system->values, work, &work_size,
                           indices, &index_ct, &info, 1, 1);
    free(indices);
    return info == 0 ? DMS_OK
                     : dms_fail(DMS_ERR_INVALID,
                                "the eigenvalues of the matrix of %zu examples are not found "
                                "(dsyevd: %d)",
                                system->size, info);
}

/* The scratch of dsyevd has room for the matrix afterwards, which is counted anew: that is cheaper
 * than a third matrix. */
static int factor_vectors(struct dms_ridge_system *system, struct dms_pool *pool,
                          const struct dms_covariance *covariance)
{
    size_t size = system->size, work_ct = 1 + 6 * size + 2 * size * size;
    int rc;

    if (size > 32000 || work_ct > INT_MAX)
        return dms_fail(DMS_ERR_INVALID,
                        "eigenvectors of a matrix of %zu examples cannot be found: 32,000 is the "
                        "most; give a lambda above 0",
                        size);
    system->vectors = allocate_matrix(size);
    system->values = dms_alloc(size, sizeof *system->values);
    system->matrix = dms_alloc_aligned(64, work_ct * sizeof *system->matrix);
    if (!system->vectors || !system->values || !system->matrix)
        return DMS_ERR_NO_MEMORY;
    rc = dms_packed_rows_covariance(pool, covariance, system->vectors);
    if (rc == DMS_OK)
        rc = find_vectors(system, system->matrix, work_ct);
    if (rc == DMS_OK)
        rc = dms_packed_rows_covariance(pool, covariance, system->matrix);
    return rc;
}

int dms_ridge_system_create(const struct dms_ridge_setting *setting,
                            const struct dms_packed_rows *rows, const uint64_t *row_words,
                            double row_weight, struct dms_ridge_system **system)
{
    struct dms_ridge_system *made = dms_alloc(1, sizeof *made);
    struct dms_covariance covariance;
    int rc;

    if (!made)
        return DMS_ERR_NO_MEMORY;
    made->lapack = setting->lapack;
    made->row_weight = row_weight;
    rc = choose_columns(made, rows, row_words, setting->standardize);
    if (rc < 0 || made->size == 0)
        goto out;
    covariance = (struct dms_covariance){
        .rows = rows,
        .row_words = row_words,
        .row_weight = row_weight,
        .size = made->size,
        .examples = made->examples,
        .counts = made->counts,
        .scales = made->scales,
    };
    if (setting->lambda > 0) {
        made->matrix = allocate_matrix(made->size);
        rc = made->matrix ? dms_packed_rows_covariance(setting->pool, &covariance, made->matrix)
                          : DMS_ERR_NO_MEMORY;
        if (rc == DMS_OK)
            rc = factor_cholesky(made, setting->lambda);
    } else {
        rc = factor_vectors(made, setting->pool, &covariance);
    }
out:
    if (rc < 0)
        dms_ridge_system_free(made);
    else
        *system = made;
    return rc;
}

void dms_ridge_system_free(struct dms_ridge_system *system)
{
    if (!system)
        return;
    free(system->examples);
    free(system->counts);
    free(system->means);
    free(system->scales);
    free(system->matrix);
    free(system->diagonal);
    free(system->vectors);
    free(system->values);
    free(system->work);
    free(system);
}

/* ---- solutions ---- */

static const double one = 1, zero = 0, minus_one = -1;

/* to = V' from, or V from. */
static void multiply_vectors(const struct dms_ridge_system *system, const char *transposed,
                             size_t target_ct, const double *from, double *to)
{
    int n = (int)system->size, targets = (int)target_ct;

    system->lapack->dgemm(transposed, "N", &n, &targets, &n, &one, system->vectors, &n, from, &n,
                          &zero, to, &n, 1, 1);
}

void dms_ridge_system_rotate(const struct dms_ridge_system *system, size_t target_ct,
                             const double *products, double *rotated)
{
    if (system->size > 0)
        multiply_vectors(system, "T", target_ct, products, rotated);
}

double dms_ridge_system_inverse(const struct dms_ridge_system *system, size_t index, double lambda)
{
    double largest = system->values[system->size - 1], value = system->values[index];
    double cut = DMS_RIDGE_CUT * (double)system->size * DBL_EPSILON * largest;

    if (lambda > 0)
        return 1 / (fmax(value, 0) + lambda);
    return value > cut ? 1 / value : 0;
}

static void swap_diagonal(struct dms_ridge_system *system)
{
    for (size_t k = 0; system->diagonal && k < system->size; k++) {
        double *entry = &system->matrix[k * system->size + k], value = *entry;

        *entry = system->diagonal[k];
        system->diagonal[k] = value;
    }
}

/* gradients = H v - products, for v = s w. `v` is scratch. */
static void find_gradients(struct dms_ridge_system *system, size_t target_ct, const double *lambdas,
                           const double *products, const double *weights, double *v,
                           double *gradients)
{
    size_t size = system->size;
    int n = (int)size, targets = (int)target_ct;

    for (size_t i = 0; i < size * target_ct; i++)
        v[i] = weights[i] * system->scales[i % size];
    memcpy(gradients, products, size * target_ct * sizeof *gradients);
    swap_diagonal(system);
    system->lapack->dsymm("L", "U", &n, &targets, &one, system->matrix, &n, v, &n, &minus_one,
                          gradients, &n, 1, 1);
    swap_diagonal(system);
    for (size_t i = 0; system->vectors && i < size * target_ct; i++)
        gradients[i] += lambdas[i / size] * v[i];
}

static int reserve(struct dms_ridge_system *system, size_t target_ct)
{
    size_t needed = 2 * system->size * target_ct;

    if (needed <= system->work_ct)
        return DMS_OK;
    free(system->work);
    system->work_ct = 0;
    system->work = dms_alloc(needed, sizeof *system->work);
    if (!system->work)
        return DMS_ERR_NO_MEMORY;
    system->work_ct = needed;
    return DMS_OK;
}

int dms_ridge_system_gaps(struct dms_ridge_system *system, size_t target_ct, const double *lambdas,
                          const double *products, const double *weights, double *gaps)
{
    size_t size = system->size;
    int n = (int)size, targets = (int)target_ct, info, rc = reserve(system, target_ct);
    double *gradients, *other;

    memset(gaps, 0, target_ct * sizeof *gaps);
    if (rc < 0 || size == 0)
        return rc;
    gradients = system->work;
    other = system->work + size * target_ct;
    find_gradients(system, target_ct, lambdas, products, weights, other, gradients);
    if (system->vectors) {
        multiply_vectors(system, "T", target_ct, gradients, other);
        for (size_t i = 0; i < size * target_ct; i++)
            gaps[i / size] += dms_ridge_system_inverse(system, i % size, lambdas[i / size]) *
                              other[i] * other[i] / 2;
        return DMS_OK;
    }
    memcpy(other, gradients, size * target_ct * sizeof *other);
    system->lapack->dpotrs("L", &n, &targets, system->matrix, &n, other, &n, &info, 1);
    for (size_t i = 0; i < size * target_ct; i++)
        gaps[i / size] += gradients[i] * other[i] / 2;
    /* What is left of a gradient that is all rounding may have either sign. */
    for (size_t t = 0; t < target_ct; t++)
        gaps[t] = fmax(gaps[t], 0);
    return DMS_OK;
}

int dms_ridge_system_solve(struct dms_ridge_system *system, size_t target_ct, const double *lambdas,
                           const double *products, double *weights, double *gaps)
{
    size_t size = system->size;
    int n = (int)size, targets = (int)target_ct, info, rc = reserve(system, target_ct);

    if (rc < 0)
        return rc;
    if (size > 0 && system->vectors) {
        double *rotated = system->work;

        dms_ridge_system_rotate(system, target_ct, products, rotated);
        for (size_t i = 0; i < size * target_ct; i++)
            rotated[i] *= dms_ridge_system_inverse(system, i % size, lambdas[i / size]);
        multiply_vectors(system, "N", target_ct, rotated, weights);
    } else if (size > 0) {
        memcpy(weights, products, size * target_ct * sizeof *weights);
        system->lapack->dpotrs("L", &n, &targets, system->matrix, &n, weights, &n, &info, 1);
    }
    for (size_t i = 0; i < size * target_ct; i++)
        weights[i] /= system->scales[i % size];
    return dms_ridge_system_gaps(system, target_ct, lambdas, products, weights, gaps);
}
