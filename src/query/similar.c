/*
 * The targets that are most like a target (dms_find_similar): the cosines with all targets of the
 * fit, from sparse weights or from scores in some components, and the largest of them.
 */
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "dmstore/embed.h"
#include "query/row_products.h"

/* Lists of rows pay from about so many targets on. */
#define LISTS_FROM 8

void dms_similar_options_init(struct dms_similar_options *options)
{
    *options = (struct dms_similar_options){.similar_ct = 10};
}

/* A search under way. Row i is target number places[i] of the fit. */
struct work {
    const dms_fit *fit;
    const size_t *positions;
    size_t position_ct;
    const struct dms_similar_options *options;
    size_t all_ct; /* targets of the fit */
    uint64_t *targets;
    size_t *rows; /* of a position in the fit; SIZE_MAX: none, it has no weights */
    struct dms_embedding embedding;
    struct dms_row_products products;
    double *scores; /* all_ct x K, of length 1; NULL: weights are compared */
    atomic_size_t next;
    struct dms_similar *similar;
    size_t *similar_cts;
};

/* ---- what is compared ---- */

/* Scores over their length; what has none, NaN or 0 in all components, gets NaN. */
static void normalize_scores(double *scores, size_t score_ct)
{
    double square = 0;

    for (size_t k = 0; k < score_ct; k++)
        square += scores[k] * scores[k];
    for (size_t k = 0; k < score_ct; k++)
        scores[k] = square > 0 ? scores[k] / sqrt(square) : NAN;
}

static int read_scores(struct work *work, const size_t *all)
{
    const struct dms_pca *pca = work->options->pca;
    int code;

    work->scores = dms_alloc(work->all_ct, pca->component_ct * sizeof(double));
    if (!work->scores)
        return DMS_ERR_NO_MEMORY;
    code =
        dms_pca_project(pca, work->fit, all, work->all_ct, work->options->thread_ct, work->scores);
    for (size_t i = 0; code == 0 && i < work->all_ct; i++)
        normalize_scores(work->scores + i * pca->component_ct, pca->component_ct);
    return code;
}

static int read_weights(struct work *work, const size_t *all)
{
    int code = dms_embedding_open(work->fit, all, work->all_ct, true, &work->embedding);

    for (size_t i = 0; i < work->all_ct; i++)
        work->rows[i] = SIZE_MAX;
    for (size_t i = 0; code == 0 && i < work->embedding.row_ct; i++)
        work->rows[work->embedding.rows[i].place] = i;
    return code ? code
                : dms_row_products_create(&work->embedding, work->position_ct >= LISTS_FROM,
                                          &work->products);
}

static int prepare(struct work *work)
{
    size_t *all = dms_alloc(work->all_ct, sizeof(*all));
    int code;

    work->targets = dms_alloc(work->all_ct, sizeof(*work->targets));
    work->rows = dms_alloc(work->all_ct, sizeof(*work->rows));
    code = all && work->targets && work->rows ? 0 : DMS_ERR_NO_MEMORY;
    for (size_t i = 0; code == 0 && i < work->all_ct; i++) {
        struct dms_fitted_target target;

        all[i] = i;
        code = dms_fit_target(work->fit, i, &target);
        work->targets[i] = target.target;
    }
    if (code == 0)
        code = work->options->pca ? read_scores(work, all) : read_weights(work, all);
    free(all);
    return code;
}

/* ---- one target ---- */

/* The working memory of one thread. */
struct scratch {
    double *dense;    /* d */
    double *products; /* one a row */
    double *cosines;  /* one a target of the fit; NaN: not to be compared */
};

static void compare_scores(const struct work *work, size_t position, double *cosines)
{
    size_t score_ct = work->options->pca->component_ct;
    const double *scores = work->scores + position * score_ct;

    for (size_t i = 0; i < work->all_ct; i++) {
        const double *others = work->scores + i * score_ct;

        cosines[i] = 0;
        for (size_t k = 0; k < score_ct; k++)
            cosines[i] += scores[k] * others[k];
    }
}

static void compare_weights(const struct work *work, size_t position, struct scratch *scratch)
{
    size_t row = work->rows[position];

    if (row != SIZE_MAX)
        dms_row_products_of(&work->products, row, scratch->dense, scratch->products);
    for (size_t i = 0; i < work->all_ct; i++)
        scratch->cosines[i] =
            row == SIZE_MAX || work->rows[i] == SIZE_MAX ? NAN : scratch->products[work->rows[i]];
}

/* Puts a target, whose number is above those of all before, where it belongs among the best. */
static void insert(struct dms_similar *best, size_t *best_ct, size_t best_max, uint64_t target,
                   double similarity)
{
    size_t at = *best_ct;

    if (at == best_max && similarity <= best[at - 1].similarity)
        return;
    if (at == best_max)
        at--;
    else
        (*best_ct)++;
    for (; at > 0 && best[at - 1].similarity < similarity; at--)
        best[at] = best[at - 1];
    best[at] = (struct dms_similar){target, similarity};
}

static void find_of(const struct work *work, size_t place, struct scratch *scratch)
{
    size_t position = work->positions[place], best_max = work->options->similar_ct;
    struct dms_similar *best = work->similar + place * best_max;

    if (work->options->pca)
        compare_scores(work, position, scratch->cosines);
    else
        compare_weights(work, position, scratch);
    work->similar_cts[place] = 0;
    for (size_t i = 0; i < work->all_ct; i++) {
        if (i != position && !isnan(scratch->cosines[i]))
            insert(best, &work->similar_cts[place], best_max, work->targets[i],
                   fmax(-1, fmin(1, scratch->cosines[i])));
    }
}

static int find_some(void *context, size_t worker)
{
    struct work *work = context;
    struct scratch scratch = {
        .dense = dms_alloc(work->embedding.example_ct, sizeof(double)),
        .products = dms_alloc(work->embedding.row_ct, sizeof(double)),
        .cosines = dms_alloc(work->all_ct, sizeof(double)),
    };
    int code = scratch.dense && scratch.products && scratch.cosines ? 0 : DMS_ERR_NO_MEMORY;
    size_t place;

    (void)worker;
    while (code == 0 && (place = atomic_fetch_add(&work->next, 1)) < work->position_ct)
        find_of(work, place, &scratch);
    free(scratch.dense);
    free(scratch.products);
    free(scratch.cosines);
    return code;
}

/* ---- all of it ---- */

int dms_find_similar(const dms_fit *fit, const size_t *positions, size_t position_ct,
                     const struct dms_similar_options *options, struct dms_similar *similar,
                     size_t *similar_cts)
{
    struct work work = {
        .fit = fit,
        .positions = positions,
        .position_ct = position_ct,
        .options = options,
        .all_ct = dms_fit_target_ct(fit),
        .similar = similar,
        .similar_cts = similar_cts,
    };
    struct dms_pool *pool = NULL;
    int code = 0;

    if (options->similar_ct == 0)
        return dms_fail(DMS_ERR_INVALID, "no similar targets are asked for");
    for (size_t i = 0; i < position_ct; i++) {
        if (positions[i] >= work.all_ct)
            return dms_fail(DMS_ERR_INVALID, "fit %s has no target at position %zu",
                            dms_fit_get_header(fit)->name, positions[i]);
    }
    code = prepare(&work);
    if (code == 0)
        code = dms_pool_create(options->thread_ct, &pool);
    if (code == 0)
        code = dms_pool_run(pool, dms_pool_threads(pool), find_some, &work);
    dms_pool_free(pool);
    dms_row_products_free(&work.products);
    dms_embedding_free(&work.embedding);
    free(work.targets);
    free(work.rows);
    free(work.scores);
    return code;
}
