/*
 * Filling columns of rows that are there: the column's tiles of each group concerned are written
 * anew, with the values that it had and those that come.
 */
#include "store/store_handle.h"

#include "base/alloc.h"
#include "base/error.h"
#include "store/bulk.h"
#include "store/bulk_segment.h"
#include "store/compare.h"
#include "store/rows_source.h"
#include "store/transaction.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* No source row for a row of the group. */
#define NOT_FILLED UINT64_MAX

/* A source row and where its model is. */
struct fill_row {
    struct dms_position at;
    uint64_t source_row;
};

struct fill {
    dms_store *store;
    const struct dms_row_source *source;
    struct dms_write_options options;
    struct dms_pool *pool;
    struct dms_snapshot *snapshot;
    struct dms_segment_writer writer;
    struct fill_row *rows; /* by position */
    uint64_t row_ct;
    uint64_t next_row, committed_row;
    /* What the next commit takes. */
    struct dms_edit_list edits;
    struct dms_totals gained, lost;
    size_t *groups; /* of the snapshot, that it changes */
    size_t group_ct, group_capacity;
    struct dms_write_result counted, committed;
};

/* What became of a row of the group at hand; of several columns the largest outcome counts. */
enum outcome { NOT_CONCERNED, UNCHANGED, KEPT, ADDED, REPLACED };

/* One group with its old and new values, as a row source of one column. */
struct merged_column {
    struct fill *fill;
    size_t group;
    uint32_t column;             /* position in the schema */
    uint32_t column_index;       /* in the fill's source */
    const uint64_t *source_rows; /* a row of the group: its source row or NOT_FILLED */
    const uint8_t *old_present;
    uint8_t *outcomes; /* a row of the group: enum outcome */
    bool has_old;
};

static int merged_values(void *context, uint32_t column_index, uint64_t row, uint32_t row_ct,
                         uint64_t target, uint64_t target_ct, void *values)
{
    const struct merged_column *merged = context;
    const struct dms_row_source *source = merged->fill->source;
    const struct dms_column *column =
        &dms_snapshot_schema(merged->fill->snapshot)->columns[merged->column];
    size_t row_bytes =
        dms_column_value_bytes(column) * (size_t)(column->values_per_target * target_ct);
    int status = 0;
    (void)column_index;
    if (merged->has_old) {
        status = dms_snapshot_read_values(merged->fill->snapshot, merged->group, merged->column,
                                          (uint32_t)row, row_ct, target, target_ct, values);
    } else {
        memset(values, 0, row_bytes * row_ct);
    }
    for (uint32_t k = 0; status == 0 && k < row_ct; k++) {
        uint64_t source_row = merged->source_rows[row + k];
        if (source_row != NOT_FILLED) {
            status = source->read_values(source->context, merged->column_index, source_row, 1,
                                         target, target_ct, (uint8_t *)values + k * row_bytes);
        }
    }
    return status;
}

static int merged_presence(void *context, uint32_t column_index, const uint64_t *rows,
                           uint32_t row_ct, uint8_t *present)
{
    const struct merged_column *merged = context;
    (void)column_index;
    for (uint32_t k = 0; k < row_ct; k++) {
        uint64_t row = rows[k];
        if (merged->source_rows[row] != NOT_FILLED ||
            (merged->old_present[row >> 3] >> (row & 7) & 1)) {
            present[k >> 3] |= (uint8_t)(1u << (k & 7));
        }
    }
    return 0;
}

/* The one column at hand, under number 0. */
static int column_values(void *context, uint32_t column_index, uint64_t row, uint32_t row_ct,
                         uint64_t target, uint64_t target_ct, void *values)
{
    const struct merged_column *merged = context;
    const struct dms_row_source *source = merged->fill->source;
    (void)column_index;
    return source->read_values(source->context, merged->column_index, row, row_ct, target,
                               target_ct, values);
}

static void note_outcome(const struct merged_column *merged, uint32_t row, enum outcome outcome)
{
    if (merged->outcomes[row] < outcome) {
        merged->outcomes[row] = (uint8_t)outcome;
    }
}

static void count_outcomes(const uint8_t *outcomes, uint32_t row_ct,
                           struct dms_write_result *counted)
{
    for (uint32_t row = 0; row < row_ct; row++) {
        counted->unchanged_ct += outcomes[row] == UNCHANGED;
        counted->kept_ct += outcomes[row] == KEPT;
        counted->added_ct += outcomes[row] == ADDED;
        counted->replaced_ct += outcomes[row] == REPLACED;
    }
}

/* Decides for each row of the group that has a value already; takes those that keep theirs out of
 * source_rows. */
static int settle_duplicates(struct fill *fill, const struct merged_column *merged,
                             uint64_t *source_rows, uint32_t row_ct, uint32_t *filled_ct)
{
    const struct dms_schema *schema = dms_snapshot_schema(fill->snapshot);
    uint32_t column = merged->column;
    struct dms_row_source incoming = {
        .context = (void *)merged,
        .row_ct = fill->row_ct,
        .column_ct = 1,
        .columns = &column,
        .read_values = column_values,
    };
    struct dms_bulk_source bulk = {.rows = &incoming};
    *filled_ct = 0;
    for (uint32_t row = 0; row < row_ct; row++) {
        if (source_rows[row] == NOT_FILLED) {
            continue;
        }
        uint8_t same = 0;
        if (merged->old_present[row >> 3] >> (row & 7) & 1) {
            int status = dms_rows_compare(fill->snapshot, merged->group, row, 1, &bulk,
                                          source_rows[row], &same);
            if (status != 0) {
                return status;
            }
            if (!same && fill->options.on_duplicate == DMS_DUPLICATE_ERROR) {
                return dms_fail(DMS_ERR_CONFLICT,
                                "model %" PRIu64 " has other values in column %s already",
                                fill->source->ids[source_rows[row]], schema->columns[column].name);
            }
            bool replace = !same && fill->options.on_duplicate == DMS_DUPLICATE_REPLACE;
            note_outcome(merged, row, same ? UNCHANGED : replace ? REPLACED : KEPT);
            if (!replace) {
                source_rows[row] = NOT_FILLED;
                continue;
            }
        } else {
            note_outcome(merged, row, ADDED);
        }
        *filled_ct += 1;
    }
    return 0;
}

/* Writes one column of one group. source_rows is scratch that says which rows are filled. */
static int fill_column(struct fill *fill, size_t group, uint32_t column_index,
                       uint64_t *source_rows, uint8_t *old_present, uint8_t *outcomes,
                       uint64_t *identity)
{
    const struct dms_schema *schema = dms_snapshot_schema(fill->snapshot);
    const struct dms_group_record *record = dms_snapshot_sealed_group(fill->snapshot, group);
    uint32_t column = fill->source->columns[column_index];
    struct merged_column merged = {fill,        group,       column,   column_index,
                                   source_rows, old_present, outcomes, false};
    merged.has_old = dms_group_record_column(record, schema->columns[column].id) != NULL;
    uint32_t filled_ct;
    int status = dms_snapshot_group_present(fill->snapshot, group, column, old_present);
    if (status == 0) {
        status = settle_duplicates(fill, &merged, source_rows, record->row_ct, &filled_ct);
    }
    if (status != 0 || filled_ct == 0) {
        return status;
    }
    struct dms_row_source rows = {
        .context = &merged,
        .row_ct = record->row_ct,
        .column_ct = 1,
        .columns = &column,
        .read_values = merged_values,
    };
    struct dms_bulk_source source = {
        .rows = &rows, .by_tile = true, .read_presence = merged_presence};
    struct dms_group_plan plan = {
        .schema = schema,
        .codec = &schema->codec,
        .group = record->number,
        .source = &source,
        .source_rows = identity,
        .row_ct = record->row_ct,
    };
    if (!fill->writer.path) {
        status = dms_bulk_segment_begin(fill->store, schema, true, &fill->writer);
    }
    if (status == 0) {
        status = dms_group_write(&plan, fill->pool, &fill->writer, &fill->edits, &fill->gained);
    }
    if (status == 0 && merged.has_old && schema->columns[column].kind == DMS_COLUMN_OUTPUT) {
        status =
            dms_totals_add_values(&fill->lost, fill->snapshot, group, column, 0, record->row_ct);
    }
    return status;
}

/* Fills all columns of the group that next_row is in. */
static int fill_group(struct fill *fill)
{
    size_t group = fill->rows[fill->next_row].at.group;
    uint32_t row_ct = dms_snapshot_sealed_group(fill->snapshot, group)->row_ct;
    uint64_t *source_rows = dms_alloc(row_ct, sizeof *source_rows);
    uint64_t *identity = dms_alloc(row_ct, sizeof *identity);
    uint8_t *old_present = dms_alloc(((size_t)row_ct + 7) / 8, 1);
    uint8_t *outcomes = dms_alloc(row_ct, 1);
    int status = source_rows && identity && old_present && outcomes ? 0 : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        status = dms_grow((void **)&fill->groups, &fill->group_capacity, fill->group_ct + 1,
                          sizeof *fill->groups);
    }
    if (status != 0) {
        goto out;
    }
    fill->groups[fill->group_ct++] = group;
    uint64_t end = fill->next_row;
    while (end < fill->row_ct && fill->rows[end].at.group == group) {
        end++;
    }
    for (uint32_t row = 0; row < row_ct; row++) {
        identity[row] = row;
    }
    for (uint32_t k = 0; status == 0 && k < fill->source->column_ct; k++) {
        memset(source_rows, 0xFF, row_ct * sizeof *source_rows);
        for (uint64_t at = fill->next_row; at < end; at++) {
            source_rows[fill->rows[at].at.row] = fill->rows[at].source_row;
        }
        status = fill_column(fill, group, k, source_rows, old_present, outcomes, identity);
    }
    count_outcomes(outcomes, row_ct, &fill->counted);
    fill->next_row = end;
out:
    free(source_rows);
    free(identity);
    free(old_present);
    free(outcomes);
    return status;
}

/* ---- committing ---- */

/* DMS_END when a group has changed since the snapshot in what the fill is based on. */
static int check_group(const struct fill *fill, size_t group, struct dms_index_txn *txn)
{
    const struct dms_schema *schema = dms_snapshot_schema(fill->snapshot);
    const struct dms_group_record *expected = dms_snapshot_sealed_group(fill->snapshot, group);
    struct dms_group_record record = {0};
    int status = dms_index_get_group(txn, expected->number, &record);
    for (uint32_t k = 0; status == 0 && k < fill->source->column_ct; k++) {
        uint32_t column_id = schema->columns[fill->source->columns[k]].id;
        const struct dms_group_column *before = dms_group_record_column(expected, column_id);
        const struct dms_group_column *now = dms_group_record_column(&record, column_id);
        bool is_same =
            (!before && !now) || (before && now && before->header_hash == now->header_hash);
        status = is_same ? 0 : DMS_END;
    }
    dms_group_record_clear(&record);
    return status;
}

static int commit_columns(void *context, struct dms_commit *commit)
{
    const struct fill *fill = context;
    int status = 0;
    for (size_t k = 0; status == 0 && k < fill->group_ct; k++) {
        status = check_group(fill, fill->groups[k], commit->txn);
    }
    for (size_t k = 0; status == 0 && k < fill->edits.edit_ct; k++) {
        status = dms_commit_edit(commit, &fill->edits.edits[k]);
    }
    if (status == 0) {
        status = dms_totals_apply(&fill->gained, commit->schema, commit->txn, 1);
    }
    return status ? status : dms_totals_apply(&fill->lost, commit->schema, commit->txn, -1);
}

static void forget_uncommitted(struct fill *fill)
{
    dms_edit_list_clear(&fill->edits);
    dms_totals_clear(&fill->gained);
    dms_totals_clear(&fill->lost);
    fill->group_ct = 0;
}

static int commit(struct fill *fill)
{
    int status = 0;
    if (fill->edits.edit_ct > 0) {
        status = dms_bulk_segment_sync(fill->store, &fill->writer);
        if (status == 0) {
            status = dms_commit_run(fill->store, &fill->writer, commit_columns, fill);
        }
    }
    if (status == 0) {
        fill->committed_row = fill->next_row;
        fill->committed = fill->counted;
        forget_uncommitted(fill);
    }
    return status;
}

/* ---- the whole ---- */

static int compare_fill_rows(const void *a, const void *b)
{
    const struct fill_row *left = a;
    const struct fill_row *right = b;
    if (left->at.group != right->at.group) {
        return left->at.group < right->at.group ? -1 : 1;
    }
    return (left->at.row > right->at.row) - (left->at.row < right->at.row);
}

/* Finds all rows; *is_staged: some of them are not in groups yet. */
static int find_rows(struct fill *fill, bool *is_staged)
{
    *is_staged = false;
    for (uint64_t k = 0; k < fill->row_ct; k++) {
        int status = dms_snapshot_find(fill->snapshot, fill->source->ids[k], &fill->rows[k].at);
        if (status != 0) {
            return status == DMS_ERR_NOT_FOUND
                       ? dms_fail(status,
                                  "model %" PRIu64
                                  " is not there: columns are filled for models that are",
                                  fill->source->ids[k])
                       : status;
        }
        fill->rows[k].source_row = k;
        *is_staged |= dms_snapshot_sealed_group(fill->snapshot, fill->rows[k].at.group) == NULL;
    }
    if (fill->row_ct > 0) {
        qsort(fill->rows, (size_t)fill->row_ct, sizeof *fill->rows, compare_fill_rows);
    }
    return 0;
}

/* Looks the rows up in the store as it is now, sealed as far as need be. */
static int start(struct fill *fill)
{
    for (;;) {
        bool is_staged;
        dms_snapshot_close(fill->snapshot);
        fill->snapshot = NULL;
        int status = dms_store_snapshot(fill->store, &fill->snapshot);
        if (status == 0) {
            status = find_rows(fill, &is_staged);
        }
        if (status != 0 || !is_staged) {
            fill->next_row = 0;
            fill->counted = fill->committed = (struct dms_write_result){0};
            return status;
        }
        status = dms_store_seal(fill->store, NULL);
        if (status != 0) {
            return status;
        }
    }
}

static int fill_rows(struct fill *fill)
{
    while (fill->committed_row < fill->row_ct) {
        int status = fill_group(fill);
        if (status == 0 && fill->options.progress &&
            fill->options.progress(fill->options.progress_context, fill->next_row, fill->row_ct) !=
                0) {
            status =
                dms_fail(DMS_ERR_INTERRUPTED, "interrupted after %" PRIu64 " of %" PRIu64 " rows",
                         fill->committed_row, fill->row_ct);
        }
        bool is_full =
            fill->writer.path &&
            dms_segment_end(&fill->writer) - fill->writer.committed >= DMS_BULK_COMMIT_BYTES;
        if (status == 0 && (is_full || fill->next_row == fill->row_ct)) {
            status = commit(fill);
        }
        if (status == DMS_END) {
            /* A group has changed meanwhile: look again. What was committed before is then found to
             * be there. */
            forget_uncommitted(fill);
            dms_segment_rollback(&fill->writer,
                                 (struct dms_segment_mark){.end = fill->writer.committed});
            fill->committed_row = 0;
            status = start(fill);
        }
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

int dms_store_fill(dms_store *store, const struct dms_row_source *source,
                   const struct dms_write_options *options, struct dms_write_result *result)
{
    struct fill fill = {
        .store = store, .source = source, .row_ct = source->row_ct, .writer = {.descriptor = -1}};
    if (options) {
        fill.options = *options;
    }
    int status = dms_ids_check_unique(source->ids, source->row_ct);
    if (status == 0) {
        fill.rows = dms_alloc((size_t)fill.row_ct, sizeof *fill.rows);
        status =
            fill.rows ? dms_pool_create(fill.options.thread_ct, &fill.pool) : DMS_ERR_NO_MEMORY;
    }
    if (status == 0) {
        status = start(&fill);
    }
    if (status == 0) {
        status = dms_totals_begin(&fill.gained, dms_snapshot_schema(fill.snapshot));
        status = status ? status : dms_totals_begin(&fill.lost, dms_snapshot_schema(fill.snapshot));
    }
    if (status == 0) {
        status = fill_rows(&fill);
    }
    if (result) {
        *result = fill.committed;
    }
    dms_bulk_segment_end(store, &fill.writer);
    dms_edit_list_clear(&fill.edits);
    dms_totals_free(&fill.gained);
    dms_totals_free(&fill.lost);
    free(fill.groups);
    free(fill.rows);
    dms_snapshot_close(fill.snapshot);
    dms_pool_free(fill.pool);
    return status;
}
