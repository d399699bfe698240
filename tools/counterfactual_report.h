/*
 * Prints what removing training examples does, as predicted and as retrained models show it: a
 * table for people, JSON, CSV.
 *
 * Functions return 0 or a negative enum dms_error with the message set (see report.h).
 */
#ifndef DMSTORE_TOOLS_COUNTERFACTUAL_REPORT_H
#define DMSTORE_TOOLS_COUNTERFACTUAL_REPORT_H

#include "counterfactual_list.h"

/* What a report is about. */
struct counterfactual_report {
    const struct fit_query *query;
    const struct counterfactual_list *list;
    uint64_t seed;
    bool extrapolates;
    const char *by_fit; /* of --by, or NULL */
    uint64_t by_target;
    /* A plan that was written; NULL: none. */
    const char *plan;
    uint64_t plan_row_ct, first_id;
};

/* A line for each kind and size of sets, and their correlations. */
int counterfactual_print(const struct counterfactual_report *report);
int counterfactual_print_json(const struct counterfactual_report *report);

/* A line a pair; "-" is standard output. */
int counterfactual_write_csv(const struct counterfactual_report *report, const char *path);

#endif
