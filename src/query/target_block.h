/*
 * A block of targets in memory: the outputs of all held-out models, and what every fit predicts for
 * them, read and computed with one pass of a reader.
 */
#ifndef DMS_QUERY_TARGET_BLOCK_H
#define DMS_QUERY_TARGET_BLOCK_H

#include "base/pool.h"
#include "query/held_out.h"
#include "query/predict.h"
#include "query/scored_output.h"

/* What all blocks have in common. */
struct dms_block_setting {
    dms_snapshot *snapshot;
    const struct dms_held_out *held_out;
    const struct dms_scored_output *output;
    size_t fit_ct;
    size_t capacity;     /* of a block, in consecutive targets of the column */
    uint32_t batch_rows; /* of the reader */
    unsigned reader_thread_ct;
    uint64_t reader_bytes;
    struct dms_pool *pool;
    size_t worker_ct;
    struct dms_predictor **predictors; /* one a worker, for batch_rows */
};

struct dms_target_block {
    size_t target_ct;
    struct dms_fitted_target *fitted; /* fit_ct x target_ct: of fit f, target t at f * target_ct +
                                         t; of increasing targets, the same for all fits */
    /* Of target t, model i at t * row_ct + i; NaN where the model does not count. */
    float *outputs;
    /* Of fit f, target t, model i at (f * target_ct + t) * row_ct + i; sums of weights, as
     * predict.h has them. */
    float *predictions;
    uint64_t *excluded_cts; /* models whose mask has the target's own example */
};

/* Room for setting->capacity targets. A zeroed one may be freed. */
int dms_target_block_create(const struct dms_block_setting *setting,
                            struct dms_target_block *block);
void dms_target_block_free(struct dms_target_block *block);

/* Fills the block for block->fitted and target_ct, which the caller has set. *interrupted is asked
 * after every batch, with `context`: not 0 ends with INTERRUPTED. */
int dms_target_block_read(const struct dms_block_setting *setting, struct dms_target_block *block,
                          int (*interrupted)(void *context), void *context);

#endif
