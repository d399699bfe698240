/*
 * The sums of a block's part and of all parts (kernels/cuda/parts.h), for the files whose kernels
 * take sums.
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

/* What becomes of a sum: bit i of `largest`: of the parts' i-th values the largest is taken; of
 * `adds`: it is added to the field. Fields from `field` on. */
struct fold_work {
    struct dms_cuda_panel panel;
    uint32_t field, field_ct, part_ct, largest, adds;
};

DMS_KERNEL(fold_kernel, fold_work)
{
    uint32_t lane = blockIdx.x * blockDim.x + threadIdx.x, f = blockIdx.y;
    double *field;
    double total = 0;

    if (lane >= work.panel.stride)
        return;
    field = &work.panel.fields[(size_t)(work.field + f) * work.panel.stride + lane];
    for (uint32_t part = 0; part < work.part_ct; part++) {
        double value =
            work.panel.partial[((size_t)f * DMS_CUDA_PARTS + part) * work.panel.stride + lane];

        total = work.largest >> f & 1 ? fmax(total, value) : total + value;
    }
    *field = (work.adds >> f & 1 ? *field : 0) + total;
}

static int fold_parts(const struct dms_cuda_panel *panel, uint32_t count, uint32_t field,
                      uint32_t field_ct, uint32_t largest, uint32_t adds, dms_cuda_stream *stream)
{
    struct fold_work work = {*panel, field, field_ct, DMS_CUDA_PART_CT(count), largest, adds};

    return DMS_LAUNCH(fold_kernel, DMS_BLOCKS(panel->stride, 64), field_ct, 64, 1, stream, &work);
}

#endif
