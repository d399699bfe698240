/*
 * The CUDA module: found, loaded once, and asked what it has.
 */
#ifndef DMS_SOLVER_CUDA_MODULE_H
#define DMS_SOLVER_CUDA_MODULE_H

#include "dmstore/device.h"
#include "kernels/cuda/module.h"

/* Loads the module when it is first asked for. UNSUPPORTED says where it was looked for and why it
 * cannot be used. */
int dms_cuda_module_load(const struct dms_cuda_module **module);

#endif
