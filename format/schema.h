/*
 * Schemas inside the library: how one is made, checked, changed, and turned into the bytes of
 * SPEC.md section 3 and back. What applications see of a schema is in dmstore/schema.h.
 *
 * A schema made here lives in one block of memory together with its columns and texts:
 * dms_schema_free releases it, and its arrays cannot be resized.
 */
#ifndef DMS_FORMAT_SCHEMA_H
#define DMS_FORMAT_SCHEMA_H

#include <dmstore/schema.h>
#include <dmstore/store.h>

#include "base/buffer.h"

/* Limits of a schema, on disk and in memory. */
enum {
    DMS_SCHEMA_MASK_COLUMN = 0,        /* position and id of the mask */
    DMS_SCHEMA_ID_COLUMN = 1,          /* position and id of the model id */
    DMS_SCHEMA_FIRST_VALUE_COLUMN = 2, /* position of the first output or scalar column */
    DMS_METADATA_MAX = 1024,           /* pairs */
    DMS_METADATA_KEY_BYTES_MAX = 255,
    DMS_METADATA_VALUE_BYTES_MAX = 65535,
    DMS_ZSTD_LEVEL_MAX = 19,
};
#define DMS_ROW_BYTES_MAX \
    UINT64_C(0x7fffffff) /* of a staged row, so of every row of a column too */
#define DMS_CHUNK_BYTES_MAX UINT64_C(0xffffffff) /* decoded bytes of a chunk of a full group */

/* A zeroed schema with room for that many columns and metadata pairs, whose columns and metadata
 * point into it; *text is room for text_bytes bytes of keys and values. NULL with NO_MEMORY set. */
struct dms_schema *dms_schema_create(size_t column_ct, size_t metadata_ct, size_t text_bytes,
                                     char **text);

/* INVALID unless `name` may be the name of a column; the message says what may. */
int dms_column_name_check(const char *name);

/* Sets target_ct, values_per_target and (but for text) element_bits from kind, dtype and
 * dimensions. INVALID, naming the column, when they are not right together or too large. */
int dms_column_derive(struct dms_column *column);

/* Checks every rule of a schema. INVALID with what is wrong. */
int dms_schema_validate(const struct dms_schema *schema);

/* A deep copy. The caller owns *schema. */
int dms_schema_copy(const struct dms_schema *original, struct dms_schema **schema);

/* What dms_store_create makes of the caller's request: mask and model id columns, column ids,
 * chunk_rows where it is 0 and tile widths are chosen here; version 1. The caller owns *schema. */
int dms_schema_prepare(const struct dms_schema *request, struct dms_schema **schema);

/* The next version of a schema, with one more output or scalar column at its end, whose id and tile
 * width are chosen here. EXISTS: the name is taken. The caller owns *schema. */
int dms_schema_add_column(const struct dms_schema *original, const struct dms_column *column,
                          struct dms_schema **schema);

/* 0 when rows of `source` can go into a store of schema `destination`: the same number of examples,
 * dataset digest and columns (by name; order and tile widths may differ). Otherwise INVALID with
 * the first difference. */
int dms_schema_check_mergeable(const struct dms_schema *destination,
                               const struct dms_schema *source);

/* Bits that a value of this dtype takes in the store; 0 for text, whose columns have
 * their own size. */
uint32_t dms_dtype_bits(enum dms_dtype dtype);

/* Appends the schema as SPEC.md section 3 lays it out; a multiple of 8 bytes. The schema must be
 * valid. */
int dms_schema_encode(const struct dms_schema *schema, struct dms_buffer *buffer);

/* Reads an encoded schema, which takes all of the `bytes` bytes, and checks every rule. CORRUPT
 * with what is wrong. The caller owns *schema. */
int dms_schema_decode(const uint8_t *data, size_t bytes, struct dms_schema **schema);

#endif
