/*
 * A CUDA device that is open: how it is used, which follows from what it can do and from the
 * environment, and what its failures mean.
 */
#ifndef DMS_SOLVER_CUDA_DEVICE_H
#define DMS_SOLVER_CUDA_DEVICE_H

#include "kernels/cuda/module.h"

struct dms_cuda {
    const struct dms_cuda_module *module;
    int index;
    char name[128];
    uint64_t free_bytes; /* when it was opened */
    bool in_double;      /* all products in double precision */
    bool counts_in_bits; /* pairs by the binary tensor cores, else by what all devices have */
};

/*
 * Loads the module and opens the first device. Nothing is to be closed.
 *
 * Two choices are made here, each of which the environment can force for tests: DMS_CUDA_PRODUCTS=
 * double; DMS_CUDA_PAIRS=bits|bytes, else bits where the device ANDs and counts them in one
 * instruction. UNSUPPORTED: no module or no device; INVALID: another word in DMS_CUDA_PAIRS.
 */
int dms_cuda_open(struct dms_cuda *cuda);

/* Bytes of the device that may be used: some of what was free is left to the driver and others. */
uint64_t dms_cuda_usable_bytes(const struct dms_cuda *cuda);

/* A code of the runtime as ours; `what` was not possible. */
int dms_cuda_check(const struct dms_cuda *cuda, int code, const char *what);

#endif
