/*
 * Commits: see transaction.h.
 */
#include "store/transaction.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "format/schema.h"
#include "store/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

/* A log segment is closed at this size, so that sealing can free it. */
#define LOG_SEGMENT_BYTES (UINT64_C(256) << 20)

/* A bulk segment is continued by later writers up to this size. */
#define BULK_SEGMENT_BYTES (UINT64_C(1) << 30)

static int check_usable(const struct dms_store *store)
{
    if (atomic_load(&store->poisoned)) {
        return dms_fail(
            DMS_ERR_POISONED,
            "store '%s': an earlier write could not be made durable; open the store again",
            store->path);
    }
    return 0;
}

/* fdatasync, and for a new file its name; a failure poisons the store. */
static int make_durable(struct dms_store *store, struct dms_segment_writer *writer)
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

/* ---- leftovers ---- */

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

/* Removes what dead writers of bulk segments left, so that no commit record stands in a segment
 * that nobody knows. */
static int remove_dead_pending(struct dms_store *store, struct dms_index_txn *txn)
{
    struct leftovers leftovers = {.store = store, .txn = txn};
    int status = dms_index_each_pending(txn, check_pending, &leftovers);
    for (size_t k = 0; status == 0 && k < leftovers.pending_ct; k++) {
        status = remove_dead(store, txn, leftovers.pending[k]);
    }
    free(leftovers.pending);
    return status;
}

static int is_pending(void *context, uint64_t segment)
{
    return segment == *(uint64_t *)context ? DMS_END : 0;
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
    status = dms_index_each_pending(leftovers->txn, is_pending, &number);
    if (status != 0) {
        return status == DMS_END ? 0 : status;
    }
    char *path = dms_path_segment(leftovers->store->path, number);
    status = path ? dms_file_remove(path) : DMS_ERR_NO_MEMORY;
    free(path);
    return status;
}

/* Cuts what a crash left after the last commit of the log: once another segment gets the next
 * commit, nobody opens the log for a while, and a recovery would find two commits of one number. */
static int cut_log_tail(struct dms_store *store, struct dms_index_txn *txn,
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
    int status = dms_index_begin(store->index, true, &leftovers.txn);
    if (status != 0) {
        return status;
    }
    struct dms_index_meta meta;
    status = dms_index_get_meta(leftovers.txn, &meta);
    if (status == 0) {
        leftovers.next_segment = meta.next_segment;
        status = remove_dead_pending(store, leftovers.txn);
    }
    if (status == 0) {
        status = cut_log_tail(store, leftovers.txn, &meta);
    }
    if (status == 0) {
        status = dms_index_put_meta(leftovers.txn, &meta);
    }
    if (status == 0) {
        status = dms_segments_list(store->path, remove_unknown, &leftovers);
    }
    if (status != 0) {
        dms_index_abort(leftovers.txn);
        return status;
    }
    return dms_index_commit(leftovers.txn);
}

/* ---- the log segment ---- */

/* Creates a segment file under the writer lock, anew where a crash left one that the index never
 * knew. */
static int create_segment(struct dms_store *store, uint64_t number, enum dms_segment_kind kind,
                          const struct dms_schema *schema, struct dms_segment_writer *writer)
{
    dms_segment_writer_close(writer);
    char *path = dms_path_segment(store->path, number);
    int status = path ? dms_file_remove(path) : DMS_ERR_NO_MEMORY;
    free(path);
    return status ? status
                  : dms_segment_create(store->path, store->uuid, number, kind, schema, writer);
}

static int begin_log(struct dms_commit *commit)
{
    struct dms_store *store = commit->store;
    uint64_t number = commit->meta.next_segment;
    int status = create_segment(store, number, DMS_SEGMENT_LOG, commit->schema, &store->log);
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

static int put_writer_record(struct dms_commit *commit, uint64_t committed_bytes)
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
        status = put_writer_record(commit, dms_segment_end(writer));
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
        status = make_durable(commit->store, commit->writer);
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
    int status = dms_index_begin(store->index, true, &commit->txn);
    if (status == 0) {
        status = dms_index_get_meta(commit->txn, &commit->meta);
    }
    if (status == 0) {
        status = dms_index_get_schema(commit->txn, &commit->schema);
    }
    if (status == 0) {
        status = remove_dead_pending(store, commit->txn);
    }
    if (status == 0 && commit->writer) {
        status = cut_log_tail(store, commit->txn, &commit->meta);
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
    } else if (is_marked && !commit->is_uncertain) {
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
    int status = check_usable(store);
    while (status == 0) {
        struct dms_commit commit = {.store = store, .writer = bulk};
        status = commit_once(&commit, prepare, context);
        if (status != 0 && !bulk) {
            /* Its file may be half made; the next commit begins from what the index says. */
            dms_segment_writer_close(&store->log);
        }
        commit_clear(&commit);
        if (status != DMS_INDEX_FULL) {
            return status;
        }
        status = dms_index_grow(store->index);
    }
    return status;
}

/* ---- dropping segments ---- */

static void mark_live(const struct dms_catalog *catalog, uint64_t segment, bool *live)
{
    const struct dms_segment_record *record = dms_catalog_segment(catalog, segment);
    if (record) {
        live[record - catalog->segments] = true;
    }
}

/* live[k]: something in catalog->segments[k] is live. */
static void find_live_segments(const struct dms_catalog *catalog, bool *live)
{
    for (size_t g = 0; g < catalog->group_ct; g++) {
        for (uint32_t c = 0; c < catalog->groups[g].column_ct; c++) {
            mark_live(catalog, catalog->groups[g].columns[c].segment, live);
        }
    }
    for (size_t b = 0; b < catalog->batch_ct; b++) {
        mark_live(catalog, catalog->batches[b].segment, live);
    }
}

/* Adds a state block that describes the store after the edits of this commit. */
static int add_state(struct dms_commit *commit)
{
    struct dms_catalog catalog = {0};
    struct dms_buffer payload = {0};
    struct dms_block block = {.type = DMS_BLOCK_STATE, .state_sequence = commit->meta.sequence + 1};
    int status = put_writer_record(commit, dms_segment_end(commit->writer));
    if (status == 0) {
        status = dms_index_put_meta(commit->txn, &commit->meta);
    }
    if (status == 0) {
        status = dms_index_load(commit->txn, &catalog);
    }
    if (status == 0) {
        catalog.sequence = block.state_sequence;
        status = dms_catalog_encode(&catalog, commit->meta.commit_hash, NULL, &payload);
    }
    if (status == 0) {
        status = dms_segment_add(commit->writer, &block, payload.data, payload.size);
    }
    if (status == 0) {
        struct dms_edit edit = {.type = DMS_EDIT_STATE, .state = {block.offset, block.header_hash}};
        status = dms_commit_edit(commit, &edit);
    }
    dms_catalog_clear(&catalog);
    dms_buffer_free(&payload);
    return status;
}

/* Notes the segments without live content in commit->dropped, if they hold enough. */
static int find_dead_segments(struct dms_commit *commit, const struct dms_catalog *catalog,
                              uint64_t least_bytes)
{
    uint64_t dead_bytes = 0;
    bool *live = dms_alloc(catalog->segment_ct, sizeof *live);
    int status = live ? 0 : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        find_live_segments(catalog, live);
    }
    for (size_t k = 0; status == 0 && k < catalog->segment_ct; k++) {
        const struct dms_segment_record *segment = &catalog->segments[k];
        bool is_written = dms_index_is_pending(commit->txn, segment->number) == 0;
        if (live[k] || is_written || segment->number == commit->writer->number) {
            continue;
        }
        dead_bytes += segment->committed_bytes;
        status = dms_grow((void **)&commit->dropped, &commit->dropped_capacity,
                          commit->dropped_ct + 1, sizeof *commit->dropped);
        if (status == 0) {
            commit->dropped[commit->dropped_ct++] = segment->number;
        }
    }
    if (dead_bytes < least_bytes) {
        commit->dropped_ct = 0;
    }
    free(live);
    return status;
}

static int drop_segments(struct dms_commit *commit)
{
    int status = 0;
    for (size_t k = 0; status == 0 && k < commit->dropped_ct; k++) {
        struct dms_edit edit = {.type = DMS_EDIT_DROP_SEGMENT,
                                .drop_segment = {commit->dropped[k]}};
        status = dms_commit_edit(commit, &edit);
        if (commit->dropped[k] == commit->meta.log_segment) {
            commit->meta.log_segment = 0;
        }
        if (commit->dropped[k] == commit->meta.bulk_segment) {
            commit->meta.bulk_segment = 0;
        }
    }
    return status;
}

int dms_commit_drop_dead_segments(struct dms_commit *commit, uint64_t least_bytes)
{
    struct dms_catalog catalog = {0};
    commit->dropped_ct = 0;
    int status = dms_index_put_meta(commit->txn, &commit->meta);
    if (status == 0) {
        status = dms_index_load(commit->txn, &catalog);
    }
    if (status == 0) {
        status = find_dead_segments(commit, &catalog, least_bytes);
    }
    if (status == 0) {
        status = drop_segments(commit);
    }
    if (status == 0 && commit->dropped_ct > 0) {
        status = add_state(commit);
    }
    dms_catalog_clear(&catalog);
    return status;
}

/* ---- bulk segments ---- */

/* Changes the index's own bookkeeping, for which no commit record is needed. */
static int change_meta(struct dms_store *store,
                       int (*change)(struct dms_index_txn *txn, struct dms_index_meta *meta,
                                     void *context),
                       void *context)
{
    int status = check_usable(store);
    while (status == 0) {
        struct dms_index_txn *txn = NULL;
        struct dms_index_meta meta;
        status = dms_index_begin(store->index, true, &txn);
        if (status == 0) {
            status = dms_index_get_meta(txn, &meta);
        }
        if (status == 0) {
            status = change(txn, &meta, context);
        }
        if (status == 0) {
            status = dms_index_put_meta(txn, &meta);
        }
        if (status == 0) {
            status = dms_index_commit(txn);
        } else {
            dms_index_abort(txn);
        }
        if (status != DMS_INDEX_FULL) {
            return status;
        }
        status = dms_index_grow(store->index);
    }
    return status;
}

struct bulk_begin {
    struct dms_store *store;
    const struct dms_schema *schema;
    struct dms_segment_writer *writer;
    bool may_continue;
    bool is_new;
};

/* Opens the last bulk segment to write on; DMS_END when that cannot be. */
static int continue_segment(struct dms_index_txn *txn, const struct dms_index_meta *meta,
                            struct bulk_begin *begin)
{
    struct dms_segment_record record;
    uint64_t orphan_bytes;
    if (!begin->may_continue || meta->bulk_segment == 0) {
        return DMS_END;
    }
    int status = dms_index_get_segment(txn, meta->bulk_segment, &record);
    if (status == 0 && record.committed_bytes >= BULK_SEGMENT_BYTES) {
        status = DMS_END;
    }
    if (status == 0) {
        status = dms_index_is_pending(txn, meta->bulk_segment);
        status = status == 0 ? DMS_END : status == DMS_END ? 0 : status;
    }
    if (status == 0) {
        status = dms_segment_reopen(begin->store->path, &record, begin->writer, &orphan_bytes);
    }
    /* BUSY: who wrote it has told the index that it is done, but has not closed it yet. */
    return status == DMS_ERR_BUSY ? DMS_END : status;
}

static int allot_segment(struct dms_index_txn *txn, struct dms_index_meta *meta, void *context)
{
    struct bulk_begin *begin = context;
    dms_segment_writer_close(begin->writer);
    int status = continue_segment(txn, meta, begin);
    begin->is_new = status == DMS_END;
    if (status == DMS_END) {
        uint64_t number = meta->next_segment++;
        status =
            create_segment(begin->store, number, DMS_SEGMENT_BULK, begin->schema, begin->writer);
        if (begin->may_continue) {
            meta->bulk_segment = number;
        }
    }
    return status ? status : dms_index_put_pending(txn, begin->writer->number);
}

static int end_pending(struct dms_index_txn *txn, struct dms_index_meta *meta, void *context)
{
    (void)meta;
    int status = dms_index_delete_pending(txn, *(uint64_t *)context);
    return status == DMS_END ? 0 : status;
}

int dms_bulk_segment_begin(struct dms_store *store, const struct dms_schema *schema,
                           bool may_continue, struct dms_segment_writer *writer)
{
    *writer = (struct dms_segment_writer){.descriptor = -1};
    struct bulk_begin begin = {store, schema, writer, may_continue, false};
    int status = change_meta(store, allot_segment, &begin);
    if (status != 0 && writer->path) {
        struct dms_error_state failure;
        dms_error_save(&failure);
        if (begin.is_new) {
            (void)dms_file_remove(writer->path);
        }
        dms_segment_writer_close(writer);
        dms_error_restore(&failure);
    }
    return status;
}

int dms_bulk_segment_sync(struct dms_store *store, struct dms_segment_writer *writer)
{
    int status = check_usable(store);
    if (status == 0) {
        status = dms_segment_flush(writer);
    }
    return status ? status : make_durable(store, writer);
}

void dms_bulk_segment_end(struct dms_store *store, struct dms_segment_writer *writer)
{
    if (!writer->path) {
        return;
    }
    struct dms_error_state failure;
    dms_error_save(&failure);
    struct dms_segment_record record;
    struct dms_index_txn *txn = NULL;
    uint64_t number = writer->number;
    int found = dms_index_begin(store->index, false, &txn);
    if (found == 0) {
        found = dms_index_get_segment(txn, number, &record);
        dms_index_abort(txn);
    }
    /* Whatever fails here is left to dms_remove_leftovers. */
    if (found == DMS_END) {
        (void)dms_file_remove(writer->path);
    } else if (found == 0 && writer->written > record.committed_bytes) {
        (void)dms_file_truncate(writer->descriptor, writer->path, record.committed_bytes);
    }
    (void)change_meta(store, end_pending, &number);
    dms_segment_writer_close(writer);
    dms_error_restore(&failure);
}

struct allotment {
    uint64_t count;
    uint64_t first;
};

static int allot_groups(struct dms_index_txn *txn, struct dms_index_meta *meta, void *context)
{
    struct allotment *allotment = context;
    (void)txn;
    allotment->first = meta->next_group;
    meta->next_group += allotment->count;
    return 0;
}

int dms_groups_allot(struct dms_store *store, uint64_t count, uint64_t *first)
{
    struct allotment allotment = {.count = count};
    int status = change_meta(store, allot_groups, &allotment);
    if (status == 0) {
        *first = allotment.first;
    }
    return status;
}
