/*
 * dms_predict_masks: the masks go in blocks of BLOCK_MASKS, which are turned into bits by example,
 * so that what a weight adds to all masks of a block lies in one cache line. Eight weights of a
 * target at a time become a table of the sums of all their subsets; turning the bits of their eight
 * examples around gives for every mask its place in the table: one addition a mask for eight
 * weights ("method of four Russians", Arlazarov, Dinic, Kronrod, Faradzev 1970). For a few masks
 * the table is not worth it, and each weight is looked up.
 */
#include "dmstore/predict.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "kernels/lanes.h"

#define BLOCK_WORDS 8 /* 64 masks each; a cache line */
#define BLOCK_MASKS (64 * BLOCK_WORDS)
#define GROUP 8 /* weights that are added up before they come to the others, both ways */
#define FEW_MASKS 24
#define TILE_TARGETS 16

/* ---- masks by example ---- */

struct mask_columns {
    size_t example_ct;
    size_t mask_ct;     /* of the block */
    size_t row_bytes;   /* of `rows` */
    uint8_t *rows;      /* 64 masks, padded with zeros to words */
    uint64_t *columns;  /* their bits by example: bit i of columns[k] is example k of mask i */
    uint64_t *words;    /* example_ct x BLOCK_WORDS: those of all masks of the block */
    const uint8_t *few; /* instead: the caller's rows */
    size_t mask_stride_bytes; /* of `few` */
};

static void columns_free(struct mask_columns *columns)
{
    free(columns->rows);
    free(columns->columns);
    free(columns->words);
}

static int columns_create(size_t example_ct, size_t mask_ct, struct mask_columns *columns)
{
    struct mask_columns made = {
        .example_ct = example_ct,
        .row_bytes = (example_ct + 63) / 64 * sizeof(uint64_t),
    };

    if (mask_ct > FEW_MASKS) {
        made.rows = dms_alloc(64, made.row_bytes);
        made.columns = dms_alloc(example_ct, sizeof(*made.columns));
        made.words = dms_alloc_aligned(64, example_ct * BLOCK_WORDS * sizeof(*made.words));
        if (!made.rows || !made.columns || !made.words) {
            columns_free(&made);
            return DMS_ERR_NO_MEMORY;
        }
    }
    *columns = made;
    return 0;
}

/* Copies up to 64 masks, without what comes after their examples. */
static void copy_rows(struct mask_columns *columns, const uint8_t *masks, size_t mask_ct,
                      size_t mask_stride_bytes)
{
    size_t bytes = columns->example_ct / 8;
    unsigned bits = columns->example_ct % 8;

    for (size_t i = 0; i < mask_ct; i++) {
        const uint8_t *from = masks + i * mask_stride_bytes;
        uint8_t *to = columns->rows + i * columns->row_bytes;

        memcpy(to, from, bytes);
        if (bits > 0)
            to[bytes] = (uint8_t)(from[bytes] & ((1u << bits) - 1));
    }
}

static void columns_fill(struct mask_columns *columns, const uint8_t *masks, size_t mask_ct,
                         size_t mask_stride_bytes)
{
    columns->mask_ct = mask_ct;
    columns->few = masks;
    columns->mask_stride_bytes = mask_stride_bytes;
    if (mask_ct <= FEW_MASKS)
        return;
    for (size_t word = 0; word * 64 < mask_ct; word++) {
        size_t row_ct = mask_ct - word * 64 < 64 ? mask_ct - word * 64 : 64;

        copy_rows(columns, masks + word * 64 * mask_stride_bytes, row_ct, mask_stride_bytes);
        dms_lane_variant_get()->transpose_bits(columns->rows, row_ct, columns->row_bytes,
                                               columns->example_ct, columns->columns,
                                               columns->example_ct);
        for (size_t k = 0; k < columns->example_ct; k++)
            columns->words[k * BLOCK_WORDS + word] = columns->columns[k];
    }
}

/* ---- one target ---- */

/* Exchanges the bits of `mask` in a with those `shift` above them in b. */
#define EXCHANGE(a, b, shift, mask)                           \
    do {                                                      \
        uint64_t exchanged = ((a) >> (shift) ^ (b)) & (mask); \
                                                              \
        (a) ^= exchanged << (shift);                          \
        (b) ^= exchanged;                                     \
    } while (0)

/* In every column of 8 x 8 bits (byte b of all words), exchanges bit i of word j with bit j of
 * word i. */
static void turn_bytes(uint64_t words[GROUP])
{
    for (unsigned j = 0; j < 4; j++)
        EXCHANGE(words[j], words[j + 4], 4, UINT64_C(0x0f0f0f0f0f0f0f0f));
    for (unsigned j = 0; j < 8; j = (j + 3) & ~2u)
        EXCHANGE(words[j], words[j + 2], 2, UINT64_C(0x3333333333333333));
    for (unsigned j = 0; j < 8; j += 2)
        EXCHANGE(words[j], words[j + 1], 1, UINT64_C(0x5555555555555555));
}

/* Adds the sums of 8 weights for all masks of the block. Mask 64 w + 8 b + j is at 64 w + 8 j + b
 * in `sums`. */
static void add_group(const double weights[GROUP], const uint64_t *const columns[GROUP],
                      size_t word_ct, double *sums)
{
    double table[1 << GROUP];

    table[0] = 0;
    for (size_t k = 0; k < GROUP; k++) {
        for (size_t i = 0; i < (size_t)1 << k; i++)
            table[i | (size_t)1 << k] = table[i] + weights[k];
    }
    for (size_t word = 0; word < word_ct; word++) {
        uint64_t places[GROUP];

        for (size_t k = 0; k < GROUP; k++)
            places[k] = columns[k][word];
        turn_bytes(places);
        for (size_t j = 0; j < 8; j++) {
            for (size_t b = 0; b < 8; b++)
                sums[64 * word + 8 * j + b] += table[places[j] >> 8 * b & 255];
        }
    }
}

static void predict_block(const struct dms_fitted_target *target,
                          const struct mask_columns *columns, double *predictions)
{
    size_t word_ct = (columns->mask_ct + 63) / 64;
    double sums[BLOCK_MASKS] = {0};

    for (size_t first = 0; first < target->weight_ct; first += GROUP) {
        const uint64_t *of_weights[GROUP];
        double weights[GROUP];

        for (size_t k = 0; k < GROUP; k++) {
            bool is_there = first + k < target->weight_ct;

            weights[k] = is_there ? target->weights[first + k] : 0;
            of_weights[k] = columns->words +
                            (size_t)target->examples[is_there ? first + k : first] * BLOCK_WORDS;
        }
        add_group(weights, of_weights, word_ct, sums);
    }
    for (size_t i = 0; i < columns->mask_ct; i++)
        predictions[i] = target->bias + sums[(i & ~(size_t)63) + i % 8 * 8 + i % 64 / 8];
}

/* The same sums, in the same order, of weights that are looked up one by one. */
static void predict_few(const struct dms_fitted_target *target, const struct mask_columns *columns,
                        double *predictions)
{
    for (size_t i = 0; i < columns->mask_ct; i++) {
        const uint8_t *mask = columns->few + i * columns->mask_stride_bytes;
        double sum = 0;

        for (size_t first = 0; first < target->weight_ct; first += GROUP) {
            size_t end = target->weight_ct - first < GROUP ? target->weight_ct : first + GROUP;
            double group = 0;

            for (size_t k = first; k < end; k++) {
                uint32_t example = target->examples[k];
                double either[2] = {0, target->weights[k]};

                group += either[mask[example >> 3] >> (example & 7) & 1];
            }
            sum += group;
        }
        predictions[i] = target->bias + sum;
    }
}

/* ---- all of them ---- */

struct work {
    const dms_fit *fit;
    const size_t *positions;
    size_t position_ct;
    struct mask_columns columns;
    double *predictions; /* of the block's first mask */
    atomic_size_t next;  /* position, a multiple of TILE_TARGETS */
};

/* Predicts a tile of targets, and only then puts it where the caller wants it: a target's
 * predictions are far apart there. */
static int predict_tile(struct work *work, size_t first, double *tile)
{
    size_t left = work->position_ct - first;
    size_t target_ct = left < TILE_TARGETS ? left : TILE_TARGETS;
    size_t mask_ct = work->columns.mask_ct;

    for (size_t t = 0; t < target_ct; t++) {
        struct dms_fitted_target target;
        int code = dms_fit_target(work->fit, work->positions[first + t], &target);

        if (code < 0)
            return code;
        if (mask_ct > FEW_MASKS)
            predict_block(&target, &work->columns, tile + t * BLOCK_MASKS);
        else
            predict_few(&target, &work->columns, tile + t * BLOCK_MASKS);
    }
    for (size_t i = 0; i < mask_ct; i++) {
        double *row = work->predictions + i * work->position_ct + first;

        for (size_t t = 0; t < target_ct; t++)
            row[t] = tile[t * BLOCK_MASKS + i];
    }
    return 0;
}

static int predict_tiles(void *context, size_t worker)
{
    struct work *work = context;
    double *tile = dms_alloc_aligned(64, TILE_TARGETS * BLOCK_MASKS * sizeof(*tile));
    size_t first;
    int code = tile ? 0 : DMS_ERR_NO_MEMORY;

    (void)worker;
    while (code == 0 && (first = atomic_fetch_add(&work->next, TILE_TARGETS)) < work->position_ct)
        code = predict_tile(work, first, tile);
    free(tile);
    return code;
}

int dms_predict_masks(const dms_fit *fit, const size_t *positions, size_t position_ct,
                      const uint8_t *masks, size_t mask_ct, size_t mask_stride_bytes,
                      unsigned thread_ct, double *predictions)
{
    size_t example_ct = (size_t)dms_fit_get_header(fit)->example_ct;
    struct work work = {.fit = fit, .positions = positions, .position_ct = position_ct};
    struct dms_pool *pool = NULL;
    int code = columns_create(example_ct, mask_ct, &work.columns);

    if (code == 0)
        code = dms_pool_create(thread_ct, &pool);
    for (size_t first = 0; code == 0 && first < mask_ct; first += BLOCK_MASKS) {
        size_t block_ct = mask_ct - first < BLOCK_MASKS ? mask_ct - first : BLOCK_MASKS;

        columns_fill(&work.columns, masks + first * mask_stride_bytes, block_ct, mask_stride_bytes);
        work.predictions = predictions + first * position_ct;
        atomic_store(&work.next, 0);
        code = dms_pool_run(pool, dms_pool_threads(pool), predict_tiles, &work);
    }
    dms_pool_free(pool);
    columns_free(&work.columns);
    return code;
}
