/*
 * What the runner of a fit shares with its planner; dms_fit_plan itself is in dmstore/solve.h.
 */
#ifndef DMS_SOLVER_PLAN_H
#define DMS_SOLVER_PLAN_H

#include "solver/options.h"

/* 0 when the options describe the very problem that `header` fixed, DMS_FIT_DEFAULT standing for
 * what it has; CONFLICT names the first difference. */
int dms_fit_check_problem(const struct dms_fit_header *header,
                          const struct dms_fit_options *options);

/* A number of the header's problem: 0 for "all", and where it does not have the key. */
uint64_t dms_fit_problem_count(const struct dms_fit_header *header, const char *key);

/* CONFLICT: the header was not made on a snapshot of this store. */
int dms_fit_check_store(const struct dms_fit_header *header, dms_snapshot *snapshot);

/* Puts the options of a kind of fit into words, as dms_problem_describe does for a regression. */
typedef void dms_problem_describer(const struct dms_fit_options *options,
                                   struct dms_problem_text *text);

/* The same for fits that are put into words by `describe`. */
int dms_fit_check_problem_as(const struct dms_fit_header *header,
                             const struct dms_fit_options *options,
                             dms_problem_describer *describe);
int dms_fit_plan_as(dms_snapshot *snapshot, const struct dms_fit_options *options,
                    dms_problem_describer *describe, struct dms_fit_header **header);

#endif
