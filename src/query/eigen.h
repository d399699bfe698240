/*
 * The largest eigenvalues of a symmetric matrix that is only known by its products with vectors.
 */
#ifndef DMS_QUERY_EIGEN_H
#define DMS_QUERY_EIGEN_H

#include <stddef.h>
#include <stdint.h>

struct dms_symmetric {
    size_t order;
    /* y = A x. Returns 0, or an error, which ends the search. */
    int (*multiply)(void *context, const double *x, double *y);
    void *context;
};

/*
 * The pair_ct largest eigenvalues (1 <= pair_ct <= order), decreasing, and their eigenvectors: row
 * k of `vectors` (pair_ct x order) has length 1 and belongs to values[k]. Their signs are as they
 * come.
 *
 * Implicitly restarted Lanczos (ARPACK: Lehoucq, Sorensen, Yang 1998) from a fixed start vector, to
 * residuals of about 1e-13 of the largest eigenvalue; LAPACK's dsyevd on the matrix itself where
 * that is small or many of its eigenvalues are asked for. The result depends on the products and on
 * the BLAS that is installed alone.
 *
 * UNSUPPORTED: LAPACK or ARPACK is not installed. INVALID: a product is not finite, the matrix is
 * too large, the iteration does not end. May be called from several threads at once; ARPACK then
 * serves them one after the other.
 */
int dms_eigen_largest(const struct dms_symmetric *matrix, size_t pair_ct, double *values,
                      double *vectors);

/* Bytes that a search allocates. */
uint64_t dms_eigen_bytes(size_t order, size_t pair_ct);

#endif
