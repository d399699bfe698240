/*
 * Reads labels, maps of targets to examples, and lambdas; see fit_arrays.h.
 */
#include "fit_arrays.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore/store.h>

#include "npy_file.h"
#include "number.h"

/* Targets of a column and lambdas of a path are far fewer. */
#define VALUE_CT_MAX (UINT64_C(1) << 28)

/* Opens a file of one number a row, of one of `kinds`, and reads its bytes. */
static int read_bytes(const char *path, const char *what, const char *kinds, struct dms_npy *npy,
                      uint8_t **bytes, size_t *value_ct)
{
    struct npy_file file = {.descriptor = -1};
    char description[NPY_DESCRIPTION_BYTES];
    bool is_wanted_kind = false;
    uint8_t *read = NULL;
    int code = npy_file_open(&file, path);

    if (code < 0)
        return code;
    for (const char *kind = kinds; *kind; kind++)
        is_wanted_kind |= file.npy.kind == *kind;
    if (!is_wanted_kind || file.row_values != 1 || file.row_ct > VALUE_CT_MAX) {
        code = dms_source_fail(DMS_ERR_INVALID, "'%s' is %s: expected one %s a row, %s", path,
                               npy_describe(&file.npy, description), what,
                               strchr(kinds, 'f') ? "a number" : "an integer");
        goto out;
    }
    read = malloc((size_t)(file.row_ct * file.row_bytes) + 1);
    if (!read) {
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for '%s'", path);
        goto out;
    }
    code = npy_file_read(&file, 0, file.row_ct, 0, file.row_bytes, read);
    if (code < 0)
        goto out;
    *npy = file.npy;
    *value_ct = (size_t)file.row_ct;
    *bytes = read;
    read = NULL;
out:
    free(read);
    npy_file_close(&file);
    return code;
}

/* Converts all values of a file to `dtype`, 8 bytes each. */
static int read_values(const char *path, const char *what, const char *kinds, enum dms_dtype dtype,
                       void **values, size_t *value_ct)
{
    struct dms_npy npy;
    uint8_t *bytes = NULL, *made;
    size_t count = 0;
    int code = read_bytes(path, what, kinds, &npy, &bytes, &count);

    if (code < 0)
        return code;
    made = malloc(8 * count + 1);
    if (!made)
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for '%s'", path);
    for (size_t i = 0; code == 0 && i < count; i++) {
        struct number number = number_load(&npy, bytes + i * npy.item_bytes);

        if (number_store(&number, dtype, made + 8 * i) == NUMBER_UNFIT)
            code = dms_source_fail(DMS_ERR_INVALID, "'%s': %s %zu is too large", path, what, i);
    }
    free(bytes);
    if (code < 0) {
        free(made);
        return code;
    }
    *values = made;
    *value_ct = count;
    return 0;
}

int fit_array_integers(const char *path, const char *what, int64_t **values, size_t *value_ct)
{
    void *read;
    int code = read_values(path, what, "iub", DMS_I64, &read, value_ct);

    if (code == 0)
        *values = read;
    return code;
}

int fit_array_doubles(const char *path, const char *what, double **values, size_t *value_ct)
{
    void *read;
    int code = read_values(path, what, "fiu", DMS_F64, &read, value_ct);

    if (code == 0)
        *values = read;
    return code;
}
