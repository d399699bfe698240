/*
 * Eigenvalues of operators (src/query/eigen.h) against matrices whose spectrum is known: reflected
 * diagonal matrices, A = H diag(values) H with a Householder reflection H, small ones (LAPACK) and
 * large ones (ARPACK).
 */
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "query/eigen.h"

enum { LARGEST = 2000 };

/* A = H diag H, H = 1 - 2 u u' with |u| = 1. */
struct reflected {
    size_t order;
    double diagonal[LARGEST], axis[LARGEST], between[LARGEST];
    double factor;
    int product_ct;
};

static void reflect(const struct reflected *matrix, double *vector)
{
    double along = 0;

    for (size_t i = 0; i < matrix->order; i++)
        along += matrix->axis[i] * vector[i];
    for (size_t i = 0; i < matrix->order; i++)
        vector[i] -= 2 * along * matrix->axis[i];
}

static int multiply(void *context, const double *x, double *y)
{
    struct reflected *matrix = context;

    matrix->product_ct++;
    memcpy(y, x, matrix->order * sizeof(*y));
    reflect(matrix, y);
    for (size_t i = 0; i < matrix->order; i++)
        y[i] *= matrix->diagonal[i] * matrix->factor;
    reflect(matrix, y);
    return 0;
}

static struct reflected matrix;

/* Eigenvalue i is (order - i)^power, in a shuffled place. */
static void make(size_t order, double power)
{
    double square = 0;

    matrix = (struct reflected){.order = order, .factor = 1};
    for (size_t i = 0; i < order; i++) {
        matrix.diagonal[i * 7 % order] = pow((double)(order - i), power);
        matrix.axis[i] = sin((double)i + 1);
        square += matrix.axis[i] * matrix.axis[i];
    }
    for (size_t i = 0; i < order; i++)
        matrix.axis[i] /= sqrt(square);
}

/* Whether values are what they should be and each vector is the reflected unit vector of its own.
 */
static bool are_pairs(size_t pair_ct, double power, const double *values, double *vectors)
{
    double largest = pow((double)matrix.order, power), worst = 0;

    for (size_t k = 0; k < pair_ct; k++) {
        double *vector = vectors + k * matrix.order;

        worst = fmax(worst, fabs(values[k] - pow((double)(matrix.order - k), power)) / largest);
        reflect(&matrix, vector);
        worst = fmax(worst, fabs(fabs(vector[k * 7 % matrix.order]) - 1));
    }
    if (worst > 1e-9)
        diag("off by %g", worst);
    return worst <= 1e-9;
}

static void test_known(size_t order, size_t pair_ct, double power, const char *which)
{
    const struct dms_symmetric symmetric = {order, multiply, &matrix};
    double *values = malloc(pair_ct * sizeof(*values));
    double *vectors = malloc(pair_ct * order * sizeof(*vectors));

    make(order, power);
    is_int(dms_eigen_largest(&symmetric, pair_ct, values, vectors), 0, which);
    ok(are_pairs(pair_ct, power, values, vectors), "%s: %zu pairs of order %zu", which, pair_ct,
       order);
    free(values);
    free(vectors);
}

/* More is asked for than the rank: the rest is 0, and vectors are orthonormal all the same. */
static void test_low_rank(size_t order, size_t pair_ct, size_t rank)
{
    const struct dms_symmetric symmetric = {order, multiply, &matrix};
    double *values = malloc(pair_ct * sizeof(*values)), worst = 0;
    double *vectors = malloc(pair_ct * order * sizeof(*vectors));

    make(order, 1);
    for (size_t i = rank; i < order; i++)
        matrix.diagonal[i * 7 % order] = 0;
    is_int(dms_eigen_largest(&symmetric, pair_ct, values, vectors), 0, "a matrix of low rank");
    for (size_t k = 0; k < pair_ct; k++) {
        worst = fmax(worst, fabs(values[k] - (k < rank ? (double)(order - k) : 0)));
        for (size_t l = 0; l <= k; l++) {
            double product = 0;

            for (size_t i = 0; i < order; i++)
                product += vectors[k * order + i] * vectors[l * order + i];
            worst = fmax(worst, fabs(product - (k == l)));
        }
    }
    if (!ok(worst < 1e-9, "rank %zu, %zu pairs, order %zu", rank, pair_ct, order))
        diag("off by %g", worst);
    free(values);
    free(vectors);
}

static int fail_to_multiply(void *context, const double *x, double *y)
{
    (void)context, (void)x, (void)y;
    return dms_fail(DMS_ERR_CORRUPT, "no product");
}

static void test_failures(size_t order)
{
    struct dms_symmetric symmetric = {order, multiply, &matrix};
    double *values = malloc(sizeof(*values)), *vectors = malloc(order * sizeof(*vectors));

    make(order, 1);
    matrix.factor = INFINITY;
    is_int(dms_eigen_largest(&symmetric, 1, values, vectors), DMS_ERR_INVALID,
           "products that are not finite");
    symmetric.multiply = fail_to_multiply;
    is_int(dms_eigen_largest(&symmetric, 1, values, vectors), DMS_ERR_CORRUPT,
           "a product that fails");
    contains(dms_error_message(), "no product", "its message stays");
    free(values);
    free(vectors);
}

static void test_repeatable(void)
{
    const struct dms_symmetric symmetric = {1200, multiply, &matrix};
    static double values[2][5], vectors[2][5 * 1200];

    make(1200, 1);
    for (int run = 0; run < 2; run++)
        is_int(dms_eigen_largest(&symmetric, 5, values[run], vectors[run]), 0, "the search again");
    ok(memcmp(values[0], values[1], sizeof(values[0])) == 0 &&
           memcmp(vectors[0], vectors[1], sizeof(vectors[0])) == 0,
       "gives the same bytes");
    ok(matrix.product_ct < 2 * 1200, "with fewer products than the matrix has columns");
}

int main(void)
{
    test_known(1, 1, 1, "one number");
    test_known(2, 2, 1, "all of a small one");
    test_known(300, 300, 1, "all of one");
    test_known(300, 7, 2, "some of a small one");
    test_known(1000, 20, 2, "some of a large one");
    test_known(1009, 400, 1, "many of a large one");
    test_known(LARGEST, 3, 4, "few of a large one");
    test_low_rank(40, 10, 3);
    test_low_rank(900, 30, 5);
    test_low_rank(900, 3, 0);
    test_failures(30);
    test_failures(1000);
    test_repeatable();
    return tap_done();
}
