/*
 * Arrays on the device under test.
 */
#include "device_arrays.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "solver/cuda_module.h"

#define ARRAY_MAX 4096

const struct dms_cuda_module *module;
dms_cuda_stream *stream;

static void *arrays[ARRAY_MAX];
static size_t array_ct;
static uint64_t random_state = 20220201;

uint32_t random_word(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

double random_real(void)
{
    return (double)random_word() / 2147483648.0 - 1;
}

void device_check(int code, const char *what)
{
    if (code == 0)
        return;
    printf("Bail out! %s: %s\n", what, module->error_text(code));
    exit(1);
}

const char *device_open(void)
{
    const char *build_dir = getenv("DMSTORE_BUILD_DIR"), *given = getenv("DMSTORE_TEST_MODULE");
    struct dms_cuda_status status;
    static char reason[1024];
    char path[1024];

    snprintf(path, sizeof path, "%s/tests/cuda/stand_in.so", build_dir ? build_dir : ".");
    setenv("DMSTORE_CUDA_MODULE", given ? given : path, 1);
    dms_cuda_probe(&status);
    if (status.device_ct == 0) {
        snprintf(reason, sizeof reason, "%s", status.reason);
        return reason;
    }
    if (dms_cuda_module_load(&module) < 0)
        return dms_error_message();
    device_check(module->select(0), "selecting a device");
    device_check(module->create_stream(&stream), "a stream");
    return NULL;
}

void device_close(void)
{
    for (size_t i = 0; i < array_ct; i++)
        module->release(arrays[i]);
    array_ct = 0;
    module->destroy_stream(stream);
}

void *device_array(const void *values, size_t bytes)
{
    void *array;

    if (array_ct == ARRAY_MAX) {
        printf("Bail out! more than %d arrays\n", ARRAY_MAX);
        exit(1);
    }
    device_check(module->allocate(bytes ? bytes : 1, &array), "an array");
    arrays[array_ct++] = array;
    device_check(module->copy(array, values, bytes, stream), "copying");
    device_check(module->finish(stream), "copying");
    return array;
}

double *device_doubles(size_t count)
{
    double *values = malloc((count ? count : 1) * sizeof *values), *array;

    for (size_t i = 0; i < count; i++)
        values[i] = NAN;
    array = device_array(values, count * sizeof *values);
    free(values);
    return array;
}

void device_read(void *values, const void *array, size_t bytes)
{
    device_check(module->copy(values, array, bytes, stream), "copying back");
    device_check(module->finish(stream), "a kernel");
}
