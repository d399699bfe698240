/*
 * Staged rows: see staged.h.
 */
#include "store/staged.h"

#include "base/alloc.h"
#include "base/error.h"
#include "dmstore/sample.h"
#include "format/ids.h"
#include "format/schema.h"
#include "kernels/kernels.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A batch is at most this long, so that reading one stays cheap. */
enum { BATCH_ROWS = 1024, BATCH_BYTES = 32 << 20 };

const void *dms_row_values(const struct dms_schema *schema, const struct dms_row *row,
                           uint32_t column)
{
    enum dms_column_kind kind = schema->columns[column].kind;
    const void *const *values = kind == DMS_COLUMN_OUTPUT ? row->outputs : row->scalars;
    uint32_t index = 0;
    if (row->column_ct > 0 && column >= row->column_ct) {
        return NULL; /* added after the row was made: there is no pointer for it */
    }
    for (uint32_t c = 0; c < column; c++) {
        index += schema->columns[c].kind == kind;
    }
    return values ? values[index] : NULL;
}

static int check_bools(const struct dms_column *column, const struct dms_row *row,
                       const uint8_t *values)
{
    uint64_t value_ct = dms_column_value_ct(column);
    for (uint64_t k = 0; k < value_ct; k++) {
        if (values[k] > 1) {
            return dms_fail(DMS_ERR_INVALID,
                            "model %" PRIu64 ", column %s: value %" PRIu64
                            " is %u, a bool is 0 or 1",
                            row->id, column->name, k, values[k]);
        }
    }
    return 0;
}

static int check_sampling(const struct dms_schema *schema, const struct dms_row *row,
                          size_t mask_bytes)
{
    const struct dms_sampling *claim = row->sampling;
    uint8_t *drawn = dms_alloc(mask_bytes, 1);
    if (!drawn) {
        return DMS_ERR_NO_MEMORY;
    }
    int status =
        dms_sample_mask(schema->example_ct, claim->subset_size, claim->seed, row->id, drawn);
    if (status == 0 && memcmp(drawn, row->mask, mask_bytes) != 0) {
        status = dms_fail(DMS_ERR_INVALID,
                          "mask of model %" PRIu64
                          " is not the one that 'dmstore sample' draws (%" PRIu64 " of %" PRIu64
                          " examples, seed %" PRIu64 ")",
                          row->id, claim->subset_size, schema->example_ct, claim->seed);
    }
    free(drawn);
    return status;
}

int dms_row_check(const struct dms_schema *schema, const struct dms_row *row)
{
    size_t mask_bytes = (size_t)(schema->example_ct + 7) / 8;
    if (!row->mask) {
        return dms_fail(DMS_ERR_INVALID, "model %" PRIu64 " has no mask", row->id);
    }
    unsigned tail_bits = (unsigned)(schema->example_ct % 8);
    if (tail_bits != 0 && row->mask[mask_bytes - 1] >> tail_bits != 0) {
        return dms_fail(DMS_ERR_INVALID,
                        "mask of model %" PRIu64 " has bits set after the last of %" PRIu64
                        " examples",
                        row->id, schema->example_ct);
    }
    for (uint32_t c = DMS_SCHEMA_FIRST_VALUE_COLUMN; c < schema->column_ct; c++) {
        const struct dms_column *column = &schema->columns[c];
        const void *values = dms_row_values(schema, row, c);
        if (values && column->dtype == DMS_BOOL) {
            int status = check_bools(column, row, values);
            if (status != 0) {
                return status;
            }
        }
    }
    return row->sampling ? check_sampling(schema, row, mask_bytes) : 0;
}

int dms_row_encode(const struct dms_schema *schema, const struct dms_row_layout *layout,
                   const struct dms_row *row, struct dms_buffer *buffer)
{
    size_t at = buffer->size;
    int status = dms_buffer_append_zeros(buffer, layout->row_bytes);
    if (status != 0) {
        return status;
    }
    uint8_t *to = buffer->data + at;
    dms_store_u64(to, row->id);
    if (row->sampling) {
        dms_store_u64(to + 8, row->sampling->seed);
        dms_store_u32(to + 16, (uint32_t)row->sampling->subset_size);
        dms_store_u32(to + 20, DMS_SAMPLE_PHILOX_FLOYD);
    }
    memcpy(to + layout->mask, row->mask, layout->mask_bytes);
    for (uint32_t c = DMS_SCHEMA_FIRST_VALUE_COLUMN; c < layout->column_ct; c++) {
        const struct dms_column *column = &schema->columns[c];
        const void *values = dms_row_values(schema, row, c);
        if (!values) {
            continue;
        }
        uint32_t bit = c - DMS_SCHEMA_FIRST_VALUE_COLUMN;
        to[layout->presence + (bit >> 3)] |= (uint8_t)(1u << (bit & 7));
        if (column->dtype == DMS_BOOL) {
            dms_kernels_get()->pack_bits(values, (size_t)dms_column_value_ct(column),
                                         to + layout->offsets[c]);
        } else {
            memcpy(to + layout->offsets[c], values,
                   (size_t)dms_column_packed_bytes(column, column->target_ct));
        }
    }
    return 0;
}

/* Writes one batch and hands its edit on. */
static int write_batch(const struct dms_schema *schema, const struct dms_row_layout *layout,
                       const struct dms_row *const *rows, size_t row_ct, uint64_t batch,
                       struct dms_segment_writer *writer,
                       int (*add_edit)(void *context, const struct dms_edit *edit), void *context)
{
    struct dms_buffer payload = {0};
    struct dms_buffer runs = {0};
    uint32_t run_bytes = 0;
    uint64_t *ids = dms_alloc(row_ct, sizeof *ids);
    int status = ids ? 0 : DMS_ERR_NO_MEMORY;
    for (size_t k = 0; status == 0 && k < row_ct; k++) {
        ids[k] = rows[k]->id;
        status = dms_row_encode(schema, layout, rows[k], &payload);
    }
    if (status == 0) {
        status = dms_ids_encode(ids, (uint32_t)row_ct, &runs, &run_bytes);
    }
    struct dms_block block = {
        .type = DMS_BLOCK_ROWS,
        .rows = {batch, (uint32_t)row_ct, (uint32_t)layout->row_bytes, layout->column_ct},
    };
    if (status == 0) {
        status = dms_segment_add(writer, &block, payload.data, payload.size);
    }
    if (status == 0) {
        struct dms_edit edit = {
            .type = DMS_EDIT_ADD_BATCH,
            .add_batch = {batch, (uint32_t)row_ct, run_bytes, block.offset, block.header_hash,
                          layout->column_ct, runs.data},
        };
        status = add_edit(context, &edit);
    }
    free(ids);
    dms_buffer_free(&runs);
    dms_buffer_free(&payload);
    return status;
}

int dms_rows_write(const struct dms_schema *schema, const struct dms_row *const *rows,
                   size_t row_ct, uint64_t first_batch, struct dms_segment_writer *writer,
                   int (*add_edit)(void *context, const struct dms_edit *edit), void *context,
                   uint64_t *batch_ct)
{
    struct dms_row_layout *layout = dms_alloc(1, sizeof *layout);
    int status =
        layout ? dms_row_layout_make(schema, schema->column_ct, layout) : DMS_ERR_NO_MEMORY;
    size_t batch_rows = 0;
    if (status == 0) {
        batch_rows = BATCH_BYTES / layout->row_bytes;
        batch_rows = batch_rows == 0 ? 1 : batch_rows > BATCH_ROWS ? BATCH_ROWS : batch_rows;
    }
    uint64_t written_ct = 0;
    for (size_t done = 0; status == 0 && done < row_ct; done += batch_rows) {
        size_t here = row_ct - done < batch_rows ? row_ct - done : batch_rows;
        status = write_batch(schema, layout, rows + done, here, first_batch + written_ct, writer,
                             add_edit, context);
        written_ct++;
    }
    free(layout);
    if (status == 0) {
        *batch_ct = written_ct;
    }
    return status;
}
