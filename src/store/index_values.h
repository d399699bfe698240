/*
 * The tables of the index as values under numbers: what index_records.c, index_ids.c, index_edits.c
 * and index_totals.c build on. Only index.c knows LMDB.
 */
#ifndef DMS_STORE_INDEX_VALUES_H
#define DMS_STORE_INDEX_VALUES_H

#include "base/buffer.h"
#include "format/cursor.h"
#include "store/index.h"

enum dms_index_table {
    DMS_INDEX_META,
    DMS_INDEX_SEGMENTS,
    DMS_INDEX_GROUPS,
    DMS_INDEX_BATCHES,
    DMS_INDEX_IDS,
    DMS_INDEX_PENDING,
    DMS_INDEX_TOTALS,
    DMS_INDEX_TABLE_CT
};

/* A buffer of the transaction to append a record to; then put it under its number. */
struct dms_buffer *dms_index_value_begin(struct dms_index_txn *txn, int *status);

/* Marks the value that was begun as one that version 1.0 of the format does not know. */
void dms_index_value_is_newer(struct dms_index_txn *txn);

int dms_index_value_put(struct dms_index_txn *txn, enum dms_index_table table, uint64_t number);

/* All of these return DMS_END when there is no such entry. *record is over LMDB's own memory:
 * decode it before the transaction writes again. */
int dms_index_value_get(struct dms_index_txn *txn, enum dms_index_table table, uint64_t number,
                        struct dms_cursor *record);
int dms_index_value_delete(struct dms_index_txn *txn, enum dms_index_table table, uint64_t number);

/* The entry with the largest number <= *number, or the smallest one >= *number; sets *number. */
int dms_index_value_at_or_before(struct dms_index_txn *txn, enum dms_index_table table,
                                 uint64_t *number, struct dms_cursor *record);
int dms_index_value_at_or_after(struct dms_index_txn *txn, enum dms_index_table table,
                                uint64_t *number, struct dms_cursor *record);

/* Calls visit for every entry of a table in order of its number, until one returns non-zero. */
int dms_index_each_value(struct dms_index_txn *txn, enum dms_index_table table,
                         int (*visit)(void *context, uint64_t number, struct dms_cursor *record),
                         void *context);

int dms_index_clear(struct dms_index_txn *txn, enum dms_index_table table);

/* Reports a record that does not decode. */
int dms_index_value_fail(const struct dms_index_txn *txn, enum dms_index_table table);

/* ---- between the files of the index ---- */

int dms_index_put_batch(struct dms_index_txn *txn, const struct dms_batch_record *record);
int dms_index_put_fit(struct dms_index_txn *txn, const struct dms_fit_record *record);
int dms_index_delete_fit(struct dms_index_txn *txn, uint64_t number);

/* Places the ids of encoded runs, wherever they were before. */
int dms_index_assign_ids(struct dms_index_txn *txn, const uint8_t *runs, size_t run_bytes,
                         uint32_t row_ct, bool staged, uint64_t container);

/* The same for a container that is not in the index yet, without its removed rows. */
int dms_index_assign_live_ids(struct dms_index_txn *txn, const uint8_t *runs, size_t run_bytes,
                              uint32_t row_ct, const uint8_t *removed, bool staged,
                              uint64_t container);

/* Takes ids first .. first + count - 1 out of whatever runs hold them. */
int dms_index_release_ids(struct dms_index_txn *txn, uint64_t first, uint64_t count);

#endif
