/*
 * What the runner of a fit shares with its planner; dms_fit_plan itself is in dmstore/solve.h.
 */
#ifndef DMS_SOLVER_PLAN_H
#define DMS_SOLVER_PLAN_H

#include "dmstore/solve.h"

/* 0 when the options describe the very problem that `header` fixed, DMS_FIT_DEFAULT standing for
 * what it has; CONFLICT names the first difference. */
int dms_fit_check_problem(const struct dms_fit_header *header,
                          const struct dms_fit_options *options);

#endif
