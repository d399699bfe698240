/*
 * Pictures of training examples or of targets from a .npy file (--images), as small PNG files in
 * data URIs.
 */
#ifndef DMSTORE_TOOLS_THUMBNAILS_H
#define DMSTORE_TOOLS_THUMBNAILS_H

#include <stdint.h>
#include <stdio.h>

#include "npy_file.h"

/* A zeroed one has no pictures. */
struct thumbnails {
    struct npy_file file;
    uint32_t width, height, channel_ct; /* width 0: no pictures */
    uint8_t brightest;                  /* the value that is shown as white */
};

/* Opens `path`: uint8 of shape (count, h, w), (count, h, w, 1) or (count, h, w, 3). Values are
 * scaled so that the largest of a sample of the pictures becomes 255. `what`: "example" or
 * "target". INVALID: another shape or type. The caller ends *thumbnails with thumbnails_close; a
 * zeroed one may be closed. Returns 0 or a negative enum dms_error with the message set. */
int thumbnails_open(struct thumbnails *thumbnails, const char *path, const char *what,
                    uint64_t count);
void thumbnails_close(struct thumbnails *thumbnails);

/* Prints picture `index` as "data:image/png;base64,...", at most 64 pixels wide and high. */
int thumbnails_print(const struct thumbnails *thumbnails, uint64_t index, FILE *file);

#endif
