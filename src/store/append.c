/*
 * Row-at-a-time ingest: rows are staged in the log segment as batches. Threads of one process that
 * append at the same time share a commit: the first to come leads, and commits the requests of all
 * that came while it was busy.
 */
#include "store/store_handle.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "format/schema.h"
#include "store/compare.h"
#include "store/removal.h"
#include "store/staged.h"
#include "store/transaction.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A request whose rows clash with what the store holds: its own thread looks into that and asks
 * again. */
enum { APPEND_CLASH = -2000 };

struct dms_append_request {
    const struct dms_row **rows;
    size_t row_ct;
    const struct dms_removal *replaced; /* rows that these ones replace; NULL: none */
    int status;
    bool is_done;
    struct dms_error_state failure;
    struct dms_append_request *next;
};

/* ---- the leader's commit ---- */

struct append_commit {
    struct dms_append_request *requests;
    uint64_t staged_ct; /* after it */
    uint32_t chunk_rows;
};

static bool replaces(const struct dms_append_request *request, uint64_t id)
{
    for (size_t k = 0; request->replaced && k < request->replaced->row_ct; k++) {
        if (request->replaced->rows[k].id == id) {
            return true;
        }
    }
    return false;
}

/* 0 when no row of the request clashes with the index. */
static int check_request(const struct dms_append_request *request, struct dms_commit *commit)
{
    if (request->replaced) {
        int status = dms_removal_check(request->replaced, commit->txn);
        if (status != 0) {
            return status == DMS_END ? APPEND_CLASH : status;
        }
    }
    for (size_t k = 0; k < request->row_ct; k++) {
        struct dms_id_place place;
        int status = dms_index_find_id(commit->txn, request->rows[k]->id, &place);
        if (status == 0 && !replaces(request, request->rows[k]->id)) {
            return APPEND_CLASH;
        }
        if (status < 0) {
            return status;
        }
    }
    return 0;
}

static int add_edit(void *context, const struct dms_edit *edit)
{
    return dms_commit_edit(context, edit);
}

static int commit_request(const struct dms_append_request *request, struct dms_commit *commit)
{
    uint64_t batch_ct = 0;
    int status = request->replaced ? dms_removal_commit(request->replaced, commit) : 0;
    if (status == 0) {
        status =
            dms_rows_write(commit->schema, request->rows, request->row_ct, commit->meta.next_batch,
                           commit->writer, add_edit, commit, &batch_ct);
    }
    commit->meta.next_batch += batch_ct;
    return status;
}

static int commit_requests(void *context, struct dms_commit *commit)
{
    struct append_commit *append = context;
    size_t accepted_ct = 0;
    for (struct dms_append_request *request = append->requests; request; request = request->next) {
        request->status = check_request(request, commit);
        if (request->status == APPEND_CLASH) {
            continue;
        }
        int status = request->status ? request->status : commit_request(request, commit);
        if (status != 0) {
            return status;
        }
        accepted_ct++;
    }
    append->staged_ct = commit->meta.staged_ct;
    append->chunk_rows = commit->schema->chunk_rows;
    return accepted_ct > 0 ? 0 : DMS_END;
}

/* Commits all requests of a list and sets their results. */
static void lead(struct dms_store *store, struct append_commit *append)
{
    int status = dms_commit_run(store, NULL, commit_requests, append);
    if (status < 0) {
        struct dms_error_state failure;
        dms_error_save(&failure);
        for (struct dms_append_request *request = append->requests; request;
             request = request->next) {
            request->status = status;
            request->failure = failure;
        }
    }
}

/* Full groups are sealed by whoever staged the last row of one. That the rows are durable does not
 * depend on it: what fails here is tried again by the next append, or shows in 'dmstore seal'. */
static void seal_full_groups(struct dms_store *store, const struct append_commit *append)
{
    int lock;
    if (append->chunk_rows == 0 || append->staged_ct < append->chunk_rows ||
        dms_maintenance_lock(store, false, &lock) != 0) {
        return;
    }
    uint64_t row_ct;
    (void)dms_seal_rows(store, false, &row_ct);
    dms_close(lock);
}

/* Hands a request in and returns when it was dealt with, by this thread or another. */
static int submit(struct dms_store *store, struct dms_append_request *request)
{
    struct append_commit append = {0};
    pthread_mutex_lock(&store->append_lock);
    request->next = store->append_queue;
    store->append_queue = request;
    while (!request->is_done && store->append_has_leader) {
        pthread_cond_wait(&store->append_done, &store->append_lock);
    }
    if (!request->is_done) {
        append.requests = store->append_queue;
        store->append_queue = NULL;
        store->append_has_leader = true;
        pthread_mutex_unlock(&store->append_lock);
        lead(store, &append);
        pthread_mutex_lock(&store->append_lock);
        store->append_has_leader = false;
        for (struct dms_append_request *done = append.requests; done;) {
            struct dms_append_request *next = done->next;
            done->is_done = true;
            done = next;
        }
        pthread_cond_broadcast(&store->append_done);
    }
    pthread_mutex_unlock(&store->append_lock);
    if (request->status < 0 && request->status != APPEND_CLASH) {
        dms_error_restore(&request->failure);
    } else {
        seal_full_groups(store, &append);
    }
    return request->status;
}

/* ---- rows that are there already ---- */

/* A single row as a source, for comparing it. */
struct row_view {
    const struct dms_schema *schema;
    const struct dms_row *row;
    uint32_t *columns;
};

static int view_mask(void *context, uint64_t row, uint32_t row_ct, uint8_t *masks)
{
    const struct row_view *view = context;
    (void)row;
    (void)row_ct;
    memcpy(masks, view->row->mask, (size_t)(view->schema->example_ct + 7) / 8);
    return 0;
}

static int view_values(void *context, uint32_t column_index, uint64_t row, uint32_t row_ct,
                       uint64_t target, uint64_t target_ct, void *values)
{
    const struct row_view *view = context;
    uint32_t column = view->columns[column_index];
    const struct dms_column *info = &view->schema->columns[column];
    size_t target_bytes = dms_column_value_bytes(info) * (size_t)info->values_per_target;
    const uint8_t *from = dms_row_values(view->schema, view->row, column);
    (void)row;
    (void)row_ct;
    memcpy(values, from + target * target_bytes, (size_t)target_ct * target_bytes);
    return 0;
}

static int compare_row(struct dms_snapshot *snapshot, struct dms_position position,
                       const struct dms_row *row, uint8_t *same)
{
    const struct dms_schema *schema = dms_snapshot_schema(snapshot);
    uint32_t *columns = dms_alloc(schema->column_ct, sizeof *columns);
    if (!columns) {
        return DMS_ERR_NO_MEMORY;
    }
    uint32_t column_ct = 0;
    for (uint32_t c = DMS_SCHEMA_FIRST_VALUE_COLUMN; c < schema->column_ct; c++) {
        if (dms_row_values(schema, row, c)) {
            columns[column_ct++] = c;
        }
    }
    struct row_view view = {schema, row, columns};
    struct dms_row_source source = {
        .context = &view,
        .row_ct = 1,
        .ids = &row->id,
        .read_masks = view_mask,
        .column_ct = column_ct,
        .columns = columns,
        .read_values = view_values,
    };
    struct dms_bulk_source bulk = {.rows = &source};
    int status = dms_rows_compare(snapshot, position.group, position.row, 1, &bulk, 0, same);
    free(columns);
    return status;
}

/* Drops rows that need not be written from *rows and notes those that replace others. */
static int resolve_row(const struct dms_row *row, enum dms_on_duplicate on_duplicate,
                       struct dms_removal *replaced, struct dms_write_result *result, bool *keep)
{
    struct dms_position position;
    uint8_t same = 0;
    int status = dms_snapshot_find(replaced->snapshot, row->id, &position);
    *keep = true;
    if (status == DMS_ERR_NOT_FOUND) {
        return 0;
    }
    if (status == 0) {
        status = compare_row(replaced->snapshot, position, row, &same);
    }
    if (status != 0) {
        return status;
    }
    *keep = !same && on_duplicate == DMS_DUPLICATE_REPLACE;
    if (same) {
        result->unchanged_ct++;
    } else if (on_duplicate == DMS_DUPLICATE_KEEP) {
        result->kept_ct++;
    } else if (on_duplicate == DMS_DUPLICATE_REPLACE) {
        return dms_removal_add(replaced, row->id, position);
    } else {
        return dms_fail(DMS_ERR_CONFLICT, "model %" PRIu64 " is there already with other values",
                        row->id);
    }
    return 0;
}

static int resolve(struct dms_append_request *request, enum dms_on_duplicate on_duplicate,
                   struct dms_removal *replaced, struct dms_write_result *result)
{
    size_t kept_ct = 0;
    int status = 0;
    for (size_t k = 0; status == 0 && k < request->row_ct; k++) {
        bool keep;
        status = resolve_row(request->rows[k], on_duplicate, replaced, result, &keep);
        if (keep) {
            request->rows[kept_ct++] = request->rows[k];
        }
    }
    request->row_ct = kept_ct;
    return status ? status : dms_removal_prepare(replaced);
}

/* Appends after a clash, on the state that the store has now; APPEND_CLASH when that has changed
 * again. */
static int append_resolved(struct dms_store *store, struct dms_append_request *request,
                           enum dms_on_duplicate on_duplicate, struct dms_write_result *result)
{
    struct dms_snapshot *snapshot;
    struct dms_removal replaced;
    struct dms_write_result resolved = *result;
    int status = dms_store_snapshot(store, &snapshot);
    if (status != 0) {
        return status;
    }
    dms_removal_begin(&replaced, snapshot);
    status = resolve(request, on_duplicate, &replaced, &resolved);
    if (status == 0 && request->row_ct > 0) {
        request->replaced = &replaced;
        status = submit(store, request);
    }
    if (status == 0) {
        resolved.replaced_ct += replaced.row_ct;
        resolved.added_ct += request->row_ct - replaced.row_ct;
        *result = resolved;
    }
    dms_removal_clear(&replaced);
    dms_snapshot_close(snapshot);
    return status;
}

/* ---- the public functions ---- */

static int compare_row_ids(const void *a, const void *b)
{
    uint64_t left = (*(const struct dms_row *const *)a)->id;
    uint64_t right = (*(const struct dms_row *const *)b)->id;
    return (left > right) - (left < right);
}

/* Checks all rows against the current schema; `rows` is scratch for row_ct pointers. */
static int check_rows(dms_store *store, const struct dms_row **rows, size_t row_ct)
{
    struct dms_index_txn *txn;
    struct dms_schema *schema = NULL;
    int status = dms_index_begin(store->index, false, &txn);
    if (status != 0) {
        return status;
    }
    status = dms_index_get_schema(txn, &schema);
    dms_index_abort(txn);
    for (size_t k = 0; status == 0 && k < row_ct; k++) {
        status = dms_row_check(schema, rows[k]);
    }
    dms_schema_free(schema);
    qsort(rows, row_ct, sizeof *rows, compare_row_ids);
    for (size_t k = 1; status == 0 && k < row_ct; k++) {
        if (rows[k]->id == rows[k - 1]->id) {
            status = dms_fail(DMS_ERR_INVALID, "model %" PRIu64 " is given twice", rows[k]->id);
        }
    }
    return status;
}

/* The rows with the number of columns that they were made for. The caller frees *known. */
static int copy_rows(const struct dms_store *store, const struct dms_row *rows, size_t row_ct,
                     struct dms_row **known)
{
    struct dms_row *copies = dms_alloc(row_ct, sizeof *copies);
    if (!copies) {
        return DMS_ERR_NO_MEMORY;
    }
    for (size_t k = 0; k < row_ct; k++) {
        copies[k] = rows[k];
        if (copies[k].column_ct == 0) {
            copies[k].column_ct = store->column_ct;
        }
    }
    *known = copies;
    return 0;
}

static void restore_rows(const struct dms_row *rows, size_t row_ct, const struct dms_row **pointers)
{
    for (size_t k = 0; k < row_ct; k++) {
        pointers[k] = &rows[k];
    }
}

int dms_append_rows(dms_store *store, const struct dms_row *rows, size_t row_ct,
                    enum dms_on_duplicate on_duplicate, struct dms_write_result *result)
{
    struct dms_write_result counted = {0};
    const struct dms_row **pointers = dms_alloc(row_ct, sizeof *pointers);
    struct dms_row *known = NULL;
    int status = pointers ? copy_rows(store, rows, row_ct, &known) : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        restore_rows(known, row_ct, pointers);
    }
    if (status == 0 && row_ct > 0) {
        status = check_rows(store, pointers, row_ct);
    }
    if (status == 0 && row_ct > 0) {
        struct dms_append_request request = {.rows = pointers, .row_ct = row_ct};
        status = submit(store, &request);
        counted.added_ct = status == 0 ? row_ct : 0;
    }
    while (status == APPEND_CLASH) {
        restore_rows(known, row_ct, pointers);
        struct dms_append_request request = {.rows = pointers, .row_ct = row_ct};
        status = append_resolved(store, &request, on_duplicate, &counted);
    }
    free(pointers);
    free(known);
    if (status == 0 && result) {
        *result = counted;
    }
    return status;
}

int dms_append(dms_store *store, uint64_t id, const uint8_t *mask, const void *const *outputs,
               const void *const *scalars)
{
    struct dms_row row = {.id = id, .mask = mask, .outputs = outputs, .scalars = scalars};
    return dms_append_rows(store, &row, 1, DMS_DUPLICATE_ERROR, NULL);
}
