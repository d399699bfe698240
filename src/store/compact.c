/*
 * Compaction: groups with removed rows, short groups, or all groups (for another codec) are written
 * anew without what was removed, fits among much that is dead are copied; segments in which nothing
 * is live any more are dropped.
 */
#include "store/store_handle.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "format/schema.h"
#include "store/bulk_segment.h"
#include "store/compact_fits.h"
#include "store/rows_source.h"
#include "store/transaction.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Groups are rewritten and committed in units of about this much, so that the disk needs little
 * more. */
#define UNIT_BYTES (UINT64_C(4) << 30)

/* Segments below this size are not worth rewriting for what is dead in them. */
#define DEAD_BYTES_LEAST (UINT64_C(1) << 20)

struct compaction {
    dms_store *store;
    const struct dms_compact_options *options;
    struct dms_pool *pool;
    struct dms_snapshot *snapshot;
    struct dms_schema *schema; /* with the codec to be */
    size_t *groups;            /* of the snapshot, that are rewritten */
    size_t group_ct;
    struct dms_fit_moves fits; /* with the last unit */
    /* The unit at hand: groups[unit_first .. unit_first + unit_ct). */
    size_t unit_first, unit_ct;
    struct dms_segment_writer writer;
    struct dms_edit_list edits;
    uint64_t total_rows, done_rows;
    struct dms_compact_result result;
};

/* ---- choosing ---- */

static bool has_removed(const struct dms_group_record *record)
{
    return record->live_ct < record->row_ct;
}

static void add_live_bytes(const struct dms_catalog *catalog, uint64_t number, uint64_t bytes,
                           uint64_t *live_bytes)
{
    const struct dms_segment_record *segment = dms_catalog_segment(catalog, number);
    if (segment) {
        live_bytes[segment - catalog->segments] += bytes;
    }
}

/* Bytes of live chunks and fits in each segment of the catalog. */
static void count_live_bytes(const struct dms_catalog *catalog, uint64_t *live_bytes)
{
    for (size_t g = 0; g < catalog->group_ct; g++) {
        for (uint32_t c = 0; c < catalog->groups[g].column_ct; c++) {
            const struct dms_group_column *column = &catalog->groups[g].columns[c];
            add_live_bytes(catalog, column->segment, column->stored_bytes, live_bytes);
        }
    }
    for (size_t f = 0; f < catalog->fit_ct; f++) {
        const struct dms_fit_record *fit = &catalog->fits[f];
        add_live_bytes(catalog, fit->segment, fit->stored_bytes, live_bytes);
        for (size_t p = 0; p < fit->part_ct; p++) {
            add_live_bytes(catalog, fit->parts[p].segment, fit->parts[p].stored_bytes, live_bytes);
        }
    }
}

/* Whether more than a quarter of a segment is dead. */
static bool is_wasteful(const struct dms_segment_record *segment, uint64_t live_bytes)
{
    return segment->committed_bytes > DEAD_BYTES_LEAST &&
           live_bytes < segment->committed_bytes / 4 * 3;
}

/* Whether a group has chunks in such a segment. */
static bool is_in_dead_company(const struct dms_catalog *catalog, const uint64_t *live_bytes,
                               const struct dms_group_record *group)
{
    for (uint32_t c = 0; c < group->column_ct; c++) {
        const struct dms_segment_record *segment =
            dms_catalog_segment(catalog, group->columns[c].segment);
        if (segment && is_wasteful(segment, live_bytes[segment - catalog->segments])) {
            return true;
        }
    }
    return false;
}

/* Blocks of fits in segments that the groups will leave, too. */
static int choose_fits(struct compaction *compaction, bool all, const uint64_t *live_bytes)
{
    const struct dms_catalog *catalog = dms_snapshot_catalog(compaction->snapshot);
    bool *leave = dms_alloc(catalog->segment_ct, sizeof *leave);
    if (!leave) {
        return DMS_ERR_NO_MEMORY;
    }
    for (size_t k = 0; k < catalog->segment_ct; k++) {
        leave[k] = all || is_wasteful(&catalog->segments[k], live_bytes[k]);
    }
    dms_fit_moves_clear(&compaction->fits);
    int status = dms_fit_moves_choose(catalog, leave, &compaction->fits);
    free(leave);
    return status;
}

/* Groups that gain: all, or those with removed rows, those among much that is dead and, when there
 * are several to join, short ones. */
static int choose_groups(struct compaction *compaction)
{
    const struct dms_catalog *catalog = dms_snapshot_catalog(compaction->snapshot);
    bool all = compaction->options->all || compaction->options->codec;
    size_t short_ct = 0;
    uint64_t *live_bytes = dms_alloc(catalog->segment_ct, sizeof *live_bytes);
    compaction->groups = dms_alloc(catalog->group_ct, sizeof *compaction->groups);
    if (!compaction->groups || !live_bytes) {
        free(live_bytes);
        return DMS_ERR_NO_MEMORY;
    }
    count_live_bytes(catalog, live_bytes);
    for (size_t k = 0; k < catalog->group_ct; k++) {
        short_ct += catalog->groups[k].live_ct < catalog->schema->chunk_rows;
    }
    for (size_t k = 0; k < catalog->group_ct; k++) {
        const struct dms_group_record *record = &catalog->groups[k];
        bool is_short = record->live_ct < catalog->schema->chunk_rows;
        if (all || has_removed(record) || (is_short && short_ct > 1) ||
            is_in_dead_company(catalog, live_bytes, record)) {
            compaction->groups[compaction->group_ct++] = k;
            compaction->total_rows += record->live_ct;
        }
    }
    int status = choose_fits(compaction, all, live_bytes);
    free(live_bytes);
    return status;
}

static uint64_t group_bytes(const struct compaction *compaction, size_t group)
{
    const struct dms_group_record *record = dms_snapshot_sealed_group(compaction->snapshot, group);
    uint64_t bytes = 0;
    for (uint32_t c = 0; c < record->column_ct; c++) {
        bytes += record->columns[c].stored_bytes;
    }
    return bytes;
}

static bool is_last_unit(const struct compaction *compaction)
{
    return compaction->unit_first + compaction->unit_ct == compaction->group_ct;
}

/* ---- one unit ---- */

static int write_group(struct compaction *compaction, const struct dms_rows_source *source,
                       size_t first, size_t row_ct, uint64_t number)
{
    uint64_t *source_rows = dms_alloc(row_ct, sizeof *source_rows);
    if (!source_rows) {
        return DMS_ERR_NO_MEMORY;
    }
    for (size_t k = 0; k < row_ct; k++) {
        source_rows[k] = first + k;
    }
    struct dms_group_plan plan = {
        .schema = compaction->schema,
        .codec = &compaction->schema->codec,
        .group = number,
        .source = &source->bulk,
        .source_rows = source_rows,
        .ids = source->ids + first,
        .row_ct = (uint32_t)row_ct,
    };
    int status =
        dms_group_write(&plan, compaction->pool, &compaction->writer, &compaction->edits, NULL);
    free(source_rows);
    compaction->done_rows += row_ct;
    if (status == 0 && compaction->options->progress &&
        compaction->options->progress(compaction->options->progress_context, compaction->done_rows,
                                      compaction->total_rows) != 0) {
        status = dms_fail(DMS_ERR_INTERRUPTED, "interrupted after %" PRIu64 " of %" PRIu64 " rows",
                          compaction->result.rewritten_rows, compaction->total_rows);
    }
    return status;
}

static int write_unit(struct compaction *compaction)
{
    struct dms_source_position *positions = NULL;
    size_t position_ct = 0;
    size_t chunk_rows = compaction->schema->chunk_rows;
    uint64_t number = 0;
    struct dms_rows_source source = {0};
    int status =
        dms_live_positions(compaction->snapshot, compaction->groups + compaction->unit_first,
                           compaction->unit_ct, &positions, &position_ct);
    if (status == 0) {
        status = dms_rows_source_make(compaction->snapshot, compaction->schema, positions,
                                      position_ct, &source);
    }
    if (status == 0) {
        status = dms_groups_allot(compaction->store, (position_ct + chunk_rows - 1) / chunk_rows,
                                  &number);
    }
    for (size_t first = 0; status == 0 && first < position_ct; first += chunk_rows) {
        size_t row_ct = position_ct - first < chunk_rows ? position_ct - first : chunk_rows;
        status = write_group(compaction, &source, first, row_ct, number++);
    }
    dms_rows_source_free(&source);
    free(positions);
    return status;
}

/* Whether a group is still what the snapshot says: 0, or DMS_END. */
static int check_group(const struct dms_group_record *expected, struct dms_index_txn *txn)
{
    struct dms_group_record record = {0};
    int status = dms_index_get_group(txn, expected->number, &record);
    if (status == 0 &&
        (record.live_ct != expected->live_ct || record.column_ct != expected->column_ct)) {
        status = DMS_END;
    }
    for (uint32_t c = 0; status == 0 && c < record.column_ct; c++) {
        if (record.columns[c].header_hash != expected->columns[c].header_hash) {
            status = DMS_END;
        }
    }
    dms_group_record_clear(&record);
    return status;
}

/* Makes the new codec the store's, with the schema that it has by now. */
static int commit_codec(const struct compaction *compaction, struct dms_commit *commit)
{
    struct dms_buffer encoded = {0};
    struct dms_codec codec = compaction->schema->codec;
    if (commit->schema->codec.kind == codec.kind && commit->schema->codec.level == codec.level) {
        return 0;
    }
    commit->schema->codec = codec;
    commit->schema->version++;
    int status = dms_schema_encode(commit->schema, &encoded);
    if (status == 0) {
        struct dms_edit edit = {.type = DMS_EDIT_SET_SCHEMA,
                                .set_schema = {encoded.size, encoded.data}};
        status = dms_commit_edit(commit, &edit);
    }
    dms_buffer_free(&encoded);
    return status;
}

static int commit_unit(void *context, struct dms_commit *commit)
{
    const struct compaction *compaction = context;
    const size_t *groups = compaction->groups + compaction->unit_first;
    int status = 0;
    for (size_t k = 0; status == 0 && k < compaction->unit_ct; k++) {
        status =
            check_group(dms_snapshot_sealed_group(compaction->snapshot, groups[k]), commit->txn);
    }
    if (status == 0) {
        status = commit_codec(compaction, commit);
    }
    for (size_t k = 0; status == 0 && k < compaction->edits.edit_ct; k++) {
        status = dms_commit_edit(commit, &compaction->edits.edits[k]);
    }
    for (size_t k = 0; status == 0 && k < compaction->unit_ct; k++) {
        struct dms_edit edit = {
            .type = DMS_EDIT_DROP_GROUP,
            .drop_group = {dms_snapshot_sealed_group(compaction->snapshot, groups[k])->number},
        };
        status = dms_commit_edit(commit, &edit);
    }
    if (status == 0 && is_last_unit(compaction)) {
        status = dms_fit_moves_commit(&compaction->fits, commit);
    }
    return status ? status : dms_commit_drop_dead_segments(commit, 0);
}

/* Rewrites the unit; DMS_END when its groups have changed meanwhile. */
static int compact_unit(struct compaction *compaction)
{
    uint64_t done_before = compaction->done_rows;
    int status =
        dms_bulk_segment_begin(compaction->store, compaction->schema, false, &compaction->writer);
    if (status == 0 && compaction->unit_ct > 0) {
        status = write_unit(compaction);
    }
    if (status == 0 && is_last_unit(compaction)) {
        status = dms_fit_moves_write(compaction->snapshot, &compaction->fits, &compaction->writer);
    }
    if (status == 0) {
        status = dms_bulk_segment_sync(compaction->store, &compaction->writer);
    }
    if (status == 0) {
        status = dms_commit_run(compaction->store, &compaction->writer, commit_unit, compaction);
    }
    if (status == 0) {
        compaction->result.rewritten_rows += compaction->done_rows - done_before;
    } else {
        compaction->done_rows = done_before;
    }
    dms_bulk_segment_end(compaction->store, &compaction->writer);
    dms_edit_list_clear(&compaction->edits);
    return status;
}

/* ---- the whole ---- */

static int prepare_schema(struct compaction *compaction)
{
    dms_schema_free(compaction->schema);
    compaction->schema = NULL;
    int status = dms_schema_copy(dms_snapshot_schema(compaction->snapshot), &compaction->schema);
    if (status == 0 && compaction->options->codec) {
        compaction->schema->codec = *compaction->options->codec;
    }
    return status;
}

/* Looks at the store as it is now and chooses what is left to do. */
static int start(struct compaction *compaction)
{
    dms_snapshot_close(compaction->snapshot);
    compaction->snapshot = NULL;
    free(compaction->groups);
    compaction->groups = NULL;
    compaction->group_ct = 0;
    compaction->total_rows = compaction->done_rows;
    int status = dms_store_snapshot(compaction->store, &compaction->snapshot);
    if (status == 0) {
        status = prepare_schema(compaction);
    }
    return status ? status : choose_groups(compaction);
}

static int compact_groups(struct compaction *compaction)
{
    size_t first = 0;
    int status = 0;
    do {
        uint64_t bytes = 0;
        compaction->unit_first = first;
        compaction->unit_ct = 0;
        while (first + compaction->unit_ct < compaction->group_ct && bytes < UNIT_BYTES) {
            bytes += group_bytes(compaction, compaction->groups[first + compaction->unit_ct]);
            compaction->unit_ct++;
        }
        status = compact_unit(compaction);
        if (status == 0) {
            first += compaction->unit_ct;
        } else if (status == DMS_END) {
            /* Rows were removed or columns filled meanwhile. Groups that are done and were chosen
             * only for a codec are chosen again, which costs time and no more. */
            status = start(compaction);
            first = 0;
        }
    } while (status == 0 && first < compaction->group_ct);
    return status;
}

static int measure(dms_store *store, uint64_t *group_ct, uint64_t *bytes)
{
    struct dms_snapshot *snapshot;
    struct dms_snapshot_info info;
    int status = dms_store_snapshot(store, &snapshot);
    if (status == 0) {
        dms_snapshot_info(snapshot, &info);
        *group_ct = info.group_ct;
        *bytes = info.file_bytes;
        dms_snapshot_close(snapshot);
    }
    return status;
}

int dms_store_compact(dms_store *store, const struct dms_compact_options *options,
                      struct dms_compact_result *result)
{
    static const struct dms_compact_options defaults;
    struct compaction compaction = {
        .store = store, .options = options ? options : &defaults, .writer = {.descriptor = -1}};
    uint64_t sealed_ct;
    int lock;
    int status = dms_maintenance_lock(store, true, &lock);
    if (status != 0) {
        return status;
    }
    status = measure(store, &compaction.result.group_ct_before, &compaction.result.bytes_before);
    if (status == 0) {
        status = dms_seal_rows(store, true, &sealed_ct);
    }
    if (status == 0) {
        status = dms_pool_create(compaction.options->thread_ct, &compaction.pool);
    }
    if (status == 0) {
        status = start(&compaction);
    }
    if (status == 0) {
        status = compact_groups(&compaction);
    }
    if (status == 0) {
        status = measure(store, &compaction.result.group_ct_after, &compaction.result.bytes_after);
    }
    if (status == 0 && result) {
        *result = compaction.result;
    }
    dms_schema_free(compaction.schema);
    dms_fit_moves_clear(&compaction.fits);
    free(compaction.groups);
    dms_snapshot_close(compaction.snapshot);
    dms_pool_free(compaction.pool);
    dms_close(lock);
    return status;
}
