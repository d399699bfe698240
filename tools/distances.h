/*
 * How far targets are from training examples, from a .npy file of numbers: a matrix of distances,
 * (targets, examples); or coordinates, (examples + targets, dimensions), those of the training
 * examples first, between which distances are computed.
 *
 * Coordinates are held in memory, rows of a matrix are read when they are asked for. Functions
 * return 0 or a negative enum dms_error with the message set (see report.h).
 */
#ifndef DMSTORE_TOOLS_DISTANCES_H
#define DMSTORE_TOOLS_DISTANCES_H

#include <stdint.h>

#include "npy_file.h"

enum distance_metric {
    DISTANCE_EUCLIDEAN,
    /* Great-circle distance in km of latitudes and longitudes in degrees, on a sphere of the mean
     * radius of the earth, by the haversine formula (Sinnott 1984). */
    DISTANCE_HAVERSINE,
};

/* "euclidean", "haversine": for OPTION_CHOICE. */
extern const char *const distance_metric_words[];

struct distances {
    struct npy_file file;
    uint64_t example_ct, target_ct;
    enum distance_metric metric; /* of coordinates */
    uint64_t dimension_ct;
    /* (example_ct + target_ct) x dimension_ct, for haversine points of the unit sphere; NULL: the
     * file is a matrix. */
    double *coordinates;
    uint8_t *row; /* room for one row of the file */
};

/* Opens `path`, which must live as long as *distances, for so many examples and targets (of the
 * whole output, fitted or not). INVALID: another shape, a coordinate that is not finite, haversine
 * for what is no latitude and longitude. After a failure *distances needs no closing; a zeroed one
 * may be closed. */
int distances_open(struct distances *distances, const char *path, enum distance_metric metric,
                   uint64_t example_ct, uint64_t target_ct);
void distances_close(struct distances *distances);

/* The distances of one target to all examples: example_ct of them. INVALID: one in the file is
 * negative or not a number. Not thread-safe. */
int distances_of_target(struct distances *distances, uint64_t target, double *to_examples);

/* The distance of one target to one example; otherwise the same. */
int distances_of_pair(struct distances *distances, uint64_t target, uint64_t example,
                      double *distance);

#endif
