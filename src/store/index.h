/*
 * The index of a store: an LMDB environment in STORE/lmdb that says what is live and where it is.
 * It holds nothing that the segments do not hold. Its write transaction is the writer lock of the
 * store. No other file knows LMDB.
 */
#ifndef DMS_STORE_INDEX_H
#define DMS_STORE_INDEX_H

#include "format/state.h"
#include "kernels/kernels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dms_index;
struct dms_index_txn;

/* Returned (never to a user) when the index outgrew its address space: abort, dms_index_grow, do it
 * again. */
enum { DMS_INDEX_FULL = -1000 };

struct dms_index_meta {
    uint8_t store_uuid[DMS_UUID_BYTES];
    uint64_t sequence;
    uint64_t commit_hash;
    uint64_t next_group, next_batch, next_segment;
    uint64_t log_segment;  /* appended to by log commits; 0: the next one begins a new segment */
    uint64_t bulk_segment; /* that the next bulk writer may continue; 0: none */
    uint64_t staged_ct;    /* live staged rows */
    uint64_t model_ct;     /* live rows */
    uint64_t orphan_bytes; /* tails of crashed transactions that were cut so far */
    uint64_t statistics_stale; /* 1: totals could not be kept (a removed row was unreadable) */
    uint64_t features; /* DMS_FEATURE_*: what the store has had; older programs refuse the index */
};

/* Opens the index of a store, made new and empty when `create`. Within a process all users of a
 * store share one. */
int dms_index_open(const char *store_path, bool create, struct dms_index **index);
void dms_index_close(struct dms_index *index);

/* Whether this process has the index of a store open. */
bool dms_index_is_open(const char *store_path);

/* A fresh index in the directory `index_path`, for recovery; not shared. */
int dms_index_open_path(const char *index_path, struct dms_index **index);

/* Takes the store's lock file for this process alone; DMS_ERR_BUSY when another process has the
 * store open. The descriptor that is returned in *descriptor holds it until closed. */
int dms_index_lock_exclusive(const char *store_path, int *descriptor);

int dms_index_begin(struct dms_index *index, bool write, struct dms_index_txn **txn);
int dms_index_commit(struct dms_index_txn *txn); /* ends it in any case */
void dms_index_abort(struct dms_index_txn *txn); /* accepts NULL */
int dms_index_grow(struct dms_index *index);

/* All of these return 0; DMS_END when there is no such entry; or an error. Records read are owned
 * by the caller. */
int dms_index_get_meta(struct dms_index_txn *txn, struct dms_index_meta *meta);
int dms_index_put_meta(struct dms_index_txn *txn, const struct dms_index_meta *meta);
int dms_index_get_schema(struct dms_index_txn *txn, struct dms_schema **schema);
int dms_index_put_schema(struct dms_index_txn *txn, const struct dms_schema *schema);
int dms_index_get_segment(struct dms_index_txn *txn, uint64_t number,
                          struct dms_segment_record *record);
int dms_index_put_segment(struct dms_index_txn *txn, const struct dms_segment_record *record);
int dms_index_get_group(struct dms_index_txn *txn, uint64_t number,
                        struct dms_group_record *record);
int dms_index_put_group(struct dms_index_txn *txn, const struct dms_group_record *record);
int dms_index_get_batch(struct dms_index_txn *txn, uint64_t number,
                        struct dms_batch_record *record);

int dms_index_get_fit(struct dms_index_txn *txn, uint64_t number, struct dms_fit_record *record);
/* The fit of that name. */
int dms_index_find_fit(struct dms_index_txn *txn, const char *name, struct dms_fit_record *record);

/* Loads the whole catalog into an empty one. */
int dms_index_load(struct dms_index_txn *txn, struct dms_catalog *catalog);

/* Applies an edit of a commit in `segment`; keeps meta->model_ct and staged_ct. */
int dms_index_apply(struct dms_index_txn *txn, struct dms_index_meta *meta,
                    const struct dms_edit *edit, uint64_t segment);

/* Writes a whole catalog into an empty index. */
int dms_index_store_catalog(struct dms_index_txn *txn, struct dms_index_meta *meta,
                            const struct dms_catalog *catalog);

/* Where a model is. */
struct dms_id_place {
    bool staged; /* in a batch, else in a group */
    uint64_t container;
    uint32_t row;
};

/* The place of a model id; DMS_END when it is not there. */
int dms_index_find_id(struct dms_index_txn *txn, uint64_t id, struct dms_id_place *place);
/* The smallest model id >= id that is there; DMS_END when there is none. */
int dms_index_next_id(struct dms_index_txn *txn, uint64_t id, uint64_t *next);
/* Calls visit for every run of ids, in order. */
int dms_index_each_id_run(struct dms_index_txn *txn,
                          int (*visit)(void *context, uint64_t first, uint32_t count,
                                       const struct dms_id_place *place),
                          void *context);

/* Segments that a process is writing and has not committed to yet. */
int dms_index_put_pending(struct dms_index_txn *txn, uint64_t segment);
int dms_index_delete_pending(struct dms_index_txn *txn, uint64_t segment);
int dms_index_is_pending(struct dms_index_txn *txn,
                         uint64_t segment); /* 0, or DMS_END: it is not */
int dms_index_each_pending(struct dms_index_txn *txn, int (*visit)(void *context, uint64_t segment),
                           void *context);

/* Totals over live sealed rows: training examples' counts, and sums of every value of an output
 * column (dtype of the column; f32 sums are doubles in the bits of the struct). sign is +1 or -1.
 */
int dms_index_add_counts(struct dms_index_txn *txn, const uint32_t *counts, uint64_t count_ct,
                         int sign);
int dms_index_get_counts(struct dms_index_txn *txn, uint64_t *counts, uint64_t count_ct);
int dms_index_add_sums(struct dms_index_txn *txn, const struct dms_column *column,
                       uint64_t first_value, const struct dms_exact_sum *sums, uint64_t value_ct,
                       int sign);
int dms_index_get_sums(struct dms_index_txn *txn, const struct dms_column *column,
                       struct dms_exact_sum *sums);
int dms_index_clear_totals(struct dms_index_txn *txn);

#endif
