/*
 * Finds LAPACK and ARPACK at run time; see linear_algebra.h.
 */
#include "base/linear_algebra.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"

/* A function of a library and where its address goes. */
struct symbol {
    const char *name;
    void *address; /* of a function pointer */
};

/* Names under which a library may be installed, the ABI that is meant first; ended by NULL. */
static const char *const blas_files[] = {"libblas.so.3", "libopenblas.so.0", "libblas.so", NULL};
static const char *const lapack_files[] = {"liblapack.so.3", "libopenblas.so.0", "liblapack.so",
                                           NULL};
static const char *const arpack_files[] = {"libarpack.so.2", "libarpack.so", NULL};

/* Sets all symbols, or none. */
static bool find_symbols(void *library, const struct symbol *symbols, size_t symbol_ct)
{
    void *found[4];

    for (size_t i = 0; i < symbol_ct; i++) {
        found[i] = dlsym(library, symbols[i].name);
        if (!found[i])
            return false;
    }
    for (size_t i = 0; i < symbol_ct; i++)
        memcpy(symbols[i].address, &found[i], sizeof(found[i]));
    return true;
}

static bool load(const char *const *files, const struct symbol *symbols, size_t symbol_ct)
{
    for (; *files; files++) {
        void *library = dlopen(*files, RTLD_NOW | RTLD_LOCAL);

        if (library && find_symbols(library, symbols, symbol_ct))
            return true;
        if (library)
            dlclose(library);
    }
    return false;
}

static pthread_once_t lapack_once = PTHREAD_ONCE_INIT, arpack_once = PTHREAD_ONCE_INIT;
static struct dms_lapack lapack_table;
static struct dms_arpack arpack_table;
static bool has_lapack, has_arpack;

static void load_lapack(void)
{
    const struct symbol solvers[] = {
        {"dpotrf_", &lapack_table.dpotrf},
        {"dpotrs_", &lapack_table.dpotrs},
        {"dsyevd_", &lapack_table.dsyevd},
    };
    const struct symbol products[] = {
        {"dgemm_", &lapack_table.dgemm},
        {"dsymm_", &lapack_table.dsymm},
    };

    has_lapack = load(lapack_files, solvers, sizeof(solvers) / sizeof(solvers[0])) &&
                 load(blas_files, products, sizeof(products) / sizeof(products[0]));
}

static void load_arpack(void)
{
    const struct symbol symbols[] = {
        {"dsaupd_c", &arpack_table.dsaupd},
        {"dseupd_c", &arpack_table.dseupd},
    };

    has_arpack = load(arpack_files, symbols, sizeof(symbols) / sizeof(symbols[0]));
}

int dms_lapack_get(const struct dms_lapack **lapack)
{
    pthread_once(&lapack_once, load_lapack);
    if (!has_lapack)
        return dms_fail(DMS_ERR_UNSUPPORTED,
                        "LAPACK is needed, and is not installed (liblapack.so.3; on Debian: "
                        "apt-get install liblapack3, or libopenblas0, which is faster)");
    *lapack = &lapack_table;
    return 0;
}

int dms_arpack_get(const struct dms_arpack **arpack)
{
    pthread_once(&arpack_once, load_arpack);
    if (!has_arpack)
        return dms_fail(DMS_ERR_UNSUPPORTED,
                        "ARPACK is needed, and is not installed (libarpack.so.2; on Debian: "
                        "apt-get install libarpack2-dev)");
    *arpack = &arpack_table;
    return 0;
}
