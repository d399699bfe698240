/*
 * Products of bits with values in halves, on the tensor cores, with sums in float. Bits are never
 * unpacked in memory: a pair of factors that are 16 apart needs one shift and one mask to become two
 * halves (0 or 2.0, whose only bit is bit 14), since the order of the factors is free as long as
 * values are paired alike (struct dms_cuda_split).
 *
 * A block makes 256 rows x 64 lanes with 8 warps of 64 x 32; a step takes 64 factors: one word of
 * each row, and 32 pairs of 64 lanes, which are loaded into registers while the step before is
 * computed, and go to the other of two buffers in shared memory. One barrier a step is enough: a
 * buffer is filled in the step after all have passed the barrier that ends its reading. Sums of a
 * few steps are added to totals, so that the rounding of long sums stays that of short ones.
 */
#include "kernels/cuda/device.h"

#define ROWS 256
#define SIDE 64
#define THREADS 256
#define WARP_ROWS 64
#define WARP_LANES 32
#define PAIRS 32 /* of a step */
#define TILES_M (WARP_ROWS / 16)
#define TILES_N (WARP_LANES / 8)
#define PAIRS_EACH (PAIRS * SIDE / THREADS)
/* Pairs of lanes in shared memory: the four that half a warp reads at once are in different banks. */
#define PITCH (SIDE + 4)
/* Steps whose sums are added up before they go to the totals. */
#define SHORT_SUM 4

struct warp_place {
    uint32_t g, t;          /* of the lane in a fragment */
    uint32_t row, lane;     /* of the warp in the block */
};

DMS_DEVICE void load_pairs(const struct dms_cuda_product *work, uint32_t step, uint32_t lane,
                           uint64_t *pairs)
{
    const uint64_t *from = work->halves + (size_t)step * PAIRS * work->stride + lane;

    DMS_UNROLL
    for (uint32_t i = 0; i < PAIRS_EACH; i++) {
        uint32_t at = i * THREADS + threadIdx.x;

        pairs[i] = from[(size_t)(at / SIDE) * work->stride + at % SIDE];
    }
}

DMS_DEVICE void load_words(const struct dms_cuda_product *work, uint32_t step, uint32_t first,
                           uint64_t (*words)[2])
{
    DMS_UNROLL
    for (uint32_t m = 0; m < TILES_M; m++)
        DMS_UNROLL
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t row = first + 16 * m + 8 * i;

            words[m][i] = row < work->bits.row_ct
                              ? work->bits.words[row * work->bits.row_stride +
                                                 step * work->bits.word_stride]
                              : 0;
        }
}

/* Bits j and j + 16 of the word, j <= 14, as two halves, 2.0 for 1. */
DMS_DEVICE uint32_t spread(uint32_t word, uint32_t j)
{
    return word << (14 - j) & 0x40004000u;
}

/* 16 factors: pairs first .. first + 7 of the half word `half` of the step. */
DMS_DEVICE void multiply_factors(uint64_t (*pairs)[PITCH], uint64_t (*words)[2],
                                 const struct warp_place *place, uint32_t half, uint32_t first,
                                 float (*sums)[TILES_N][4])
{
    uint32_t a[TILES_M][4];

    DMS_UNROLL
    for (uint32_t m = 0; m < TILES_M; m++)
        DMS_UNROLL
        for (uint32_t i = 0; i < 4; i++)
            a[m][i] = spread((uint32_t)(words[m][i & 1] >> (32 * half)) >> place->t,
                             first + (i & 2) * 2);
    DMS_UNROLL
    for (uint32_t n = 0; n < TILES_N; n++) {
        uint32_t column = place->lane + 8 * n + place->g;
        uint32_t pair = 16 * half + first + place->t;
        uint64_t b0 = pairs[pair][column], b1 = pairs[pair + 4][column];

        DMS_UNROLL
        for (uint32_t m = 0; m < TILES_M; m++) {
            DMS_MMA_F16(sums[m][n], a[m], (uint32_t)b0, (uint32_t)b1);
            DMS_MMA_F16(sums[m][n], a[m], (uint32_t)(b0 >> 32), (uint32_t)(b1 >> 32));
        }
    }
}

DMS_DEVICE void add_sums(float (*sums)[TILES_N][4], float (*totals)[TILES_N][4])
{
    DMS_UNROLL
    for (uint32_t m = 0; m < TILES_M; m++)
        DMS_UNROLL
        for (uint32_t n = 0; n < TILES_N; n++)
            DMS_UNROLL
            for (uint32_t i = 0; i < 4; i++) {
                totals[m][n][i] += sums[m][n][i];
                sums[m][n][i] = 0;
            }
}

DMS_DEVICE void store_results(const struct dms_cuda_product *work, uint32_t row, uint32_t lane,
                              const struct warp_place *place, float (*totals)[TILES_N][4])
{
    DMS_UNROLL
    for (uint32_t m = 0; m < TILES_M; m++)
        DMS_UNROLL
        for (uint32_t n = 0; n < TILES_N; n++)
            DMS_UNROLL
            for (uint32_t i = 0; i < 4; i++) {
                uint32_t r = row + place->row + 16 * m + 8 * (i / 2) + place->g;
                uint32_t l = lane + place->lane + 8 * n + 2 * place->t + i % 2;
                size_t at = (size_t)r * work->stride + l;
                /* The bits were 2.0. */
                double value = (double)totals[m][n][i] * 0.5 * work->scales[l];

                if (r < work->bits.row_ct && work->active[l / DMS_CUDA_TILE])
                    work->result[at] = work->adds ? work->result[at] + value : value;
            }
}

DMS_KERNEL_BOUNDED(halves_kernel, dms_cuda_product, THREADS)
{
    DMS_SHARED(uint64_t, pairs, [2][PAIRS][PITCH]);
    uint32_t row = blockIdx.x * ROWS, lane = blockIdx.y * SIDE;
    uint32_t warp = threadIdx.x / 32, step_ct = (work.bits.factor_ct + 63) / 64;
    struct warp_place place = {threadIdx.x % 32 / 4, threadIdx.x % 4, warp / 2 * WARP_ROWS,
                               warp % 2 * WARP_LANES};
    float sums[TILES_M][TILES_N][4] = {{{0}}}, totals[TILES_M][TILES_N][4] = {{{0}}};
    uint64_t next[PAIRS_EACH];
    int any = 0;

    for (uint32_t i = 0; i < SIDE / DMS_CUDA_TILE; i++)
        any |= work.active[lane / DMS_CUDA_TILE + i];
    if (!any)
        return;
    load_pairs(&work, 0, lane, next);
    for (uint32_t step = 0; step < step_ct; step++) {
        uint64_t words[TILES_M][2];

        DMS_UNROLL
        for (uint32_t i = 0; i < PAIRS_EACH; i++) {
            uint32_t at = i * THREADS + threadIdx.x;

            pairs[step % 2][at / SIDE][at % SIDE] = next[i];
        }
        load_words(&work, step, row + place.row + place.g, words);
        __syncthreads();
        if (step + 1 < step_ct)
            load_pairs(&work, step + 1, lane, next);
        DMS_UNROLL
        for (uint32_t part = 0; part < 4; part++)
            multiply_factors(pairs[step % 2], words, &place, part / 2, part % 2 * 8, sums);
        if (step % SHORT_SUM == SHORT_SUM - 1)
            add_sums(sums, totals);
    }
    add_sums(sums, totals);
    store_results(&work, row, lane, &place, totals);
}

DMS_C_API int dms_cuda_multiply_halves(const struct dms_cuda_product *product,
                                       dms_cuda_stream *stream)
{
    if (product->bits.row_ct == 0 || product->stride == 0)
        return 0;
    return DMS_LAUNCH(halves_kernel, DMS_BLOCKS(product->bits.row_ct, ROWS),
                      product->stride / SIDE, THREADS, 1, stream, product);
}
