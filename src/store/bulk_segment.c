/*
 * Bulk segments and what is allotted to their writers: see bulk_segment.h.
 */
#include "store/bulk_segment.h"

#include "base/error.h"
#include "base/file.h"
#include "store/index.h"
#include "store/paths.h"
#include "store/transaction.h"

#include <stdlib.h>

/* A bulk segment is continued by later writers up to this size. */
#define BULK_SEGMENT_BYTES (UINT64_C(1) << 30)

int dms_segment_create_anew(struct dms_store *store, uint64_t number, enum dms_segment_kind kind,
                            const struct dms_schema *schema, uint64_t features,
                            struct dms_segment_writer *writer)
{
    dms_segment_writer_close(writer);
    char *path = dms_path_segment(store->path, number);
    int status = path ? dms_file_remove(path) : DMS_ERR_NO_MEMORY;
    free(path);
    return status ? status
                  : dms_segment_create(store->path, store->uuid, number, kind, schema, features,
                                       writer);
}

/* Changes the index's own bookkeeping, for which no commit record is needed. */
static int change_meta(struct dms_store *store,
                       int (*change)(struct dms_index_txn *txn, struct dms_index_meta *meta,
                                     void *context),
                       void *context)
{
    int status = dms_store_check_usable(store);
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
        status = dms_segment_create_anew(begin->store, number, DMS_SEGMENT_BULK, begin->schema,
                                         meta->features, begin->writer);
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
    int status = dms_store_check_usable(store);
    if (status == 0) {
        status = dms_segment_flush(writer);
    }
    return status ? status : dms_segment_make_durable(store, writer);
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
