/*
 * The index as verify and recover see it: read at once in one short transaction, if it can be read
 * at all, and held against what the segment files say.
 */
#ifndef DMS_STORE_INDEX_CHECK_H
#define DMS_STORE_INDEX_CHECK_H

#include "format/state.h"
#include "store/index.h"
#include "store/totals.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A run of live ids at consecutive rows. */
struct dms_placed_run {
    uint64_t first;
    uint64_t count;
    struct dms_id_place place; /* of the first id */
};

struct dms_placed_runs {
    struct dms_placed_run *runs;
    size_t run_ct, capacity;
};

/* What the index says. */
struct dms_index_view {
    struct dms_index_meta meta;
    struct dms_catalog catalog;
    uint64_t *pending; /* segments that are being written */
    size_t pending_ct, pending_capacity;
    struct dms_placed_runs placed;
    uint64_t *counts;            /* example_ct, NULL unless asked for */
    struct dms_exact_sum **sums; /* by column; NULL unless asked for */
};

/* Reads the index of a store. CORRUPT, IO or NOT_FOUND: it is damaged or missing. An index so
 * damaged that LMDB crashes on it is CORRUPT too: it is read in a child process first. */
int dms_index_view_read(const char *store_path, bool with_totals, struct dms_index_view *view);
void dms_index_view_free(struct dms_index_view *view);

/* 0 when the index says the same as a catalog that was replayed from the segments; CORRUPT with the
 * first difference. */
int dms_index_view_compare(const struct dms_index_view *view, const struct dms_catalog *replayed);

/* 0 when the ids of the index are the live ids of its own groups and batches, at their places. */
int dms_index_view_check_ids(const struct dms_index_view *view);

/* 0 when the totals of the index are those that were added up. */
int dms_index_view_check_totals(const struct dms_index_view *view, const struct dms_totals *totals);

#endif
