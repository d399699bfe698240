/*
 * The images of the demonstration: handwritten digits read from a CSV file, and parted in the
 * training images, subsets of which models are trained on, and the targets, which they are asked
 * about and never see.
 */
#ifndef DMSTORE_DEMO_IMAGES_H
#define DMSTORE_DEMO_IMAGES_H

#include <stddef.h>
#include <stdint.h>

#define IMAGE_SIDE 8
#define IMAGE_PIXELS (IMAGE_SIDE * IMAGE_SIDE)
#define PIXEL_MAX 16 /* ink; 0 is paper */
#define CLASS_CT 10

struct image {
    uint8_t pixels[IMAGE_PIXELS]; /* 0 .. PIXEL_MAX, row by row from the top */
    uint8_t label;                /* the digit */
    uint32_t line;                /* where it is in the file, from 1 */
};

/* Starts as {0}; ended with digits_free. */
struct digits {
    struct image *training; /* as many of each class; example k of a mask is training[k] */
    size_t training_ct;
    struct image *targets; /* target j of an output is targets[j] */
    size_t target_ct;
};

/* Reads a file of lines with IMAGE_PIXELS pixels and the label, separated by commas, and parts the
 * images: TRAINING_PER_CLASS (see images.c) of each class are for training, all others are targets;
 * both keep the order of the file. The parting depends on the file alone. Returns 0 or a negative
 * enum dms_error; the message names the line. */
int digits_read(const char *path, struct digits *digits);
void digits_free(struct digits *digits);

#endif
