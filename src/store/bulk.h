/*
 * Bulk writes: rows of any source become groups, with duplicates dealt with and a commit every so
 * often. dms_store_write and dms_store_merge are this.
 */
#ifndef DMS_STORE_BULK_H
#define DMS_STORE_BULK_H

#include "store/group_writer.h"

/* A bulk write commits when this much has been written. */
#define DMS_BULK_COMMIT_BYTES (UINT64_C(512) << 20)

/* ... and begins another segment when one is this long. */
#define DMS_BULK_SEGMENT_BYTES (UINT64_C(8) << 30)

int dms_bulk_write(dms_store *store, const struct dms_bulk_source *source,
                   const struct dms_write_options *options, struct dms_write_result *result);

/* INVALID, naming the id, when an id occurs twice. */
int dms_ids_check_unique(const uint64_t *ids, uint64_t id_ct);

#endif
