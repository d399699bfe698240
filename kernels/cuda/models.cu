/*
 * Sparse models into a panel and out of it. Setting: a thread a weight, no two of which are the same
 * (the caller sees to it). Extracting: a block a lane goes through the examples 128 at a time; each
 * thread counts the weights of those before it from the flags of all, and the running total is kept
 * by every thread alike, so that two barriers a round are enough.
 */
#include "kernels/cuda/device.h"

#define THREADS 128

struct set_work {
    struct dms_cuda_panel panel;
    const struct dms_cuda_weight *list;
    size_t weight_ct;
};

DMS_KERNEL(set_kernel, set_work)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;

    if (i < work.weight_ct)
        work.panel.weights[(size_t)work.list[i].example * work.panel.stride + work.list[i].lane] =
            work.list[i].value;
}

DMS_C_API int dms_cuda_set_weights(const struct dms_cuda_panel *panel,
                                   const struct dms_cuda_weight *list, size_t weight_ct,
                                   dms_cuda_stream *stream)
{
    struct set_work work = {*panel, list, weight_ct};

    if (weight_ct == 0)
        return 0;
    return DMS_LAUNCH(set_kernel, DMS_BLOCKS(weight_ct, THREADS), 1, THREADS, 1, stream, &work);
}

struct clear_work {
    struct dms_cuda_panel panel;
    uint32_t lane;
};

DMS_KERNEL(clear_kernel, clear_work)
{
    uint32_t k = blockIdx.x * blockDim.x + threadIdx.x;

    if (k < work.panel.example_ct)
        work.panel.weights[(size_t)k * work.panel.stride + work.lane] = 0;
}

DMS_C_API int dms_cuda_clear_lane(const struct dms_cuda_panel *panel, uint32_t lane,
                                  dms_cuda_stream *stream)
{
    struct clear_work work = {*panel, lane};

    return DMS_LAUNCH(clear_kernel, DMS_BLOCKS(panel->example_ct, THREADS), 1, THREADS, 1, stream,
                      &work);
}

struct extract_work {
    struct dms_cuda_panel panel;
    uint32_t first;
    uint32_t *examples;
    double *values;
    uint32_t *weight_cts;
};

DMS_KERNEL(extract_kernel, extract_work)
{
    DMS_SHARED(uint8_t, flags, [THREADS]);
    size_t offset = (size_t)blockIdx.x * work.panel.example_ct;
    uint32_t lane = work.first + blockIdx.x, total = 0;

    for (uint32_t first = 0; first < work.panel.example_ct; first += THREADS) {
        uint32_t k = first + threadIdx.x, before = 0, all = 0;
        double weight = k < work.panel.example_ct
                            ? work.panel.weights[(size_t)k * work.panel.stride + lane]
                            : 0;

        flags[threadIdx.x] = weight != 0;
        __syncthreads();
        for (uint32_t i = 0; i < THREADS; i++) {
            before += i < threadIdx.x ? flags[i] : 0;
            all += flags[i];
        }
        if (weight != 0) {
            work.examples[offset + total + before] = k;
            work.values[offset + total + before] = weight;
        }
        total += all;
        __syncthreads();
    }
    if (threadIdx.x == 0)
        work.weight_cts[blockIdx.x] = total;
}

DMS_C_API int dms_cuda_extract(const struct dms_cuda_panel *panel, uint32_t first,
                               uint32_t lane_ct, uint32_t *examples, double *values,
                               uint32_t *weight_cts, dms_cuda_stream *stream)
{
    struct extract_work work = {*panel, first, examples, values, weight_cts};

    if (lane_ct == 0)
        return 0;
    return DMS_LAUNCH(extract_kernel, lane_ct, 1, THREADS, 1, stream, &work);
}
