/*
 * Rows that the library's bulk writer pulls out of .npy files: opens the files, holds their shapes
 * and types against the schema, chooses the rows, and converts while reading (bytes to packed bits,
 * float32 to float16, ...). The files are read with pread into small buffers on the stack, from
 * several threads at once; memory does not grow with the files.
 */
#ifndef DMSTORE_TOOLS_NPY_SOURCE_H
#define DMSTORE_TOOLS_NPY_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dmstore/schema.h>
#include <dmstore/store.h>

#include "mask_file.h"

struct npy_source_column;

/* Starts as {.schema = ...} and is ended with npy_source_close. */
struct npy_source {
    const struct dms_schema *schema; /* the caller's */
    const char *first_path;          /* the file that said how many rows there are */
    uint64_t file_row_ct;            /* rows of every file */
    struct mask_file masks;
    struct npy_source_column *columns;
    uint32_t *positions; /* of the columns in the schema */
    uint32_t column_ct;
    uint64_t first_row; /* the chosen rows are first_row .. first_row + row_ct - 1 ... */
    uint64_t row_ct;
    uint64_t *chosen_rows; /* ... or these row_ct rows of the files, when not NULL */
    uint64_t *ids;         /* of the chosen rows */
};

/* Opens the masks: bool or uint8 (m, d), or packed uint8 (m, (d + 7) / 8). */
int npy_source_open_masks(struct npy_source *source, const char *path, bool packed);

/* Opens the values of the column called `name` (name_bytes long) of this kind. */
int npy_source_open_column(struct npy_source *source, enum dms_column_kind kind, const char *name,
                           size_t name_bytes, const char *path);

/* Chooses rows begin .. end - 1 of the files (end UINT64_MAX: to the last) and, unless `completed`
 * is NULL, of these only those that have a flag other than 0 in that file. */
int npy_source_choose_rows(struct npy_source *source, uint64_t begin, uint64_t end,
                           const char *completed);

/* Sets the ids of the chosen rows: read from the file `path`, or first_id + the row's index in the
 * files when path is NULL. An id that comes twice is an error. Call after choosing rows. */
int npy_source_set_ids(struct npy_source *source, uint64_t first_id, const char *path);

/* What dms_store_write and dms_store_fill take; points into *source. */
struct dms_row_source npy_source_rows(struct npy_source *source);

void npy_source_close(struct npy_source *source);

#endif
