/*
 * Unfolds counts of pairs into rows, and adds rows up; see gram_matrix.h.
 */
#include "solver/gram_matrix.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"

#define TILE DMS_PAIR_TILE
/* Rows begin on cache lines. */
#define ALIGNED_VALUES 32
/* Values of a cache line, twice. */
#define SQUARE 16

static size_t row_stride(size_t example_ct)
{
    return (example_ct + ALIGNED_VALUES - 1) / ALIGNED_VALUES * ALIGNED_VALUES;
}

uint64_t dms_gram_matrix_bytes(size_t example_ct)
{
    uint64_t lists = 2 * sizeof(double) + sizeof(int32_t *);

    return example_ct * (row_stride(example_ct) * sizeof(int16_t) + lists);
}

/* ---- unfolding ---- */

/* The tiles of all parts, one after the other. */
struct unfolding {
    struct dms_gram_matrix *matrix;
    size_t part_ct, tile_ct;
    const struct dms_pair_counts *const *parts;
    _Atomic bool *is_wide; /* rows */
    bool wide;             /* wide rows are filled in: the others are done */
};

/* No deviation from the offsets is larger than the number of rows, but for their rounding. */
static bool may_be_wide(const struct dms_gram_matrix *matrix)
{
    return matrix->row_weight + 2 > INT16_MAX;
}

/* Takes one deviation in, in the row of one of its examples. */
static void put(const struct unfolding *unfolding, size_t row, size_t column, int64_t deviation)
{
    struct dms_gram_matrix *matrix = unfolding->matrix;

    if (unfolding->wide) {
        if (matrix->wide_rows[row])
            matrix->wide_rows[row][column] = (int32_t)deviation;
    } else if (deviation < INT16_MIN || deviation > INT16_MAX) {
        atomic_store_explicit(&unfolding->is_wide[row], true, memory_order_relaxed);
    } else if (matrix->rows) {
        matrix->rows[row * matrix->stride + column] = (int16_t)deviation;
    }
}

static void unfold_tile(const struct unfolding *unfolding, size_t tile_a, size_t tile_b,
                        const uint32_t *counts)
{
    const struct dms_gram_matrix *matrix = unfolding->matrix;
    size_t first_a = tile_a * TILE, first_b = tile_b * TILE;

    for (size_t i = 0; i < TILE && first_a + i < matrix->example_ct; i++) {
        size_t a = first_a + i;
        int64_t offset = (int64_t)(matrix->offsets[a] - matrix->centre);

        for (size_t j = 0; j < TILE && first_b + j < matrix->example_ct; j++) {
            size_t b = first_b + j;
            int64_t deviation = counts[i * TILE + j] - offset - (int64_t)matrix->offsets[b];

            if (a == b)
                continue;
            put(unfolding, a, b, deviation);
            if (tile_a != tile_b)
                put(unfolding, b, a, deviation);
        }
    }
}

/* A task of the pool: a pair of tiles, numbered row by row in the upper triangle. */
static int unfold(void *context, size_t index)
{
    const struct unfolding *unfolding = context;
    size_t tile_a = 0;
    uint32_t *sums = dms_alloc(2 * TILE * TILE, sizeof *sums), *counts;
    int rc = sums ? DMS_OK : DMS_ERR_NO_MEMORY;

    for (; index >= unfolding->tile_ct - tile_a; tile_a++)
        index -= unfolding->tile_ct - tile_a;
    counts = sums + TILE * TILE;
    for (size_t p = 0; rc == DMS_OK && p < unfolding->part_ct; p++) {
        rc = dms_pair_counts_tile(unfolding->parts[p], tile_a, tile_a + index, counts);
        for (size_t i = 0; rc == DMS_OK && i < TILE * TILE; i++)
            sums[i] += counts[i];
    }
    if (rc == DMS_OK)
        unfold_tile(unfolding, tile_a, tile_a + index, sums);
    free(sums);
    return rc;
}

static int run_unfolding(struct dms_pool *pool, struct unfolding *unfolding)
{
    return dms_pool_run(pool, unfolding->tile_ct * (unfolding->tile_ct + 1) / 2, unfold, unfolding);
}

static int add_wide_rows(struct dms_pool *pool, struct unfolding *unfolding)
{
    struct dms_gram_matrix *matrix = unfolding->matrix;
    bool any = false;

    for (size_t a = 0; a < matrix->example_ct; a++) {
        if (!unfolding->is_wide[a])
            continue;
        any = true;
        matrix->wide_rows[a] = dms_alloc(matrix->example_ct, sizeof **matrix->wide_rows);
        if (!matrix->wide_rows[a])
            return DMS_ERR_NO_MEMORY;
    }
    unfolding->wide = true;
    return any ? run_unfolding(pool, unfolding) : DMS_OK;
}

static void set_offsets(struct dms_gram_matrix *matrix, size_t part_ct,
                        const struct dms_pair_counts *const *parts)
{
    double sum = 0, mean;

    for (size_t p = 0; p < part_ct; p++) {
        const uint32_t *singles = dms_pair_counts_singles(parts[p]);

        matrix->row_weight += (double)dms_pair_counts_row_ct(parts[p]);
        for (size_t a = 0; a < matrix->example_ct; a++) {
            matrix->singles[a] += singles[a];
            sum += singles[a];
        }
    }
    mean = matrix->row_weight > 0 ? sum / (double)matrix->example_ct / matrix->row_weight : 0;
    for (size_t a = 0; a < matrix->example_ct; a++)
        matrix->offsets[a] = nearbyint(mean * matrix->singles[a]);
    matrix->centre = nearbyint(mean * sum / (double)matrix->example_ct);
}

/* All but the rows. The caller ends *unfolding with end_unfolding. */
static int begin_unfolding(size_t part_ct, const struct dms_pair_counts *const *parts,
                           struct unfolding *unfolding)
{
    size_t example_ct = dms_pair_counts_example_ct(parts[0]);
    struct dms_gram_matrix *matrix = dms_alloc(1, sizeof *matrix);

    *unfolding = (struct unfolding){.matrix = matrix,
                                    .part_ct = part_ct,
                                    .tile_ct = (example_ct + TILE - 1) / TILE,
                                    .parts = parts,
                                    .is_wide = dms_alloc(example_ct, sizeof *unfolding->is_wide)};
    if (!matrix || !unfolding->is_wide)
        return DMS_ERR_NO_MEMORY;
    matrix->example_ct = example_ct;
    matrix->stride = row_stride(example_ct);
    matrix->singles = dms_alloc(example_ct, sizeof *matrix->singles);
    matrix->offsets = dms_alloc(example_ct, sizeof *matrix->offsets);
    matrix->wide_rows = dms_alloc(example_ct, sizeof *matrix->wide_rows);
    if (!matrix->singles || !matrix->offsets || !matrix->wide_rows)
        return DMS_ERR_NO_MEMORY;
    set_offsets(matrix, part_ct, parts);
    return DMS_OK;
}

static void end_unfolding(struct unfolding *unfolding)
{
    dms_gram_matrix_free(unfolding->matrix);
    free(unfolding->is_wide);
}

static int make_rows(struct dms_gram_matrix *matrix)
{
    size_t bytes;

    if (!dms_mul_overflow(matrix->example_ct * sizeof *matrix->rows, matrix->stride, &bytes))
        matrix->rows = dms_alloc_aligned(64, bytes);
    if (!matrix->rows)
        return DMS_ERR_NO_MEMORY;
    memset(matrix->rows, 0, bytes);
    return DMS_OK;
}

int dms_gram_matrix_create(struct dms_pool *pool, size_t part_ct,
                           const struct dms_pair_counts *const *parts,
                           struct dms_gram_matrix **matrix)
{
    struct unfolding unfolding;
    int rc = begin_unfolding(part_ct, parts, &unfolding);

    if (rc == DMS_OK)
        rc = make_rows(unfolding.matrix);
    if (rc == DMS_OK)
        rc = run_unfolding(pool, &unfolding);
    if (rc == DMS_OK)
        rc = add_wide_rows(pool, &unfolding);
    if (rc == DMS_OK) {
        *matrix = unfolding.matrix;
        unfolding.matrix = NULL;
    }
    end_unfolding(&unfolding);
    return rc;
}

int dms_gram_matrix_wide_bytes(struct dms_pool *pool, size_t part_ct,
                               const struct dms_pair_counts *const *parts, uint64_t *bytes)
{
    struct unfolding unfolding;
    int rc = begin_unfolding(part_ct, parts, &unfolding);
    uint64_t wide_ct = 0;

    if (rc == DMS_OK && may_be_wide(unfolding.matrix))
        rc = run_unfolding(pool, &unfolding);
    if (rc == DMS_OK) {
        size_t example_ct = unfolding.matrix->example_ct;

        for (size_t a = 0; a < example_ct; a++)
            wide_ct += unfolding.is_wide[a];
        *bytes = wide_ct * example_ct * sizeof **unfolding.matrix->wide_rows;
    }
    end_unfolding(&unfolding);
    return rc;
}

void dms_gram_matrix_free(struct dms_gram_matrix *matrix)
{
    if (!matrix)
        return;
    for (size_t a = 0; matrix->wide_rows && a < matrix->example_ct; a++)
        free(matrix->wide_rows[a]);
    free(matrix->wide_rows);
    free(matrix->rows);
    free(matrix->singles);
    free(matrix->offsets);
    free(matrix);
}

/* ---- sums ---- */

/* The deviations: rows of int16 four at a time, the others one by one. */
static void add_deviations(const struct dms_gram_matrix *matrix,
                           const struct dms_weight_changes *changes, size_t first, size_t end,
                           double *gradients)
{
    const struct dms_gram_kernels *kernels = dms_gram_kernels_get();
    const int16_t *rows[DMS_GRAM_ROWS];
    double weights[DMS_GRAM_ROWS];
    size_t count = 0;

    for (size_t i = 0; i < changes->change_ct; i++) {
        size_t a = changes->examples[i];
        double weight = changes->changes[i] / matrix->row_weight;

        if (matrix->wide_rows[a]) {
            kernels->add_wide_row(matrix->wide_rows[a] + first, weight, end - first,
                                  gradients + first);
            continue;
        }
        rows[count] = matrix->rows + a * matrix->stride + first;
        weights[count++] = weight;
        if (count == DMS_GRAM_ROWS) {
            kernels->add_rows(count, rows, weights, end - first, gradients + first);
            count = 0;
        }
    }
    kernels->add_rows(count, rows, weights, end - first, gradients + first);
}

static void add_separable(const struct dms_gram_matrix *matrix, size_t b, double change,
                          struct dms_gram_separable *separable)
{
    double weight = matrix->row_weight;

    separable->sum += change / weight;
    separable->offset_sum += change / weight * (matrix->offsets[b] - matrix->centre);
    separable->single_sum += change / weight * (matrix->singles[b] / weight);
}

static double separable_at(const struct dms_gram_matrix *matrix, size_t k,
                           const struct dms_gram_separable *separable)
{
    return matrix->offsets[k] * separable->sum + separable->offset_sum -
           matrix->singles[k] * separable->single_sum;
}

/* On the diagonal there is n_b, in place of twice its offset. */
static double diagonal(const struct dms_gram_matrix *matrix, size_t b)
{
    return (matrix->singles[b] - 2 * matrix->offsets[b] + matrix->centre) / matrix->row_weight;
}

void dms_gram_matrix_add(const struct dms_gram_matrix *matrix,
                         const struct dms_weight_changes *changes, size_t first, size_t end,
                         double *gradients)
{
    struct dms_gram_separable separable = {0};

    add_deviations(matrix, changes, first, end, gradients);
    for (size_t i = 0; i < changes->change_ct; i++)
        add_separable(matrix, changes->examples[i], changes->changes[i], &separable);
    for (size_t k = first; k < end; k++)
        gradients[k] += separable_at(matrix, k, &separable);
    for (size_t i = 0; i < changes->change_ct; i++) {
        size_t b = changes->examples[i];

        if (b >= first && b < end)
            gradients[b] += changes->changes[i] * diagonal(matrix, b);
    }
}

struct dms_gram_update dms_gram_update_begin(const struct dms_gram_matrix *matrix, double largest,
                                             double *gradients)
{
    int exponent;

    /* A power of two: multiples of it are exact. Changes may be twice as large as foreseen. */
    (void)frexp(2 * largest / DMS_GRAM_LARGEST_FACTOR, &exponent);
    return (struct dms_gram_update){
        .matrix = matrix, .gradients = gradients, .unit = ldexp(1, exponent)};
}

double dms_gram_update_round(const struct dms_gram_update *update, double change)
{
    double factor = nearbyint(change / update->unit);

    return fabs(factor) <= DMS_GRAM_LARGEST_FACTOR ? factor * update->unit : change;
}

double dms_gram_update_gradient(const struct dms_gram_update *update, size_t k)
{
    const struct dms_gram_matrix *matrix = update->matrix;
    int32_t sum = 0;

    for (size_t i = 0; i < update->change_ct; i++)
        sum += update->factors[i] * matrix->rows[update->examples[i] * matrix->stride + k];
    return update->gradients[k] + update->unit / matrix->row_weight * sum +
           separable_at(matrix, k, &update->separable);
}

static void add_pending(struct dms_gram_update *update)
{
    const struct dms_gram_matrix *matrix = update->matrix;
    const int16_t *rows[DMS_GRAM_MULTIPLES];

    for (size_t i = 0; i < DMS_GRAM_MULTIPLES; i++) {
        if (i >= update->change_ct) {
            update->examples[i] = 0;
            update->factors[i] = 0;
        }
        rows[i] = matrix->rows + update->examples[i] * matrix->stride;
    }
    dms_gram_kernels_get()->add_multiples(rows, update->factors, update->unit / matrix->row_weight,
                                          matrix->example_ct, update->gradients);
    update->change_ct = 0;
}

void dms_gram_update_add(struct dms_gram_update *update, size_t k, double change)
{
    const struct dms_gram_matrix *matrix = update->matrix;
    struct dms_weight_changes alone = {1, &(uint32_t){(uint32_t)k}, &change};
    double factor = change / update->unit;

    update->gradients[k] += change * diagonal(matrix, k);
    add_separable(matrix, k, change, &update->separable);
    if (matrix->wide_rows[k] || fabs(factor) > DMS_GRAM_LARGEST_FACTOR ||
        factor != nearbyint(factor)) {
        add_deviations(matrix, &alone, 0, matrix->example_ct, update->gradients);
        return;
    }
    update->examples[update->change_ct] = (uint32_t)k;
    update->factors[update->change_ct++] = (int16_t)factor;
    if (update->change_ct == DMS_GRAM_MULTIPLES)
        add_pending(update);
}

void dms_gram_update_end(struct dms_gram_update *update)
{
    const struct dms_gram_matrix *matrix = update->matrix;

    add_pending(update);
    for (size_t k = 0; k < matrix->example_ct; k++)
        update->gradients[k] += separable_at(matrix, k, &update->separable);
}

/* Copies the lower triangle to the upper one, square by square: columns of a large matrix would
 * miss the cache at every step. */
static void mirror(size_t size, double *matrix)
{
    for (size_t row = 0; row < size; row += SQUARE)
        for (size_t column = 0; column <= row; column += SQUARE)
            for (size_t i = row; i < size && i < row + SQUARE; i++)
                for (size_t j = column; j < i && j < column + SQUARE; j++)
                    matrix[j * size + i] = matrix[i * size + j];
}

void dms_gram_matrix_covariances(const struct dms_gram_matrix *matrix, size_t size,
                                 const uint32_t *examples, double *covariances)
{
    double inverse = 1 / matrix->row_weight;

    for (size_t i = 0; i < size; i++) {
        size_t a = examples[i];
        const int16_t *row = matrix->rows + a * matrix->stride;
        const int32_t *wide_row = matrix->wide_rows[a];
        double single = matrix->singles[a] * inverse;
        double offset = matrix->offsets[a] - matrix->centre;
        double *values = covariances + i * size;

        for (size_t j = 0; j < i; j++) {
            size_t b = examples[j];
            double pairs = (wide_row ? wide_row[b] : row[b]) + offset + matrix->offsets[b];

            values[j] = (pairs - single * matrix->singles[b]) * inverse;
        }
        values[i] = (matrix->singles[a] - single * matrix->singles[a]) * inverse;
    }
    mirror(size, covariances);
}
