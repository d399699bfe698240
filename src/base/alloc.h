/*
 * Memory allocation with checked sizes. A function that returns NULL has set DMS_ERR_NO_MEMORY as
 * the last failure, so a caller just returns that code. Everything is released with free().
 */
#ifndef DMS_BASE_ALLOC_H
#define DMS_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* *result = a * b; true when it does not fit. */
static inline bool dms_mul_overflow(size_t a, size_t b, size_t *result)
{
    return __builtin_mul_overflow(a, b, result);
}

/* *result = a + b; true when it does not fit. */
static inline bool dms_add_overflow(size_t a, size_t b, size_t *result)
{
    return __builtin_add_overflow(a, b, result);
}

/* `count` zeroed elements of `size` bytes each; never NULL for zero elements. */
void *dms_alloc(size_t count, size_t size);

/*
 * Resizes an array to `count` elements of `size` bytes; what is new is not zeroed. On failure the
 * old array stays valid and the caller's.
 */
void *dms_realloc_array(void *array, size_t count, size_t size);

/* `bytes` bytes, not zeroed, at a multiple of `alignment` (a power of two, at least a pointer's).
 */
void *dms_alloc_aligned(size_t alignment, size_t bytes);

/*
 * Makes room for at least `needed` elements of `size` bytes, growing in steps that keep appending
 * linear. `array` points to the caller's (typed) array pointer. Changes nothing on failure.
 */
int dms_grow(void **array, size_t *capacity, size_t needed, size_t size);

/* A copy of `text`. */
char *dms_strdup(const char *text);

/* The formatted text in new memory. */
char *dms_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
