/*
 * Row sets for counting, and which of their models a file of counts has already.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "dmstore/solve.h"
#include "format/schema.h"
#include "solver/gram.h"
#include "solver/gram_rows.h"
#include "solver/split.h"
#include "store/snapshot.h"

/* ---- choosing ---- */

void dms_row_choice_init(struct dms_row_choice *choice)
{
    *choice = (struct dms_row_choice){.validation_ct = DMS_FIT_DEFAULT};
}

int dms_row_sets_choose(dms_snapshot *snapshot, const struct dms_row_choice *choice,
                        struct dms_row_sets *sets)
{
    uint64_t validation_ct = choice->validation_ct;
    struct dms_model_hashes hashes = {0};
    struct dms_split split;
    uint32_t column = 0;
    int rc = DMS_OK;

    if (choice->output)
        rc = dms_schema_find(dms_snapshot_schema(snapshot), choice->output, &column);
    if (rc == DMS_OK)
        rc = dms_model_hashes_read(snapshot, column, choice->thread_ct, &hashes);
    if (rc < 0)
        return rc;
    if (validation_ct == DMS_FIT_DEFAULT)
        validation_ct = dms_split_default_validation(hashes.model_ct, choice->held_out_ct);
    rc = dms_split_choose(&hashes, choice->held_out_ct, validation_ct, choice->rows_used, &split);
    if (rc == DMS_OK)
        *sets = (struct dms_row_sets){split.training, split.validation, split.held_out};
    dms_model_hashes_free(&hashes);
    return rc;
}

void dms_row_sets_free(struct dms_row_sets *sets)
{
    free(sets->training.ranges);
    free(sets->validation.ranges);
    free(sets->held_out.ranges);
    *sets = (struct dms_row_sets){0};
}

/* ---- what is there of them ---- */

struct search {
    int (*visit)(void *context, const char *path, const struct dms_gram_name *name,
                 const struct dms_model_hashes *hashes);
    void *context;
    struct dms_model_hashes hashes;
};

static int visit_file(void *context, const char *path, const struct dms_gram_name *name)
{
    const struct search *search = context;

    return search->visit(search->context, path, name, &search->hashes);
}

int dms_gram_search(dms_snapshot *snapshot, const struct dms_row_set *rows, const char *role,
                    unsigned thread_ct,
                    int (*visit)(void *context, const char *path, const struct dms_gram_name *name,
                                 const struct dms_model_hashes *hashes),
                    void *context)
{
    struct search search = {.visit = visit, .context = context};
    int rc = dms_model_hashes_read(snapshot, 0, thread_ct, &search.hashes);

    if (rc < 0)
        return rc;
    rc = dms_row_set_check(rows, role, &search.hashes);
    if (rc == DMS_OK) {
        rc = dms_gram_each(dms_snapshot_path(snapshot), visit_file, &search);
        if (rc == DMS_ERR_PERMISSION)
            rc = DMS_OK;
    }
    dms_model_hashes_free(&search.hashes);
    return rc;
}

/* ---- differences ---- */

/* The last id of a range. */
static uint64_t last_of(const struct dms_id_range *range)
{
    return range->first_id + (range->id_ct - 1);
}

bool dms_row_set_contains(const struct dms_row_set *set, const struct dms_row_set *part)
{
    size_t r = 0;

    for (size_t p = 0; p < part->range_ct; p++) {
        while (r < set->range_ct && last_of(&set->ranges[r]) < part->ranges[p].first_id)
            r++;
        if (r == set->range_ct || set->ranges[r].first_id > part->ranges[p].first_id ||
            last_of(&set->ranges[r]) < last_of(&part->ranges[p]))
            return false;
    }
    return true;
}

bool dms_row_set_can_grow(const struct dms_row_set *set, const struct dms_row_set *part,
                          uint64_t best_ct, const struct dms_model_hashes *hashes)
{
    return part->row_ct > best_ct && part->row_ct < set->row_ct &&
           dms_row_set_contains(set, part) && dms_row_set_check(part, "counted", hashes) == DMS_OK;
}

int dms_row_set_subtract(const struct dms_row_set *set, const struct dms_row_set *part,
                         struct dms_id_range **ranges, size_t *range_ct)
{
    /* Each range of the part cuts one in two at most. */
    struct dms_id_range *left = dms_alloc(set->range_ct + part->range_ct, sizeof *left);
    size_t left_ct = 0, p = 0;

    if (!left)
        return DMS_ERR_NO_MEMORY;
    for (size_t r = 0; r < set->range_ct; r++) {
        struct dms_id_range rest = set->ranges[r];

        for (; rest.id_ct > 0 && p < part->range_ct && part->ranges[p].first_id <= last_of(&rest);
             p++) {
            uint64_t before = part->ranges[p].first_id - rest.first_id;

            if (before > 0)
                left[left_ct++] = (struct dms_id_range){rest.first_id, before};
            rest.first_id += before + part->ranges[p].id_ct;
            rest.id_ct -= before + part->ranges[p].id_ct;
        }
        if (rest.id_ct > 0)
            left[left_ct++] = rest;
    }
    *ranges = left;
    *range_ct = left_ct;
    return DMS_OK;
}
