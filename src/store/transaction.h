/*
 * Commits: how a change becomes durable, all of it or nothing. Blocks are written to the end of a
 * segment, then a commit record, then fdatasync, then the index is committed; all under the writer
 * lock, which is the index's write transaction.
 */
#ifndef DMS_STORE_TRANSACTION_H
#define DMS_STORE_TRANSACTION_H

#include "format/edit.h"
#include "store/index.h"
#include "store/segment.h"
#include "store/store_handle.h"

/* A commit being put together under the writer lock. */
struct dms_commit {
    struct dms_store *store;
    struct dms_index_txn *txn;
    struct dms_index_meta meta;
    struct dms_schema *schema;         /* the current one */
    struct dms_segment_writer *writer; /* of the segment that takes blocks and commit record */
    struct dms_buffer edits;
    uint32_t edit_ct;
    uint64_t *dropped; /* segments to be deleted after the commit */
    size_t dropped_ct, dropped_capacity;
    bool is_uncertain; /* the index failed in the middle of its own commit */
    bool holds_log; /* store->log_lock is held */
};

/* Checks the inputs of a change against the index, adds blocks to commit->writer and edits with
 * dms_commit_edit. It may be called again from the start. Returns 0, DMS_END for "nothing to
 * commit", or an error. */
typedef int (*dms_commit_prepare)(void *context, struct dms_commit *commit);

/* Runs one commit. bulk: the caller's own segment, whose blocks were synced already; NULL: the log
 * segment. Returns what prepare returned when that is not 0; then nothing has changed. */
int dms_commit_run(struct dms_store *store, struct dms_segment_writer *bulk,
                   dms_commit_prepare prepare, void *context);

/* Adds an edit to the commit and applies it to the index. */
int dms_commit_edit(struct dms_commit *commit, const struct dms_edit *edit);

/* Drops segments in which nothing is live any more, when they hold at least `least_bytes`, and
 * writes a state block so that their commits are not missed. To be called last by a prepare
 * function. */
int dms_commit_drop_dead_segments(struct dms_commit *commit, uint64_t least_bytes);

/* ---- between the files that make commits ---- */

/* DMS_ERR_POISONED after a write that could not be made durable. */
int dms_store_check_usable(const struct dms_store *store);

/* fdatasync, and for a new file its name; a failure poisons the store. */
int dms_segment_make_durable(struct dms_store *store, struct dms_segment_writer *writer);

/* Enters the segment of commit->writer in the index, with its committed length. */
int dms_commit_put_writer(struct dms_commit *commit, uint64_t committed_bytes);

#endif
