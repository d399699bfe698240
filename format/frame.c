/*
 * Row frames (SPEC.md section 8): how rows come to `dmstore append` through a pipe. The header says
 * how long the payload is, and the schema how long it has to be; the two are held against each
 * other before anything is read.
 */
#include <dmstore/frame.h>

#include "base/endian.h"
#include "base/error.h"
#include "format/schema.h"

#include <inttypes.h>
#include <string.h>

enum { FRAMED_COLUMNS_MAX = 64 };

static const uint8_t magic[4] = {'D', 'M', 'S', 'R'};

static uint64_t mask_bytes(const struct dms_schema *schema)
{
    return (schema->example_ct + 7) / 8;
}

static uint64_t value_bytes(const struct dms_column *column)
{
    return dms_column_value_ct(column) * dms_column_value_bytes(column);
}

/* The column of bit `bit`, or NULL when the schema has none. */
static const struct dms_column *framed_column(const struct dms_schema *schema, uint32_t bit)
{
    uint32_t position = DMS_SCHEMA_FIRST_VALUE_COLUMN + bit;

    return position < schema->column_ct ? &schema->columns[position] : NULL;
}

/* Bytes of the payload of a frame with these columns. */
static int derive_payload_bytes(const struct dms_schema *schema, uint64_t columns,
                                uint64_t *payload_bytes)
{
    uint64_t bytes = mask_bytes(schema);

    for (uint32_t bit = 0; bit < FRAMED_COLUMNS_MAX; bit++) {
        const struct dms_column *column = framed_column(schema, bit);

        if ((columns >> bit & 1) == 0)
            continue;
        if (column == NULL)
            return dms_fail(DMS_ERR_INVALID,
                            "frame: column bit %" PRIu32 " is set, but the store has %" PRIu32
                            " output and scalar columns",
                            bit, schema->column_ct - DMS_SCHEMA_FIRST_VALUE_COLUMN);
        bytes += value_bytes(column);
    }
    if (bytes > UINT32_MAX)
        return dms_fail(DMS_ERR_INVALID,
                        "frame: a row of %" PRIu64 " bytes is too large (at most %" PRIu32 ")",
                        bytes, UINT32_MAX);
    *payload_bytes = bytes;
    return DMS_OK;
}

int dms_frame_header_decode(const struct dms_schema *schema,
                            const uint8_t header[DMS_FRAME_HEADER_BYTES], struct dms_frame *frame)
{
    uint64_t columns = dms_load_u64(header + 16);
    uint32_t payload_bytes = dms_load_u32(header + 4);
    uint64_t expected;
    int result;

    if (memcmp(header, magic, sizeof(magic)) != 0)
        return dms_fail(
            DMS_ERR_INVALID,
            "frame: it does not begin with \"DMSR\" (is the input not a sequence of row frames, "
            "or was the frame before longer than it says?)");
    result = derive_payload_bytes(schema, columns, &expected);
    if (result < 0)
        return result;
    if (payload_bytes != expected)
        return dms_fail(DMS_ERR_INVALID,
                        "frame of model %" PRIu64 ": a payload of %" PRIu32
                        " bytes, but a mask of %" PRIu64
                        " examples and these columns take %" PRIu64,
                        dms_load_u64(header + 8), payload_bytes, schema->example_ct, expected);
    *frame = (struct dms_frame){
        .id = dms_load_u64(header + 8), .columns = columns, .payload_bytes = expected};
    return DMS_OK;
}

static int check_mask(const struct dms_schema *schema, uint64_t id, const uint8_t *mask)
{
    unsigned used_bits = schema->example_ct % 8;

    if (used_bits != 0 && mask[mask_bytes(schema) - 1] >> used_bits != 0)
        return dms_fail(DMS_ERR_INVALID,
                        "frame of model %" PRIu64
                        ": the mask has bits set after the last of %" PRIu64 " examples",
                        id, schema->example_ct);
    return DMS_OK;
}

static int check_bools(const struct dms_column *column, uint64_t id, const uint8_t *values)
{
    uint64_t value_ct = dms_column_value_ct(column);

    for (uint64_t i = 0; i < value_ct; i++) {
        if (values[i] > 1)
            return dms_fail(DMS_ERR_INVALID,
                            "frame of model %" PRIu64 ": value %" PRIu64
                            " of column %s is %u, not 0 or 1",
                            id, i, column->name, values[i]);
    }
    return DMS_OK;
}

int dms_frame_payload_decode(const struct dms_schema *schema, const struct dms_frame *frame,
                             const uint8_t *payload, const uint8_t **mask, const void **values)
{
    const uint8_t *at = payload + mask_bytes(schema);
    int result = check_mask(schema, frame->id, payload);

    for (uint32_t bit = 0; framed_column(schema, bit) != NULL && result == 0; bit++) {
        const struct dms_column *column = framed_column(schema, bit);

        values[bit] = NULL;
        if (bit >= FRAMED_COLUMNS_MAX || (frame->columns >> bit & 1) == 0)
            continue;
        if (column->dtype == DMS_BOOL)
            result = check_bools(column, frame->id, at);
        values[bit] = at;
        at += value_bytes(column);
    }
    if (result < 0)
        return result;
    *mask = payload;
    return DMS_OK;
}

int dms_frame_header_encode(const struct dms_schema *schema, uint64_t id, uint64_t columns,
                            uint8_t header[DMS_FRAME_HEADER_BYTES])
{
    uint64_t payload_bytes;
    int result = derive_payload_bytes(schema, columns, &payload_bytes);

    if (result < 0)
        return result;
    memcpy(header, magic, sizeof(magic));
    dms_store_u32(header + 4, (uint32_t)payload_bytes);
    dms_store_u64(header + 8, id);
    dms_store_u64(header + 16, columns);
    return DMS_OK;
}
