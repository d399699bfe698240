/*
 * Which examples of a target are looked at next.
 */
#ifndef DMS_SOLVER_GRAM_SCREENING_H
#define DMS_SOLVER_GRAM_SCREENING_H

#include "solver/certificate.h"
#include "solver/gram_target.h"

/* Into target->examples, increasing, for a working set: those with a weight, and those whose weight
 * may become other than 0. First by the sequential strong rule (Tibshirani et al. 2012, sec. 2),
 * which may be wrong, then by the optimality conditions; and never one that the gap excludes: its
 * gradient at the solution is within deviation x sqrt(2 gap) of that of the dual point (Ndiaye et
 * al. 2017, sec. 3). How many. */
size_t dms_gram_choose_examples(struct dms_gram_target *target,
                                const struct dms_certificate *certificate);

/* Leaves the `limit` of target->examples, of `size`, whose optimality conditions are worst. */
int dms_gram_keep_urgent(struct dms_gram_target *target, size_t size, size_t limit);

/* Those that have a weight, or whose gradient says that they should; increasing. `examples` has
 * room for example_ct. How many. */
size_t dms_gram_candidates(const struct dms_gram_target *target, uint32_t *examples);

#endif
