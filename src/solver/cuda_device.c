/*
 * Opens a CUDA device and says what its failures mean; see cuda_device.h.
 */
#include "solver/cuda_device.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "solver/cuda_module.h"

/* The compute capabilities whose tensor cores AND and count bits in one instruction: code for later
 * ones has eight of bytes in its place. */
#define FIRST_BINARY_MAJOR 8
#define LAST_BINARY_MAJOR 9
/* What is left to the driver and to others: a 16th of what was free. */
#define RESERVE_SHARE 16

int dms_cuda_check(const struct dms_cuda *cuda, int code, const char *what)
{
    if (code == 0)
        return DMS_OK;
    switch (cuda->module->classify(code)) {
    case DMS_CUDA_NO_MEMORY:
        return dms_fail(DMS_ERR_NO_MEMORY, "CUDA device %d (%s) has no memory left for %s: %s",
                        cuda->index, cuda->name, what, cuda->module->error_text(code));
    case DMS_CUDA_LOST:
        return dms_fail(DMS_ERR_IO, "CUDA device %d (%s) was lost during %s: %s", cuda->index,
                        cuda->name, what, cuda->module->error_text(code));
    case DMS_CUDA_NO_DEVICE:
        return dms_fail(DMS_ERR_UNSUPPORTED, "CUDA device %d cannot be used: %s", cuda->index,
                        cuda->module->error_text(code));
    case DMS_CUDA_OTHER:
        break;
    }
    return dms_fail(DMS_ERR_IO, "CUDA device %d (%s) failed in %s: %s", cuda->index, cuda->name,
                    what, cuda->module->error_text(code));
}

static int choose_counts(const struct dms_cuda_device_info *info, bool *counts_in_bits)
{
    const char *forced = getenv("DMS_CUDA_PAIRS");
    bool in_bits = info->major >= FIRST_BINARY_MAJOR && info->major <= LAST_BINARY_MAJOR;

    if (forced && *forced) {
        in_bits = strcmp(forced, "bits") == 0;
        if (!in_bits && strcmp(forced, "bytes") != 0)
            return dms_fail(DMS_ERR_INVALID, "DMS_CUDA_PAIRS is '%s': it can be bits or bytes",
                            forced);
    }
    *counts_in_bits = in_bits;
    return DMS_OK;
}

int dms_cuda_open(struct dms_cuda *cuda)
{
    const char *products = getenv("DMS_CUDA_PRODUCTS");
    struct dms_cuda opened = {.index = 0};
    struct dms_cuda_device_info info = {.major = 0};
    int rc = dms_cuda_module_load(&opened.module), code;

    if (rc < 0)
        return rc;
    code = opened.module->select(opened.index);
    if (code == 0)
        code = opened.module->device_info(opened.index, &info);
    if (code != 0)
        return dms_cuda_check(&opened, code, "opening it");
    memcpy(opened.name, info.name, sizeof opened.name);
    opened.free_bytes = info.free_bytes;
    opened.in_double = products && strcmp(products, "double") == 0;
    rc = choose_counts(&info, &opened.counts_in_bits);
    if (rc == DMS_OK)
        *cuda = opened;
    return rc;
}

uint64_t dms_cuda_usable_bytes(const struct dms_cuda *cuda)
{
    return cuda->free_bytes - cuda->free_bytes / RESERVE_SHARE;
}
