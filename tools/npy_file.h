/*
 * .npy files as the tools read and write them. Reading goes through pread and never through a
 * mapping, so that a file that is cut short meanwhile is an error and not a signal; writing goes to
 * a temporary name that becomes the file's own when everything is on disk.
 *
 * The first dimension is the rows. Functions return 0 or a negative enum dms_error with the message
 * set (see report.h); messages name the file.
 */
#ifndef DMSTORE_TOOLS_NPY_FILE_H
#define DMSTORE_TOOLS_NPY_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dmstore/npy.h>

#include "output_file.h"

/* ---- reading ---- */

/* An open file; may be read by several threads at once. */
struct npy_file {
    int descriptor;
    const char *path; /* the caller's */
    struct dms_npy npy;
    uint64_t row_ct;
    uint64_t row_values; /* values in one row: the product of all dimensions but the first */
    uint64_t row_bytes;
};

/* Opens `path` (which must live as long as *file) and holds its length against its header. After a
 * failure *file needs no closing; a zeroed one may be closed, too. */
int npy_file_open(struct npy_file *file, const char *path);
void npy_file_close(struct npy_file *file);

/* Reads bytes byte .. byte + byte_ct - 1 of each of rows row .. row + row_ct - 1, without gaps. */
int npy_file_read(const struct npy_file *file, uint64_t row, uint64_t row_ct, uint64_t byte,
                  uint64_t byte_ct, void *out);

/* Opens a file of one integer (or bool) a row, shape (m,) or (m, 1). `what` names one of them in
 * messages, e.g. "model id". */
int npy_file_open_integers(struct npy_file *file, const char *path, const char *what);

/* Reads rows row .. row + row_ct - 1 of such a file; negative integers are refused. */
int npy_file_read_integers(const struct npy_file *file, const char *what, uint64_t row,
                           uint64_t row_ct, uint64_t *values);

#define NPY_DESCRIPTION_BYTES 256

/* Writes dtype and shape for people, e.g. "float16 (310000, 10000)", into `text`; returns it. */
char *npy_describe(const struct dms_npy *npy, char text[NPY_DESCRIPTION_BYTES]);

/* Writes dimensions as Python does, e.g. "(5,)", into `text`. */
void npy_describe_shape(uint32_t dimension_ct, const uint64_t *dimensions, char *text,
                        size_t text_bytes);

/* ---- writing ---- */

struct npy_writer {
    struct output_file file;
    struct dms_npy npy;
    uint64_t row_bytes;
};

/* Starts the file `path` (see output_file_create) of kind, item_bytes and dimensions as in struct
 * dms_npy. End it with npy_writer_commit or npy_writer_abandon; a zeroed writer may be abandoned.
 */
int npy_writer_create(struct npy_writer *writer, const char *path, char kind, uint32_t item_bytes,
                      uint32_t dimension_ct, const uint64_t *dimensions);

/* Writes bytes byte .. byte + byte_ct - 1 of each of rows row .. row + row_ct - 1, which stand in
 * `data` without gaps. May be called by several threads. Not for standard output. */
int npy_writer_write(const struct npy_writer *writer, uint64_t row, uint64_t row_ct, uint64_t byte,
                     uint64_t byte_ct, const void *data);

/* Syncs the file and gives it its name. The writer is ended also when this fails. */
int npy_writer_commit(struct npy_writer *writer);

/* Removes what was written; does nothing after npy_writer_commit. */
void npy_writer_abandon(struct npy_writer *writer);

/* Writes a whole array that lies in memory, row-major. */
int npy_write(const char *path, char kind, uint32_t item_bytes, uint32_t dimension_ct,
              const uint64_t *dimensions, const void *data);

/* Whether a path ends in ".npy". */
bool npy_is_path(const char *path);

#endif
