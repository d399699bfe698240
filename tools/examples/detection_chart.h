/*
 * The picture of the subset size simulation: an SVG chart of how well features of each frequency
 * are detected at each subset size.
 */
#ifndef DETECTION_CHART_H
#define DETECTION_CHART_H

#include <stddef.h>
#include <stdint.h>

#include "subset_size_world.h"

/* What was found at one subset size. */
struct detection {
    double alpha; /* 0 .. 1 */
    uint64_t model_ct;
    /* Correlation of fitted weights and planted influences, mean over the targets of a group. */
    double correlations[FREQUENCY_CT];
};

/* Position of the subset size at which features of this frequency are detected best. */
size_t best_detection(const struct detection *detections, size_t detection_ct, unsigned frequency);

/* Writes the chart to `path`; detections in increasing order of alpha. Returns 0, or -1 with errno
 * set. */
int detection_chart_write(const char *path, const struct detection *detections,
                          size_t detection_ct);

#endif
