/*
 * Statistics of a snapshot: taken from the totals that the index keeps of sealed rows as long as
 * the index is still in this snapshot's state, with the staged rows added; otherwise added up from
 * the rows themselves.
 */
#include "store/snapshot_parts.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/schema.h"
#include "kernels/kernels.h"
#include "store/sums.h"

#include <stdlib.h>
#include <string.h>

/* Staged rows are read in blocks of about this many bytes; sealed ones chunk by chunk, so that each
 * is decoded once. */
enum { BLOCK_BYTES = 4 << 20 };

/* Counts of masks are gathered in 32 bits and handed on before this many rows could overflow them.
 */
#define COUNTED_ROWS_MAX (UINT32_MAX / 2)

/* One column that is being added up. */
struct tally {
    struct dms_snapshot *snapshot;
    uint32_t column;
    struct dms_buffer rows;     /* scratch */
    struct dms_exact_sum *sums; /* of an output column's values */
    uint64_t *counts;           /* of the mask's examples */
    uint32_t *recent_counts;    /* of recent_ct rows that are not in `counts` yet */
    uint64_t recent_ct;
};

/* ---- adding up rows ---- */

static void hand_on_counts(struct tally *tally)
{
    uint64_t example_ct = tally->snapshot->catalog.schema->example_ct;
    for (uint64_t k = 0; k < example_ct; k++) {
        tally->counts[k] += tally->recent_counts[k];
    }
    memset(tally->recent_counts, 0, (size_t)example_ct * sizeof *tally->recent_counts);
    tally->recent_ct = 0;
}

/* Adds packed rows of targets target .. target + target_ct - 1. */
static void add_rows(struct tally *tally, const uint8_t *rows, uint32_t row_ct, uint64_t target,
                     uint64_t target_ct)
{
    const struct dms_column *column = &tally->snapshot->catalog.schema->columns[tally->column];
    size_t row_bytes = (size_t)dms_column_packed_bytes(column, target_ct);
    if (column->kind == DMS_COLUMN_MASK) {
        if (tally->recent_ct + row_ct > COUNTED_ROWS_MAX) {
            hand_on_counts(tally);
        }
        dms_kernels_get()->count_columns(rows, row_ct, row_bytes, (size_t)target_ct,
                                         tally->recent_counts);
        tally->recent_ct += row_ct;
    } else {
        dms_sums_add(column->dtype, rows, row_ct, row_bytes,
                     (size_t)(target_ct * column->values_per_target),
                     tally->sums + target * column->values_per_target);
    }
}

static bool is_set(const uint8_t *bits, uint32_t at)
{
    return bits[at >> 3] >> (at & 7) & 1;
}

/* Reads a block of rows, moves those that are kept together, and adds them. */
static int add_block(struct tally *tally, size_t group, uint32_t row, uint32_t row_ct,
                     uint64_t target, uint64_t target_ct, const uint8_t *kept)
{
    const struct dms_column *column = &tally->snapshot->catalog.schema->columns[tally->column];
    size_t row_bytes = (size_t)dms_column_packed_bytes(column, target_ct);
    dms_buffer_clear(&tally->rows);
    int status = dms_buffer_reserve(&tally->rows, row_bytes * row_ct);
    if (status == 0) {
        status = dms_snapshot_read_packed(tally->snapshot, group, tally->column, row, row_ct,
                                          target, target_ct, tally->rows.data);
    }
    if (status != 0) {
        return status;
    }
    uint32_t kept_ct = 0;
    for (uint32_t k = 0; k < row_ct; k++) {
        if (is_set(kept, row + k)) {
            if (kept_ct != k) {
                memcpy(tally->rows.data + kept_ct * row_bytes, tally->rows.data + k * row_bytes,
                       row_bytes);
            }
            kept_ct++;
        }
    }
    add_rows(tally, tally->rows.data, kept_ct, target, target_ct);
    return 0;
}

/* The rows of a group that are live and have a value in the column: new memory, or NULL where there
 * is none. */
static int kept_rows(const struct tally *tally, size_t group, uint32_t row_ct, uint8_t **kept)
{
    size_t bytes = ((size_t)row_ct + 7) / 8;
    uint8_t *live = dms_alloc(bytes, 1);
    uint8_t *present = dms_alloc(bytes, 1);
    bool any = false;
    int status =
        live && present ? dms_snapshot_group_live(tally->snapshot, group, live) : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        status = dms_snapshot_group_present(tally->snapshot, group, tally->column, present);
    }
    for (size_t k = 0; status == 0 && k < bytes; k++) {
        live[k] &= present[k];
        any |= live[k] != 0;
    }
    free(present);
    if (status != 0 || !any) {
        free(live);
        live = NULL;
    }
    *kept = live;
    return status;
}

static int add_group(struct tally *tally, size_t group)
{
    const struct dms_column *column = &tally->snapshot->catalog.schema->columns[tally->column];
    struct dms_group_info info;
    uint8_t *kept;
    int status = dms_snapshot_group(tally->snapshot, group, &info);
    if (status == 0) {
        status = kept_rows(tally, group, info.row_ct, &kept);
    }
    if (status != 0 || !kept) {
        return status;
    }
    uint64_t target_step = info.staged ? column->target_ct : column->tile_targets;
    uint64_t row_step = info.row_ct;
    if (info.staged) {
        row_step = BLOCK_BYTES / dms_column_packed_bytes(column, target_step) + 1;
    }
    for (uint64_t target = 0; status == 0 && target < column->target_ct; target += target_step) {
        uint64_t target_ct =
            column->target_ct - target < target_step ? column->target_ct - target : target_step;
        for (uint64_t row = 0; status == 0 && row < info.row_ct; row += row_step) {
            uint64_t row_ct = info.row_ct - row < row_step ? info.row_ct - row : row_step;
            status =
                add_block(tally, group, (uint32_t)row, (uint32_t)row_ct, target, target_ct, kept);
        }
    }
    free(kept);
    return status;
}

/* ---- totals of the index ---- */

/* Fills in the totals of sealed rows if the index has them for this very state. */
static bool read_totals(struct tally *tally, struct dms_index_txn *txn)
{
    const struct dms_catalog *catalog = &tally->snapshot->catalog;
    struct dms_index_meta meta;
    if (dms_index_get_meta(txn, &meta) != 0 || meta.sequence != catalog->sequence ||
        meta.commit_hash != catalog->commit_hash || meta.statistics_stale != 0) {
        return false;
    }
    return (tally->counts ? dms_index_get_counts(txn, tally->counts, catalog->schema->example_ct)
                          : dms_index_get_sums(txn, &catalog->schema->columns[tally->column],
                                               tally->sums)) == 0;
}

static void clear_results(struct tally *tally)
{
    const struct dms_schema *schema = tally->snapshot->catalog.schema;
    if (tally->counts) {
        memset(tally->counts, 0, (size_t)schema->example_ct * sizeof *tally->counts);
    } else {
        memset(tally->sums, 0,
               (size_t)dms_column_value_ct(&schema->columns[tally->column]) * sizeof *tally->sums);
    }
}

/* Whatever goes wrong with the index here, the rows give the same answer. */
static bool use_index(struct tally *tally)
{
    struct dms_index *index;
    struct dms_index_txn *txn;
    bool used = false;
    if (!tally->snapshot->has_index || dms_index_open(tally->snapshot->path, false, &index) != 0) {
        return false;
    }
    if (dms_index_begin(index, false, &txn) == 0) {
        used = read_totals(tally, txn);
        dms_index_abort(txn);
    }
    dms_index_close(index);
    return used;
}

/* Fills sums or counts with the statistics of all live rows. */
static int run(struct tally *tally)
{
    size_t first = 0;
    if (use_index(tally)) {
        first = tally->snapshot->catalog.group_ct;
    } else {
        clear_results(tally);
    }
    int status = 0;
    for (size_t group = first; status == 0 && group < dms_snapshot_group_ct(tally->snapshot);
         group++) {
        status = add_group(tally, group);
    }
    if (status == 0 && tally->recent_ct > 0) {
        hand_on_counts(tally);
    }
    dms_buffer_free(&tally->rows);
    return status;
}

/* ---- what callers see ---- */

int dms_snapshot_example_counts(dms_snapshot *snapshot, uint64_t *counts)
{
    struct tally tally = {.snapshot = snapshot, .column = DMS_SCHEMA_MASK_COLUMN, .counts = counts};
    tally.recent_counts =
        dms_alloc((size_t)snapshot->catalog.schema->example_ct, sizeof *tally.recent_counts);
    int status = tally.recent_counts ? run(&tally) : DMS_ERR_NO_MEMORY;
    free(tally.recent_counts);
    return status;
}

int dms_snapshot_target_statistics(dms_snapshot *snapshot, uint32_t column,
                                   struct dms_target_statistics *statistics)
{
    int status = dms_snapshot_check_column(snapshot, column);
    if (status != 0) {
        return status;
    }
    const struct dms_column *described = &snapshot->catalog.schema->columns[column];
    if (described->kind != DMS_COLUMN_OUTPUT) {
        return dms_fail(DMS_ERR_INVALID, "column %s is no output: it has no statistics",
                        described->name);
    }
    struct tally tally = {.snapshot = snapshot, .column = column};
    size_t value_ct = (size_t)dms_column_value_ct(described);
    tally.sums = dms_alloc(value_ct, sizeof *tally.sums);
    status = tally.sums ? run(&tally) : DMS_ERR_NO_MEMORY;
    for (size_t k = 0; status == 0 && k < value_ct; k++) {
        statistics[k] = dms_sums_statistics(described->dtype, &tally.sums[k]);
    }
    free(tally.sums);
    return status;
}
