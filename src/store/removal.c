/*
 * Removing rows: see removal.h; and dms_store_remove.
 */
#include "store/removal.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/order.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void dms_removal_begin(struct dms_removal *removal, struct dms_snapshot *snapshot)
{
    *removal = (struct dms_removal){.snapshot = snapshot};
}

void dms_removal_clear(struct dms_removal *removal)
{
    free(removal->rows);
    dms_totals_free(&removal->totals);
    *removal = (struct dms_removal){0};
}

struct dms_id_place dms_snapshot_place(const struct dms_snapshot *snapshot,
                                       struct dms_position position)
{
    const struct dms_group_record *group = dms_snapshot_sealed_group(snapshot, position.group);
    if (group) {
        return (struct dms_id_place){.container = group->number, .row = position.row};
    }
    return (struct dms_id_place){true, dms_snapshot_staged_batch(snapshot, position.group)->number,
                                 position.row};
}

int dms_removal_add(struct dms_removal *removal, uint64_t id, struct dms_position position)
{
    int status = dms_grow((void **)&removal->rows, &removal->capacity, removal->row_ct + 1,
                          sizeof *removal->rows);
    if (status == 0) {
        removal->rows[removal->row_ct++] = (struct dms_removed_row){
            id, position.group, dms_snapshot_place(removal->snapshot, position)};
    }
    return status;
}

static int compare_places(const void *a, const void *b)
{
    const struct dms_removed_row *left = a;
    const struct dms_removed_row *right = b;
    if (left->group != right->group) {
        return left->group < right->group ? -1 : 1;
    }
    return (left->place.row > right->place.row) - (left->place.row < right->place.row);
}

/* Rows of the sorted list from `first` on that stand one after another in one container. */
static size_t adjacent_rows(const struct dms_removal *removal, size_t first)
{
    size_t count = 1;
    while (first + count < removal->row_ct &&
           removal->rows[first + count].group == removal->rows[first].group &&
           removal->rows[first + count].place.row == removal->rows[first].place.row + count) {
        count++;
    }
    return count;
}

int dms_removal_prepare(struct dms_removal *removal)
{
    if (removal->row_ct == 0) {
        return 0;
    }
    qsort(removal->rows, removal->row_ct, sizeof *removal->rows, compare_places);
    int status = dms_totals_begin(&removal->totals, dms_snapshot_schema(removal->snapshot));
    for (size_t k = 0; status == 0 && k < removal->row_ct;) {
        size_t count = adjacent_rows(removal, k);
        const struct dms_removed_row *row = &removal->rows[k];
        if (!row->place.staged) {
            status = dms_totals_add_rows(&removal->totals, removal->snapshot, row->group,
                                         row->place.row, (uint32_t)count);
        }
        k += count;
    }
    if (status == DMS_ERR_CORRUPT) {
        removal->is_unreadable = true;
        status = 0;
    }
    return status;
}

int dms_removal_check(const struct dms_removal *removal, struct dms_index_txn *txn)
{
    for (size_t k = 0; k < removal->row_ct; k++) {
        const struct dms_id_place *expected = &removal->rows[k].place;
        struct dms_id_place place;
        int status = dms_index_find_id(txn, removal->rows[k].id, &place);
        if (status != 0) {
            return status;
        }
        if (place.staged != expected->staged || place.container != expected->container ||
            place.row != expected->row) {
            return DMS_END;
        }
    }
    return 0;
}

/* The edit for the rows of one container, from sorted row `first` on. */
static int commit_container(const struct dms_removal *removal, size_t first, size_t count,
                            struct dms_commit *commit)
{
    uint8_t *rows = dms_alloc(count, 4);
    if (!rows) {
        return DMS_ERR_NO_MEMORY;
    }
    for (size_t k = 0; k < count; k++) {
        dms_store_u32(rows + k * 4, removal->rows[first + k].place.row);
    }
    const struct dms_id_place *place = &removal->rows[first].place;
    struct dms_edit edit = {
        .type = DMS_EDIT_REMOVE_ROWS,
        .remove_rows = {place->staged, (uint32_t)count, place->container, rows},
    };
    int status = dms_commit_edit(commit, &edit);
    free(rows);
    return status;
}

int dms_removal_commit(const struct dms_removal *removal, struct dms_commit *commit)
{
    int status = 0;
    for (size_t first = 0; status == 0 && first < removal->row_ct;) {
        size_t count = 1;
        while (first + count < removal->row_ct &&
               removal->rows[first + count].group == removal->rows[first].group) {
            count++;
        }
        status = commit_container(removal, first, count, commit);
        first += count;
    }
    if (removal->row_ct == 0 || status != 0) {
        return status;
    }
    if (removal->is_unreadable) {
        commit->meta.statistics_stale = 1;
        return 0;
    }
    return dms_totals_apply(&removal->totals, dms_snapshot_schema(removal->snapshot), commit->txn,
                            -1);
}

/* ---- dms_store_remove ---- */

struct remove_commit {
    const struct dms_removal *removal;
    bool has_moved;
};

static int commit_removal(void *context, struct dms_commit *commit)
{
    struct remove_commit *remove = context;
    int status = dms_removal_check(remove->removal, commit->txn);
    remove->has_moved = status == DMS_END;
    return status ? status : dms_removal_commit(remove->removal, commit);
}

static int find_rows(struct dms_removal *removal, const uint64_t *ids, size_t id_ct,
                     bool ignore_missing)
{
    int status = 0;
    for (size_t k = 0; status == 0 && k < id_ct; k++) {
        struct dms_position position;
        status = dms_snapshot_find(removal->snapshot, ids[k], &position);
        if (status == 0) {
            status = dms_removal_add(removal, ids[k], position);
        } else if (status == DMS_ERR_NOT_FOUND && ignore_missing) {
            status = 0;
        }
    }
    return status;
}

/* One attempt on the store's state of now; DMS_END: rows have moved meanwhile. */
static int remove_once(dms_store *store, const uint64_t *ids, size_t id_ct, bool ignore_missing,
                       uint64_t *removed_ct)
{
    struct dms_snapshot *snapshot;
    struct dms_removal removal;
    int status = dms_store_snapshot(store, &snapshot);
    if (status != 0) {
        return status;
    }
    dms_removal_begin(&removal, snapshot);
    status = find_rows(&removal, ids, id_ct, ignore_missing);
    if (status == 0) {
        status = dms_removal_prepare(&removal);
    }
    if (status == 0 && removal.row_ct > 0) {
        struct remove_commit remove = {.removal = &removal};
        status = dms_commit_run(store, NULL, commit_removal, &remove);
    }
    if (status == 0) {
        *removed_ct = removal.row_ct;
    }
    dms_removal_clear(&removal);
    dms_snapshot_close(snapshot);
    return status;
}

int dms_store_remove(dms_store *store, const uint64_t *ids, size_t id_ct, bool ignore_missing,
                     uint64_t *removed_ct)
{
    uint64_t count = 0;
    uint64_t *unique = dms_alloc(id_ct, sizeof *unique);
    if (!unique) {
        return DMS_ERR_NO_MEMORY;
    }
    size_t unique_ct = 0;
    if (id_ct > 0) {
        memcpy(unique, ids, id_ct * sizeof *unique);
        qsort(unique, id_ct, sizeof *unique, dms_compare_u64);
    }
    for (size_t k = 0; k < id_ct; k++) {
        if (k == 0 || unique[k] != unique[unique_ct - 1]) {
            unique[unique_ct++] = unique[k];
        }
    }
    int status;
    do {
        status = remove_once(store, unique, unique_ct, ignore_missing, &count);
    } while (status == DMS_END);
    free(unique);
    if (status == 0 && removed_ct) {
        *removed_ct = count;
    }
    return status;
}
