/*
 * Fuzz target: row frames one after the other, as `dmstore append` reads them from a pipe. Every
 * value that a frame points to lies in its payload.
 */
#include "fuzz.h"

#include "dmstore/frame.h"
#include "format/schema.h"

#include <string.h>

enum { COLUMN_CT = 4 };

static struct dms_schema *make_schema(void)
{
    struct dms_column columns[COLUMN_CT];
    struct dms_schema request = {.example_ct = 13, .columns = columns, .column_ct = COLUMN_CT};
    struct dms_schema *schema = NULL;

    require(dms_output_parse("margins:3x2:f16", &columns[0]) == 0);
    require(dms_output_parse("hits:3:bool", &columns[1]) == 0);
    require(dms_scalar_parse("alpha:f64", &columns[2]) == 0);
    require(dms_scalar_parse("host:s5", &columns[3]) == 0);
    require(dms_schema_prepare(&request, &schema) == 0);
    return schema;
}

/* Touches every byte that the frame points to. */
static uint64_t sum_values(const struct dms_schema *schema, const uint8_t *mask,
                           const void **values)
{
    uint64_t sum = mask[0] + mask[1];

    for (uint32_t i = 0; i < COLUMN_CT; i++) {
        const struct dms_column *column = &schema->columns[DMS_SCHEMA_FIRST_VALUE_COLUMN + i];
        const uint8_t *bytes = values[i];

        for (uint64_t k = 0;
             bytes != NULL && k < dms_column_value_ct(column) * dms_column_value_bytes(column); k++)
            sum += bytes[k];
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dms_schema *schema;
    uint8_t header[DMS_FRAME_HEADER_BYTES];
    struct dms_frame frame;

    if (schema == NULL)
        schema = make_schema();
    while (size >= DMS_FRAME_HEADER_BYTES && dms_frame_header_decode(schema, data, &frame) == 0) {
        const uint8_t *mask = NULL;
        const void *values[COLUMN_CT];

        require(dms_frame_header_encode(schema, frame.id, frame.columns, header) == 0);
        require(memcmp(header, data, sizeof(header)) == 0);
        data += sizeof(header);
        size -= sizeof(header);
        if (frame.payload_bytes > size)
            break;
        if (dms_frame_payload_decode(schema, &frame, data, &mask, values) == 0)
            require(sum_values(schema, mask, values) < UINT64_MAX);
        data += frame.payload_bytes;
        size -= frame.payload_bytes;
    }
    return 0;
}
