/*
 * The rules of a schema: what makes one valid, how a caller's request becomes the schema of a new
 * store, how a column is added, and when two stores hold the same kind of rows. Every schema that
 * is written or read passes dms_schema_validate, so that sizes computed from a schema anywhere else
 * cannot overflow.
 */
#include "format/schema.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/layout.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Wanted sizes: of the mask chunk of a full group, and of a tile of an output column. */
static const uint64_t mask_group_bytes = UINT64_C(8) << 20;
static const uint64_t tile_bytes = UINT64_C(1) << 20;
/* From this size on a tile has fewer targets than TILE_TARGETS_MIN. */
static const uint64_t tile_bytes_max = UINT64_C(64) << 20;

enum { TILE_TARGETS_MIN = 64, TILE_TARGETS_MAX = 1024 };

/* ---- sizes of a column ---- */

size_t dms_column_value_bytes(const struct dms_column *column)
{
    return column->dtype == DMS_BOOL ? 1 : column->element_bits / 8;
}

uint64_t dms_column_value_ct(const struct dms_column *column)
{
    return column->target_ct * column->values_per_target;
}

uint64_t dms_column_packed_bytes(const struct dms_column *column, uint64_t target_ct)
{
    uint64_t bits = target_ct * column->values_per_target * column->element_bits;

    return bits / 8 + (bits % 8 != 0);
}

uint32_t dms_column_tile_ct(const struct dms_column *column)
{
    return (uint32_t)((column->target_ct + column->tile_targets - 1) / column->tile_targets);
}

int dms_column_derive(struct dms_column *column)
{
    uint64_t bits;

    if (column->dtype != DMS_TEXT)
        column->element_bits = dms_dtype_bits(column->dtype);
    column->target_ct = column->dimension_ct == 0 ? 1 : column->dimensions[0];
    column->values_per_target = 1;
    for (uint32_t i = 0; i < column->dimension_ct; i++) {
        uint64_t *product = &column->values_per_target;

        if (column->dimensions[i] == 0)
            return dms_fail(DMS_ERR_INVALID, "column %s: dimension %" PRIu32 " is 0", column->name,
                            i + 1);
        if (i > 0 && __builtin_mul_overflow(*product, column->dimensions[i], product))
            return dms_fail(DMS_ERR_INVALID, "column %s: its shape overflows", column->name);
    }
    if (column->target_ct > UINT32_MAX)
        return dms_fail(DMS_ERR_INVALID,
                        "column %s: %" PRIu64 " targets are too many (at most %" PRIu32 ")",
                        column->name, column->target_ct, UINT32_MAX);
    if (__builtin_mul_overflow(column->target_ct, column->values_per_target, &bits) ||
        __builtin_mul_overflow(bits, (uint64_t)column->element_bits, &bits) ||
        bits / 8 > DMS_ROW_BYTES_MAX)
        return dms_fail(DMS_ERR_INVALID,
                        "column %s: a row of it is too large (at most %" PRIu64 " bytes)",
                        column->name, DMS_ROW_BYTES_MAX);
    return DMS_OK;
}

/* ---- validation ---- */

static bool name_is_valid(const char *name)
{
    size_t length = strnlen(name, DMS_NAME_BYTES);

    if (length == 0 || length == DMS_NAME_BYTES)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool other = (c >= '0' && c <= '9') || c == '-' || c == '.';

        if (!letter && !(other && i > 0))
            return false;
    }
    return true;
}

int dms_column_name_check(const char *name)
{
    if (name_is_valid(name))
        return DMS_OK;
    return dms_fail(DMS_ERR_INVALID,
                    "'%.*s' is no column name: use at most %d letters, digits, '_', '-' and '.', "
                    "and begin with a letter or '_'",
                    DMS_NAME_BYTES, name, DMS_NAME_BYTES - 1);
}

/* Whether a text is UTF-8: continuation bytes as they must be, no overlong form, no surrogate. */
static bool utf8_is_valid(const char *text)
{
    const uint8_t *byte = (const uint8_t *)text;

    while (*byte != 0) {
        uint32_t code = *byte++;
        int more = code < 0x80       ? 0
                   : code >> 5 == 6  ? 1
                   : code >> 4 == 14 ? 2
                   : code >> 3 == 30 ? 3
                                     : -1;
        static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};

        if (more < 0)
            return false;
        code &= more == 0 ? 0x7f : 0x3fu >> more;
        for (int i = 0; i < more; i++) {
            if (*byte >> 6 != 2)
                return false;
            code = code << 6 | (*byte++ & 0x3f);
        }
        if (code < smallest[more] || code > 0x10ffff || code >> 11 == 0x1b)
            return false;
    }
    return true;
}

static int check_dtype(const struct dms_column *column)
{
    bool output_dtype = column->dtype == DMS_BOOL || column->dtype == DMS_U8 ||
                        column->dtype == DMS_F16 || column->dtype == DMS_F32;

    if (column->dtype < DMS_BOOL || column->dtype > DMS_TEXT)
        return dms_fail(DMS_ERR_INVALID, "column %s: unknown dtype %d", column->name,
                        (int)column->dtype);
    if (column->kind == DMS_COLUMN_OUTPUT && !output_dtype)
        return dms_fail(DMS_ERR_INVALID,
                        "column %s: an output cannot be %s (choose f16, f32, u8 or bool)",
                        column->name, dms_dtype_name(column->dtype));
    if (column->dtype == DMS_TEXT && (column->element_bits % 8 != 0 || column->element_bits < 8 ||
                                      column->element_bits > 255 * 8))
        return dms_fail(DMS_ERR_INVALID,
                        "column %s: a text has 1 to 255 bytes, not %" PRIu32 " bits", column->name,
                        column->element_bits);
    return DMS_OK;
}

/* Checks an output or scalar column on its own, without its id and its tiles, which are not the
 * caller's to choose. */
static int check_value_column(const struct dms_column *column)
{
    struct dms_column derived = *column;
    int result = dms_column_name_check(column->name);

    if (result < 0)
        return result;
    if (column->kind != DMS_COLUMN_OUTPUT && column->kind != DMS_COLUMN_SCALAR)
        return dms_fail(DMS_ERR_INVALID,
                        "column %s: is of kind %d, but must be an output or a scalar", column->name,
                        (int)column->kind);
    if (column->dimension_ct > DMS_DIMENSION_MAX ||
        (column->kind == DMS_COLUMN_SCALAR) != (column->dimension_ct == 0))
        return dms_fail(DMS_ERR_INVALID,
                        "column %s: has %" PRIu32
                        " dimensions (an output has 1 to %d, a scalar none)",
                        column->name, column->dimension_ct, DMS_DIMENSION_MAX);
    result = check_dtype(column);
    if (result < 0)
        return result;
    result = dms_column_derive(&derived);
    if (result < 0)
        return result;
    if (derived.target_ct != column->target_ct ||
        derived.values_per_target != column->values_per_target ||
        derived.element_bits != column->element_bits)
        return dms_fail(DMS_ERR_INVALID,
                        "column %s: target_ct, values_per_target or element_bits contradict its "
                        "shape and dtype",
                        column->name);
    return DMS_OK;
}

/* Whether a column that the store makes by itself is as it has to be. */
static int check_fixed_column(const struct dms_schema *schema, uint32_t position)
{
    const struct dms_column *column = &schema->columns[position];
    bool mask = position == DMS_SCHEMA_MASK_COLUMN;
    uint64_t target_ct = mask ? schema->example_ct : 1;

    if (column->id != position || column->kind != (mask ? DMS_COLUMN_MASK : DMS_COLUMN_ID) ||
        column->dtype != (mask ? DMS_BOOL : DMS_U64) || column->element_bits != (mask ? 1 : 64) ||
        strcmp(column->name, mask ? "mask" : "id") != 0 || column->dimension_ct != (mask ? 1 : 0) ||
        (mask && column->dimensions[0] != schema->example_ct) || column->target_ct != target_ct ||
        column->values_per_target != 1 || column->tile_targets != target_ct)
        return dms_fail(DMS_ERR_INVALID, "column %" PRIu32 " is not the %s column", position,
                        mask ? "mask" : "model id");
    return DMS_OK;
}

/* Holds the chunks of a full group against the largest that are read and written in one piece. */
static int check_chunk_size(const struct dms_schema *schema, const struct dms_column *column)
{
    uint64_t row_bytes = dms_column_packed_bytes(column, column->tile_targets);

    if (schema->chunk_rows * row_bytes > DMS_CHUNK_BYTES_MAX)
        return dms_fail(DMS_ERR_INVALID,
                        "column %s: a chunk of %" PRIu32 " rows of %" PRIu64
                        " bytes is too large (at most %" PRIu64
                        " bytes): choose fewer rows a chunk or a smaller shape",
                        column->name, schema->chunk_rows, row_bytes, DMS_CHUNK_BYTES_MAX);
    return DMS_OK;
}

/* Whether one of the columns before `position` has this name. */
static bool name_is_taken(const struct dms_schema *schema, const char *name, uint32_t position)
{
    for (uint32_t i = 0; i < position; i++) {
        if (strcmp(schema->columns[i].name, name) == 0)
            return true;
    }
    return false;
}

static int check_columns(const struct dms_schema *schema)
{
    uint64_t row_bytes = DMS_ROW_FIXED_BYTES + dms_align((schema->column_ct + 5) / 8, 8);

    for (uint32_t i = 0; i < schema->column_ct; i++) {
        const struct dms_column *column = &schema->columns[i];
        bool fixed = i < DMS_SCHEMA_FIRST_VALUE_COLUMN;
        int result = fixed ? check_fixed_column(schema, i) : check_value_column(column);

        if (result < 0)
            return result;
        if (name_is_taken(schema, column->name, i))
            return dms_fail(DMS_ERR_INVALID, "two columns are called %s", column->name);
        if (i > 0 && column->id <= schema->columns[i - 1].id)
            return dms_fail(DMS_ERR_INVALID,
                            "column %s: id %" PRIu32 " is not above that of the column before",
                            column->name, column->id);
        if (column->tile_targets == 0 || column->tile_targets > column->target_ct)
            return dms_fail(DMS_ERR_INVALID,
                            "column %s: %" PRIu32 " targets a tile of %" PRIu64 " targets",
                            column->name, column->tile_targets, column->target_ct);
        result = check_chunk_size(schema, column);
        if (result < 0)
            return result;
        if (column->kind != DMS_COLUMN_ID)
            row_bytes += dms_align(dms_column_packed_bytes(column, column->target_ct), 8);
    }
    if (row_bytes > DMS_ROW_BYTES_MAX)
        return dms_fail(DMS_ERR_INVALID,
                        "a row of all columns has %" PRIu64
                        " bytes, which is too large (at most %" PRIu64 ")",
                        row_bytes, DMS_ROW_BYTES_MAX);
    if (schema->next_column_id <= schema->columns[schema->column_ct - 1].id)
        return dms_fail(DMS_ERR_INVALID, "next column id %" PRIu32 " is taken",
                        schema->next_column_id);
    return DMS_OK;
}

static int check_metadata(const struct dms_schema *schema)
{
    for (uint32_t i = 0; i < schema->metadata_ct; i++) {
        const struct dms_metadata *pair = &schema->metadata[i];
        size_t key_bytes = strlen(pair->key);
        size_t value_bytes = strlen(pair->value);

        if (key_bytes == 0 || key_bytes > DMS_METADATA_KEY_BYTES_MAX)
            return dms_fail(DMS_ERR_INVALID, "a metadata key has 1 to %d bytes, not %zu",
                            DMS_METADATA_KEY_BYTES_MAX, key_bytes);
        if (value_bytes > DMS_METADATA_VALUE_BYTES_MAX)
            return dms_fail(DMS_ERR_INVALID, "metadata %s: the value has %zu bytes (at most %d)",
                            pair->key, value_bytes, DMS_METADATA_VALUE_BYTES_MAX);
        if (!utf8_is_valid(pair->key) || !utf8_is_valid(pair->value))
            return dms_fail(DMS_ERR_INVALID, "metadata pair %" PRIu32 " is not UTF-8", i + 1);
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(schema->metadata[k].key, pair->key) == 0)
                return dms_fail(DMS_ERR_INVALID, "metadata %s is given twice", pair->key);
        }
    }
    return DMS_OK;
}

static int check_codec(const struct dms_codec *codec)
{
    if (codec->kind != DMS_CODEC_NONE && codec->kind != DMS_CODEC_ZSTD &&
        codec->kind != DMS_CODEC_AUTO)
        return dms_fail(DMS_ERR_INVALID, "unknown codec %d", (int)codec->kind);
    if (codec->level < (codec->kind == DMS_CODEC_NONE ? 0 : 1) || codec->level > DMS_ZSTD_LEVEL_MAX)
        return dms_fail(DMS_ERR_INVALID, "zstd level %d is not in 1 .. %d", codec->level,
                        DMS_ZSTD_LEVEL_MAX);
    return DMS_OK;
}

/* What has to hold before memory is taken for a schema. */
static int check_counts(const struct dms_schema *schema)
{
    if (schema->example_ct < 1 || schema->example_ct > DMS_EXAMPLE_CT_MAX)
        return dms_fail(DMS_ERR_INVALID, "%" PRIu64 " training examples: a store has 1 to %" PRIu32,
                        schema->example_ct, DMS_EXAMPLE_CT_MAX);
    if (schema->digest_bytes > DMS_DIGEST_BYTES)
        return dms_fail(DMS_ERR_INVALID, "the dataset digest has %zu bytes (at most %d)",
                        schema->digest_bytes, DMS_DIGEST_BYTES);
    if (schema->column_ct > DMS_COLUMN_MAX)
        return dms_fail(DMS_ERR_INVALID, "%" PRIu32 " columns are too many (at most %d)",
                        schema->column_ct, DMS_COLUMN_MAX);
    if (schema->metadata_ct > DMS_METADATA_MAX)
        return dms_fail(DMS_ERR_INVALID, "%" PRIu32 " metadata pairs are too many (at most %d)",
                        schema->metadata_ct, DMS_METADATA_MAX);
    return DMS_OK;
}

int dms_schema_validate(const struct dms_schema *schema)
{
    int result = check_counts(schema);

    if (result < 0)
        return result;
    if (schema->version == 0)
        return dms_fail(DMS_ERR_INVALID, "schema version 0");
    if (schema->chunk_rows < DMS_GROUP_ROWS_MIN || schema->chunk_rows > DMS_GROUP_ROWS_MAX ||
        (schema->chunk_rows & (schema->chunk_rows - 1)) != 0)
        return dms_fail(DMS_ERR_INVALID,
                        "%" PRIu32 " rows a chunk: choose a power of two in %d .. %d",
                        schema->chunk_rows, DMS_GROUP_ROWS_MIN, DMS_GROUP_ROWS_MAX);
    if (schema->column_ct < DMS_SCHEMA_FIRST_VALUE_COLUMN)
        return dms_fail(DMS_ERR_INVALID, "the mask and model id columns are missing");
    result = check_codec(&schema->codec);
    if (result < 0)
        return result;
    result = check_columns(schema);
    if (result < 0)
        return result;
    return check_metadata(schema);
}

/* ---- making and changing ---- */

struct dms_schema *dms_schema_create(size_t column_ct, size_t metadata_ct, size_t text_bytes,
                                     char **text)
{
    size_t metadata_offset = sizeof(struct dms_schema) + metadata_ct * sizeof(struct dms_metadata);
    struct dms_schema *schema;
    char *block;

    /* Structures first, then columns, then text: every part is aligned. The counts were checked by
     * the callers. */
    block = dms_alloc(1, metadata_offset + column_ct * sizeof(struct dms_column) + text_bytes);
    if (block == NULL)
        return NULL;
    schema = (struct dms_schema *)block;
    schema->metadata = (struct dms_metadata *)(block + sizeof(struct dms_schema));
    schema->columns = (struct dms_column *)(block + metadata_offset);
    *text = block + metadata_offset + column_ct * sizeof(struct dms_column);
    schema->column_ct = (uint32_t)column_ct;
    schema->metadata_ct = (uint32_t)metadata_ct;
    return schema;
}

void dms_schema_free(struct dms_schema *schema)
{
    free(schema);
}

/* Copies a text to *room, moves *room behind it, and returns the copy. */
static const char *place_text(const char *text, char **room)
{
    size_t bytes = strlen(text) + 1;
    char *copy = *room;

    memcpy(copy, text, bytes);
    *room += bytes;
    return copy;
}

/* A copy of everything but the columns, of which there is room for column_ct, all zero. */
static struct dms_schema *copy_without_columns(const struct dms_schema *original, size_t column_ct)
{
    size_t text_bytes = 0;
    struct dms_schema *copy;
    char *text;

    for (uint32_t i = 0; i < original->metadata_ct; i++)
        text_bytes += strlen(original->metadata[i].key) + strlen(original->metadata[i].value) + 2;
    copy = dms_schema_create(column_ct, original->metadata_ct, text_bytes, &text);
    if (copy == NULL)
        return NULL;
    copy->version = original->version;
    copy->example_ct = original->example_ct;
    copy->chunk_rows = original->chunk_rows;
    copy->codec = original->codec;
    copy->digest_bytes = original->digest_bytes;
    memcpy(copy->digest, original->digest, original->digest_bytes);
    copy->next_column_id = original->next_column_id;
    for (uint32_t i = 0; i < original->metadata_ct; i++) {
        copy->metadata[i].key = place_text(original->metadata[i].key, &text);
        copy->metadata[i].value = place_text(original->metadata[i].value, &text);
    }
    return copy;
}

int dms_schema_copy(const struct dms_schema *original, struct dms_schema **schema)
{
    struct dms_schema *copy = copy_without_columns(original, original->column_ct);

    if (copy == NULL)
        return DMS_ERR_NO_MEMORY;
    memcpy(copy->columns, original->columns, original->column_ct * sizeof(*copy->columns));
    *schema = copy;
    return DMS_OK;
}

static uint32_t choose_chunk_rows(uint64_t example_ct)
{
    uint64_t mask_bytes = (example_ct + 7) / 8;
    uint32_t rows = DMS_GROUP_ROWS_MAX;

    while (rows > DMS_GROUP_ROWS_MIN && rows * mask_bytes > mask_group_bytes)
        rows /= 2;
    return rows;
}

/* Targets of a tile: a power of two, so that tiles of columns of different shapes begin at the same
 * targets. */
static uint32_t choose_tile_targets(const struct dms_column *column, uint32_t chunk_rows)
{
    uint32_t targets = TILE_TARGETS_MAX;

    while (targets > TILE_TARGETS_MIN &&
           chunk_rows * dms_column_packed_bytes(column, targets) > tile_bytes)
        targets /= 2;
    while (targets > 1 && chunk_rows * dms_column_packed_bytes(column, targets) > tile_bytes_max)
        targets /= 2;
    return column->target_ct < targets ? (uint32_t)column->target_ct : targets;
}

/* Takes an output or scalar column of the caller in at `position`. */
static int place_column(struct dms_schema *schema, uint32_t position,
                        const struct dms_column *request)
{
    struct dms_column *column = &schema->columns[position];
    int result = check_value_column(request);

    if (result < 0)
        return result;
    if (name_is_taken(schema, request->name, position))
        return dms_fail(DMS_ERR_EXISTS, "column %s is there already: choose another name",
                        request->name);
    *column = (struct dms_column){
        .id = schema->next_column_id++,
        .kind = request->kind,
        .dtype = request->dtype,
        .dimension_ct = request->dimension_ct,
        .target_ct = request->target_ct,
        .values_per_target = request->values_per_target,
        .element_bits = request->element_bits,
    };
    memcpy(column->name, request->name, strlen(request->name));
    memcpy(column->dimensions, request->dimensions,
           request->dimension_ct * sizeof(*request->dimensions));
    column->tile_targets = choose_tile_targets(column, schema->chunk_rows);
    return DMS_OK;
}

static void place_fixed_columns(struct dms_schema *schema)
{
    schema->columns[DMS_SCHEMA_MASK_COLUMN] = (struct dms_column){
        .id = DMS_SCHEMA_MASK_COLUMN,
        .kind = DMS_COLUMN_MASK,
        .dtype = DMS_BOOL,
        .name = "mask",
        .dimension_ct = 1,
        .dimensions = {schema->example_ct},
        .target_ct = schema->example_ct,
        .values_per_target = 1,
        .element_bits = 1,
        .tile_targets = (uint32_t)schema->example_ct,
    };
    schema->columns[DMS_SCHEMA_ID_COLUMN] = (struct dms_column){
        .id = DMS_SCHEMA_ID_COLUMN,
        .kind = DMS_COLUMN_ID,
        .dtype = DMS_U64,
        .name = "id",
        .target_ct = 1,
        .values_per_target = 1,
        .element_bits = 64,
        .tile_targets = 1,
    };
}

static bool is_value_column(const struct dms_column *column)
{
    return column->kind != DMS_COLUMN_MASK && column->kind != DMS_COLUMN_ID;
}

int dms_schema_prepare(const struct dms_schema *request, struct dms_schema **schema)
{
    struct dms_schema *prepared = NULL;
    uint32_t position = DMS_SCHEMA_FIRST_VALUE_COLUMN;
    uint32_t column_ct = position;
    int result = check_counts(request);

    if (result < 0)
        return result;
    for (uint32_t i = 0; i < request->column_ct; i++)
        column_ct += is_value_column(&request->columns[i]);
    prepared = copy_without_columns(request, column_ct);
    if (prepared == NULL)
        return DMS_ERR_NO_MEMORY;
    prepared->version = 1;
    prepared->next_column_id = DMS_SCHEMA_FIRST_VALUE_COLUMN;
    if (prepared->chunk_rows == 0)
        prepared->chunk_rows = choose_chunk_rows(prepared->example_ct);
    if (prepared->codec.kind != DMS_CODEC_NONE && prepared->codec.level == 0)
        prepared->codec.level = 1;
    place_fixed_columns(prepared);
    for (uint32_t i = 0; i < request->column_ct && result == 0; i++) {
        if (is_value_column(&request->columns[i]))
            result = place_column(prepared, position++, &request->columns[i]);
    }
    if (result == 0)
        result = check_counts(prepared);
    if (result == 0)
        result = dms_schema_validate(prepared);
    if (result < 0) {
        dms_schema_free(prepared);
        return result;
    }
    *schema = prepared;
    return DMS_OK;
}

int dms_schema_add_column(const struct dms_schema *original, const struct dms_column *column,
                          struct dms_schema **schema)
{
    struct dms_schema *changed;
    int result;

    if (original->column_ct >= DMS_COLUMN_MAX || original->next_column_id == UINT32_MAX ||
        original->version == UINT32_MAX)
        return dms_fail(DMS_ERR_INVALID,
                        "column %s: the store cannot take another column (at most %d)",
                        column->name, DMS_COLUMN_MAX);
    changed = copy_without_columns(original, original->column_ct + 1);
    if (changed == NULL)
        return DMS_ERR_NO_MEMORY;
    memcpy(changed->columns, original->columns, original->column_ct * sizeof(*changed->columns));
    changed->version++;
    result = place_column(changed, original->column_ct, column);
    if (result == 0)
        result = dms_schema_validate(changed);
    if (result < 0) {
        dms_schema_free(changed);
        return result;
    }
    *schema = changed;
    return DMS_OK;
}

/* ---- comparing and finding ---- */

static const struct dms_column *find_column(const struct dms_schema *schema, const char *name)
{
    for (uint32_t i = 0; i < schema->column_ct; i++) {
        if (strcmp(schema->columns[i].name, name) == 0)
            return &schema->columns[i];
    }
    return NULL;
}

/* Whether every column of `schema` is in `other`, with the same type; `other_name` is what a
 * message calls `other`. */
static int check_columns_of(const struct dms_schema *schema, const struct dms_schema *other,
                            const char *other_name)
{
    for (uint32_t i = 0; i < schema->column_ct; i++) {
        const struct dms_column *column = &schema->columns[i];
        const struct dms_column *match = find_column(other, column->name);

        if (match == NULL)
            return dms_fail(DMS_ERR_INVALID, "column %s is not in the %s", column->name,
                            other_name);
        if (match->kind != column->kind || match->dtype != column->dtype ||
            match->element_bits != column->element_bits)
            return dms_fail(
                DMS_ERR_INVALID,
                "column %s: the dtypes differ (%s and %s, %" PRIu32 " and %" PRIu32 " bits)",
                column->name, dms_dtype_name(column->dtype), dms_dtype_name(match->dtype),
                column->element_bits, match->element_bits);
        if (match->dimension_ct != column->dimension_ct ||
            memcmp(match->dimensions, column->dimensions, sizeof(column->dimensions)) != 0)
            return dms_fail(DMS_ERR_INVALID, "column %s: the shapes differ", column->name);
    }
    return DMS_OK;
}

int dms_schema_check_mergeable(const struct dms_schema *destination,
                               const struct dms_schema *source)
{
    int result;

    if (destination->example_ct != source->example_ct)
        return dms_fail(DMS_ERR_INVALID,
                        "the numbers of training examples differ: %" PRIu64
                        " in the destination, %" PRIu64 " in the source",
                        destination->example_ct, source->example_ct);
    if (destination->digest_bytes != source->digest_bytes ||
        memcmp(destination->digest, source->digest, source->digest_bytes) != 0)
        return dms_fail(
            DMS_ERR_INVALID,
            "the dataset digests differ%s: the stores are about different training sets",
            destination->digest_bytes == 0 ? " (the destination has none)"
            : source->digest_bytes == 0    ? " (the source has none)"
                                           : "");
    result = check_columns_of(destination, source, "source");
    if (result < 0)
        return result;
    return check_columns_of(source, destination, "destination");
}

int dms_schema_find(const struct dms_schema *schema, const char *name, uint32_t *column)
{
    const struct dms_column *match = find_column(schema, name);
    struct dms_buffer names = {0};
    int result = DMS_OK;

    if (match != NULL) {
        *column = (uint32_t)(match - schema->columns);
        return DMS_OK;
    }
    for (uint32_t i = 0; i < schema->column_ct && result == 0; i++) {
        result = dms_buffer_append(&names, " ", 1);
        if (result == 0)
            result =
                dms_buffer_append(&names, schema->columns[i].name, strlen(schema->columns[i].name));
    }
    if (result == 0)
        result = dms_fail(DMS_ERR_NOT_FOUND, "there is no column '%s'; the columns are:%.*s", name,
                          (int)names.size, (const char *)names.data);
    dms_buffer_free(&names);
    return result;
}
