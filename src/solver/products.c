/*
 * Finds the products of a row set and a column in the store, or makes them: of all models, or of
 * those that a file of fewer models lacks. A file is named by its models and their masks; whether
 * the outputs are those it was made of, their fingerprints tell.
 */
#include "solver/products.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "format/schema.h"
#include "solver/gram.h"
#include "solver/gram_rows.h"
#include "solver/gram_writer.h"
#include "solver/products_build.h"
#include "solver/products_file.h"
#include "store/snapshot.h"

/* One search, and what is made when it finds nothing. */
struct products_job {
    dms_snapshot *snapshot;
    const struct dms_row_set *rows;
    const struct dms_column *column;
    struct dms_products_task task; /* of the models in work */
    struct dms_snapshot_info info;
    char *path;
    dms_products *base; /* products to add to; NULL: none */
    char *base_path;
    struct dms_products_result result;
};

/* ---- what is there ---- */

/* Whether products of a column can be kept: its outputs are whole numbers of one unit. */
static bool has_units(const struct dms_column *column)
{
    return column->kind == DMS_COLUMN_OUTPUT && column->dtype == DMS_F16 &&
           column->values_per_target == 1;
}

int dms_products_find(const dms_snapshot *snapshot, const struct dms_row_set *rows,
                      const struct dms_column *column, dms_products **products)
{
    struct dms_snapshot_info info;
    dms_products *found = NULL;
    char *path;
    int rc;

    *products = NULL;
    if (!has_units(column))
        return DMS_OK;
    path = dms_gram_path(dms_snapshot_path(snapshot), rows, DMS_GRAM_PRODUCTS, column->id);
    if (!path)
        return DMS_ERR_NO_MEMORY;
    dms_snapshot_info(snapshot, &info);
    rc = dms_products_file_open(path, info.store_uuid, &found);
    if (rc == DMS_OK) {
        const struct dms_gram_head *head = dms_products_head(found);

        if (head->example_ct != dms_snapshot_schema(snapshot)->example_ct ||
            head->target_ct != column->target_ct || head->column_id != column->id ||
            memcmp(head->digest, rows->digest, sizeof head->digest) != 0)
            rc = dms_fail(DMS_ERR_CORRUPT, "products '%s' are not of what their name says", path);
    }
    /* Somebody else's that may not be read are as good as none. */
    if (rc == DMS_ERR_NOT_FOUND || rc == DMS_ERR_PERMISSION)
        rc = DMS_OK;
    else if (rc == DMS_ERR_CORRUPT || rc == DMS_ERR_VERSION || rc == DMS_ERR_INVALID)
        rc = dms_fail(rc, "%s: remove it with 'dmstore gram --remove'", dms_error_message());
    if (rc < 0)
        dms_products_close(found);
    else
        *products = found;
    free(path);
    return rc;
}

static void set_models(struct products_job *job, const struct dms_id_range *ranges, size_t range_ct,
                       uint64_t row_ct)
{
    job->task.ranges = ranges;
    job->task.range_ct = range_ct;
    job->task.row_ct = row_ct;
}

/* Whether products are of the outputs that the snapshot has. */
static int compare_outputs(struct products_job *job, const dms_products *products, bool *same)
{
    const struct dms_row_set *rows = dms_products_rows(products);

    set_models(job, rows->ranges, rows->range_ct, rows->row_ct);
    return dms_products_compare(&job->task, products, same);
}

/* *products NULL: there is no file, or it is of other outputs. */
static int open_current(struct products_job *job, dms_products **products)
{
    dms_products *found;
    bool same = false;
    int rc = dms_products_find(job->snapshot, job->rows, job->column, &found);

    if (rc == DMS_OK && found)
        rc = compare_outputs(job, found, &same);
    if (rc == DMS_OK && same) {
        *products = found;
        return DMS_OK;
    }
    dms_products_close(found);
    *products = NULL;
    return rc;
}

/* ---- what can be added to ---- */

/* Takes a file that has more of the models than what was found before. One that cannot be used is
 * none: it is not what was asked for. */
static int consider_base(void *context, const char *path, const struct dms_gram_name *name,
                         const struct dms_model_hashes *hashes)
{
    struct products_job *job = context;
    uint64_t best_ct = job->base ? dms_products_rows(job->base)->row_ct : 0;
    dms_products *found = NULL;
    const struct dms_gram_head *head;

    if (name->kind != DMS_GRAM_PRODUCTS || name->column_id != job->column->id ||
        dms_products_file_open(path, job->info.store_uuid, &found) < 0)
        return DMS_OK;
    head = dms_products_head(found);
    if (head->column_id != job->column->id || head->target_ct != job->column->target_ct ||
        head->example_ct != dms_snapshot_schema(job->snapshot)->example_ct ||
        !dms_row_set_can_grow(job->rows, dms_products_rows(found), best_ct, hashes)) {
        dms_products_close(found);
        return DMS_OK;
    }
    dms_products_close(job->base);
    free(job->base_path);
    job->base = found;
    job->base_path = dms_strdup(path);
    return job->base_path ? DMS_OK : DMS_ERR_NO_MEMORY;
}

static void drop_base(struct products_job *job)
{
    dms_products_close(job->base);
    free(job->base_path);
    job->base = NULL;
    job->base_path = NULL;
}

/* Holds the row set against the snapshot, and finds products of some of its models. */
static int find_base(struct products_job *job)
{
    bool same = true;
    int rc = dms_gram_search(job->snapshot, job->rows, "multiplied",
                             dms_pool_threads(job->task.pool), consider_base, job);

    if (rc == DMS_OK && job->base)
        rc = compare_outputs(job, job->base, &same);
    if (rc == DMS_OK && !same)
        drop_base(job);
    return rc;
}

/* ---- making ---- */

static int write_file(struct products_job *job, struct dms_gram_writer *writer)
{
    struct dms_gram_description description = {.sequence = job->info.sequence,
                                               .example_ct =
                                                   dms_snapshot_schema(job->snapshot)->example_ct,
                                               .rows = job->rows};
    struct dms_id_range *ranges = NULL;
    size_t range_ct;
    uint64_t base_ct = 0;
    int rc = DMS_OK;

    memcpy(description.store_uuid, job->info.store_uuid, sizeof description.store_uuid);
    set_models(job, job->rows->ranges, job->rows->range_ct, job->rows->row_ct);
    if (job->base) {
        base_ct = dms_products_rows(job->base)->row_ct;
        rc = dms_row_set_subtract(job->rows, dms_products_rows(job->base), &ranges, &range_ct);
        if (rc == DMS_OK)
            set_models(job, ranges, range_ct, job->rows->row_ct - base_ct);
    }
    if (rc == DMS_OK)
        rc = dms_products_write(&job->task, job->base, &description, writer, &job->result.pass_ct);
    free(ranges);
    job->result.origin = job->base ? DMS_GRAM_ADDED : DMS_GRAM_COUNTED;
    job->result.counted_ct = job->rows->row_ct - base_ct;
    return rc;
}

/* Through the writer's descriptor: another process may have removed the file again. */
static int open_written(const struct products_job *job, const struct dms_gram_writer *writer,
                        dms_products **products)
{
    int descriptor = fcntl(dms_gram_writer_descriptor(writer), F_DUPFD_CLOEXEC, 0);

    return descriptor < 0
               ? dms_fail_errno("cannot open products '%s' once more", job->path)
               : dms_products_file_read(descriptor, job->path, job->info.store_uuid, products);
}

static int make(struct products_job *job, struct dms_gram_writer *writer, dms_products **products)
{
    int rc = find_base(job);

    if (rc == DMS_OK)
        rc = write_file(job, writer);
    if (rc == DMS_OK)
        rc = open_written(job, writer, products);
    if (rc == DMS_OK && job->base)
        rc = dms_gram_remove_file(job->base_path);
    drop_base(job);
    return rc;
}

static int get(struct products_job *job, dms_products **products)
{
    struct dms_gram_writer *writer = NULL;
    int rc = open_current(job, products);

    job->result.origin = DMS_GRAM_FOUND;
    if (rc < 0 || *products)
        return rc;
    rc = dms_gram_check_writable(job->snapshot);
    if (rc == DMS_OK)
        rc = dms_gram_writer_wait(job->path, job->rows->row_ct, job->task.progress,
                                  job->task.progress_context, &writer);
    /* Whoever had the lock before may have made it. */
    if (rc == DMS_OK)
        rc = open_current(job, products);
    if (rc == DMS_OK)
        rc = dms_gram_remove_leftovers(dms_snapshot_path(job->snapshot));
    if (rc == DMS_OK && !*products)
        rc = make(job, writer, products);
    dms_gram_writer_free(writer);
    return rc;
}

/* ---- what callers of the library see ---- */

static int find_column(const dms_snapshot *snapshot, const char *output,
                       const struct dms_column **column)
{
    const struct dms_schema *schema = dms_snapshot_schema(snapshot);
    uint32_t index;
    int rc = dms_schema_find(schema, output, &index);

    if (rc < 0)
        return rc;
    *column = &schema->columns[index];
    if (!has_units(*column))
        return dms_fail(DMS_ERR_INVALID,
                        "products are kept of outputs of one float16 a target, which column '%s' "
                        "is not",
                        output);
    return DMS_OK;
}

static void describe(struct products_job *job, const dms_products *products)
{
    struct dms_products_result *result = &job->result;

    result->row_ct = job->rows->row_ct;
    result->target_ct = job->column->target_ct;
    result->file_bytes = dms_products_head(products)->file_bytes;
    for (uint64_t t = 0; t < result->target_ct; t++)
        result->kept_ct += dms_products_entry(products, t)->width > 0;
}

int dms_products_open(dms_snapshot *snapshot, const struct dms_row_set *rows, const char *output,
                      const struct dms_gram_options *options, dms_products **products,
                      struct dms_products_result *result)
{
    struct products_job job = {
        .snapshot = snapshot,
        .rows = rows,
        .task = {.snapshot = snapshot,
                 .memory_bytes = options->memory_bytes,
                 .progress = options->progress,
                 .progress_context = options->progress_context},
    };
    dms_products *made = NULL;
    int rc = find_column(snapshot, output, &job.column);

    if (rc == DMS_OK && (rows->row_ct == 0 || rows->row_ct > UINT32_MAX))
        rc = dms_fail(DMS_ERR_INVALID, "products are summed over 1 to 2^32 - 1 models");
    if (rc < 0)
        return rc;
    job.task.column = job.column;
    dms_snapshot_info(snapshot, &job.info);
    job.path = dms_gram_path(dms_snapshot_path(snapshot), rows, DMS_GRAM_PRODUCTS, job.column->id);
    rc = job.path ? dms_pool_create(options->thread_ct, &job.task.pool) : DMS_ERR_NO_MEMORY;
    if (rc == DMS_OK)
        rc = get(&job, &made);
    dms_pool_free(job.task.pool);
    free(job.path);
    if (rc < 0) {
        dms_products_close(made);
        return rc;
    }
    describe(&job, made);
    if (result)
        *result = job.result;
    *products = made;
    return DMS_OK;
}
