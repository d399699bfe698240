/*
 * Validation errors of targets that have all models in common, from counts of pairs of the
 * validation models: the models are not read.
 */
#ifndef DMS_SOLVER_GRAM_VALIDATION_H
#define DMS_SOLVER_GRAM_VALIDATION_H

#include "solver/gram_run.h"

struct dms_gram_validation;

/* For DMS_GRAM_BATCH targets in work, each in a place, by the run's threads. The caller ends it
 * with dms_gram_validation_free, which accepts NULL. */
int dms_gram_validation_create(const struct dms_gram_block *block,
                               struct dms_gram_validation **validation);
void dms_gram_validation_free(struct dms_gram_validation *validation);
uint64_t dms_gram_validation_bytes(const struct dms_problem *problem, uint64_t memory_bytes,
                                   size_t set_ct);

/* Another target is in that place. */
void dms_gram_validation_begin(struct dms_gram_validation *validation, size_t place);

/* The mean squared error of the target's weights. `thread`: number of the caller's working set. */
int dms_gram_validation_error(struct dms_gram_validation *validation, size_t place, size_t thread,
                              const struct dms_gram_target *target, double *error);

#endif
