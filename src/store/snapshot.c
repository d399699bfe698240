/*
 * Opening and closing snapshots, and what their catalogs say without a look into the files: counts,
 * groups, live rows.
 */
#include "store/snapshot_parts.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "format/ids.h"
#include "format/schema.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* How often compaction may win the race for the files of the state that was just read. */
enum { OPEN_TRIES = 100 };

/* ---- opening ---- */

/* `path` absolute and without links, in new memory. */
static int absolute_path(const char *path, char **absolute)
{
    char resolved[PATH_MAX];
    if (!realpath(path, resolved)) {
        return dms_fail_errno("cannot open store '%s'", path);
    }
    *absolute = dms_strdup(resolved);
    return *absolute ? 0 : DMS_ERR_NO_MEMORY;
}

static int make_tables(struct dms_snapshot *snapshot)
{
    const struct dms_catalog *catalog = &snapshot->catalog;
    size_t directory_ct;
    if (dms_mul_overflow(catalog->group_ct, catalog->schema->column_ct, &directory_ct)) {
        return dms_fail(DMS_ERR_NO_MEMORY, "store '%s' has too many groups", snapshot->path);
    }
    snapshot->files = dms_alloc(catalog->segment_ct, sizeof *snapshot->files);
    snapshot->directories = dms_alloc(directory_ct, sizeof *snapshot->directories);
    snapshot->batches_checked = dms_alloc(catalog->batch_ct, sizeof *snapshot->batches_checked);
    snapshot->fits = dms_alloc(catalog->fit_ct, sizeof *snapshot->fits);
    snapshot->layouts =
        dms_alloc((size_t)catalog->schema->column_ct + 1, sizeof *snapshot->layouts);
    if (snapshot->files) {
        for (size_t k = 0; k < catalog->segment_ct; k++) {
            snapshot->files[k].descriptor = -1;
        }
    }
    if (!snapshot->files || !snapshot->directories || !snapshot->batches_checked ||
        !snapshot->fits || !snapshot->layouts) {
        return DMS_ERR_NO_MEMORY;
    }
    dms_snapshot_list_fits(snapshot);
    return 0;
}

int dms_snapshot_make(const char *store_path, const uint8_t store_uuid[DMS_UUID_BYTES],
                      struct dms_catalog *catalog, struct dms_snapshot **snapshot)
{
    struct dms_snapshot *made = dms_alloc(1, sizeof *made);
    if (!made) {
        dms_catalog_clear(catalog);
        return DMS_ERR_NO_MEMORY;
    }
    made->catalog = *catalog;
    *catalog = (struct dms_catalog){0};
    memcpy(made->store_uuid, store_uuid, DMS_UUID_BYTES);
    int status = absolute_path(store_path, &made->path);
    if (status == 0) {
        status = make_tables(made);
    }
    if (status != 0) {
        dms_snapshot_close(made);
        return status;
    }
    *snapshot = made;
    return 0;
}

/* One read transaction: the state it shows, with all files open. NOT_FOUND: one of the files is
 * gone. *sequence is the state's number, when it got that far. */
static int open_current(struct dms_index *index, const char *store_path, uint64_t *sequence,
                        struct dms_snapshot **snapshot)
{
    struct dms_index_txn *txn = NULL;
    struct dms_index_meta meta;
    struct dms_catalog catalog = {0};
    struct dms_snapshot *made = NULL;
    int status = dms_index_begin(index, false, &txn);
    if (status == 0) {
        status = dms_index_get_meta(txn, &meta);
    }
    if (status == 0) {
        status = dms_index_load(txn, &catalog);
    }
    if (status == 0) {
        *sequence = catalog.sequence;
        status = dms_snapshot_make(store_path, meta.store_uuid, &catalog, &made);
    }
    if (status == 0) {
        made->has_index = true;
        status = dms_snapshot_open_files(made);
    }
    dms_index_abort(txn);
    if (status != 0) {
        dms_snapshot_close(made);
        return status;
    }
    *snapshot = made;
    return 0;
}

int dms_snapshot_from_index(struct dms_index *index, const char *store_path,
                            struct dms_snapshot **snapshot)
{
    uint64_t missed = UINT64_MAX;
    for (int tries = 0; tries < OPEN_TRIES; tries++) {
        uint64_t sequence = UINT64_MAX;
        int status = open_current(index, store_path, &sequence, snapshot);
        if (status != DMS_ERR_NOT_FOUND || sequence == UINT64_MAX) {
            return status;
        }
        /* Compaction commits first and unlinks then: whoever misses a file sees a newer state next
         * time. */
        if (sequence == missed) {
            return dms_fail(DMS_ERR_CORRUPT,
                            "store '%s' has lost a segment file (%s): run 'dmstore verify'",
                            store_path, dms_error_message());
        }
        missed = sequence;
    }
    return dms_fail(DMS_ERR_BUSY, "store '%s' is compacted again and again: try later", store_path);
}

int dms_snapshot_open(const char *path, dms_snapshot **snapshot)
{
    struct stat status_of_path;
    if (stat(path, &status_of_path) != 0) {
        return dms_fail_errno("cannot open store '%s'", path);
    }
    if (!S_ISDIR(status_of_path.st_mode)) {
        return dms_snapshot_open_manifest(path, snapshot);
    }
    struct dms_index *index;
    int status = dms_index_open(path, false, &index);
    if (status == 0) {
        status = dms_snapshot_from_index(index, path, snapshot);
        dms_index_close(index);
    }
    return status;
}

void dms_snapshot_close(dms_snapshot *snapshot)
{
    if (!snapshot) {
        return;
    }
    const struct dms_catalog *catalog = &snapshot->catalog;
    for (size_t k = 0; snapshot->files && k < catalog->segment_ct; k++) {
        dms_file_unmap(snapshot->files[k].map, (size_t)catalog->segments[k].committed_bytes);
        dms_close(snapshot->files[k].descriptor);
        free(snapshot->files[k].path);
    }
    for (size_t k = 0; snapshot->directories && k < catalog->group_ct * catalog->schema->column_ct;
         k++) {
        free(snapshot->directories[k]);
    }
    for (size_t k = 0; snapshot->layouts && k <= catalog->schema->column_ct; k++) {
        free(snapshot->layouts[k]);
    }
    free(snapshot->id_runs);
    free(snapshot->files);
    free(snapshot->directories);
    free(snapshot->batches_checked);
    free(snapshot->fits);
    free(snapshot->layouts);
    free(snapshot->path);
    dms_catalog_clear(&snapshot->catalog);
    free(snapshot);
}

/* ---- what is in it ---- */

const struct dms_catalog *dms_snapshot_catalog(const struct dms_snapshot *snapshot)
{
    return &snapshot->catalog;
}

const char *dms_snapshot_path(const struct dms_snapshot *snapshot)
{
    return snapshot->path;
}

bool dms_snapshot_is_manifest(const struct dms_snapshot *snapshot)
{
    return !snapshot->has_index;
}

const struct dms_schema *dms_snapshot_schema(const dms_snapshot *snapshot)
{
    return snapshot->catalog.schema;
}

/* Widens the range of ids in *info by the live ones of a group or batch. */
static void widen_id_range(const uint8_t *runs, size_t run_bytes, uint32_t row_ct,
                           const uint8_t *removed, struct dms_snapshot_info *info)
{
    struct dms_ids_iterator iterator = dms_ids_begin(runs, run_bytes, row_ct);
    struct dms_id_span span;
    /* The records were checked when they were loaded, so that the only other result is the end. */
    while (dms_ids_next(&iterator, &span) > 0) {
        while (span.count > 0 && dms_row_is_removed(removed, span.row)) {
            span.first++;
            span.row++;
            span.count--;
        }
        while (span.count > 0 && dms_row_is_removed(removed, span.row + span.count - 1)) {
            span.count--;
        }
        if (span.count > 0) {
            uint64_t last = span.first + span.count - 1;
            info->smallest_id = span.first < info->smallest_id ? span.first : info->smallest_id;
            info->largest_id = last > info->largest_id ? last : info->largest_id;
        }
    }
}

void dms_snapshot_info(const dms_snapshot *snapshot, struct dms_snapshot_info *info)
{
    const struct dms_catalog *catalog = &snapshot->catalog;
    *info = (struct dms_snapshot_info){
        .sequence = catalog->sequence,
        .group_ct = catalog->group_ct,
        .segment_ct = catalog->segment_ct,
        .smallest_id = UINT64_MAX,
    };
    memcpy(info->store_uuid, snapshot->store_uuid, DMS_UUID_BYTES);
    for (size_t k = 0; k < catalog->segment_ct; k++) {
        info->file_bytes += catalog->segments[k].committed_bytes;
    }
    for (size_t k = 0; k < catalog->group_ct; k++) {
        const struct dms_group_record *group = &catalog->groups[k];
        info->model_ct += group->live_ct;
        info->removed_ct += group->row_ct - group->live_ct;
        widen_id_range(group->runs, group->run_bytes, group->row_ct, group->removed, info);
    }
    for (size_t k = 0; k < catalog->batch_ct; k++) {
        const struct dms_batch_record *batch = &catalog->batches[k];
        info->model_ct += batch->live_ct;
        info->staged_ct += batch->live_ct;
        info->removed_ct += batch->row_ct - batch->live_ct;
        widen_id_range(batch->runs, batch->run_bytes, batch->row_ct, batch->removed, info);
    }
    if (info->model_ct == 0) {
        info->smallest_id = 0;
    }
}

size_t dms_snapshot_group_ct(const dms_snapshot *snapshot)
{
    return snapshot->catalog.group_ct + snapshot->catalog.batch_ct;
}

const struct dms_group_record *dms_snapshot_sealed_group(const struct dms_snapshot *snapshot,
                                                         size_t group)
{
    return group < snapshot->catalog.group_ct ? &snapshot->catalog.groups[group] : NULL;
}

const struct dms_batch_record *dms_snapshot_staged_batch(const struct dms_snapshot *snapshot,
                                                         size_t group)
{
    return group < snapshot->catalog.group_ct
               ? NULL
               : &snapshot->catalog.batches[group - snapshot->catalog.group_ct];
}

int dms_snapshot_check_column(const struct dms_snapshot *snapshot, uint32_t column)
{
    uint32_t column_ct = snapshot->catalog.schema->column_ct;
    if (column >= column_ct) {
        return dms_fail(DMS_ERR_INVALID, "there is no column %" PRIu32 ": store '%s' has %" PRIu32,
                        column, snapshot->path, column_ct);
    }
    return 0;
}

int dms_snapshot_check_group(const struct dms_snapshot *snapshot, size_t group)
{
    if (group >= dms_snapshot_group_ct(snapshot)) {
        return dms_fail(DMS_ERR_INVALID, "there is no group %zu: the snapshot of '%s' has %zu",
                        group, snapshot->path, dms_snapshot_group_ct(snapshot));
    }
    return 0;
}

/* Rows of a group, removed ones included. */
static uint32_t group_row_ct(const struct dms_snapshot *snapshot, size_t group)
{
    const struct dms_group_record *sealed = dms_snapshot_sealed_group(snapshot, group);
    return sealed ? sealed->row_ct : dms_snapshot_staged_batch(snapshot, group)->row_ct;
}

int dms_snapshot_check_rows(const struct dms_snapshot *snapshot, size_t group, uint32_t row,
                            uint32_t row_ct)
{
    int status = dms_snapshot_check_group(snapshot, group);
    if (status != 0) {
        return status;
    }
    uint32_t rows_there = group_row_ct(snapshot, group);
    if (row > rows_there || row_ct > rows_there - row) {
        return dms_fail(DMS_ERR_INVALID,
                        "rows %" PRIu32 " to %" PRIu64
                        " of group %zu are out of range: it has %" PRIu32,
                        row, (uint64_t)row + row_ct, group, rows_there);
    }
    return 0;
}

int dms_snapshot_group(const dms_snapshot *snapshot, size_t group, struct dms_group_info *info)
{
    int status = dms_snapshot_check_group(snapshot, group);
    if (status != 0) {
        return status;
    }
    const struct dms_group_record *sealed = dms_snapshot_sealed_group(snapshot, group);
    const struct dms_batch_record *staged = dms_snapshot_staged_batch(snapshot, group);
    *info = sealed ? (struct dms_group_info){sealed->number, false, sealed->row_ct, sealed->live_ct}
                   : (struct dms_group_info){staged->number, true, staged->row_ct, staged->live_ct};
    return 0;
}

int dms_snapshot_group_live(const dms_snapshot *snapshot, size_t group, uint8_t *live)
{
    int status = dms_snapshot_check_group(snapshot, group);
    if (status != 0) {
        return status;
    }
    const struct dms_group_record *sealed = dms_snapshot_sealed_group(snapshot, group);
    const uint8_t *removed =
        sealed ? sealed->removed : dms_snapshot_staged_batch(snapshot, group)->removed;
    uint32_t row_ct = group_row_ct(snapshot, group);
    memset(live, 0, ((size_t)row_ct + 7) / 8);
    for (uint32_t row = 0; row < row_ct; row++) {
        if (!dms_row_is_removed(removed, row)) {
            live[row >> 3] |= (uint8_t)(1u << (row & 7));
        }
    }
    return 0;
}
