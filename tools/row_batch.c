/*
 * Holds rows until they are committed, commits them and acknowledges them; see row_batch.h.
 */
#include "row_batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "write_report.h"

/* ---- the batch ---- */

int row_batch_init(struct row_batch *batch, const struct dms_schema *schema)
{
    uint32_t value_ct = schema->column_ct - 2, output = 0, scalar;

    *batch = (struct row_batch){.schema = schema, .value_ct = value_ct};
    batch->slots = calloc(value_ct + 1, sizeof(*batch->slots));
    if (!batch->slots)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    for (uint32_t i = 0; i < value_ct; i++)
        batch->output_ct += schema->columns[i + 2].kind == DMS_COLUMN_OUTPUT;
    scalar = batch->output_ct;
    for (uint32_t i = 0; i < value_ct; i++)
        batch->slots[i] = schema->columns[i + 2].kind == DMS_COLUMN_OUTPUT ? output++ : scalar++;
    return 0;
}

static void drop_rows(struct row_batch *batch)
{
    for (size_t i = 0; i < batch->row_ct; i++)
        free(batch->storage[i]);
    batch->row_ct = 0;
    batch->bytes = 0;
}

void row_batch_free(struct row_batch *batch)
{
    drop_rows(batch);
    free(batch->pointers);
    free(batch->rows);
    free(batch->storage);
    free(batch->slots);
    *batch = (struct row_batch){0};
}

static int reserve_row(struct row_batch *batch)
{
    size_t capacity = batch->capacity ? 2 * batch->capacity : 64;
    struct dms_row *rows;
    void **storage;

    if (batch->row_ct < batch->capacity)
        return 0;
    rows = realloc(batch->rows, capacity * sizeof(*rows));
    if (rows)
        batch->rows = rows;
    storage = realloc(batch->storage, capacity * sizeof(*storage));
    if (storage)
        batch->storage = storage;
    if (!rows || !storage)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu rows", capacity);
    batch->capacity = capacity;
    return 0;
}

int row_batch_begin(struct row_batch *batch, uint64_t payload_bytes, uint8_t **payload)
{
    size_t pointer_bytes = batch->value_ct * sizeof(*batch->pointers);
    int code = reserve_row(batch);

    if (code < 0)
        return code;
    free(batch->pointers);
    batch->pointers = malloc(pointer_bytes + payload_bytes);
    if (!batch->pointers)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for a row of %" PRIu64 " bytes",
                               payload_bytes);
    memset(batch->pointers, 0, pointer_bytes);
    batch->bytes += pointer_bytes + payload_bytes;
    *payload = (uint8_t *)batch->pointers + pointer_bytes;
    return 0;
}

void row_batch_set(struct row_batch *batch, uint32_t column, const void *value)
{
    batch->pointers[batch->slots[column]] = value;
}

bool row_batch_has(const struct row_batch *batch, uint32_t column)
{
    return batch->pointers[batch->slots[column]] != NULL;
}

void row_batch_end(struct row_batch *batch, uint64_t id, const uint8_t *mask,
                   const struct dms_sampling *sampling)
{
    batch->rows[batch->row_ct] = (struct dms_row){
        .id = id,
        .mask = mask,
        .outputs = batch->pointers,
        .scalars = batch->pointers + batch->output_ct,
        .sampling = sampling,
        .column_ct = batch->schema->column_ct,
    };
    batch->storage[batch->row_ct++] = (void *)batch->pointers;
    batch->pointers = NULL;
}

/* ---- the sink ---- */

/* Makes rows durable, all or none, and acknowledges them. */
static int write_rows(struct row_sink *sink, const struct dms_row *rows, size_t row_ct)
{
    struct dms_write_result result = {.added_ct = row_ct};
    int code = sink->spool
                   ? dms_spool_write(sink->spool, sink->store_path, rows, row_ct)
                   : dms_append_rows(sink->store, rows, row_ct, sink->on_duplicate, &result);

    if (code < 0)
        return code;
    write_result_add(&sink->result, &result);
    if (!sink->acknowledge)
        return 0;
    for (size_t i = 0; i < row_ct; i++)
        printf("%" PRIu64 "\n", rows[i].id);
    if (fflush(stdout) != 0)
        return tool_source_fail_errno("cannot acknowledge rows on standard output");
    return 0;
}

int row_sink_commit(struct row_sink *sink, struct row_batch *batch)
{
    int code = 0;

    if (batch->row_ct > 0)
        code = write_rows(sink, batch->rows, batch->row_ct);
    /* One of them is refused: find it, so that what is stored does not depend on how the rows
     * happened to be batched. */
    if ((code == DMS_ERR_CONFLICT || code == DMS_ERR_INVALID) && batch->row_ct > 1) {
        code = 0;
        for (size_t i = 0; i < batch->row_ct && code == 0; i++)
            code = write_rows(sink, &batch->rows[i], 1);
    }
    drop_rows(batch);
    return code;
}
