/*
 * Row frames: headers have the bytes of SPEC.md section 8, a payload is taken apart column by
 * column, and everything that contradicts the schema is refused.
 */
#include "tap.h"

#include "base/endian.h"
#include "base/error.h"
#include "dmstore/frame.h"
#include "format/schema.h"

enum {
    PAYLOAD_BYTES = 2 + 6 + 3 + 8
}; /* mask of 13 examples, three halves, three bools, one f64 */

static struct dms_schema *make_schema(void)
{
    struct dms_column columns[3] = {0};
    struct dms_schema request = {.example_ct = 13, .columns = columns, .column_ct = 3};
    struct dms_schema *schema = NULL;

    dms_output_parse("margins:3:f16", &columns[0]);
    dms_output_parse("hits:3:bool", &columns[1]);
    dms_scalar_parse("alpha:f64", &columns[2]);
    if (dms_schema_prepare(&request, &schema) != 0)
        diag("%s", dms_error_message());
    return schema;
}

static void test_header(const struct dms_schema *schema)
{
    static const uint8_t golden[DMS_FRAME_HEADER_BYTES] = {
        'D', 'M', 'S', 'R', PAYLOAD_BYTES, 0, 0, 0, 0x39, 0x30, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0,
        0,   0,   0,   0};
    uint8_t header[DMS_FRAME_HEADER_BYTES];
    struct dms_frame frame = {0};

    ok(dms_frame_header_encode(schema, 12345, 7, header) == 0 &&
           memcmp(header, golden, sizeof(golden)) == 0,
       "a header has the bytes of SPEC.md");
    ok(dms_frame_header_decode(schema, golden, &frame) == 0 && frame.id == 12345 &&
           frame.columns == 7 && frame.payload_bytes == PAYLOAD_BYTES,
       "and is decoded");
    ok(dms_frame_header_encode(schema, 1, 4, header) == 0 && dms_load_u32(header + 4) == 2 + 8,
       "columns that are not there take no bytes");
    ok(dms_frame_header_encode(schema, 1, 0, header) == 0 && dms_load_u32(header + 4) == 2,
       "a mask alone is a row");
    is_int(dms_frame_header_encode(schema, 1, 8, header), DMS_ERR_INVALID,
           "a column that the store lacks is refused");
    is_int(dms_frame_header_encode(schema, 1, UINT64_C(1) << 63, header), DMS_ERR_INVALID,
           "so is the last bit");
}

static void test_header_refusals(const struct dms_schema *schema)
{
    uint8_t header[DMS_FRAME_HEADER_BYTES];
    struct dms_frame frame;

    dms_frame_header_encode(schema, 12345, 7, header);
    header[0] = 'd';
    is_int(dms_frame_header_decode(schema, header, &frame), DMS_ERR_INVALID,
           "another magic is refused");
    contains(dms_error_message(), "DMSR", "and the message says what was expected");
    header[0] = 'D';
    dms_store_u32(header + 4, PAYLOAD_BYTES + 1);
    is_int(dms_frame_header_decode(schema, header, &frame), DMS_ERR_INVALID,
           "a payload of the wrong length is refused");
    contains(dms_error_message(), "model 12345", "and the model named");
    dms_store_u32(header + 4, UINT32_MAX);
    is_int(dms_frame_header_decode(schema, header, &frame), DMS_ERR_INVALID, "so is one of 4 GiB");
    dms_store_u64(header + 16, UINT64_MAX);
    is_int(dms_frame_header_decode(schema, header, &frame), DMS_ERR_INVALID,
           "columns that the store lacks are refused");
    contains(dms_error_message(), "column bit 3", "and named");
}

static void test_payload(const struct dms_schema *schema)
{
    uint8_t payload[PAYLOAD_BYTES] = {0xff, 0x1f, 1, 2, 3, 4, 5, 6, 0, 1, 1};
    struct dms_frame frame = {.id = 9, .columns = 7, .payload_bytes = PAYLOAD_BYTES};
    const uint8_t *mask = NULL;
    const void *values[3] = {payload, payload, payload};

    ok(dms_frame_payload_decode(schema, &frame, payload, &mask, values) == 0 && mask == payload,
       "the mask comes first");
    ok(values[0] == payload + 2 && values[1] == payload + 8 && values[2] == payload + 11,
       "then the columns, without gaps");
    frame.columns = 4;
    ok(dms_frame_payload_decode(schema, &frame, payload, &mask, values) == 0 && values[0] == NULL &&
           values[1] == NULL && values[2] == payload + 2,
       "what is not there is NULL");
    frame.columns = 7;
    payload[1] |= 0x20;
    is_int(dms_frame_payload_decode(schema, &frame, payload, &mask, values), DMS_ERR_INVALID,
           "a mask bit after the last example is refused");
    contains(dms_error_message(), "13 examples", "and the message says so");
    payload[1] &= 0x1f;
    payload[10] = 2;
    is_int(dms_frame_payload_decode(schema, &frame, payload, &mask, values), DMS_ERR_INVALID,
           "a bool of 2 is refused");
    contains(dms_error_message(), "value 2 of column hits is 2", "and named");
}

/* A store of more columns than a frame has bits for. */
static void test_many_columns(void)
{
    struct dms_column columns[70] = {0};
    struct dms_schema request = {.example_ct = 8, .columns = columns, .column_ct = 70};
    struct dms_schema *schema = NULL;
    const void *values[70];
    const uint8_t *mask;
    uint8_t header[DMS_FRAME_HEADER_BYTES];
    uint8_t payload[1 + 64] = {0};
    struct dms_frame frame = {0};
    unsigned absent = 0;

    for (int i = 0; i < 70; i++) {
        char text[16];

        snprintf(text, sizeof(text), "c%d:u8", i);
        dms_scalar_parse(text, &columns[i]);
    }
    if (!ok(dms_schema_prepare(&request, &schema) == 0, "a schema of 70 scalars"))
        return;
    ok(dms_frame_header_encode(schema, 0, UINT64_MAX, header) == 0 &&
           dms_frame_header_decode(schema, header, &frame) == 0 && frame.payload_bytes == 65,
       "64 columns can be framed");
    is_int(dms_frame_payload_decode(schema, &frame, payload, &mask, values), 0, "and decoded");
    for (int i = 64; i < 70; i++)
        absent += values[i] == NULL;
    is_int(absent, 6, "those after the 64th are absent");
    dms_schema_free(schema);
}

int main(void)
{
    struct dms_schema *schema = make_schema();

    if (schema != NULL) {
        test_header(schema);
        test_header_refusals(schema);
        test_payload(schema);
    }
    ok(schema != NULL, "the schema was made");
    test_many_columns();
    dms_schema_free(schema);
    return tap_done();
}
