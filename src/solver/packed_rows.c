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
#include "solver/pair_band.h"
#include "solver/pass.h"

/* Words that are counted at a time. */
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

/* The sums of pairs that are counted at a time. */
#define BAND_BYTES ((uint64_t)64 << 20)

struct band_pass {
    const struct dms_covariance *covariance;
    const struct dms_pair_band *band;
    double *matrix;
};

static int count_band(struct dms_pool *pool, const struct dms_covariance *covariance,
                      struct dms_pair_band *band)
{
    const struct dms_packed_rows *rows = covariance->rows;
    int rc = DMS_OK;

    for (size_t w = 0; rc == DMS_OK && w < rows->word_ct; w += DMS_PANEL_ROWS / 64) {
        size_t left = rows->word_ct - w;
        struct dms_pair_block block = {
            .word_ct = left < DMS_PANEL_ROWS / 64 ? left : DMS_PANEL_ROWS / 64,
            .columns = rows->columns + w,
            .stride_words = rows->word_ct,
            .examples = covariance->examples,
            .row_words = covariance->row_words ? covariance->row_words + w : NULL,
        };

        rc = dms_pair_band_add(pool, band, &block);
    }
    return rc;
}

/* The elements of a tile's rows, and their mirror images. */
static int fill_tile(void *context, size_t index)
{
    const struct band_pass *pass = context;
    const struct dms_covariance *covariance = pass->covariance;
    size_t size = covariance->size, first = (pass->band->first_tile + index) * DMS_PAIR_TILE;
    size_t end = size - first < DMS_PAIR_TILE ? size : first + DMS_PAIR_TILE;

    for (size_t a = first; a < end; a++)
        for (size_t b = a; b < size; b++) {
            double pairs = (double)*dms_pair_band_sums(pass->band, a, b);
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
    size_t size = covariance->size;
    uint64_t row_ct = covariance->rows->row_ct;
    int rc = DMS_OK;

    if (row_ct > UINT32_MAX)
        return dms_fail(DMS_ERR_INVALID, "pairs are counted over 2^32 - 1 models at most");
    for (size_t first = 0, end; rc == DMS_OK && first < dms_pair_side(size); first = end) {
        struct dms_pair_band band = {0};
        struct band_pass pass = {.covariance = covariance, .band = &band, .matrix = matrix};

        end = dms_pair_band_choose(size, first, row_ct, dms_pool_threads(pool), BAND_BYTES);
        rc = dms_pair_band_create(size, first, end, row_ct, &band);
        if (rc == DMS_OK)
            rc = count_band(pool, covariance, &band);
        if (rc == DMS_OK)
            rc = dms_pool_run(pool, end - first, fill_tile, &pass);
        dms_pair_band_free(&band);
    }
    return rc;
}

uint64_t dms_packed_rows_covariance_bytes(size_t size, uint64_t row_ct, unsigned thread_ct)
{
    size_t end = dms_pair_band_choose(size, 0, row_ct, thread_ct, BAND_BYTES);

    return dms_pair_band_bytes(size, 0, end, row_ct, thread_ct);
}
