/*
 * Sums over rows or examples that depend on nothing but their order: a kernel whose blocks have
 * LANES_X lanes and ROWS_Y rows of threads divides them into parts, blockIdx.y the part; a thread
 * goes through its part ROWS_Y apart, finish_part (sums.h) adds up the threads of a block, and a
 * kernel after it the blocks. No atomics.
 */
#ifndef DMS_KERNELS_CUDA_PARTS_H
#define DMS_KERNELS_CUDA_PARTS_H

#include "kernels/cuda/device.h"

#define LANES_X 32
#define ROWS_Y 8

struct part {
    uint32_t first, end;
};

DMS_DEVICE struct part part_of(uint32_t count)
{
    uint32_t part_ct = DMS_CUDA_PART_CT(count);
    uint32_t size = (count + part_ct - 1) / part_ct, first = blockIdx.y * size;
    struct part part = {first < count ? first : count, first + size < count ? first + size : count};

    return part;
}

#endif
