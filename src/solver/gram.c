/*
 * Finds the counts of a row set in the store, or counts them: all models, or those that a file of
 * fewer models lacks.
 */
#include "solver/gram.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "solver/cuda_pairs.h"
#include "solver/gram_rows.h"
#include "solver/pair_counts_parts.h"
#include "store/snapshot.h"

void dms_gram_options_init(struct dms_gram_options *options)
{
    *options = (struct dms_gram_options){
        .device = DMS_DEVICE_CPU,
        .memory_bytes = (uint64_t)4 << 30,
    };
}

/* One search or count. */
struct gram_job {
    dms_snapshot *snapshot;
    const struct dms_row_set *rows;
    struct dms_pool *pool;
    struct dms_pool *smaller_pool; /* that counts in its place; NULL: none */
    const struct dms_gram_options *options;
    struct dms_snapshot_info info;
    size_t example_ct;
    char *path;
    struct dms_pair_counts *base; /* counts to add to; NULL: none */
    char *base_path;
    struct dms_gram_source source;
    struct dms_id_range *ranges; /* of the source */
    struct dms_placement placement;
    struct dms_cuda_pair_counter *counter; /* of a device; NULL: none counts */
    struct dms_gram_result result;
};

/* ---- what is there ---- */

/* Whether counts are those of the models that the name says. */
static int check_rows(const struct gram_job *job, const struct dms_pair_counts *counts)
{
    const struct dms_row_set *rows = dms_pair_counts_rows(counts);

    if (counts->example_ct == job->example_ct && rows->row_ct == job->rows->row_ct &&
        memcmp(rows->digest, job->rows->digest, sizeof rows->digest) == 0)
        return DMS_OK;
    return dms_fail(DMS_ERR_CORRUPT,
                    "counts of pairs '%s' are not of the models that the name says", job->path);
}

/* DMS_END: there is no file. */
static int open_existing(struct gram_job *job, struct dms_pair_counts **counts)
{
    struct dms_pair_counts *found = NULL;
    int rc = dms_pair_counts_open(job->path, job->info.store_uuid, &found);

    if (rc == DMS_ERR_NOT_FOUND)
        return DMS_END;
    if (rc == DMS_OK)
        rc = check_rows(job, found);
    if (rc < 0)
        dms_pair_counts_free(found);
    if (rc == DMS_ERR_CORRUPT || rc == DMS_ERR_VERSION || rc == DMS_ERR_INVALID)
        rc = dms_fail(rc, "%s: remove it with 'dmstore gram --remove'", dms_error_message());
    if (rc < 0)
        return rc;
    job->result.origin = DMS_GRAM_FOUND;
    job->result.file_bytes = dms_pair_map_head(found->file)->file_bytes;
    *counts = found;
    return DMS_OK;
}

/* Takes a file that has more of the models than what was found before. One that cannot be used is
 * none: it is not what was asked for. */
static int consider_base(void *context, const char *path, const struct dms_gram_name *name,
                         const struct dms_model_hashes *hashes)
{
    struct gram_job *job = context;
    struct dms_pair_counts *found = NULL;
    uint64_t best_ct = job->base ? dms_pair_counts_row_ct(job->base) : 0;

    if (name->kind != DMS_GRAM_PAIRS ||
        dms_pair_counts_open(path, job->info.store_uuid, &found) < 0)
        return DMS_OK;
    if (found->example_ct != job->example_ct ||
        !dms_row_set_can_grow(job->rows, dms_pair_counts_rows(found), best_ct, hashes)) {
        dms_pair_counts_free(found);
        return DMS_OK;
    }
    dms_pair_counts_free(job->base);
    free(job->base_path);
    job->base = found;
    job->base_path = dms_strdup(path);
    return job->base_path ? DMS_OK : DMS_ERR_NO_MEMORY;
}

/* Holds the row set against the snapshot, and finds what has been counted of it. */
static int prepare_rows(struct gram_job *job)
{
    struct dms_row_set none = {0};
    const struct dms_row_set *counted = &none;
    int rc = dms_gram_search(job->snapshot, job->rows, "counted", dms_pool_threads(job->pool),
                             consider_base, job);

    if (rc == DMS_OK && job->base)
        counted = dms_pair_counts_rows(job->base);
    if (rc == DMS_OK)
        rc = dms_row_set_subtract(job->rows, counted, &job->ranges, &job->source.range_ct);
    job->source.ranges = job->ranges;
    job->source.row_ct = job->rows->row_ct - counted->row_ct;
    return rc;
}

/* ---- counting ---- */

static int plan_memory(struct gram_job *job, bool in_memory, struct dms_gram_plan *plan)
{
    const struct dms_gram_task task = {
        .snapshot = job->snapshot,
        .row_ct = job->source.row_ct,
        .kept_bytes =
            in_memory ? dms_pair_counts_tile_bytes(job->example_ct, job->rows->row_ct) : 0,
        .memory_bytes = job->options->memory_bytes,
        .thread_ct = dms_pool_threads(job->pool),
        .on_device = job->placement.device == DMS_DEVICE_CUDA,
    };

    return dms_gram_plan_make(&task, plan);
}

/* Plans, and opens the device if one is to count. Where any will do, one that cannot is none. */
static int plan_with_device(struct gram_job *job, bool in_memory, struct dms_gram_plan *plan)
{
    struct dms_placement *placement = &job->placement;
    uint64_t row_ct = job->source.row_ct;
    int rc = plan_memory(job, in_memory, plan);

    if (placement->device != DMS_DEVICE_CUDA)
        return rc;
    if (rc == DMS_OK && plan->block_words * 64 < row_ct)
        row_ct = plan->block_words * 64;
    if (rc == DMS_OK)
        rc = dms_cuda_pairs_open(job->example_ct, row_ct, 0, &job->counter);
    if (rc == DMS_OK || job->options->device == DMS_DEVICE_CUDA)
        return rc;
    placement->device = DMS_DEVICE_CPU;
    snprintf(placement->reason, sizeof placement->reason, "%s", dms_error_message());
    return plan_memory(job, in_memory, plan);
}

static int prepare(struct gram_job *job, bool in_memory, struct dms_pair_source *rows,
                   struct dms_pair_build *build)
{
    struct dms_gram_source *source = &job->source;
    struct dms_gram_plan plan;
    int rc = prepare_rows(job);

    if (rc == DMS_OK)
        rc = plan_with_device(job, in_memory, &plan);
    if (rc < 0)
        return rc;
    source->block_words = plan.block_words;
    source->holds_rows = plan.holds_rows;
    source->visit_ct = plan.band_ct;
    source->done_ct = 0;
    job->result.pass_ct = plan.holds_rows ? 1 : plan.band_ct;
    /* Each thread takes memory: where there is little of it, some do nothing. */
    if (plan.thread_ct < dms_pool_threads(job->pool)) {
        rc = dms_pool_create(plan.thread_ct, &job->smaller_pool);
        if (rc < 0)
            return rc;
        build->pool = job->smaller_pool;
    }
    build->base = job->base;
    build->counter = job->counter;
    build->memory_bytes = plan.band_bytes;
    return dms_gram_source_begin(source, rows);
}

/* Frees what counting has taken. */
static void end_counting(struct gram_job *job)
{
    dms_gram_source_end(&job->source);
    dms_cuda_pairs_close(job->counter);
    dms_pool_free(job->smaller_pool);
    dms_pair_counts_free(job->base);
    free(job->base_path);
    free(job->ranges);
    job->counter = NULL;
    job->smaller_pool = NULL;
    job->base = NULL;
    job->base_path = NULL;
    job->ranges = NULL;
}

static int run_writer(struct gram_job *job, struct dms_gram_writer *writer,
                      const struct dms_pair_build *build)
{
    struct dms_gram_description description = {
        .sequence = job->info.sequence, .example_ct = job->example_ct, .rows = job->rows};

    memcpy(description.store_uuid, job->info.store_uuid, sizeof description.store_uuid);
    return dms_pairs_write(writer, &description, build);
}

static void describe(struct gram_job *job)
{
    struct dms_gram_result *result = &job->result;

    result->origin = job->base ? DMS_GRAM_ADDED : DMS_GRAM_COUNTED;
    result->counted_ct = job->source.row_ct;
    result->placement = job->placement;
    if (job->counter)
        snprintf(result->device_name, sizeof result->device_name, "%s",
                 dms_cuda_pairs_device_name(job->counter));
}

/* Counts into the file of `writer`, or into memory where that is NULL. */
static int count(struct gram_job *job, struct dms_gram_writer *writer,
                 struct dms_pair_counts **counts)
{
    struct dms_pair_source rows;
    struct dms_pair_build build = {.pool = job->pool, .source = &rows};
    int rc = prepare(job, writer == NULL, &rows, &build);

    if (rc == DMS_OK)
        rc = writer ? run_writer(job, writer, &build) : dms_pair_counts_build(&build, counts);
    if (rc == DMS_OK && writer)
        rc = dms_pair_counts_map(dms_gram_writer_descriptor(writer), job->path,
                                 job->info.store_uuid, counts);
    if (rc == DMS_OK && writer)
        job->result.file_bytes = dms_pair_map_head((*counts)->file)->file_bytes;
    if (rc == DMS_OK && writer && job->base)
        rc = dms_gram_remove_file(job->base_path);
    if (rc == DMS_OK)
        describe(job);
    end_counting(job);
    return rc;
}

/* ---- together ---- */

/* The file, found or made. */
static int get_file(struct gram_job *job, struct dms_pair_counts **counts)
{
    const struct dms_gram_options *options = job->options;
    struct dms_gram_writer *writer = NULL;
    int rc = dms_gram_check_writable(job->snapshot);

    if (rc == DMS_OK)
        rc = dms_gram_writer_wait(job->path, job->rows->row_ct, options->progress,
                                  options->progress_context, &writer);
    if (rc < 0)
        return rc;
    /* Whoever had the lock before may have made it. */
    rc = open_existing(job, counts);
    if (rc == DMS_END)
        rc = dms_gram_remove_leftovers(dms_snapshot_path(job->snapshot));
    if (rc == DMS_OK && !*counts)
        rc = count(job, writer, counts);
    dms_gram_writer_free(writer);
    return rc;
}

static int get(struct gram_job *job, struct dms_pair_counts **counts)
{
    enum dms_gram_keep keep = job->options->keep;
    int rc = open_existing(job, counts);

    /* Somebody else's file that may not be read is one that cannot be kept. */
    if (rc != DMS_END && (rc != DMS_ERR_PERMISSION || keep == DMS_GRAM_KEEP))
        return rc;
    /* Before a file is begun: none is needed to learn that there is no device. */
    rc = dms_device_choose(job->options->device, &job->placement);
    if (rc < 0)
        return rc;
    if (keep != DMS_GRAM_MEMORY) {
        rc = get_file(job, counts);
        if (keep == DMS_GRAM_KEEP || (rc != DMS_ERR_PERMISSION && rc != DMS_ERR_NO_SPACE))
            return rc;
    }
    return count(job, NULL, counts);
}

int dms_pair_counts_get(dms_snapshot *snapshot, const struct dms_row_set *rows,
                        struct dms_pool *pool, const struct dms_gram_options *options,
                        struct dms_pair_counts **counts, struct dms_gram_result *result)
{
    struct gram_job job = {
        .snapshot = snapshot,
        .rows = rows,
        .pool = pool,
        .options = options,
        .example_ct = (size_t)dms_snapshot_schema(snapshot)->example_ct,
        .path = dms_gram_path(dms_snapshot_path(snapshot), rows, DMS_GRAM_PAIRS, 0),
        .source = {.snapshot = snapshot,
                   .progress = options->progress,
                   .progress_context = options->progress_context},
        .result = {.row_ct = rows->row_ct},
    };
    struct dms_pair_counts *made = NULL;
    int rc = job.path ? DMS_OK : DMS_ERR_NO_MEMORY;

    dms_snapshot_info(snapshot, &job.info);
    if (rc == DMS_OK && rows->row_ct > UINT32_MAX)
        rc = dms_fail(DMS_ERR_INVALID, "pairs are counted over 2^32 - 1 models at most");
    if (rc == DMS_OK)
        rc = get(&job, &made);
    free(job.path);
    if (rc < 0) {
        dms_pair_counts_free(made);
        return rc;
    }
    if (result)
        *result = job.result;
    *counts = made;
    return DMS_OK;
}

/* ---- what callers of the library see ---- */

struct dms_gram {
    struct dms_pair_counts *counts;
};

int dms_gram_open(dms_snapshot *snapshot, const struct dms_row_set *rows,
                  const struct dms_gram_options *options, dms_gram **gram,
                  struct dms_gram_result *result)
{
    struct dms_pool *pool = NULL;
    dms_gram *made = dms_alloc(1, sizeof *made);
    int rc = made ? dms_pool_create(options->thread_ct, &pool) : DMS_ERR_NO_MEMORY;

    if (rc == DMS_OK)
        rc = dms_pair_counts_get(snapshot, rows, pool, options, &made->counts, result);
    dms_pool_free(pool);
    if (rc < 0)
        free(made);
    else
        *gram = made;
    return rc;
}

void dms_gram_close(dms_gram *gram)
{
    if (!gram)
        return;
    dms_pair_counts_free(gram->counts);
    free(gram);
}

uint64_t dms_gram_example_ct(const dms_gram *gram)
{
    return gram->counts->example_ct;
}

uint64_t dms_gram_row_ct(const dms_gram *gram)
{
    return gram->counts->row_ct;
}

/* Puts the cells of examples first .. end - 1, rows of a tile, in their place. The tile below the
 * diagonal is the mirror image of the one above. */
static int copy_tile(const struct dms_pair_counts *counts, size_t first, size_t end, size_t tile_b,
                     uint32_t *cells, uint32_t *to)
{
    size_t tile_a = first / DMS_PAIR_TILE, b = tile_b * DMS_PAIR_TILE;
    size_t left = counts->example_ct - b, column_ct = left < DMS_PAIR_TILE ? left : DMS_PAIR_TILE;
    bool is_mirrored = tile_b < tile_a;
    int rc = dms_pair_counts_tile(counts, is_mirrored ? tile_b : tile_a,
                                  is_mirrored ? tile_a : tile_b, cells);

    for (size_t a = first; rc == DMS_OK && a < end; a++, to += counts->example_ct)
        for (size_t j = 0; j < column_ct; j++)
            to[b + j] = is_mirrored ? cells[j * DMS_PAIR_TILE + a % DMS_PAIR_TILE]
                                    : cells[a % DMS_PAIR_TILE * DMS_PAIR_TILE + j];
    return rc;
}

int dms_gram_rows(const dms_gram *gram, uint64_t first, uint64_t row_ct, uint32_t *to)
{
    const struct dms_pair_counts *counts = gram->counts;
    uint32_t *cells;
    int rc = DMS_OK;

    if (first > counts->example_ct || row_ct > counts->example_ct - first)
        return dms_fail(DMS_ERR_INVALID,
                        "rows %" PRIu64 " to %" PRIu64 " are not all there: counts are of %zu "
                        "examples",
                        first, first + row_ct, counts->example_ct);
    cells = dms_alloc(DMS_PAIR_TILE_CELLS, sizeof *cells);
    if (!cells)
        return DMS_ERR_NO_MEMORY;
    for (size_t a = (size_t)first, end, stop = (size_t)(first + row_ct); rc == DMS_OK && a < stop;
         a = end) {
        end = (a / DMS_PAIR_TILE + 1) * DMS_PAIR_TILE;
        end = end < stop ? end : stop;
        for (size_t tile = 0; rc == DMS_OK && tile < counts->side; tile++)
            rc = copy_tile(counts, a, end, tile, cells,
                           to + (a - (size_t)first) * counts->example_ct);
    }
    free(cells);
    return rc;
}
