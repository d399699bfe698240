/*
 * What is left of a row set when some of its models are counted or multiplied.
 */
#ifndef DMS_SOLVER_GRAM_ROWS_H
#define DMS_SOLVER_GRAM_ROWS_H

#include <stdbool.h>

#include "dmstore/fit.h"

struct dms_model_hashes;

/* Whether all ids of `part` are in `set`. */
bool dms_row_set_contains(const struct dms_row_set *set, const struct dms_row_set *part);

/* Whether what was taken in of the models of `part`, more than best_ct but not all of `set`, can be
 * added to: they are in `set`, and in the snapshot with the same masks. */
bool dms_row_set_can_grow(const struct dms_row_set *set, const struct dms_row_set *part,
                          uint64_t best_ct, const struct dms_model_hashes *hashes);

/* The ids of `set` that are not in `part`, which is contained in it. The caller frees *ranges. */
int dms_row_set_subtract(const struct dms_row_set *set, const struct dms_row_set *part,
                         struct dms_id_range **ranges, size_t *range_ct);

#endif
