/*
 * The buffers of one batch, in the layout that dmstore/reader.h promises.
 */
#ifndef DMS_READER_BATCH_H
#define DMS_READER_BATCH_H

#include "reader/memory.h"
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
    size_t bytes;                   /* of all buffers of a batch */
    struct dms_batch_memory memory; /* of masks, ranks and outputs; without functions: our own */
};

/* Works out strides and sizes from the fields before. target_ct x values_per_target values of
 * output. NO_MEMORY when sizes overflow. */
int dms_batch_shape_make(const struct dms_source *source, uint32_t row_ct, bool masks,
                         bool mask_columns, enum dms_dtype dtype, size_t output_values,
                         struct dms_batch_shape *shape);

/* Where a row of a window is. */
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
void dms_batch_buffers_clear(const struct dms_batch_shape *shape,
                             struct dms_batch_buffers *buffers);

/* Makes mask_columns of the masks, which are where the buffers say. */
void dms_batch_transpose(const struct dms_batch_shape *shape, uint32_t row_ct,
                         const struct dms_batch_buffers *buffers);

/* Points the batch to its filled buffers; epoch and position are the caller's. */
void dms_batch_describe(const struct dms_batch_shape *shape, uint32_t row_ct,
                        const struct dms_batch_buffers *buffers, struct dms_batch *batch);

#endif
