/*
 * Rows of a snapshot as a row source: how seal, compact and merge hand stored rows to the group
 * writer.
 */
#ifndef DMS_STORE_ROWS_SOURCE_H
#define DMS_STORE_ROWS_SOURCE_H

#include "dmstore/store.h"
#include "store/group_writer.h"
#include "store/snapshot.h"

struct dms_source_position {
    uint64_t id;
    struct dms_position at;
};

/* Source row k is positions[k]. */
struct dms_rows_source {
    struct dms_snapshot *snapshot;
    const struct dms_source_position *positions;
    uint64_t *ids;               /* owned */
    uint32_t *columns;           /* owned: positions in the destination's schema */
    uint32_t *source_columns;    /* owned: the same columns in the snapshot's schema */
    struct dms_row_source rows;  /* of all positions */
    struct dms_bulk_source bulk; /* the same, with presence and sampled entries */
};

/* The columns of `schema` (the destination's) that the snapshot has, by name. The positions must
 * outlive the source. */
int dms_rows_source_make(struct dms_snapshot *snapshot, const struct dms_schema *schema,
                         const struct dms_source_position *positions, size_t position_ct,
                         struct dms_rows_source *source);
void dms_rows_source_free(struct dms_rows_source *source);

/* Live rows of some groups of a snapshot, in the order of the list and of their rows; *positions is
 * the caller's. */
int dms_live_positions(struct dms_snapshot *snapshot, const size_t *groups, size_t group_ct,
                       struct dms_source_position **positions, size_t *position_ct);

/* Sorts positions by model id. */
void dms_positions_sort(struct dms_source_position *positions, size_t position_ct);

#endif
