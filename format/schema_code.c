/*
 * Schemas as bytes (SPEC.md section 3): the encoder, and a decoder that trusts nothing - every
 * length is held against the bytes that are left before it is used, padding must be zero, and the
 * result passes dms_schema_validate.
 */
#include "format/schema.h"

#include "base/error.h"
#include "format/cursor.h"
#include "format/pairs.h"

#include <inttypes.h>
#include <string.h>

/* ---- encoding ---- */

static void encode_column(const struct dms_column *column, struct dms_encoder *encoder)
{
    size_t name_bytes = strlen(column->name);

    dms_encode_u32(encoder, column->id);
    dms_encode_u8(encoder, (uint8_t)column->kind);
    dms_encode_u8(encoder, (uint8_t)column->dtype);
    dms_encode_u8(encoder, (uint8_t)column->dimension_ct);
    dms_encode_u8(encoder, (uint8_t)name_bytes);
    dms_encode_u32(encoder, column->tile_targets);
    dms_encode_u32(encoder, column->element_bits);
    for (uint32_t i = 0; i < column->dimension_ct; i++)
        dms_encode_u64(encoder, column->dimensions[i]);
    dms_encode_padded(encoder, column->name, name_bytes);
}

int dms_schema_encode(const struct dms_schema *schema, struct dms_buffer *buffer)
{
    struct dms_encoder encoder = dms_encoder_begin(buffer);

    dms_encode_u32(&encoder, schema->version);
    dms_encode_u32(&encoder, schema->column_ct);
    dms_encode_u64(&encoder, schema->example_ct);
    dms_encode_u32(&encoder, schema->chunk_rows);
    dms_encode_u8(&encoder, (uint8_t)schema->codec.kind);
    dms_encode_u8(&encoder, (uint8_t)schema->codec.level);
    dms_encode_pad(&encoder);
    dms_encode_u32(&encoder, (uint32_t)schema->digest_bytes);
    dms_encode_u32(&encoder, schema->metadata_ct);
    dms_encode_u32(&encoder, schema->next_column_id);
    dms_encode_u32(&encoder, 0);
    dms_encode_padded(&encoder, schema->digest, schema->digest_bytes);
    for (uint32_t i = 0; i < schema->column_ct; i++)
        encode_column(&schema->columns[i], &encoder);
    for (uint32_t i = 0; i < schema->metadata_ct; i++)
        dms_pair_encode(&encoder, &schema->metadata[i]);
    return encoder.status;
}

/* ---- decoding ---- */

static int fail_cut(void)
{
    return dms_fail(DMS_ERR_CORRUPT, "schema: cut short, or padded with other bytes than zero");
}

static int decode_column(struct dms_cursor *cursor, struct dms_column *column)
{
    uint32_t id = dms_cursor_u32(cursor);
    uint8_t kind = dms_cursor_u8(cursor);
    uint8_t dtype = dms_cursor_u8(cursor);
    uint8_t dimension_ct = dms_cursor_u8(cursor);
    uint8_t name_bytes = dms_cursor_u8(cursor);
    uint32_t tile_targets = dms_cursor_u32(cursor);
    uint32_t element_bits = dms_cursor_u32(cursor);
    const uint8_t *name;

    if (dimension_ct > DMS_DIMENSION_MAX || name_bytes >= DMS_NAME_BYTES)
        return dms_fail(DMS_ERR_CORRUPT,
                        "schema: a column has %u dimensions and a name of %u bytes", dimension_ct,
                        name_bytes);
    *column = (struct dms_column){
        .id = id,
        .kind = (enum dms_column_kind)kind,
        .dtype = (enum dms_dtype)dtype,
        .dimension_ct = dimension_ct,
        .element_bits = element_bits,
        .tile_targets = tile_targets,
    };
    for (uint32_t i = 0; i < dimension_ct; i++)
        column->dimensions[i] = dms_cursor_u64(cursor);
    name = dms_cursor_padded(cursor, name_bytes);
    if (name == NULL)
        return fail_cut();
    if (memchr(name, 0, name_bytes) != NULL)
        return dms_fail(DMS_ERR_CORRUPT, "schema: the name of a column has a zero byte in it");
    memcpy(column->name, name, name_bytes);
    if (dms_column_derive(column) < 0)
        return dms_fail_prefix(DMS_ERR_CORRUPT, "schema");
    if (column->element_bits != element_bits)
        return dms_fail(DMS_ERR_CORRUPT,
                        "schema: column %s of dtype %s has %" PRIu32 " bits a value", column->name,
                        dms_dtype_name(column->dtype), element_bits);
    return DMS_OK;
}

static int decode_metadata(struct dms_cursor *cursor, struct dms_metadata *pair, char **room)
{
    size_t key_bytes = dms_cursor_u32(cursor);
    size_t value_bytes = dms_cursor_u32(cursor);
    const uint8_t *text;

    if (key_bytes > DMS_METADATA_KEY_BYTES_MAX || value_bytes > DMS_METADATA_VALUE_BYTES_MAX)
        return dms_fail(DMS_ERR_CORRUPT, "schema: a metadata key of %zu bytes with a value of %zu",
                        key_bytes, value_bytes);
    text = dms_cursor_padded(cursor, key_bytes + value_bytes);
    if (text == NULL)
        return fail_cut();
    if (memchr(text, 0, key_bytes + value_bytes) != NULL)
        return dms_fail(DMS_ERR_CORRUPT, "schema: metadata have a zero byte in them");
    pair->key = dms_text_place(text, key_bytes, room);
    pair->value = dms_text_place(text + key_bytes, value_bytes, room);
    return DMS_OK;
}

/* The fixed part and the digest into a new schema; *room is its room for text, as large as all that
 * follows. */
static int decode_fixed(struct dms_cursor *cursor, struct dms_schema **schema, char **room)
{
    struct dms_schema fixed = {0};
    uint32_t reserved;
    const uint8_t *digest;

    fixed.version = dms_cursor_u32(cursor);
    fixed.column_ct = dms_cursor_u32(cursor);
    fixed.example_ct = dms_cursor_u64(cursor);
    fixed.chunk_rows = dms_cursor_u32(cursor);
    fixed.codec.kind = (enum dms_codec_kind)dms_cursor_u8(cursor);
    fixed.codec.level = dms_cursor_u8(cursor);
    dms_cursor_pad(cursor);
    fixed.digest_bytes = dms_cursor_u32(cursor);
    fixed.metadata_ct = dms_cursor_u32(cursor);
    fixed.next_column_id = dms_cursor_u32(cursor);
    reserved = dms_cursor_u32(cursor);
    if (fixed.column_ct > DMS_COLUMN_MAX || fixed.metadata_ct > DMS_METADATA_MAX ||
        fixed.digest_bytes > DMS_DIGEST_BYTES)
        return dms_fail(DMS_ERR_CORRUPT,
                        "schema: %" PRIu32 " columns, %" PRIu32
                        " metadata pairs and a digest of %zu bytes are too many",
                        fixed.column_ct, fixed.metadata_ct, fixed.digest_bytes);
    digest = dms_cursor_padded(cursor, fixed.digest_bytes);
    if (digest == NULL || reserved != 0)
        return fail_cut();
    memcpy(fixed.digest, digest, fixed.digest_bytes);

    *schema = dms_schema_create(fixed.column_ct, fixed.metadata_ct,
                                cursor->size - cursor->at + 2 * (size_t)fixed.metadata_ct, room);
    if (*schema == NULL)
        return DMS_ERR_NO_MEMORY;
    fixed.columns = (*schema)->columns;
    fixed.metadata = (*schema)->metadata;
    **schema = fixed;
    return DMS_OK;
}

int dms_schema_decode(const uint8_t *data, size_t bytes, struct dms_schema **schema)
{
    struct dms_cursor cursor = dms_cursor_begin(data, bytes);
    struct dms_schema *decoded = NULL;
    char *room = NULL;
    int result = decode_fixed(&cursor, &decoded, &room);

    if (result < 0)
        return result;
    for (uint32_t i = 0; i < decoded->column_ct && result == 0; i++)
        result = decode_column(&cursor, &decoded->columns[i]);
    for (uint32_t i = 0; i < decoded->metadata_ct && result == 0; i++)
        result = decode_metadata(&cursor, &decoded->metadata[i], &room);
    if (result == 0 && !dms_cursor_ended_well(&cursor))
        result = dms_fail(DMS_ERR_CORRUPT, "schema: other bytes follow its end");
    if (result == 0 && dms_schema_validate(decoded) < 0)
        result = dms_fail_prefix(DMS_ERR_CORRUPT, "schema");
    if (result < 0) {
        dms_schema_free(decoded);
        return result;
    }
    *schema = decoded;
    return DMS_OK;
}
