/*
 * Sources of minibatches for a solver: a reader with the rows of a role and the targets of a block,
 * its outputs transformed on the way when that is asked for.
 */
#include "solver/batch_source.h"

#include "base/alloc.h"
#include "base/error.h"
#include "kernels/lanes.h"
#include "solver/transform.h"

#include <stdlib.h>

/* A solver holds two batches at most. */
#define HELD_BATCHES 2

/* Batches that a reader has at least: those, and one that it prepares meanwhile. */
#define READER_SLOTS (HELD_BATCHES + 1)

/* What a reader keeps of a row, at most. */
#define ROW_TABLE_BYTES 64

/* What batches have beside outputs. */
enum part {
    PART_MASKS,  /* masks, as rows and as columns */
    PART_PACKED, /* masks as rows, for a device */
    PART_OUTPUTS /* no masks */
};

/* Which batches are wanted. */
struct wanted {
    enum dms_role role;
    bool shuffled;
    enum part part;
    size_t target, target_ct;
    uint32_t batch_rows;
};

/* A batch whose outputs are ours: the rest of it is the reader's. */
struct transformed {
    const struct dms_batch *original; /* NULL: free */
    struct dms_batch batch;
    float *outputs; /* batch_rows x stride */
};

struct source {
    const struct dms_batch_source_setting *setting;
    dms_reader *reader;
    const int64_t *labels; /* of the source's targets */
    size_t target_ct;
    bool packed;
    size_t stride;                            /* of transformed outputs */
    struct transformed batches[HELD_BATCHES]; /* without outputs when nothing is transformed */
};

/* ---- batches ---- */

static int source_seek(void *context, uint64_t epoch)
{
    struct source *source = context;

    return dms_reader_seek(source->reader, epoch, 0);
}

static void transform_batch(struct source *source, struct transformed *slot)
{
    const struct dms_batch_source_setting *setting = source->setting;
    const struct dms_batch *original = slot->original;
    struct dms_transform_shape shape = {
        .row_ct = original->row_ct,
        .target_ct = source->target_ct,
        .class_ct = setting->column->values_per_target,
        .from_stride = original->output_stride_values,
        .to_stride = source->stride,
    };

    dms_transform_apply(setting->options->transform, setting->options->threshold, &shape,
                        source->labels, original->outputs, slot->outputs);
    slot->batch = *original;
    slot->batch.outputs = slot->outputs;
    slot->batch.output_stride_values = source->stride;
}

static int source_next(void *context, const struct dms_batch **batch)
{
    struct source *source = context;
    struct transformed *slot = NULL;
    int code;

    if (source->setting->options->transform == DMS_TRANSFORM_NONE)
        return dms_reader_next(source->reader, batch);
    for (size_t i = 0; !slot && i < HELD_BATCHES; i++)
        slot = source->batches[i].original ? NULL : &source->batches[i];
    if (!slot)
        return dms_fail(DMS_ERR_INVALID, "more than %d batches are held at a time", HELD_BATCHES);
    code = dms_reader_next(source->reader, &slot->original);
    if (code != 0) {
        slot->original = NULL;
        return code;
    }
    transform_batch(source, slot);
    *batch = &slot->batch;
    return 0;
}

static void source_release(void *context, const struct dms_batch *batch)
{
    struct source *source = context;

    for (size_t i = 0; i < HELD_BATCHES; i++) {
        struct transformed *slot = &source->batches[i];

        if (slot->original && batch == &slot->batch) {
            dms_reader_release(source->reader, slot->original);
            slot->original = NULL;
            return;
        }
    }
    dms_reader_release(source->reader, batch);
}

/* Transformed outputs of packed batches go to a device, too. */
static void *allocate_outputs(const struct source *source, size_t bytes)
{
    const struct dms_batch_memory *memory = &source->setting->memory;

    return source->packed && memory->allocate ? memory->allocate(memory->context, bytes)
                                              : dms_alloc_aligned(64, bytes);
}

static void free_outputs(const struct source *source, float *outputs)
{
    const struct dms_batch_memory *memory = &source->setting->memory;

    if (source->packed && memory->release && outputs)
        memory->release(memory->context, outputs);
    else
        free(outputs);
}

static void source_close(void *context)
{
    struct source *source = context;

    if (!source)
        return;
    dms_reader_close(source->reader);
    for (size_t i = 0; i < HELD_BATCHES; i++)
        free_outputs(source, source->batches[i].outputs);
    free(source);
}

/* ---- memory ---- */

/* Whether all chunks of a column can be read in place, as far as one tile tells. */
static int check_raw(const struct dms_batch_source_setting *setting, uint32_t column, uint32_t tile,
                     bool *raw)
{
    size_t group_ct = dms_snapshot_group_ct(setting->snapshot);

    for (size_t group = 0; group < group_ct && *raw; group++) {
        struct dms_chunk_info chunk;
        struct dms_group_info info;
        int code = dms_snapshot_group(setting->snapshot, group, &info);

        if (code == 0 && info.staged) {
            *raw = false;
            continue;
        }
        if (code == 0)
            code = dms_snapshot_chunk(setting->snapshot, group, column, tile, &chunk);
        if (code < 0 && code != DMS_ERR_NOT_FOUND)
            return code;
        if (code == 0)
            *raw = chunk.codec == DMS_CODEC_NONE && chunk.encoding == DMS_ENCODING_PLAIN;
    }
    return 0;
}

int dms_batch_source_measure(struct dms_batch_source_setting *setting)
{
    const struct dms_schema *schema = dms_snapshot_schema(setting->snapshot);
    uint32_t column = (uint32_t)(setting->column - schema->columns);
    uint32_t tile = (uint32_t)(setting->first_target / setting->column->tile_targets);
    bool raw = true;
    int code = check_raw(setting, 0, 0, &raw);

    if (code == 0)
        code = check_raw(setting, column, tile, &raw);
    if (code < 0)
        return code;
    setting->decodes = !raw;
    setting->row_ct = 0;
    for (size_t i = 0; i < setting->range_cts[DMS_ROLE_REFIT]; i++)
        setting->row_ct += setting->ranges[DMS_ROLE_REFIT][i].id_ct;
    return 0;
}

/* For the buffers of one reader: batches of masks, as rows and as columns, and of outputs; chunks
 * that are decoded; what it knows of every row. More where there is plenty, so that it can prepare
 * more ahead. */
static uint64_t reader_bytes(const struct dms_batch_source_setting *setting, size_t target_ct,
                             uint32_t batch_rows)
{
    const struct dms_schema *schema = dms_snapshot_schema(setting->snapshot);
    uint64_t batch = batch_rows < setting->row_ct ? batch_rows : setting->row_ct;
    uint64_t value_ct = (target_ct + DMS_LANES) * setting->column->values_per_target;
    uint64_t mask_bytes = schema->example_ct / 8 + 64;
    uint64_t slot_bytes = batch * (2 * mask_bytes + value_ct * sizeof(float) + 64) + 4096;
    uint64_t tile_values = setting->column->tile_targets * setting->column->values_per_target;
    uint64_t block_bytes =
        schema->chunk_rows *
        (mask_bytes + (value_ct + tile_values) * dms_column_value_bytes(setting->column));
    uint64_t needed = READER_SLOTS * slot_bytes + ROW_TABLE_BYTES * setting->row_ct +
                      (setting->decodes ? 2 * block_bytes : 0);
    uint64_t plenty = setting->options->memory_bytes / 16;

    return needed > plenty ? needed : plenty;
}

/* For transformed outputs. */
static uint64_t transformed_bytes(const struct dms_batch_source_setting *setting, size_t target_ct,
                                  uint32_t batch_rows)
{
    if (setting->options->transform == DMS_TRANSFORM_NONE)
        return 0;
    return (uint64_t)HELD_BATCHES * batch_rows * (target_ct + DMS_LANES) * sizeof(float);
}

uint64_t dms_batch_source_bytes(void *context, size_t target_ct, uint32_t batch_rows)
{
    const struct dms_batch_source_setting *setting = context;

    return 2 * (reader_bytes(setting, target_ct, batch_rows) +
                transformed_bytes(setting, target_ct, batch_rows));
}

/* ---- opening ---- */

/* Outputs that are stored as float16 can go to a device as they are. */
static bool takes_halves(const struct dms_batch_source_setting *setting,
                         const struct wanted *wanted)
{
    return wanted->part == PART_PACKED && setting->column->dtype == DMS_F16 &&
           setting->options->transform == DMS_TRANSFORM_NONE;
}

static int open_reader(const struct dms_batch_source_setting *setting, const struct wanted *wanted,
                       dms_reader **reader)
{
    const struct dms_batch_memory *memory = wanted->part == PART_PACKED ? &setting->memory : NULL;
    struct dms_reader_options options;
    int code;

    dms_reader_options_init(&options);
    options.output = setting->column->name;
    options.first_target = setting->first_target + wanted->target;
    options.target_ct = wanted->target_ct;
    options.ids = setting->ranges[wanted->role];
    options.id_range_ct = setting->range_cts[wanted->role];
    options.order = wanted->shuffled ? DMS_ORDER_QUASI_RANDOM : DMS_ORDER_SEQUENTIAL;
    options.seed = setting->options->seed;
    options.batch_rows = wanted->batch_rows;
    options.masks = wanted->part != PART_OUTPUTS;
    options.mask_columns = wanted->part == PART_MASKS;
    options.dtype = takes_halves(setting, wanted) ? DMS_F16 : DMS_F32;
    options.thread_ct = setting->thread_ct;
    options.memory_bytes = reader_bytes(setting, wanted->target_ct, wanted->batch_rows);
    code = dms_reader_open_in(setting->snapshot, &options, memory, reader);
    /* Windows of decoded chunks may be what does not fit. */
    while (code == DMS_ERR_INVALID && options.window_groups > 1) {
        options.window_groups /= 2;
        code = dms_reader_open_in(setting->snapshot, &options, memory, reader);
    }
    return code;
}

static int make_outputs(struct source *source, uint32_t batch_rows)
{
    source->stride = (source->target_ct + DMS_LANES - 1) / DMS_LANES * DMS_LANES;
    for (size_t i = 0; i < HELD_BATCHES; i++) {
        size_t bytes;

        if (dms_mul_overflow(source->stride * sizeof(float), batch_rows, &bytes))
            return dms_fail(DMS_ERR_NO_MEMORY, "a batch of %u rows is too large", batch_rows);
        source->batches[i].outputs = allocate_outputs(source, bytes);
        if (!source->batches[i].outputs)
            return DMS_ERR_NO_MEMORY;
    }
    return 0;
}

static int open_source(const struct dms_batch_source_setting *setting, const struct wanted *wanted,
                       struct dms_batch_source *opened)
{
    const struct dms_fit_options *options = setting->options;
    struct source *source = dms_alloc(1, sizeof(*source));
    int code;

    if (!source)
        return DMS_ERR_NO_MEMORY;
    source->setting = setting;
    source->target_ct = wanted->target_ct;
    source->packed = wanted->part == PART_PACKED;
    source->labels =
        options->labels ? options->labels + setting->first_target + wanted->target : NULL;
    code = open_reader(setting, wanted, &source->reader);
    if (code == 0 && options->transform != DMS_TRANSFORM_NONE)
        code = make_outputs(source, wanted->batch_rows);
    if (code < 0) {
        source_close(source);
        return code;
    }
    *opened = (struct dms_batch_source){
        .context = source,
        .seek = source_seek,
        .next = source_next,
        .release = source_release,
        .close = source_close,
        .half_outputs = takes_halves(setting, wanted),
    };
    return 0;
}

int dms_batch_source_open(void *context, enum dms_role role, bool shuffled, size_t target,
                          size_t target_ct, uint32_t batch_rows, struct dms_batch_source *opened)
{
    const struct wanted wanted = {role, shuffled, PART_MASKS, target, target_ct, batch_rows};

    return open_source(context, &wanted, opened);
}

int dms_batch_source_open_packed(void *context, enum dms_role role, bool shuffled, size_t target,
                                 size_t target_ct, uint32_t batch_rows,
                                 struct dms_batch_source *opened)
{
    const struct wanted wanted = {role, shuffled, PART_PACKED, target, target_ct, batch_rows};

    return open_source(context, &wanted, opened);
}

int dms_batch_source_open_outputs(void *context, enum dms_role role, bool shuffled, size_t target,
                                  size_t target_ct, uint32_t batch_rows,
                                  struct dms_batch_source *opened)
{
    const struct wanted wanted = {role, shuffled, PART_OUTPUTS, target, target_ct, batch_rows};

    return open_source(context, &wanted, opened);
}
