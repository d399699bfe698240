/*
 * The buffers of one batch, and filling them: rows are gathered from where they are into the
 * layout that dmstore/reader.h promises, a piece of the batch at a time.
 */
#ifndef DMS_READER_BATCH_H
#define DMS_READER_BATCH_H

#include "reader/order.h"
#include "reader/source.h"

/* What every batch of a reader looks like. */
struct dms_batch_shape {
    uint32_t row_ct; /* at most */
    uint64_t example_ct;
    bool masks, mask_columns;
    size_t mask_row_bytes, mask_stride_bytes;
    enum dms_dtype dtype; /* of the outputs delivered */
    size_t output_values; /* of a row; 0: no output */
    size_t output_stride_values;
    size_t bytes; /* of all buffers of a batch */
};

/* Works out strides and sizes from the fields before. target_ct x values_per_target values of
 * output. NO_MEMORY when sizes overflow. */
int dms_batch_shape_make(const struct dms_source *source, uint32_t row_ct, bool masks,
                         bool mask_columns, enum dms_dtype dtype, size_t output_values,
                         struct dms_batch_shape *shape);

/* A place in the file order of a window. */
struct dms_row_place {
    uint32_t block; /* of the window */
    uint32_t row;   /* of that block */
};

struct dms_batch_buffers {
    uint64_t *ids;
    uint64_t *ranks;
    struct dms_row_place *places;
    uint8_t *masks;                /* NULL unless masks or mask_columns */
    uint64_t *columns;             /* NULL unless mask_columns */
    uint8_t *outputs;              /* NULL without output */
    const uint8_t *masks_in_place; /* where the masks of the whole batch are, or NULL: `masks` */
    size_t stride_in_place;
};
int dms_batch_buffers_make(const struct dms_batch_shape *shape, struct dms_batch_buffers *buffers);
void dms_batch_buffers_clear(struct dms_batch_buffers *buffers);

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
};

/* Fills rows batch_row .. of ids, ranks, masks and outputs. */
int dms_batch_fill(const struct dms_batch_shape *shape, const struct dms_piece *piece,
                   struct dms_batch_scratch *scratch, struct dms_batch_buffers *buffers);

/* Makes mask_columns of the filled masks, and describes the batch; epoch and position are the
 * caller's. */
void dms_batch_finish(const struct dms_batch_shape *shape, uint32_t row_ct,
                      const struct dms_batch_buffers *buffers, struct dms_batch *batch);

#endif
