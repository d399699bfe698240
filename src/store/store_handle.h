/*
 * What a dms_store is inside, for the files that implement include/dmstore/store.h.
 */
#ifndef DMS_STORE_STORE_HANDLE_H
#define DMS_STORE_STORE_HANDLE_H

#include "dmstore/store.h"
#include "store/index.h"
#include "store/segment.h"

#include <pthread.h>
#include <stdatomic.h>

struct dms_append_request;

struct dms_store {
    char *path;
    struct dms_index *index;
    uint8_t uuid[DMS_UUID_BYTES];
    uint32_t column_ct;   /* of the schema when the handle was opened: what rows are made for */
    atomic_bool poisoned; /* an fsync failed: what is on the disk is not known */

    /* The log segment. Whoever has the writer lock and then log_lock may touch it; log_lock is kept
     * until what follows the index's own commit, which ends the writer lock, is done. */
    struct dms_segment_writer log;
    pthread_mutex_t log_lock;

    /* Threads that append at the same time: the first becomes the leader and commits for all that
     * wait. */
    pthread_mutex_t append_lock;
    pthread_cond_t append_done;
    struct dms_append_request *append_queue;
    bool append_has_leader;
};

/* The lock under which groups are rewritten (seal, compact): one process at a time. With wait ==
 * false, DMS_ERR_BUSY when another has it. The descriptor in *lock holds it until dms_close. */
int dms_maintenance_lock(const struct dms_store *store, bool wait, int *lock);

/* Seals staged rows: all of them, or only as many as make full groups. *row_ct counts them. The
 * caller holds the maintenance lock. */
int dms_seal_rows(struct dms_store *store, bool all, uint64_t *row_ct);

#endif
