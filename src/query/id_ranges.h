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

/* The set of ids that stand in increasing order, some perhaps several times. The caller frees
 * *ranges. */
int dms_id_ranges_of(const uint64_t *ids, size_t id_ct, struct dms_id_range **ranges,
                     size_t *range_ct);

/* Writes the set as a SLURM array takes it, "0-4,7"; what does not fit into text_bytes (64 or more)
 * is cut, and "..." stands for it. */
void dms_id_ranges_print(const struct dms_id_range *ranges, size_t range_ct, char *text,
                         size_t text_bytes);

/* The ids that are in both sets. The caller frees *common. */
int dms_id_ranges_intersect(const struct dms_id_range *a, size_t a_ct, const struct dms_id_range *b,
                            size_t b_ct, struct dms_id_range **common, size_t *common_ct);

/* The ids of all live models. The caller frees *ranges. */
int dms_id_ranges_live(dms_snapshot *snapshot, struct dms_id_range **ranges, size_t *range_ct);

#endif
