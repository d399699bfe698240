/*
 * Whole chunks for those who read many rows of them. Chunks that were checked are found without a
 * system call; the lengths of mapped files are compared when asked, since they may become shorter.
 */
#include "store/snapshot_tiles.h"

#include "store/snapshot_parts.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "format/schema.h"
#include "store/codec.h"
#include "store/segment.h"

#include <inttypes.h>
#include <stdlib.h>

int dms_snapshot_chunk_identity(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                                uint32_t tile, struct dms_chunk_identity *identity)
{
    const struct dms_column *described = &snapshot->catalog.schema->columns[column];
    const struct dms_group_record *record = &snapshot->catalog.groups[group];
    struct dms_tile_directory *directory;
    int status = dms_snapshot_directory(snapshot, group, column, &directory);
    if (status != 0) {
        return status;
    }
    uint64_t rest = described->target_ct - (uint64_t)tile * described->tile_targets;
    uint64_t target_ct = rest < described->tile_targets ? rest : described->tile_targets;
    *identity = (struct dms_chunk_identity){
        .group = record->number,
        .column_id = described->id,
        .header_hash = directory ? directory->tiles[tile].header_hash : 0,
        .row_ct = record->row_ct,
        .row_bytes = (size_t)dms_column_packed_bytes(described, target_ct),
    };
    return 0;
}

int dms_snapshot_is_raw(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                        uint32_t tile, bool *is_raw)
{
    const struct dms_column *described = &snapshot->catalog.schema->columns[column];
    struct dms_chunk_identity identity;
    struct dms_tile_directory *directory;
    int status = dms_snapshot_chunk_identity(snapshot, group, column, tile, &identity);
    if (status == 0) {
        status = dms_snapshot_directory(snapshot, group, column, &directory);
    }
    if (status != 0) {
        return status;
    }
    if (!directory ||
        directory->tiles[tile].payload_bytes < (uint64_t)identity.row_bytes * identity.row_ct) {
        *is_raw = false;
        return 0;
    }
    if (described->kind != DMS_COLUMN_MASK) {
        /* A code of values that takes as many bytes as the values is not kept. */
        *is_raw = true;
        return 0;
    }
    /* Sampled masks may take more bytes than short masks themselves: the header tells. */
    struct dms_chunk_place place;
    status = dms_snapshot_chunk_place(snapshot, group, column, tile, &place);
    if (status == 0) {
        *is_raw = dms_chunk_is_raw(&place.block.chunk);
    }
    return status;
}

/* Checks a chunk that was not checked yet. DMS_END: it is compressed or encoded. */
static int check_tile(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                      uint32_t tile, struct dms_tile_entry **entry)
{
    struct dms_chunk_place place;
    int status = dms_snapshot_chunk_place(snapshot, group, column, tile, &place);
    if (status != 0) {
        return status;
    }
    if (!dms_chunk_is_raw(&place.block.chunk)) {
        return DMS_END;
    }
    status = dms_snapshot_verify_raw(&place);
    *entry = place.entry;
    return status ? dms_snapshot_fail_chunk(snapshot, status, group, column, tile) : 0;
}

int dms_snapshot_map_rows(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                          uint32_t first_tile, size_t tile_ct, struct dms_mapped_rows *rows)
{
    struct dms_tile_directory *directory;
    const uint8_t *map = NULL;
    int status = dms_snapshot_directory(snapshot, group, column, &directory);
    for (size_t i = 0; status == 0 && i < tile_ct; i++) {
        uint32_t tile = first_tile + (uint32_t)i;
        struct dms_tile_entry *entry = directory ? &directory->tiles[tile] : NULL;
        if (!entry || atomic_load_explicit(&entry->verified_stride, memory_order_relaxed) == 0) {
            status = check_tile(snapshot, group, column, tile, &entry);
        }
        if (status == 0 && !map) {
            const struct dms_group_column *stored = dms_group_record_column(
                &snapshot->catalog.groups[group], snapshot->catalog.schema->columns[column].id);
            status = dms_snapshot_map_file(snapshot, stored->segment, &map);
            if (status != 0) {
                return dms_snapshot_fail_chunk(snapshot, status, group, column, tile);
            }
        }
        if (status == 0) {
            rows[i] = (struct dms_mapped_rows){
                map + entry->offset + DMS_BLOCK_HEADER_BYTES,
                atomic_load_explicit(&entry->verified_stride, memory_order_relaxed)};
        }
    }
    return status;
}

/* ---- files that become shorter ---- */

/* Whether a file still has what ends at `end`: a block at `offset`, or all that was committed. */
static int check_length(const struct dms_snapshot_file *file, uint64_t offset, uint64_t end)
{
    uint64_t bytes;
    int status = dms_file_size(file->descriptor, file->path, &bytes);
    if (status == 0 && bytes < end) {
        status = dms_fail(DMS_ERR_CORRUPT,
                          "segment '%s' was truncated while it was read: it ends at offset "
                          "0x%" PRIx64 ", but the bytes from offset 0x%" PRIx64 " to 0x%" PRIx64
                          " are needed; run 'dmstore verify'",
                          file->path, bytes, offset, end);
    }
    return status;
}

int dms_snapshot_check_chunk_length(const struct dms_snapshot *snapshot, size_t group,
                                    uint32_t column, uint32_t tile)
{
    struct dms_tile_directory *directory;
    struct dms_snapshot_file *file;
    uint64_t committed_bytes;
    int status = dms_snapshot_directory(snapshot, group, column, &directory);
    if (status != 0 || !directory) {
        return status;
    }
    const struct dms_tile_entry *entry = &directory->tiles[tile];
    const struct dms_group_column *stored = dms_group_record_column(
        &snapshot->catalog.groups[group], snapshot->catalog.schema->columns[column].id);
    status = dms_snapshot_file(snapshot, stored->segment, &file, &committed_bytes);
    if (status == 0) {
        status = check_length(file, entry->offset,
                              entry->offset + DMS_BLOCK_HEADER_BYTES + entry->payload_bytes);
    }
    return status ? dms_snapshot_fail_chunk(snapshot, status, group, column, tile) : 0;
}

int dms_snapshot_check_maps(const struct dms_snapshot *snapshot)
{
    int status = 0;
    for (size_t k = 0; status == 0 && k < snapshot->catalog.segment_ct; k++) {
        if (atomic_load_explicit(&snapshot->files[k].map, memory_order_relaxed)) {
            status =
                check_length(&snapshot->files[k], 0, snapshot->catalog.segments[k].committed_bytes);
        }
    }
    return status;
}

/* ---- chunks that have to be decoded ---- */

/* Reads a payload into the scratch memory and checks its hash. */
static int read_payload(const struct dms_chunk_place *place, struct dms_buffer *scratch)
{
    dms_buffer_clear(scratch);
    int status = dms_buffer_reserve(scratch, (size_t)place->block.payload_bytes + 1);
    return status ? status
                  : dms_block_read_payload(place->file->descriptor, place->file->path,
                                           &place->block, scratch->data);
}

int dms_snapshot_decode_rows(struct dms_snapshot *snapshot, size_t group, uint32_t column,
                             uint32_t tile, struct dms_buffer *scratch, uint8_t *rows)
{
    const struct dms_column *described = &snapshot->catalog.schema->columns[column];
    struct dms_chunk_place place;
    uint64_t *ids = NULL;
    int status = dms_snapshot_chunk_place(snapshot, group, column, tile, &place);
    if (status != 0) {
        return status;
    }
    if (place.block.chunk.encoding == DMS_ENCODING_SAMPLED) {
        ids = dms_alloc(place.block.chunk.row_ct, sizeof *ids);
        status = ids ? dms_snapshot_group_ids(snapshot, group, ids) : DMS_ERR_NO_MEMORY;
    }
    if (status == 0) {
        status = read_payload(&place, scratch);
    }
    if (status == 0) {
        status = dms_chunk_decode(described, &place.block, scratch->data, ids, false, rows);
    }
    free(ids);
    return status ? dms_snapshot_fail_chunk(snapshot, status, group, column, tile) : 0;
}
