/*
 * Rows read in place and products with their centred matrix; see embedding.h.
 */
#include "query/embedding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"

/* Sums over rows go in so many parts, whatever the threads are. */
#define PART_CT 16

/* Elements that one task adds up over the parts. */
#define ELEMENTS_OF_TASK 4096

/* ---- rows ---- */

/* Squares are taken of weights over the largest of them, so that none gets lost. */
static double length_of(const struct dms_fitted_target *target)
{
    double largest = 0, sum = 0;

    for (size_t i = 0; i < target->weight_ct; i++)
        largest = fmax(largest, fabs(target->weights[i]));
    for (size_t i = 0; i < target->weight_ct; i++)
        sum += (target->weights[i] / largest) * (target->weights[i] / largest);
    return largest * sqrt(sum);
}

/* Adds a row unless it has no direction: no weights, or such that their length is no number. */
static void add_row(struct dms_embedding *embedding, const struct dms_fitted_target *target,
                    size_t place, bool normalize)
{
    double length = length_of(target);

    if (target->weight_ct == 0 || !isnormal(length))
        return;
    embedding->rows[embedding->row_ct++] = (struct dms_embedding_row){
        .examples = target->examples,
        .weights = target->weights,
        .weight_ct = target->weight_ct,
        .scale = normalize ? 1 / length : 1,
        .place = place,
        .square = normalize ? 1 : length * length,
    };
    embedding->weight_ct += target->weight_ct;
}

int dms_embedding_open(const dms_fit *fit, const size_t *positions, size_t position_ct,
                       bool normalize, struct dms_embedding *embedding)
{
    int code = 0;

    *embedding = (struct dms_embedding){
        .example_ct = (size_t)dms_fit_get_header(fit)->example_ct,
        .rows = dms_alloc(position_ct, sizeof(*embedding->rows)),
    };
    if (!embedding->rows)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; code == 0 && i < position_ct; i++) {
        struct dms_fitted_target target;

        code = dms_fit_target(fit, positions[i], &target);
        if (code == 0)
            add_row(embedding, &target, i, normalize);
    }
    return code;
}

void dms_embedding_free(struct dms_embedding *embedding)
{
    free(embedding->rows);
    *embedding = (struct dms_embedding){0};
}

/* ---- sums over rows ---- */

/* One product under way. */
struct product {
    struct dms_centred *centred;
    const double *x;
    double *y;
    double shift; /* taken from each element, or times the mean */
};

static size_t part_begin(size_t row_ct, size_t part)
{
    return row_ct / PART_CT * part + row_ct % PART_CT * part / PART_CT;
}

static int multiply_part(void *context, size_t part)
{
    const struct product *product = context;
    const struct dms_embedding *embedding = product->centred->embedding;
    size_t end = part_begin(embedding->row_ct, part + 1);

    for (size_t i = part_begin(embedding->row_ct, part); i < end; i++) {
        const struct dms_embedding_row *row = &embedding->rows[i];
        double sum = 0;

        for (size_t k = 0; k < row->weight_ct; k++)
            sum += row->weights[k] * product->x[row->examples[k]];
        product->y[i] = sum * row->scale - product->shift;
    }
    return 0;
}

/* The part of the sum that its rows give. */
static int scatter_part(void *context, size_t part)
{
    const struct product *product = context;
    const struct dms_embedding *embedding = product->centred->embedding;
    double *sums = product->centred->partials + part * embedding->example_ct;
    size_t end = part_begin(embedding->row_ct, part + 1);

    memset(sums, 0, embedding->example_ct * sizeof(*sums));
    for (size_t i = part_begin(embedding->row_ct, part); i < end; i++) {
        const struct dms_embedding_row *row = &embedding->rows[i];
        double factor = product->x[i] * row->scale;

        for (size_t k = 0; k < row->weight_ct; k++)
            sums[row->examples[k]] += factor * row->weights[k];
    }
    return 0;
}

/* Adds up the parts for some of the elements. */
static int add_parts(void *context, size_t task)
{
    const struct product *product = context;
    const struct dms_centred *centred = product->centred;
    size_t example_ct = centred->embedding->example_ct, end = (task + 1) * ELEMENTS_OF_TASK;

    if (end > example_ct)
        end = example_ct;
    for (size_t i = task * ELEMENTS_OF_TASK; i < end; i++) {
        double sum = 0;

        for (size_t part = 0; part < PART_CT; part++)
            sum += centred->partials[part * example_ct + i];
        product->y[i] = sum - product->shift * centred->mean[i];
    }
    return 0;
}

int dms_centred_multiply(struct dms_centred *centred, const double *x, double *y)
{
    struct product product = {.centred = centred, .x = x, .y = y};

    for (size_t i = 0; i < centred->embedding->example_ct; i++)
        product.shift += centred->mean[i] * x[i];
    return dms_pool_run(centred->pool, PART_CT, multiply_part, &product);
}

int dms_centred_multiply_transposed(struct dms_centred *centred, const double *y, double *x)
{
    struct product product = {.centred = centred, .x = y, .y = x};
    size_t example_ct = centred->embedding->example_ct;
    int code;

    for (size_t i = 0; i < centred->embedding->row_ct; i++)
        product.shift += y[i];
    code = dms_pool_run(centred->pool, PART_CT, scatter_part, &product);
    return code
               ? code
               : dms_pool_run(centred->pool, (example_ct + ELEMENTS_OF_TASK - 1) / ELEMENTS_OF_TASK,
                              add_parts, &product);
}

/* ---- begin and end ---- */

uint64_t dms_centred_bytes(size_t row_ct, size_t example_ct)
{
    return ((PART_CT + UINT64_C(2)) * example_ct + row_ct) * sizeof(double);
}

/* The mean is the sum of all rows, each over their number, while it is still taken as 0. */
static int find_mean(struct dms_centred *centred)
{
    size_t row_ct = centred->embedding->row_ct;
    int code;

    for (size_t i = 0; i < row_ct; i++)
        centred->row_vector[i] = 1 / (double)row_ct;
    code = dms_centred_multiply_transposed(centred, centred->row_vector, centred->example_vector);
    if (code == 0)
        memcpy(centred->mean, centred->example_vector,
               centred->embedding->example_ct * sizeof(double));
    return code;
}

int dms_centred_create(const struct dms_embedding *embedding, struct dms_pool *pool,
                       struct dms_centred *centred)
{
    *centred = (struct dms_centred){
        .embedding = embedding,
        .pool = pool,
        .mean = dms_alloc(embedding->example_ct, sizeof(double)),
        .partials = dms_alloc(PART_CT * embedding->example_ct, sizeof(double)),
        .row_vector = dms_alloc(embedding->row_ct, sizeof(double)),
        .example_vector = dms_alloc(embedding->example_ct, sizeof(double)),
    };
    if (!centred->mean || !centred->partials || !centred->row_vector || !centred->example_vector)
        return DMS_ERR_NO_MEMORY;
    return find_mean(centred);
}

void dms_centred_free(struct dms_centred *centred)
{
    free(centred->mean);
    free(centred->partials);
    free(centred->row_vector);
    free(centred->example_vector);
    *centred = (struct dms_centred){0};
}
