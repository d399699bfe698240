/*
 * What a card's arithmetic can do at most: every thread repeats one instruction on registers, with
 * nothing loaded and results that do not wait for each other. Benchmarks hold the kernels against
 * it. All factors are 1, so that the sums, which are stored so that nothing can be left out, are
 * known.
 *
 * No race: threads share nothing, and each stores a sum of its own.
 */
#include "kernels/cuda/device.h"

#define THREADS DMS_CUDA_CEILING_THREADS
#define CHAINS DMS_CUDA_CEILING_CHAINS

/* A kernel for an instruction of a warp whose results have `type`; ones: a register of factors. */
#define MATRIX_CEILING(name, instruction, type, ones)                \
    DMS_KERNEL_BOUNDED(name, dms_cuda_ceiling, THREADS)              \
    {                                                                \
        type chains[CHAINS][4] = {{0}};                              \
        uint32_t a[4] = {ones, ones, ones, ones};                    \
        double sum = 0;                                              \
                                                                     \
        for (uint32_t step = 0; step < work.step_ct; step++)         \
            DMS_UNROLL                                               \
            for (uint32_t i = 0; i < CHAINS; i++)                    \
                instruction(chains[i], a, ones, ones);               \
        DMS_UNROLL                                                   \
        for (uint32_t i = 0; i < CHAINS; i++)                        \
            DMS_UNROLL                                               \
            for (uint32_t e = 0; e < 4; e++)                         \
                sum += (double)chains[i][e];                         \
        work.sums[(size_t)blockIdx.x * THREADS + threadIdx.x] = sum; \
    }

MATRIX_CEILING(f16_kernel, DMS_MMA_F16, float, 0x3c003c00u)
MATRIX_CEILING(s8_kernel, DMS_MMA_S8, int, 0x01010101u)
MATRIX_CEILING(b1_kernel, DMS_MMA_B1, int, 0xffffffffu)

DMS_KERNEL_BOUNDED(f64_kernel, dms_cuda_ceiling, THREADS)
{
    double chains[CHAINS] = {0}, sum = 0;

    for (uint32_t step = 0; step < work.step_ct; step++)
        DMS_UNROLL
        for (uint32_t i = 0; i < CHAINS; i++)
            chains[i] = fma(work.one, work.one, chains[i]);
    DMS_UNROLL
    for (uint32_t i = 0; i < CHAINS; i++)
        sum += chains[i];
    work.sums[(size_t)blockIdx.x * THREADS + threadIdx.x] = sum;
}

DMS_C_API int dms_cuda_run_ceiling(const struct dms_cuda_ceiling *ceiling, dms_cuda_stream *stream)
{
    if (ceiling->block_ct == 0)
        return 0;
    switch (ceiling->unit) {
    case DMS_CUDA_UNIT_F16:
        return DMS_LAUNCH(f16_kernel, ceiling->block_ct, 1, THREADS, 1, stream, ceiling);
    case DMS_CUDA_UNIT_S8:
        return DMS_LAUNCH(s8_kernel, ceiling->block_ct, 1, THREADS, 1, stream, ceiling);
    case DMS_CUDA_UNIT_B1:
        return DMS_LAUNCH(b1_kernel, ceiling->block_ct, 1, THREADS, 1, stream, ceiling);
    case DMS_CUDA_UNIT_F64:
        break;
    }
    return DMS_LAUNCH(f64_kernel, ceiling->block_ct, 1, THREADS, 1, stream, ceiling);
}
