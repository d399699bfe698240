/*
 * Prints what `dmstore support` has found: estimates of data support, or whether estimates were
 * confirmed.
 *
 * Functions return 0 or a negative enum dms_error with the message set (see report.h).
 */
#ifndef DMSTORE_TOOLS_SUPPORT_REPORT_H
#define DMSTORE_TOOLS_SUPPORT_REPORT_H

#include <dmstore.h>

#include "fit_query.h"
#include "support_runs.h"

/* Estimates for the targets of a query. */
struct support_estimates {
    const struct fit_query *query;
    struct dms_support *supports; /* query->position_ct */
    bool extrapolates;            /* some M0 is a prediction outside the sizes of training */

    /* Of a guided search, else NULL: */
    const struct support_runs *runs;
    const char *runs_path;
    struct dms_support_point *points;
    size_t *first_points; /* position_ct + 1: points of target i are first_points[i] .. */
    int64_t *labels;      /* the class that examples get, one a target; NULL: they are removed */
};

void support_estimates_free(struct support_estimates *estimates);

/* Each prints up to example_ct examples a target. */
int support_print(const struct support_estimates *estimates, size_t example_ct);
int support_print_json(const struct support_estimates *estimates, size_t example_ct);
int support_write_csv(const struct support_estimates *estimates, const char *path);

/* Whether the targets of a query are wrong when their estimated support is removed: the rows of
 * kinds SUPPORT_KIND_CONFIRM and SUPPORT_KIND_CONSERVATIVE in `runs`. */
void support_print_confirmed(const struct fit_query *query, const struct support_runs *runs,
                             const char *runs_path);
void support_print_confirmed_json(const struct fit_query *query, const struct support_runs *runs);
int support_write_confirmed_csv(const struct fit_query *query, const struct support_runs *runs,
                                const char *path);

#endif
