/*
 * Counts pairs of packed columns; see packed_rows.h.
 */
#include "solver/packed_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "solver/column_bits.h"
#include "solver/pair_band.h"
#include "solver/pass.h"

/* Example after example. */
static void place_words(size_t example_ct, size_t word_ct, size_t first, size_t batch_word_ct,
                        const uint64_t *from, uint64_t *to)
{
    for (size_t b = 0; b < batch_word_ct; b++)
        for (size_t k = 0; k < example_ct; k++)
            to[k * word_ct + first + b] = from[b * example_ct + k];
}

int dms_packed_rows_read(const struct dms_problem *problem, enum dms_role role,
                         struct dms_packed_rows *rows)
{
    struct dms_packed_rows made = {
        .example_ct = problem->example_ct,
        .row_ct = problem->row_ct[role],
        .word_ct = (size_t)((problem->row_ct[role] + 63) / 64),
    };
    int rc = dms_problem_read_masks(problem, role, place_words, &made.columns);

    if (rc == DMS_OK)
        *rows = made;
    return rc;
}

void dms_packed_rows_free(struct dms_packed_rows *rows)
{
    free(rows->columns);
    *rows = (struct dms_packed_rows){0};
}

void dms_packed_rows_count(const struct dms_packed_rows *rows, const uint64_t *row_words,
                           double *counts)
{
    for (size_t k = 0; k < rows->example_ct; k++) {
        const uint64_t *column = rows->columns + k * rows->word_ct;

        counts[k] = (double)(row_words ? dms_count_both(column, row_words, rows->word_ct)
                                       : dms_count_bits(column, rows->word_ct));
    }
}

int dms_packed_rows_visit(const struct dms_packed_rows *rows, const uint32_t *examples,
                          const uint64_t *row_words, void *taker,
                          int (*take)(void *taker, const struct dms_pair_block *block))
{
    int rc = DMS_OK;

    for (size_t w = 0; rc == DMS_OK && w < rows->word_ct; w += DMS_PANEL_ROWS / 64) {
        size_t left = rows->word_ct - w;
        struct dms_pair_block block = {
            .word_ct = left < DMS_PANEL_ROWS / 64 ? left : DMS_PANEL_ROWS / 64,
            .columns = rows->columns + w,
            .stride_words = rows->word_ct,
            .examples = examples,
            .row_words = row_words ? row_words + w : NULL,
        };

        rc = take(taker, &block);
    }
    return rc;
}

/* ---- pairs ---- */

/* The sums of pairs that are counted at a time. */
#define BAND_BYTES ((uint64_t)64 << 20)

struct band_pass {
    struct dms_pool *pool;
    const struct dms_covariance *covariance;
    struct dms_pair_band band;
    double *matrix;
};

static int add_block(void *taker, const struct dms_pair_block *block)
{
    struct band_pass *pass = taker;

    return dms_pair_band_add(pass->pool, &pass->band, block);
}

/* The elements of a tile's rows, and their mirror images. */
static int fill_tile(void *context, size_t index)
{
    const struct band_pass *pass = context;
    const struct dms_covariance *covariance = pass->covariance;
    size_t size = covariance->size, first = (pass->band.first_tile + index) * DMS_PAIR_TILE;
    size_t end = size - first < DMS_PAIR_TILE ? size : first + DMS_PAIR_TILE;

    for (size_t a = first; a < end; a++)
        for (size_t b = a; b < size; b++) {
            double pairs = (double)*dms_pair_band_sums(&pass->band, a, b);
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
        struct band_pass pass = {.pool = pool, .covariance = covariance, .matrix = matrix};

        end = dms_pair_band_choose(size, first, row_ct, dms_pool_threads(pool), BAND_BYTES);
        rc = dms_pair_band_create(size, first, end, row_ct, &pass.band);
        if (rc == DMS_OK)
            rc = dms_packed_rows_visit(covariance->rows, covariance->examples,
                                       covariance->row_words, &pass, add_block);
        if (rc == DMS_OK)
            rc = dms_pool_run(pool, end - first, fill_tile, &pass);
        dms_pair_band_free(&pass.band);
    }
    return rc;
}

uint64_t dms_packed_rows_covariance_bytes(size_t size, uint64_t row_ct, unsigned thread_ct)
{
    size_t end = dms_pair_band_choose(size, 0, row_ct, thread_ct, BAND_BYTES);

    return dms_pair_band_bytes(size, 0, end, row_ct, thread_ct);
}
