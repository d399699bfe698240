/*
 * How often two examples are in a model together: AND and popcount of their columns. The portable
 * kernel counts with integer instructions; the other with the binary matrix instruction, which is one
 * instruction on sm_80 and sm_90 and emulated by slower ones on later cards. In both a count belongs
 * to one thread.
 */
#include "kernels/cuda/device.h"

#define SIDE 16

DMS_DEVICE uint64_t pairs_word(const struct dms_cuda_pairs *pairs, const uint32_t *examples,
                               uint32_t ct, uint32_t i, uint32_t w)
{
    return i < ct && w < pairs->word_ct
               ? pairs->columns[w * pairs->column_stride + examples[i]]
               : 0;
}

DMS_KERNEL(pairs_kernel, dms_cuda_pairs)
{
    DMS_SHARED(uint64_t, a_words, [SIDE][SIDE + 1]);
    DMS_SHARED(uint64_t, b_words, [SIDE][SIDE + 1]);
    uint32_t a = blockIdx.x * SIDE, b = blockIdx.y * SIDE;
    uint64_t count = 0;

    for (uint32_t first = 0; first < work.word_ct; first += SIDE) {
        uint32_t w = first + threadIdx.x;
        uint64_t rows = work.row_words && w < work.word_ct ? work.row_words[w] : ~(uint64_t)0;

        a_words[threadIdx.y][threadIdx.x] =
            rows & pairs_word(&work, work.a_examples, work.a_ct, a + threadIdx.y, w);
        b_words[threadIdx.y][threadIdx.x] =
            pairs_word(&work, work.b_examples, work.b_ct, b + threadIdx.y, w);
        __syncthreads();
        for (uint32_t i = 0; i < SIDE; i++)
            count += (uint64_t)__popcll(a_words[threadIdx.y][i] & b_words[threadIdx.x][i]);
        __syncthreads();
    }
    if (a + threadIdx.y < work.a_ct && b + threadIdx.x < work.b_ct)
        work.counts[(size_t)(a + threadIdx.y) * work.b_ct + b + threadIdx.x] += count;
}

DMS_C_API int dms_cuda_count_pairs(const struct dms_cuda_pairs *pairs, dms_cuda_stream *stream)
{
    if (pairs->a_ct == 0 || pairs->b_ct == 0 || pairs->word_ct == 0)
        return 0;
    return DMS_LAUNCH(pairs_kernel, DMS_BLOCKS(pairs->a_ct, SIDE), DMS_BLOCKS(pairs->b_ct, SIDE),
                      SIDE, SIDE, stream, pairs);
}

/* A warp: 16 x 8 counts. A fragment's 256 rows are four words of 64; each thread reads the word that
 * has its 32 bits of both halves. */
DMS_KERNEL(pairs_mma_kernel, dms_cuda_pairs)
{
    uint32_t g = threadIdx.x / 4, t = threadIdx.x % 4;
    uint32_t a = blockIdx.x * 16 + g, b = blockIdx.y * 8 + g;
    int total[4] = {0};

    for (uint32_t first = 0; first < work.word_ct; first += 4) {
        uint32_t w = first + t;
        uint64_t rows = work.row_words && w < work.word_ct ? work.row_words[w] : ~(uint64_t)0;
        uint64_t upper = rows & pairs_word(&work, work.a_examples, work.a_ct, a, w);
        uint64_t lower = rows & pairs_word(&work, work.a_examples, work.a_ct, a + 8, w);
        uint64_t other = pairs_word(&work, work.b_examples, work.b_ct, b, w);
        uint32_t fragment[4] = {(uint32_t)upper, (uint32_t)lower, (uint32_t)(upper >> 32),
                                (uint32_t)(lower >> 32)};

        DMS_MMA_B1(total, fragment, (uint32_t)other, (uint32_t)(other >> 32));
    }
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t row = blockIdx.x * 16 + g + 8 * (i / 2), column = blockIdx.y * 8 + 2 * t + i % 2;

        if (row < work.a_ct && column < work.b_ct)
            work.counts[(size_t)row * work.b_ct + column] += (uint64_t)total[i];
    }
}

DMS_C_API int dms_cuda_count_pairs_mma(const struct dms_cuda_pairs *pairs, dms_cuda_stream *stream)
{
    if (pairs->a_ct == 0 || pairs->b_ct == 0 || pairs->word_ct == 0)
        return 0;
    return DMS_LAUNCH(pairs_mma_kernel, DMS_BLOCKS(pairs->a_ct, 16), DMS_BLOCKS(pairs->b_ct, 8), 32,
                      1, stream, pairs);
}
