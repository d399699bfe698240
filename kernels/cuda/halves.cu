/*
 * Values as pairs of halves for the tensor cores: first the largest value of each lane, in parts,
 * then the scales from the parts, then the halves. Every output belongs to one thread; the order of
 * the launches is all that they rely on.
 */
#include "kernels/cuda/parts.h"

/* The largest value becomes at most 2^15, below the largest half. */
#define TOP_EXPONENT 15

DMS_KERNEL(largest_kernel, dms_cuda_split)
{
    DMS_SHARED(double, shared, [ROWS_Y][LANES_X]);
    uint32_t lane = blockIdx.x * LANES_X + threadIdx.x;
    struct part part = part_of(work.factor_ct);
    double largest = 0;

    for (uint32_t f = part.first + threadIdx.y; f < part.end; f += ROWS_Y)
        largest = fmax(largest, fabs(work.values[(size_t)f * work.stride + lane]));
    shared[threadIdx.y][threadIdx.x] = largest;
    __syncthreads();
    if (threadIdx.y > 0)
        return;
    for (uint32_t y = 1; y < ROWS_Y; y++)
        largest = fmax(largest, shared[y][threadIdx.x]);
    work.partial[(size_t)blockIdx.y * work.stride + lane] = largest;
}

DMS_KERNEL(scale_kernel, dms_cuda_split)
{
    uint32_t lane = blockIdx.x * blockDim.x + threadIdx.x;
    double largest = 0;
    int exponent = 0;

    if (lane >= work.stride)
        return;
    for (uint32_t part = 0; part < DMS_CUDA_PART_CT(work.factor_ct); part++)
        largest = fmax(largest, work.partial[(size_t)part * work.stride + lane]);
    if (largest > 0 && largest <= 1.7976931348623157e308)
        frexp(largest, &exponent);
    /* Values of a lane that has diverged, or whose scale is out of reach, need not be right. */
    exponent = exponent < -900 ? -900 : exponent;
    work.scales[lane] = ldexp(1.0, exponent - TOP_EXPONENT);
}

DMS_DEVICE void split_value(double value, double inverse, uint32_t *high, uint32_t *low)
{
    double scaled = value * inverse;

    *high = dms_half_bits((float)scaled);
    *low = dms_half_bits((float)(scaled - (double)dms_half_value(*high)));
}

DMS_KERNEL(split_kernel, dms_cuda_split)
{
    uint32_t lane = blockIdx.x * LANES_X + threadIdx.x;
    uint32_t pair_ct = (uint32_t)DMS_CUDA_PAIRS(work.factor_ct);
    double inverse = 1 / work.scales[lane];

    for (uint32_t pair = blockIdx.y * ROWS_Y + threadIdx.y; pair < pair_ct;
         pair += gridDim.y * ROWS_Y) {
        uint32_t high[2], low[2];

        for (uint32_t i = 0; i < 2; i++) {
            uint32_t f = pair / 16 * 32 + pair % 16 + 16 * i;

            split_value(f < work.factor_ct ? work.values[(size_t)f * work.stride + lane] : 0,
                        inverse, &high[i], &low[i]);
        }
        work.halves[(size_t)pair * work.stride + lane] =
            (uint64_t)(low[0] | low[1] << 16) << 32 | (high[0] | high[1] << 16);
    }
}

DMS_C_API int dms_cuda_split_halves(const struct dms_cuda_split *split, dms_cuda_stream *stream)
{
    unsigned pair_blocks = DMS_BLOCKS(DMS_CUDA_PAIRS(split->factor_ct), ROWS_Y);
    unsigned columns = split->stride / LANES_X;
    int code = 0;

    if (split->stride == 0 || split->factor_ct == 0)
        return 0;
    code = DMS_LAUNCH(largest_kernel, columns, DMS_CUDA_PART_CT(split->factor_ct), LANES_X, ROWS_Y,
                      stream, split);
    if (code == 0)
        code = DMS_LAUNCH(scale_kernel, DMS_BLOCKS(split->stride, 128), 1, 128, 1, stream, split);
    if (code == 0)
        code = DMS_LAUNCH(split_kernel, columns, pair_blocks < 4096 ? pair_blocks : 4096, LANES_X,
                          ROWS_Y, stream, split);
    return code;
}
