/*
 * Merging: all models of another store, through a snapshot of it, by way of a bulk write.
 */
#include "dmstore/store.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/schema.h"
#include "store/bulk.h"
#include "store/rows_source.h"

#include <stdlib.h>

/* All live rows of a snapshot. */
static int all_positions(struct dms_snapshot *snapshot, struct dms_source_position **positions,
                         size_t *position_ct)
{
    size_t group_ct = dms_snapshot_group_ct(snapshot);
    size_t *groups = dms_alloc(group_ct, sizeof *groups);
    if (!groups) {
        return DMS_ERR_NO_MEMORY;
    }
    for (size_t k = 0; k < group_ct; k++) {
        groups[k] = k;
    }
    int status = dms_live_positions(snapshot, groups, group_ct, positions, position_ct);
    free(groups);
    return status;
}

int dms_store_check_mergeable(dms_store *store, const struct dms_snapshot *source)
{
    struct dms_snapshot *destination;
    int status = dms_store_snapshot(store, &destination);
    if (status == 0) {
        status = dms_schema_check_mergeable(dms_snapshot_schema(destination),
                                            dms_snapshot_schema(source));
        dms_snapshot_close(destination);
    }
    return status;
}

int dms_store_merge(dms_store *store, struct dms_snapshot *source,
                    const struct dms_write_options *options, struct dms_write_result *result)
{
    struct dms_snapshot *destination = NULL;
    struct dms_source_position *positions = NULL;
    size_t position_ct = 0;
    struct dms_rows_source rows = {0};
    int status = dms_store_snapshot(store, &destination);
    if (status == 0) {
        status = dms_schema_check_mergeable(dms_snapshot_schema(destination),
                                            dms_snapshot_schema(source));
    }
    if (status == 0) {
        status = all_positions(source, &positions, &position_ct);
    }
    if (status == 0) {
        status = dms_rows_source_make(source, dms_snapshot_schema(destination), positions,
                                      position_ct, &rows);
    }
    if (status == 0) {
        status = dms_bulk_write(store, &rows.bulk, options, result);
    }
    dms_rows_source_free(&rows);
    free(positions);
    dms_snapshot_close(destination);
    return status;
}
