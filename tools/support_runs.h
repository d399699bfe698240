/*
 * What the models that were trained from a plan of `dmstore support` put out: the mean over the
 * repeats of each training set, found by model id.
 *
 * Functions return 0 or a negative enum dms_error with the message set (see report.h).
 */
#ifndef DMSTORE_TOOLS_SUPPORT_RUNS_H
#define DMSTORE_TOOLS_SUPPORT_RUNS_H

#include <dmstore.h>

#include "removal_plan.h"

/* Kinds of rows. */
#define SUPPORT_KIND_REMOVE "support"
#define SUPPORT_KIND_RELABEL "relabel"
#define SUPPORT_KIND_CONFIRM "confirm"
#define SUPPORT_KIND_CONSERVATIVE "confirm-conservative"

/* One training set and one target. */
struct support_mean {
    struct plan_row row; /* the first of its repeats; of a control row: with the target filled in */
    uint64_t planned_ct; /* repeats */
    uint64_t run_ct;     /* those with a finite output */
    double output;       /* their mean; NaN: none */
};

struct support_runs {
    struct support_mean *means; /* by target, then k, then kind */
    size_t mean_ct;
    uint64_t *targets; /* of the plan, increasing */
    size_t target_ct;
    bool confirms;   /* the plan confirms estimates; else it searches for them */
    bool relabels;   /* examples are mislabelled; else removed */
    uint64_t run_ct; /* models of the plan */
};

/* Finds out what a plan is for: sets targets, confirms and relabels. INVALID: its rows are not of
 * `dmstore support`, or of both kinds, or a search has no controls. */
int support_runs_begin(const struct removal_plan *plan, struct support_runs *runs);

/* Whether the plan has models for a target. */
bool support_runs_plan(const struct support_runs *runs, uint64_t target);

/* Reads the outputs of the plan's models on those targets of it that are listed,
 * which it sorts. */
int support_runs_read(const struct removal_plan *plan, const dms_retrained *retrained,
                      uint64_t *targets, size_t target_ct, struct support_runs *runs);

/* The means of one target. Returns how many. */
size_t support_runs_find(const struct support_runs *runs, uint64_t target,
                         const struct support_mean **means);

/* Accepts a zeroed one. */
void support_runs_free(struct support_runs *runs);

#endif
