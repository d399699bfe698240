/*
 * The chunks of sealed groups: directories, read once when a column of a group is first touched,
 * and chunk headers, each held against the hash that the directory has of it, as the directory is
 * against the catalog's.
 */
#include "store/snapshot_parts.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "base/error.h"
#include "format/schema.h"
#include "store/codec.h"
#include "store/segment.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- directories ---- */

/* Compares a directory's header with what the catalog and the schema make one expect. */
static int check_directory(const struct dms_column *column, const struct dms_group_record *group,
                           const struct dms_group_column *expected, const struct dms_block *block)
{
    const struct dms_directory_fields *fields = &block->directory;
    if (block->type != DMS_BLOCK_DIRECTORY || block->header_hash != expected->header_hash) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "the block at offset 0x%" PRIx64
                        " is not the directory that the index means",
                        block->offset);
    }
    uint64_t bitmap_bytes =
        fields->present_ct < group->row_ct ? dms_align(((uint64_t)group->row_ct + 7) / 8, 8) : 0;
    if (fields->group != group->number || fields->column_id != column->id ||
        fields->row_ct != group->row_ct || fields->present_ct != expected->present_ct ||
        fields->present_ct > fields->row_ct || fields->tile_targets != column->tile_targets ||
        fields->tile_ct != dms_column_tile_ct(column) ||
        block->payload_bytes !=
            bitmap_bytes + (uint64_t)fields->tile_ct * DMS_DIRECTORY_ENTRY_BYTES) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "the directory at offset 0x%" PRIx64 " does not fit the index",
                        block->offset);
    }
    return 0;
}

/* Decodes a payload whose length was checked into new memory. */
static int decode_directory(const struct dms_directory_fields *fields, const uint8_t *payload,
                            struct dms_tile_directory **directory)
{
    size_t bitmap_bytes =
        fields->present_ct < fields->row_ct ? ((size_t)fields->row_ct + 7) / 8 : 0;
    size_t tile_bytes = fields->tile_ct * sizeof(struct dms_tile_entry);
    struct dms_tile_directory *made = dms_alloc(1, sizeof *made + tile_bytes + bitmap_bytes);
    if (!made) {
        return DMS_ERR_NO_MEMORY;
    }
    made->tile_ct = fields->tile_ct;
    if (bitmap_bytes > 0) {
        made->present = (uint8_t *)made->tiles + tile_bytes;
        memcpy(made->present, payload, bitmap_bytes);
        payload += dms_align(bitmap_bytes, 8);
    }
    for (uint32_t tile = 0; tile < made->tile_ct; tile++, payload += DMS_DIRECTORY_ENTRY_BYTES) {
        struct dms_tile_entry *entry = &made->tiles[tile];
        entry->offset = dms_load_u64(payload);
        entry->payload_bytes = dms_load_u64(payload + 8);
        entry->payload_hash = dms_load_u64(payload + 16);
        entry->header_hash = dms_load_u64(payload + 24);
    }
    *directory = made;
    return 0;
}

static int read_directory(const struct dms_snapshot *snapshot, const struct dms_column *column,
                          const struct dms_group_record *group,
                          const struct dms_group_column *expected,
                          struct dms_tile_directory **directory)
{
    struct dms_snapshot_file *file;
    uint64_t committed_bytes;
    struct dms_block block;
    uint8_t *payload = NULL;
    int status = dms_snapshot_file(snapshot, expected->segment, &file, &committed_bytes);
    if (status == 0) {
        status = dms_block_read_header(file->descriptor, file->path, expected->segment,
                                       expected->offset, committed_bytes, &block);
    }
    if (status == 0) {
        status = check_directory(column, group, expected, &block);
        if (status != 0) {
            return dms_fail_prefix(status, "segment '%s'", file->path);
        }
        payload = dms_alloc_aligned(64, (size_t)block.payload_bytes);
        status = payload ? dms_block_read_payload(file->descriptor, file->path, &block, payload)
                         : DMS_ERR_NO_MEMORY;
    }
    if (status == 0) {
        status = decode_directory(&block.directory, payload, directory);
    }
    free(payload);
    return status;
}

int dms_snapshot_directory(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                           struct dms_tile_directory **directory)
{
    const struct dms_schema *schema = snapshot->catalog.schema;
    const struct dms_group_record *record = &snapshot->catalog.groups[group];
    const struct dms_group_column *expected =
        dms_group_record_column(record, schema->columns[column].id);
    if (!expected) {
        *directory = NULL;
        return 0;
    }
    _Atomic(struct dms_tile_directory *) *slot =
        &snapshot->directories[group * schema->column_ct + column];
    struct dms_tile_directory *found = atomic_load(slot);
    if (found) {
        *directory = found;
        return 0;
    }
    struct dms_tile_directory *made = NULL;
    int status = read_directory(snapshot, &schema->columns[column], record, expected, &made);
    if (status != 0) {
        return dms_fail_prefix(status, "directory of column %s in group %" PRIu64,
                               schema->columns[column].name, record->number);
    }
    if (!atomic_compare_exchange_strong(slot, &found, made)) {
        free(made);
        made = found;
    }
    *directory = made;
    return 0;
}

static void set_all(uint8_t *bits, uint32_t bit_ct)
{
    memset(bits, 0xff, bit_ct / 8);
    if (bit_ct % 8 != 0) {
        bits[bit_ct / 8] = (uint8_t)((1u << bit_ct % 8) - 1);
    }
}

int dms_snapshot_group_present(const dms_snapshot *snapshot, size_t group, uint32_t column,
                               uint8_t *present)
{
    int status = dms_snapshot_check_column(snapshot, column);
    if (status == 0) {
        status = dms_snapshot_check_group(snapshot, group);
    }
    if (status != 0) {
        return status;
    }
    const struct dms_group_record *sealed = dms_snapshot_sealed_group(snapshot, group);
    uint32_t row_ct = sealed ? sealed->row_ct : dms_snapshot_staged_batch(snapshot, group)->row_ct;
    size_t bytes = ((size_t)row_ct + 7) / 8;
    memset(present, 0, bytes);
    if (column == DMS_SCHEMA_ID_COLUMN || (column == DMS_SCHEMA_MASK_COLUMN && !sealed)) {
        set_all(present, row_ct);
        return 0;
    }
    if (!sealed) {
        return dms_snapshot_staged_present(snapshot, group, column, present);
    }
    struct dms_tile_directory *directory;
    status = dms_snapshot_directory(snapshot, group, column, &directory);
    if (status == 0 && directory && directory->present) {
        memcpy(present, directory->present, bytes);
    } else if (status == 0 && directory) {
        set_all(present, row_ct);
    }
    return status;
}

/* ---- chunks ---- */

int dms_snapshot_fail_chunk(const struct dms_snapshot *snapshot, int code, size_t group,
                            uint32_t column, uint32_t tile)
{
    return dms_fail_prefix(code, "chunk %" PRIu32 " of column %s in group %" PRIu64, tile,
                           snapshot->catalog.schema->columns[column].name,
                           snapshot->catalog.groups[group].number);
}

/* Compares a chunk's header with the directory, the catalog and the schema. */
static int check_chunk(const struct dms_schema *schema, const struct dms_column *column,
                       const struct dms_group_record *group, uint32_t tile,
                       const struct dms_tile_entry *entry, const struct dms_block *block)
{
    const struct dms_chunk_fields *chunk = &block->chunk;
    if (block->header_hash != entry->header_hash || block->payload_bytes != entry->payload_bytes ||
        block->payload_hash != entry->payload_hash) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "the block at offset 0x%" PRIx64
                        " is not the chunk that the directory means",
                        block->offset);
    }
    int status = dms_chunk_check(schema, column, block);
    if (status == 0 && (chunk->group != group->number || chunk->row_ct != group->row_ct ||
                        chunk->first_target != (uint64_t)tile * column->tile_targets)) {
        status = dms_fail(DMS_ERR_CORRUPT,
                          "the chunk at offset 0x%" PRIx64 " is of other rows or targets",
                          block->offset);
    }
    return status;
}

int dms_snapshot_chunk_place(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                             uint32_t tile, struct dms_chunk_place *place)
{
    const struct dms_schema *schema = snapshot->catalog.schema;
    const struct dms_group_record *record = &snapshot->catalog.groups[group];
    struct dms_tile_directory *directory;
    uint64_t committed_bytes;
    int status = dms_snapshot_directory(snapshot, group, column, &directory);
    if (status != 0) {
        return status;
    }
    if (!directory) {
        return dms_fail(DMS_ERR_NOT_FOUND, "group %" PRIu64 " has no values of column %s",
                        record->number, schema->columns[column].name);
    }
    /* A directory names chunks of its own segment. */
    uint64_t segment = dms_group_record_column(record, schema->columns[column].id)->segment;
    place->entry = &directory->tiles[tile];
    status = dms_snapshot_file(snapshot, segment, &place->file, &committed_bytes);
    if (status == 0) {
        status = dms_block_read_header(place->file->descriptor, place->file->path, segment,
                                       place->entry->offset, committed_bytes, &place->block);
    }
    if (status == 0) {
        status = check_chunk(schema, &schema->columns[column], record, tile, place->entry,
                             &place->block);
        status = status ? dms_fail_prefix(status, "segment '%s'", place->file->path) : 0;
    }
    return status ? dms_snapshot_fail_chunk(snapshot, status, group, column, tile) : 0;
}

int dms_snapshot_verify_raw(const struct dms_chunk_place *place)
{
    _Atomic uint32_t *verified_stride = &place->entry->verified_stride;
    if (atomic_load_explicit(verified_stride, memory_order_relaxed) != 0) {
        return 0;
    }
    int status = dms_snapshot_check_payload(place->file, &place->block);
    if (status == 0) {
        atomic_store_explicit(verified_stride, place->block.chunk.row_stride, memory_order_relaxed);
    }
    return status;
}

/* Finds a chunk by what a caller of the public interface gave. */
static int find_chunk(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                      uint32_t tile, struct dms_chunk_place *place)
{
    int status = dms_snapshot_check_column(snapshot, column);
    if (status == 0) {
        status = dms_snapshot_check_group(snapshot, group);
    }
    if (status != 0) {
        return status;
    }
    const struct dms_column *described = &snapshot->catalog.schema->columns[column];
    if (tile >= dms_column_tile_ct(described)) {
        return dms_fail(DMS_ERR_INVALID,
                        "there is no chunk %" PRIu32 " of column %s: it has %" PRIu32 " in a group",
                        tile, described->name, dms_column_tile_ct(described));
    }
    if (!dms_snapshot_sealed_group(snapshot, group)) {
        return dms_fail(
            DMS_ERR_NOT_FOUND,
            "group %zu is a batch of staged rows, which are in no chunk: seal them first", group);
    }
    return dms_snapshot_chunk_place(snapshot, group, column, tile, place);
}

static void describe_chunk(const struct dms_block *block, struct dms_chunk_info *info)
{
    const struct dms_chunk_fields *chunk = &block->chunk;
    *info = (struct dms_chunk_info){
        .segment = block->segment,
        .offset = block->offset,
        .first_target = chunk->first_target,
        .target_ct = chunk->target_ct,
        .row_ct = chunk->row_ct,
        .encoding = (enum dms_encoding)chunk->encoding,
        .codec = (enum dms_codec_kind)chunk->codec,
        .stored_bytes = block->payload_bytes,
        .decoded_bytes = chunk->decoded_bytes,
        .row_stride_bytes = chunk->row_stride,
        .content_hash = {chunk->content_hash.low, chunk->content_hash.high},
    };
}

int dms_snapshot_chunk(dms_snapshot *snapshot, size_t group, uint32_t column, uint32_t tile,
                       struct dms_chunk_info *info)
{
    struct dms_chunk_place place;
    int status = find_chunk(snapshot, group, column, tile, &place);
    if (status == 0) {
        describe_chunk(&place.block, info);
    }
    return status;
}

int dms_snapshot_map_chunk(dms_snapshot *snapshot, size_t group, uint32_t column, uint32_t tile,
                           struct dms_chunk_info *info, const uint8_t **data)
{
    struct dms_chunk_place place;
    const uint8_t *map;
    int status = find_chunk(snapshot, group, column, tile, &place);
    if (status != 0) {
        return status;
    }
    if (!dms_chunk_is_raw(&place.block.chunk)) {
        status = dms_fail(DMS_ERR_UNSUPPORTED,
                          "it is compressed or encoded and cannot be used in place");
        return dms_snapshot_fail_chunk(snapshot, status, group, column, tile);
    }
    status = dms_snapshot_verify_raw(&place);
    if (status == 0) {
        status = dms_snapshot_map_file(snapshot, place.block.segment, &map);
    }
    if (status != 0) {
        return dms_snapshot_fail_chunk(snapshot, status, group, column, tile);
    }
    describe_chunk(&place.block, info);
    *data = map + place.block.offset + DMS_BLOCK_HEADER_BYTES;
    return 0;
}
