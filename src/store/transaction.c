/*
 * Commits: see transaction.h.
 */
#include "store/transaction.h"

#include "base/error.h"
#include "base/file.h"
#include "format/schema.h"
#include "store/bulk_segment.h"
#include "store/leftovers.h"
#include "store/paths.h"

#include <stdlib.h>
#include <string.h>

/* A log segment is closed at this size, so that sealing can free it. */
#define LOG_SEGMENT_BYTES (UINT64_C(256) << 20)

int dms_store_check_usable(const struct dms_store *store)
{
    if (atomic_load(&store->poisoned)) {
        return dms_fail(
            DMS_ERR_POISONED,
            "store '%s': an earlier write could not be made durable; open the store again",
            store->path);
    }
    return 0;
}

int dms_segment_make_durable(struct dms_store *store, struct dms_segment_writer *writer)
{
    int status = dms_file_sync(writer->descriptor, writer->path);
    if (status == 0 && writer->is_new) {
        char *directory = dms_path_segments(store->path);
        status = directory ? dms_directory_sync(directory) : DMS_ERR_NO_MEMORY;
        free(directory);
    }
    if (status == 0) {
        writer->is_new = false;
    } else if (status != DMS_ERR_NO_MEMORY) {
        atomic_store(&store->poisoned, true);
    }
    return status;
}

/* ---- the log segment ---- */

static int begin_log(struct dms_commit *commit)
{
    struct dms_store *store = commit->store;
    uint64_t number = commit->meta.next_segment;
    int status = dms_segment_create_anew(store, number, DMS_SEGMENT_LOG, commit->schema,
                                         commit->meta.features, &store->log);
    if (status == 0) {
        commit->meta.next_segment = number + 1;
        commit->meta.log_segment = number;
    }
    return status;
}

/* Makes store->log the log segment as it is now, other processes having appended to it meanwhile.
 */
static int open_log(struct dms_commit *commit)
{
    struct dms_store *store = commit->store;
    struct dms_segment_record record = {0};
    uint64_t orphan_bytes = 0;
    int status = DMS_END;
    if (commit->meta.log_segment != 0) {
        status = dms_index_get_segment(commit->txn, commit->meta.log_segment, &record);
    }
    if (status == DMS_END || (status == 0 && record.committed_bytes >= LOG_SEGMENT_BYTES)) {
        return begin_log(commit);
    }
    if (status != 0) {
        return status;
    }
    uint64_t size;
    bool is_same = store->log.path && store->log.number == record.number;
    if (is_same && store->log.committed == record.committed_bytes &&
        dms_file_size(store->log.descriptor, store->log.path, &size) == 0 &&
        size == record.committed_bytes) {
        return 0;
    }
    dms_segment_writer_close(&store->log);
    status = dms_segment_reopen(store->path, &record, &store->log, &orphan_bytes);
    commit->meta.orphan_bytes += orphan_bytes;
    return status;
}

/* ---- committing ---- */

int dms_commit_edit(struct dms_commit *commit, const struct dms_edit *edit)
{
    int status = dms_edit_encode(edit, &commit->edits);
    if (status == 0) {
        commit->edit_ct++;
        status = dms_index_apply(commit->txn, &commit->meta, edit, commit->writer->number);
    }
    return status;
}

int dms_commit_put_writer(struct dms_commit *commit, uint64_t committed_bytes)
{
    struct dms_segment_record record = {
        .number = commit->writer->number,
        .committed_bytes = committed_bytes,
        .kind = commit->writer->kind,
    };
    memcpy(record.uuid, commit->writer->uuid, DMS_UUID_BYTES);
    return dms_index_put_segment(commit->txn, &record);
}

static int add_commit_block(struct dms_commit *commit)
{
    struct dms_segment_writer *writer = commit->writer;
    struct dms_block block = {
        .type = DMS_BLOCK_COMMIT,
        .commit =
            {
                .sequence = commit->meta.sequence + 1,
                .previous_hash = commit->meta.commit_hash,
                .begin = writer->committed,
                .time_ns = dms_now_ns(),
                .edit_ct = commit->edit_ct,
                .schema_version = commit->schema->version,
                .blocks_hash = dms_hash64(writer->header_hashes.data, writer->header_hashes.size),
                .next_group = commit->meta.next_group,
                .next_batch = commit->meta.next_batch,
                .next_segment = commit->meta.next_segment,
            },
    };
    int status = dms_segment_add(writer, &block, commit->edits.data, commit->edits.size);
    if (status == 0) {
        commit->meta.sequence++;
        commit->meta.commit_hash = block.header_hash;
        status = dms_commit_put_writer(commit, dms_segment_end(writer));
    }
    return status;
}

static int write_and_commit(struct dms_commit *commit)
{
    int status = add_commit_block(commit);
    if (status == 0) {
        status = dms_index_put_meta(commit->txn, &commit->meta);
    }
    if (status == 0) {
        status = dms_segment_flush(commit->writer);
    }
    if (status == 0) {
        status = dms_segment_make_durable(commit->store, commit->writer);
    }
    if (status != 0) {
        return status;
    }
    status = dms_index_commit(commit->txn);
    commit->txn = NULL;
    if (status == 0) {
        commit->writer->committed = commit->writer->written;
        dms_buffer_clear(&commit->writer->header_hashes);
    } else if (status != DMS_INDEX_FULL && status != DMS_ERR_NO_MEMORY &&
               status != DMS_ERR_NO_SPACE) {
        /* Whether the index took it is not known: the tail stays, and the next writer keeps or cuts
         * it as the index says. */
        atomic_store(&commit->store->poisoned, true);
        commit->is_uncertain = true;
    }
    return status;
}

static void delete_dropped(const struct dms_commit *commit)
{
    for (size_t k = 0; k < commit->dropped_ct; k++) {
        char *path = dms_path_segment(commit->store->path, commit->dropped[k]);
        if (path) {
            /* A file that stays is removed when the store is next opened. */
            (void)dms_file_remove(path);
            free(path);
        }
    }
}

static int commit_once(struct dms_commit *commit, dms_commit_prepare prepare, void *context)
{
    struct dms_store *store = commit->store;
    bool any_dead;
    int status = dms_index_begin(store->index, true, &commit->txn);
    if (status == 0 && !commit->writer) {
        pthread_mutex_lock(&store->log_lock);
        commit->holds_log = true;
    }
    if (status == 0) {
        status = dms_index_get_meta(commit->txn, &commit->meta);
    }
    if (status == 0) {
        status = dms_index_get_schema(commit->txn, &commit->schema);
    }
    if (status == 0) {
        status = dms_remove_dead_pending(store, commit->txn, &any_dead);
    }
    if (status == 0 && commit->writer) {
        status = dms_cut_log_tail(store, commit->txn, &commit->meta);
    } else if (status == 0) {
        status = open_log(commit);
        commit->writer = &store->log;
    }
    struct dms_segment_mark mark = {0};
    bool is_marked = status == 0;
    if (is_marked) {
        mark = dms_segment_mark(commit->writer);
        status = prepare(context, commit);
    }
    if (status == 0) {
        status = write_and_commit(commit);
    }
    if (status == 0) {
        delete_dropped(commit);
    } else if (is_marked && !commit->is_uncertain && (commit->txn || !commit->holds_log)) {
        /* Not the log once the index's commit has ended the writer lock: another process may
         * have cut the tail by now and written its own. */
        dms_segment_rollback(commit->writer, mark);
    }
    return status;
}

static void commit_clear(struct dms_commit *commit)
{
    dms_index_abort(commit->txn);
    dms_schema_free(commit->schema);
    dms_buffer_free(&commit->edits);
    free(commit->dropped);
}

int dms_commit_run(struct dms_store *store, struct dms_segment_writer *bulk,
                   dms_commit_prepare prepare, void *context)
{
    int status = dms_store_check_usable(store);
    while (status == 0) {
        struct dms_commit commit = {.store = store, .writer = bulk};
        status = commit_once(&commit, prepare, context);
        if (commit.holds_log) {
            if (status != 0) {
                /* Its file may be half made; the next commit begins from what the index says. */
                dms_segment_writer_close(&store->log);
            }
            pthread_mutex_unlock(&store->log_lock);
        }
        commit_clear(&commit);
        if (status != DMS_INDEX_FULL) {
            return status;
        }
        status = dms_index_grow(store->index);
    }
    return status;
}
