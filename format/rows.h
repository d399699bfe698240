/*
 * The layout of one staged row in a rows block (SPEC.md section 2.4): where its parts begin, as the
 * schema's columns say.
 */
#ifndef DMS_FORMAT_ROWS_H
#define DMS_FORMAT_ROWS_H

#include "dmstore/schema.h"
#include "format/layout.h"

#include <stddef.h>
#include <stdint.h>

struct dms_row_layout {
    uint32_t column_ct; /* of the schema, mask and id included, that rows of this layout have */
    size_t presence;    /* offset of the presence bits */
    size_t mask;        /* offset of the mask */
    size_t mask_bytes;
    size_t row_bytes;
    size_t offsets[DMS_COLUMN_MAX]; /* of column c's values, 2 <= c < column_ct */
};

/* Fills *layout for rows with the schema's first column_ct columns. INVALID when a row would exceed
 * 4 GiB. */
int dms_row_layout_make(const struct dms_schema *schema, uint32_t column_ct,
                        struct dms_row_layout *layout);

#endif
