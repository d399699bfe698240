/*
 * The schema of a store: the training set its masks are about and its columns. A schema is read
 * from a snapshot, or built column by column for dms_store_create. Every column has a permanent
 * numeric id; its position in the schema (0 .. column_ct - 1) is what the other functions of this
 * library call `column`.
 */
#ifndef DMSTORE_SCHEMA_H
#define DMSTORE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dmstore/export.h"

DMS_BEGIN_DECLS

#define DMS_NAME_BYTES 64   /* a column's name with its terminating zero byte */
#define DMS_DIMENSION_MAX 4 /* dimensions of an output's shape */
#define DMS_DIGEST_BYTES 64 /* longest dataset digest, in bytes */
#define DMS_COLUMN_MAX 1024 /* columns of one store, the mask and the model id included */

enum dms_dtype {
    DMS_BOOL = 1, /* one bit a value in the store, one byte (0 or 1) a value in memory */
    DMS_U8 = 2,
    DMS_F16 = 3, /* IEEE 754 binary16, carried as uint16_t */
    DMS_F32 = 4,
    DMS_F64 = 5, /* scalars only, as are all the following */
    DMS_I32 = 6,
    DMS_U32 = 7,
    DMS_I64 = 8,
    DMS_U64 = 9,
    DMS_TEXT = 10, /* fixed number of bytes of UTF-8, padded with zero bytes */
};

enum dms_column_kind {
    DMS_COLUMN_MASK =
        1, /* the training mask: example_ct bits, example k is bit k & 7 of byte k >> 3 */
    DMS_COLUMN_ID = 2,     /* the model id, u64 */
    DMS_COLUMN_OUTPUT = 3, /* target_ct x values_per_target values a model */
    DMS_COLUMN_SCALAR = 4, /* one value a model */
};

/* One column. Columns 0 and 1 of every schema are the mask and the model id. */
struct dms_column {
    uint32_t id; /* permanent, never reused */
    enum dms_column_kind kind;
    enum dms_dtype dtype;
    char name[DMS_NAME_BYTES]; /* letters, digits, '_', '-', '.'; starts with a letter or '_' */
    uint32_t dimension_ct;     /* 0 for a scalar */
    uint64_t dimensions[DMS_DIMENSION_MAX];
    uint64_t target_ct;         /* the first dimension; 1 for a scalar; example_ct for the mask */
    uint64_t values_per_target; /* product of the other dimensions */
    uint32_t element_bits;      /* of one value in the store: 1 for bool, 8 x bytes for text */
    uint32_t tile_targets; /* targets in one chunk of this column (the last tile may have fewer) */
};

/* How chunks are compressed. `AUTO` compresses a chunk with zstd where that saves at least a
 * quarter of it and leaves it raw (readable in place) otherwise; `ZSTD` keeps every compressed
 * chunk that is smaller than raw. */
enum dms_codec_kind { DMS_CODEC_NONE = 0, DMS_CODEC_ZSTD = 1, DMS_CODEC_AUTO = 2 };

struct dms_codec {
    enum dms_codec_kind kind;
    int level; /* of zstd, 1 .. 19; 1 unless asked */
};

struct dms_metadata {
    const char *key;
    const char *value;
};

/* A whole schema. Pointers belong to the object that the schema came from (a snapshot) or to the
 * caller (create). */
struct dms_schema {
    uint32_t version;    /* 1 at creation, one more for every change */
    uint64_t example_ct; /* d, the number of training examples */
    uint32_t chunk_rows; /* rows in a full group: a power of two, 64 .. 16,384 */
    struct dms_codec codec;
    size_t digest_bytes; /* 0: no dataset digest */
    uint8_t digest[DMS_DIGEST_BYTES];
    uint32_t next_column_id;
    uint32_t column_ct;
    struct dms_column *columns; /* column_ct of them, the mask and the model id first */
    uint32_t metadata_ct;
    struct dms_metadata *metadata;
};

/* Parses "NAME:SHAPE[:DTYPE]" (e.g. "test_logits:10000x10:f16"; f16 when no dtype is given) into
 * *column. dtypes: f16 f32 u8 bool. Errors: DMS_ERR_INVALID. */
DMS_API int dms_output_parse(const char *text, struct dms_column *column);

/* Parses "NAME:DTYPE" of a scalar into *column. dtypes: bool u8 f16 f32 f64 i32 u32 i64 u64 and sN
 * (text of up to N bytes, 1 <= N <= 255). Errors: DMS_ERR_INVALID. */
DMS_API int dms_scalar_parse(const char *text, struct dms_column *column);

/* Parses "none", "auto", "zstd" or "zstd:LEVEL". Errors: DMS_ERR_INVALID. */
DMS_API int dms_codec_parse(const char *text, struct dms_codec *codec);

/* The name of a dtype as dms_output_parse reads it ("text" for DMS_TEXT), static. */
DMS_API const char *dms_dtype_name(enum dms_dtype dtype);

/* Bytes of one value in memory: 1 for bool, element_bits / 8 otherwise. */
DMS_API size_t dms_column_value_bytes(const struct dms_column *column);

/* Values of one row of the column in memory: target_ct x values_per_target. */
DMS_API uint64_t dms_column_value_ct(const struct dms_column *column);

/* Bytes of `target_ct` targets of one row in the store: packed bits for bool, whole bytes at the
 * end of a row. */
DMS_API uint64_t dms_column_packed_bytes(const struct dms_column *column, uint64_t target_ct);

/* Tiles (chunks of one group) of the column: ceil(target_ct / tile_targets). */
DMS_API uint32_t dms_column_tile_ct(const struct dms_column *column);

/* Position of the column called `name`, or DMS_ERR_NOT_FOUND with a message that lists the columns
 * there are. */
DMS_API int dms_schema_find(const struct dms_schema *schema, const char *name, uint32_t *column);

DMS_END_DECLS

#endif
