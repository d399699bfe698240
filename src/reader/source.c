/*
 * The parts of blocks, from the snapshot. Staged rows have no chunks: they are copied out of their
 * batches, a whole block at once.
 */
#include "reader/source.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/schema.h"
#include "store/snapshot.h"

#include <inttypes.h>
#include <stdlib.h>

int dms_source_check_targets(const struct dms_column *column, uint64_t first, uint64_t count,
                             uint64_t *target_ct)
{
    if (column->kind != DMS_COLUMN_OUTPUT) {
        return dms_fail(DMS_ERR_INVALID, "column %s is no output", column->name);
    }
    if (first >= column->target_ct || count > column->target_ct - first) {
        return dms_fail(DMS_ERR_INVALID,
                        "%" PRIu64 " targets from %" PRIu64
                        " on are out of range: column %s has %" PRIu64,
                        count, first, column->name, column->target_ct);
    }
    *target_ct = count > 0 ? count : column->target_ct - first;
    return 0;
}

static struct dms_part make_part(const struct dms_column *column, uint32_t position, uint32_t tile,
                                 uint64_t first_target, uint64_t target_ct)
{
    uint64_t tile_first = (uint64_t)tile * column->tile_targets;
    uint64_t tile_targets = column->target_ct - tile_first;
    tile_targets = tile_targets < column->tile_targets ? tile_targets : column->tile_targets;
    uint64_t from = first_target > tile_first ? first_target : tile_first;
    uint64_t to = tile_first + tile_targets;
    to = to < first_target + target_ct ? to : first_target + target_ct;
    size_t first_bit =
        (size_t)((from - tile_first) * column->values_per_target) * column->element_bits;
    size_t value_ct = (size_t)((to - from) * column->values_per_target);
    return (struct dms_part){
        .column = position,
        .tile = tile,
        .tile_first = tile_first,
        .tile_targets = tile_targets,
        .row_bytes = (size_t)dms_column_packed_bytes(column, tile_targets),
        .first_bit = first_bit,
        .used_bytes = (first_bit % 8 + value_ct * column->element_bits + 7) / 8,
        .value_ct = value_ct,
        .first_value = (size_t)((from - first_target) * column->values_per_target),
    };
}

int dms_source_open(dms_snapshot *snapshot, bool has_masks, uint32_t column, uint64_t first_target,
                    uint64_t target_ct, struct dms_source *source)
{
    const struct dms_schema *schema = dms_snapshot_schema(snapshot);
    const struct dms_column *output = column ? &schema->columns[column] : NULL;
    uint32_t first_tile = output ? (uint32_t)(first_target / output->tile_targets) : 0;
    uint32_t end_tile =
        output ? (uint32_t)((first_target + target_ct - 1) / output->tile_targets) + 1 : 0;
    struct dms_source made = {.snapshot = snapshot, .output = output, .has_masks = has_masks};
    made.parts = dms_alloc((size_t)(end_tile - first_tile) + 1, sizeof *made.parts);
    if (!made.parts) {
        return DMS_ERR_NO_MEMORY;
    }
    if (has_masks) {
        made.parts[made.part_ct++] = make_part(&schema->columns[DMS_SCHEMA_MASK_COLUMN],
                                               DMS_SCHEMA_MASK_COLUMN, 0, 0, schema->example_ct);
    }
    for (uint32_t tile = first_tile; tile < end_tile; tile++) {
        made.parts[made.part_ct++] = make_part(output, column, tile, first_target, target_ct);
    }
    *source = made;
    return 0;
}

void dms_source_clear(struct dms_source *source)
{
    dms_warm_close(source->warm);
    free(source->parts);
    *source = (struct dms_source){0};
}

/* The rows of a part in the cache of decoded chunks, or DMS_END. */
static int find_warm(const struct dms_source *source, const struct dms_row_block *block,
                     size_t part, struct dms_row_view *view)
{
    const struct dms_part *described = &source->parts[part];
    view->outlives_window = true;
    return source->warm ? dms_warm_rows(source->warm, block->group, described->column,
                                        described->tile, &view->rows, &view->stride)
                        : DMS_END;
}

int dms_source_decoded_bytes(const struct dms_source *source, const struct dms_row_block *block,
                             size_t part, size_t *bytes)
{
    const struct dms_part *described = &source->parts[part];
    bool in_place = false;
    int status = 0;
    if (!block->staged) {
        status = dms_snapshot_is_raw(source->snapshot, block->group, described->column,
                                     described->tile, &in_place);
    }
    if (status == 0 && !block->staged && !in_place && source->warm) {
        /* Without a look at the rows: that would read all of the cache when a reader is opened. */
        status =
            dms_warm_has(source->warm, block->group, described->column, described->tile, &in_place);
    }
    if (status == 0) {
        *bytes = in_place ? 0 : described->row_bytes * block->row_ct;
    }
    return status;
}

int dms_source_map(const struct dms_source *source, const struct dms_row_block *block, size_t part,
                   struct dms_row_view *view)
{
    const struct dms_part *described = &source->parts[part];
    struct dms_mapped_rows rows;
    if (block->staged) {
        return DMS_END;
    }
    int status = find_warm(source, block, part, view);
    if (status != DMS_END) {
        return status;
    }
    status = dms_snapshot_map_rows(source->snapshot, block->group, described->column,
                                   described->tile, 1, &rows);
    if (status == 0) {
        *view = (struct dms_row_view){rows.rows, rows.stride, true};
    }
    return status;
}

int dms_source_map_outputs(const struct dms_source *source, const struct dms_row_block *block,
                           struct dms_mapped_rows *rows)
{
    size_t first = source->has_masks;
    int status = 0;
    if (!source->warm && !block->staged) {
        return dms_snapshot_map_rows(source->snapshot, block->group, source->parts[first].column,
                                     source->parts[first].tile, source->part_ct - first, rows);
    }
    for (size_t part = first; status == 0 && part < source->part_ct; part++) {
        struct dms_row_view view;
        status = dms_source_map(source, block, part, &view);
        if (status == 0) {
            rows[part - first] = (struct dms_mapped_rows){view.rows, view.stride};
        }
    }
    return status;
}

int dms_source_refuse_random(const struct dms_source *source, const struct dms_row_block *block,
                             size_t part)
{
    const struct dms_part *described = &source->parts[part];
    const struct dms_schema *schema = dms_snapshot_schema(source->snapshot);
    struct dms_group_info info;
    int status = dms_snapshot_group(source->snapshot, block->group, &info);
    return status ? status
                  : dms_fail(DMS_ERR_UNSUPPORTED,
                             "chunk %" PRIu32 " of column %s in group %" PRIu64
                             " is compressed: its rows cannot be read in random order; use "
                             "quasi-random order, or run 'dmstore warm'",
                             described->tile, schema->columns[described->column].name, info.id);
}

/* Copies the rows of every batch of a block. */
static int copy_staged(const struct dms_source *source, const struct dms_row_block *block,
                       const struct dms_part *part, uint8_t *rows)
{
    int status = 0;
    for (size_t group = block->group; status == 0 && group < block->group + block->group_ct;
         group++) {
        struct dms_group_info info;
        status = dms_snapshot_group(source->snapshot, group, &info);
        if (status == 0) {
            status = dms_snapshot_read_packed(source->snapshot, group, part->column, 0, info.row_ct,
                                              part->tile_first, part->tile_targets, rows);
            rows += (size_t)info.row_ct * part->row_bytes;
        }
    }
    return status;
}

int dms_source_decode(const struct dms_source *source, const struct dms_row_block *block,
                      size_t part, struct dms_buffer *scratch, struct dms_buffer *rows,
                      struct dms_row_view *view)
{
    const struct dms_part *described = &source->parts[part];
    size_t bytes = described->row_bytes * block->row_ct;
    if (rows->capacity < bytes) {
        /* What was in it is of no use, and growing in steps would take more than was counted. */
        dms_buffer_free(rows);
    }
    int status = dms_buffer_reserve(rows, bytes);
    if (status == 0 && block->staged) {
        status = copy_staged(source, block, described, rows->data);
    } else if (status == 0) {
        status = dms_snapshot_decode_rows(source->snapshot, block->group, described->column,
                                          described->tile, scratch, rows->data);
    }
    if (status == 0) {
        *view = (struct dms_row_view){rows->data, described->row_bytes, false};
    }
    return status;
}

int dms_source_check_length(const struct dms_source *source, const struct dms_row_block *block,
                            size_t part)
{
    const struct dms_part *described = &source->parts[part];
    struct dms_row_view view;
    if (block->staged) {
        return 0;
    }
    return find_warm(source, block, part, &view) == 0
               ? dms_warm_check_length(source->warm)
               : dms_snapshot_check_chunk_length(source->snapshot, block->group, described->column,
                                                 described->tile);
}

int dms_source_check_maps(const struct dms_source *source)
{
    int status = source->warm ? dms_warm_check_length(source->warm) : 0;
    return status ? status : dms_snapshot_check_maps(source->snapshot);
}
