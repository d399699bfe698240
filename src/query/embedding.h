/*
 * Embeddings of targets: row j of the matrix X is the weights of target j's datamodel (Ilyas et al.
 * 2022, section 4.3), divided by their Euclidean length where rows are to be normalised. Weights
 * are read in place. Targets without weights have no direction and are no rows.
 */
#ifndef DMS_QUERY_EMBEDDING_H
#define DMS_QUERY_EMBEDDING_H

#include <stdbool.h>

#include "base/pool.h"
#include "dmstore/fit.h"

struct dms_embedding_row {
    const uint32_t *examples; /* weight_ct, increasing; of the fit */
    const double *weights;
    size_t weight_ct;
    double scale;  /* 1 / the length of the weights, or 1 */
    size_t place;  /* among the positions that were given */
    double square; /* squared length of the row, after scaling */
};

struct dms_embedding {
    size_t row_ct;
    size_t example_ct; /* d */
    size_t weight_ct;  /* of all rows */
    struct dms_embedding_row *rows;
};

/* Looks at the targets at `positions` of a fit, which must outlive *embedding; that is ended with
 * dms_embedding_free, also after a failure. */
int dms_embedding_open(const dms_fit *fit, const size_t *positions, size_t position_ct,
                       bool normalize, struct dms_embedding *embedding);
void dms_embedding_free(struct dms_embedding *embedding);

/*
 * Products with the centred matrix Xc = X - 1 mean', which is never made. The order of additions
 * does not depend on the threads of the pool.
 */
struct dms_centred {
    const struct dms_embedding *embedding;
    struct dms_pool *pool;
    double *mean;     /* d: mean of the rows */
    double *partials; /* of sums over rows */
    double *row_vector, *example_vector;
};

int dms_centred_create(const struct dms_embedding *embedding, struct dms_pool *pool,
                       struct dms_centred *centred);
void dms_centred_free(struct dms_centred *centred);
uint64_t dms_centred_bytes(size_t row_ct, size_t example_ct);

/* y = Xc x: x has d elements, y one a row. */
int dms_centred_multiply(struct dms_centred *centred, const double *x, double *y);

/* x = Xc' y. */
int dms_centred_multiply_transposed(struct dms_centred *centred, const double *y, double *x);

#endif
