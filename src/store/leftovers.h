/*
 * What crashed writers leave behind: segments that were never committed, tails after a last commit,
 * and files of segments that were dropped. All of it is removed under the writer lock.
 */
#ifndef DMS_STORE_LEFTOVERS_H
#define DMS_STORE_LEFTOVERS_H

#include "store/index.h"
#include "store/store_handle.h"

/* Removes what dead writers of bulk segments left, so that no commit record stands in a segment
 * that nobody knows. *any: there was something. */
int dms_remove_dead_pending(struct dms_store *store, struct dms_index_txn *txn, bool *any);

/* Cuts what a crash left after the last commit of the log: once another segment gets the next
 * commit, nobody opens the log for a while, and a recovery would find two commits of one number. */
int dms_cut_log_tail(struct dms_store *store, struct dms_index_txn *txn,
                     struct dms_index_meta *meta);

/* Both of these, and files that the index does not know; to be called when a store is opened. */
int dms_remove_leftovers(struct dms_store *store);

#endif
