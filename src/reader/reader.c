/*
 * The public reader: what was asked for is checked and turned into a plan (rows, parts of chunks,
 * sizes of buffers within the memory allowed), which the workers then follow.
 */
#include "dmstore/reader.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/thread.h"
#include "reader/memory.h"
#include "reader/prefetch.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    DEFAULT_BATCH_ROWS = 1024,
    DEFAULT_WINDOW_GROUPS = 8,
    DEFAULT_SLOTS = 4,
    SLOTS_MIN = 2,
};

struct dms_reader {
    struct dms_row_table table;
    struct dms_source source;
    struct dms_prefetch_plan plan;
    struct dms_prefetch *prefetch; /* NULL when there is no row */
    uint64_t memory_bytes;
    uint64_t epoch, position; /* of the next row to deliver; position may be row_ct: the end */
    bool lends_maps;          /* some batch pointed into a map */
};

void dms_reader_options_init(struct dms_reader_options *options)
{
    *options = (struct dms_reader_options){
        .batch_rows = DEFAULT_BATCH_ROWS,
        .window_groups = DEFAULT_WINDOW_GROUPS,
        .masks = true,
        .dtype = DMS_F32,
        .thread_ct = 1,
        .slot_ct = DEFAULT_SLOTS,
    };
}

/* ---- what is asked for ---- */

/* What the options say about outputs, checked. */
struct wanted_output {
    uint32_t column; /* 0: none */
    uint64_t target_ct;
    size_t value_ct; /* of a row */
};

static int check_output(const struct dms_schema *schema, const struct dms_reader_options *options,
                        struct wanted_output *wanted)
{
    *wanted = (struct wanted_output){0};
    if (!options->output) {
        return 0;
    }
    int status = dms_schema_find(schema, options->output, &wanted->column);
    if (status != 0) {
        return status;
    }
    const struct dms_column *column = &schema->columns[wanted->column];
    status = dms_source_check_targets(column, options->first_target, options->target_ct,
                                      &wanted->target_ct);
    if (status != 0) {
        return status;
    }
    if (options->dtype != DMS_F32 && (options->dtype != DMS_F16 || column->dtype == DMS_F32)) {
        return dms_fail(
            DMS_ERR_INVALID, "values of column %s (%s) cannot be delivered as %s: ask for f32",
            column->name, dms_dtype_name(column->dtype), dms_dtype_name(options->dtype));
    }
    wanted->value_ct = (size_t)(wanted->target_ct * column->values_per_target);
    return 0;
}

static int check_options(const struct dms_reader_options *options)
{
    if (!options->masks && !options->mask_columns && !options->output) {
        return dms_fail(DMS_ERR_INVALID, "a reader of neither masks nor outputs was asked for");
    }
    if (options->batch_rows == 0 || options->window_groups == 0 || options->slot_ct < SLOTS_MIN) {
        return dms_fail(DMS_ERR_INVALID,
                        "a reader needs batches of at least one row, a window of at least one "
                        "group and at least %d batches",
                        SLOTS_MIN);
    }
    if (options->order != DMS_ORDER_SEQUENTIAL && options->order != DMS_ORDER_QUASI_RANDOM &&
        options->order != DMS_ORDER_RANDOM) {
        return dms_fail(DMS_ERR_INVALID, "there is no order %d", (int)options->order);
    }
    return 0;
}

/* ---- the plan ---- */

/* The most memory that decoding any block takes; random order refuses blocks that need it. */
static int measure_blocks(const struct dms_reader *reader, uint64_t *block_bytes)
{
    *block_bytes = 0;
    bool is_random = reader->plan.order.kind == DMS_ORDER_RANDOM;
    for (size_t k = 0; k < reader->table.block_ct; k++) {
        const struct dms_row_block *block = &reader->table.blocks[k];
        uint64_t bytes = 0;
        for (size_t part = 0; part < reader->source.part_ct; part++) {
            size_t part_bytes;
            int status = dms_source_decoded_bytes(&reader->source, block, part, &part_bytes);
            if (status != 0) {
                return status;
            }
            if (is_random && part_bytes > 0 && !block->staged) {
                return dms_source_refuse_random(&reader->source, block, part);
            }
            bytes += part_bytes;
        }
        *block_bytes = bytes > *block_bytes ? bytes : *block_bytes;
    }
    if (is_random) {
        *block_bytes = 0;
    }
    return 0;
}

static uint64_t planned_bytes(const struct dms_reader *reader, uint64_t window_bytes)
{
    uint64_t slots = (uint64_t)reader->plan.slot_ct * reader->plan.shape.bytes;
    return reader->table.bytes + slots + reader->plan.window_ct * window_bytes;
}

/* Takes fewer batches and windows until they fit. */
static int fit_memory(struct dms_reader *reader, uint64_t limit_bytes)
{
    uint64_t block_bytes;
    int status = measure_blocks(reader, &block_bytes);
    if (status != 0) {
        return status;
    }
    uint64_t window_bytes = block_bytes * reader->plan.order.window_blocks;
    while (limit_bytes > 0 && planned_bytes(reader, window_bytes) > limit_bytes) {
        if (reader->plan.slot_ct > SLOTS_MIN) {
            reader->plan.slot_ct--;
        } else if (reader->plan.window_ct > 1) {
            reader->plan.window_ct--;
        } else {
            return dms_fail(DMS_ERR_INVALID,
                            "the reader needs %" PRIu64 " bytes of memory, %" PRIu64
                            " are allowed: allow more, or ask for smaller batches, a smaller "
                            "window or fewer targets",
                            planned_bytes(reader, window_bytes), limit_bytes);
        }
    }
    reader->memory_bytes = planned_bytes(reader, window_bytes);
    return 0;
}

static int make_plan(struct dms_reader *reader, const struct dms_reader_options *options,
                     const struct wanted_output *wanted, const struct dms_batch_memory *memory)
{
    bool is_quasi_random = options->order == DMS_ORDER_QUASI_RANDOM;
    size_t block_ct = reader->table.block_ct;
    size_t window_blocks = is_quasi_random ? options->window_groups : 1;
    struct dms_prefetch_plan *plan = &reader->plan;
    plan->source = &reader->source;
    plan->table = &reader->table;
    plan->order = (struct dms_epoch_order){
        .table = &reader->table,
        .kind = options->order,
        .seed = options->seed,
        .window_blocks = window_blocks < block_ct ? window_blocks : block_ct,
    };
    plan->thread_ct = options->thread_ct ? options->thread_ct : dms_processor_ct();
    plan->slot_ct = options->slot_ct;
    /* One more than is read from, so that the next is ready in time; windows of a single block keep
     * every thread busy only when there are as many. */
    plan->window_ct = is_quasi_random ? 2 : plan->thread_ct + 1;
    uint64_t row_ct = reader->table.row_ct;
    uint32_t batch_rows = options->batch_rows < row_ct ? options->batch_rows : (uint32_t)row_ct;
    int status =
        dms_batch_shape_make(&reader->source, batch_rows, options->masks, options->mask_columns,
                             options->dtype, wanted->value_ct, &plan->shape);
    if (memory) {
        plan->shape.memory = *memory;
    }
    return status;
}

/* Opens the cache that the options name, or the store's own; "" is none. */
static int open_warm(dms_snapshot *snapshot, const char *path, struct dms_source *source)
{
    return path && *path == 0 ? 0 : dms_warm_open(snapshot, path, &source->warm);
}

static int open_reader(dms_snapshot *snapshot, const struct dms_reader_options *options,
                       const struct dms_batch_memory *memory, struct dms_reader *reader)
{
    struct wanted_output wanted;
    int status = check_options(options);
    if (status == 0) {
        status = check_output(dms_snapshot_schema(snapshot), options, &wanted);
    }
    if (status == 0) {
        status = dms_source_open(snapshot, options->masks || options->mask_columns, wanted.column,
                                 options->first_target, wanted.target_ct, &reader->source);
    }
    if (status == 0) {
        status = open_warm(snapshot, options->warm_path, &reader->source);
    }
    if (status == 0) {
        status = dms_row_table_make(snapshot, wanted.column, options->order != DMS_ORDER_RANDOM,
                                    options->ids, options->id_range_ct, &reader->table);
    }
    if (status == 0) {
        status = make_plan(reader, options, &wanted, memory);
    }
    if (status == 0) {
        status = fit_memory(reader, options->memory_bytes);
    }
    if (status == 0 && reader->table.row_ct > 0) {
        status = dms_prefetch_start(&reader->plan, &reader->prefetch);
    }
    return status;
}

/* ---- what callers see ---- */

int dms_reader_open_in(dms_snapshot *snapshot, const struct dms_reader_options *options,
                       const struct dms_batch_memory *memory, dms_reader **reader)
{
    struct dms_reader *made = dms_alloc(1, sizeof *made);
    int status = made ? open_reader(snapshot, options, memory, made) : DMS_ERR_NO_MEMORY;
    if (status != 0) {
        dms_reader_close(made);
        return status;
    }
    *reader = made;
    return 0;
}

int dms_reader_open(dms_snapshot *snapshot, const struct dms_reader_options *options,
                    dms_reader **reader)
{
    return dms_reader_open_in(snapshot, options, NULL, reader);
}

void dms_reader_close(dms_reader *reader)
{
    if (reader) {
        dms_prefetch_stop(reader->prefetch);
        dms_source_clear(&reader->source);
        dms_row_table_clear(&reader->table);
        free(reader);
    }
}

uint64_t dms_reader_row_ct(const dms_reader *reader)
{
    return reader->table.row_ct;
}

int dms_reader_seek(dms_reader *reader, uint64_t epoch, uint64_t position)
{
    uint64_t row_ct = reader->table.row_ct;
    if (position > row_ct) {
        return dms_fail(DMS_ERR_INVALID,
                        "position %" PRIu64 " is out of range: an epoch has %" PRIu64 " rows",
                        position, row_ct);
    }
    int status = 0;
    if (reader->prefetch) {
        bool is_end = position == row_ct;
        status = dms_prefetch_seek(reader->prefetch, epoch + is_end, is_end ? 0 : position);
    }
    if (status == 0) {
        reader->epoch = epoch;
        reader->position = position;
    }
    return status;
}

int dms_reader_next(dms_reader *reader, const struct dms_batch **batch)
{
    /* What batches pointed to until now, held ones too, must have been there. */
    int status = reader->lends_maps ? dms_source_check_maps(&reader->source) : 0;
    if (status != 0) {
        return status;
    }
    if (reader->position == reader->table.row_ct) {
        reader->epoch++;
        reader->position = 0;
        return DMS_END;
    }
    status = dms_prefetch_next(reader->prefetch, batch);
    if (status == 0) {
        reader->position += (*batch)->row_ct;
        reader->lends_maps |= dms_prefetch_lends_map(*batch);
    }
    return status;
}

void dms_reader_release(dms_reader *reader, const struct dms_batch *batch)
{
    dms_prefetch_release(reader->prefetch, batch);
}

uint64_t dms_reader_memory_bytes(const dms_reader *reader)
{
    return reader->memory_bytes;
}
