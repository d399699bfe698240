/*
 * Reading a store: a snapshot is one committed state, whole and unchanging, however the store goes
 * on. It holds no lock and no LMDB transaction: writers never wait for it, and compaction may
 * unlink files that it still reads.
 *
 * Rows are addressed as (group, row): groups 0 .. group_ct - 1 are sealed groups, then batches of
 * staged rows. A position is valid in its snapshot only; the model id is the name that lasts.
 * Removed rows keep their position and are skipped with dms_snapshot_group_live.
 *
 * All functions of a snapshot may be called from several threads at once, also in a child after
 * fork(). Functions that copy report a truncated or damaged file as DMS_ERR_CORRUPT with chunk and
 * offset; the stored hash of a chunk is checked when a snapshot first touches it, and every time
 * for compressed chunks.
 */
#ifndef DMSTORE_SNAPSHOT_H
#define DMSTORE_SNAPSHOT_H

#include "dmstore/error.h"
#include "dmstore/schema.h"

DMS_BEGIN_DECLS

typedef struct dms_snapshot dms_snapshot;

/* Opens the current state of the store directory `path`, or the state that the manifest file `path`
 * names (see dms_snapshot_write_manifest). The caller owns *snapshot. */
DMS_API int dms_snapshot_open(const char *path, dms_snapshot **snapshot);
DMS_API void dms_snapshot_close(dms_snapshot *snapshot);

/* Writes a hashed manifest of this snapshot (temporary name, fsync, rename). It names the segment
 * files relative to the store directory, given as an absolute path inside; readers need no LMDB. */
DMS_API int dms_snapshot_write_manifest(const dms_snapshot *snapshot, const char *path);

/* ---- what is in it ---- */

/* The schema; belongs to the snapshot. */
DMS_API const struct dms_schema *dms_snapshot_schema(const dms_snapshot *snapshot);

struct dms_snapshot_info {
    uint8_t store_uuid[16];
    uint64_t sequence; /* number of the last commit */
    uint64_t model_ct; /* live rows, staged ones included */
    uint64_t staged_ct;
    uint64_t removed_ct;  /* tombstoned rows that still take space */
    uint64_t group_ct;    /* sealed groups */
    uint64_t segment_ct;  /* files */
    uint64_t file_bytes;  /* committed bytes of all segment files */
    uint64_t smallest_id; /* when model_ct > 0 */
    uint64_t largest_id;
};
DMS_API void dms_snapshot_info(const dms_snapshot *snapshot, struct dms_snapshot_info *info);

struct dms_group_info {
    uint64_t id; /* permanent number of the group, or of the batch of staged rows */
    bool staged;
    uint32_t row_ct;
    uint32_t live_ct;
};
DMS_API size_t
dms_snapshot_group_ct(const dms_snapshot *snapshot); /* sealed groups and staged batches */
DMS_API int dms_snapshot_group(const dms_snapshot *snapshot, size_t group,
                               struct dms_group_info *info);

/* ids: row_ct model ids, in row order, those of removed rows included. */
DMS_API int dms_snapshot_group_ids(const dms_snapshot *snapshot, size_t group, uint64_t *ids);

/* live: (row_ct + 7) / 8 bytes; bit set: the row was not removed. */
DMS_API int dms_snapshot_group_live(const dms_snapshot *snapshot, size_t group, uint8_t *live);

/* present: (row_ct + 7) / 8 bytes; bit set: the row has a value in this column. */
DMS_API int dms_snapshot_group_present(const dms_snapshot *snapshot, size_t group, uint32_t column,
                                       uint8_t *present);

/* ---- finding rows ---- */

struct dms_position {
    size_t group;
    uint32_t row;
};

/* Where the live row of model `id` is, or DMS_ERR_NOT_FOUND. */
DMS_API int dms_snapshot_find(dms_snapshot *snapshot, uint64_t id, struct dms_position *position);

/* Runs of live model ids in increasing order: first_id, first_id + 1, ... stand at consecutive rows
 * of one group. */
struct dms_id_run {
    uint64_t first_id;
    uint64_t id_ct;
    struct dms_position position;
};
/* *runs belongs to the snapshot. */
DMS_API int dms_snapshot_id_runs(dms_snapshot *snapshot, const struct dms_id_run **runs,
                                 size_t *run_ct);

/* ---- reading values ---- */

/* Copies the packed masks of row_ct rows: masks has row_ct x (example_ct + 7) / 8 bytes. */
DMS_API int dms_snapshot_read_masks(dms_snapshot *snapshot, size_t group, uint32_t row,
                                    uint32_t row_ct, uint8_t *masks);

/* Copies values of targets target .. target + target_ct - 1 of row_ct rows of an output or scalar
 * column, as in memory, row-major without gaps. Values of rows that have none
 * (dms_snapshot_group_present) are zero bytes. */
DMS_API int dms_snapshot_read_values(dms_snapshot *snapshot, size_t group, uint32_t column,
                                     uint32_t row, uint32_t row_ct, uint64_t target,
                                     uint64_t target_ct, void *values);

/* ---- chunks ---- */

enum dms_encoding {
    DMS_ENCODING_PLAIN = 0,
    DMS_ENCODING_BYTE_PLANES = 1, /* all low bytes, then all high bytes */
    DMS_ENCODING_ID_RUNS = 2,
    DMS_ENCODING_SAMPLED = 3, /* 16 bytes a mask, from which it is drawn again */
};

struct dms_chunk_info {
    uint64_t segment; /* number of the segment file */
    uint64_t offset;  /* of the chunk's header in it */
    uint64_t first_target, target_ct;
    uint32_t row_ct;
    enum dms_encoding encoding;
    enum dms_codec_kind codec; /* NONE or ZSTD */
    uint64_t stored_bytes;     /* payload in the file */
    uint64_t decoded_bytes;    /* rows without padding */
    uint32_t row_stride_bytes; /* of a plain uncompressed payload, else 0 */
    uint64_t content_hash[2];  /* XXH3-128 of the decoded rows: low, high half */
};
/* Tiles 0 .. dms_column_tile_ct - 1 of a column in a sealed group. NOT_FOUND: the group has no
 * values in it. */
DMS_API int dms_snapshot_chunk(dms_snapshot *snapshot, size_t group, uint32_t column, uint32_t tile,
                               struct dms_chunk_info *info);

/* The rows of a plain, uncompressed chunk in place, in the page cache that all processes share: row
 * r at data + r x row_stride_bytes. Mask rows are 64-byte aligned where that costs at most 1/128 of
 * them, and 8-byte aligned always; other rows follow one another without gaps. *data lives until
 * dms_snapshot_close. The hash was checked when this returns 0. The pointer is exposed: a file that
 * is truncated afterwards raises SIGBUS at the access. UNSUPPORTED: the chunk is compressed or
 * encoded; use the copying calls. */
DMS_API int dms_snapshot_map_chunk(dms_snapshot *snapshot, size_t group, uint32_t column,
                                   uint32_t tile, struct dms_chunk_info *info,
                                   const uint8_t **data);

/* ---- statistics ---- */

/* counts: example_ct values, in how many live models each training example is. */
DMS_API int dms_snapshot_example_counts(dms_snapshot *snapshot, uint64_t *counts);

/* Sums over the finite values of one target of the live models; exact before rounding to double for
 * f16, u8 and bool. */
struct dms_target_statistics {
    double sum;
    double square_sum;
    uint64_t finite_ct;
    uint64_t nonfinite_ct;
};
/* statistics: dms_column_value_ct(column) of them, for an output column. */
DMS_API int dms_snapshot_target_statistics(dms_snapshot *snapshot, uint32_t column,
                                           struct dms_target_statistics *statistics);

DMS_END_DECLS

#endif
