/*
 * Whether a model that is there already has the same bytes as one that is being added.
 */
#ifndef DMS_STORE_COMPARE_H
#define DMS_STORE_COMPARE_H

#include "dmstore/snapshot.h"
#include "dmstore/store.h"
#include "store/group_writer.h"

/* Compares rows row .. row + row_ct - 1 of a snapshot's group with rows source_row ... of a source:
 * masks (if the source has them) and the values that the source has. same[k] is set to 1 where all
 * bytes agree; a stored row that cannot be read for damage is never the same. */
int dms_rows_compare(struct dms_snapshot *snapshot, size_t group, uint32_t row, uint32_t row_ct,
                     const struct dms_bulk_source *source, uint64_t source_row, uint8_t *same);

#endif
