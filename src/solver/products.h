/*
 * Products of the row sets of a store: found as a file, or made from the snapshot. What is told in
 * dmstore/gram.h.
 */
#ifndef DMS_SOLVER_PRODUCTS_H
#define DMS_SOLVER_PRODUCTS_H

#include "dmstore/gram.h"

/* The file of a row set and a column in the snapshot's store; *products NULL: there is none. Its
 * outputs are not held against those of the snapshot. The caller ends it with dms_products_close.
 * CORRUPT: it is damaged, or of something else than its name says. */
int dms_products_find(const dms_snapshot *snapshot, const struct dms_row_set *rows,
                      const struct dms_column *column, dms_products **products);

#endif
