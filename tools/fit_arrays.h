/*
 * The small .npy files that `dmstore fit` takes: one number a target or lambda, read into memory.
 *
 * Functions return 0 or a negative enum dms_error with the message set (see report.h); messages
 * name the file. The caller frees *values.
 */
#ifndef DMSTORE_TOOLS_FIT_ARRAYS_H
#define DMSTORE_TOOLS_FIT_ARRAYS_H

#include <stddef.h>
#include <stdint.h>

/* Integers of any type, shape (n,) or (n, 1); `what` names one of them, e.g. "label". */
int fit_array_integers(const char *path, const char *what, int64_t **values, size_t *value_ct);

/* Numbers of any type. */
int fit_array_doubles(const char *path, const char *what, double **values, size_t *value_ct);

#endif
