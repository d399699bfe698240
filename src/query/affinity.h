/*
 * Similarities of points: the matrix of the RBF kernel without its diagonal, and the products of
 * its normalised form that spectral clustering needs.
 */
#ifndef DMS_QUERY_AFFINITY_H
#define DMS_QUERY_AFFINITY_H

#include "query/row_products.h"

struct dms_affinity {
    size_t order;
    struct dms_pool *pool;
    float *similarities; /* order x order: exp(-gamma |x_i - x_j|^2), 0 on the diagonal */
    double *scales;      /* 1 / sqrt of the sum of each row; 1 for a row of zeros */
    double *scaled;      /* of a product: the vector times the scales */
};

/* Of the rows of an embedding, from their products; or of `scores` (order x score_ct, row-major).
 * End *affinity with dms_affinity_free, also after a failure. */
int dms_affinity_of_rows(const struct dms_row_products *products, double gamma,
                         struct dms_pool *pool, struct dms_affinity *affinity);
int dms_affinity_of_scores(const double *scores, size_t order, size_t score_ct, double gamma,
                           struct dms_pool *pool, struct dms_affinity *affinity);
void dms_affinity_free(struct dms_affinity *affinity);
uint64_t dms_affinity_bytes(size_t order);

/* Over pairs; NaN for fewer than two points. */
double dms_affinity_mean(const struct dms_affinity *affinity);

/* y = D^-1/2 A D^-1/2 x, with D the diagonal matrix of the sums of rows (context: struct
 * dms_affinity). */
int dms_affinity_multiply(void *context, const double *x, double *y);

#endif
