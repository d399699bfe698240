/*
 * Gathering rows. First the places of all rows of a piece are worked out, then each part is copied
 * row by row, with the next row's first lines on their way into the cache. A mapped file may become
 * shorter meanwhile: a page that is gone raises SIGBUS, which ends the guarded copying; the rest of
 * a last page reads as zeros, which the comparison of lengths afterwards finds.
 */
#include "reader/gather.h"

#include "base/error.h"
#include "base/fault.h"
#include "kernels/kernels.h"
#include "store/snapshot.h"

#include <string.h>

/* Of a row that comes next; the processor goes on by itself from there. */
enum { PREFETCHED_BYTES = 16 * 64 };

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
            status = dms_source_refuse_random(piece->source, block, part);
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

static void prefetch_row(const struct dms_part *part, const uint8_t *row)
{
    row += part->first_bit / 8;
    for (size_t byte = 0; byte < part->used_bytes && byte < PREFETCHED_BYTES; byte += 64) {
        __builtin_prefetch(row + byte);
    }
}

/* A row whose turn comes next, on its way into the cache; NULL: it is not in place, or there is
 * none: get_row will tell. */
static const uint8_t *peek_row(const struct dms_piece *piece, size_t part,
                               struct dms_row_place place)
{
    const struct dms_row_block *block =
        &piece->table->blocks[dms_window_block(piece->window, place.block)];
    struct dms_row_view view;
    if (piece->views) {
        view = piece->views[(size_t)place.block * piece->source->part_ct + part];
    } else if (dms_source_map(piece->source, block, part, &view) != 0) {
        return NULL;
    }
    const uint8_t *row = view.rows + place.row * view.stride;
    prefetch_row(&piece->source->parts[part], row);
    return row;
}

/* Points to the masks where they are when the batch is a run of rows of one chunk with the stride
 * that is promised. */
static bool use_in_place(const struct dms_batch_shape *shape, const struct dms_piece *piece,
                         struct dms_batch_buffers *buffers)
{
    if (shape->memory.allocate || !piece->is_whole || !piece->views || piece->window->shuffled) {
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
    const uint8_t *next = NULL;
    for (uint32_t k = 0; k < piece->row_ct; k++, to += stride) {
        const uint8_t *row = next;
        int status = row ? 0 : get_row(piece, 0, places[k], scratch, &row);
        if (status != 0) {
            return status;
        }
        next = k + 1 < piece->row_ct ? peek_row(piece, 0, places[k + 1]) : NULL;
        memcpy(to, row, bytes);
        memset(to + bytes, 0, stride - bytes);
    }
    return 0;
}

/* ---- outputs ---- */

/* Values on their way from one type to another go through here, a row's part at a time. */
struct conversion {
    enum dms_dtype from, to;
    size_t bytes;  /* of a value that is delivered */
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

/* Memory for conversions of the largest part: floats, and behind them the bits that are unpacked,
 * those of the first byte that were not asked for included. */
static int prepare_conversion(const struct dms_batch_shape *shape, const struct dms_source *source,
                              struct dms_buffer *memory, struct conversion *conversion)
{
    size_t value_ct = 0;
    for (size_t part = source->has_masks; part < source->part_ct; part++) {
        if (source->parts[part].value_ct > value_ct) {
            value_ct = source->parts[part].value_ct;
        }
    }
    dms_buffer_clear(memory);
    size_t float_bytes = value_ct * sizeof(float);
    int status = dms_buffer_reserve(memory, float_bytes + value_ct + 8);
    *conversion = (struct conversion){
        .from = source->output->dtype,
        .to = shape->dtype,
        .bytes = shape->dtype == DMS_F16 ? sizeof(uint16_t) : sizeof(float),
        .floats = (float *)(void *)memory->data,
        .flags = memory->data + float_bytes,
    };
    return status;
}

/* Where the parts of a row are: rows of each, of which it is one. NULL: they have to be looked up
 * one by one, since one is not in place, or none can be found. */
static struct dms_mapped_rows *look_up(const struct dms_piece *piece, struct dms_row_place place,
                                       struct dms_mapped_rows *rows)
{
    const struct dms_source *source = piece->source;
    size_t first = source->has_masks;
    if (!piece->views) {
        const struct dms_row_block *block =
            &piece->table->blocks[dms_window_block(piece->window, place.block)];
        return !block->staged && dms_source_map_outputs(source, block, rows) == 0 ? rows : NULL;
    }
    const struct dms_row_view *views = piece->views + (size_t)place.block * source->part_ct;
    for (size_t part = first; part < source->part_ct; part++) {
        rows[part - first] = (struct dms_mapped_rows){views[part].rows, views[part].stride};
    }
    return rows;
}

/* One row: while its parts are copied, those of the next one are on their way. */
static int gather_row(const struct dms_piece *piece, const struct conversion *conversion,
                      const struct dms_row_place *place, const struct dms_mapped_rows *rows,
                      const struct dms_mapped_rows *next, struct dms_buffer *scratch, uint8_t *to)
{
    const struct dms_source *source = piece->source;
    size_t first = source->has_masks;
    int status = 0;
    for (size_t part = first; status == 0 && part < source->part_ct; part++) {
        const struct dms_part *described = &source->parts[part];
        const uint8_t *row;
        if (next) {
            const struct dms_mapped_rows *there = &next[part - first];
            prefetch_row(described, there->rows + place[1].row * there->stride);
        }
        if (rows) {
            row = rows[part - first].rows + place->row * rows[part - first].stride;
        } else {
            status = get_row(piece, part, *place, scratch, &row);
        }
        if (status == 0) {
            convert(conversion, row, described, to + described->first_value * conversion->bytes);
        }
    }
    return status;
}

static int gather_outputs(const struct dms_batch_shape *shape, const struct dms_piece *piece,
                          struct dms_batch_scratch *scratch, struct dms_batch_buffers *buffers)
{
    const struct dms_source *source = piece->source;
    const struct dms_row_place *places = buffers->places + piece->batch_row;
    struct conversion conversion;
    int status = prepare_conversion(shape, source, &scratch->values, &conversion);
    if (status == 0) {
        dms_buffer_clear(&scratch->ahead);
        status = dms_buffer_reserve(&scratch->ahead,
                                    2 * source->part_ct * sizeof(struct dms_mapped_rows));
    }
    if (status != 0) {
        return status;
    }
    size_t stride = shape->output_stride_values * conversion.bytes;
    uint8_t *to = buffers->outputs + piece->batch_row * stride;
    struct dms_mapped_rows *rooms = (struct dms_mapped_rows *)(void *)scratch->ahead.data;
    const struct dms_mapped_rows *rows = look_up(piece, places[0], rooms), *next;
    for (uint32_t k = 0; status == 0 && k < piece->row_ct; k++, to += stride, rows = next) {
        struct dms_mapped_rows *room = k % 2 == 0 ? rooms + source->part_ct : rooms;
        next = k + 1 < piece->row_ct ? look_up(piece, places[k + 1], room) : NULL;
        status = gather_row(piece, &conversion, &places[k], rows, next, &scratch->row, to);
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

/* ---- pieces ---- */

static int fill(const struct dms_batch_shape *shape, const struct dms_piece *piece,
                struct dms_batch_scratch *scratch, struct dms_batch_buffers *buffers)
{
    int status = 0;
    if (piece->source->has_masks && !use_in_place(shape, piece, buffers)) {
        status = gather_masks(shape, piece, &scratch->row, buffers);
    }
    if (status == 0 && shape->mask_columns && piece->is_whole) {
        /* Here, where reading the map is guarded, and while the rows are in the cache. */
        dms_batch_transpose(shape, piece->row_ct, buffers);
    }
    if (status == 0 && buffers->outputs) {
        status = gather_outputs(shape, piece, scratch, buffers);
        clear_output_padding(shape, piece, buffers);
    }
    return status;
}

struct guarded_fill {
    const struct dms_batch_shape *shape;
    const struct dms_piece *piece;
    struct dms_batch_scratch *scratch;
    struct dms_batch_buffers *buffers;
    int status;
};

static void fill_guarded(void *context)
{
    struct guarded_fill *call = context;
    call->status = fill(call->shape, call->piece, call->scratch, call->buffers);
}

/* The first chunk of the piece, in the order of its rows, that is no longer all there. */
static int find_truncated(const struct dms_piece *piece, const struct dms_batch_buffers *buffers)
{
    const struct dms_row_place *places = buffers->places + piece->batch_row;
    int status = 0;
    for (uint32_t k = 0; status == 0 && k < piece->row_ct; k++) {
        const struct dms_row_block *block =
            &piece->table->blocks[dms_window_block(piece->window, places[k].block)];
        for (size_t part = 0; status == 0 && part < piece->source->part_ct; part++) {
            status = dms_source_check_length(piece->source, block, part);
        }
    }
    return status;
}

int dms_gather(const struct dms_batch_shape *shape, const struct dms_piece *piece,
               struct dms_batch_scratch *scratch, struct dms_batch_buffers *buffers)
{
    struct guarded_fill call = {shape, piece, scratch, buffers, 0};
    const void *address;
    locate_rows(piece, buffers);
    if (!dms_fault_run(fill_guarded, &call, &address)) {
        int status = find_truncated(piece, buffers);
        return status ? status
                      : dms_fail(DMS_ERR_IO,
                                 "the system could not read a page of a mapped file of the store "
                                 "(SIGBUS at %p): see its log for what became of the disk",
                                 address);
    }
    if (call.status == 0 && dms_source_check_maps(piece->source) != 0) {
        return find_truncated(piece, buffers);
    }
    return call.status;
}
