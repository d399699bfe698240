/*
 * Staged rows: a caller's row (struct dms_row) checked against the schema and laid out as in a rows
 * block, for append and spool files; and the caller's view of such a row again.
 */
#ifndef DMS_STORE_STAGED_H
#define DMS_STORE_STAGED_H

#include "base/buffer.h"
#include "dmstore/store.h"
#include "format/edit.h"
#include "format/rows.h"
#include "store/segment.h"

/* Refuses a row that does not fit the schema: mask bits after the last example, bool values other
 * than 0 and 1, a sampling claim that its mask does not bear out. INVALID names the model. */
int dms_row_check(const struct dms_schema *schema, const struct dms_row *row);

/* Appends the row's layout->row_bytes bytes. The row was checked. */
int dms_row_encode(const struct dms_schema *schema, const struct dms_row_layout *layout,
                   const struct dms_row *row, struct dms_buffer *buffer);

/* The row's values of column c, or NULL when it has none. */
const void *dms_row_values(const struct dms_schema *schema, const struct dms_row *row,
                           uint32_t column);

/* Encodes rows and adds them to a segment as rows blocks of bounded size, batches first_batch,
 * first_batch + 1, ...; for each, add_edit(context, edit) takes the add-batch edit. *batch_ct
 * counts the blocks. */
int dms_rows_write(const struct dms_schema *schema, const struct dms_row *const *rows,
                   size_t row_ct, uint64_t first_batch, struct dms_segment_writer *writer,
                   int (*add_edit)(void *context, const struct dms_edit *edit), void *context,
                   uint64_t *batch_ct);

#endif
