/*
 * Writing a file of counts: the tiles band by band as they are counted, then lists and head, then
 * its name. The temporary file has one name for all who count the same models, and is locked
 * (flock) by whoever writes it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/pool.h"
#include "solver/gram.h"
#include "solver/pair_counts_parts.h"

struct dms_gram_writer {
    char *path, *temporary;
    int descriptor; /* of the temporary file, locked; -1: none */
    struct dms_pool *pool;
    const struct dms_gram_description *description;
    uint32_t *singles;
    struct dms_pair_entry *entries;
    uint64_t offset; /* of the next tile */
    bool finished;
};

/* ---- the temporary file ---- */

static int make_directory(const char *path)
{
    char *directory = dms_path_parent(path);
    int rc = directory ? DMS_OK : DMS_ERR_NO_MEMORY;

    if (directory && mkdir(directory, 0775) != 0 && errno != EEXIST)
        rc = dms_fail_errno("cannot make directory '%s'", directory);
    free(directory);
    return rc;
}

int dms_gram_writer_create(const char *path, struct dms_gram_writer **writer)
{
    struct dms_gram_writer *made = dms_alloc(1, sizeof *made);
    int rc = DMS_ERR_NO_MEMORY;

    if (!made)
        return rc;
    made->descriptor = -1;
    made->path = dms_strdup(path);
    made->temporary = dms_format("%s.tmp", path);
    if (made->path && made->temporary)
        rc = make_directory(path);
    if (rc == DMS_OK)
        made->descriptor = rc = dms_open_temporary(made->temporary);
    if (rc < 0) {
        made->finished = true; /* the file is another's, or none */
        dms_gram_writer_free(made);
        return rc;
    }
    *writer = made;
    return DMS_OK;
}

void dms_gram_writer_free(struct dms_gram_writer *writer)
{
    struct dms_error_state failure;

    if (!writer)
        return;
    dms_error_save(&failure);
    if (!writer->finished)
        dms_file_remove(writer->temporary);
    dms_error_restore(&failure);
    if (writer->descriptor >= 0)
        dms_close(writer->descriptor);
    free(writer->entries);
    free(writer->singles);
    free(writer->temporary);
    free(writer->path);
    free(writer);
}

/* ---- tiles ---- */

static int begin(void *context, const uint32_t *singles)
{
    struct dms_gram_writer *writer = context;
    const struct dms_gram_description *description = writer->description;
    size_t example_ct = (size_t)description->example_ct;

    writer->singles = dms_alloc(example_ct, sizeof *singles);
    writer->entries = dms_alloc(dms_pair_tile_ct(example_ct), sizeof *writer->entries);
    if (!writer->singles || !writer->entries)
        return DMS_ERR_NO_MEMORY;
    memcpy(writer->singles, singles, example_ct * sizeof *singles);
    writer->offset = dms_pair_tiles_offset(example_ct, description->rows->range_ct);
    return DMS_OK;
}

struct hashing {
    const struct dms_pair_tiles *tiles;
    struct dms_pair_entry *entries; /* of these tiles */
};

static int hash_tile(void *context, size_t index)
{
    const struct hashing *hashing = context;
    const struct dms_pair_tiles *tiles = hashing->tiles;
    uint64_t start = tiles->starts[index];

    hashing->entries[index] = (struct dms_pair_entry){
        .hash = dms_hash64(tiles->bytes + start, (size_t)(tiles->starts[index + 1] - start)),
        .width = tiles->widths[index],
    };
    return DMS_OK;
}

static int keep(void *context, struct dms_pair_tiles *tiles)
{
    struct dms_gram_writer *writer = context;
    struct hashing hashing = {.tiles = tiles, .entries = writer->entries + tiles->first};
    uint64_t size = tiles->starts[tiles->tile_ct];
    int rc = dms_pool_run(writer->pool, tiles->tile_ct, hash_tile, &hashing);

    if (rc == DMS_OK)
        rc = dms_pwrite_full(writer->descriptor, writer->temporary, tiles->bytes, (size_t)size,
                             writer->offset);
    writer->offset += size;
    return rc;
}

/* ---- the rest ---- */

static int write_head(struct dms_gram_writer *writer)
{
    const struct dms_gram_description *description = writer->description;
    const struct dms_row_set *rows = description->rows;
    struct dms_pair_head head = {
        .sequence = description->sequence,
        .example_ct = description->example_ct,
        .row_ct = rows->row_ct,
        .digest = {rows->digest[0], rows->digest[1]},
        .range_ct = rows->range_ct,
        .file_bytes = writer->offset,
    };
    struct dms_buffer lists = {0};
    uint8_t bytes[DMS_PAIR_HEAD_BYTES];
    int rc = dms_pair_lists_encode(rows, (size_t)head.example_ct, writer->singles, writer->entries,
                                   &lists);

    if (rc == DMS_OK) {
        memcpy(head.store_uuid, description->store_uuid, sizeof head.store_uuid);
        head.lists_hash = dms_hash64(lists.data, lists.size);
        dms_pair_head_encode(&head, bytes);
        rc = dms_pwrite_full(writer->descriptor, writer->temporary, lists.data, lists.size,
                             DMS_PAIR_HEAD_BYTES);
    }
    if (rc == DMS_OK)
        rc = dms_pwrite_full(writer->descriptor, writer->temporary, bytes, sizeof bytes, 0);
    dms_buffer_free(&lists);
    return rc;
}

static int give_name(struct dms_gram_writer *writer)
{
    char *directory = dms_path_parent(writer->path);
    int rc = directory ? dms_file_sync(writer->descriptor, writer->temporary) : DMS_ERR_NO_MEMORY;

    if (rc == DMS_OK)
        rc = dms_file_rename(writer->temporary, writer->path);
    writer->finished = rc == DMS_OK;
    if (rc == DMS_OK)
        rc = dms_directory_sync(directory);
    free(directory);
    return rc;
}

int dms_gram_writer_run(struct dms_gram_writer *writer,
                        const struct dms_gram_description *description,
                        const struct dms_pair_build *plan)
{
    struct dms_pair_build build = *plan;
    int rc;

    writer->description = description;
    writer->pool = build.pool;
    build.begin = begin;
    build.keep = keep;
    build.context = writer;
    rc = dms_pair_build_run(&build);
    if (rc == DMS_OK)
        rc = write_head(writer);
    return rc < 0 ? rc : give_name(writer);
}
