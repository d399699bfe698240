/*
 * Products of bits with values, in double precision: a block makes 64 rows x 64 lanes of the result,
 * a thread 4 x 4 of them, rows and lanes 16 apart. Values and words of 32 factors at a time lie in
 * shared memory; two barriers keep reading and filling it apart. Every result belongs to one thread.
 */
#include "kernels/cuda/device.h"

#define SIDE 64
#define FACTORS 32
#define EACH 4
#define APART 16

DMS_DEVICE void load_factors(const struct dms_cuda_product *work, uint32_t first, uint32_t row,
                             uint32_t lane, double (*values)[SIDE], uint32_t *words)
{
    uint32_t thread = threadIdx.y * APART + threadIdx.x;

    for (uint32_t i = thread; i < FACTORS * SIDE; i += APART * APART) {
        uint32_t factor = first + i / SIDE;

        values[i / SIDE][i % SIDE] =
            factor < work->bits.factor_ct
                ? work->values[(size_t)factor * work->stride + lane + i % SIDE]
                : 0;
    }
    if (thread < SIDE)
        words[thread] = row + thread < work->bits.row_ct
                            ? (uint32_t)(work->bits.words[(row + thread) * work->bits.row_stride +
                                                          first / 64 * work->bits.word_stride] >>
                                         first % 64)
                            : 0;
}

DMS_DEVICE int any_active(const uint8_t *active, uint32_t lane)
{
    int any = 0;

    for (uint32_t i = 0; i < SIDE / DMS_CUDA_TILE; i++)
        any |= active[lane / DMS_CUDA_TILE + i];
    return any;
}

DMS_KERNEL_BOUNDED(multiply_kernel, dms_cuda_product, 256)
{
    DMS_SHARED(double, values, [FACTORS][SIDE]);
    DMS_SHARED(uint32_t, words, [SIDE]);
    uint32_t row = blockIdx.x * SIDE, lane = blockIdx.y * SIDE;
    double total[EACH][EACH] = {{0}};

    if (!any_active(work.active, lane))
        return;
    for (uint32_t first = 0; first < work.bits.factor_ct; first += FACTORS) {
        load_factors(&work, first, row, lane, values, words);
        __syncthreads();
        for (uint32_t f = 0; f < FACTORS; f++) {
            double value[EACH];

            DMS_UNROLL
            for (uint32_t j = 0; j < EACH; j++)
                value[j] = values[f][threadIdx.x + j * APART];
            DMS_UNROLL
            for (uint32_t i = 0; i < EACH; i++) {
                double bit = (double)(words[threadIdx.y + i * APART] >> f & 1);

                DMS_UNROLL
                for (uint32_t j = 0; j < EACH; j++)
                    total[i][j] += bit * value[j];
            }
        }
        __syncthreads();
    }
    DMS_UNROLL
    for (uint32_t i = 0; i < EACH; i++)
        DMS_UNROLL
        for (uint32_t j = 0; j < EACH; j++) {
            uint32_t m = row + threadIdx.y + i * APART, l = lane + threadIdx.x + j * APART;
            size_t at = (size_t)m * work.stride + l;

            if (m < work.bits.row_ct && work.active[l / DMS_CUDA_TILE])
                work.result[at] = (work.adds ? work.result[at] : 0) + total[i][j];
        }
}

DMS_C_API int dms_cuda_multiply(const struct dms_cuda_product *product, dms_cuda_stream *stream)
{
    if (product->bits.row_ct == 0 || product->stride == 0)
        return 0;
    return DMS_LAUNCH(multiply_kernel, DMS_BLOCKS(product->bits.row_ct, SIDE),
                      product->stride / SIDE, APART, APART, stream, product);
}
