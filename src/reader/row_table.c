/*
 * Making the table of rows: the snapshot's live ids, in order, are held against the ids asked for
 * and the rows that have a value; what remains gets its rank, and is then put in the order in which
 * rows lie.
 */
#include "reader/row_table.h"

#include "base/alloc.h"
#include "base/error.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The rank of a row that was not asked for. */
#define NOT_KEPT UINT32_MAX

/* Where the rows of a group are, while the table is made. */
struct group_rows {
    uint64_t first;   /* of its rows, among all rows of the snapshot */
    uint8_t *present; /* owned, read when first needed; NULL: not yet */
};

struct maker {
    dms_snapshot *snapshot;
    uint32_t column; /* 0: none */
    struct group_rows *groups;
    size_t group_ct;
    uint32_t *ranks; /* of all rows of the snapshot, then of the kept ones */
    uint64_t rank_ct;
    size_t run_capacity;
    struct dms_row_table *table;
};

/* ---- blocks ---- */

/* Makes a block of each group, or joins staged batches; row counts only. */
static int make_blocks(struct maker *maker, bool join_staged)
{
    struct dms_row_table *table = maker->table;
    uint32_t joined_rows = dms_snapshot_schema(maker->snapshot)->chunk_rows;
    uint64_t row_ct = 0;
    for (size_t group = 0; group < maker->group_ct; group++) {
        struct dms_group_info info;
        int status = dms_snapshot_group(maker->snapshot, group, &info);
        if (status != 0) {
            return status;
        }
        maker->groups[group].first = row_ct;
        row_ct += info.row_ct;
        struct dms_row_block *last =
            table->block_ct > 0 ? &table->blocks[table->block_ct - 1] : NULL;
        if (join_staged && info.staged && last && last->staged &&
            last->row_ct + info.row_ct <= joined_rows) {
            last->group_ct++;
            last->row_ct += info.row_ct;
        } else {
            table->blocks[table->block_ct++] = (struct dms_row_block){
                .group = group, .group_ct = 1, .staged = info.staged, .row_ct = info.row_ct};
        }
    }
    maker->groups[maker->group_ct].first = row_ct;
    return row_ct < NOT_KEPT
               ? 0
               : dms_fail(DMS_ERR_UNSUPPORTED, "a reader takes fewer than 2^32 rows, not %" PRIu64,
                          row_ct);
}

/* ---- which rows, and their ranks ---- */

static int load_present(struct maker *maker, size_t group)
{
    struct group_rows *rows = &maker->groups[group];
    uint8_t *present = dms_alloc((size_t)((rows[1].first - rows->first + 7) / 8), 1);
    int status = present
                     ? dms_snapshot_group_present(maker->snapshot, group, maker->column, present)
                     : DMS_ERR_NO_MEMORY;
    if (status != 0) {
        free(present);
        return status;
    }
    rows->present = present;
    return 0;
}

/* Gives the next rank to a model. */
static int add_rank(struct maker *maker, uint64_t id, uint64_t row)
{
    struct dms_row_table *table = maker->table;
    const struct dms_rank_run *last = table->run_ct > 0 ? &table->runs[table->run_ct - 1] : NULL;
    if (!last || id - last->first_id != maker->rank_ct - last->first_rank) {
        int status = dms_grow((void **)&table->runs, &maker->run_capacity, table->run_ct + 1,
                              sizeof *table->runs);
        if (status != 0) {
            return status;
        }
        table->runs[table->run_ct++] = (struct dms_rank_run){id, maker->rank_ct};
    }
    maker->ranks[row] = (uint32_t)maker->rank_ct++;
    return 0;
}

/* Takes the models first .. last of a run of live ids; must_have: it is an error when one of them
 * has no value. */
static int add_ids(struct maker *maker, const struct dms_id_run *run, uint64_t first, uint64_t last,
                   bool must_have)
{
    const struct group_rows *group = &maker->groups[run->position.group];
    int status = 0;
    if (maker->column != 0 && !group->present) {
        status = load_present(maker, run->position.group);
    }
    uint32_t row = run->position.row + (uint32_t)(first - run->first_id);
    for (uint64_t id = first; status == 0; id++, row++) {
        if (maker->column == 0 || group->present[row >> 3] >> (row & 7) & 1) {
            status = add_rank(maker, id, group->first + row);
        } else if (must_have) {
            const struct dms_schema *schema = dms_snapshot_schema(maker->snapshot);
            status = dms_fail(DMS_ERR_NOT_FOUND, "model %" PRIu64 " has no value in column %s", id,
                              schema->columns[maker->column].name);
        }
        if (id == last) {
            break;
        }
    }
    return status;
}

static uint64_t last_of(uint64_t first, uint64_t count)
{
    return first + (count - 1);
}

/* Takes every live model that has a value. */
static int add_all(struct maker *maker, const struct dms_id_run *runs, size_t run_ct)
{
    int status = 0;
    for (size_t k = 0; status == 0 && k < run_ct; k++) {
        status = add_ids(maker, &runs[k], runs[k].first_id,
                         last_of(runs[k].first_id, runs[k].id_ct), false);
    }
    return status;
}

/* Takes the models of one range, starting to look at runs[*at]. */
static int add_range(struct maker *maker, const struct dms_id_run *runs, size_t run_ct, size_t *at,
                     const struct dms_id_range *range)
{
    uint64_t last = last_of(range->first_id, range->id_ct);
    uint64_t next = range->first_id;
    for (;; (*at)++) {
        while (*at < run_ct && last_of(runs[*at].first_id, runs[*at].id_ct) < next) {
            (*at)++;
        }
        if (*at == run_ct || runs[*at].first_id > next) {
            return dms_fail(DMS_ERR_NOT_FOUND, "there is no model %" PRIu64, next);
        }
        uint64_t run_last = last_of(runs[*at].first_id, runs[*at].id_ct);
        uint64_t until = run_last < last ? run_last : last;
        int status = add_ids(maker, &runs[*at], next, until, true);
        if (status != 0 || until == last) {
            return status;
        }
        next = until + 1;
    }
}

static int check_ranges(const struct dms_id_range *ids, size_t id_range_ct)
{
    for (size_t k = 0; k < id_range_ct; k++) {
        if (ids[k].id_ct == 0 || last_of(ids[k].first_id, ids[k].id_ct) < ids[k].first_id ||
            (k > 0 && ids[k].first_id <= last_of(ids[k - 1].first_id, ids[k - 1].id_ct))) {
            return dms_fail(DMS_ERR_INVALID,
                            "ranges of model ids must be increasing, disjoint and not empty: "
                            "range %zu, from %" PRIu64 " on, is not",
                            k, ids[k].first_id);
        }
    }
    return 0;
}

static int add_ranges(struct maker *maker, const struct dms_id_run *runs, size_t run_ct,
                      const struct dms_id_range *ids, size_t id_range_ct)
{
    size_t at = 0;
    int status = check_ranges(ids, id_range_ct);
    for (size_t k = 0; status == 0 && k < id_range_ct; k++) {
        status = add_range(maker, runs, run_ct, &at, &ids[k]);
    }
    return status;
}

/* ---- the table ---- */

/* Lists the kept rows of a block, and moves their ranks to where they belong. */
static int finish_block(struct maker *maker, struct dms_row_block *block, uint64_t *index)
{
    const uint32_t *ranks = maker->ranks + maker->groups[block->group].first;
    for (uint32_t row = 0; row < block->row_ct; row++) {
        block->kept_ct += ranks[row] != NOT_KEPT;
    }
    if (block->kept_ct < block->row_ct && block->kept_ct > 0) {
        block->kept = dms_alloc(block->kept_ct, sizeof *block->kept);
        if (!block->kept) {
            return DMS_ERR_NO_MEMORY;
        }
        maker->table->bytes += block->kept_ct * sizeof *block->kept;
    }
    uint32_t kept_ct = 0;
    for (uint32_t row = 0; row < block->row_ct; row++) {
        if (ranks[row] != NOT_KEPT) {
            if (block->kept) {
                block->kept[kept_ct++] = row;
            }
            maker->ranks[(*index)++] = ranks[row];
        }
    }
    return 0;
}

/* Drops the blocks and ranks of which nothing was asked for. */
static int finish(struct maker *maker)
{
    struct dms_row_table *table = maker->table;
    size_t block_ct = table->block_ct;
    table->block_ct = 0;
    for (size_t k = 0; k < block_ct; k++) {
        struct dms_row_block block = table->blocks[k];
        table->starts[table->block_ct] = table->row_ct;
        int status = finish_block(maker, &block, &table->row_ct);
        if (status != 0) {
            return status;
        }
        if (block.kept_ct > 0) {
            table->blocks[table->block_ct++] = block;
        }
    }
    table->starts[table->block_ct] = table->row_ct;
    table->ranks = dms_realloc_array(maker->ranks, (size_t)table->row_ct + 1, sizeof *table->ranks);
    if (!table->ranks) {
        return DMS_ERR_NO_MEMORY;
    }
    maker->ranks = NULL;
    table->bytes += table->row_ct * sizeof *table->ranks +
                    maker->run_capacity * sizeof *table->runs +
                    block_ct * (sizeof *table->blocks + sizeof *table->starts);
    return 0;
}

static int make(struct maker *maker, bool join_staged, const struct dms_id_range *ids,
                size_t id_range_ct)
{
    struct dms_row_table *table = maker->table;
    const struct dms_id_run *runs;
    size_t run_ct;
    maker->group_ct = dms_snapshot_group_ct(maker->snapshot);
    maker->groups = dms_alloc(maker->group_ct + 1, sizeof *maker->groups);
    table->blocks = dms_alloc(maker->group_ct, sizeof *table->blocks);
    table->starts = dms_alloc(maker->group_ct + 1, sizeof *table->starts);
    if (!maker->groups || !table->blocks || !table->starts) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = make_blocks(maker, join_staged);
    if (status == 0) {
        status = dms_snapshot_id_runs(maker->snapshot, &runs, &run_ct);
    }
    if (status != 0) {
        return status;
    }
    size_t all_ct = (size_t)maker->groups[maker->group_ct].first;
    maker->ranks = dms_alloc(all_ct + 1, sizeof *maker->ranks);
    if (!maker->ranks) {
        return DMS_ERR_NO_MEMORY;
    }
    memset(maker->ranks, 0xff, all_ct * sizeof *maker->ranks);
    status = ids ? add_ranges(maker, runs, run_ct, ids, id_range_ct) : add_all(maker, runs, run_ct);
    return status ? status : finish(maker);
}

int dms_row_table_make(dms_snapshot *snapshot, uint32_t column, bool join_staged,
                       const struct dms_id_range *ids, size_t id_range_ct,
                       struct dms_row_table *table)
{
    struct dms_row_table made = {0};
    struct maker maker = {.snapshot = snapshot, .column = column, .table = &made};
    int status = make(&maker, join_staged, ids, id_range_ct);
    for (size_t group = 0; maker.groups && group < maker.group_ct; group++) {
        free(maker.groups[group].present);
    }
    free(maker.groups);
    free(maker.ranks);
    if (status != 0) {
        dms_row_table_clear(&made);
        return status;
    }
    *table = made;
    return 0;
}

void dms_row_table_clear(struct dms_row_table *table)
{
    for (size_t k = 0; table->blocks && k < table->block_ct; k++) {
        free(table->blocks[k].kept);
    }
    free(table->blocks);
    free(table->starts);
    free(table->ranks);
    free(table->runs);
    *table = (struct dms_row_table){0};
}

uint64_t dms_row_table_id(const struct dms_row_table *table, uint32_t rank)
{
    /* The last run that begins at this rank or before. */
    size_t low = 0;
    size_t high = table->run_ct;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (table->runs[middle].first_rank <= rank) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return table->runs[low].first_id + (rank - table->runs[low].first_rank);
}

size_t dms_find_span(const uint64_t *starts, size_t count, uint64_t at)
{
    size_t low = 0;
    size_t high = count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (starts[middle] <= at) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}
