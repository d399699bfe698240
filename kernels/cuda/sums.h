/*
 * The sums of a block's part (kernels/cuda/parts.h), for the files whose kernels take sums.
 */
#ifndef DMS_KERNELS_CUDA_SUMS_H
#define DMS_KERNELS_CUDA_SUMS_H

#include "kernels/cuda/parts.h"

/* Every thread of the block calls it, with its field_ct sums. */
DMS_DEVICE void finish_part(const struct dms_cuda_panel *panel, const double *sums,
                            uint32_t field_ct, uint32_t largest)
{
    DMS_SHARED(double, shared, [DMS_CUDA_SUMS][ROWS_Y][LANES_X]);
    uint32_t lane = blockIdx.x * LANES_X + threadIdx.x;

    for (uint32_t f = 0; f < field_ct; f++)
        shared[f][threadIdx.y][threadIdx.x] = sums[f];
    __syncthreads();
    if (threadIdx.y > 0)
        return;
    for (uint32_t f = 0; f < field_ct; f++) {
        double total = shared[f][0][threadIdx.x];

        for (uint32_t y = 1; y < ROWS_Y; y++) {
            double other = shared[f][y][threadIdx.x];

            total = largest >> f & 1 ? fmax(total, other) : total + other;
        }
        panel->partial[((size_t)f * DMS_CUDA_PARTS + blockIdx.y) * panel->stride + lane] = total;
    }
}

/* Field `f` of the thread's lane. */
#define FIELD(panel, f, lane) ((panel)->fields[(size_t)(f) * (panel)->stride + (lane)])

#endif
