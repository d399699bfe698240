/*
 * Counts of pairs of the row sets of a store: found as a file, or counted from the snapshot. What
 * is told in dmstore/gram.h; a solver takes the counts themselves.
 */
#ifndef DMS_SOLVER_GRAM_H
#define DMS_SOLVER_GRAM_H

#include <stdbool.h>

#include "dmstore/gram.h"
#include "solver/gram_writer.h"
#include "solver/pair_build.h"

struct dms_model_hashes; /* solver/split.h */

/* As dms_gram_open, with the threads of a pool (options->thread_ct is not looked at). The caller
 * ends *counts with dms_pair_counts_free. */
int dms_pair_counts_get(dms_snapshot *snapshot, const struct dms_row_set *rows,
                        struct dms_pool *pool, const struct dms_gram_options *options,
                        struct dms_pair_counts **counts, struct dms_gram_result *result);

/* ---- files (gram_files.c) ---- */

/* What the name of a file says: "DIGEST.pairs" or "DIGEST.COLUMN.products". */
struct dms_gram_name {
    enum dms_gram_kind kind;
    char digest[DMS_DIGEST_TEXT_BYTES]; /* of the row set */
    uint32_t column_id;                 /* of products */
    bool unfinished;                    /* ".tmp" behind it: a writer is at it, or crashed */
};

/* The path of such a file in new memory; column_id is looked at for products only. */
char *dms_gram_path(const char *store_path, const struct dms_row_set *rows, enum dms_gram_kind kind,
                    uint32_t column_id);

/* Calls visit(context, path, name) for every finished file, by name; ends early with what it
 * returns unless that is 0. */
int dms_gram_each(const char *store_path,
                  int (*visit)(void *context, const char *path, const struct dms_gram_name *name),
                  void *context);

/* (gram_rows.c) Checks that the models of `rows` are in the snapshot with the masks of the digest
 * (`role` is what messages call them), then calls visit(context, path, name, hashes) for every
 * finished file, as dms_gram_each: one of them may be of some of these models. A directory that
 * cannot be read has none. */
int dms_gram_search(dms_snapshot *snapshot, const struct dms_row_set *rows, const char *role,
                    unsigned thread_ct,
                    int (*visit)(void *context, const char *path, const struct dms_gram_name *name,
                                 const struct dms_model_hashes *hashes),
                    void *context);

/* PERMISSION: the snapshot is of a manifest, which is for reading. */
int dms_gram_check_writable(const dms_snapshot *snapshot);

/* Removes a file for good, unless it is somebody else's to remove. */
int dms_gram_remove_file(const char *path);

/* Removes unfinished files that no writer is at, as far as they can be removed. */
int dms_gram_remove_leftovers(const char *store_path);

/* ---- memory (gram_plan.c) ---- */

/* What is to be counted, and with what. */
struct dms_gram_task {
    dms_snapshot *snapshot;
    uint64_t row_ct;
    uint64_t kept_bytes;   /* of the outcome, where it stays in memory */
    uint64_t memory_bytes; /* for all of it */
    unsigned thread_ct;
    bool on_device;
};

struct dms_gram_plan {
    size_t block_words;  /* a word is 64 rows */
    bool holds_rows;     /* a block has all rows, and stays from band to band */
    uint64_t band_bytes; /* dms_pair_build.memory_bytes */
    uint64_t band_ct;
    unsigned thread_ct; /* that count: fewer than the task's where more do not fit */
};

/* INVALID: not even the smallest block and band of one thread fit; the message says what they take.
 */
int dms_gram_plan_make(const struct dms_gram_task *task, struct dms_gram_plan *plan);

/* ---- the rows of a snapshot (gram_source.c) ---- */

struct dms_gram_source {
    dms_snapshot *snapshot;
    const struct dms_id_range *ranges; /* of the models that are counted */
    size_t range_ct;
    uint64_t row_ct;
    size_t block_words; /* a multiple of DMS_PASS_ROWS / 64 */
    bool holds_rows;    /* they are one block, which is read at the first visit only */
    uint64_t visit_ct;  /* that there will be */
    uint64_t done_ct;   /* models handed over so far, in all visits */
    dms_progress progress;
    void *progress_context;
    uint64_t *columns; /* of a block; dms_gram_source_begin */
    size_t held_words; /* of it, 0: it was not read, or is not held */
};

/* Bytes that a source takes while it is visited, beside the block. */
uint64_t dms_gram_source_bytes(dms_snapshot *snapshot, uint64_t row_ct);

/* Completes a source whose other fields are set, and describes it in *source. The caller ends it
 * with dms_gram_source_end, which accepts what is all zero. */
int dms_gram_source_begin(struct dms_gram_source *rows, struct dms_pair_source *source);
void dms_gram_source_end(struct dms_gram_source *rows);

/* ---- writing (pair_write.c) ---- */

/* Counts what `plan` says (its begin and keep are not used) into the writer's file and finishes it.
 */
int dms_pairs_write(struct dms_gram_writer *writer, const struct dms_gram_description *description,
                    const struct dms_pair_build *plan);

#endif
