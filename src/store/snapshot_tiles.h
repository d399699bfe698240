/*
 * Whole chunks of sealed groups, as the reader takes them: in place in the mapped file, or decoded
 * into memory that is used again.
 */
#ifndef DMS_STORE_SNAPSHOT_TILES_H
#define DMS_STORE_SNAPSHOT_TILES_H

#include "base/buffer.h"
#include "dmstore/snapshot.h"

/* What names a chunk for good, and the size of its decoded rows. */
struct dms_chunk_identity {
    uint64_t group; /* permanent number */
    uint32_t column_id;
    uint64_t header_hash; /* of its block, which the content hash is a part of; 0: there is none */
    uint32_t row_ct;
    size_t row_bytes;
};
int dms_snapshot_chunk_identity(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                                uint32_t tile, struct dms_chunk_identity *identity);

/* *is_raw: whether dms_snapshot_map_rows will give this chunk's rows. Cheap: looks at the chunk
 * itself for masks only. */
int dms_snapshot_is_raw(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                        uint32_t tile, bool *is_raw);

/* Rows in place: row r at rows + r x stride. */
struct dms_mapped_rows {
    const uint8_t *rows;
    size_t stride;
};

/* As dms_snapshot_map_chunk, of tile_ct tiles one after the other, but takes no system call once
 * these were checked. DMS_END: one of them is compressed or encoded. */
int dms_snapshot_map_rows(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                          uint32_t first_tile, size_t tile_ct, struct dms_mapped_rows *rows);

/* Whether the file of a chunk still has all of it: CORRUPT when it was cut short since. */
int dms_snapshot_check_chunk_length(const struct dms_snapshot *snapshot, size_t group,
                                    uint32_t column, uint32_t tile);

/* The same for all files that are mapped: what was read in place before this returns 0 was there.
 */
int dms_snapshot_check_maps(const struct dms_snapshot *snapshot);

/* Decodes a chunk of any kind: rows has row_ct x dms_column_packed_bytes of the tile's targets.
 * `scratch` holds the payload. */
int dms_snapshot_decode_rows(struct dms_snapshot *snapshot, size_t group, uint32_t column,
                             uint32_t tile, struct dms_buffer *scratch, uint8_t *rows);

#endif
