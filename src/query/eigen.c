/*
 * Asks ARPACK or LAPACK; see eigen.h.
 */
#include "query/eigen.h"

#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/linear_algebra.h"
#include "base/mix.h"

/* A dense matrix of this order is solved in a moment, whatever its spectrum. */
#define DENSE_ORDER 512

/* dsyevd counts its working memory, 2 order^2 numbers, in 32 bits. */
#define DENSE_ORDER_MAX 32000

#define TOLERANCE 1e-13
#define SIZE_ROUNDS 6
#define RESTART_MAX 3000

/* Lanczos vectors beyond those that are asked for: twice as many as a rule, and some for few. */
#define SPARE_VECTORS 20

static bool is_dense(size_t order, size_t pair_ct)
{
    return order <= DENSE_ORDER || pair_ct > order / 4;
}

static size_t basis_size(size_t pair_ct)
{
    return 2 * pair_ct + SPARE_VECTORS;
}

uint64_t dms_eigen_bytes(size_t order, size_t pair_ct)
{
    uint64_t basis = basis_size(pair_ct);

    if (is_dense(order, pair_ct))
        return (UINT64_C(3) * order + 12) * order * sizeof(double);
    return (order * (basis + 4) + basis * (basis + 10)) * sizeof(double);
}

static int multiply(const struct dms_symmetric *matrix, const double *x, double *y)
{
    int code = matrix->multiply(matrix->context, x, y);

    for (size_t i = 0; code == 0 && i < matrix->order; i++) {
        if (!isfinite(y[i]))
            code = dms_fail(DMS_ERR_INVALID,
                            "the numbers are too large for their squares to be finite");
    }
    return code;
}

/* Vector `from` of an array of vectors becomes vector `to` of another. */
static void copy_vector(size_t order, const double *vectors, size_t from, double *copies, size_t to)
{
    memcpy(copies + to * order, vectors + from * order, order * sizeof(double));
}

/* ---- LAPACK ---- */

/* Column by column; of two elements that should be equal the one in the lower half is taken. */
static int fill_matrix(const struct dms_symmetric *matrix, double *elements)
{
    double *unit = dms_alloc(matrix->order, sizeof(*unit));
    int code = unit ? 0 : DMS_ERR_NO_MEMORY;

    for (size_t column = 0; code == 0 && column < matrix->order; column++) {
        unit[column] = 1;
        code = multiply(matrix, unit, elements + column * matrix->order);
        unit[column] = 0;
    }
    free(unit);
    return code;
}

static int solve_dense(const struct dms_symmetric *matrix, size_t pair_ct, double *values,
                       double *vectors)
{
    size_t order = matrix->order;
    const struct dms_lapack *lapack;
    double *elements, *all, *work, work_size = 0;
    int *integers, n = (int)order, query = -1, integer_ct = 0, info = 0, work_ct;
    int code = dms_lapack_get(&lapack);

    if (code < 0)
        return code;
    if (order > DENSE_ORDER_MAX)
        return dms_fail(DMS_ERR_INVALID,
                        "%zu eigenvalues of a matrix of order %zu are too many: at most a quarter "
                        "of the order, or an order of %d",
                        pair_ct, order, DENSE_ORDER_MAX);
    lapack->dsyevd("V", "L", &n, NULL, &n, NULL, &work_size, &query, &integer_ct, &query, &info, 1,
                   1);
    work_ct = (int)work_size;
    elements = dms_alloc(order * order, sizeof(*elements));
    all = dms_alloc(order, sizeof(*all));
    work = dms_alloc((size_t)work_ct, sizeof(*work));
    integers = dms_alloc((size_t)integer_ct, sizeof(*integers));
    code = elements && all && work && integers ? 0 : DMS_ERR_NO_MEMORY;
    if (code == 0)
        code = fill_matrix(matrix, elements);
    if (code == 0)
        lapack->dsyevd("V", "L", &n, elements, &n, all, work, &work_ct, integers, &integer_ct,
                       &info, 1, 1);
    if (code == 0 && info != 0)
        code = dms_fail(DMS_ERR_INVALID, "the eigenvalues of a matrix of order %zu were not found",
                        order);
    for (size_t k = 0; code == 0 && k < pair_ct; k++) {
        values[k] = all[order - 1 - k];
        copy_vector(order, elements, order - 1 - k, vectors, k);
    }
    free(elements);
    free(all);
    free(work);
    free(integers);
    return code;
}

/* ---- ARPACK ---- */

/* Its state between calls, which it keeps in static variables, too: one search at a time. */
struct search {
    const struct dms_arpack *arpack;
    /* ARPACK's test of convergence is relative to each eigenvalue, which for one that is 0 but for
     * rounding is never met: it is given A + shift, with a shift of the size of the largest. */
    double shift;
    int order, pair_ct, basis_ct, work_ct, info;
    int parameters[11], places[14];
    double *residual, *basis, *vectors, *work, *values;
    int *selected;
};

static pthread_mutex_t arpack_lock = PTHREAD_MUTEX_INITIALIZER;

static int begin_search(size_t order, size_t pair_ct, struct search *search)
{
    size_t basis_ct = basis_size(pair_ct), work_ct = basis_ct * (basis_ct + 8);
    uint64_t state = 0;

    *search = (struct search){
        .order = (int)order,
        .pair_ct = (int)pair_ct,
        .basis_ct = (int)basis_ct,
        .work_ct = (int)work_ct,
        .info = 1, /* the start vector is in `residual` */
        .parameters = {[0] = 1, [2] = RESTART_MAX, [3] = 1, [6] = 1},
    };
    if (order > INT_MAX || work_ct > INT_MAX)
        return dms_fail(DMS_ERR_INVALID, "%zu eigenvalues of a matrix of order %zu are too many",
                        pair_ct, order);
    search->residual = dms_alloc(order, sizeof(double));
    search->basis = dms_alloc(order * basis_ct, sizeof(double));
    search->vectors = dms_alloc(order * 3, sizeof(double));
    search->work = dms_alloc(work_ct, sizeof(double));
    search->values = dms_alloc(pair_ct, sizeof(double));
    search->selected = dms_alloc(basis_ct, sizeof(int));
    if (!search->residual || !search->basis || !search->vectors || !search->work ||
        !search->values || !search->selected)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < order; i++)
        search->residual[i] = (double)(dms_mix_next(&state) >> 11) * 0x1p-52 - 1;
    return dms_arpack_get(&search->arpack);
}

static void end_search(struct search *search)
{
    free(search->residual);
    free(search->basis);
    free(search->vectors);
    free(search->work);
    free(search->values);
    free(search->selected);
}

/* The shift is about the largest absolute eigenvalue: the length that a product gives to a vector of
 * length 1; 0 where all products are 0. */
static int estimate_size(const struct dms_symmetric *matrix, struct search *search)
{
    double *x = search->vectors, *y = search->vectors + matrix->order;
    int code = 0;

    memcpy(x, search->residual, matrix->order * sizeof(*x));
    for (int round = 0; code == 0 && round < SIZE_ROUNDS; round++) {
        double length = 0;

        for (size_t i = 0; i < matrix->order; i++)
            length += x[i] * x[i];
        search->shift = sqrt(length);
        for (size_t i = 0; i < matrix->order && length > 0; i++)
            x[i] /= search->shift;
        code = multiply(matrix, x, y);
        memcpy(x, y, matrix->order * sizeof(*x));
    }
    return code;
}

/* Multiplies as often as ARPACK asks for it. */
static int iterate(const struct dms_symmetric *matrix, struct search *search)
{
    int request = 0, code = 0;

    do {
        double *x, *y;

        search->arpack->dsaupd(&request, "I", search->order, "LA", search->pair_ct, TOLERANCE,
                               search->residual, search->basis_ct, search->basis, search->order,
                               search->parameters, search->places, search->vectors, search->work,
                               search->work_ct, &search->info);
        if (request != 1 && request != -1)
            break;
        x = search->vectors + search->places[0] - 1;
        y = search->vectors + search->places[1] - 1;
        code = multiply(matrix, x, y);
        for (size_t i = 0; i < matrix->order; i++)
            y[i] += search->shift * x[i];
    } while (code == 0);
    if (code == 0 && search->info == 1)
        code = dms_fail(DMS_ERR_INVALID,
                        "%d eigenvalues of a matrix of order %d were not found in %d restarts: ask "
                        "for fewer, or for more than a quarter of them",
                        search->pair_ct, search->order, RESTART_MAX);
    else if (code == 0 && search->info < 0)
        code = dms_fail(DMS_ERR_INVALID, "ARPACK found no eigenvalues (dsaupd: %d)", search->info);
    return code;
}

/* ARPACK gives them in increasing order, the vectors in the place of its basis. */
static int take_pairs(struct search *search, double *values, double *vectors)
{
    search->arpack->dseupd(1, "A", search->selected, search->values, search->basis, search->order,
                           0, "I", search->order, "LA", search->pair_ct, TOLERANCE,
                           search->residual, search->basis_ct, search->basis, search->order,
                           search->parameters, search->places, search->vectors, search->work,
                           search->work_ct, &search->info);
    if (search->info != 0)
        return dms_fail(DMS_ERR_INVALID, "ARPACK found no eigenvectors (dseupd: %d)", search->info);
    for (int k = 0; k < search->pair_ct; k++) {
        values[k] = search->values[search->pair_ct - 1 - k] - search->shift;
        copy_vector((size_t)search->order, search->basis, (size_t)(search->pair_ct - 1 - k),
                    vectors, (size_t)k);
    }
    return 0;
}

/* Of a matrix of zeros, in which ARPACK finds nowhere to go. */
static void take_zeros(size_t order, size_t pair_ct, double *values, double *vectors)
{
    memset(values, 0, pair_ct * sizeof(*values));
    memset(vectors, 0, pair_ct * order * sizeof(*vectors));
    for (size_t k = 0; k < pair_ct; k++)
        vectors[k * order + k] = 1;
}

static int solve_iteratively(const struct dms_symmetric *matrix, size_t pair_ct, double *values,
                             double *vectors)
{
    struct search search;
    int code = begin_search(matrix->order, pair_ct, &search);

    if (code == 0)
        code = estimate_size(matrix, &search);
    if (code == 0 && search.shift == 0) {
        take_zeros(matrix->order, pair_ct, values, vectors);
    } else if (code == 0) {
        pthread_mutex_lock(&arpack_lock);
        code = iterate(matrix, &search);
        if (code == 0)
            code = take_pairs(&search, values, vectors);
        pthread_mutex_unlock(&arpack_lock);
    }
    end_search(&search);
    return code;
}

int dms_eigen_largest(const struct dms_symmetric *matrix, size_t pair_ct, double *values,
                      double *vectors)
{
    return is_dense(matrix->order, pair_ct) ? solve_dense(matrix, pair_ct, values, vectors)
                                            : solve_iteratively(matrix, pair_ct, values, vectors);
}
