/*
 * The dialect that the kernels are written in: the part of CUDA that is C as well, so that nvcc
 * and, for the tests, a C compiler (which gets tests/cuda/cuda_on_cpu.h first) read the same
 * source.
 *
 *     DMS_KERNEL(name, type)       begins a kernel with one argument, `work`, of struct type
 *     DMS_LAUNCH(name, blocks_x, blocks_y, threads_x, threads_y, stream, &work)
 *                                  launches it; a code of the runtime
 *     DMS_SHARED(type, name, dims) an array shared by the threads of a block
 *     DMS_MMA_F16, _S8, _B1        one instruction of the tensor cores for a warp
 */
#ifndef DMS_KERNELS_CUDA_DEVICE_H
#define DMS_KERNELS_CUDA_DEVICE_H

#include <math.h>

#ifdef __CUDACC__
extern "C" {
#include "kernels/cuda/launchers.h"
}
#include <cuda_fp16.h>

#define DMS_DEVICE static __device__ __forceinline__
#define DMS_KERNEL(name, type) static __global__ void name(const struct type work)
#define DMS_KERNEL_BOUNDED(name, type, threads) \
    static __global__ void __launch_bounds__(threads) name(const struct type work)
#define DMS_SHARED(type, name, dims) __shared__ type name dims
#define DMS_LAUNCH(name, blocks_x, blocks_y, threads_x, threads_y, stream, work)                \
    (name<<<dim3(blocks_x, blocks_y), dim3(threads_x, threads_y), 0, (cudaStream_t)(stream)>>>( \
         *(work)),                                                                              \
     (int)cudaGetLastError())
#define DMS_UNROLL _Pragma("unroll")
#define DMS_NO_UNROLL _Pragma("unroll 1")
#define DMS_C_API extern "C"

/* The nearest half, as bits; and back. */
DMS_DEVICE uint32_t dms_half_bits(float value)
{
    return __half_as_ushort(__float2half_rn(value));
}

DMS_DEVICE float dms_half_value(uint32_t bits)
{
    return __half2float(__ushort_as_half((unsigned short)bits));
}

/*
 * Of a warp, with g = lane / 4 and t = lane % 4: c (16 x 8) += a (16 x 16) b (16 x 8). a: rows g,
 * g + 8, g, g + 8 with columns 2t, 2t + 1, from 8 on in the last two; b: rows 2t, 2t + 1 and 2t +
 * 8, 2t + 9 of column g; c: row g, then g + 8, columns 2t, 2t + 1 (PTX ISA, "mma.m16n8k16").
 */
#define DMS_MMA_F16(c, a, b0, b1)                                                    \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, " \
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                            \
                 : "+f"((c)[0]), "+f"((c)[1]), "+f"((c)[2]), "+f"((c)[3])            \
                 : "r"((a)[0]), "r"((a)[1]), "r"((a)[2]), "r"((a)[3]), "r"(b0), "r"(b1))

/* The same of signed bytes, with sums of integers: 16 x 32 and 32 x 8; the registers of a and b
 * have four neighbours 4t .. 4t + 3, from 16 on in the last two of a and the second of b (PTX ISA,
 * "mma.m16n8k32"). */
#define DMS_MMA_S8(c, a, b0, b1)                                                   \
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, " \
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                          \
                 : "+r"((c)[0]), "+r"((c)[1]), "+r"((c)[2]), "+r"((c)[3])          \
                 : "r"((a)[0]), "r"((a)[1]), "r"((a)[2]), "r"((a)[3]), "r"(b0), "r"(b1))

/* The same of bits, with AND and popcount in place of product and sum: 16 x 256 and 256 x 8; word i
 * of a row or column is in the thread t = i % 4, words 4 .. 7 in the later registers (PTX ISA,
 * "mma.m16n8k256"). */
#define DMS_MMA_B1(c, a, b0, b1)                                                             \
    asm volatile("mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc {%0,%1,%2,%3}, " \
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                                    \
                 : "+r"((c)[0]), "+r"((c)[1]), "+r"((c)[2]), "+r"((c)[3])                    \
                 : "r"((a)[0]), "r"((a)[1]), "r"((a)[2]), "r"((a)[3]), "r"(b0), "r"(b1))
#else
#include "kernels/cuda/launchers.h"
#endif

/* Blocks of `size` that cover `count`. */
#define DMS_BLOCKS(count, size) ((unsigned)(((count) + (size)-1) / (size)))

#endif
