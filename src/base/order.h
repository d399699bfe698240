/*
 * The order of numbers, as qsort and bsearch ask for it.
 */
#ifndef DMS_BASE_ORDER_H
#define DMS_BASE_ORDER_H

#include <stdint.h>

/* Compares two uint64_t. */
static inline int dms_compare_u64(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* Compares two doubles, none of which is NaN. */
static inline int dms_compare_double(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

#endif
