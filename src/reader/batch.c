/*
 * Sizes of batches, their memory, and what the consumer sees of it.
 */
#include "reader/batch.h"

#include "base/alloc.h"
#include "base/error.h"
#include "kernels/lanes.h"

#include <stdlib.h>

enum {
    ROW_ALIGNMENT = 64,    /* of mask rows, and of buffers */
    OUTPUT_ALIGNMENT = 16, /* of output rows, in values */
};

/* ---- buffers ---- */

static size_t round_up(size_t value, size_t step)
{
    return (value + step - 1) / step * step;
}

/* *total += a * b * c rounded up to whole lines; true when that overflows. */
static bool add_bytes(size_t *total, size_t a, size_t b, size_t c)
{
    size_t bytes;
    return dms_mul_overflow(a, b, &bytes) || dms_mul_overflow(bytes, c, &bytes) ||
           bytes > SIZE_MAX / 2 || dms_add_overflow(*total, round_up(bytes, ROW_ALIGNMENT), total);
}

int dms_batch_shape_make(const struct dms_source *source, uint32_t row_ct, bool masks,
                         bool mask_columns, enum dms_dtype dtype, size_t output_values,
                         struct dms_batch_shape *shape)
{
    const struct dms_schema *schema = dms_snapshot_schema(source->snapshot);
    size_t example_ct = (size_t)schema->example_ct;
    size_t row_bytes = (example_ct + 7) / 8;
    struct dms_batch_shape made = {
        .row_ct = row_ct,
        .example_ct = example_ct,
        .masks = masks,
        .mask_columns = mask_columns,
        .mask_row_bytes = row_bytes,
        /* Whole lines of cache where that costs little. */
        .mask_stride_bytes = round_up(row_bytes, row_bytes > 1024 ? ROW_ALIGNMENT : 8),
        .dtype = dtype,
        .output_values = output_values,
        .output_stride_values = round_up(output_values, OUTPUT_ALIGNMENT),
    };
    size_t value_bytes = dtype == DMS_F16 ? sizeof(uint16_t) : sizeof(float);
    if (add_bytes(&made.bytes, row_ct, 3, sizeof(uint64_t)) ||
        ((masks || mask_columns) && add_bytes(&made.bytes, row_ct, 1, made.mask_stride_bytes)) ||
        (mask_columns &&
         add_bytes(&made.bytes, ((size_t)row_ct + 63) / 64, example_ct, sizeof(uint64_t))) ||
        add_bytes(&made.bytes, row_ct, made.output_stride_values, value_bytes)) {
        return dms_fail(DMS_ERR_NO_MEMORY,
                        "batches of %u rows are too large: ask for fewer rows or targets", row_ct);
    }
    *shape = made;
    return 0;
}

/* What a device may read. */
static void *allocate(const struct dms_batch_shape *shape, size_t bytes)
{
    return shape->memory.allocate ? shape->memory.allocate(shape->memory.context, bytes)
                                  : dms_alloc_aligned(ROW_ALIGNMENT, bytes);
}

static void release(const struct dms_batch_shape *shape, void *memory)
{
    if (shape->memory.release && memory) {
        shape->memory.release(shape->memory.context, memory);
    } else {
        free(memory);
    }
}

int dms_batch_buffers_make(const struct dms_batch_shape *shape, struct dms_batch_buffers *buffers)
{
    size_t row_ct = shape->row_ct;
    size_t value_bytes = shape->dtype == DMS_F16 ? sizeof(uint16_t) : sizeof(float);
    size_t output_bytes = row_ct * shape->output_stride_values * value_bytes;
    size_t column_bytes = (row_ct + 63) / 64 * (size_t)shape->example_ct * sizeof(uint64_t);
    bool has_masks = shape->masks || shape->mask_columns;
    struct dms_batch_buffers made = {
        .ids = dms_alloc(row_ct, sizeof *made.ids),
        .ranks = allocate(shape, row_ct * sizeof *made.ranks),
        .places = dms_alloc(row_ct, sizeof *made.places),
    };
    bool ok = made.ids && made.ranks && made.places;
    if (ok && has_masks) {
        made.masks = allocate(shape, row_ct * shape->mask_stride_bytes);
        ok = made.masks != NULL;
    }
    if (ok && shape->mask_columns) {
        made.columns = dms_alloc_aligned(ROW_ALIGNMENT, column_bytes);
        ok = made.columns != NULL;
    }
    if (ok && output_bytes > 0) {
        made.outputs = allocate(shape, output_bytes);
        ok = made.outputs != NULL;
    }
    *buffers = made;
    if (!ok) {
        dms_batch_buffers_clear(shape, buffers);
        return DMS_ERR_NO_MEMORY;
    }
    return 0;
}

void dms_batch_buffers_clear(const struct dms_batch_shape *shape, struct dms_batch_buffers *buffers)
{
    free(buffers->ids);
    release(shape, buffers->ranks);
    free(buffers->places);
    release(shape, buffers->masks);
    free(buffers->columns);
    release(shape, buffers->outputs);
    *buffers = (struct dms_batch_buffers){0};
}

/* ---- the whole ---- */

static const uint8_t *find_masks(const struct dms_batch_shape *shape,
                                 const struct dms_batch_buffers *buffers, size_t *stride)
{
    *stride = buffers->masks_in_place ? buffers->stride_in_place : shape->mask_stride_bytes;
    return buffers->masks_in_place ? buffers->masks_in_place : buffers->masks;
}

void dms_batch_transpose(const struct dms_batch_shape *shape, uint32_t row_ct,
                         const struct dms_batch_buffers *buffers)
{
    size_t stride;
    const uint8_t *masks = find_masks(shape, buffers, &stride);
    size_t example_ct = (size_t)shape->example_ct;
    dms_lane_variant_get()->transpose_bits(masks, row_ct, stride, example_ct, buffers->columns,
                                           example_ct);
}

void dms_batch_describe(const struct dms_batch_shape *shape, uint32_t row_ct,
                        const struct dms_batch_buffers *buffers, struct dms_batch *batch)
{
    size_t stride;
    const uint8_t *masks = find_masks(shape, buffers, &stride);
    batch->row_ct = row_ct;
    batch->ids = buffers->ids;
    batch->ranks = buffers->ranks;
    batch->masks = shape->masks ? masks : NULL;
    batch->mask_stride_bytes = shape->masks ? stride : 0;
    batch->mask_columns = buffers->columns;
    batch->outputs = buffers->outputs;
    batch->output_stride_values = buffers->outputs ? shape->output_stride_values : 0;
}
