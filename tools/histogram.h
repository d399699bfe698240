/*
 * Counts values in bins of a round width.
 */
#ifndef DMSTORE_TOOLS_HISTOGRAM_H
#define DMSTORE_TOOLS_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BIN_MAX 40

struct histogram {
    double low, step; /* bin i: from low + i * step up to, and without, low + (i + 1) * step */
    size_t bin_ct;    /* 0: there were no values */
    uint64_t counts[HISTOGRAM_BIN_MAX], largest_count;
    uint64_t value_ct; /* those that are not NaN ... */
    uint64_t below_ct; /* ... and those of them below `least`, which are in the first bin */
    double mean;
};

/* Leaves out NaN. Bins are no narrower than least_step, and begin near `least` where values are
 * below it (-INFINITY: they begin at the smallest). */
void histogram_make(const double *values, size_t value_ct, double least_step, double least,
                    struct histogram *histogram);

#endif
