/*
 * One row of `dmstore append --format jsonl`: a line such as
 *
 *     {"id": 5, "mask": "0f3a", "outputs": {"test_margins": [1.5, null]}, "scalars": {"loss": 0.1}}
 *
 * The mask is hexadecimal (the packed bytes in order) or a list of example numbers. Outputs are
 * flat or nested as the column's shape; numbers are rounded to the nearest of a floating-point
 * column, null is NaN there.
 */
#ifndef DMSTORE_TOOLS_JSONL_ROW_H
#define DMSTORE_TOOLS_JSONL_ROW_H

#include <stddef.h>

#include "row_batch.h"

/* Parses line[0 .. bytes - 1] (line[bytes] must be 0; the text is changed) and adds the row to the
 * batch. With `sampling` a row may leave its mask out; it is drawn then. Returns 0 or
 * DMS_ERR_INVALID with a message that names the place in the line. */
int jsonl_row_parse(char *line, size_t bytes, const struct dms_sampling *sampling,
                    struct row_batch *batch);

/* A generous bound on the bytes of a line for this schema: what is longer is no row. */
size_t jsonl_line_bytes_max(const struct dms_schema *schema);

#endif
