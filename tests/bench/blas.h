/*
 * Matrix products of OpenBLAS on one thread, to measure beside ours: loaded at run time, so that
 * nothing needs it to be built or tested.
 */
#ifndef DMSTORE_TESTS_BENCH_BLAS_H
#define DMSTORE_TESTS_BENCH_BLAS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Loads it if it is installed, with its kernels for AVX-512 ("avx512") or AVX2 ("avx2") whatever it
 * thinks of the processor: it knows no processor younger than itself and takes those for one of
 * 2004. The environment variable OPENBLAS_CORETYPE goes before that.
 */
bool bench_blas_open(const char *instruction_set);

/* What of it is in use, after it was opened: its version and its name for the processor. */
const char *bench_blas_name(void);

/* C = A B or, transposed, A^T B; A is a_row_ct x a_column_ct, B has b_column_ct columns; all are
 * row-major, of float or (is_double) double. */
void bench_blas_multiply(bool is_double, bool is_transposed, size_t a_row_ct, size_t a_column_ct,
                         size_t b_column_ct, const void *a, const void *b, void *c);

#endif
