/*
 * Makes a file of products: masks times outputs summed over the models, block of targets by block,
 * and tells whether outputs are those that a file was made of.
 */
#ifndef DMS_SOLVER_PRODUCTS_BUILD_H
#define DMS_SOLVER_PRODUCTS_BUILD_H

#include "dmstore/gram.h"
#include "solver/gram_writer.h"

struct dms_pool;

/* What both do: a column's outputs on some models. */
struct dms_products_task {
    dms_snapshot *snapshot;
    const struct dms_column *column;   /* of float16, one value a target */
    const struct dms_id_range *ranges; /* of the models */
    size_t range_ct;
    uint64_t row_ct; /* of them, below 2^32 */
    struct dms_pool *pool;
    uint64_t memory_bytes;
    dms_progress progress; /* may be NULL: models that were read, and all, over all passes */
    void *progress_context;
};

/* *same: the outputs are those of `products`, whose models the task's are, target by target. Reads
 * no masks. */
int dms_products_compare(const struct dms_products_task *task, const dms_products *products,
                         bool *same);

/* Multiplies the task's models, adds the sums of `base` (of the other models of description->rows,
 * NULL: there are none), and finishes the file of the writer. *pass_ct: passes over the masks of
 * the task's models. INVALID: not even a tile of targets fits the memory. */
int dms_products_write(const struct dms_products_task *task, const dms_products *base,
                       const struct dms_gram_description *description,
                       struct dms_gram_writer *writer, uint64_t *pass_ct);

#endif
