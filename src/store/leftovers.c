/*
 * What crashed writers leave behind: see leftovers.h.
 */
#include "store/leftovers.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "store/paths.h"
#include "store/segment.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

struct leftovers {
    struct dms_store *store;
    struct dms_index_txn *txn;
    uint64_t next_segment;
    uint64_t *pending; /* segments whose writer is gone */
    size_t pending_ct, pending_capacity;
};

/* Whether the process that writes a pending segment still runs: it holds the flock on its file,
 * which it made before the index knew of the segment. */
static int check_pending(void *context, uint64_t segment)
{
    struct leftovers *leftovers = context;
    char *path = dms_path_segment(leftovers->store->path, segment);
    if (!path) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = 0;
    int descriptor = dms_open(path, O_RDWR, 0);
    bool is_dead = descriptor == DMS_ERR_NOT_FOUND ||
                   (descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) == 0);
    if (is_dead) {
        status = dms_grow((void **)&leftovers->pending, &leftovers->pending_capacity,
                          leftovers->pending_ct + 1, sizeof *leftovers->pending);
        if (status == 0) {
            leftovers->pending[leftovers->pending_ct++] = segment;
        }
    }
    if (descriptor < 0 && !is_dead) {
        status = descriptor;
    }
    dms_close(descriptor);
    free(path);
    return status;
}

/* Cuts a dead writer's segment back to its last commit, or removes it. */
static int remove_dead(struct dms_store *store, struct dms_index_txn *txn, uint64_t number)
{
    struct dms_segment_record record;
    int status = dms_index_get_segment(txn, number, &record);
    if (status == DMS_END) {
        char *path = dms_path_segment(store->path, number);
        status = path ? dms_file_remove(path) : DMS_ERR_NO_MEMORY;
        free(path);
    } else if (status == 0) {
        struct dms_segment_writer writer = {0};
        uint64_t orphan_bytes;
        status = dms_segment_reopen(store->path, &record, &writer, &orphan_bytes);
        dms_segment_writer_close(&writer);
    }
    return status ? status : dms_index_delete_pending(txn, number);
}

int dms_remove_dead_pending(struct dms_store *store, struct dms_index_txn *txn, bool *any)
{
    struct leftovers leftovers = {.store = store, .txn = txn};
    int status = dms_index_each_pending(txn, check_pending, &leftovers);
    for (size_t k = 0; status == 0 && k < leftovers.pending_ct; k++) {
        status = remove_dead(store, txn, leftovers.pending[k]);
    }
    *any = leftovers.pending_ct > 0;
    free(leftovers.pending);
    return status;
}

/* Removes a file that the index does not know (any more). */
static int remove_unknown(void *context, uint64_t number)
{
    struct leftovers *leftovers = context;
    struct dms_segment_record record;
    int status = dms_index_get_segment(leftovers->txn, number, &record);
    if (status != DMS_END || number >= leftovers->next_segment) {
        return status == DMS_END ? 0 : status;
    }
    status = dms_index_is_pending(leftovers->txn, number);
    if (status != DMS_END) {
        return status;
    }
    char *path = dms_path_segment(leftovers->store->path, number);
    status = path ? dms_file_remove(path) : DMS_ERR_NO_MEMORY;
    free(path);
    return status;
}

int dms_cut_log_tail(struct dms_store *store, struct dms_index_txn *txn,
                     struct dms_index_meta *meta)
{
    struct dms_segment_record record;
    struct dms_segment_writer writer = {0};
    uint64_t orphan_bytes = 0;
    if (meta->log_segment == 0) {
        return 0;
    }
    int status = dms_index_get_segment(txn, meta->log_segment, &record);
    if (status == 0) {
        status = dms_segment_reopen(store->path, &record, &writer, &orphan_bytes);
        dms_segment_writer_close(&writer);
    }
    meta->orphan_bytes += orphan_bytes;
    return status == DMS_END ? 0 : status;
}

int dms_remove_leftovers(struct dms_store *store)
{
    struct leftovers leftovers = {.store = store};
    struct dms_index_meta meta;
    bool any_dead = false;
    int status = dms_index_begin(store->index, true, &leftovers.txn);
    if (status != 0) {
        return status;
    }
    status = dms_index_get_meta(leftovers.txn, &meta);
    uint64_t orphan_bytes = status == 0 ? meta.orphan_bytes : 0;
    if (status == 0) {
        leftovers.next_segment = meta.next_segment;
        status = dms_remove_dead_pending(store, leftovers.txn, &any_dead);
    }
    if (status == 0) {
        status = dms_cut_log_tail(store, leftovers.txn, &meta);
    }
    bool is_changed = status == 0 && (any_dead || meta.orphan_bytes != orphan_bytes);
    if (status == 0 && is_changed) {
        status = dms_index_put_meta(leftovers.txn, &meta);
    }
    if (status == 0) {
        status = dms_segments_list(store->path, remove_unknown, &leftovers);
    }
    if (status != 0 || !is_changed) {
        /* The usual case: a commit that changes nothing would cost a sync at every opening. */
        dms_index_abort(leftovers.txn);
        return status;
    }
    return dms_index_commit(leftovers.txn);
}
