/*
 * Principal components of embeddings (dms_pca_create, dms_pca_project): which Gram matrix, its
 * eigenvectors from eigen.c, and what they make of components and scores.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "dmstore/embed.h"
#include "query/eigen.h"
#include "query/embedding.h"
#include "query/pca.h"

/* Eigenvalues below this share of the mean square of all rows are rounding. */
#define RANK_TOLERANCE 1e-14

/* Entries of a component that differ by less are taken to be equal when its sign is chosen. */
#define SIGN_TOLERANCE 1e-9

void dms_pca_options_init(struct dms_pca_options *options)
{
    *options = (struct dms_pca_options){.component_ct = 2, .memory_bytes = UINT64_C(4) << 30};
}

/* ---- the result ---- */

struct dms_pca *dms_pca_alloc(size_t component_ct, size_t example_ct)
{
    struct dms_pca *pca = dms_alloc(1, sizeof(*pca));

    if (!pca)
        return NULL;
    pca->component_ct = component_ct;
    pca->example_ct = example_ct;
    pca->components = dms_alloc(component_ct, example_ct * sizeof(double));
    pca->offsets = dms_alloc(component_ct, sizeof(double));
    pca->variances = dms_alloc(component_ct, sizeof(double));
    if (pca->components && pca->offsets && pca->variances)
        return pca;
    dms_pca_free(pca);
    return NULL;
}

void dms_pca_free(struct dms_pca *pca)
{
    if (!pca)
        return;
    free(pca->components);
    free(pca->mean);
    free(pca->offsets);
    free(pca->variances);
    free(pca);
}

/* ---- eigenvectors ---- */

/* A decomposition under way. */
struct work {
    struct dms_embedding embedding;
    struct dms_centred centred;
    struct dms_pool *pool;
    const struct dms_pca_options *options;
    double *between; /* of a product with the Gram matrix: the other side's vector */
    struct dms_pca *result;
};

/* The n x n matrix Xc Xc', whose product with y is centred once more: (1 - 11'/n) X ... */
static int multiply_rows(void *context, const double *x, double *y)
{
    struct work *work = context;
    int code = dms_centred_multiply_transposed(&work->centred, x, work->between);

    return code ? code : dms_centred_multiply(&work->centred, work->between, y);
}

/* The d x d matrix Xc' Xc. */
static int multiply_examples(void *context, const double *x, double *y)
{
    struct work *work = context;
    int code = dms_centred_multiply(&work->centred, x, work->between);

    return code ? code : dms_centred_multiply_transposed(&work->centred, work->between, y);
}

static bool is_by_rows(const struct work *work)
{
    return work->embedding.row_ct <= work->embedding.example_ct;
}

static double sum_squares(const double *values, size_t value_ct)
{
    double sum = 0;

    for (size_t i = 0; i < value_ct; i++)
        sum += values[i] * values[i];
    return sum;
}

/* Turns the vector so that the largest entry is positive. */
static void choose_sign(double *vector, size_t entry_ct)
{
    double largest = 0;
    size_t first = 0;

    for (size_t i = 0; i < entry_ct; i++)
        largest = fmax(largest, fabs(vector[i]));
    while (first < entry_ct && fabs(vector[first]) < largest * (1 - SIGN_TOLERANCE))
        first++;
    if (first == entry_ct || vector[first] > 0)
        return;
    for (size_t i = 0; i < entry_ct; i++)
        vector[i] = -vector[i];
}

/* Components from the eigenvectors of the n x n matrix: Xc' u over its length, which is also the
 * singular value, better than the root of an eigenvalue is. */
static int component_of(struct work *work, const double *vector, double *component, double *square)
{
    size_t example_ct = work->embedding.example_ct;
    double length;
    int code = 0;

    if (is_by_rows(work)) {
        code = dms_centred_multiply_transposed(&work->centred, vector, component);
        *square = sum_squares(component, example_ct);
        length = sqrt(*square);
        for (size_t i = 0; i < example_ct; i++)
            component[i] /= length;
    } else {
        memcpy(component, vector, example_ct * sizeof(*component));
        code = dms_centred_multiply(&work->centred, vector, work->between);
        *square = sum_squares(work->between, work->embedding.row_ct);
    }
    choose_sign(component, example_ct);
    return code;
}

static double total_square(const struct dms_embedding *embedding)
{
    double sum = 0;

    for (size_t i = 0; i < embedding->row_ct; i++)
        sum += embedding->rows[i].square;
    return sum;
}

static int take_components(struct work *work, const double *values, const double *vectors)
{
    struct dms_pca *pca = work->result;
    size_t side = is_by_rows(work) ? work->embedding.row_ct : work->embedding.example_ct;
    double all = total_square(&work->embedding), n = (double)work->embedding.row_ct, square;
    int code = 0;

    for (size_t k = 0; code == 0 && k < pca->component_ct; k++) {
        double *component = pca->components + k * pca->example_ct;

        if (values[k] <= RANK_TOLERANCE * all)
            continue;
        code = component_of(work, vectors + k * side, component, &square);
        pca->variances[k] = square / (n - 1);
        for (size_t i = 0; i < pca->example_ct; i++)
            pca->offsets[k] += component[i] * work->centred.mean[i];
    }
    return code;
}

/* All rows are equal, but for rounding: there is nothing to search for. */
static bool is_constant(const struct work *work)
{
    return work->result->total_variance * (double)(work->embedding.row_ct - 1) <=
           RANK_TOLERANCE * total_square(&work->embedding);
}

/* The sum of squares of the rows, less that of as many rows of the mean. */
static double find_total_variance(const struct work *work)
{
    double n = (double)work->embedding.row_ct;
    double centred = total_square(&work->embedding) -
                     n * sum_squares(work->centred.mean, work->embedding.example_ct);

    return fmax(0, centred) / (n - 1);
}

/* ---- all of it ---- */

static int check(const struct work *work, const dms_fit *fit)
{
    const char *name = dms_fit_get_header(fit)->name;
    size_t rows = work->embedding.row_ct, examples = work->embedding.example_ct;
    size_t side = rows < examples ? rows : examples, other = rows < examples ? examples : rows;
    size_t component_ct = work->options->component_ct;
    uint64_t needed;

    if (rows < 2)
        return dms_fail(DMS_ERR_INVALID,
                        "fit %s: principal components need two targets with weights, here %s", name,
                        rows == 1 ? "is one" : "is none");
    if (component_ct < 1 || component_ct > side)
        return dms_fail(DMS_ERR_INVALID,
                        "fit %s: %zu targets with weights on %zu examples have 1 to %zu "
                        "principal components, not %zu",
                        name, rows, examples, side, component_ct);
    if (!isfinite(total_square(&work->embedding)))
        return dms_fail(DMS_ERR_INVALID,
                        "fit %s: the weights are too large for their squares to be finite", name);
    needed = dms_centred_bytes(rows, examples) + dms_eigen_bytes(side, component_ct) +
             (uint64_t)component_ct * (examples + side) * sizeof(double) +
             (other + examples) * sizeof(double) + rows * sizeof(struct dms_embedding_row);
    if (needed > work->options->memory_bytes)
        return dms_fail(DMS_ERR_INVALID,
                        "%zu components of %zu targets and %zu examples need %" PRIu64
                        " bytes of memory, and %" PRIu64 " are allowed",
                        component_ct, rows, examples, needed, work->options->memory_bytes);
    return 0;
}

static int decompose(struct work *work)
{
    bool by_rows = is_by_rows(work);
    size_t rows = work->embedding.row_ct, examples = work->embedding.example_ct;
    struct dms_symmetric gram = {
        .order = by_rows ? rows : examples,
        .multiply = by_rows ? multiply_rows : multiply_examples,
        .context = work,
    };
    size_t component_ct = work->options->component_ct;
    double *values = dms_alloc(component_ct, sizeof(*values));
    double *vectors = dms_alloc(component_ct, gram.order * sizeof(*vectors));
    int code;

    work->between = dms_alloc(by_rows ? examples : rows, sizeof(double));
    work->result = dms_pca_alloc(component_ct, examples);
    code = values && vectors && work->between && work->result ? 0 : DMS_ERR_NO_MEMORY;
    if (code == 0)
        code = dms_centred_create(&work->embedding, work->pool, &work->centred);
    if (code == 0)
        work->result->total_variance = find_total_variance(work);
    if (code == 0 && !is_constant(work)) {
        code = dms_eigen_largest(&gram, component_ct, values, vectors);
        if (code == 0)
            code = take_components(work, values, vectors);
    }
    free(values);
    free(vectors);
    return code;
}

int dms_pca_create(const dms_fit *fit, const size_t *positions, size_t position_ct,
                   const struct dms_pca_options *options, struct dms_pca **pca)
{
    struct work work = {.options = options};
    int code =
        dms_embedding_open(fit, positions, position_ct, !options->keep_length, &work.embedding);

    if (code == 0)
        code = check(&work, fit);
    if (code == 0)
        code = dms_pool_create(options->thread_ct, &work.pool);
    if (code == 0)
        code = decompose(&work);
    if (code == 0) {
        work.result->row_ct = work.embedding.row_ct;
        work.result->left_out_ct = position_ct - work.embedding.row_ct;
        work.result->keep_length = options->keep_length;
        work.result->mean = work.centred.mean;
        work.centred.mean = NULL;
        *pca = work.result;
        work.result = NULL;
    }
    dms_pca_free(work.result);
    dms_centred_free(&work.centred);
    dms_pool_free(work.pool);
    dms_embedding_free(&work.embedding);
    free(work.between);
    return code;
}

/* ---- scores ---- */

struct projection {
    const struct dms_pca *pca;
    const struct dms_embedding *embedding;
    size_t position_ct;
    double *scores;
};

/* Of one component: its entries stay in the cache. */
static int project_onto(void *context, size_t k)
{
    const struct projection *projection = context;
    const struct dms_pca *pca = projection->pca;
    const double *component = pca->components + k * pca->example_ct;

    for (size_t i = 0; i < projection->position_ct; i++)
        projection->scores[i * pca->component_ct + k] = NAN;
    for (size_t i = 0; i < projection->embedding->row_ct; i++) {
        const struct dms_embedding_row *row = &projection->embedding->rows[i];
        double sum = 0;

        for (size_t e = 0; e < row->weight_ct; e++)
            sum += row->weights[e] * component[row->examples[e]];
        projection->scores[row->place * pca->component_ct + k] =
            pca->variances[k] > 0 ? sum * row->scale - pca->offsets[k] : 0;
    }
    return 0;
}

int dms_pca_project(const struct dms_pca *pca, const dms_fit *fit, const size_t *positions,
                    size_t position_ct, unsigned thread_ct, double *scores)
{
    const struct dms_fit_header *header = dms_fit_get_header(fit);
    struct dms_embedding embedding = {0};
    struct dms_pool *pool = NULL;
    struct projection projection = {pca, &embedding, position_ct, scores};
    int code;

    if (header->example_ct != pca->example_ct)
        return dms_fail(DMS_ERR_INVALID,
                        "fit %s has weights of %" PRIu64 " examples, the components of %zu",
                        header->name, header->example_ct, pca->example_ct);
    code = dms_embedding_open(fit, positions, position_ct, !pca->keep_length, &embedding);
    if (code == 0)
        code = dms_pool_create(thread_ct, &pool);
    if (code == 0)
        code = dms_pool_run(pool, pca->component_ct, project_onto, &projection);
    dms_pool_free(pool);
    dms_embedding_free(&embedding);
    return code;
}
