/*
 * Writing a file of counts: the tiles band by band as they are counted, then lists and head.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/pool.h"
#include "solver/gram.h"
#include "solver/pair_counts_parts.h"

struct writing {
    struct dms_gram_writer *writer;
    struct dms_pool *pool;
    const struct dms_gram_description *description;
    uint32_t *singles;
    struct dms_pair_entry *entries;
};

/* ---- tiles ---- */

static int begin(void *context, const uint32_t *singles)
{
    struct writing *writing = context;
    const struct dms_gram_description *description = writing->description;
    size_t example_ct = (size_t)description->example_ct;

    writing->singles = dms_alloc(example_ct, sizeof *singles);
    writing->entries = dms_alloc(dms_pair_tile_ct(example_ct), sizeof *writing->entries);
    if (!writing->singles || !writing->entries)
        return DMS_ERR_NO_MEMORY;
    memcpy(writing->singles, singles, example_ct * sizeof *singles);
    dms_gram_writer_begin(writing->writer,
                          dms_pair_tiles_offset(example_ct, description->rows->range_ct));
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
    struct writing *writing = context;
    struct hashing hashing = {.tiles = tiles, .entries = writing->entries + tiles->first};
    int rc = dms_pool_run(writing->pool, tiles->tile_ct, hash_tile, &hashing);

    return rc < 0 ? rc
                  : dms_gram_writer_append(writing->writer, tiles->bytes,
                                           (size_t)tiles->starts[tiles->tile_ct]);
}

/* ---- the rest ---- */

static int finish(const struct writing *writing)
{
    const struct dms_gram_description *description = writing->description;
    struct dms_gram_head head = dms_gram_head_of(DMS_GRAM_PAIRS, description);
    struct dms_buffer lists = {0};
    int rc = dms_pair_lists_encode(description->rows, (size_t)head.example_ct, writing->singles,
                                   writing->entries, &lists);

    if (rc == DMS_OK)
        rc = dms_gram_writer_finish(writing->writer, &head, &lists);
    dms_buffer_free(&lists);
    return rc;
}

int dms_pairs_write(struct dms_gram_writer *writer, const struct dms_gram_description *description,
                    const struct dms_pair_build *plan)
{
    struct writing writing = {.writer = writer, .pool = plan->pool, .description = description};
    struct dms_pair_build build = *plan;
    int rc;

    build.begin = begin;
    build.keep = keep;
    build.context = &writing;
    rc = dms_pair_build_run(&build);
    if (rc == DMS_OK)
        rc = finish(&writing);
    free(writing.entries);
    free(writing.singles);
    return rc;
}
