/*
 * The training examples of a target in the order of their weights, from either end: positive
 * weights from the largest down, examples without a weight, negative weights; or the other way
 * round, the most negative first. The lower index comes first among equals.
 */
#ifndef DMS_QUERY_WEIGHT_ORDER_H
#define DMS_QUERY_WEIGHT_ORDER_H

#include "dmstore/nearest.h"

/* The weights of one sign, those of the largest size first; entries has room for target->weight_ct.
 * Returns how many. */
size_t dms_weight_order_sign(const struct dms_fitted_target *target, enum dms_weight_sign sign,
                             struct dms_weighted_example *entries);

/* The first entry_ct <= example_ct of all example_ct examples, from the end of sign `first`.
 * scratch: target->weight_ct. */
void dms_weight_order(const struct dms_fitted_target *target, enum dms_weight_sign first,
                      size_t example_ct, size_t entry_ct, struct dms_weighted_example *entries,
                      struct dms_weighted_example *scratch);

#endif
