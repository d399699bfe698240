/*
 * What the fuzz targets share. A target is one function that takes any bytes; it links with
 * libFuzzer (configure
 * --enable-fuzzing), or with replay.c, which runs it on the committed corpus.
 */
#ifndef DMS_TESTS_FUZZ_FUZZ_H
#define DMS_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Called once for every input. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input is; ends the program like a sanitizer does. */
#define require(condition)                                                                 \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

/* Runs `fuzz` on a copy that it may change, unless the input is shorter than `least`. Returns 0. */
__attribute__((unused)) static int fuzz_copy(const uint8_t *data, size_t size, size_t least,
                                             void (*fuzz)(uint8_t *data, size_t size))
{
    uint8_t *copy;

    if (size < least || size == 0)
        return 0;
    copy = malloc(size);
    require(copy != NULL);
    memcpy(copy, data, size);
    fuzz(copy, size);
    free(copy);
    return 0;
}

#endif
