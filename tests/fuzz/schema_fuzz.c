/*
 * Fuzz target: encoded schemas. What is accepted is encoded to the same bytes again, and all sizes
 * computed from it are sane.
 */
#include "fuzz.h"

#include "format/rows.h"
#include "format/schema.h"

#include <string.h>

static void check_sizes(const struct dms_schema *schema)
{
    struct dms_row_layout layout;
    uint32_t column;

    require(dms_row_layout_make(schema, schema->column_ct, &layout) == 0);
    for (uint32_t i = 0; i < schema->column_ct; i++) {
        const struct dms_column *one = &schema->columns[i];

        require(dms_schema_find(schema, one->name, &column) == 0 && column == i);
        require(dms_column_tile_ct(one) >= 1);
        require(dms_column_packed_bytes(one, one->target_ct) <= DMS_ROW_BYTES_MAX);
        require(dms_column_packed_bytes(one, one->tile_targets) * schema->chunk_rows <=
                DMS_CHUNK_BYTES_MAX);
        require(dms_column_value_ct(one) * dms_column_value_bytes(one) / 8 <= DMS_ROW_BYTES_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dms_schema *schema = NULL, *copy = NULL;
    struct dms_buffer again = {0};

    if (dms_schema_decode(data, size, &schema) != 0)
        return 0;
    check_sizes(schema);
    require(dms_schema_copy(schema, &copy) == 0);
    require(dms_schema_check_mergeable(schema, copy) == 0);
    require(dms_schema_encode(copy, &again) == 0);
    require(again.size == size && memcmp(again.data, data, size) == 0);
    dms_schema_free(schema);
    dms_schema_free(copy);
    dms_buffer_free(&again);
    return 0;
}
