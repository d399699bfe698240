/*
 * Scalar products of one row of an embedding with all rows, in one of two ways: by looking up the
 * weights of all rows in that row, or by lists of the rows that have a weight for an example, which
 * take 12 bytes a weight and some time to make but then only touch what is in common. Both add up
 * the same products in the same order.
 */
#ifndef DMS_QUERY_ROW_PRODUCTS_H
#define DMS_QUERY_ROW_PRODUCTS_H

#include "query/embedding.h"

struct dms_row_products {
    const struct dms_embedding *embedding;
    size_t *begins;  /* d + 1: where an example's list begins; NULL: there are no lists */
    uint32_t *rows;  /* by increasing row */
    double *weights; /* after scaling */
};

/* The embedding must outlive *products, which is ended with dms_row_products_free, also after a
 * failure. */
int dms_row_products_create(const struct dms_embedding *embedding, bool with_lists,
                            struct dms_row_products *products);
void dms_row_products_free(struct dms_row_products *products);
uint64_t dms_row_products_bytes(const struct dms_embedding *embedding);

/* values[i] = row . row i. dense: d zeros, which are zeros again afterwards; not used with lists.
 * May be called from several threads at once. */
void dms_row_products_of(const struct dms_row_products *products, size_t row, double *dense,
                         double *values);

#endif
