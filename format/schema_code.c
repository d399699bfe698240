/*
 * Schemas as bytes (SPEC.md section 3): the encoder, and a decoder that trusts nothing - every
 * length is held against the bytes that are left before it is used, padding must be zero, and the
 * result passes dms_schema_validate.
 */
#include "format/schema.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "base/error.h"
#include "format/layout.h"

#include <inttypes.h>
#include <string.h>

enum { SCHEMA_FIXED_BYTES = 40, COLUMN_FIXED_BYTES = 16, METADATA_FIXED_BYTES = 8 };

/* ---- encoding ---- */

static int encode_column(const struct dms_column *column, struct dms_buffer *buffer)
{
    uint8_t fixed[COLUMN_FIXED_BYTES + 8 * DMS_DIMENSION_MAX];
    size_t name_bytes = strlen(column->name);
    int result;

    dms_store_u32(fixed, column->id);
    fixed[4] = (uint8_t)column->kind;
    fixed[5] = (uint8_t)column->dtype;
    fixed[6] = (uint8_t)column->dimension_ct;
    fixed[7] = (uint8_t)name_bytes;
    dms_store_u32(fixed + 8, column->tile_targets);
    dms_store_u32(fixed + 12, column->element_bits);
    for (uint32_t i = 0; i < column->dimension_ct; i++)
        dms_store_u64(fixed + COLUMN_FIXED_BYTES + 8 * i, column->dimensions[i]);
    result =
        dms_buffer_append(buffer, fixed, COLUMN_FIXED_BYTES + 8 * (size_t)column->dimension_ct);
    if (result == 0)
        result = dms_buffer_append(buffer, column->name, name_bytes);
    if (result == 0)
        result = dms_buffer_append_zeros(buffer, dms_align(name_bytes, 8) - name_bytes);
    return result;
}

static int encode_metadata(const struct dms_metadata *pair, struct dms_buffer *buffer)
{
    uint8_t fixed[METADATA_FIXED_BYTES];
    size_t key_bytes = strlen(pair->key);
    size_t value_bytes = strlen(pair->value);
    size_t text_bytes = key_bytes + value_bytes;
    int result;

    dms_store_u32(fixed, (uint32_t)key_bytes);
    dms_store_u32(fixed + 4, (uint32_t)value_bytes);
    result = dms_buffer_append(buffer, fixed, sizeof(fixed));
    if (result == 0)
        result = dms_buffer_append(buffer, pair->key, key_bytes);
    if (result == 0)
        result = dms_buffer_append(buffer, pair->value, value_bytes);
    if (result == 0)
        result = dms_buffer_append_zeros(buffer, dms_align(text_bytes, 8) - text_bytes);
    return result;
}

int dms_schema_encode(const struct dms_schema *schema, struct dms_buffer *buffer)
{
    uint8_t fixed[SCHEMA_FIXED_BYTES] = {0};
    int result;

    dms_store_u32(fixed, schema->version);
    dms_store_u32(fixed + 4, schema->column_ct);
    dms_store_u64(fixed + 8, schema->example_ct);
    dms_store_u32(fixed + 16, schema->chunk_rows);
    fixed[20] = (uint8_t)schema->codec.kind;
    fixed[21] = (uint8_t)schema->codec.level;
    dms_store_u32(fixed + 24, (uint32_t)schema->digest_bytes);
    dms_store_u32(fixed + 28, schema->metadata_ct);
    dms_store_u32(fixed + 32, schema->next_column_id);
    result = dms_buffer_append(buffer, fixed, sizeof(fixed));
    if (result == 0)
        result = dms_buffer_append(buffer, schema->digest, schema->digest_bytes);
    if (result == 0)
        result = dms_buffer_append_zeros(buffer,
                                         dms_align(schema->digest_bytes, 8) - schema->digest_bytes);
    for (uint32_t i = 0; i < schema->column_ct && result == 0; i++)
        result = encode_column(&schema->columns[i], buffer);
    for (uint32_t i = 0; i < schema->metadata_ct && result == 0; i++)
        result = encode_metadata(&schema->metadata[i], buffer);
    return result;
}

/* ---- decoding ---- */

/* What is left of the encoded bytes. */
struct remainder {
    const uint8_t *data;
    size_t bytes;
};

/* Takes `bytes` bytes off the front, with the zero bytes that pad them to a multiple of 8. NULL:
 * they are not there or the padding is not zero (CORRUPT). */
static const uint8_t *take(struct remainder *rest, size_t bytes, const char *what)
{
    const uint8_t *taken = rest->data;
    size_t padding = (8 - bytes % 8) % 8;

    if (bytes > rest->bytes || padding > rest->bytes - bytes) {
        dms_fail(DMS_ERR_CORRUPT, "schema: the %s is cut short", what);
        return NULL;
    }
    for (size_t i = 0; i < padding; i++) {
        if (taken[bytes + i] != 0) {
            dms_fail(DMS_ERR_CORRUPT, "schema: the bytes after the %s are not zero", what);
            return NULL;
        }
    }
    rest->data += bytes + padding;
    rest->bytes -= bytes + padding;
    return taken;
}

static int decode_column(struct remainder *rest, struct dms_column *column)
{
    const uint8_t *fixed = take(rest, COLUMN_FIXED_BYTES, "column list");
    const uint8_t *dimensions, *name;
    size_t name_bytes;

    if (fixed == NULL)
        return DMS_ERR_CORRUPT;
    name_bytes = fixed[7];
    if (fixed[6] > DMS_DIMENSION_MAX || name_bytes >= DMS_NAME_BYTES)
        return dms_fail(DMS_ERR_CORRUPT,
                        "schema: a column has %u dimensions and a name of %zu bytes", fixed[6],
                        name_bytes);
    *column = (struct dms_column){
        .id = dms_load_u32(fixed),
        .kind = (enum dms_column_kind)fixed[4],
        .dtype = (enum dms_dtype)fixed[5],
        .dimension_ct = fixed[6],
        .tile_targets = dms_load_u32(fixed + 8),
        .element_bits = dms_load_u32(fixed + 12),
    };
    dimensions = take(rest, 8 * (size_t)column->dimension_ct, "column list");
    if (dimensions == NULL)
        return DMS_ERR_CORRUPT;
    name = take(rest, name_bytes, "name of a column");
    if (name == NULL)
        return DMS_ERR_CORRUPT;
    for (uint32_t i = 0; i < column->dimension_ct; i++)
        column->dimensions[i] = dms_load_u64(dimensions + 8 * i);
    if (memchr(name, 0, name_bytes) != NULL)
        return dms_fail(DMS_ERR_CORRUPT, "schema: the name of a column has a zero byte in it");
    memcpy(column->name, name, name_bytes);
    if (column->dtype != DMS_TEXT && column->element_bits != dms_dtype_bits(column->dtype))
        return dms_fail(DMS_ERR_CORRUPT, "schema: a value of dtype %u has %" PRIu32 " bits",
                        fixed[5], column->element_bits);
    if (dms_column_derive(column) < 0)
        return dms_fail_prefix(DMS_ERR_CORRUPT, "schema");
    return DMS_OK;
}

/* Copies `bytes` bytes of text to *room, which moves behind its terminating zero. */
static const char *place_bytes(const uint8_t *text, size_t bytes, char **room)
{
    char *copy = *room;

    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    *room += bytes + 1;
    return copy;
}

static int decode_metadata(struct remainder *rest, struct dms_metadata *pair, char **room)
{
    const uint8_t *fixed = take(rest, METADATA_FIXED_BYTES, "metadata");
    const uint8_t *text;
    size_t key_bytes, value_bytes;

    if (fixed == NULL)
        return DMS_ERR_CORRUPT;
    key_bytes = dms_load_u32(fixed);
    value_bytes = dms_load_u32(fixed + 4);
    if (key_bytes > DMS_METADATA_KEY_BYTES_MAX || value_bytes > DMS_METADATA_VALUE_BYTES_MAX)
        return dms_fail(DMS_ERR_CORRUPT, "schema: a metadata key of %zu bytes with a value of %zu",
                        key_bytes, value_bytes);
    text = take(rest, key_bytes + value_bytes, "metadata");
    if (text == NULL)
        return DMS_ERR_CORRUPT;
    if (memchr(text, 0, key_bytes + value_bytes) != NULL)
        return dms_fail(DMS_ERR_CORRUPT, "schema: metadata have a zero byte in them");
    pair->key = place_bytes(text, key_bytes, room);
    pair->value = place_bytes(text + key_bytes, value_bytes, room);
    return DMS_OK;
}

/* The fixed part into a new schema with room for all that follows, which is no more than what is
 * left. */
static int decode_fixed(struct remainder *rest, struct dms_schema **schema, char **room)
{
    const uint8_t *fixed = take(rest, SCHEMA_FIXED_BYTES, "fixed part");
    const uint8_t *digest;
    uint32_t column_ct, metadata_ct;
    size_t digest_bytes;

    if (fixed == NULL)
        return DMS_ERR_CORRUPT;
    column_ct = dms_load_u32(fixed + 4);
    digest_bytes = dms_load_u32(fixed + 24);
    metadata_ct = dms_load_u32(fixed + 28);
    if (fixed[22] != 0 || fixed[23] != 0 || dms_load_u32(fixed + 36) != 0)
        return dms_fail(DMS_ERR_CORRUPT, "schema: reserved bytes are not zero");
    if (column_ct > DMS_COLUMN_MAX || metadata_ct > DMS_METADATA_MAX ||
        digest_bytes > DMS_DIGEST_BYTES)
        return dms_fail(DMS_ERR_CORRUPT,
                        "schema: %" PRIu32 " columns, %" PRIu32
                        " metadata pairs and a digest of %zu bytes are too many",
                        column_ct, metadata_ct, digest_bytes);
    digest = take(rest, digest_bytes, "dataset digest");
    if (digest == NULL)
        return DMS_ERR_CORRUPT;
    *schema =
        dms_schema_create(column_ct, metadata_ct, rest->bytes + 2 * (size_t)metadata_ct, room);
    if (*schema == NULL)
        return DMS_ERR_NO_MEMORY;
    (*schema)->version = dms_load_u32(fixed);
    (*schema)->example_ct = dms_load_u64(fixed + 8);
    (*schema)->chunk_rows = dms_load_u32(fixed + 16);
    (*schema)->codec =
        (struct dms_codec){.kind = (enum dms_codec_kind)fixed[20], .level = fixed[21]};
    (*schema)->next_column_id = dms_load_u32(fixed + 32);
    (*schema)->digest_bytes = digest_bytes;
    memcpy((*schema)->digest, digest, digest_bytes);
    return DMS_OK;
}

int dms_schema_decode(const uint8_t *data, size_t bytes, struct dms_schema **schema)
{
    struct remainder rest = {data, bytes};
    struct dms_schema *decoded = NULL;
    char *room = NULL;
    int result = decode_fixed(&rest, &decoded, &room);

    if (result < 0)
        return result;
    for (uint32_t i = 0; i < decoded->column_ct && result == 0; i++)
        result = decode_column(&rest, &decoded->columns[i]);
    for (uint32_t i = 0; i < decoded->metadata_ct && result == 0; i++)
        result = decode_metadata(&rest, &decoded->metadata[i], &room);
    if (result == 0 && rest.bytes != 0)
        result = dms_fail(DMS_ERR_CORRUPT, "schema: %zu bytes follow its end", rest.bytes);
    if (result == 0 && dms_schema_validate(decoded) < 0)
        result = dms_fail_prefix(DMS_ERR_CORRUPT, "schema");
    if (result < 0) {
        dms_schema_free(decoded);
        return result;
    }
    *schema = decoded;
    return DMS_OK;
}
