/*
 * Sets of model ids as runs: increasing, disjoint, not touching.
 */
#ifndef DMS_QUERY_ID_RANGES_H
#define DMS_QUERY_ID_RANGES_H

#include <stdbool.h>

#include "dmstore/reader.h"

uint64_t dms_id_ranges_count(const struct dms_id_range *ranges, size_t range_ct);
bool dms_id_ranges_contain(const struct dms_id_range *ranges, size_t range_ct, uint64_t id);

/* Keeps the `id_ct` smallest ids. */
void dms_id_ranges_limit(struct dms_id_range *ranges, size_t *range_ct, uint64_t id_ct);

/* The ids that are in both sets. The caller frees *common. */
int dms_id_ranges_intersect(const struct dms_id_range *a, size_t a_ct, const struct dms_id_range *b,
                            size_t b_ct, struct dms_id_range **common, size_t *common_ct);

/* The ids of all live models. The caller frees *ranges. */
int dms_id_ranges_live(dms_snapshot *snapshot, struct dms_id_range **ranges, size_t *range_ct);

#endif
