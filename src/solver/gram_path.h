/*
 * From lambda to lambda on the path of one target. Solutions are linear in lambda but where an
 * example joins or leaves, and so are their gradients: a lambda some way down the path is solved,
 * and those before it are interpolated. What is taken, solved or interpolated, has its certificate.
 */
#ifndef DMS_SOLVER_GRAM_PATH_H
#define DMS_SOLVER_GRAM_PATH_H

#include "solver/gram_target.h"

/* Begins the path, whose first lambda is set, without weights: that is the solution at the largest
 * lambda. */
void dms_gram_path_begin(struct dms_gram_target *target);

/* The gap with which the weights are a solution. */
double dms_gram_path_wanted_gap(const struct dms_gram_target *target,
                                const struct dms_problem *problem);

/* Takes the weights, which are a solution, and sets those that come next. */
int dms_gram_path_accept(struct dms_gram_target *target, const struct dms_problem *problem,
                         const struct dms_gram_rows *rows);

/* The weights are none: what was interpolated is to become one. */
void dms_gram_path_refuse(struct dms_gram_target *target);

/* Whether the lambda in work is farther down than the path's next one; the target turns to that
 * then, from the last solution on. */
bool dms_gram_path_retreat(struct dms_gram_target *target);

/* Sets the weights of the last solution that was taken. */
void dms_gram_path_go_back(struct dms_gram_target *target);

/* The bias that goes with the weights: mean - sum of means x weights. */
double dms_gram_path_bias(const struct dms_gram_target *target);

/* The weights, weight_ct of them, as a model, in place of the one that is there. */
int dms_gram_path_extract(const struct dms_gram_target *target, struct dms_sparse_model *model);

#endif
