/*
 * Gathering rows. First the places of all rows of a piece are worked out, then each part is copied
 * row by row, with the next row's first lines on their way into the cache.
 */
#include "reader/batch.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/schema.h"
#include "kernels/kernels.h"
#include "kernels/lanes.h"

#include <stdlib.h>
#include <string.h>

enum {
    ROW_ALIGNMENT = 64,       /* of mask rows, and of buffers */
    OUTPUT_ALIGNMENT = 16,    /* of output rows, in values */
    PREFETCHED_BYTES = 4 * 64 /* the processor goes on by itself from there */
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

int dms_batch_buffers_make(const struct dms_batch_shape *shape, struct dms_batch_buffers *buffers)
{
    size_t row_ct = shape->row_ct;
    size_t value_bytes = shape->dtype == DMS_F16 ? sizeof(uint16_t) : sizeof(float);
    size_t output_bytes = row_ct * shape->output_stride_values * value_bytes;
    size_t column_bytes = (row_ct + 63) / 64 * (size_t)shape->example_ct * sizeof(uint64_t);
    bool has_masks = shape->masks || shape->mask_columns;
    struct dms_batch_buffers made = {
        .ids = dms_alloc(row_ct, sizeof *made.ids),
        .ranks = dms_alloc(row_ct, sizeof *made.ranks),
        .places = dms_alloc(row_ct, sizeof *made.places),
    };
    bool ok = made.ids && made.ranks && made.places;
    if (ok && has_masks) {
        made.masks = dms_alloc_aligned(ROW_ALIGNMENT, row_ct * shape->mask_stride_bytes);
        ok = made.masks != NULL;
    }
    if (ok && shape->mask_columns) {
        made.columns = dms_alloc_aligned(ROW_ALIGNMENT, column_bytes);
        ok = made.columns != NULL;
    }
    if (ok && output_bytes > 0) {
        made.outputs = dms_alloc_aligned(ROW_ALIGNMENT, output_bytes);
        ok = made.outputs != NULL;
    }
    *buffers = made;
    if (!ok) {
        dms_batch_buffers_clear(buffers);
        return DMS_ERR_NO_MEMORY;
    }
    return 0;
}

void dms_batch_buffers_clear(struct dms_batch_buffers *buffers)
{
    free(buffers->ids);
    free(buffers->ranks);
    free(buffers->places);
    free(buffers->masks);
    free(buffers->columns);
    free(buffers->outputs);
    *buffers = (struct dms_batch_buffers){0};
}

/* ---- which rows ---- */

/* Fills in ids, ranks and places of a piece. */
static void locate_rows(const struct dms_piece *piece, struct dms_batch_buffers *buffers)
{
    const struct dms_row_table *table = piece->table;
    for (uint32_t k = 0; k < piece->row_ct; k++) {
        size_t at;
        uint32_t kept;
        dms_order_row(piece->window, piece->position + k, &at, &kept);
        size_t block = dms_window_block(piece->window, at);
        const uint32_t *rows = table->blocks[block].kept;
        uint32_t rank = table->ranks[table->starts[block] + kept];
        uint32_t to = piece->batch_row + k;
        buffers->places[to] = (struct dms_row_place){(uint32_t)at, rows ? rows[kept] : kept};
        buffers->ranks[to] = rank;
        buffers->ids[to] = dms_row_table_id(table, rank);
    }
}

/* ---- gathering ---- */

/* Finds the row of a part where no view says where it is: in place, or, staged, copied into
 * scratch. */
static int find_row(const struct dms_piece *piece, size_t part, struct dms_row_place place,
                    struct dms_buffer *scratch, const uint8_t **row)
{
    const struct dms_row_block *block =
        &piece->table->blocks[dms_window_block(piece->window, place.block)];
    const struct dms_part *described = &piece->source->parts[part];
    struct dms_row_view view;
    if (!block->staged) {
        int status = dms_source_map(piece->source, block, part, &view);
        if (status == DMS_END) {
            status = dms_fail(DMS_ERR_UNSUPPORTED,
                              "group %zu is compressed: rows cannot be read in random order from "
                              "it; use quasi-random order, or warm the store",
                              block->group);
        }
        *row = status ? NULL : view.rows + place.row * view.stride;
        return status;
    }
    dms_buffer_clear(scratch);
    int status = dms_buffer_reserve(scratch, described->row_bytes);
    if (status == 0) {
        status = dms_snapshot_read_packed(piece->source->snapshot, block->group, described->column,
                                          place.row, 1, described->tile_first,
                                          described->tile_targets, scratch->data);
    }
    *row = scratch->data;
    return status;
}

static int get_row(const struct dms_piece *piece, size_t part, struct dms_row_place place,
                   struct dms_buffer *scratch, const uint8_t **row)
{
    if (!piece->views) {
        return find_row(piece, part, place, scratch, row);
    }
    struct dms_row_view view = piece->views[(size_t)place.block * piece->source->part_ct + part];
    *row = view.rows + place.row * view.stride;
    return 0;
}

static void prefetch_row(const struct dms_piece *piece, size_t part, struct dms_row_place place)
{
    if (piece->views) {
        struct dms_row_view view =
            piece->views[(size_t)place.block * piece->source->part_ct + part];
        const uint8_t *row = view.rows + place.row * view.stride;
        for (size_t byte = 0; byte < PREFETCHED_BYTES; byte += 64) {
            __builtin_prefetch(row + byte);
        }
    }
}

/* Points to the masks where they are when the batch is a run of rows of one chunk with the stride
 * that is promised. */
static bool use_in_place(const struct dms_piece *piece, struct dms_batch_buffers *buffers)
{
    buffers->masks_in_place = NULL;
    if (!piece->is_whole || !piece->views || piece->window->shuffled) {
        return false;
    }
    struct dms_row_place first = buffers->places[0];
    struct dms_row_place last = buffers->places[piece->row_ct - 1];
    struct dms_row_view view = piece->views[(size_t)first.block * piece->source->part_ct];
    if (first.block != last.block || last.row - first.row != piece->row_ct - 1 ||
        view.stride % 8 != 0 || (uintptr_t)view.rows % 8 != 0 || !view.outlives_window) {
        return false;
    }
    buffers->masks_in_place = view.rows + first.row * view.stride;
    buffers->stride_in_place = view.stride;
    return true;
}

static int gather_masks(const struct dms_batch_shape *shape, const struct dms_piece *piece,
                        struct dms_buffer *scratch, struct dms_batch_buffers *buffers)
{
    size_t stride = shape->mask_stride_bytes;
    size_t bytes = shape->mask_row_bytes;
    const struct dms_row_place *places = buffers->places + piece->batch_row;
    uint8_t *to = buffers->masks + piece->batch_row * stride;
    for (uint32_t k = 0; k < piece->row_ct; k++, to += stride) {
        const uint8_t *row;
        int status = get_row(piece, 0, places[k], scratch, &row);
        if (status != 0) {
            return status;
        }
        if (k + 1 < piece->row_ct) {
            prefetch_row(piece, 0, places[k + 1]);
        }
        memcpy(to, row, bytes);
        memset(to + bytes, 0, stride - bytes);
    }
    return 0;
}

/* ---- outputs ---- */

/* Values on their way from one type to another go through here, a row's part at a time. */
struct conversion {
    enum dms_dtype from, to;
    float *floats; /* value_ct of them, when both are needed */
    uint8_t *flags;
};

static void to_floats(const struct conversion *conversion, const uint8_t *row,
                      const struct dms_part *part, float *to)
{
    const uint8_t *values = row + part->first_bit / 8;
    if (conversion->from == DMS_F16) {
        /* Rows may begin at any byte; the kernel takes them so. */
        dms_kernels_get()->f16_to_f32((const uint16_t *)(const void *)values, part->value_ct, to);
        return;
    }
    if (conversion->from == DMS_F32) {
        memcpy(to, values, part->value_ct * sizeof *to);
        return;
    }
    if (conversion->from == DMS_BOOL) {
        size_t skipped = part->first_bit % 8;
        dms_kernels_get()->unpack_bits(values, skipped + part->value_ct, conversion->flags);
        values = conversion->flags + skipped;
    }
    for (size_t k = 0; k < part->value_ct; k++) {
        to[k] = values[k];
    }
}

static void convert(const struct conversion *conversion, const uint8_t *row,
                    const struct dms_part *part, uint8_t *to)
{
    if (conversion->from == conversion->to) {
        memcpy(to, row + part->first_bit / 8,
               part->value_ct * (conversion->to == DMS_F16 ? sizeof(uint16_t) : sizeof(float)));
    } else if (conversion->to == DMS_F32) {
        to_floats(conversion, row, part, (float *)(void *)to);
    } else {
        to_floats(conversion, row, part, conversion->floats);
        dms_kernels_get()->f32_to_f16(conversion->floats, part->value_ct, (uint16_t *)(void *)to);
    }
}

/* Memory for a conversion, in scratch, with room for a staged row behind it. */
static int prepare_conversion(const struct dms_batch_shape *shape, const struct dms_part *part,
                              enum dms_dtype from, struct dms_buffer *memory,
                              struct conversion *conversion)
{
    dms_buffer_clear(memory);
    size_t float_bytes = part->value_ct * sizeof(float);
    int status = dms_buffer_reserve(memory, float_bytes + part->value_ct + 8);
    *conversion = (struct conversion){from, shape->dtype, (float *)(void *)memory->data,
                                      memory->data + float_bytes};
    return status;
}

static int gather_part(const struct dms_batch_shape *shape, const struct dms_piece *piece,
                       size_t part, struct dms_batch_scratch *scratch,
                       struct dms_batch_buffers *buffers)
{
    const struct dms_part *described = &piece->source->parts[part];
    const struct dms_row_place *places = buffers->places + piece->batch_row;
    size_t value_bytes = shape->dtype == DMS_F16 ? sizeof(uint16_t) : sizeof(float);
    size_t stride = shape->output_stride_values * value_bytes;
    uint8_t *to =
        buffers->outputs + piece->batch_row * stride + described->first_value * value_bytes;
    struct conversion conversion;
    int status = prepare_conversion(shape, described, piece->source->output->dtype,
                                    &scratch->values, &conversion);
    for (uint32_t k = 0; status == 0 && k < piece->row_ct; k++, to += stride) {
        const uint8_t *row;
        status = get_row(piece, part, places[k], &scratch->row, &row);
        if (k + 1 < piece->row_ct) {
            prefetch_row(piece, part, places[k + 1]);
        }
        if (status == 0) {
            convert(&conversion, row, described, to);
        }
    }
    return status;
}

/* Zeroes what stands between the values of a row and its stride. */
static void clear_output_padding(const struct dms_batch_shape *shape, const struct dms_piece *piece,
                                 struct dms_batch_buffers *buffers)
{
    size_t value_bytes = shape->dtype == DMS_F16 ? sizeof(uint16_t) : sizeof(float);
    size_t stride = shape->output_stride_values * value_bytes;
    size_t used = shape->output_values * value_bytes;
    uint8_t *row = buffers->outputs + piece->batch_row * stride;
    for (uint32_t k = 0; k < piece->row_ct && used < stride; k++, row += stride) {
        memset(row + used, 0, stride - used);
    }
}

/* ---- batches ---- */

int dms_batch_fill(const struct dms_batch_shape *shape, const struct dms_piece *piece,
                   struct dms_batch_scratch *scratch, struct dms_batch_buffers *buffers)
{
    locate_rows(piece, buffers);
    int status = 0;
    size_t part = 0;
    if (piece->source->has_masks) {
        part = 1;
        if (!use_in_place(piece, buffers)) {
            status = gather_masks(shape, piece, &scratch->row, buffers);
        }
    }
    for (; status == 0 && part < piece->source->part_ct; part++) {
        status = gather_part(shape, piece, part, scratch, buffers);
    }
    if (status == 0 && buffers->outputs) {
        clear_output_padding(shape, piece, buffers);
    }
    return status;
}

void dms_batch_finish(const struct dms_batch_shape *shape, uint32_t row_ct,
                      const struct dms_batch_buffers *buffers, struct dms_batch *batch)
{
    const uint8_t *masks = buffers->masks_in_place ? buffers->masks_in_place : buffers->masks;
    size_t stride = buffers->masks_in_place ? buffers->stride_in_place : shape->mask_stride_bytes;
    if (shape->mask_columns) {
        size_t example_ct = (size_t)shape->example_ct;
        dms_lane_variant_get()->transpose_bits(masks, row_ct, stride, example_ct, buffers->columns,
                                               example_ct);
    }
    batch->row_ct = row_ct;
    batch->ids = buffers->ids;
    batch->ranks = buffers->ranks;
    batch->masks = shape->masks ? masks : NULL;
    batch->mask_stride_bytes = shape->masks ? stride : 0;
    batch->mask_columns = buffers->columns;
    batch->outputs = buffers->outputs;
    batch->output_stride_values = buffers->outputs ? shape->output_stride_values : 0;
}
