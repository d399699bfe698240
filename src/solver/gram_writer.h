/*
 * Writing a file of `gram/` under a temporary name, locked, which is given its own name when all of
 * it is on disk. The temporary file has one name for all who make the same file, so that the others
 * wait.
 */
#ifndef DMS_SOLVER_GRAM_WRITER_H
#define DMS_SOLVER_GRAM_WRITER_H

#include "dmstore/store.h"
#include "format/gram_file.h"

struct dms_gram_writer;

/* Locks the temporary file beside `path`, which is copied. BUSY: another process has it. The
 * caller ends *writer with dms_gram_writer_free, which takes an unfinished file away. */
int dms_gram_writer_create(const char *path, struct dms_gram_writer **writer);
void dms_gram_writer_free(struct dms_gram_writer *writer);

/* As dms_gram_writer_create, but waits while another process has it. INTERRUPTED: `progress` (may
 * be NULL), which is called with 0 of row_ct meanwhile, asked for it. */
int dms_gram_writer_wait(const char *path, uint64_t row_ct, dms_progress progress,
                         void *progress_context, struct dms_gram_writer **writer);

/* Leaves room for head and lists: what is appended first begins at `offset`. */
void dms_gram_writer_begin(struct dms_gram_writer *writer, uint64_t offset);
int dms_gram_writer_append(struct dms_gram_writer *writer, const void *bytes, size_t size);

/* Writes lists and head (whose file_bytes and lists_hash are set here) and gives the file its name,
 * durably. */
int dms_gram_writer_finish(struct dms_gram_writer *writer, struct dms_gram_head *head,
                           const struct dms_buffer *lists);

/* To read what was written, also when the file has got its name: another process may have removed
 * it since. It is the writer's. */
int dms_gram_writer_descriptor(const struct dms_gram_writer *writer);

/* What a file says of its models. */
struct dms_gram_description {
    uint8_t store_uuid[16];
    uint64_t sequence;
    uint64_t example_ct;
    const struct dms_row_set *rows;
};

struct dms_gram_head dms_gram_head_of(enum dms_gram_kind kind,
                                      const struct dms_gram_description *description);

#endif
