/*
 * LAPACK and ARPACK, for dense factorizations and for a few eigenvectors of large matrices.
 *
 * They are loaded when a command first needs them, not linked: most processes of a farm append a
 * row and end, and a BLAS that starts a thread for each processor would cost them more than their
 * work. Where they are not installed, everything else works.
 *
 * Matrices are column-major; integers are 32 bits (the ABI of the usual libraries). Fortran passes
 * the lengths of character arguments behind all others.
 */
#ifndef DMS_BASE_LINEAR_ALGEBRA_H
#define DMS_BASE_LINEAR_ALGEBRA_H

#include <stddef.h>

struct dms_lapack {
    /* Cholesky factor of a symmetric positive definite matrix, and a solution with it. */
    void (*dpotrf)(const char *uplo, const int *n, double *a, const int *lda, int *info,
                   size_t uplo_bytes);
    void (*dpotrs)(const char *uplo, const int *n, const int *nrhs, const double *a, const int *lda,
                   double *b, const int *ldb, int *info, size_t uplo_bytes);
    /* All eigenvalues, ascending, and eigenvectors of a symmetric matrix. */
    void (*dsyevd)(const char *jobz, const char *uplo, const int *n, double *a, const int *lda,
                   double *w, double *work, const int *lwork, int *iwork, const int *liwork,
                   int *info, size_t jobz_bytes, size_t uplo_bytes);
    /* c = alpha op(a) op(b) + beta c. */
    void (*dgemm)(const char *transa, const char *transb, const int *m, const int *n, const int *k,
                  const double *alpha, const double *a, const int *lda, const double *b,
                  const int *ldb, const double *beta, double *c, const int *ldc,
                  size_t transa_bytes, size_t transb_bytes);
    /* c = alpha a b + beta c (side "L"), a symmetric: one triangle of it is read. */
    void (*dsymm)(const char *side, const char *uplo, const int *m, const int *n,
                  const double *alpha, const double *a, const int *lda, const double *b,
                  const int *ldb, const double *beta, double *c, const int *ldc, size_t side_bytes,
                  size_t uplo_bytes);
};

/* ARPACK's reverse communication for symmetric operators, as its own C interface declares it. */
struct dms_arpack {
    void (*dsaupd)(int *ido, const char *bmat, int n, const char *which, int nev, double tol,
                   double *resid, int ncv, double *v, int ldv, int *iparam, int *ipntr,
                   double *workd, double *workl, int lworkl, int *info);
    void (*dseupd)(int rvec, const char *howmny, const int *select, double *d, double *z, int ldz,
                   double sigma, const char *bmat, int n, const char *which, int nev, double tol,
                   double *resid, int ncv, double *v, int ldv, int *iparam, int *ipntr,
                   double *workd, double *workl, int lworkl, int *info);
};

/* The libraries, loaded once per process and never unloaded. UNSUPPORTED, with the name of the
 * Debian package: they are not installed. May be called from several threads at once. */
int dms_lapack_get(const struct dms_lapack **lapack);
int dms_arpack_get(const struct dms_arpack **arpack);

#endif
