/*
 * Fills the matrix of similarities row by row and multiplies with it; see affinity.h.
 */
#include "query/affinity.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"

/* Rows that one task takes; their number does not depend on the threads. */
#define ROWS_OF_TASK 32

/* Where the similarities come from: products, or scores. */
struct source {
    struct dms_affinity *affinity;
    const struct dms_row_products *products;
    const double *scores;
    size_t score_ct;
    double gamma;
};

static size_t task_ct(size_t order)
{
    return (order + ROWS_OF_TASK - 1) / ROWS_OF_TASK;
}

static size_t task_end(size_t order, size_t task)
{
    return (task + 1) * ROWS_OF_TASK < order ? (task + 1) * ROWS_OF_TASK : order;
}

/* |x_i - x_j|^2 for all j. */
static void find_distances(const struct source *source, size_t i, double *distances)
{
    size_t order = source->affinity->order;

    if (source->products) {
        const struct dms_embedding_row *rows = source->products->embedding->rows;

        dms_row_products_of(source->products, i, NULL, distances);
        for (size_t j = 0; j < order; j++)
            distances[j] = fmax(0, rows[i].square + rows[j].square - 2 * distances[j]);
        return;
    }
    for (size_t j = 0; j < order; j++) {
        distances[j] = 0;
        for (size_t k = 0; k < source->score_ct; k++) {
            double difference =
                source->scores[i * source->score_ct + k] - source->scores[j * source->score_ct + k];

            distances[j] += difference * difference;
        }
    }
}

static int fill_rows(void *context, size_t task)
{
    const struct source *source = context;
    struct dms_affinity *affinity = source->affinity;
    double *distances = dms_alloc(affinity->order, sizeof(*distances));

    if (!distances)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = task * ROWS_OF_TASK; i < task_end(affinity->order, task); i++) {
        float *similarities = affinity->similarities + i * affinity->order;
        double sum = 0;

        find_distances(source, i, distances);
        for (size_t j = 0; j < affinity->order; j++) {
            similarities[j] = j == i ? 0 : (float)exp(-source->gamma * distances[j]);
            sum += similarities[j];
        }
        affinity->scales[i] = sum > 0 ? 1 / sqrt(sum) : 1;
    }
    free(distances);
    return 0;
}

static int create(const struct source *source, size_t order, struct dms_pool *pool)
{
    struct dms_affinity *affinity = source->affinity;
    size_t bytes;

    *affinity = (struct dms_affinity){.order = order, .pool = pool};
    if (dms_mul_overflow(order, order * sizeof(float), &bytes))
        return dms_fail(DMS_ERR_NO_MEMORY, "the similarities of %zu targets are too many", order);
    affinity->similarities = dms_alloc_aligned(64, bytes);
    affinity->scales = dms_alloc(order, sizeof(double));
    affinity->scaled = dms_alloc(order, sizeof(double));
    if (!affinity->similarities || !affinity->scales || !affinity->scaled)
        return DMS_ERR_NO_MEMORY;
    return dms_pool_run(pool, task_ct(order), fill_rows, (void *)source);
}

int dms_affinity_of_rows(const struct dms_row_products *products, double gamma,
                         struct dms_pool *pool, struct dms_affinity *affinity)
{
    struct source source = {.affinity = affinity, .products = products, .gamma = gamma};

    return create(&source, products->embedding->row_ct, pool);
}

int dms_affinity_of_scores(const double *scores, size_t order, size_t score_ct, double gamma,
                           struct dms_pool *pool, struct dms_affinity *affinity)
{
    struct source source = {
        .affinity = affinity, .scores = scores, .score_ct = score_ct, .gamma = gamma};

    return create(&source, order, pool);
}

void dms_affinity_free(struct dms_affinity *affinity)
{
    free(affinity->similarities);
    free(affinity->scales);
    free(affinity->scaled);
    *affinity = (struct dms_affinity){0};
}

uint64_t dms_affinity_bytes(size_t order)
{
    return (uint64_t)order * order * sizeof(float) + 2 * order * sizeof(double);
}

double dms_affinity_mean(const struct dms_affinity *affinity)
{
    double n = (double)affinity->order, sum = 0;

    for (size_t i = 0; i < affinity->order * affinity->order; i++)
        sum += affinity->similarities[i];
    return affinity->order > 1 ? sum / (n * (n - 1)) : NAN;
}

/* ---- products ---- */

struct product {
    const struct dms_affinity *affinity;
    double *y;
};

/* Eight sums a row: additions need not wait for each other. */
static double multiply_row(const float *similarities, const double *x, size_t order)
{
    double sums[8] = {0}, rest = 0;
    size_t j = 0;

    for (; j + 8 <= order; j += 8) {
        for (size_t k = 0; k < 8; k++)
            sums[k] += similarities[j + k] * x[j + k];
    }
    for (; j < order; j++)
        rest += similarities[j] * x[j];
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
           ((sums[4] + sums[5]) + (sums[6] + sums[7])) + rest;
}

static int multiply_rows(void *context, size_t task)
{
    const struct product *product = context;
    const struct dms_affinity *affinity = product->affinity;

    for (size_t i = task * ROWS_OF_TASK; i < task_end(affinity->order, task); i++)
        product->y[i] =
            affinity->scales[i] * multiply_row(affinity->similarities + i * affinity->order,
                                               affinity->scaled, affinity->order);
    return 0;
}

int dms_affinity_multiply(void *context, const double *x, double *y)
{
    struct dms_affinity *affinity = context;
    struct product product = {affinity, y};

    for (size_t i = 0; i < affinity->order; i++)
        affinity->scaled[i] = affinity->scales[i] * x[i];
    return dms_pool_run(affinity->pool, task_ct(affinity->order), multiply_rows, &product);
}
