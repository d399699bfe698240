/*
 * Devices on which a fit can be computed: the processor, and graphics cards by a module that is
 * loaded when it is first asked for, so that one installed library works with and without CUDA. The
 * module is PKGLIBDIR/dmstore-cuda.so, or the file that the environment variable
 * DMSTORE_CUDA_MODULE names.
 */
#ifndef DMSTORE_DEVICE_H
#define DMSTORE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dmstore/error.h"

DMS_BEGIN_DECLS

enum dms_device { DMS_DEVICE_AUTO = 0, DMS_DEVICE_CPU = 1, DMS_DEVICE_CUDA = 2 };

/* What is known of CUDA on this machine. */
struct dms_cuda_status {
    char module_path[768]; /* where the module is looked for */
    bool has_module;       /* it is there and can be used */
    char runtime[64];      /* e.g. "CUDA runtime 13000"; "" without a module */
    size_t device_ct;      /* devices that can be used */
    char reason[1024];     /* why there is none; "" when there is one */
};

/* Fills *status; never fails. The module stays loaded. */
DMS_API void dms_cuda_probe(struct dms_cuda_status *status);

struct dms_device_info {
    char name[128];
    int capability_major, capability_minor;
    uint64_t total_bytes, free_bytes; /* of its memory, now */
};

/* What CUDA says of device `index` < device_ct. NOT_FOUND: no such device; else IO. */
DMS_API int dms_cuda_device(size_t index, struct dms_device_info *info);

/* A device that was chosen, and why. */
struct dms_placement {
    enum dms_device device; /* DMS_DEVICE_CPU or DMS_DEVICE_CUDA */
    char reason[1024];      /* for people, e.g. "as asked" */
};

/* Which device a fit that asks for `asked` is computed on. UNSUPPORTED: CUDA is asked for and
 * cannot be used. */
DMS_API int dms_device_choose(enum dms_device asked, struct dms_placement *placement);

DMS_END_DECLS

#endif
