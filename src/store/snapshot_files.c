/*
 * The segment files of a snapshot: opened all at once while the state that names them cannot go
 * away, compared with the catalog when first used, mapped when a caller asks for rows in place.
 */
#include "store/snapshot_parts.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "store/paths.h"
#include "store/segment.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int open_file(const struct dms_segment_record *record, struct dms_snapshot_file *file)
{
    file->descriptor = dms_segment_open(file->path);
    if (file->descriptor < 0) {
        return file->descriptor;
    }
    uint64_t size;
    int status = dms_file_size(file->descriptor, file->path, &size);
    if (status == 0 && size < record->committed_bytes) {
        status = dms_fail(DMS_ERR_CORRUPT,
                          "segment '%s' ends at %" PRIu64 ", %" PRIu64
                          " bytes were committed: run 'dmstore verify'",
                          file->path, size, record->committed_bytes);
    }
    return status;
}

int dms_snapshot_open_files(struct dms_snapshot *snapshot)
{
    const struct dms_catalog *catalog = &snapshot->catalog;
    for (size_t k = 0; k < catalog->segment_ct; k++) {
        struct dms_snapshot_file *file = &snapshot->files[k];
        file->path = dms_path_segment(snapshot->path, catalog->segments[k].number);
        int status = file->path ? open_file(&catalog->segments[k], file) : DMS_ERR_NO_MEMORY;
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

/* Compares the segment block with what the catalog says of the segment. Where that block was lost
 * (uuid zero, since a recovery), the hashes that the catalog has of blocks tell whose they are. */
static int check_file(const struct dms_snapshot *snapshot, const struct dms_segment_record *record,
                      const struct dms_snapshot_file *file)
{
    static const uint8_t unknown[DMS_UUID_BYTES];
    if (memcmp(record->uuid, unknown, DMS_UUID_BYTES) == 0) {
        return 0;
    }
    struct dms_buffer payload = {0};
    struct dms_segment_fields fields;
    uint64_t extent;
    int status = dms_segment_read_fields(file->descriptor, file->path, record->number, &payload,
                                         &fields, &extent);
    if (status == 0 && (memcmp(fields.store_uuid, snapshot->store_uuid, DMS_UUID_BYTES) != 0 ||
                        memcmp(fields.segment_uuid, record->uuid, DMS_UUID_BYTES) != 0)) {
        status = dms_fail(DMS_ERR_CORRUPT, "segment '%s' is of another store: run 'dmstore verify'",
                          file->path);
    }
    dms_buffer_free(&payload);
    return status;
}

int dms_snapshot_file(const struct dms_snapshot *snapshot, uint64_t segment,
                      struct dms_snapshot_file **file, uint64_t *committed_bytes)
{
    const struct dms_segment_record *record = dms_catalog_segment(&snapshot->catalog, segment);
    if (!record) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "store '%s' refers to segment %" PRIu64
                        ", which it does not have: run 'dmstore verify'",
                        snapshot->path, segment);
    }
    struct dms_snapshot_file *found = &snapshot->files[record - snapshot->catalog.segments];
    if (!atomic_load_explicit(&found->checked, memory_order_relaxed)) {
        int status = check_file(snapshot, record, found);
        if (status != 0) {
            return status;
        }
        atomic_store_explicit(&found->checked, true, memory_order_relaxed);
    }
    *file = found;
    *committed_bytes = record->committed_bytes;
    return 0;
}

int dms_snapshot_map_file(const struct dms_snapshot *snapshot, uint64_t segment,
                          const uint8_t **map)
{
    struct dms_snapshot_file *file = NULL;
    uint64_t committed_bytes = 0;
    int status = dms_snapshot_file(snapshot, segment, &file, &committed_bytes);
    if (status != 0) {
        return status;
    }
    const uint8_t *found = atomic_load(&file->map);
    if (!found) {
        const uint8_t *made;
        status = dms_file_map(file->descriptor, file->path, (size_t)committed_bytes, &made);
        if (status != 0) {
            return status;
        }
        if (atomic_compare_exchange_strong(&file->map, &found, made)) {
            found = made;
        } else {
            dms_file_unmap(made, (size_t)committed_bytes);
        }
    }
    *map = found;
    return 0;
}

/* The hash of a payload of more than one piece. */
static int hash_pieces(const struct dms_snapshot_file *file, const struct dms_block *block,
                       uint8_t *piece, uint64_t *hash)
{
    struct dms_hash_stream *stream = dms_hash_stream_create();
    if (!stream) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = 0;
    for (uint64_t done = 0; status == 0 && done < block->payload_bytes;) {
        uint64_t rest = block->payload_bytes - done;
        size_t bytes = rest < DMS_PIECE_BYTES ? (size_t)rest : DMS_PIECE_BYTES;
        status = dms_pread_full(file->descriptor, file->path, piece, bytes,
                                block->offset + DMS_BLOCK_HEADER_BYTES + done);
        if (status == 0) {
            dms_hash_stream_add(stream, piece, bytes);
            done += bytes;
        }
    }
    *hash = dms_hash_stream_hash64(stream);
    dms_hash_stream_free(stream);
    return status;
}

int dms_snapshot_check_payload(const struct dms_snapshot_file *file, const struct dms_block *block)
{
    bool is_small = block->payload_bytes <= DMS_PIECE_BYTES;
    uint8_t *piece =
        dms_alloc_aligned(64, is_small ? (size_t)block->payload_bytes + 1 : DMS_PIECE_BYTES);
    if (!piece) {
        return DMS_ERR_NO_MEMORY;
    }
    uint64_t hash;
    int status;
    if (is_small) {
        status = dms_block_read_payload(file->descriptor, file->path, block, piece);
    } else {
        status = hash_pieces(file, block, piece, &hash);
        if (status == 0 && hash != block->payload_hash) {
            status = dms_fail(DMS_ERR_CORRUPT,
                              "segment '%s': checksum mismatch in the block at offset 0x%" PRIx64,
                              file->path, block->offset);
        }
    }
    free(piece);
    return status;
}
