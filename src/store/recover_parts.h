/*
 * The parts of a recovery, for recover.c alone: making the replayed catalog sound
 * (recover_catalog.c, recover_fits.c) and writing it down (recover_write.c).
 */
#ifndef DMS_STORE_RECOVER_PARTS_H
#define DMS_STORE_RECOVER_PARTS_H

#include "dmstore/verify.h"
#include "store/damage.h"
#include "store/index_check.h"
#include "store/replay.h"
#include "store/salvage.h"
#include "store/totals.h"

#include <stdbool.h>
#include <stdint.h>

struct dms_recovery {
    const char *path;
    const struct dms_recover_options *options;
    bool has_known;              /* the old index could be read */
    struct dms_index_view known; /* what it said */
    struct dms_survey survey;
    struct dms_schema *schema; /* the newest that was found */
    struct dms_history history;
    struct dms_salvage salvage;
    struct dms_replay replay; /* its catalog becomes the recovered one */
    bool is_changed;          /* the catalog is not what replaying the segments again would give */
    struct dms_references references;
    struct dms_totals totals;
    struct dms_damage_report damage;
    struct dms_id_set lost;
    uint8_t store_uuid[DMS_UUID_BYTES];
    uint64_t salvaged_ct;
};

/* Whether the old index knows that nothing was ever committed to a segment. */
static inline bool dms_recovery_is_unknown(const struct dms_recovery *recovery,
                                           const struct dms_survey_file *file)
{
    return recovery->has_known && !dms_catalog_segment(&recovery->known.catalog, file->number);
}

/* Takes rows away that a lost commit removed: those that the old index knew to be removed, and the
 * older copies of ids that are live twice. */
int dms_recovery_remove_superseded(struct dms_recovery *recovery);

/* Where commits are lost: tells which targets of fits went with them, and takes fits away that one
 * of them removed, both as the old index knows. */
int dms_recovery_compare_fits(struct dms_recovery *recovery);

/* Drops parts of fits that are damaged, and fits without their header. */
int dms_recovery_drop_damaged_fits(struct dms_recovery *recovery);

/* Drops what damage has made unreadable: a group without masks or ids, a group or (keep_partial) a
 * column of one that lacks chunks, a batch whose rows block is damaged. Their live ids are lost. */
int dms_recovery_drop_damaged(struct dms_recovery *recovery);

/* Sets numbers, schema and segment records right, and counts what was salvaged. */
int dms_recovery_complete(struct dms_recovery *recovery);

/* Writes the state and a commit that refers to it into a new log segment, durably. */
int dms_recovery_write_state(struct dms_recovery *recovery);

/* Writes the new index beside the old one and puts it in its place. */
int dms_recovery_write_index(struct dms_recovery *recovery);

/* Renames files that are no segments of this store, so that nobody takes them for left-overs. */
int dms_recovery_set_aside(const struct dms_recovery *recovery);

#endif
