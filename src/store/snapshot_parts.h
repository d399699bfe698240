/*
 * What a snapshot is made of, for the files snapshot*.c alone.
 *
 * After opening, a snapshot changes only by filling in what it had not looked at yet: directories,
 * maps, lists, and flags that say "checked". Each of these is an atomic that goes from empty to its
 * one final value. Threads that need the same one at once may both work it out; the first to
 * publish wins. So nothing ever waits, also not in a forked child.
 */
#ifndef DMS_STORE_SNAPSHOT_PARTS_H
#define DMS_STORE_SNAPSHOT_PARTS_H

#include "format/block.h"
#include "format/rows.h"
#include "store/snapshot.h"

#include <stdatomic.h>

/* Data is hashed and rows are gathered in pieces of this size, which stay in the cache of a core.
 */
enum { DMS_PIECE_BYTES = 256 * 1024 };

/* The open file of catalog.segments[k]. */
struct dms_snapshot_file {
    char *path;                   /* owned */
    int descriptor;               /* -1: not open */
    atomic_bool checked;          /* its segment block is the one that the catalog means */
    _Atomic(const uint8_t *) map; /* of its committed bytes */
};

/* An entry of a directory: where a tile's chunk is, and what must be found there. */
struct dms_tile_entry {
    uint64_t offset;
    uint64_t payload_bytes;
    uint64_t payload_hash;
    uint64_t header_hash;
    _Atomic uint32_t verified_stride; /* row stride of a plain uncompressed chunk whose hash was
                                         checked; 0: not yet */
};

/* The directory of one column in one group. */
struct dms_tile_directory {
    uint8_t *present; /* presence bitmap in the same block of memory; NULL: every row has a value */
    uint32_t tile_ct;
    struct dms_tile_entry tiles[];
};

/* Live ids in order. */
struct dms_id_run_list {
    size_t run_ct;
    struct dms_id_run runs[];
};

struct dms_snapshot {
    char *path; /* of the store directory, absolute */
    uint8_t store_uuid[DMS_UUID_BYTES];
    bool has_index; /* opened through the index, not by a manifest */
    struct dms_catalog catalog;
    struct dms_snapshot_file *files;                   /* catalog.segment_ct */
    _Atomic(struct dms_tile_directory *) *directories; /* group_ct x column_ct */
    atomic_bool *batches_checked; /* batch_ct: the rows block's hash is right */
    _Atomic(struct dms_row_layout *)
        *layouts;                       /* of staged rows with the first k columns; column_ct + 1 */
    const struct dms_fit_record **fits; /* of the catalog, in order of their names */
    _Atomic(struct dms_id_run_list *) id_runs;
    atomic_uint search_ct; /* ids that were looked up before there was such a list */
};

/* Makes a snapshot of `catalog`, which it then owns (the catalog is emptied, in any case). No file
 * is open yet. */
int dms_snapshot_make(const char *store_path, const uint8_t store_uuid[DMS_UUID_BYTES],
                      struct dms_catalog *catalog, struct dms_snapshot **snapshot);

/* DMS_ERR_INVALID unless there is such a column, such a group, and such rows in it. */
int dms_snapshot_check_column(const struct dms_snapshot *snapshot, uint32_t column);
int dms_snapshot_check_group(const struct dms_snapshot *snapshot, size_t group);
int dms_snapshot_check_rows(const struct dms_snapshot *snapshot, size_t group, uint32_t row,
                            uint32_t row_ct);

/* ---- files (snapshot_files.c) ---- */

/* Opens every segment file and compares its length. NOT_FOUND: a file is gone. */
int dms_snapshot_open_files(struct dms_snapshot *snapshot);

/* The open file of a segment, with its segment block checked. */
int dms_snapshot_file(const struct dms_snapshot *snapshot, uint64_t segment,
                      struct dms_snapshot_file **file, uint64_t *committed_bytes);

/* Maps the committed bytes of a segment; *map belongs to the snapshot. */
int dms_snapshot_map_file(const struct dms_snapshot *snapshot, uint64_t segment,
                          const uint8_t **map);

/* Checks the payload hash of a block that was read from the file, in pieces. */
int dms_snapshot_check_payload(const struct dms_snapshot_file *file, const struct dms_block *block);

/* ---- sealed groups (snapshot_chunks.c) ---- */

/* The directory of a column in a sealed group, read when first asked for; *directory is NULL when
 * the column has no values there. It belongs to the snapshot. */
int dms_snapshot_directory(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                           struct dms_tile_directory **directory);

/* A chunk, found and checked as far as its header goes. */
struct dms_chunk_place {
    struct dms_snapshot_file *file;
    struct dms_tile_entry *entry;
    struct dms_block block;
};
int dms_snapshot_chunk_place(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                             uint32_t tile, struct dms_chunk_place *place);

/* Whether the chunk's rows lie in the file as they are. */
static inline bool dms_chunk_is_raw(const struct dms_chunk_fields *chunk)
{
    return chunk->codec == DMS_CODEC_NONE && chunk->encoding == DMS_ENCODING_PLAIN;
}

/* Checks the payload of a raw chunk, once. */
int dms_snapshot_verify_raw(const struct dms_chunk_place *place);

/* Puts the name of the chunk before the current message; returns `code`. */
int dms_snapshot_fail_chunk(const struct dms_snapshot *snapshot, int code, size_t group,
                            uint32_t column, uint32_t tile);

/* ---- rows in files (snapshot_rows.c) ---- */

/* A run of bits in each of row_ct rows that stand at equal distances. */
struct dms_row_bits {
    uint32_t row_ct;
    size_t bit_ct;
};

/* Bits of rows in memory: row r begins at data + r x stride, its bits at bit `bit` of that. */
struct dms_rows_in_memory {
    uint8_t *data;
    size_t stride;
    size_t bit;
};

/* Copies bits of rows; the destination's bytes must be zero where they take part of a byte only. */
void dms_rows_copy(struct dms_rows_in_memory to, struct dms_rows_in_memory from,
                   struct dms_row_bits bits);

/* The same from a file, whose row 0 begins at `offset` and has its bits at bit `bit` of that. */
int dms_rows_read(const struct dms_snapshot_file *file, uint64_t offset, size_t stride, size_t bit,
                  struct dms_row_bits bits, struct dms_rows_in_memory to);

/* ---- staged batches (snapshot_staged.c) ---- */

/* Presence bits of a column (one of the schema's, not mask or id) in a batch: (row_ct + 7) / 8
 * bytes, zero before. */
int dms_snapshot_staged_present(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                                uint8_t *present);

/* As dms_snapshot_read_packed and dms_snapshot_read_sampling, for a batch, with arguments checked
 * and `rows` zeroed. */
int dms_snapshot_staged_packed(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                               uint32_t row, uint32_t row_ct, uint64_t target, uint64_t target_ct,
                               uint8_t *rows);
int dms_snapshot_staged_sampling(const struct dms_snapshot *snapshot, size_t group, uint32_t row,
                                 uint32_t row_ct, uint8_t *entries, bool *all_sampled);

/* ---- fits (snapshot_fits.c) ---- */

/* Fills snapshot->fits, which has room for all of them. */
void dms_snapshot_list_fits(struct dms_snapshot *snapshot);

/* ---- manifests (snapshot_manifest.c) ---- */

int dms_snapshot_open_manifest(const char *path, struct dms_snapshot **snapshot);

#endif
