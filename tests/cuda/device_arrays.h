/*
 * What the tests of kernels share: the module under test (the one of the environment variable
 * DMSTORE_TEST_MODULE, else the stand-in of the build tree), arrays that go to its device and come
 * back, random numbers.
 */
#ifndef DMS_TESTS_DEVICE_ARRAYS_H
#define DMS_TESTS_DEVICE_ARRAYS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/cuda/module.h"

/* The module and a stream of its device, once device_open has returned NULL. */
extern const struct dms_cuda_module *module;
extern dms_cuda_stream *stream;

/* Opens the first device. NULL, or why there is none. */
const char *device_open(void);
void device_close(void);

/* A copy of `bytes` bytes on the device; the program ends where that fails. device_close releases
 * it. */
void *device_array(const void *values, size_t bytes);
/* The same of `count` doubles that are all NaN. */
double *device_doubles(size_t count);
/* Back, when all that was begun is done. */
void device_read(void *values, const void *array, size_t bytes);

/* Ends the program with the runtime's message where code is not 0. */
void device_check(int code, const char *what);

/* From 0 to 2^32 - 1; from -1 to 1. */
uint32_t random_word(void);
double random_real(void);

#endif
