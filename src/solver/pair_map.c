/*
 * Counts of pairs in a file of the store: mapped, each tile checked when it is first read. Reads
 * run under a handler for SIGBUS, so that a file that is cut short is an error.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/hash.h"
#include "solver/gram_head.h"
#include "solver/pair_counts_parts.h"

/* What is known of a tile. */
enum { TILE_UNKNOWN, TILE_GOOD };

struct dms_pair_map {
    char *path;
    struct dms_gram_head head;
    struct dms_row_set rows;
    struct dms_pair_entry *entries; /* a tile */
    atomic_uchar *states;           /* a tile */
    const uint8_t *bytes;           /* head.file_bytes */
};

void dms_pair_map_close(struct dms_pair_map *map)
{
    if (!map)
        return;
    dms_file_unmap(map->bytes, map->bytes ? (size_t)map->head.file_bytes : 0);
    free(map->states);
    free(map->entries);
    free(map->rows.ranges);
    free(map->path);
    free(map);
}

const struct dms_gram_head *dms_pair_map_head(const struct dms_pair_map *map)
{
    return &map->head;
}

/* ---- opening ---- */

static int read_lists(int descriptor, struct dms_pair_map *map, uint32_t *singles)
{
    const struct dms_gram_head *head = &map->head;
    size_t size = (size_t)dms_pair_lists_bytes(head->example_ct, head->range_ct);
    size_t tile_ct = dms_pair_tile_ct((size_t)head->example_ct);
    uint8_t *bytes = dms_alloc(size, 1);
    int rc;

    map->rows = (struct dms_row_set){
        .range_ct = (size_t)head->range_ct,
        .ranges = dms_alloc((size_t)head->range_ct, sizeof *map->rows.ranges),
        .row_ct = head->row_ct,
        .digest = {head->digest[0], head->digest[1]},
    };
    map->entries = dms_alloc(tile_ct, sizeof *map->entries);
    map->states = dms_alloc(tile_ct, sizeof *map->states);
    rc = bytes && map->rows.ranges && map->entries && map->states ? DMS_OK : DMS_ERR_NO_MEMORY;
    if (rc == DMS_OK)
        rc = dms_pread_full(descriptor, map->path, bytes, size, DMS_GRAM_HEAD_BYTES);
    if (rc == DMS_OK)
        rc = dms_pair_lists_decode(head, bytes, map->rows.ranges, singles, map->entries);
    free(bytes);
    return rc;
}

/* Fills in what follows from the file. */
static int fill_counts(int descriptor, struct dms_pair_map *map, struct dms_pair_counts *counts)
{
    size_t tile_ct = dms_pair_tile_ct(counts->example_ct);
    int rc = read_lists(descriptor, map, counts->singles);

    if (rc == DMS_OK)
        rc = dms_file_map(descriptor, map->path, (size_t)map->head.file_bytes, &map->bytes);
    if (rc < 0)
        return rc;
    counts->center =
        dms_pair_offsets_make(counts->example_ct, counts->row_ct, counts->singles, counts->offsets);
    for (size_t t = 0; t < tile_ct; t++) {
        counts->widths[t] = map->entries[t].width;
        counts->tiles[t] = map->bytes + map->entries[t].offset;
    }
    return DMS_OK;
}

static int open_map(int descriptor, const uint8_t *store_uuid, struct dms_pair_map *map,
                    struct dms_pair_counts **counts)
{
    int rc =
        dms_gram_head_read(descriptor, map->path, store_uuid, dms_pair_head_decode, &map->head);

    if (rc == DMS_OK)
        rc = dms_pair_counts_create((size_t)map->head.example_ct, map->head.row_ct, counts);
    if (rc == DMS_OK)
        rc = fill_counts(descriptor, map, *counts);
    return rc < 0 ? dms_fail_prefix(rc, "counts of pairs '%s'", map->path) : rc;
}

int dms_pair_counts_map(int descriptor, const char *path, const uint8_t *store_uuid,
                        struct dms_pair_counts **counts)
{
    struct dms_pair_map *map = dms_alloc(1, sizeof *map);
    struct dms_pair_counts *made = NULL;
    int rc = DMS_ERR_NO_MEMORY;

    if (map && (map->path = dms_strdup(path)) != NULL)
        rc = open_map(descriptor, store_uuid, map, &made);
    if (rc < 0) {
        dms_pair_counts_free(made);
        dms_pair_map_close(map);
        return rc;
    }
    made->file = map;
    *counts = made;
    return DMS_OK;
}

int dms_pair_counts_open(const char *path, const uint8_t *store_uuid,
                         struct dms_pair_counts **counts)
{
    /* Not to wait for a writer, should a pipe be there. */
    int descriptor = dms_open(path, O_RDONLY | O_NONBLOCK, 0), rc;

    if (descriptor < 0)
        return descriptor;
    rc = dms_pair_counts_map(descriptor, path, store_uuid, counts);
    dms_close(descriptor);
    return rc;
}

const struct dms_row_set *dms_pair_counts_rows(const struct dms_pair_counts *counts)
{
    return counts->file ? &counts->file->rows : NULL;
}

/* ---- tiles ---- */

int dms_pair_map_run(const struct dms_pair_map *map, void (*task)(void *context), void *context)
{
    const void *address;

    if (dms_fault_run(task, context, &address))
        return DMS_OK;
    return dms_fail(DMS_ERR_CORRUPT,
                    "counts of pairs '%s' were cut off, or cannot be read, at offset 0x%" PRIx64
                    ": run 'dmstore gram' again",
                    map->path, (uint64_t)((const uint8_t *)address - map->bytes));
}

struct hashing {
    const uint8_t *bytes;
    size_t size;
    uint64_t hash;
};

static void hash_tile(void *context)
{
    struct hashing *hashing = context;

    hashing->hash = dms_hash64(hashing->bytes, hashing->size);
}

int dms_pair_map_check(struct dms_pair_map *map, size_t tile)
{
    const struct dms_pair_entry *entry = &map->entries[tile];
    struct hashing hashing = {.bytes = map->bytes + entry->offset,
                              .size = entry->width * DMS_PAIR_TILE_CELLS};
    int rc;

    if (atomic_load_explicit(&map->states[tile], memory_order_relaxed) == TILE_GOOD)
        return DMS_OK;
    rc = dms_pair_map_run(map, hash_tile, &hashing);
    if (rc == DMS_OK && hashing.hash != entry->hash)
        rc = dms_fail(DMS_ERR_CORRUPT,
                      "counts of pairs '%s': checksum mismatch in tile %zu at offset 0x%" PRIx64
                      ": remove the file, and run 'dmstore gram' again",
                      map->path, tile, entry->offset);
    if (rc == DMS_OK)
        atomic_store_explicit(&map->states[tile], TILE_GOOD, memory_order_relaxed);
    return rc;
}
