/*
 * The kernels' dialect (kernels/cuda/device.h) for a C compiler: a block's threads are fibers that
 * take turns on one thread of the processor, in an order drawn from a seed; blocks run one after
 * another. Found out are: barriers that not all threads of a block reach, or at different places;
 * instructions of a warp that not all of its threads reach; what is read from shared memory before
 * it is written (it is filled with 0xff, which is NaN, before each block); with the sanitizers,
 * what is read or written outside of arrays. Not found out are data races between barriers: fibers
 * change only at barriers.
 */
#ifndef DMS_TESTS_CUDA_ON_CPU_H
#define DMS_TESTS_CUDA_ON_CPU_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

struct cpu_dimension {
    unsigned x, y;
};
extern struct cpu_dimension threadIdx, blockIdx, blockDim, gridDim;

typedef void cpu_kernel(const void *work);

/* A launch: what is needed to run it. */
struct cpu_launch {
    const char *name;
    cpu_kernel *kernel;
    struct cpu_dimension blocks, threads;
};

/* Runs all blocks. Ends the program with a message where the kernel breaks a rule. */
void cpu_run(const struct cpu_launch *launch, const void *work);

/* The order of the threads from here on. */
void cpu_seed(uint64_t seed);

/* What DMS_LAUNCH does; the including program says how streams are kept. */
int cpu_begin(const struct cpu_launch *launch, const void *work, size_t work_bytes, void *stream);

void cpu_barrier(const char *file, int line);
void cpu_share(void *array, size_t bytes);
void cpu_mma_f16(float *c, const uint32_t *a, uint32_t b0, uint32_t b1);
void cpu_mma_s8(int *c, const uint32_t *a, uint32_t b0, uint32_t b1);
void cpu_mma_b1(int *c, const uint32_t *a, uint32_t b0, uint32_t b1);
uint32_t dms_half_bits(float value);
float dms_half_value(uint32_t bits);

#define DMS_DEVICE static inline __attribute__((unused))
#define DMS_KERNEL(name, type)                 \
    static void name(const struct type work);  \
    static void name##_entry(const void *work) \
    {                                          \
        name(*(const struct type *)work);      \
    }                                          \
    static void name(const struct type work)
#define DMS_KERNEL_BOUNDED(name, type, threads) DMS_KERNEL(name, type)
#define DMS_SHARED(type, name, dims) \
    static type name dims;           \
    cpu_share(name, sizeof name)
#define DMS_LAUNCH(name, blocks_x, blocks_y, threads_x, threads_y, stream, work)                 \
    cpu_begin(                                                                                   \
        &(struct cpu_launch){#name, name##_entry, {blocks_x, blocks_y}, {threads_x, threads_y}}, \
        work, sizeof *(work), stream)
#define DMS_UNROLL
#define DMS_NO_UNROLL
#define DMS_C_API
#define DMS_MMA_F16(c, a, b0, b1) cpu_mma_f16(c, a, b0, b1)
#define DMS_MMA_S8(c, a, b0, b1) cpu_mma_s8(c, a, b0, b1)
#define DMS_MMA_B1(c, a, b0, b1) cpu_mma_b1(c, a, b0, b1)
#define __syncthreads() cpu_barrier(__FILE__, __LINE__)
#define __popcll(word) __builtin_popcountll(word)

#endif
