/*
 * The workers of a reader: they load windows of the epoch's order (chunks are checked, and decoded
 * where they are not raw) and fill batches from them, ahead of the consumer, in a fixed number of
 * buffers.
 */
#ifndef DMS_READER_PREFETCH_H
#define DMS_READER_PREFETCH_H

#include "reader/gather.h"

struct dms_prefetch;

/* All belongs to the caller and outlives the workers. */
struct dms_prefetch_plan {
    const struct dms_source *source;
    const struct dms_row_table *table; /* of at least one row */
    struct dms_epoch_order order;
    struct dms_batch_shape shape;
    unsigned thread_ct;
    uint32_t slot_ct;   /* batches, those of the consumer included */
    uint32_t window_ct; /* windows in work at once */
};

/* Starts the workers at (epoch 0, position 0). */
int dms_prefetch_start(const struct dms_prefetch_plan *plan, struct dms_prefetch **prefetch);

/* Ends the workers, whatever they are at. Accepts NULL. */
void dms_prefetch_stop(struct dms_prefetch *prefetch);

/* Throws away what is prepared, unless that is what is wanted, and goes on at `position` (below the
 * rows of the table) of `epoch`. INVALID while the consumer holds batches. */
int dms_prefetch_seek(struct dms_prefetch *prefetch, uint64_t epoch, uint64_t position);

/* Waits for the next batch; epochs follow one another without a mark. INVALID when the consumer
 * holds all of them. A failure comes again with every call until a seek. */
int dms_prefetch_next(struct dms_prefetch *prefetch, const struct dms_batch **batch);

/* Whether the masks of a batch are in a map. */
bool dms_prefetch_lends_map(const struct dms_batch *batch);

void dms_prefetch_release(struct dms_prefetch *prefetch, const struct dms_batch *batch);

#endif
