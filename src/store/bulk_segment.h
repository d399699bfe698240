/*
 * Bulk segments: files that one process at a time fills without the writer lock, before a commit
 * makes their content part of the store.
 */
#ifndef DMS_STORE_BULK_SEGMENT_H
#define DMS_STORE_BULK_SEGMENT_H

#include "store/segment.h"
#include "store/store_handle.h"

/* Creates a segment file under the writer lock, anew where a crash left one that the index never
 * knew. */
int dms_segment_create_anew(struct dms_store *store, uint64_t number, enum dms_segment_kind kind,
                            const struct dms_schema *schema, uint64_t features,
                            struct dms_segment_writer *writer);

/* Begins to write to a bulk segment: to a new one, or (may_continue) to the last one as long as
 * that is short and nobody else is writing to it, so that sealing does not make a file a group. */
int dms_bulk_segment_begin(struct dms_store *store, const struct dms_schema *schema,
                           bool may_continue, struct dms_segment_writer *writer);

/* Makes the segment's content durable before the writer lock is taken. */
int dms_bulk_segment_sync(struct dms_store *store, struct dms_segment_writer *writer);

/* Ends it: what was not committed is removed, the whole file if nothing was. Accepts a zeroed
 * writer. */
void dms_bulk_segment_end(struct dms_store *store, struct dms_segment_writer *writer);

/* Allots `count` group numbers, beginning with *first. */
int dms_groups_allot(struct dms_store *store, uint64_t count, uint64_t *first);

#endif
