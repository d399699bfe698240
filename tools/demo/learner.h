/*
 * A learning algorithm of the demonstration: trains a model on a subset of the training images and
 * scores images with it. What does not depend on the subset is computed once, so that a model takes
 * well under a millisecond. Training has no randomness: a model is a function of its mask.
 */
#ifndef DMSTORE_DEMO_LEARNER_H
#define DMSTORE_DEMO_LEARNER_H

#include <stddef.h>
#include <stdint.h>

#include "images.h"

/* The images that models are trained on, and those that they score. The caller's. */
struct lesson {
    const struct image *training; /* their labels, not their pixels, may change between models */
    size_t training_ct;
    const struct image *queries; /* training images may be among them */
    size_t query_ct;
};

struct learner {
    const char *name;
    const char *description; /* for --help and the metadata of a store */

    /* Computes what all models of the lesson share. Returns 0 or a negative enum dms_error; ended
     * with `free`, which accepts NULL. */
    int (*prepare)(const struct lesson *lesson, void **prepared);
    void (*free)(void *prepared);

    /* Trains one model on the images that are set in `mask` and scores all queries: scores is
     * query_ct x CLASS_CT, and the largest of a row is the model's answer. Any subset will do, the
     * empty one too. Not for two threads at once. */
    void (*train)(void *prepared, const uint8_t *mask, float *scores);
};

extern const struct learner learner_knn;   /* knn.c */
extern const struct learner learner_ridge; /* ridge.c */

#endif
