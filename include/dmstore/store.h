/*
 * Writing to a store: create, append, bulk write, seal, remove, compact, merge. Everything that
 * changes a store goes through these functions; reading is in dmstore/snapshot.h.
 *
 * Durability: when a function here returns 0, what it wrote survives kill -9 and power loss. When
 * it fails, the store is in its last committed state. A failed fsync poisons the handle: every
 * later write returns DMS_ERR_POISONED, and the store must be opened again.
 *
 * Concurrency: any number of processes may write to one store; within a process a handle may be
 * shared by threads (threads that append at the same time share one commit). After fork() the child
 * must open the store again: a handle of the parent returns DMS_ERR_FORKED.
 */
#ifndef DMSTORE_STORE_H
#define DMSTORE_STORE_H

#include "dmstore/error.h"
#include "dmstore/schema.h"

DMS_BEGIN_DECLS

typedef struct dms_store dms_store;
struct dms_snapshot;

/* What to do with a row whose model id is there already with other bytes (with the same bytes it is
 * a no-op). */
enum dms_on_duplicate {
    DMS_DUPLICATE_ERROR = 0, /* fail with DMS_ERR_CONFLICT and name the id */
    DMS_DUPLICATE_KEEP = 1,  /* leave the row that is there */
    DMS_DUPLICATE_REPLACE = 2,
};

/* What a write did, in rows. */
struct dms_write_result {
    uint64_t added_ct;
    uint64_t unchanged_ct; /* were there with the same bytes */
    uint64_t kept_ct;      /* were there with other bytes, kept */
    uint64_t replaced_ct;
};

/* Called between units of work from the calling thread; a non-zero return stops the operation with
 * DMS_ERR_INTERRUPTED after what was committed so far. total 0: not known. */
typedef int (*dms_progress)(void *context, uint64_t done_rows, uint64_t total_rows);

/* ---- create, open ---- */

/* Creates the directory `path` (which must not exist, or be an empty directory) with an empty store
 * of this schema. Read from *schema: example_ct (>= 1), chunk_rows (0: chosen from example_ct),
 * codec, digest, the output and scalar columns (ids and tile widths are chosen here; the mask and
 * model id columns are added) and metadata. Errors: EXISTS, INVALID, UNSUPPORTED (network file
 * system: LMDB cannot be used there), IO ... */
DMS_API int dms_store_create(const char *path, const struct dms_schema *schema);

/* Opens a store for writing. The caller owns *store and ends it with dms_store_close. */
DMS_API int dms_store_open(const char *path, dms_store **store);
DMS_API void dms_store_close(dms_store *store);

/* Opens a snapshot of the store's current state (see dmstore/snapshot.h); it may outlive the store
 * handle. */
DMS_API int dms_store_snapshot(dms_store *store, struct dms_snapshot **snapshot);

/* Adds an output or scalar column; rows that are there have no value in it until it is filled
 * (dms_store_fill). */
DMS_API int dms_store_add_column(dms_store *store, const struct dms_column *column);

/* ---- row-at-a-time ingest ---- */

/* Claims that a mask was drawn by dms_sample_mask (dmstore/sample.h); it is compared bit by bit
 * before it is believed. */
struct dms_sampling {
    uint64_t subset_size;
    uint64_t seed;
};

/* One model. outputs and scalars: one pointer a column, in the order of the schema's output and
 * scalar columns; NULL for a value this model does not have. A value is stored as it is in memory
 * (dms_column_value_bytes a value). */
struct dms_row {
    uint64_t id;
    const uint8_t *mask; /* (example_ct + 7) / 8 bytes; the bits after the last example are zero */
    const void *const *outputs;
    const void *const *scalars;
    const struct dms_sampling *sampling; /* NULL: not claimed */
    /* Columns, the mask and the model id included, of the schema that outputs and scalars were made
     * for. Columns that somebody has added since (always at the end) are absent. 0: the schema as
     * it was when the store was opened. */
    uint32_t column_ct;
};

/* Appends one model durably. outputs or scalars may be NULL when no column of that kind has a
 * value. Duplicate ids: DMS_DUPLICATE_ERROR. Rows are staged and become a sealed group when
 * chunk_rows of them have come. */
DMS_API int dms_append(dms_store *store, uint64_t id, const uint8_t *mask,
                       const void *const *outputs, const void *const *scalars);

/* Appends row_ct models in one commit: all of them or none. result may be NULL. */
DMS_API int dms_append_rows(dms_store *store, const struct dms_row *rows, size_t row_ct,
                            enum dms_on_duplicate on_duplicate, struct dms_write_result *result);

/* Turns all staged rows into groups now. *row_ct (may be NULL): rows sealed. */
DMS_API int dms_store_seal(dms_store *store, uint64_t *row_ct);

/* ---- bulk ---- */

/* Rows that a bulk write pulls from the caller. The functions are called from several threads at
 * once, for disjoint ranges, and return 0 or a negative dms_error with the message set by
 * dms_source_fail. */
struct dms_row_source {
    void *context;
    uint64_t row_ct;
    const uint64_t *ids; /* row_ct model ids */
    /* Packed masks of rows row .. row + row_ct - 1, (example_ct + 7) / 8 bytes each, without gaps.
     * NULL for a fill. */
    int (*read_masks)(void *context, uint64_t row, uint32_t row_ct, uint8_t *masks);
    /* Columns that this source has: positions in the schema (output or scalar columns). */
    uint32_t column_ct;
    const uint32_t *columns;
    /* Values of targets target .. target + target_ct - 1 of those rows, columns[column_index], as
     * in memory: row_ct x (target_ct x values_per_target) values without gaps. */
    int (*read_values)(void *context, uint32_t column_index, uint64_t row, uint32_t row_ct,
                       uint64_t target, uint64_t target_ct, void *values);
    const struct dms_sampling *sampling; /* NULL, or the claim for every row */
};

/* For callbacks of a row source: sets the message of this thread and returns `code`. */
DMS_API int dms_source_fail(int code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct dms_write_options {
    enum dms_on_duplicate on_duplicate;
    unsigned thread_ct; /* 0: one a processor */
    dms_progress progress;
    void *progress_context;
};

/* Writes all rows of the source as sealed groups, committing every 512 MiB or so; rows that are
 * there with the same bytes are skipped, so that an interrupted write is continued by repeating it.
 * options and result may be NULL. */
DMS_API int dms_store_write(dms_store *store, const struct dms_row_source *source,
                            const struct dms_write_options *options,
                            struct dms_write_result *result);

/* Fills columns of rows that are there (source->read_masks is not used): every id must be there. */
DMS_API int dms_store_fill(dms_store *store, const struct dms_row_source *source,
                           const struct dms_write_options *options,
                           struct dms_write_result *result);

/* ---- remove, compact, merge, spool ---- */

/* Removes models by tombstones; the space comes back with dms_store_compact. An id that is not
 * there is DMS_ERR_NOT_FOUND (nothing is removed) unless ignore_missing. *removed_ct may be NULL.
 */
DMS_API int dms_store_remove(dms_store *store, const uint64_t *ids, size_t id_ct,
                             bool ignore_missing, uint64_t *removed_ct);

struct dms_compact_options {
    const struct dms_codec *codec; /* NULL: keep the store's codec, and chunks as they are */
    bool all;           /* rewrite every group, not only those that have something to gain */
    unsigned thread_ct; /* 0: one a processor */
    dms_progress progress;
    void *progress_context;
};

struct dms_compact_result {
    uint64_t group_ct_before, group_ct_after;
    uint64_t bytes_before, bytes_after; /* of all segment files */
    uint64_t rewritten_rows;
};

/* Seals staged rows, drops tombstoned rows, joins short groups and, with a codec, rewrites every
 * group and makes that codec the store's. Segments without live content are removed. Snapshots that
 * are open keep theirs. */
DMS_API int dms_store_compact(dms_store *store, const struct dms_compact_options *options,
                              struct dms_compact_result *result);

/* 0 when models of `source` can go into the store: example_ct, columns (names, dtypes, shapes) and
 * dataset digest agree. INVALID with the first difference. */
DMS_API int dms_store_check_mergeable(dms_store *store, const struct dms_snapshot *source);

/* Copies all models of `source` into the store, which must be mergeable. Ids that are in both with
 * other bytes: as options->on_duplicate. */
DMS_API int dms_store_merge(dms_store *store, struct dms_snapshot *source,
                            const struct dms_write_options *options,
                            struct dms_write_result *result);

/* Writes the rows as one file of the directory `spool` (created when missing) for
 * dms_spool_collect: temporary name, fsync, rename; no LMDB and no lock, so that it works on a
 * network file system. `schema` as read from the store. */
DMS_API int dms_spool_write(const char *spool, const char *store_path, const struct dms_row *rows,
                            size_t row_ct);

/* Reads the newest schema of a store directory from its segment files alone, or of a manifest. The
 * caller owns *schema and ends it with dms_schema_free. */
DMS_API int dms_schema_read(const char *path, struct dms_schema **schema);
DMS_API void dms_schema_free(struct dms_schema *schema);

/* Appends the rows of every file in `spool` and removes each file once its rows are durable (unless
 * keep_files). A damaged file is left where it is; the others are collected and the first failure
 * is returned. */
DMS_API int dms_spool_collect(dms_store *store, const char *spool,
                              enum dms_on_duplicate on_duplicate, bool keep_files,
                              struct dms_write_result *result);

DMS_END_DECLS

#endif
