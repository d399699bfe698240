/*
 * The temporary file and its lock (flock); see gram_writer.h.
 */
#include "solver/gram_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

/* How long to wait before looking again whether another process is done. */
#define WAIT_NS 50000000

struct dms_gram_writer {
    char *path, *temporary;
    int descriptor; /* of the temporary file, locked; -1: none */
    uint64_t offset;
    bool finished;
};

/* ---- the temporary file ---- */

static int make_directory(const char *path)
{
    char *directory = dms_path_parent(path);
    int rc = directory ? DMS_OK : DMS_ERR_NO_MEMORY;

    if (directory && mkdir(directory, 0775) != 0 && errno != EEXIST)
        rc = dms_fail_errno("cannot make directory '%s'", directory);
    free(directory);
    return rc;
}

int dms_gram_writer_create(const char *path, struct dms_gram_writer **writer)
{
    struct dms_gram_writer *made = dms_alloc(1, sizeof *made);
    int rc = DMS_ERR_NO_MEMORY;

    if (!made)
        return rc;
    made->descriptor = -1;
    made->path = dms_strdup(path);
    made->temporary = dms_format("%s.tmp", path);
    if (made->path && made->temporary)
        rc = make_directory(path);
    if (rc == DMS_OK)
        made->descriptor = rc = dms_open_temporary(made->temporary);
    if (rc < 0) {
        made->finished = true; /* the file is another's, or none */
        dms_gram_writer_free(made);
        return rc;
    }
    *writer = made;
    return DMS_OK;
}

void dms_gram_writer_free(struct dms_gram_writer *writer)
{
    struct dms_error_state failure;

    if (!writer)
        return;
    dms_error_save(&failure);
    if (!writer->finished)
        dms_file_remove(writer->temporary);
    dms_error_restore(&failure);
    if (writer->descriptor >= 0)
        dms_close(writer->descriptor);
    free(writer->temporary);
    free(writer->path);
    free(writer);
}

int dms_gram_writer_wait(const char *path, uint64_t row_ct, dms_progress progress,
                         void *progress_context, struct dms_gram_writer **writer)
{
    const struct timespec moment = {.tv_nsec = WAIT_NS};
    int rc;

    while ((rc = dms_gram_writer_create(path, writer)) == DMS_ERR_BUSY) {
        if (progress && progress(progress_context, 0, row_ct))
            return dms_fail(DMS_ERR_INTERRUPTED, "interrupted while another process made '%s'",
                            path);
        nanosleep(&moment, NULL);
    }
    return rc;
}

int dms_gram_writer_descriptor(const struct dms_gram_writer *writer)
{
    return writer->descriptor;
}

/* ---- writing ---- */

void dms_gram_writer_begin(struct dms_gram_writer *writer, uint64_t offset)
{
    writer->offset = offset;
}

int dms_gram_writer_append(struct dms_gram_writer *writer, const void *bytes, size_t size)
{
    int rc = dms_pwrite_full(writer->descriptor, writer->temporary, bytes, size, writer->offset);

    writer->offset += size;
    return rc;
}

static int give_name(struct dms_gram_writer *writer)
{
    char *directory = dms_path_parent(writer->path);
    int rc = directory ? dms_file_sync(writer->descriptor, writer->temporary) : DMS_ERR_NO_MEMORY;

    if (rc == DMS_OK)
        rc = dms_file_rename(writer->temporary, writer->path);
    writer->finished = rc == DMS_OK;
    if (rc == DMS_OK)
        rc = dms_directory_sync(directory);
    free(directory);
    return rc;
}

int dms_gram_writer_finish(struct dms_gram_writer *writer, struct dms_gram_head *head,
                           const struct dms_buffer *lists)
{
    uint8_t bytes[DMS_GRAM_HEAD_BYTES];
    int rc;

    head->file_bytes = writer->offset;
    head->lists_hash = dms_hash64(lists->data, lists->size);
    dms_gram_head_encode(head, bytes);
    rc = dms_pwrite_full(writer->descriptor, writer->temporary, lists->data, lists->size,
                         DMS_GRAM_HEAD_BYTES);
    if (rc == DMS_OK)
        rc = dms_pwrite_full(writer->descriptor, writer->temporary, bytes, sizeof bytes, 0);
    return rc < 0 ? rc : give_name(writer);
}

struct dms_gram_head dms_gram_head_of(enum dms_gram_kind kind,
                                      const struct dms_gram_description *description)
{
    const struct dms_row_set *rows = description->rows;
    struct dms_gram_head head = {
        .kind = kind,
        .sequence = description->sequence,
        .example_ct = description->example_ct,
        .row_ct = rows->row_ct,
        .digest = {rows->digest[0], rows->digest[1]},
        .range_ct = rows->range_ct,
    };

    memcpy(head.store_uuid, description->store_uuid, sizeof head.store_uuid);
    return head;
}
