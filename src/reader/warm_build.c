/*
 * Making warm.cache: the chunks that are not raw are listed, as many as the limit allows, decoded
 * by a pool of threads each to its place in a temporary file, which then takes the cache's name.
 * The temporary file has one name for all, and is locked (flock) by whoever writes it.
 */
#include "dmstore/warm.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/pool.h"
#include "format/schema.h"
#include "reader/source.h"
#include "reader/warm.h"
#include "store/codec.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Between two calls of the progress function so many chunks are decoded by each thread. */
enum { CHUNKS_A_TURN = 2 };

/* A chunk that goes into the cache, and where it is. */
struct item {
    struct dms_warm_entry entry;
    size_t group;
    size_t part;
};

struct builder {
    dms_snapshot *snapshot;
    struct dms_source source;
    char *path, *temporary;
    int descriptor; /* of the temporary file, locked */
    struct dms_pool *pool;
    struct item *items;
    size_t item_ct, item_capacity;
    size_t first_item; /* of the turn in work */
    struct dms_warm_result result;
};

static size_t part_stride(const struct builder *builder, size_t part)
{
    const struct dms_part *described = &builder->source.parts[part];
    const struct dms_schema *schema = dms_snapshot_schema(builder->snapshot);
    return dms_row_stride(&schema->columns[described->column], described->row_bytes);
}

/* ---- the list -------------------------------------------------------------- */

/* Adds a chunk when it is not raw. */
static int list_chunk(struct builder *builder, size_t group, size_t part)
{
    const struct dms_part *described = &builder->source.parts[part];
    struct dms_chunk_identity chunk;
    bool is_raw;
    int status = dms_snapshot_chunk_identity(builder->snapshot, group, described->column,
                                             described->tile, &chunk);
    if (status != 0 || chunk.header_hash == 0) {
        return status;
    }
    status =
        dms_snapshot_is_raw(builder->snapshot, group, described->column, described->tile, &is_raw);
    if (status != 0 || is_raw) {
        builder->result.raw_ct += status == 0;
        return status;
    }
    status = dms_grow((void **)&builder->items, &builder->item_capacity, builder->item_ct + 1,
                      sizeof *builder->items);
    if (status == 0) {
        builder->items[builder->item_ct++] = (struct item){
            .entry = {.group = chunk.group,
                      .column_id = chunk.column_id,
                      .tile = described->tile,
                      .header_hash = chunk.header_hash,
                      .row_ct = chunk.row_ct,
                      .row_stride = (uint32_t)part_stride(builder, part)},
            .group = group,
            .part = part,
        };
    }
    return status;
}

static int list_chunks(struct builder *builder)
{
    size_t group_ct = dms_snapshot_group_ct(builder->snapshot);
    int status = 0;
    for (size_t part = 0; status == 0 && part < builder->source.part_ct; part++) {
        for (size_t group = 0; status == 0 && group < group_ct; group++) {
            struct dms_group_info info;
            status = dms_snapshot_group(builder->snapshot, group, &info);
            if (status == 0 && !info.staged) {
                status = list_chunk(builder, group, part);
            }
        }
    }
    return status;
}

static uint64_t align(uint64_t bytes)
{
    return dms_align(bytes, DMS_WARM_ALIGNMENT);
}

/* Keeps the chunks that fit the limit, gives each its place, and sets the length of the file. */
static void place_chunks(struct builder *builder, uint64_t limit_bytes)
{
    size_t kept_ct = 0;
    uint64_t rows_bytes = 0;
    for (size_t k = 0; k < builder->item_ct; k++) {
        const struct dms_warm_entry *entry = &builder->items[k].entry;
        uint64_t bytes = align((uint64_t)entry->row_ct * entry->row_stride);
        uint64_t head_bytes = align(DMS_WARM_HEAD_BYTES + (k + 1) * DMS_WARM_ENTRY_BYTES);
        if (limit_bytes > 0 && head_bytes + rows_bytes + bytes > limit_bytes) {
            break;
        }
        rows_bytes += bytes;
        kept_ct++;
    }
    builder->result.left_out_ct = builder->item_ct - kept_ct;
    builder->result.chunk_ct = builder->item_ct = kept_ct;
    uint64_t at = align(DMS_WARM_HEAD_BYTES + kept_ct * DMS_WARM_ENTRY_BYTES);
    for (size_t k = 0; k < kept_ct; k++) {
        struct dms_warm_entry *entry = &builder->items[k].entry;
        entry->offset = at;
        at += align((uint64_t)entry->row_ct * entry->row_stride);
    }
    builder->result.file_bytes = kept_ct > 0 ? at : 0;
}

/* ---- writing --------------------------------------------------------------- */

/* Sets rows, which follow one another without gaps, apart to their stride, from the last on. */
static void spread_rows(uint8_t *rows, uint32_t row_ct, size_t row_bytes, size_t stride)
{
    for (uint32_t row = row_ct; stride > row_bytes && row-- > 0;) {
        memmove(rows + row * stride, rows + row * row_bytes, row_bytes);
        memset(rows + row * stride + row_bytes, 0, stride - row_bytes);
    }
}

static int write_chunk(void *context, size_t index)
{
    struct builder *builder = context;
    struct item *item = &builder->items[builder->first_item + index];
    const struct dms_part *part = &builder->source.parts[item->part];
    size_t bytes = (size_t)item->entry.row_ct * item->entry.row_stride;
    struct dms_buffer payload = {0};
    uint8_t *rows = dms_alloc_aligned(64, bytes);
    int status = rows ? dms_snapshot_decode_rows(builder->snapshot, item->group, part->column,
                                                 part->tile, &payload, rows)
                      : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        spread_rows(rows, item->entry.row_ct, part->row_bytes, item->entry.row_stride);
        item->entry.rows_hash = dms_hash64(rows, bytes);
        status = dms_pwrite_full(builder->descriptor, builder->temporary, rows, bytes,
                                 item->entry.offset);
    }
    dms_buffer_free(&payload);
    free(rows);
    return status;
}

static int write_chunks(struct builder *builder, const struct dms_warm_options *options)
{
    size_t turn = (size_t)dms_pool_threads(builder->pool) * CHUNKS_A_TURN;
    int status = 0;
    while (status == 0 && builder->first_item < builder->item_ct) {
        size_t rest = builder->item_ct - builder->first_item;
        size_t count = rest < turn ? rest : turn;
        status = dms_pool_run(builder->pool, count, write_chunk, builder);
        builder->first_item += count;
        if (status == 0 && options->progress &&
            options->progress(options->progress_context, builder->first_item, builder->item_ct)) {
            status = dms_fail(DMS_ERR_INTERRUPTED, "interrupted: the cache is as it was");
        }
    }
    return status;
}

static int compare_items(const void *a, const void *b)
{
    return dms_warm_entry_compare(&((const struct item *)a)->entry,
                                  &((const struct item *)b)->entry);
}

/* Writes the head and the list, in its order. */
static int write_list(struct builder *builder)
{
    struct dms_snapshot_info info;
    size_t list_bytes = builder->item_ct * DMS_WARM_ENTRY_BYTES;
    uint8_t *bytes = dms_alloc(1, DMS_WARM_HEAD_BYTES + list_bytes);
    if (!bytes) {
        return DMS_ERR_NO_MEMORY;
    }
    qsort(builder->items, builder->item_ct, sizeof *builder->items, compare_items);
    for (size_t k = 0; k < builder->item_ct; k++) {
        dms_warm_entry_encode(&builder->items[k].entry,
                              bytes + DMS_WARM_HEAD_BYTES + k * DMS_WARM_ENTRY_BYTES);
    }
    dms_snapshot_info(builder->snapshot, &info);
    struct dms_warm_head head = {
        .entry_ct = builder->item_ct,
        .file_bytes = builder->result.file_bytes,
        .entries_hash = dms_hash64(bytes + DMS_WARM_HEAD_BYTES, list_bytes),
    };
    memcpy(head.store_uuid, info.store_uuid, sizeof head.store_uuid);
    dms_warm_head_encode(&head, bytes);
    int status = dms_pwrite_full(builder->descriptor, builder->temporary, bytes,
                                 DMS_WARM_HEAD_BYTES + list_bytes, 0);
    free(bytes);
    return status;
}

/* ---- the temporary file ---------------------------------------------------- */

static int open_temporary(struct builder *builder)
{
    builder->descriptor = dms_open_temporary(builder->temporary);
    if (builder->descriptor == DMS_ERR_BUSY) {
        return dms_fail(DMS_ERR_BUSY, "another process is warming this store ('%s')",
                        builder->temporary);
    }
    return builder->descriptor < 0 ? builder->descriptor : 0;
}

/* Writes the file and gives it the cache's name; takes it away when anything fails. */
static int write_file(struct builder *builder, const struct dms_warm_options *options)
{
    int status = open_temporary(builder);
    if (status != 0) {
        return status;
    }
    status = dms_file_truncate(builder->descriptor, builder->temporary, builder->result.file_bytes);
    if (status == 0) {
        status = dms_pool_create(options->thread_ct, &builder->pool);
    }
    if (status == 0) {
        status = write_chunks(builder, options);
    }
    if (status == 0) {
        status = write_list(builder);
    }
    if (status == 0) {
        status = dms_file_rename(builder->temporary, builder->path);
    }
    if (status != 0) {
        struct dms_error_state failure;
        dms_error_save(&failure);
        dms_file_remove(builder->temporary);
        dms_error_restore(&failure);
    }
    return status;
}

/* ---- what callers see ------------------------------------------------------ */

/* Finds the output and its targets. */
static int open_source(struct builder *builder, const struct dms_warm_options *options)
{
    const struct dms_schema *schema = dms_snapshot_schema(builder->snapshot);
    uint32_t column = 0;
    uint64_t target_ct = 0;
    if (options->output) {
        int status = dms_schema_find(schema, options->output, &column);
        if (status == 0) {
            status = dms_source_check_targets(&schema->columns[column], options->first_target,
                                              options->target_ct, &target_ct);
        }
        if (status != 0) {
            return status;
        }
    }
    return dms_source_open(builder->snapshot, true, column, options->first_target, target_ct,
                           &builder->source);
}

int dms_snapshot_warm(dms_snapshot *snapshot, const struct dms_warm_options *options,
                      struct dms_warm_result *result)
{
    static const struct dms_warm_options defaults;
    struct builder builder = {.snapshot = snapshot, .descriptor = -1};
    options = options ? options : &defaults;
    int status = open_source(&builder, options);
    if (status == 0) {
        builder.path = dms_warm_path(snapshot);
        builder.temporary = builder.path ? dms_format("%s.tmp", builder.path) : NULL;
        status = builder.temporary ? list_chunks(&builder) : DMS_ERR_NO_MEMORY;
    }
    if (status == 0) {
        place_chunks(&builder, options->limit_bytes);
        status =
            builder.item_ct > 0 ? write_file(&builder, options) : dms_file_remove(builder.path);
    }
    dms_pool_free(builder.pool);
    dms_close(builder.descriptor);
    dms_source_clear(&builder.source);
    free(builder.items);
    free(builder.path);
    free(builder.temporary);
    if (status == 0 && result) {
        *result = builder.result;
    }
    return status;
}

int dms_snapshot_warm_remove(dms_snapshot *snapshot, uint64_t *removed_bytes)
{
    char *path = dms_warm_path(snapshot);
    struct stat file;
    if (!path) {
        return DMS_ERR_NO_MEMORY;
    }
    uint64_t bytes = stat(path, &file) == 0 ? (uint64_t)file.st_size : 0;
    int status = dms_file_remove(path);
    free(path);
    if (status == 0 && removed_bytes) {
        *removed_bytes = bytes;
    }
    return status;
}
