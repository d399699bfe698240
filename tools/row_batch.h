/*
 * Rows that `dmstore append` has read and not yet committed, and where they go: into a store or
 * into a spool directory. The batch owns the bytes of its rows.
 */
#ifndef DMSTORE_TOOLS_ROW_BATCH_H
#define DMSTORE_TOOLS_ROW_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dmstore/schema.h>
#include <dmstore/store.h>

struct row_batch {
    const struct dms_schema *schema; /* the caller's */
    struct dms_row *rows;
    void **storage; /* of each row: its pointers to values, then their bytes */
    size_t row_ct, capacity;
    size_t bytes;      /* of all rows */
    uint32_t value_ct; /* output and scalar columns of the schema */
    uint32_t output_ct;
    uint32_t *slots;       /* of each of them among the pointers of a row: outputs, then scalars */
    const void **pointers; /* of the row that is being added */
};

/* Prepares an empty batch for rows of this schema. Ended with row_batch_free. */
int row_batch_init(struct row_batch *batch, const struct dms_schema *schema);
void row_batch_free(struct row_batch *batch);

/* Begins a row with room for that many bytes of mask and values at *payload. It counts when
 * row_batch_end is called; beginning another one instead drops it. */
int row_batch_begin(struct row_batch *batch, uint64_t payload_bytes, uint8_t **payload);

/* Value column `column` (0: the first after the model id) of the row begun is at `value`, within
 * its payload; NULL: it has none. */
void row_batch_set(struct row_batch *batch, uint32_t column, const void *value);

/* Whether the row begun has a value in that column. */
bool row_batch_has(const struct row_batch *batch, uint32_t column);

/* Adds the row begun. `mask` is within its payload; `sampling` may be NULL and must outlive it. */
void row_batch_end(struct row_batch *batch, uint64_t id, const uint8_t *mask,
                   const struct dms_sampling *sampling);

/* Where committed rows go. Set either store, or spool and store_path. */
struct row_sink {
    dms_store *store;
    enum dms_on_duplicate on_duplicate;
    const char *spool;
    const char *store_path;
    bool acknowledge;               /* print each id to stdout once it is durable */
    struct dms_write_result result; /* of all commits so far; a spooled row counts as added */
};

/* Commits all rows of the batch and empties it. Where a row is refused, the rows before it are
 * committed and the rows after it are dropped. */
int row_sink_commit(struct row_sink *sink, struct row_batch *batch);

#endif
