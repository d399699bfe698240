/*
 * One pass over the masks of models that are chosen by id: how many examples they have, and their
 * hashes.
 */
#ifndef DMS_QUERY_MASK_PASS_H
#define DMS_QUERY_MASK_PASS_H

#include "dmstore/reader.h"
#include "solver/split.h"

struct dms_mask_pass {
    uint32_t row_ct;               /* of hashes; the caller's */
    struct dms_model_hash *hashes; /* NULL, or room for one a model, by increasing id */
    /* Examples in a mask; the smallest is above the largest where there is no model. */
    uint64_t smallest_subset, largest_subset;
};

/* Reads the masks of all models in `ranges`, which must be there. */
int dms_mask_pass_run(dms_snapshot *snapshot, const struct dms_id_range *ranges, size_t range_ct,
                      unsigned thread_ct, uint64_t memory_bytes, struct dms_mask_pass *pass);

#endif
