/*
 * One pass over the models of a role.
 */
#ifndef DMS_SOLVER_PASS_H
#define DMS_SOLVER_PASS_H

#include "solver/problem.h"

/* Calls `visit` with every batch of DMS_PASS_ROWS models of `role`, in the order of a source that
 * is not shuffled, with the outputs of targets target .. target + target_ct - 1. Ends early with
 * what `visit` failed with. */
int dms_problem_visit(const struct dms_problem *problem, enum dms_role role, size_t target,
                      size_t target_ct, int (*visit)(void *context, const struct dms_batch *batch),
                      void *context);

/* Models of a batch of such a pass; only the last one may have fewer. */
#define DMS_PASS_ROWS 1024

#endif
