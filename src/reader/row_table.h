/*
 * Which rows a reader delivers: blocks of rows as they lie in the snapshot, the rows of them that
 * were asked for, and the model id and rank of each. A row is named by its index: its place among
 * the rows asked for, in the order of the snapshot. Made once, when a reader is opened, and
 * constant from then on; 4 bytes a row, and 16 for each run of consecutive ids.
 */
#ifndef DMS_READER_ROW_TABLE_H
#define DMS_READER_ROW_TABLE_H

#include "dmstore/reader.h"

/* A sealed group, or batches of staged rows that follow one another and are taken as one. */
struct dms_row_block {
    size_t group;      /* of the snapshot: the first one */
    uint32_t group_ct; /* > 1 for staged batches only */
    bool staged;
    uint32_t row_ct;  /* all rows, numbered through the block's groups */
    uint32_t kept_ct; /* those asked for, > 0 */
    uint32_t *kept;   /* kept_ct increasing row numbers; NULL: every row */
};

/* Models first_id, first_id + 1, ... have the ranks first_rank, first_rank + 1, ... */
struct dms_rank_run {
    uint64_t first_id;
    uint64_t first_rank;
};

struct dms_row_table {
    uint64_t row_ct; /* rows asked for, below 2^32 */
    size_t block_ct; /* blocks that have some of them */
    struct dms_row_block *blocks;
    uint64_t *starts; /* block_ct + 1: index of the first row of each block; row_ct at the end */
    uint32_t *ranks;  /* row_ct: by index */
    struct dms_rank_run *runs;
    size_t run_ct;
    uint64_t bytes; /* of memory that all of this takes */
};

/* Fills *table. `column`: of the output that every row must have a value in, 0 for none.
 * join_staged: take staged batches together in blocks of about a group's size; else each is a
 * block. ids: as in dms_reader_options. Errors: INVALID, NOT_FOUND (a model asked for is not there
 * or has no value), UNSUPPORTED (too many rows). */
int dms_row_table_make(dms_snapshot *snapshot, uint32_t column, bool join_staged,
                       const struct dms_id_range *ids, size_t id_range_ct,
                       struct dms_row_table *table);
void dms_row_table_clear(struct dms_row_table *table);

/* The id of the model with this rank. */
uint64_t dms_row_table_id(const struct dms_row_table *table, uint32_t rank);

/* Which of `count` spans holds `at`: span k is starts[k] .. starts[k + 1] - 1. */
size_t dms_find_span(const uint64_t *starts, size_t count, uint64_t at);

#endif
