/*
 * Snapshots inside the library: how one is made from the index, and the reads that writers need
 * beyond dmstore/snapshot.h (packed rows, the entries of sampled masks, the records of the
 * catalog).
 */
#ifndef DMS_STORE_SNAPSHOT_H
#define DMS_STORE_SNAPSHOT_H

#include "dmstore/snapshot.h"
#include "format/state.h"
#include "store/index.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The current state of the store at `store_path`, whose open index is `index`. Begins a read
 * transaction of its own, opens all segment files and ends it; the snapshot does not keep the
 * index. The caller owns *snapshot. CORRUPT: a segment file is missing or shorter than was
 * committed. */
int dms_snapshot_from_index(struct dms_index *index, const char *store_path,
                            struct dms_snapshot **snapshot);

/* What is live in the snapshot; belongs to it. */
const struct dms_catalog *dms_snapshot_catalog(const struct dms_snapshot *snapshot);

/* The absolute path of the store directory; belongs to the snapshot. */
const char *dms_snapshot_path(const struct dms_snapshot *snapshot);

/* Whether it was opened from a manifest, which is for reading: nothing is written to the store. */
bool dms_snapshot_is_manifest(const struct dms_snapshot *snapshot);

/* The record behind a group number of the public interface (0 .. dms_snapshot_group_ct - 1, not
 * checked): exactly one of the two is not NULL. They belong to the snapshot. */
const struct dms_group_record *dms_snapshot_sealed_group(const struct dms_snapshot *snapshot,
                                                         size_t group);
const struct dms_batch_record *dms_snapshot_staged_batch(const struct dms_snapshot *snapshot,
                                                         size_t group);

/* The sampled entries (SPEC.md section 2.2, 16 bytes each) of row_ct rows. *all_sampled: every one
 * of these rows is known to be sampled; when false, `entries` holds nothing of use. */
int dms_snapshot_read_sampling(struct dms_snapshot *snapshot, size_t group, uint32_t row,
                               uint32_t row_ct, uint8_t *entries, bool *all_sampled);

/* As dms_snapshot_read_values, but also for the mask, and with rows as the store packs them: row_ct
 * x dms_column_packed_bytes(column, target_ct) bytes. Values of type bool are bits, the first
 * target asked for in bit 0 of a row, and the bits after the last are zero. */
int dms_snapshot_read_packed(struct dms_snapshot *snapshot, size_t group, uint32_t column,
                             uint32_t row, uint32_t row_ct, uint64_t target, uint64_t target_ct,
                             uint8_t *rows);

#endif
