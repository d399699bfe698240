/*
 * The plans that `dmstore support` writes: models to train without the examples of largest weight
 * (or with these mislabelled), to search for data support or to confirm estimates of it.
 *
 * Functions return 0 or a negative enum dms_error with the message set (see report.h).
 */
#ifndef DMSTORE_TOOLS_SUPPORT_PLAN_H
#define DMSTORE_TOOLS_SUPPORT_PLAN_H

#include "fit_query.h"

struct support_plan {
    const char *directory;
    uint64_t first_id;
    uint64_t repeat_ct;
    const int64_t *labels; /* the class that examples get, one a target of the query; NULL: they are
                              removed */
};

#define SUPPORT_GRID_MAX 64

/* Reads "10,20,40", increasing numbers above 0. Returns how many; 0: it is something else. */
size_t support_grid_parse(const char *text, uint64_t grid[SUPPORT_GRID_MAX]);

/* Plans the guided search (Ilyas et al. 2022, Algorithm 1): control models, and for every target of
 * the query models for each k of the grid that is not above the number of examples. *row_ct: models
 * of the plan. INVALID: no k is left. */
int support_plan_search(const struct fit_query *query, const struct support_plan *plan,
                        const uint64_t *grid, size_t grid_ct, uint64_t *row_ct);

/* Plans models for the estimated and the conservative support of every target where it is known and
 * above 0. *planned_ct: targets of the plan. INVALID: there are none. */
int support_plan_confirm(const struct fit_query *query, const struct support_plan *plan,
                         const struct dms_support *supports, uint64_t *planned_ct,
                         uint64_t *row_ct);

#endif
