/*
 * Writing a group: see group_writer.h. Memory is bounded by handling a column in strips of whole
 * tiles.
 */
#include "store/group_writer.h"

#include "base/alloc.h"
#include "base/error.h"
#include "dmstore/convert.h"
#include "dmstore/sample.h"
#include "dmstore/snapshot.h"
#include "format/ids.h"
#include "format/schema.h"
#include "store/codec.h"
#include "store/sums.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    STRIP_BYTES = 64 << 20, /* of values held at a time */
    ROW_BLOCK = 32,         /* rows that a task reads from the source */
    COUNT_BITS = 8192,      /* examples that a task counts */
};

/* ---- edit lists ---- */

int dms_edit_list_add(struct dms_edit_list *list, const struct dms_edit *edit, void *memory)
{
    int status =
        dms_grow((void **)&list->edits, &list->capacity, list->edit_ct + 1, sizeof *list->edits);
    if (status == 0 && memory) {
        status = dms_grow((void **)&list->owned, &list->owned_capacity, list->owned_ct + 1,
                          sizeof *list->owned);
    }
    if (status != 0) {
        free(memory);
        return status;
    }
    list->edits[list->edit_ct++] = *edit;
    if (memory) {
        list->owned[list->owned_ct++] = memory;
    }
    return 0;
}

void dms_edit_list_clear(struct dms_edit_list *list)
{
    for (size_t k = 0; k < list->owned_ct; k++) {
        free(list->owned[k]);
    }
    free(list->owned);
    free(list->edits);
    *list = (struct dms_edit_list){0};
}

/* ---- one column ---- */

/* A column on its way into a group. */
struct column_job {
    const struct dms_group_plan *plan;
    const struct dms_column *column;
    uint32_t column_index;      /* in the source */
    const uint8_t *present;     /* bits; NULL: all rows */
    struct dms_exact_sum *sums; /* NULL: not wanted */
    /* The strip at hand: row_ct x (strip_targets x values per target) values as in memory. */
    uint64_t strip_first, strip_targets;
    size_t strip_row_bytes;
    uint8_t *strip;
    uint64_t block_targets;           /* targets that one read asks for */
    uint32_t block_rows;              /* rows likewise */
    struct dms_encoded_chunk *chunks; /* of the strip's tiles */
};

static uint32_t least(uint64_t a, uint64_t b)
{
    return (uint32_t)(a < b ? a : b);
}

/* How many of the rows from `row` on stand one after another in the source. */
static uint32_t contiguous_rows(const struct dms_group_plan *plan, uint32_t row, uint32_t end_row)
{
    uint32_t count = 1;
    while (row + count < end_row &&
           plan->source_rows[row + count] == plan->source_rows[row] + count) {
        count++;
    }
    return count;
}

/* Reads a block of rows and targets of the strip. When the block is narrower than the strip,
 * through a buffer. */
static int read_block(const struct column_job *job, uint32_t row, uint32_t end_row, uint64_t first,
                      uint64_t target_ct)
{
    const struct dms_row_source *source = job->plan->source->rows;
    size_t target_bytes =
        dms_column_value_bytes(job->column) * (size_t)job->column->values_per_target;
    size_t piece_bytes = (size_t)target_ct * target_bytes;
    uint8_t *piece = NULL;
    int status = 0;
    if (piece_bytes != job->strip_row_bytes) {
        piece = dms_alloc_aligned(64, piece_bytes * (end_row - row) + 1);
        if (!piece) {
            return DMS_ERR_NO_MEMORY;
        }
    }
    while (status == 0 && row < end_row) {
        uint32_t count = contiguous_rows(job->plan, row, end_row);
        uint8_t *to = job->strip + row * job->strip_row_bytes +
                      (size_t)(first - job->strip_first) * target_bytes;
        status =
            source->read_values(source->context, job->column_index, job->plan->source_rows[row],
                                count, first, target_ct, piece ? piece : to);
        for (uint32_t k = 0; status == 0 && piece && k < count; k++) {
            memcpy(to + k * job->strip_row_bytes, piece + k * piece_bytes, piece_bytes);
        }
        row += count;
    }
    free(piece);
    return status;
}

static int read_task(void *context, size_t index)
{
    const struct column_job *job = context;
    size_t blocks_across =
        (size_t)((job->strip_targets + job->block_targets - 1) / job->block_targets);
    uint32_t row = (uint32_t)(index / blocks_across) * job->block_rows;
    uint64_t offset = index % blocks_across * job->block_targets;
    uint32_t end_row = least((uint64_t)row + job->block_rows, job->plan->row_ct);
    return read_block(job, row, end_row, job->strip_first + offset,
                      least(job->block_targets, job->strip_targets - offset));
}

static bool has_value(const struct column_job *job, uint32_t row)
{
    return !job->present || (job->present[row >> 3] >> (row & 7) & 1);
}

/* Copies a tile out of the strip, in the store's packed form. Absent rows become zero. */
static int gather_tile(const struct column_job *job, uint64_t first, uint64_t target_ct,
                       uint8_t *rows)
{
    const struct dms_column *column = job->column;
    size_t value_bytes = dms_column_value_bytes(column);
    size_t value_ct = (size_t)(target_ct * column->values_per_target);
    size_t row_bytes = (size_t)dms_column_packed_bytes(column, target_ct);
    size_t offset = (size_t)((first - job->strip_first) * column->values_per_target) * value_bytes;
    for (uint32_t row = 0; row < job->plan->row_ct; row++) {
        const uint8_t *from = job->strip + row * job->strip_row_bytes + offset;
        uint8_t *to = rows + row * row_bytes;
        if (!has_value(job, row)) {
            memset(to, 0, row_bytes);
        } else if (column->dtype != DMS_BOOL) {
            memcpy(to, from, row_bytes);
        } else if (dms_kernels_get()->pack_bits(from, value_ct, to) > 1) {
            return dms_fail(DMS_ERR_INVALID,
                            "column %s: a bool value of model %" PRIu64 " is neither 0 nor 1",
                            column->name, job->plan->ids ? job->plan->ids[row] : 0);
        }
    }
    return 0;
}

static void add_sums(const struct column_job *job, uint64_t first, uint64_t target_ct,
                     const uint8_t *rows)
{
    const struct dms_column *column = job->column;
    size_t value_ct = (size_t)(target_ct * column->values_per_target);
    size_t row_bytes = (size_t)dms_column_packed_bytes(column, target_ct);
    struct dms_exact_sum *sums = job->sums + first * column->values_per_target;
    if (!job->present) {
        dms_sums_add(column->dtype, rows, job->plan->row_ct, row_bytes, value_ct, sums);
        return;
    }
    for (uint32_t row = 0; row < job->plan->row_ct; row++) {
        if (has_value(job, row)) {
            dms_sums_add(column->dtype, rows + row * row_bytes, 1, row_bytes, value_ct, sums);
        }
    }
}

static int encode_task(void *context, size_t index)
{
    struct column_job *job = context;
    const struct dms_column *column = job->column;
    uint64_t first = job->strip_first + index * column->tile_targets;
    uint64_t target_ct = least(column->tile_targets, job->strip_first + job->strip_targets - first);
    size_t row_bytes = (size_t)dms_column_packed_bytes(column, target_ct);
    uint8_t *rows = dms_alloc_aligned(64, row_bytes * job->plan->row_ct);
    if (!rows) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = gather_tile(job, first, target_ct, rows);
    if (status == 0 && job->sums) {
        add_sums(job, first, target_ct, rows);
    }
    if (status == 0) {
        struct dms_tile tile = {
            .column = column,
            .group = job->plan->group,
            .row_ct = job->plan->row_ct,
            .first_target = first,
            .target_ct = target_ct,
            .rows = rows,
        };
        status = dms_chunk_encode(&tile, job->plan->codec, &job->chunks[index]);
    }
    free(rows);
    return status;
}

/* ---- directories ---- */

/* What is written of a column so far. */
struct directory {
    struct dms_buffer entries;
    uint32_t tile_ct;
    uint64_t stored_bytes;
};

/* Writes a chunk to the segment and notes it; releases its memory. */
static int write_chunk(struct dms_segment_writer *writer, struct dms_encoded_chunk *chunk,
                       struct directory *directory)
{
    int status = dms_segment_add_framed(writer, &chunk->block, chunk->framed);
    free(chunk->framed);
    chunk->framed = NULL;
    if (status != 0) {
        return status;
    }
    uint8_t entry[DMS_DIRECTORY_ENTRY_BYTES];
    dms_store_u64(entry, chunk->block.offset);
    dms_store_u64(entry + 8, chunk->block.payload_bytes);
    dms_store_u64(entry + 16, chunk->block.payload_hash);
    dms_store_u64(entry + 24, chunk->block.header_hash);
    directory->tile_ct++;
    directory->stored_bytes += dms_block_extent(&chunk->block);
    return dms_buffer_append(&directory->entries, entry, sizeof entry);
}

/* Writes the directory block and adds the set-column edit. present: NULL when all rows have values.
 */
static int write_directory(const struct dms_group_plan *plan, const struct dms_column *column,
                           const uint8_t *present, struct directory *directory,
                           struct dms_segment_writer *writer, struct dms_edit_list *edits)
{
    struct dms_buffer payload = {0};
    size_t bitmap_bytes = ((size_t)plan->row_ct + 7) / 8;
    uint32_t present_ct =
        present ? (uint32_t)dms_kernels_get()->popcount(present, bitmap_bytes) : plan->row_ct;
    int status = 0;
    if (present_ct < plan->row_ct) {
        status = dms_buffer_append(&payload, present, bitmap_bytes);
        status = status ? status : dms_buffer_align(&payload, 8);
    }
    status = status ? status
                    : dms_buffer_append(&payload, directory->entries.data, directory->entries.size);
    struct dms_block block = {
        .type = DMS_BLOCK_DIRECTORY,
        .directory = {plan->group, column->id, plan->row_ct, directory->tile_ct, present_ct,
                      column->tile_targets},
    };
    status = status ? status : dms_segment_add(writer, &block, payload.data, payload.size);
    if (status == 0) {
        struct dms_edit edit = {
            .type = DMS_EDIT_SET_COLUMN,
            .set_column = {plan->group, column->id, present_ct, block.offset, block.header_hash,
                           directory->stored_bytes + dms_block_extent(&block)},
        };
        status = dms_edit_list_add(edits, &edit, NULL);
    }
    dms_buffer_free(&payload);
    return status;
}

/* ---- output and scalar columns ---- */

/* Reads, encodes and writes one strip of a column. */
static int write_strip(struct column_job *job, struct dms_pool *pool,
                       struct dms_segment_writer *writer, struct directory *directory)
{
    uint32_t row_ct = job->plan->row_ct;
    size_t blocks_across =
        (size_t)((job->strip_targets + job->block_targets - 1) / job->block_targets);
    size_t blocks_down = (row_ct + job->block_rows - 1) / job->block_rows;
    size_t tile_ct =
        (size_t)((job->strip_targets + job->column->tile_targets - 1) / job->column->tile_targets);
    job->chunks = dms_alloc(tile_ct, sizeof *job->chunks);
    if (!job->chunks) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = dms_pool_run(pool, blocks_across * blocks_down, read_task, job);
    if (status == 0) {
        status = dms_pool_run(pool, tile_ct, encode_task, job);
    }
    for (size_t tile = 0; status == 0 && tile < tile_ct; tile++) {
        status = write_chunk(writer, &job->chunks[tile], directory);
    }
    for (size_t tile = 0; tile < tile_ct; tile++) {
        free(job->chunks[tile].framed);
    }
    free(job->chunks);
    job->chunks = NULL;
    return status;
}

/* How wide strips are and in which blocks the source is asked. */
static void plan_strips(struct column_job *job, uint64_t *strip_targets)
{
    const struct dms_column *column = job->column;
    size_t target_bytes = dms_column_value_bytes(column) * (size_t)column->values_per_target;
    uint64_t tile_bytes = (uint64_t)column->tile_targets * target_bytes * job->plan->row_ct;
    uint64_t tile_ct = STRIP_BYTES / tile_bytes;
    *strip_targets = (tile_ct > 0 ? tile_ct : 1) * column->tile_targets;
    job->block_targets = job->plan->source->by_tile ? column->tile_targets : *strip_targets;
    job->block_rows = job->plan->source->by_tile ? job->plan->row_ct : ROW_BLOCK;
}

static int write_values(struct column_job *job, struct dms_pool *pool,
                        struct dms_segment_writer *writer, struct dms_edit_list *edits)
{
    const struct dms_column *column = job->column;
    struct directory directory = {0};
    uint64_t strip_targets;
    int status = 0;
    plan_strips(job, &strip_targets);
    if (strip_targets > column->target_ct) {
        strip_targets = column->target_ct;
    }
    size_t target_bytes = dms_column_value_bytes(column) * (size_t)column->values_per_target;
    job->strip = dms_alloc_aligned(64, (size_t)strip_targets * target_bytes * job->plan->row_ct);
    if (!job->strip) {
        return DMS_ERR_NO_MEMORY;
    }
    for (uint64_t first = 0; status == 0 && first < column->target_ct; first += strip_targets) {
        job->strip_first = first;
        job->strip_targets = least(strip_targets, column->target_ct - first);
        job->strip_row_bytes = (size_t)job->strip_targets * target_bytes;
        status = write_strip(job, pool, writer, &directory);
    }
    if (status == 0) {
        status = write_directory(job->plan, column, job->present, &directory, writer, edits);
    }
    dms_buffer_free(&directory.entries);
    free(job->strip);
    return status;
}

static bool is_any(const uint8_t *bits, size_t bytes)
{
    for (size_t k = 0; k < bytes; k++) {
        if (bits[k] != 0) {
            return true;
        }
    }
    return false;
}

static int write_column(const struct dms_group_plan *plan, uint32_t column_index,
                        struct dms_pool *pool, struct dms_segment_writer *writer,
                        struct dms_edit_list *edits, struct dms_totals *totals)
{
    uint32_t position = plan->source->rows->columns[column_index];
    struct column_job job = {
        .plan = plan, .column = &plan->schema->columns[position], .column_index = column_index};
    size_t bitmap_bytes = ((size_t)plan->row_ct + 7) / 8;
    uint8_t *present = NULL;
    int status = 0;
    if (plan->source->read_presence) {
        present = dms_alloc(bitmap_bytes, 1);
        status = present ? plan->source->read_presence(plan->source->rows->context, column_index,
                                                       plan->source_rows, plan->row_ct, present)
                         : DMS_ERR_NO_MEMORY;
        if (status != 0 || !is_any(present, bitmap_bytes)) {
            goto out;
        }
        job.present = present;
    }
    if (totals && job.column->kind == DMS_COLUMN_OUTPUT) {
        job.sums = dms_totals_sums(totals, plan->schema, position);
        status = job.sums ? 0 : DMS_ERR_NO_MEMORY;
    }
    if (status == 0) {
        status = write_values(&job, pool, writer, edits);
    }
out:
    free(present);
    return status;
}

/* ---- masks and ids ---- */

struct mask_job {
    const struct dms_group_plan *plan;
    size_t mask_bytes;
    uint8_t *masks; /* row_ct x mask_bytes */
    uint32_t block_rows;
    uint32_t *counts;
};

static int read_masks_task(void *context, size_t index)
{
    const struct mask_job *job = context;
    const struct dms_row_source *source = job->plan->source->rows;
    uint32_t row = (uint32_t)index * job->block_rows;
    uint32_t end_row = least((uint64_t)row + job->block_rows, job->plan->row_ct);
    uint8_t tail = job->plan->schema->example_ct % 8
                       ? (uint8_t)(0xFF << job->plan->schema->example_ct % 8)
                       : 0;
    while (row < end_row) {
        uint32_t count = contiguous_rows(job->plan, row, end_row);
        uint8_t *to = job->masks + row * job->mask_bytes;
        int status = source->read_masks(source->context, job->plan->source_rows[row], count, to);
        if (status != 0) {
            return status;
        }
        for (uint32_t k = 0; k < count; k++) {
            if (to[(k + 1) * job->mask_bytes - 1] & tail) {
                return dms_fail(DMS_ERR_INVALID,
                                "mask of model %" PRIu64 " has bits set after the last of %" PRIu64
                                " examples",
                                job->plan->ids[row + k], job->plan->schema->example_ct);
            }
        }
        row += count;
    }
    return 0;
}

static int count_task(void *context, size_t index)
{
    const struct mask_job *job = context;
    size_t first = index * COUNT_BITS;
    size_t bit_ct = least(COUNT_BITS, job->plan->schema->example_ct - first);
    dms_kernels_get()->count_columns(job->masks + first / 8, job->plan->row_ct, job->mask_bytes,
                                     bit_ct, job->counts + first);
    return 0;
}

/* Draws the masks that the source claims and compares them. */
static int check_claim(const struct mask_job *job, uint8_t *entries)
{
    const struct dms_group_plan *plan = job->plan;
    const struct dms_sampling *claim = plan->source->rows->sampling;
    uint8_t *drawn = dms_alloc(job->mask_bytes, 1);
    int status = drawn ? 0 : DMS_ERR_NO_MEMORY;
    for (uint32_t row = 0; status == 0 && row < plan->row_ct; row++) {
        status = dms_sample_mask(plan->schema->example_ct, claim->subset_size, claim->seed,
                                 plan->ids[row], drawn);
        if (status == 0 &&
            memcmp(drawn, job->masks + row * job->mask_bytes, job->mask_bytes) != 0) {
            status = dms_fail(
                DMS_ERR_INVALID,
                "mask of model %" PRIu64 " is not the one that 'dmstore sample' draws (%" PRIu64
                " of %" PRIu64 " examples, seed %" PRIu64 ")",
                plan->ids[row], claim->subset_size, plan->schema->example_ct, claim->seed);
        }
        dms_sampled_entry_store(entries + (size_t)row * DMS_SAMPLED_ENTRY_BYTES, claim->seed,
                                (uint32_t)claim->subset_size);
    }
    free(drawn);
    return status;
}

/* The sampled entries of all rows in new memory, or NULL when the masks are to be stored as bits.
 */
static int find_sampling(const struct mask_job *job, uint8_t **entries)
{
    const struct dms_group_plan *plan = job->plan;
    *entries = NULL;
    if (!plan->source->read_sampling && !plan->source->rows->sampling) {
        return 0;
    }
    uint8_t *made = dms_alloc(plan->row_ct, DMS_SAMPLED_ENTRY_BYTES);
    if (!made) {
        return DMS_ERR_NO_MEMORY;
    }
    bool all_sampled = true;
    int status = plan->source->read_sampling
                     ? plan->source->read_sampling(plan->source->rows->context, plan->source_rows,
                                                   plan->row_ct, made, &all_sampled)
                     : check_claim(job, made);
    if (status != 0 || !all_sampled) {
        free(made);
        return status;
    }
    *entries = made;
    return 0;
}

static int write_one_chunk(const struct dms_group_plan *plan, const struct dms_tile *tile,
                           struct dms_segment_writer *writer, struct dms_edit_list *edits)
{
    struct dms_encoded_chunk chunk = {0};
    struct directory directory = {0};
    int status = dms_chunk_encode(tile, plan->codec, &chunk);
    if (status == 0) {
        status = write_chunk(writer, &chunk, &directory);
    }
    if (status == 0) {
        status = write_directory(plan, tile->column, NULL, &directory, writer, edits);
    }
    dms_buffer_free(&directory.entries);
    return status;
}

static int write_masks(const struct dms_group_plan *plan, struct dms_pool *pool,
                       struct dms_segment_writer *writer, struct dms_edit_list *edits,
                       struct dms_totals *totals)
{
    struct mask_job job = {
        .plan = plan,
        .mask_bytes = (size_t)(plan->schema->example_ct + 7) / 8,
        .block_rows = plan->source->by_tile ? plan->row_ct : ROW_BLOCK,
    };
    uint8_t *entries = NULL;
    job.masks = dms_alloc_aligned(64, job.mask_bytes * plan->row_ct);
    if (!job.masks) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = dms_pool_run(pool, (plan->row_ct + job.block_rows - 1) / job.block_rows,
                              read_masks_task, &job);
    if (status == 0 && totals) {
        job.counts = totals->counts;
        totals->has_counts = true;
        status =
            dms_pool_run(pool, (size_t)(plan->schema->example_ct + COUNT_BITS - 1) / COUNT_BITS,
                         count_task, &job);
    }
    if (status == 0) {
        status = find_sampling(&job, &entries);
    }
    if (status == 0) {
        struct dms_tile tile = {
            .column = &plan->schema->columns[DMS_SCHEMA_MASK_COLUMN],
            .group = plan->group,
            .row_ct = plan->row_ct,
            .target_ct = plan->schema->example_ct,
            .rows = job.masks,
            .sampled = entries,
        };
        status = write_one_chunk(plan, &tile, writer, edits);
    }
    free(entries);
    free(job.masks);
    return status;
}

/* Writes the model ids as a chunk and adds the add-group edit. */
static int write_ids(const struct dms_group_plan *plan, struct dms_segment_writer *writer,
                     struct dms_edit_list *edits)
{
    struct dms_buffer runs = {0};
    uint32_t run_bytes;
    uint8_t *rows = dms_alloc(plan->row_ct, 8);
    int status =
        rows ? dms_ids_encode(plan->ids, plan->row_ct, &runs, &run_bytes) : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        for (uint32_t row = 0; row < plan->row_ct; row++) {
            dms_store_u64(rows + (size_t)row * 8, plan->ids[row]);
        }
        struct dms_edit edit = {.type = DMS_EDIT_ADD_GROUP,
                                .add_group = {plan->group, plan->row_ct, run_bytes, runs.data}};
        uint8_t *runs_data = runs.data;
        runs = (struct dms_buffer){0};
        status = dms_edit_list_add(edits, &edit, runs_data);
        if (status == 0) {
            struct dms_tile tile = {
                .column = &plan->schema->columns[DMS_SCHEMA_ID_COLUMN],
                .group = plan->group,
                .row_ct = plan->row_ct,
                .target_ct = 1,
                .rows = rows,
                .runs = runs_data,
                .run_bytes = run_bytes,
            };
            status = write_one_chunk(plan, &tile, writer, edits);
        }
    }
    dms_buffer_free(&runs);
    free(rows);
    return status;
}

int dms_group_write(const struct dms_group_plan *plan, struct dms_pool *pool,
                    struct dms_segment_writer *writer, struct dms_edit_list *edits,
                    struct dms_totals *totals)
{
    int status = 0;
    if (plan->ids) {
        status = write_ids(plan, writer, edits);
        if (status == 0) {
            status = write_masks(plan, pool, writer, edits, totals);
        }
    }
    for (uint32_t k = 0; status == 0 && k < plan->source->rows->column_ct; k++) {
        status = write_column(plan, k, pool, writer, edits, totals);
    }
    return status;
}
