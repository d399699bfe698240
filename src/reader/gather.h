/*
 * Filling batches: rows are copied from where they are, a piece of the batch at a time.
 */
#ifndef DMS_READER_GATHER_H
#define DMS_READER_GATHER_H

#include "reader/batch.h"

/* Rows of a window that belong in a batch, one after the other in the epoch. */
struct dms_piece {
    const struct dms_source *source;
    const struct dms_row_table *table;
    const struct dms_order_window *window;
    const struct dms_row_view *views; /* of block b, part p of the window at b x part_ct + p; NULL:
                                         find them in the source, all is in place or staged */
    uint64_t position;                /* in the epoch, of the first row */
    uint32_t row_ct;
    uint32_t batch_row; /* where the first row belongs in the batch */
    bool is_whole;      /* it is all of the batch */
};

/* Memory of one thread for what is on its way. */
struct dms_batch_scratch {
    struct dms_buffer row;    /* of staged rows read one by one, and payloads of chunks */
    struct dms_buffer values; /* between two types */
    struct dms_buffer ahead;  /* where the parts of the next row are */
};

/* Fills rows batch_row .. of ids, ranks, masks and outputs, and mask_columns when the piece is the
 * whole batch. CORRUPT with chunk and offset when a file that is read in place was cut short. */
int dms_gather(const struct dms_batch_shape *shape, const struct dms_piece *piece,
               struct dms_batch_scratch *scratch, struct dms_batch_buffers *buffers);

#endif
