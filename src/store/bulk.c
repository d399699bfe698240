/*
 * Bulk writes: see bulk.h.
 */
#include "store/bulk.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/order.h"
#include "format/ids.h"
#include "format/schema.h"
#include "store/bulk_segment.h"
#include "store/compare.h"
#include "store/removal.h"
#include "store/transaction.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    COMPARE_ROWS = 256, /* rows that are there already are compared in blocks of up to this many */
    ALLOT_GROUPS = 64,  /* group numbers taken at once: each time is a commit of the index */
};

struct bulk {
    dms_store *store;
    const struct dms_bulk_source *source;
    struct dms_write_options options;
    struct dms_pool *pool;
    struct dms_snapshot *snapshot; /* in which rows are looked up */
    struct dms_segment_writer writer;
    /* What the next commit takes. */
    struct dms_edit_list edits;
    struct dms_totals totals;
    struct dms_removal replaced;
    uint64_t *replaced_ids;          /* sorted, made for the commit */
    struct dms_write_result counted; /* up to and with the next commit */
    struct dms_write_result committed;
    uint64_t next_group, end_group; /* numbers allotted and not used yet */
    uint64_t next_row;              /* first source row that was not looked at */
    uint64_t committed_row;         /* first source row after the last commit */
    /* Rows gathered for a group. */
    uint64_t *source_rows;
    uint64_t *ids;
    uint32_t row_ct;
};

int dms_ids_check_unique(const uint64_t *ids, uint64_t id_ct)
{
    bool is_increasing = true;
    for (uint64_t k = 1; k < id_ct && is_increasing; k++) {
        is_increasing = ids[k] > ids[k - 1];
    }
    if (is_increasing) {
        return 0;
    }
    uint64_t *sorted = dms_alloc((size_t)id_ct, sizeof *sorted);
    if (!sorted) {
        return DMS_ERR_NO_MEMORY;
    }
    memcpy(sorted, ids, (size_t)id_ct * sizeof *sorted);
    qsort(sorted, (size_t)id_ct, sizeof *sorted, dms_compare_u64);
    int status = 0;
    for (uint64_t k = 1; k < id_ct && status == 0; k++) {
        if (sorted[k] == sorted[k - 1]) {
            status = dms_fail(DMS_ERR_INVALID, "model id %" PRIu64 " is given twice", sorted[k]);
        }
    }
    free(sorted);
    return status;
}

/* ---- committing ---- */

static bool is_replaced(const struct bulk *bulk, uint64_t id)
{
    return bulk->replaced.row_ct > 0 && bsearch(&id, bulk->replaced_ids, bulk->replaced.row_ct,
                                                sizeof id, dms_compare_u64) != NULL;
}

/* DMS_END when one of the group's ids has come into the store meanwhile. */
static int check_ids(const struct bulk *bulk, const struct dms_edit *edit,
                     struct dms_index_txn *txn)
{
    struct dms_ids_iterator iterator =
        dms_ids_begin(edit->add_group.runs, edit->add_group.run_bytes, edit->add_group.row_ct);
    struct dms_id_span span;
    int status;
    while ((status = dms_ids_next(&iterator, &span)) > 0) {
        uint64_t last = span.first + (span.count - 1);
        uint64_t id = span.first;
        for (;;) {
            uint64_t next;
            status = dms_index_next_id(txn, id, &next);
            if (status < 0) {
                return status;
            }
            if (status == DMS_END || next > last) {
                break;
            }
            if (!is_replaced(bulk, next)) {
                return DMS_END;
            }
            if (next == last) {
                break;
            }
            id = next + 1;
        }
    }
    return status;
}

static int commit_rows(void *context, struct dms_commit *commit)
{
    const struct bulk *bulk = context;
    int status = dms_removal_check(&bulk->replaced, commit->txn);
    for (size_t k = 0; status == 0 && k < bulk->edits.edit_ct; k++) {
        if (bulk->edits.edits[k].type == DMS_EDIT_ADD_GROUP) {
            status = check_ids(bulk, &bulk->edits.edits[k], commit->txn);
        }
    }
    if (status == 0) {
        status = dms_removal_commit(&bulk->replaced, commit);
    }
    for (size_t k = 0; status == 0 && k < bulk->edits.edit_ct; k++) {
        status = dms_commit_edit(commit, &bulk->edits.edits[k]);
    }
    return status ? status : dms_totals_apply(&bulk->totals, commit->schema, commit->txn, 1);
}

static int sort_replaced(struct bulk *bulk)
{
    free(bulk->replaced_ids);
    bulk->replaced_ids = dms_alloc(bulk->replaced.row_ct, sizeof *bulk->replaced_ids);
    if (!bulk->replaced_ids) {
        return DMS_ERR_NO_MEMORY;
    }
    for (size_t k = 0; k < bulk->replaced.row_ct; k++) {
        bulk->replaced_ids[k] = bulk->replaced.rows[k].id;
    }
    if (bulk->replaced.row_ct > 0) {
        qsort(bulk->replaced_ids, bulk->replaced.row_ct, sizeof *bulk->replaced_ids,
              dms_compare_u64);
    }
    return dms_removal_prepare(&bulk->replaced);
}

/* Forgets what was gathered since the last commit. */
static void forget_uncommitted(struct bulk *bulk)
{
    dms_edit_list_clear(&bulk->edits);
    dms_totals_clear(&bulk->totals);
    dms_removal_clear(&bulk->replaced);
    dms_removal_begin(&bulk->replaced, bulk->snapshot);
    bulk->row_ct = 0;
}

/* Looks at the store anew and goes back to the last commit. */
static int start_over(struct bulk *bulk)
{
    struct dms_snapshot *snapshot;
    int status = dms_store_snapshot(bulk->store, &snapshot);
    if (status != 0) {
        return status;
    }
    dms_snapshot_close(bulk->snapshot);
    bulk->snapshot = snapshot;
    bulk->next_row = bulk->committed_row;
    bulk->counted = bulk->committed;
    forget_uncommitted(bulk);
    if (bulk->writer.path) {
        dms_segment_rollback(&bulk->writer,
                             (struct dms_segment_mark){.end = bulk->writer.committed});
    }
    return 0;
}

static int commit(struct bulk *bulk)
{
    int status = 0;
    if (bulk->edits.edit_ct > 0) {
        status = sort_replaced(bulk);
        if (status == 0) {
            status = dms_bulk_segment_sync(bulk->store, &bulk->writer);
        }
        if (status == 0) {
            status = dms_commit_run(bulk->store, &bulk->writer, commit_rows, bulk);
        }
        if (status == DMS_END) {
            return start_over(bulk);
        }
    }
    if (status == 0) {
        bulk->committed_row = bulk->next_row;
        bulk->committed = bulk->counted;
        forget_uncommitted(bulk);
        if (bulk->writer.path && dms_segment_end(&bulk->writer) > DMS_BULK_SEGMENT_BYTES) {
            dms_bulk_segment_end(bulk->store, &bulk->writer);
        }
    }
    return status;
}

/* ---- gathering rows ---- */

static const struct dms_schema *bulk_schema(const struct bulk *bulk)
{
    return dms_snapshot_schema(bulk->snapshot);
}

/* The number of the next group. */
static int take_group_number(struct bulk *bulk, uint64_t *group)
{
    if (bulk->next_group == bulk->end_group) {
        uint64_t row_ct = bulk->source->rows->row_ct - bulk->committed_row;
        uint64_t wanted = (row_ct - 1) / bulk_schema(bulk)->chunk_rows + 1;
        wanted = wanted < ALLOT_GROUPS ? wanted : ALLOT_GROUPS;
        int status = dms_groups_allot(bulk->store, wanted, &bulk->next_group);
        if (status != 0) {
            return status;
        }
        bulk->end_group = bulk->next_group + wanted;
    }
    *group = bulk->next_group++;
    return 0;
}

static int write_group(struct bulk *bulk)
{
    const struct dms_schema *schema = bulk_schema(bulk);
    struct dms_group_plan plan = {
        .schema = schema,
        .codec = &schema->codec,
        .source = bulk->source,
        .source_rows = bulk->source_rows,
        .ids = bulk->ids,
        .row_ct = bulk->row_ct,
    };
    int status = 0;
    if (bulk->row_ct == 0) {
        return 0;
    }
    if (!bulk->writer.path) {
        status = dms_bulk_segment_begin(bulk->store, schema, true, &bulk->writer);
    }
    if (status == 0) {
        status = take_group_number(bulk, &plan.group);
    }
    if (status == 0) {
        status = dms_group_write(&plan, bulk->pool, &bulk->writer, &bulk->edits, &bulk->totals);
    }
    bulk->row_ct = 0;
    return status;
}

static int take_row(struct bulk *bulk, uint64_t row)
{
    bulk->source_rows[bulk->row_ct] = row;
    bulk->ids[bulk->row_ct] = bulk->source->rows->ids[row];
    bulk->row_ct++;
    return bulk->row_ct == bulk_schema(bulk)->chunk_rows ? write_group(bulk) : 0;
}

/* Source rows from next_row on that stand one after another in one group of the store, beginning at
 * `first`. */
static uint32_t stored_run(struct bulk *bulk, struct dms_position first)
{
    const struct dms_row_source *rows = bulk->source->rows;
    uint32_t count = 1;
    while (count < COMPARE_ROWS && bulk->next_row + count < rows->row_ct) {
        struct dms_position at;
        if (dms_snapshot_find(bulk->snapshot, rows->ids[bulk->next_row + count], &at) != 0 ||
            at.group != first.group || at.row != first.row + count) {
            break;
        }
        count++;
    }
    return count;
}

/* Deals with rows that are there: the same, kept, replaced, or an error. */
static int take_stored(struct bulk *bulk, struct dms_position first)
{
    uint8_t same[COMPARE_ROWS];
    uint32_t count = stored_run(bulk, first);
    int status = dms_rows_compare(bulk->snapshot, first.group, first.row, count, bulk->source,
                                  bulk->next_row, same);
    for (uint32_t k = 0; status == 0 && k < count; k++) {
        uint64_t id = bulk->source->rows->ids[bulk->next_row + k];
        if (same[k]) {
            bulk->counted.unchanged_ct++;
        } else if (bulk->options.on_duplicate == DMS_DUPLICATE_KEEP) {
            bulk->counted.kept_ct++;
        } else if (bulk->options.on_duplicate == DMS_DUPLICATE_REPLACE) {
            bulk->counted.replaced_ct++;
            status = dms_removal_add(&bulk->replaced, id,
                                     (struct dms_position){first.group, first.row + k});
            status = status ? status : take_row(bulk, bulk->next_row + k);
        } else {
            status = dms_fail(DMS_ERR_CONFLICT,
                              "model %" PRIu64 " is there already with other values", id);
        }
    }
    bulk->next_row += count;
    return status;
}

static int report_progress(const struct bulk *bulk)
{
    if (bulk->options.progress &&
        bulk->options.progress(bulk->options.progress_context, bulk->next_row,
                               bulk->source->rows->row_ct) != 0) {
        return dms_fail(DMS_ERR_INTERRUPTED, "interrupted after %" PRIu64 " of %" PRIu64 " rows",
                        bulk->committed_row, bulk->source->rows->row_ct);
    }
    return 0;
}

/* Looks at the next row (or run of rows that are there). */
static int take_next(struct bulk *bulk)
{
    struct dms_position position;
    uint32_t row_ct = bulk->row_ct;
    int status =
        dms_snapshot_find(bulk->snapshot, bulk->source->rows->ids[bulk->next_row], &position);
    bool is_stored = status == 0;
    if (status == 0) {
        status = take_stored(bulk, position);
    } else if (status == DMS_ERR_NOT_FOUND) {
        bulk->counted.added_ct++;
        bulk->next_row++;
        status = take_row(bulk, bulk->next_row - 1);
    }
    bool group_done = bulk->row_ct <= row_ct;
    if (status == 0 && (is_stored || group_done)) {
        status = report_progress(bulk);
    }
    uint64_t uncommitted =
        bulk->writer.path ? dms_segment_end(&bulk->writer) - bulk->writer.committed : 0;
    if (status == 0 && uncommitted >= 2 * DMS_BULK_COMMIT_BYTES) {
        /* Replaced rows come in runs that need not end with a group. */
        status = write_group(bulk);
    }
    if (status == 0 && bulk->row_ct == 0 && uncommitted >= DMS_BULK_COMMIT_BYTES) {
        status = commit(bulk);
    }
    return status;
}

static int check_columns(const struct dms_schema *schema, const struct dms_row_source *source)
{
    for (uint32_t k = 0; k < source->column_ct; k++) {
        uint32_t column = source->columns[k];
        if (column < DMS_SCHEMA_FIRST_VALUE_COLUMN || column >= schema->column_ct) {
            return dms_fail(DMS_ERR_INVALID,
                            "column %" PRIu32 " of a row source is no output or scalar column",
                            column);
        }
    }
    return 0;
}

static int bulk_begin(struct bulk *bulk)
{
    int status = dms_pool_create(bulk->options.thread_ct, &bulk->pool);
    if (status == 0) {
        status = dms_store_snapshot(bulk->store, &bulk->snapshot);
    }
    if (status == 0) {
        status = check_columns(bulk_schema(bulk), bulk->source->rows);
    }
    if (status == 0) {
        status = dms_totals_begin(&bulk->totals, bulk_schema(bulk));
    }
    if (status == 0) {
        bulk->source_rows = dms_alloc(bulk_schema(bulk)->chunk_rows, sizeof *bulk->source_rows);
        bulk->ids = dms_alloc(bulk_schema(bulk)->chunk_rows, sizeof *bulk->ids);
        dms_removal_begin(&bulk->replaced, bulk->snapshot);
        status = bulk->source_rows && bulk->ids ? 0 : DMS_ERR_NO_MEMORY;
    }
    return status;
}

static void bulk_end(struct bulk *bulk)
{
    dms_bulk_segment_end(bulk->store, &bulk->writer);
    dms_edit_list_clear(&bulk->edits);
    dms_totals_free(&bulk->totals);
    dms_removal_clear(&bulk->replaced);
    free(bulk->replaced_ids);
    free(bulk->source_rows);
    free(bulk->ids);
    dms_snapshot_close(bulk->snapshot);
    dms_pool_free(bulk->pool);
}

/* What was written before an interruption is kept as far as whole groups go, so that the groups
 * come out the same when the write is repeated. Rows that replace others are written all the same:
 * those others are taken out by the commit. */
static void keep_whole_groups(struct bulk *bulk)
{
    struct dms_error_state failure;
    dms_error_save(&failure);
    int status = 0;
    if (bulk->replaced.row_ct > 0) {
        status = write_group(bulk);
    }
    if (status == 0) {
        bulk->counted.added_ct -= bulk->row_ct;
        bulk->row_ct = 0;
        (void)commit(bulk);
    }
    dms_error_restore(&failure);
}

int dms_bulk_write(dms_store *store, const struct dms_bulk_source *source,
                   const struct dms_write_options *options, struct dms_write_result *result)
{
    struct bulk bulk = {.store = store, .source = source, .writer = {.descriptor = -1}};
    if (options) {
        bulk.options = *options;
    }
    int status = dms_ids_check_unique(source->rows->ids, source->rows->row_ct);
    if (status == 0) {
        status = bulk_begin(&bulk);
    }
    while (status == 0 && bulk.committed_row < source->rows->row_ct) {
        if (bulk.next_row < source->rows->row_ct) {
            status = take_next(&bulk);
        } else {
            status = write_group(&bulk);
            status = status ? status : commit(&bulk);
        }
    }
    if (status == DMS_ERR_INTERRUPTED) {
        keep_whole_groups(&bulk);
    }
    if (result) {
        *result = bulk.committed;
    }
    bulk_end(&bulk);
    return status;
}

int dms_store_write(dms_store *store, const struct dms_row_source *source,
                    const struct dms_write_options *options, struct dms_write_result *result)
{
    struct dms_bulk_source bulk = {.rows = source};
    return dms_bulk_write(store, &bulk, options, result);
}
