/*
 * Finds and loads the CUDA module; what it says of devices, and which device a fit takes.
 */
#include "solver/cuda_module.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const struct dms_cuda_module *loaded;
static char path[768], failure[1024];

static void load(void)
{
    const char *given = getenv("DMSTORE_CUDA_MODULE");
    dms_cuda_module_function *get;
    void *library, *symbol;

    snprintf(path, sizeof path, "%s", given && *given ? given : DMS_PKGLIBDIR "/dmstore-cuda.so");
    if (access(path, F_OK) != 0) {
        snprintf(failure, sizeof failure, "this build has no CUDA backend: there is no '%s'", path);
        return;
    }
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(failure, sizeof failure, "the CUDA module cannot be loaded: %s", dlerror());
        return;
    }
    symbol = dlsym(library, DMS_CUDA_MODULE_SYMBOL);
    if (!symbol) {
        snprintf(failure, sizeof failure, "'%s' is no CUDA module of dmstore", path);
        return;
    }
    memcpy(&get, &symbol, sizeof get);
    if (get()->version != DMS_CUDA_MODULE_VERSION) {
        snprintf(failure, sizeof failure, "'%s' belongs to another version of dmstore", path);
        return;
    }
    loaded = get();
}

int dms_cuda_module_load(const struct dms_cuda_module **module)
{
    pthread_once(&once, load);
    if (!loaded)
        return dms_fail(DMS_ERR_UNSUPPORTED, "%s", failure);
    *module = loaded;
    return DMS_OK;
}

void dms_cuda_probe(struct dms_cuda_status *status)
{
    int device_ct = 0, code;

    *status = (struct dms_cuda_status){.device_ct = 0};
    pthread_once(&once, load);
    snprintf(status->module_path, sizeof status->module_path, "%s", path);
    if (!loaded) {
        snprintf(status->reason, sizeof status->reason, "%s", failure);
        return;
    }
    status->has_module = true;
    snprintf(status->runtime, sizeof status->runtime, "%s", loaded->name);
    code = loaded->device_ct(&device_ct);
    if (code != 0)
        snprintf(status->reason, sizeof status->reason, "there is no CUDA device (%s)",
                 loaded->error_text(code));
    else if (device_ct < 1)
        snprintf(status->reason, sizeof status->reason, "there is no CUDA device");
    else
        status->device_ct = (size_t)device_ct;
}

int dms_cuda_device(size_t index, struct dms_device_info *info)
{
    struct dms_cuda_device_info found;
    struct dms_cuda_status status;
    int code;

    dms_cuda_probe(&status);
    if (index >= status.device_ct)
        return dms_fail(DMS_ERR_NOT_FOUND, "there is no CUDA device %zu", index);
    code = loaded->device_info((int)index, &found);
    if (code != 0)
        return dms_fail(DMS_ERR_IO, "CUDA device %zu: %s", index, loaded->error_text(code));
    *info = (struct dms_device_info){.capability_major = found.major,
                                     .capability_minor = found.minor,
                                     .total_bytes = found.total_bytes,
                                     .free_bytes = found.free_bytes};
    memcpy(info->name, found.name, sizeof info->name);
    return DMS_OK;
}

int dms_device_choose(enum dms_device asked, struct dms_placement *placement)
{
    struct dms_cuda_status status;

    *placement = (struct dms_placement){DMS_DEVICE_CPU, "as asked"};
    if (asked == DMS_DEVICE_CPU)
        return DMS_OK;
    dms_cuda_probe(&status);
    if (asked == DMS_DEVICE_CUDA && status.device_ct == 0)
        return dms_fail(DMS_ERR_UNSUPPORTED,
                        "CUDA cannot be used: %s; use the processor (device cpu or auto)",
                        status.reason);
    if (status.device_ct > 0)
        placement->device = DMS_DEVICE_CUDA;
    if (asked == DMS_DEVICE_AUTO)
        snprintf(placement->reason, sizeof placement->reason, "%s",
                 status.device_ct > 0 ? "there is a CUDA device" : status.reason);
    return DMS_OK;
}
