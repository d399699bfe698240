/*
 * The training examples of a target in the order of their weights: positive weights from the
 * largest down, examples without a weight, negative weights; the lower index first among equals.
 */
#ifndef DMS_QUERY_WEIGHT_ORDER_H
#define DMS_QUERY_WEIGHT_ORDER_H

#include "dmstore/fit.h"

struct dms_weighted_example {
    double weight;
    uint32_t example;
};

/* The positive weights in order; entries has room for target->weight_ct. Returns how many. */
size_t dms_weight_order_positive(const struct dms_fitted_target *target,
                                 struct dms_weighted_example *entries);

/* The first entry_ct <= example_ct of all example_ct examples. scratch: target->weight_ct. */
void dms_weight_order(const struct dms_fitted_target *target, size_t example_ct, size_t entry_ct,
                      struct dms_weighted_example *entries, struct dms_weighted_example *scratch);

#endif
