/*
 * Finding rows by model id: in the lists of the catalog, and, once that is worth it, among all live
 * ids as sorted runs.
 */
#include "store/snapshot_parts.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/ids.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* For so many ids the catalog's lists are walked; only for more is the sorted list worth its time
 * and memory. */
enum { UNSORTED_SEARCHES = 8 };

/* The encoded ids of a group or batch. */
struct id_source {
    const uint8_t *runs;
    size_t run_bytes;
    uint32_t row_ct;
    const uint8_t *removed;
};

static struct id_source id_source(const struct dms_snapshot *snapshot, size_t group)
{
    const struct dms_group_record *sealed = dms_snapshot_sealed_group(snapshot, group);
    if (sealed) {
        return (struct id_source){sealed->runs, sealed->run_bytes, sealed->row_ct, sealed->removed};
    }
    const struct dms_batch_record *staged = dms_snapshot_staged_batch(snapshot, group);
    return (struct id_source){staged->runs, staged->run_bytes, staged->row_ct, staged->removed};
}

int dms_snapshot_group_ids(const dms_snapshot *snapshot, size_t group, uint64_t *ids)
{
    int status = dms_snapshot_check_group(snapshot, group);
    if (status != 0) {
        return status;
    }
    struct id_source source = id_source(snapshot, group);
    return dms_ids_decode(source.runs, source.run_bytes, source.row_ct, ids);
}

/* ---- the sorted list ---- */

static int list_add(struct dms_id_run_list **list, size_t *capacity, struct dms_id_run run)
{
    size_t run_ct = *list ? (*list)->run_ct : 0;
    if (run_ct == *capacity) {
        size_t wanted = *capacity + *capacity / 2 + 1024;
        size_t bytes;
        if (dms_mul_overflow(wanted, sizeof run, &bytes) ||
            dms_add_overflow(bytes, sizeof **list, &bytes)) {
            return dms_fail(DMS_ERR_NO_MEMORY, "there are too many runs of model ids");
        }
        struct dms_id_run_list *grown = dms_realloc_array(*list, bytes, 1);
        if (!grown) {
            return DMS_ERR_NO_MEMORY;
        }
        *list = grown;
        *capacity = wanted;
    }
    (*list)->runs[run_ct] = run;
    (*list)->run_ct = run_ct + 1;
    return 0;
}

/* Adds the live parts of a span. */
static int list_add_span(struct dms_id_run_list **list, size_t *capacity, size_t group,
                         const struct dms_id_span *span, const uint8_t *removed)
{
    int status = 0;
    for (uint32_t k = 0; status == 0 && k < span->count;) {
        uint32_t live_ct = removed ? 0 : span->count;
        while (k + live_ct < span->count && !dms_row_is_removed(removed, span->row + k + live_ct)) {
            live_ct++;
        }
        if (live_ct > 0) {
            struct dms_id_run run = {span->first + k, live_ct, {group, span->row + k}};
            status = list_add(list, capacity, run);
        }
        k += live_ct + 1;
    }
    return status;
}

static int list_collect(const struct dms_snapshot *snapshot, struct dms_id_run_list **list,
                        size_t *capacity)
{
    size_t group_ct = dms_snapshot_group_ct(snapshot);
    for (size_t group = 0; group < group_ct; group++) {
        struct id_source source = id_source(snapshot, group);
        struct dms_ids_iterator iterator =
            dms_ids_begin(source.runs, source.run_bytes, source.row_ct);
        struct dms_id_span span;
        int status;
        while ((status = dms_ids_next(&iterator, &span)) > 0) {
            status = list_add_span(list, capacity, group, &span, source.removed);
            if (status != 0) {
                return status;
            }
        }
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

static int compare_runs(const void *a, const void *b)
{
    const struct dms_id_run *left = a;
    const struct dms_id_run *right = b;
    return (left->first_id > right->first_id) - (left->first_id < right->first_id);
}

/* Sorts the list, which is in order already where rows came by increasing id. */
static int list_sort(const struct dms_snapshot *snapshot, struct dms_id_run_list *list)
{
    bool in_order = true;
    for (size_t k = 1; k < list->run_ct && in_order; k++) {
        in_order = list->runs[k - 1].first_id < list->runs[k].first_id;
    }
    if (!in_order) {
        qsort(list->runs, list->run_ct, sizeof list->runs[0], compare_runs);
    }
    for (size_t k = 1; k < list->run_ct; k++) {
        const struct dms_id_run *before = &list->runs[k - 1];
        if (list->runs[k].first_id - before->first_id < before->id_ct) {
            return dms_fail(DMS_ERR_CORRUPT,
                            "model %" PRIu64 " is twice in store '%s': run 'dmstore verify'",
                            list->runs[k].first_id, snapshot->path);
        }
    }
    return 0;
}

static int list_make(const struct dms_snapshot *snapshot, struct dms_id_run_list **list)
{
    struct dms_id_run_list *made = dms_alloc(1, sizeof *made);
    size_t capacity = 0;
    if (!made) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = list_collect(snapshot, &made, &capacity);
    if (status == 0) {
        status = list_sort(snapshot, made);
    }
    if (status != 0) {
        free(made);
        return status;
    }
    *list = made;
    return 0;
}

static int list_get(struct dms_snapshot *snapshot, struct dms_id_run_list **list)
{
    struct dms_id_run_list *found = atomic_load(&snapshot->id_runs);
    if (!found) {
        struct dms_id_run_list *made;
        int status = list_make(snapshot, &made);
        if (status != 0) {
            return status;
        }
        if (atomic_compare_exchange_strong(&snapshot->id_runs, &found, made)) {
            found = made;
        } else {
            free(made);
        }
    }
    *list = found;
    return 0;
}

int dms_snapshot_id_runs(dms_snapshot *snapshot, const struct dms_id_run **runs, size_t *run_ct)
{
    struct dms_id_run_list *list;
    int status = list_get(snapshot, &list);
    if (status == 0) {
        *runs = list->runs;
        *run_ct = list->run_ct;
    }
    return status;
}

/* ---- one id ---- */

/* Looks an id up in the sorted list; false when it is not there. */
static bool search_list(const struct dms_id_run_list *list, uint64_t id,
                        struct dms_position *position)
{
    /* The first run that begins after the id; the one before it may hold it. */
    size_t low = 0;
    size_t high = list->run_ct;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->runs[middle].first_id <= id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    const struct dms_id_run *run = low > 0 ? &list->runs[low - 1] : NULL;
    if (!run || id - run->first_id >= run->id_ct) {
        return false;
    }
    *position = (struct dms_position){run->position.group,
                                      run->position.row + (uint32_t)(id - run->first_id)};
    return true;
}

/* Walks the ids as the catalog has them. */
static bool search_catalog(const struct dms_snapshot *snapshot, uint64_t id,
                           struct dms_position *position)
{
    size_t group_ct = dms_snapshot_group_ct(snapshot);
    for (size_t group = 0; group < group_ct; group++) {
        struct id_source source = id_source(snapshot, group);
        struct dms_ids_iterator iterator =
            dms_ids_begin(source.runs, source.run_bytes, source.row_ct);
        struct dms_id_span span;
        while (dms_ids_next(&iterator, &span) > 0) {
            uint32_t row = span.row + (uint32_t)(id - span.first);
            if (id - span.first < span.count && !dms_row_is_removed(source.removed, row)) {
                *position = (struct dms_position){group, row};
                return true;
            }
        }
    }
    return false;
}

int dms_snapshot_find(dms_snapshot *snapshot, uint64_t id, struct dms_position *position)
{
    bool found;
    if (!atomic_load(&snapshot->id_runs) &&
        atomic_fetch_add(&snapshot->search_ct, 1) < UNSORTED_SEARCHES) {
        found = search_catalog(snapshot, id, position);
    } else {
        struct dms_id_run_list *list;
        int status = list_get(snapshot, &list);
        if (status != 0) {
            return status;
        }
        found = search_list(list, id, position);
    }
    return found ? 0
                 : dms_fail(DMS_ERR_NOT_FOUND, "model %" PRIu64 " is not in store '%s'", id,
                            snapshot->path);
}
