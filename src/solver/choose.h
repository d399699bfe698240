/*
 * Which solver solves a LASSO, where that is left to us.
 */
#ifndef DMS_SOLVER_CHOOSE_H
#define DMS_SOLVER_CHOOSE_H

#include "solver/problem.h"

struct dms_solver_choice {
    enum dms_solver solver; /* not DMS_SOLVER_AUTO */
    uint64_t memory_bytes;  /* that it takes at most; 0: not known */
    char reason[160];
};

/* Both find the same solutions. Coordinate descent on the Gram matrix reads the models once, where
 * SAGA reads them some hundred times: it is taken wherever its matrix fits the memory, unless a
 * graphics card is asked for. The choice does not depend on the threads: a fit goes on with any. */
void dms_solver_choose(const struct dms_problem *problem, const struct dms_fit_options *options,
                       struct dms_solver_choice *choice);

#endif
