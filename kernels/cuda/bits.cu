/*
 * Masks of a batch from rows to columns. One thread makes one word: 64 rows of one example; threads
 * side by side read the same words of the rows. Nothing is shared.
 */
#include "kernels/cuda/device.h"

struct transpose_work {
    struct dms_cuda_batch batch;
    uint32_t example_ct;
    uint64_t *columns;
};

DMS_KERNEL(transpose_kernel, transpose_work)
{
    uint32_t k = blockIdx.x * blockDim.x + threadIdx.x;
    uint32_t first = blockIdx.y * 64;
    uint32_t row_ct = work.batch.row_ct - first < 64 ? work.batch.row_ct - first : 64;
    uint64_t word = 0;

    if (k >= work.example_ct)
        return;
    for (uint32_t i = 0; i < row_ct; i++)
        word |= (work.batch.masks[(size_t)(first + i) * work.batch.mask_words + k / 64] >> (k % 64) &
                 1)
                << i;
    work.columns[(size_t)blockIdx.y * work.example_ct + k] = word;
}

DMS_C_API int dms_cuda_transpose_bits(const struct dms_cuda_batch *batch, uint32_t example_ct,
                                      uint64_t *columns, dms_cuda_stream *stream)
{
    struct transpose_work work = {*batch, example_ct, columns};

    if (batch->row_ct == 0 || example_ct == 0)
        return 0;
    return DMS_LAUNCH(transpose_kernel, DMS_BLOCKS(example_ct, 128), DMS_BLOCKS(batch->row_ct, 64),
                      128, 1, stream, &work);
}
