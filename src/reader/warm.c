/*
 * Reading warm.cache. It is held against the snapshot chunk by chunk: an entry counts only for the
 * chunk whose header hash it names, and its rows only when their hash is right.
 */
#include "reader/warm.h"

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "store/snapshot.h"
#include "store/snapshot_tiles.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_BYTES = 256 * 1024 };

/* What is known of the rows of an entry. */
enum { ROWS_UNKNOWN, ROWS_GOOD, ROWS_DAMAGED };

struct dms_warm {
    dms_snapshot *snapshot;
    char *path;
    int descriptor;
    struct dms_warm_head head;
    struct dms_warm_entry *entries;
    atomic_uchar *states; /* entry_ct */
    const uint8_t *map;   /* head.file_bytes */
};

char *dms_warm_path(const dms_snapshot *snapshot)
{
    return dms_path_join(dms_snapshot_path(snapshot), "warm.cache");
}

/* ---- opening --------------------------------------------------------------- */

static int read_entries(struct dms_warm *warm)
{
    uint8_t head[DMS_WARM_HEAD_BYTES];
    struct dms_snapshot_info info;
    uint64_t file_bytes;
    int status = dms_file_size(warm->descriptor, warm->path, &file_bytes);
    if (status == 0) {
        status = dms_pread_full(warm->descriptor, warm->path, head, sizeof head, 0);
    }
    if (status == 0) {
        status = dms_warm_head_decode(head, &warm->head);
    }
    if (status != 0) {
        return status;
    }
    dms_snapshot_info(warm->snapshot, &info);
    if (memcmp(warm->head.store_uuid, info.store_uuid, DMS_UUID_BYTES) != 0) {
        return dms_fail(DMS_ERR_INVALID, "it is of another store");
    }
    if (file_bytes < warm->head.file_bytes) {
        return dms_fail(DMS_ERR_CORRUPT, "it is truncated: %" PRIu64 " bytes of %" PRIu64,
                        file_bytes, warm->head.file_bytes);
    }
    size_t entry_ct = (size_t)warm->head.entry_ct;
    uint8_t *bytes = dms_alloc(entry_ct, DMS_WARM_ENTRY_BYTES);
    warm->entries = dms_alloc(entry_ct, sizeof *warm->entries);
    warm->states = dms_alloc(entry_ct, sizeof *warm->states);
    status = bytes && warm->entries && warm->states ? 0 : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        status = dms_pread_full(warm->descriptor, warm->path, bytes,
                                entry_ct * DMS_WARM_ENTRY_BYTES, DMS_WARM_HEAD_BYTES);
    }
    if (status == 0) {
        status = dms_warm_entries_decode(&warm->head, bytes, warm->entries);
    }
    free(bytes);
    return status;
}

static int open_at(dms_snapshot *snapshot, char *path, struct dms_warm **warm)
{
    struct dms_warm *made = dms_alloc(1, sizeof *made);
    if (!made) {
        free(path);
        return DMS_ERR_NO_MEMORY;
    }
    *made = (struct dms_warm){.snapshot = snapshot, .path = path};
    made->descriptor = dms_open(path, O_RDONLY, 0);
    int status = made->descriptor < 0 ? made->descriptor : read_entries(made);
    if (status == 0) {
        status = dms_file_map(made->descriptor, path, (size_t)made->head.file_bytes, &made->map);
    }
    if (status != 0) {
        dms_fail_prefix(status, "cache '%s'", path);
        dms_warm_close(made);
        return status;
    }
    *warm = made;
    return 0;
}

int dms_warm_open(dms_snapshot *snapshot, const char *path, struct dms_warm **warm)
{
    char *copy = path ? dms_strdup(path) : dms_warm_path(snapshot);
    if (!copy) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = open_at(snapshot, copy, warm);
    if (status != 0 && status != DMS_ERR_NO_MEMORY && !path) {
        /* The store's own is an offer; one that is no good is as none. */
        *warm = NULL;
        status = 0;
    }
    return status;
}

void dms_warm_close(struct dms_warm *warm)
{
    if (warm) {
        if (warm->map) {
            dms_file_unmap(warm->map, (size_t)warm->head.file_bytes);
        }
        dms_close(warm->descriptor);
        free(warm->entries);
        free(warm->states);
        free(warm->path);
        free(warm);
    }
}

/* ---- rows ------------------------------------------------------------------ */

static const struct dms_warm_entry *find_entry(const struct dms_warm *warm,
                                               const struct dms_warm_entry *wanted)
{
    size_t low = 0;
    size_t high = (size_t)warm->head.entry_ct;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = dms_warm_entry_compare(&warm->entries[middle], wanted);
        if (order == 0) {
            return &warm->entries[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* Whether the rows of an entry are as they were written; read from the file, since a page that is
 * gone must not raise a signal here. */
static bool rows_are_good(const struct dms_warm *warm, const struct dms_warm_entry *entry)
{
    struct dms_hash_stream *stream = dms_hash_stream_create();
    uint8_t *piece = dms_alloc_aligned(64, PIECE_BYTES);
    uint64_t bytes = (uint64_t)entry->row_ct * entry->row_stride;
    bool good = stream && piece;
    for (uint64_t done = 0; good && done < bytes;) {
        size_t take = bytes - done < PIECE_BYTES ? (size_t)(bytes - done) : PIECE_BYTES;
        good = dms_pread_full(warm->descriptor, warm->path, piece, take, entry->offset + done) == 0;
        if (good) {
            dms_hash_stream_add(stream, piece, take);
            done += take;
        }
    }
    good = good && dms_hash_stream_hash64(stream) == entry->rows_hash;
    free(piece);
    dms_hash_stream_free(stream);
    return good;
}

/* The entry of a chunk as it is in the snapshot, or DMS_END. */
static int find_chunk(const struct dms_warm *warm, size_t group, uint32_t column, uint32_t tile,
                      const struct dms_warm_entry **entry)
{
    struct dms_chunk_identity chunk;
    int status = dms_snapshot_chunk_identity(warm->snapshot, group, column, tile, &chunk);
    if (status != 0) {
        return status;
    }
    struct dms_warm_entry wanted = {
        .group = chunk.group, .column_id = chunk.column_id, .tile = tile};
    const struct dms_warm_entry *found = find_entry(warm, &wanted);
    if (!found || found->header_hash != chunk.header_hash || found->row_ct != chunk.row_ct ||
        found->row_stride < chunk.row_bytes) {
        return DMS_END;
    }
    *entry = found;
    return 0;
}

int dms_warm_has(const struct dms_warm *warm, size_t group, uint32_t column, uint32_t tile,
                 bool *has)
{
    const struct dms_warm_entry *entry;
    int status = find_chunk(warm, group, column, tile, &entry);
    if (status < 0) {
        return status;
    }
    *has = status == 0;
    return 0;
}

int dms_warm_rows(struct dms_warm *warm, size_t group, uint32_t column, uint32_t tile,
                  const uint8_t **rows, size_t *stride)
{
    const struct dms_warm_entry *entry;
    int status = find_chunk(warm, group, column, tile, &entry);
    if (status != 0) {
        return status;
    }
    atomic_uchar *state = &warm->states[entry - warm->entries];
    unsigned char known = atomic_load_explicit(state, memory_order_relaxed);
    if (known == ROWS_UNKNOWN) {
        known = rows_are_good(warm, entry) ? ROWS_GOOD : ROWS_DAMAGED;
        atomic_store_explicit(state, known, memory_order_relaxed);
    }
    if (known == ROWS_DAMAGED) {
        return DMS_END;
    }
    *rows = warm->map + entry->offset;
    *stride = entry->row_stride;
    return 0;
}

int dms_warm_check_length(const struct dms_warm *warm)
{
    uint64_t bytes;
    int status = dms_file_size(warm->descriptor, warm->path, &bytes);
    if (status == 0 && bytes < warm->head.file_bytes) {
        status = dms_fail(DMS_ERR_CORRUPT,
                          "cache '%s' was truncated while it was read, at offset 0x%" PRIx64
                          ": run 'dmstore warm' again",
                          warm->path, bytes);
    }
    return status;
}
