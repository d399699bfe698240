/*
 * Spectral clustering of targets (dms_cluster): similarities from affinity.c, eigenvectors from
 * eigen.c, clusters from k_means.c.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "dmstore/cluster.h"
#include "query/affinity.h"
#include "query/eigen.h"

void dms_cluster_options_init(struct dms_cluster_options *options)
{
    *options = (struct dms_cluster_options){
        .cluster_ct = 8,
        .gamma = 1,
        .restart_ct = 10,
        .memory_bytes = UINT64_C(4) << 30,
    };
}

/* A clustering under way. */
struct work {
    const dms_fit *fit;
    const size_t *positions;
    size_t position_ct;
    const struct dms_cluster_options *options;
    struct dms_pool *pool;
    struct dms_embedding embedding;
    struct dms_row_products products;
    struct dms_affinity affinity;
    double *scores; /* in the components, one row a row of the embedding */
    double inertia;
};

static int check(const struct work *work)
{
    const struct dms_cluster_options *options = work->options;
    const char *name = dms_fit_get_header(work->fit)->name;
    size_t row_ct = work->embedding.row_ct, cluster_ct = options->cluster_ct;
    uint64_t needed;

    if (!(options->gamma > 0) || !isfinite(options->gamma))
        return dms_fail(DMS_ERR_INVALID, "gamma is %g: it has to be above 0", options->gamma);
    if (cluster_ct < 1 || cluster_ct > row_ct)
        return dms_fail(DMS_ERR_INVALID,
                        "fit %s: %zu targets with weights cannot be in %zu clusters", name, row_ct,
                        cluster_ct);
    needed = dms_affinity_bytes(row_ct) + dms_eigen_bytes(row_ct, cluster_ct) +
             (uint64_t)row_ct * cluster_ct * 2 * sizeof(double) +
             row_ct * sizeof(struct dms_embedding_row) +
             (options->pca ? work->position_ct * options->pca->component_ct * sizeof(double)
                           : dms_row_products_bytes(&work->embedding));
    if (needed > options->memory_bytes)
        return dms_fail(DMS_ERR_INVALID,
                        "the similarities of %zu targets and %zu eigenvectors need %" PRIu64
                        " bytes of memory, and %" PRIu64 " are allowed",
                        row_ct, cluster_ct, needed, options->memory_bytes);
    return 0;
}

/* ---- similarities ---- */

/* Scores of the rows: those of targets without weights leave no gap. */
static int read_scores(struct work *work)
{
    const struct dms_pca *pca = work->options->pca;
    size_t score_ct = pca->component_ct;
    int code;

    work->scores = dms_alloc(work->position_ct, score_ct * sizeof(double));
    if (!work->scores)
        return DMS_ERR_NO_MEMORY;
    code = dms_pca_project(pca, work->fit, work->positions, work->position_ct,
                           work->options->thread_ct, work->scores);
    for (size_t i = 0; code == 0 && i < work->embedding.row_ct; i++)
        memmove(work->scores + i * score_ct,
                work->scores + work->embedding.rows[i].place * score_ct, score_ct * sizeof(double));
    return code;
}

static int find_similarities(struct work *work)
{
    const struct dms_cluster_options *options = work->options;
    int code;

    if (options->pca) {
        code = read_scores(work);
        return code ? code
                    : dms_affinity_of_scores(work->scores, work->embedding.row_ct,
                                             options->pca->component_ct, options->gamma, work->pool,
                                             &work->affinity);
    }
    code = dms_row_products_create(&work->embedding, true, &work->products);
    return code
               ? code
               : dms_affinity_of_rows(&work->products, options->gamma, work->pool, &work->affinity);
}

/* ---- clusters ---- */

/* Row i is what row i of the eigenvectors (one a row of `vectors`) comes to: times D^-1/2. The
 * signs of the vectors do not matter to distances. */
static void turn(const struct dms_affinity *affinity, const double *vectors, size_t vector_ct,
                 double *points)
{
    for (size_t i = 0; i < affinity->order; i++) {
        for (size_t k = 0; k < vector_ct; k++)
            points[i * vector_ct + k] = vectors[k * affinity->order + i] * affinity->scales[i];
    }
}

static int find_clusters(struct work *work, int64_t *of_rows)
{
    const struct dms_cluster_options *options = work->options;
    const struct dms_symmetric matrix = {work->affinity.order, dms_affinity_multiply,
                                         &work->affinity};
    const struct dms_k_means_options k_means = {
        .cluster_ct = options->cluster_ct,
        .restart_ct = options->restart_ct,
        .seed = options->seed,
        .thread_ct = options->thread_ct,
    };
    double *values = dms_alloc(options->cluster_ct, sizeof(*values));
    double *vectors = dms_alloc(options->cluster_ct, matrix.order * sizeof(*vectors));
    double *points = dms_alloc(options->cluster_ct, matrix.order * sizeof(*points));
    int code = values && vectors && points ? 0 : DMS_ERR_NO_MEMORY;

    if (code == 0)
        code = dms_eigen_largest(&matrix, options->cluster_ct, values, vectors);
    if (code == 0) {
        turn(&work->affinity, vectors, options->cluster_ct, points);
        code = dms_k_means(points, matrix.order, options->cluster_ct, &k_means, of_rows,
                           &work->inertia);
    }
    free(values);
    free(vectors);
    free(points);
    return code;
}

static int run(struct work *work, int64_t *of_rows)
{
    int code = check(work);

    if (code == 0)
        code = dms_pool_create(work->options->thread_ct, &work->pool);
    if (code == 0)
        code = find_similarities(work);
    return code ? code : find_clusters(work, of_rows);
}

int dms_cluster(const dms_fit *fit, const size_t *positions, size_t position_ct,
                const struct dms_cluster_options *options, int64_t *clusters,
                struct dms_clustering *clustering)
{
    struct work work = {
        .fit = fit, .positions = positions, .position_ct = position_ct, .options = options};
    bool keep_length = options->pca ? options->pca->keep_length : options->keep_length;
    int64_t *of_rows = dms_alloc(position_ct, sizeof(*of_rows));
    int code = of_rows
                   ? dms_embedding_open(fit, positions, position_ct, !keep_length, &work.embedding)
                   : DMS_ERR_NO_MEMORY;

    if (code == 0)
        code = run(&work, of_rows);
    for (size_t i = 0; code == 0 && i < position_ct; i++)
        clusters[i] = -1;
    for (size_t i = 0; code == 0 && i < work.embedding.row_ct; i++)
        clusters[work.embedding.rows[i].place] = of_rows[i];
    if (code == 0)
        *clustering = (struct dms_clustering){
            .row_ct = work.embedding.row_ct,
            .left_out_ct = position_ct - work.embedding.row_ct,
            .mean_similarity = dms_affinity_mean(&work.affinity),
            .inertia = work.inertia,
        };
    dms_affinity_free(&work.affinity);
    dms_row_products_free(&work.products);
    dms_embedding_free(&work.embedding);
    dms_pool_free(work.pool);
    free(work.scores);
    free(of_rows);
    return code;
}
