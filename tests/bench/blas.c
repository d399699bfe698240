/*
 * OpenBLAS by dlopen: see blas.h. The declarations are those of the C interface to the BLAS
 * (netlib.org/blas/#_cblas).
 */
#include "tests/bench/blas.h"

#include "tests/bench/bench.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_MAJOR = 101, AS_IT_IS = 111, TRANSPOSED = 112 };

typedef void sgemm_function(int order, int transpose_a, int transpose_b, int m, int n, int k,
                            float alpha, const float *a, int a_stride, const float *b, int b_stride,
                            float beta, float *c, int c_stride);
typedef void dgemm_function(int order, int transpose_a, int transpose_b, int m, int n, int k,
                            double alpha, const double *a, int a_stride, const double *b,
                            int b_stride, double beta, double *c, int c_stride);

static sgemm_function *sgemm;
static dgemm_function *dgemm;
static char *(*get_config)(void);

/* Sets *function, which points to a pointer to a function. */
static void find(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);

    if (!symbol) {
        bench_die("libopenblas.so.0 has no '%s'", name);
    }
    memcpy(function, &symbol, sizeof symbol);
}

bool bench_blas_open(const char *instruction_set)
{
    void (*set_threads)(int);
    void *library;

    if (strcmp(instruction_set, "avx512") == 0) {
        setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
    } else if (strcmp(instruction_set, "avx2") == 0) {
        setenv("OPENBLAS_CORETYPE", "Haswell", 0);
    }
    library = dlopen("libopenblas.so.0", RTLD_NOW);
    if (!library) {
        return false;
    }
    find(library, "cblas_sgemm", &sgemm);
    find(library, "cblas_dgemm", &dgemm);
    find(library, "openblas_get_config", &get_config);
    find(library, "openblas_set_num_threads", &set_threads);
    set_threads(1);
    return true;
}

const char *bench_blas_name(void)
{
    return get_config();
}

void bench_blas_multiply(bool is_double, bool is_transposed, size_t a_row_ct, size_t a_column_ct,
                         size_t b_column_ct, const void *a, const void *b, void *c)
{
    int transpose = is_transposed ? TRANSPOSED : AS_IT_IS;
    int m = (int)(is_transposed ? a_column_ct : a_row_ct);
    int k = (int)(is_transposed ? a_row_ct : a_column_ct);
    int n = (int)b_column_ct;

    if (is_double) {
        dgemm(ROW_MAJOR, transpose, AS_IT_IS, m, n, k, 1, a, (int)a_column_ct, b, n, 0, c, n);
    } else {
        sgemm(ROW_MAJOR, transpose, AS_IT_IS, m, n, k, 1, a, (int)a_column_ct, b, n, 0, c, n);
    }
}
