/*
 * How often every two of many examples are in a model together, from panels of packed columns: a
 * product of bits, of which the tensor cores take 256 at once by AND and popcount where they have
 * that (sm_80, sm_90), and everywhere 32 at once as bytes of 0 and 1, which are made in registers.
 * Counts are integers and exact.
 *
 * A block makes 256 x 128 counts with 8 warps of 64 x 64; a step takes 8 words (512 rows) of each
 * column, which are loaded into registers while the step before is computed, and go to the other
 * of two buffers in shared memory. The order of the rows is free as long as both sides have the
 * same: thread t of four takes word t of every 256 bits, whose halves are the registers of its
 * fragment, and for bytes the bits j, j + 8, j + 16 and j + 24 of a half are one register.
 *
 * No race: a thread writes words of its own to buffer step % 2, and a barrier is between that and
 * the reading. The buffer is written again two steps later, after the barrier of the step between,
 * which no thread reaches before it has read. Each count is stored by one thread.
 */
#include "kernels/cuda/device.h"

#define A_SIDE 256
#define B_SIDE 128
#define THREADS 256
#define WARP_SIDE 64
#define STEP DMS_CUDA_COLUMN_WORDS
#define TILES_A (WARP_SIDE / 16)
#define TILES_B (WARP_SIDE / 8)
#define COLUMNS_AT_ONCE (THREADS / STEP)
#define A_EACH (A_SIDE / COLUMNS_AT_ONCE) /* words of a step that a thread loads */
#define B_EACH (B_SIDE / COLUMNS_AT_ONCE)

typedef uint64_t column_words[STEP];

/* Where a warp's counts are in its block, and a thread's in a fragment. */
struct warp_place {
    uint32_t a, b, g, t;
};

/* Words lie so that the 16 that half a warp reads at once, of four columns, are in different
 * banks. */
DMS_DEVICE uint64_t *word_place(column_words *columns, uint32_t column, uint32_t w)
{
    return &columns[column][w ^ (column << 1 & 4)];
}

DMS_DEVICE uint64_t load_word(const struct dms_cuda_column_pairs *work, const uint64_t *panel,
                              uint32_t column, uint32_t column_ct, uint32_t step)
{
    return column < column_ct
               ? panel[(size_t)column * work->word_ct + step * STEP + threadIdx.x % STEP]
               : 0;
}

DMS_DEVICE void load_words(const struct dms_cuda_column_pairs *work, uint32_t step, uint64_t *next)
{
    uint32_t column = threadIdx.x / STEP;

    DMS_UNROLL
    for (uint32_t i = 0; i < A_EACH; i++)
        next[i] = load_word(work, work->a, blockIdx.x * A_SIDE + i * COLUMNS_AT_ONCE + column,
                            work->a_ct, step);
    DMS_UNROLL
    for (uint32_t i = 0; i < B_EACH; i++)
        next[A_EACH + i] = load_word(
            work, work->b, blockIdx.y * B_SIDE + i * COLUMNS_AT_ONCE + column, work->b_ct, step);
}

DMS_DEVICE void share_words(column_words *columns, const uint64_t *next)
{
    DMS_UNROLL
    for (uint32_t i = 0; i < A_EACH + B_EACH; i++)
        *word_place(columns, i * COLUMNS_AT_ONCE + threadIdx.x / STEP, threadIdx.x % STEP) =
            next[i];
}

/* 256 rows: words 4 part .. 4 part + 3 of the step. */
DMS_DEVICE void count_bits(column_words *columns, const struct warp_place *place, uint32_t part,
                           int (*sums)[TILES_B][4])
{
    uint32_t a[TILES_A][4], w = 4 * part + place->t;

    DMS_UNROLL
    for (uint32_t m = 0; m < TILES_A; m++)
        DMS_UNROLL
        for (uint32_t i = 0; i < 2; i++) {
            uint64_t word = *word_place(columns, place->a + 16 * m + 8 * i + place->g, w);

            a[m][i] = (uint32_t)word;
            a[m][i + 2] = (uint32_t)(word >> 32);
        }
    DMS_UNROLL
    for (uint32_t n = 0; n < TILES_B; n++) {
        uint64_t word = *word_place(columns, A_SIDE + place->b + 8 * n + place->g, w);

        DMS_UNROLL
        for (uint32_t m = 0; m < TILES_A; m++)
            DMS_MMA_B1(sums[m][n], a[m], (uint32_t)word, (uint32_t)(word >> 32));
    }
}

/* Bits j, j + 8, j + 16 and j + 24 as bytes. */
DMS_DEVICE uint32_t spread(uint32_t bits, uint32_t j)
{
    return bits >> j & 0x01010101u;
}

/* The same 256 rows as count_bits, in two halves of each word, 32 rows at a time: bits j and j + 1
 * of every byte. */
DMS_DEVICE void count_bytes(column_words *columns, const struct warp_place *place, uint32_t part,
                            uint32_t half, int (*sums)[TILES_B][4])
{
    uint32_t a_bits[TILES_A][2], b_bits[TILES_B], w = 4 * part + place->t;

    DMS_UNROLL
    for (uint32_t m = 0; m < TILES_A; m++)
        DMS_UNROLL
        for (uint32_t i = 0; i < 2; i++)
            a_bits[m][i] =
                (uint32_t)(*word_place(columns, place->a + 16 * m + 8 * i + place->g, w) >>
                           (32 * half));
    DMS_UNROLL
    for (uint32_t n = 0; n < TILES_B; n++)
        b_bits[n] = (uint32_t)(*word_place(columns, A_SIDE + place->b + 8 * n + place->g, w) >>
                               (32 * half));
    DMS_UNROLL
    for (uint32_t j = 0; j < 8; j += 2) {
        uint32_t a[TILES_A][4];

        DMS_UNROLL
        for (uint32_t m = 0; m < TILES_A; m++)
            DMS_UNROLL
            for (uint32_t i = 0; i < 4; i++)
                a[m][i] = spread(a_bits[m][i % 2], j + i / 2);
        DMS_UNROLL
        for (uint32_t n = 0; n < TILES_B; n++)
            DMS_UNROLL
            for (uint32_t m = 0; m < TILES_A; m++)
                DMS_MMA_S8(sums[m][n], a[m], spread(b_bits[n], j), spread(b_bits[n], j + 1));
    }
}

DMS_DEVICE void store_counts(const struct dms_cuda_column_pairs *work,
                             const struct warp_place *place, int (*sums)[TILES_B][4])
{
    DMS_UNROLL
    for (uint32_t m = 0; m < TILES_A; m++)
        DMS_UNROLL
        for (uint32_t n = 0; n < TILES_B; n++)
            DMS_UNROLL
            for (uint32_t i = 0; i < 4; i++) {
                uint32_t a = blockIdx.x * A_SIDE + place->a + 16 * m + 8 * (i / 2) + place->g;
                uint32_t b = blockIdx.y * B_SIDE + place->b + 8 * n + 2 * place->t + i % 2;

                if (a < work->a_ct && b < work->b_ct)
                    work->counts[(size_t)a * work->b_ct + b] = (uint32_t)sums[m][n][i];
            }
}

/* A step of bytes is a loop: with all of it in one piece, there are not enough registers. */
DMS_DEVICE void count_step(column_words *columns, const struct warp_place *place, int in_bytes,
                           int (*sums)[TILES_B][4])
{
    if (in_bytes) {
        DMS_NO_UNROLL
        for (uint32_t part = 0; part < STEP / 4; part++) {
            count_bytes(columns, place, part, 0, sums);
            count_bytes(columns, place, part, 1, sums);
        }
        return;
    }
    DMS_UNROLL
    for (uint32_t part = 0; part < STEP / 4; part++)
        count_bits(columns, place, part, sums);
}

DMS_DEVICE void count_block(const struct dms_cuda_column_pairs *work, int in_bytes)
{
    DMS_SHARED(column_words, columns, [2][A_SIDE + B_SIDE]);
    uint32_t warp = threadIdx.x / 32, step_ct = work->word_ct / STEP;
    struct warp_place place = {warp / 2 * WARP_SIDE, warp % 2 * WARP_SIDE, threadIdx.x % 32 / 4,
                               threadIdx.x % 4};
    /* The same for all threads of a warp: those beyond the panels load for the others only. */
    int counts =
        blockIdx.x * A_SIDE + place.a < work->a_ct && blockIdx.y * B_SIDE + place.b < work->b_ct;
    int sums[TILES_A][TILES_B][4] = {{{0}}};
    uint64_t next[A_EACH + B_EACH];

    if (step_ct > 0)
        load_words(work, 0, next);
    for (uint32_t step = 0; step < step_ct; step++) {
        share_words(columns[step % 2], next);
        __syncthreads();
        if (step + 1 < step_ct)
            load_words(work, step + 1, next);
        if (counts)
            count_step(columns[step % 2], &place, in_bytes, sums);
    }
    store_counts(work, &place, sums);
}

DMS_KERNEL_BOUNDED(column_bits_kernel, dms_cuda_column_pairs, THREADS)
{
    count_block(&work, 0);
}

DMS_KERNEL_BOUNDED(column_bytes_kernel, dms_cuda_column_pairs, THREADS)
{
    count_block(&work, 1);
}

static int is_empty(const struct dms_cuda_column_pairs *pairs)
{
    return pairs->a_ct == 0 || pairs->b_ct == 0;
}

DMS_C_API int dms_cuda_count_columns_b1(const struct dms_cuda_column_pairs *pairs,
                                        dms_cuda_stream *stream)
{
    return is_empty(pairs) ? 0
                           : DMS_LAUNCH(column_bits_kernel, DMS_BLOCKS(pairs->a_ct, A_SIDE),
                                        DMS_BLOCKS(pairs->b_ct, B_SIDE), THREADS, 1, stream, pairs);
}

DMS_C_API int dms_cuda_count_columns_s8(const struct dms_cuda_column_pairs *pairs,
                                        dms_cuda_stream *stream)
{
    return is_empty(pairs) ? 0
                           : DMS_LAUNCH(column_bytes_kernel, DMS_BLOCKS(pairs->a_ct, A_SIDE),
                                        DMS_BLOCKS(pairs->b_ct, B_SIDE), THREADS, 1, stream, pairs);
}
