/*
 * Sets of model ids: see id_set.h.
 */
#include "store/id_set.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/order.h"
#include "format/ids.h"

#include <stdlib.h>
#include <string.h>

int dms_id_set_add(struct dms_id_set *set, const uint64_t *ids, size_t id_ct)
{
    if (id_ct == 0) {
        return 0;
    }
    int status = dms_grow((void **)&set->ids, &set->capacity, set->id_ct + id_ct, sizeof *set->ids);
    if (status == 0) {
        memcpy(set->ids + set->id_ct, ids, id_ct * sizeof *ids);
        set->id_ct += id_ct;
    }
    return status;
}

int dms_id_set_add_live(struct dms_id_set *set, const uint8_t *runs, size_t run_bytes,
                        uint32_t row_ct, const uint8_t *removed)
{
    struct dms_ids_iterator iterator = dms_ids_begin(runs, run_bytes, row_ct);
    struct dms_id_span span;
    int status =
        dms_grow((void **)&set->ids, &set->capacity, set->id_ct + row_ct, sizeof *set->ids);
    while (status == 0 && (status = dms_ids_next(&iterator, &span)) > 0) {
        for (uint32_t k = 0; k < span.count; k++) {
            if (!dms_row_is_removed(removed, span.row + k)) {
                set->ids[set->id_ct++] = span.first + k;
            }
        }
        status = 0;
    }
    return status;
}

int dms_id_set_add_catalog(struct dms_id_set *set, const struct dms_catalog *catalog)
{
    int status = 0;
    for (size_t k = 0; status == 0 && k < catalog->group_ct; k++) {
        status = dms_id_set_add_group(set, &catalog->groups[k]);
    }
    for (size_t k = 0; status == 0 && k < catalog->batch_ct; k++) {
        status = dms_id_set_add_batch(set, &catalog->batches[k]);
    }
    return status;
}

void dms_id_set_sort(struct dms_id_set *set)
{
    if (set->id_ct < 2) {
        return;
    }
    qsort(set->ids, set->id_ct, sizeof *set->ids, dms_compare_u64);
    size_t kept = 1;
    for (size_t k = 1; k < set->id_ct; k++) {
        if (set->ids[k] != set->ids[kept - 1]) {
            set->ids[kept++] = set->ids[k];
        }
    }
    set->id_ct = kept;
}

void dms_id_set_subtract(struct dms_id_set *set, const struct dms_id_set *other)
{
    size_t kept = 0;
    size_t at = 0;
    for (size_t k = 0; k < set->id_ct; k++) {
        while (at < other->id_ct && other->ids[at] < set->ids[k]) {
            at++;
        }
        if (at == other->id_ct || other->ids[at] != set->ids[k]) {
            set->ids[kept++] = set->ids[k];
        }
    }
    set->id_ct = kept;
}

void dms_id_set_free(struct dms_id_set *set)
{
    free(set->ids);
    *set = (struct dms_id_set){0};
}
