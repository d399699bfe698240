/*
 * The order in which an export reads: the models of a snapshot by increasing id are the rows of the
 * files, but they are read group by group, so that every chunk is decoded once.
 */
#ifndef DMSTORE_TOOLS_ROW_PLAN_H
#define DMSTORE_TOOLS_ROW_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include <dmstore/snapshot.h>

/* Rows row .. row + row_ct - 1 of a group are rows file_row ... of the files. */
struct row_piece {
    size_t group;
    uint32_t row;
    uint32_t row_ct;
    uint64_t file_row;
    uint64_t first_id; /* of `row`; the others follow */
};

/* All live rows, by group and row. Starts as {0}, ended with row_plan_free. */
struct row_plan {
    struct row_piece *pieces;
    size_t piece_ct;
    uint64_t row_ct; /* of the files */
};

int row_plan_make(dms_snapshot *snapshot, struct row_plan *plan);
void row_plan_free(struct row_plan *plan);

/* The end of the pieces that are in the same group as piece `first`. */
size_t row_plan_group_end(const struct row_plan *plan, size_t first);

#endif
