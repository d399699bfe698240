/*
 * The normal equations that targets with the same rows share: made from exact counts, factored
 * once, solved for many targets, every solution with its certificate.
 *
 * With s_k the scale of an active column (0 < mean < 1) and v_k = s_k w_k, the problem of a target
 * (solve.h) is min over v of null deviance - c.v + v'Av/2 + lambda v'v/2, where A_ab = cov(x_a,
 * x_b) / (s_a s_b) and c_a = cov(x_a, y) / s_a over its W rows: v = (A + lambda I)^-1 c (Hoerl and
 * Kennard 1970, eq. 2.1, in the scaling of Friedman, Hastie, Tibshirani 2010, eq. 1). lambda 0 is
 * v = A^+ c with all s_k = 1: the least squares solution of the smallest norm. A^+ leaves out the
 * eigenvalues up to DMS_RIDGE_CUT x size x 2^-52 x the largest: as large are those that rounding
 * makes of 0.
 */
#ifndef DMS_SOLVER_RIDGE_SYSTEM_H
#define DMS_SOLVER_RIDGE_SYSTEM_H

#include "solver/packed_rows.h"

#define DMS_RIDGE_CUT 10

struct dms_lapack;

struct dms_ridge_system {
    double row_weight; /* W */
    size_t size;       /* active columns */
    uint32_t *examples;
    double *means, *counts, *scales;
    /* With a factor: the upper triangle is A + lambda I without its diagonal, the lower one its
     * Cholesky factor with it. With eigenvectors: A. */
    double *matrix;
    double *diagonal;         /* of A + lambda I; NULL with eigenvectors */
    double *vectors, *values; /* eigenvectors, eigenvalues in increasing order; or NULL */
    double *work;             /* scratch of dms_ridge_system_solve; grows as needed */
    size_t work_ct;
    const struct dms_lapack *lapack;
};

struct dms_ridge_setting {
    struct dms_pool *pool;
    const struct dms_lapack *lapack;
    bool standardize; /* s_k: standard deviations, else 1 */
    /* Above 0: all targets have this lambda, and one Cholesky factorization serves them. Else the
     * eigenvectors are found, which serve any lambda, 0 too. */
    double lambda;
};

/* Bytes of a system of so many columns while it is made, and the operations that takes. */
uint64_t dms_ridge_system_bytes(size_t size, bool with_vectors);
double dms_ridge_system_operations(size_t size, bool with_vectors);

/* The system of the rows with the bits of row_words (NULL: all), row_weight of them. INVALID: the
 * matrix is not positive definite to working precision, or too large for eigenvectors. The caller
 * ends *system with dms_ridge_system_free, which accepts NULL. */
int dms_ridge_system_create(const struct dms_ridge_setting *setting,
                            const struct dms_packed_rows *rows, const uint64_t *row_words,
                            double row_weight, struct dms_ridge_system **system);
void dms_ridge_system_free(struct dms_ridge_system *system);

/* rotated = V' products: size x target_ct, column-major, as products is. With eigenvectors only. */
void dms_ridge_system_rotate(const struct dms_ridge_system *system, size_t target_ct,
                             const double *products, double *rotated);

/* 1 / (eigenvalue + lambda), or 0 where the pseudo-inverse leaves it out. */
double dms_ridge_system_inverse(const struct dms_ridge_system *system, size_t index, double lambda);

/*
 * Solves for target_ct right hand sides: products (c) and weights (w, on the 0/1 scale), size x
 * target_ct, column-major. lambdas: target_ct, with a factor all its own.
 *
 * gaps[t]: how far the objective of the weights, as they are stored, is above its minimum. The
 * objective is quadratic, so that this is no bound but the distance itself: g'H^-1 g / 2, H = A +
 * lambda I, g = H v - c the gradient in double from the exact counts (H^+ for lambda 0).
 */
int dms_ridge_system_solve(struct dms_ridge_system *system, size_t target_ct, const double *lambdas,
                           const double *products, double *weights, double *gaps);

/* The same for weights that were not found here. */
int dms_ridge_system_gaps(struct dms_ridge_system *system, size_t target_ct, const double *lambdas,
                          const double *products, const double *weights, double *gaps);

#endif
