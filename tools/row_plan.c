/*
 * Turns the id runs of a snapshot into pieces sorted by place; see row_plan.h.
 */
#include "row_plan.h"

#include <stdlib.h>

#include <dmstore/store.h>

static int compare_places(const void *first, const void *second)
{
    const struct row_piece *a = first, *b = second;

    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

int row_plan_make(dms_snapshot *snapshot, struct row_plan *plan)
{
    const struct dms_id_run *runs;
    size_t run_ct;
    int code = dms_snapshot_id_runs(snapshot, &runs, &run_ct);

    if (code < 0)
        return code;
    plan->pieces = calloc(run_ct + 1, sizeof(*plan->pieces));
    if (!plan->pieces)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the list of rows");
    plan->piece_ct = run_ct;
    for (size_t i = 0; i < run_ct; i++) {
        plan->pieces[i] = (struct row_piece){
            .group = runs[i].position.group,
            .row = runs[i].position.row,
            .row_ct = (uint32_t)runs[i].id_ct, /* a run stays within a group */
            .file_row = plan->row_ct,
            .first_id = runs[i].first_id,
        };
        plan->row_ct += runs[i].id_ct;
    }
    qsort(plan->pieces, plan->piece_ct, sizeof(*plan->pieces), compare_places);
    return 0;
}

void row_plan_free(struct row_plan *plan)
{
    free(plan->pieces);
    *plan = (struct row_plan){0};
}

size_t row_plan_group_end(const struct row_plan *plan, size_t first)
{
    size_t end = first;

    while (end < plan->piece_ct && plan->pieces[end].group == plan->pieces[first].group)
        end++;
    return end;
}
