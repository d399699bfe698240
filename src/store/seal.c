/*
 * Sealing: staged rows become groups, in a segment of their own that is written before the writer
 * lock is taken; and the log segments that held them are dropped once nothing in them is live.
 */
#include "store/store_handle.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "store/bulk_segment.h"
#include "store/rows_source.h"
#include "store/transaction.h"

#include <stdlib.h>
#include <string.h>

/* Dead log segments are kept until they hold this much: dropping them writes the whole state. */
#define DEAD_LOG_BYTES (UINT64_C(128) << 20)

/* Staged rows on their way into groups. */
struct seal {
    struct dms_store *store;
    struct dms_snapshot *snapshot;
    size_t *batches; /* groups of the snapshot that are sealed */
    size_t batch_ct;
    struct dms_source_position *positions; /* live rows, by id */
    size_t position_ct;
    struct dms_segment_writer writer;
    struct dms_edit_list edits;
    struct dms_totals totals;
};

static void seal_clear(struct seal *seal)
{
    dms_bulk_segment_end(seal->store, &seal->writer);
    dms_edit_list_clear(&seal->edits);
    dms_totals_free(&seal->totals);
    free(seal->positions);
    free(seal->batches);
    dms_snapshot_close(seal->snapshot);
}

/* Chooses the oldest batches: all, or as many as make full groups. */
static int choose_batches(struct seal *seal, bool all)
{
    size_t group_ct = dms_snapshot_group_ct(seal->snapshot);
    size_t sealed_ct = dms_snapshot_catalog(seal->snapshot)->group_ct;
    uint32_t chunk_rows = dms_snapshot_schema(seal->snapshot)->chunk_rows;
    uint64_t row_ct = 0;
    uint64_t full_rows = 0;
    size_t full_ct = 0;
    seal->batches = dms_alloc(group_ct - sealed_ct, sizeof *seal->batches);
    if (!seal->batches) {
        return DMS_ERR_NO_MEMORY;
    }
    for (size_t group = sealed_ct; group < group_ct; group++) {
        struct dms_group_info info;
        int status = dms_snapshot_group(seal->snapshot, group, &info);
        if (status != 0) {
            return status;
        }
        row_ct += info.live_ct;
        seal->batches[seal->batch_ct++] = group;
        if (row_ct / chunk_rows > full_rows / chunk_rows) {
            full_rows = row_ct;
            full_ct = seal->batch_ct;
        }
    }
    if (!all) {
        seal->batch_ct = full_ct;
    }
    return 0;
}

/* Writes the rows as groups of chunk_rows, the last one shorter. */
static int write_groups(struct seal *seal, struct dms_pool *pool)
{
    const struct dms_schema *schema = dms_snapshot_schema(seal->snapshot);
    size_t chunk_rows = schema->chunk_rows;
    uint64_t group;
    struct dms_rows_source source = {0};
    uint64_t *source_rows = dms_alloc(chunk_rows, sizeof *source_rows);
    int status = source_rows ? dms_totals_begin(&seal->totals, schema) : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        status = dms_rows_source_make(seal->snapshot, schema, seal->positions, seal->position_ct,
                                      &source);
    }
    if (status == 0) {
        status = dms_groups_allot(seal->store, (seal->position_ct + chunk_rows - 1) / chunk_rows,
                                  &group);
    }
    for (size_t first = 0; status == 0 && first < seal->position_ct; first += chunk_rows) {
        size_t row_ct =
            seal->position_ct - first < chunk_rows ? seal->position_ct - first : chunk_rows;
        for (size_t k = 0; k < row_ct; k++) {
            source_rows[k] = first + k;
        }
        struct dms_group_plan plan = {
            .schema = schema,
            .codec = &schema->codec,
            .group = group++,
            .source = &source.bulk,
            .source_rows = source_rows,
            .ids = source.ids + first,
            .row_ct = (uint32_t)row_ct,
        };
        status = dms_group_write(&plan, pool, &seal->writer, &seal->edits, &seal->totals);
    }
    dms_rows_source_free(&source);
    free(source_rows);
    return status;
}

/* DMS_END when a batch is gone or has lost rows since the snapshot. */
static int check_batches(const struct seal *seal, struct dms_index_txn *txn)
{
    for (size_t k = 0; k < seal->batch_ct; k++) {
        const struct dms_batch_record *expected =
            dms_snapshot_staged_batch(seal->snapshot, seal->batches[k]);
        struct dms_batch_record record = {0};
        int status = dms_index_get_batch(txn, expected->number, &record);
        if (status == 0 && record.live_ct != expected->live_ct) {
            status = DMS_END;
        }
        dms_batch_record_clear(&record);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

static int commit_groups(void *context, struct dms_commit *commit)
{
    const struct seal *seal = context;
    int status = check_batches(seal, commit->txn);
    for (size_t k = 0; status == 0 && k < seal->edits.edit_ct; k++) {
        status = dms_commit_edit(commit, &seal->edits.edits[k]);
    }
    for (size_t k = 0; status == 0 && k < seal->batch_ct;) {
        uint64_t first = dms_snapshot_staged_batch(seal->snapshot, seal->batches[k])->number;
        uint64_t count = 1;
        while (k + count < seal->batch_ct &&
               dms_snapshot_staged_batch(seal->snapshot, seal->batches[k + count])->number ==
                   first + count) {
            count++;
        }
        struct dms_edit edit = {.type = DMS_EDIT_DROP_BATCHES, .drop_batches = {first, count}};
        status = dms_commit_edit(commit, &edit);
        k += count;
    }
    if (status == 0 && seal->totals.counts) {
        status = dms_totals_apply(&seal->totals, commit->schema, commit->txn, 1);
    }
    return status ? status : dms_commit_drop_dead_segments(commit, DEAD_LOG_BYTES);
}

/* One attempt; DMS_END when rows were removed or replaced meanwhile. */
static int seal_once(struct dms_store *store, bool all, struct dms_pool *pool, uint64_t *row_ct)
{
    struct seal seal = {.store = store};
    *row_ct = 0;
    int status = dms_store_snapshot(store, &seal.snapshot);
    if (status != 0) {
        return status;
    }
    status = choose_batches(&seal, all);
    if (status == 0 && seal.batch_ct > 0) {
        status = dms_live_positions(seal.snapshot, seal.batches, seal.batch_ct, &seal.positions,
                                    &seal.position_ct);
        if (status == 0) {
            dms_positions_sort(seal.positions, seal.position_ct);
            status = dms_bulk_segment_begin(store, dms_snapshot_schema(seal.snapshot), true,
                                            &seal.writer);
        }
        if (status == 0 && seal.position_ct > 0) {
            status = write_groups(&seal, pool);
        }
        if (status == 0) {
            status = dms_bulk_segment_sync(store, &seal.writer);
        }
        if (status == 0) {
            status = dms_commit_run(store, &seal.writer, commit_groups, &seal);
        }
        *row_ct = seal.position_ct;
    }
    seal_clear(&seal);
    return status;
}

int dms_seal_rows(struct dms_store *store, bool all, uint64_t *row_ct)
{
    struct dms_pool *pool;
    int status = dms_pool_create(0, &pool);
    if (status != 0) {
        return status;
    }
    do {
        status = seal_once(store, all, pool, row_ct);
    } while (status == DMS_END);
    dms_pool_free(pool);
    return status;
}

int dms_store_seal(dms_store *store, uint64_t *row_ct)
{
    int lock;
    uint64_t sealed_ct = 0;
    int status = dms_maintenance_lock(store, true, &lock);
    if (status != 0) {
        return status;
    }
    status = dms_seal_rows(store, true, &sealed_ct);
    dms_close(lock);
    if (status == 0 && row_ct) {
        *row_ct = sealed_ct;
    }
    return status;
}
