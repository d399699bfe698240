/*
 * Counts pairs of packed columns; see packed_rows.h.
 */
#include "solver/packed_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "kernels/kernels.h"
#include "solver/pass.h"

/* Pairs of a tile of columns are counted together, so many words of them at a time: they stay in
 * the cache. */
#define TILE 64
#define WORDS 128

uint64_t dms_packed_rows_bytes(size_t example_ct, uint64_t row_ct)
{
    return (row_ct + 63) / 64 * sizeof(uint64_t) * example_ct;
}

static int take_batch(void *context, const struct dms_batch *batch)
{
    struct dms_packed_rows *rows = context;
    size_t first = (size_t)(batch->position / 64);

    for (size_t b = 0; b < (batch->row_ct + 63u) / 64; b++)
        for (size_t k = 0; k < rows->example_ct; k++)
            rows->columns[k * rows->word_ct + first + b] =
                batch->mask_columns[b * rows->example_ct + k];
    return DMS_OK;
}

int dms_packed_rows_read(const struct dms_problem *problem, enum dms_role role,
                         struct dms_packed_rows *rows)
{
    struct dms_packed_rows made = {
        .example_ct = problem->example_ct,
        .row_ct = problem->row_ct[role],
        .word_ct = (size_t)((problem->row_ct[role] + 63) / 64),
    };
    size_t word_ct;
    int rc;

    if (dms_mul_overflow(made.example_ct, made.word_ct, &word_ct))
        return dms_fail(DMS_ERR_NO_MEMORY, "the masks of %zu examples are too large",
                        made.example_ct);
    made.columns = dms_alloc(word_ct, sizeof *made.columns);
    if (!made.columns)
        return DMS_ERR_NO_MEMORY;
    /* The outputs of one target come along, unused: a source has at least one. */
    rc = dms_problem_visit(problem, role, 0, 1, take_batch, &made);
    if (rc < 0)
        dms_packed_rows_free(&made);
    else
        *rows = made;
    return rc;
}

void dms_packed_rows_free(struct dms_packed_rows *rows)
{
    free(rows->columns);
    *rows = (struct dms_packed_rows){0};
}

/* to = a & b */
static void intersect(size_t word_ct, const uint64_t *a, const uint64_t *b, uint64_t *to)
{
    for (size_t w = 0; w < word_ct; w++)
        to[w] = a[w] & b[w];
}

static uint64_t count_bits(size_t word_ct, const uint64_t *words)
{
    return dms_kernels_get()->popcount((const uint8_t *)words, word_ct * sizeof *words);
}

void dms_packed_rows_count(const struct dms_packed_rows *rows, const uint64_t *row_words,
                           double *counts)
{
    for (size_t k = 0; k < rows->example_ct; k++) {
        const uint64_t *column = rows->columns + k * rows->word_ct;
        uint64_t both[WORDS], count = 0;

        for (size_t w = 0; w < rows->word_ct; w += WORDS) {
            size_t word_ct = rows->word_ct - w < WORDS ? rows->word_ct - w : WORDS;

            intersect(word_ct, column + w, row_words ? row_words + w : column + w, both);
            count += count_bits(word_ct, both);
        }
        counts[k] = (double)count;
    }
}

/* ---- pairs ---- */

struct tile_pass {
    const struct dms_covariance *covariance;
    double *matrix;
    size_t tile_ct;
};

/* Adds WORDS words, or fewer, of the pairs of examples first_a .. end_a-1 and first_b .. end_b-1.
 */
static void count_words(const struct dms_covariance *covariance, size_t first_word, size_t word_ct,
                        const size_t range_a[2], const size_t range_b[2], uint64_t *counts)
{
    const struct dms_packed_rows *rows = covariance->rows;
    uint64_t weighted[WORDS], both[WORDS];

    for (size_t a = range_a[0]; a < range_a[1]; a++) {
        const uint64_t *column =
            rows->columns + covariance->examples[a] * rows->word_ct + first_word;

        if (covariance->row_words) {
            intersect(word_ct, column, covariance->row_words + first_word, weighted);
            column = weighted;
        }
        for (size_t b = range_b[0] > a ? range_b[0] : a; b < range_b[1]; b++) {
            intersect(word_ct, column,
                      rows->columns + covariance->examples[b] * rows->word_ct + first_word, both);
            counts[(a - range_a[0]) * TILE + (b - range_b[0])] += count_bits(word_ct, both);
        }
    }
}

/* One of the pairs of tiles, numbered row by row in the upper triangle. */
static int count_tile(void *context, size_t index)
{
    const struct tile_pass *pass = context;
    const struct dms_covariance *covariance = pass->covariance;
    const struct dms_packed_rows *rows = covariance->rows;
    size_t size = covariance->size, tile_a = 0;
    uint64_t counts[TILE * TILE] = {0};

    for (; index >= pass->tile_ct - tile_a; tile_a++)
        index -= pass->tile_ct - tile_a;
    size_t end_a = (tile_a + 1) * TILE, end_b = (tile_a + index + 1) * TILE;
    size_t range_a[2] = {tile_a * TILE, end_a < size ? end_a : size};
    size_t range_b[2] = {(tile_a + index) * TILE, end_b < size ? end_b : size};

    for (size_t w = 0; w < rows->word_ct; w += WORDS)
        count_words(covariance, w, rows->word_ct - w < WORDS ? rows->word_ct - w : WORDS, range_a,
                    range_b, counts);
    for (size_t a = range_a[0]; a < range_a[1]; a++)
        for (size_t b = range_b[0] > a ? range_b[0] : a; b < range_b[1]; b++) {
            double pairs = (double)counts[(a - range_a[0]) * TILE + (b - range_b[0])];
            double weight = covariance->row_weight;
            double covered = weight * pairs - covariance->counts[a] * covariance->counts[b];
            double value =
                covered / (weight * weight * covariance->scales[a] * covariance->scales[b]);

            pass->matrix[a + size * b] = pass->matrix[b + size * a] = value;
        }
    return DMS_OK;
}

int dms_packed_rows_covariance(struct dms_pool *pool, const struct dms_covariance *covariance,
                               double *matrix)
{
    size_t tile_ct = (covariance->size + TILE - 1) / TILE;
    struct tile_pass pass = {.covariance = covariance, .matrix = matrix, .tile_ct = tile_ct};

    return dms_pool_run(pool, tile_ct * (tile_ct + 1) / 2, count_tile, &pass);
}
