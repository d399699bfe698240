/*
 * Writing down what was recovered: see recover_parts.h. A crash at any point leaves the old index
 * in place, or the new one, or none, and then recovery can be begun again: the segment files say
 * all.
 */
#include "store/recover_parts.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "store/index.h"
#include "store/paths.h"
#include "store/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the state ---- */

/* The highest sequence number that any commit has, also one that does not count. */
static uint64_t highest_sequence(const struct dms_recovery *recovery)
{
    uint64_t highest = recovery->history.highest;
    for (size_t f = 0; f < recovery->survey.file_ct; f++) {
        const struct dms_survey_file *file = &recovery->survey.files[f];
        for (size_t k = 0; k < file->block_ct; k++) {
            if (file->blocks[k].type == DMS_BLOCK_COMMIT && file->blocks[k].number > highest) {
                highest = file->blocks[k].number;
            }
        }
    }
    return highest;
}

static int add_state_block(struct dms_recovery *recovery, struct dms_segment_writer *writer,
                           struct dms_edit *edit)
{
    struct dms_catalog *catalog = &recovery->replay.catalog;
    struct dms_buffer payload = {0};
    struct dms_block block = {.type = DMS_BLOCK_STATE, .state_sequence = catalog->sequence};
    int status = dms_catalog_encode(catalog, catalog->commit_hash, NULL, &payload);
    status = status ? status : dms_segment_add(writer, &block, payload.data, payload.size);
    if (status == 0) {
        *edit =
            (struct dms_edit){.type = DMS_EDIT_STATE, .state = {block.offset, block.header_hash}};
    }
    dms_buffer_free(&payload);
    return status;
}

static int add_commit_block(struct dms_recovery *recovery, struct dms_segment_writer *writer,
                            const struct dms_edit *edit)
{
    struct dms_catalog *catalog = &recovery->replay.catalog;
    struct dms_buffer edits = {0};
    struct dms_block block = {
        .type = DMS_BLOCK_COMMIT,
        .commit =
            {
                .sequence = catalog->sequence,
                .previous_hash = catalog->commit_hash,
                .begin = writer->committed,
                .time_ns = dms_now_ns(),
                .edit_ct = 1,
                .schema_version = catalog->schema->version,
                .blocks_hash = dms_hash64(writer->header_hashes.data, writer->header_hashes.size),
                .next_group = catalog->next_group,
                .next_batch = catalog->next_batch,
                .next_segment = catalog->next_segment,
            },
    };
    int status = dms_edit_encode(edit, &edits);
    status = status ? status : dms_segment_add(writer, &block, edits.data, edits.size);
    if (status == 0) {
        catalog->commit_hash = block.header_hash;
    }
    dms_buffer_free(&edits);
    return status;
}

static int make_durable(const struct dms_recovery *recovery, struct dms_segment_writer *writer)
{
    int status = dms_segment_flush(writer);
    status = status ? status : dms_file_sync(writer->descriptor, writer->path);
    return status ? status : dms_directory_sync(recovery->survey.directory);
}

int dms_recovery_write_state(struct dms_recovery *recovery)
{
    struct dms_catalog *catalog = &recovery->replay.catalog;
    struct dms_segment_writer writer = {0};
    struct dms_edit edit;
    uint64_t number = catalog->next_segment;
    int status = dms_segment_create(recovery->path, recovery->store_uuid, number, DMS_SEGMENT_LOG,
                                    catalog->schema, dms_catalog_features(catalog), &writer);
    if (status != 0) {
        return status;
    }
    catalog->sequence = highest_sequence(recovery) + 1;
    catalog->next_segment = number + 1;
    struct dms_segment_record record = {
        .number = number,
        .committed_bytes = writer.committed,
        .kind = DMS_SEGMENT_LOG,
    };
    memcpy(record.uuid, writer.uuid, DMS_UUID_BYTES);
    status = dms_catalog_add_segment(catalog, &record);
    status = status ? status : add_state_block(recovery, &writer, &edit);
    status = status ? status : add_commit_block(recovery, &writer, &edit);
    if (status == 0) {
        dms_catalog_segment(catalog, number)->committed_bytes = dms_segment_end(&writer);
        status = make_durable(recovery, &writer);
    }
    if (status != 0) {
        struct dms_error_state failure;
        dms_error_save(&failure);
        (void)dms_file_remove(writer.path);
        dms_error_restore(&failure);
    }
    dms_segment_writer_close(&writer);
    return status;
}

/* ---- the index ---- */

/* Removes an index directory, if there is one. */
static int remove_index(const char *path)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    int status = 0;
    for (size_t k = 0; status == 0 && k < sizeof names / sizeof *names; k++) {
        char *file = dms_path_join(path, names[k]);
        status = file ? dms_file_remove(file) : DMS_ERR_NO_MEMORY;
        free(file);
    }
    if (status == 0 && rmdir(path) != 0 && errno != ENOENT) {
        status = dms_fail_errno("cannot remove '%s'", path);
    }
    return status;
}

static int fill_index(const struct dms_recovery *recovery, struct dms_index *index)
{
    const struct dms_catalog *catalog = &recovery->replay.catalog;
    struct dms_index_meta meta = {
        .sequence = catalog->sequence,
        .commit_hash = catalog->commit_hash,
        .next_group = catalog->next_group,
        .next_batch = catalog->next_batch,
        .next_segment = catalog->next_segment,
    };
    struct dms_index_txn *txn;
    memcpy(meta.store_uuid, recovery->store_uuid, DMS_UUID_BYTES);
    int status = dms_index_begin(index, true, &txn);
    if (status != 0) {
        return status;
    }
    status = dms_index_store_catalog(txn, &meta, catalog);
    status = status ? status : dms_totals_apply(&recovery->totals, catalog->schema, txn, 1);
    if (status == 0) {
        return dms_index_commit(txn);
    }
    dms_index_abort(txn);
    return status;
}

static int write_index_at(const struct dms_recovery *recovery, const char *path)
{
    struct dms_index *index;
    int status = remove_index(path);
    status = status ? status : dms_index_open_path(path, &index);
    if (status != 0) {
        return status;
    }
    while ((status = fill_index(recovery, index)) == DMS_INDEX_FULL) {
        status = dms_index_grow(index);
        if (status != 0) {
            break;
        }
    }
    dms_index_close(index);
    return status ? status : dms_directory_sync(path);
}

/* Puts the new index in the place of the old one, which stays as lmdb.old. Where the file system
 * can exchange names, the store has an index at every moment. */
static int exchange(const char *store_path, const char *made, const char *path, const char *old)
{
    bool exists;
    int status = dms_file_exists(path, &exists);
    if (status == 0 && exists) {
        status = remove_index(old);
        int exchanged = status ? status : dms_file_exchange(made, path);
        if (exchanged == 0) {
            status = dms_file_rename(made, old);
        } else if (exchanged == DMS_ERR_UNSUPPORTED) {
            status = dms_file_rename(path, old);
            status = status ? status : dms_file_rename(made, path);
        } else {
            status = exchanged;
        }
    } else if (status == 0) {
        status = dms_file_rename(made, path);
    }
    return status ? status : dms_directory_sync(store_path);
}

int dms_recovery_write_index(struct dms_recovery *recovery)
{
    char *path = dms_path_index(recovery->path);
    char *made = dms_path_join(recovery->path, "lmdb.new");
    char *old = dms_path_join(recovery->path, "lmdb.old");
    int status = path && made && old ? write_index_at(recovery, made) : DMS_ERR_NO_MEMORY;
    status = status ? status : exchange(recovery->path, made, path, old);
    free(path);
    free(made);
    free(old);
    return status;
}

/* ---- other files ---- */

/* Whether a file holds nothing of this store, and is not one that was just begun. */
static bool is_strange(const struct dms_recovery *recovery, const struct dms_survey_file *file)
{
    bool is_left_over = file->size == 0 || dms_recovery_is_unknown(recovery, file);
    return file->is_foreign || (file->descriptor >= 0 && file->block_ct == 0 && !is_left_over);
}

int dms_recovery_set_aside(const struct dms_recovery *recovery)
{
    int status = 0;
    for (size_t k = 0; status == 0 && k < recovery->survey.file_ct; k++) {
        const struct dms_survey_file *file = &recovery->survey.files[k];
        if (!is_strange(recovery, file) ||
            dms_catalog_segment(&recovery->replay.catalog, file->number)) {
            continue;
        }
        char *aside = dms_format("%s.%s", file->path, file->is_foreign ? "foreign" : "damaged");
        status = aside ? dms_file_rename(file->path, aside) : DMS_ERR_NO_MEMORY;
        free(aside);
    }
    return status ? status : dms_directory_sync(recovery->survey.directory);
}
