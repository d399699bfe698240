/*
 * The layout of staged rows: see rows.h.
 */
#include "format/rows.h"

#include "base/error.h"

int dms_row_layout_make(const struct dms_schema *schema, uint32_t column_ct,
                        struct dms_row_layout *layout)
{
    if (column_ct < 2 || column_ct > schema->column_ct || column_ct > DMS_COLUMN_MAX) {
        return dms_fail(DMS_ERR_CORRUPT, "staged rows have %u columns, the schema has %u",
                        (unsigned)column_ct, (unsigned)schema->column_ct);
    }
    uint64_t at = DMS_ROW_FIXED_BYTES;
    layout->column_ct = column_ct;
    layout->presence = (size_t)at;
    at += dms_align((column_ct - 2 + 7) / 8, 8);
    layout->mask = (size_t)at;
    layout->mask_bytes = (size_t)((schema->example_ct + 7) / 8);
    at += dms_align(layout->mask_bytes, 8);
    for (uint32_t c = 2; c < column_ct; c++) {
        const struct dms_column *column = &schema->columns[c];
        layout->offsets[c] = (size_t)at;
        at += dms_align(dms_column_packed_bytes(column, column->target_ct), 8);
        if (at > UINT32_MAX) {
            return dms_fail(DMS_ERR_INVALID, "a row with column %s exceeds 4 GiB", column->name);
        }
    }
    layout->row_bytes = (size_t)at;
    return 0;
}
