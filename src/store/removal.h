/*
 * A set of live rows that a commit removes (rm, replaced rows): gathered from a snapshot, checked
 * against the index under the writer lock, and taken out of the totals.
 */
#ifndef DMS_STORE_REMOVAL_H
#define DMS_STORE_REMOVAL_H

#include "store/snapshot.h"
#include "store/totals.h"
#include "store/transaction.h"

struct dms_removed_row {
    uint64_t id;
    size_t group; /* of the snapshot */
    struct dms_id_place place;
};

struct dms_removal {
    struct dms_snapshot *snapshot; /* the caller's */
    struct dms_removed_row *rows;
    size_t row_ct, capacity;
    struct dms_totals totals; /* of the sealed ones among them */
    bool is_unreadable; /* they could not be read for damage: the index's totals become stale */
};

void dms_removal_begin(struct dms_removal *removal, struct dms_snapshot *snapshot);
void dms_removal_clear(struct dms_removal *removal);

/* Adds the row at a position of the snapshot. */
int dms_removal_add(struct dms_removal *removal, uint64_t id, struct dms_position position);

/* To be called when all rows were added, outside of the writer lock: reads what the totals lose. */
int dms_removal_prepare(struct dms_removal *removal);

/* Whether all rows are still where they were: 0, or DMS_END when one is not. */
int dms_removal_check(const struct dms_removal *removal, struct dms_index_txn *txn);

/* Adds the edits and corrects the totals. */
int dms_removal_commit(const struct dms_removal *removal, struct dms_commit *commit);

/* Where a position of a snapshot is in the store. */
struct dms_id_place dms_snapshot_place(const struct dms_snapshot *snapshot,
                                       struct dms_position position);

#endif
