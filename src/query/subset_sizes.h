/*
 * The sizes of the subsets that a fit was trained on (include/dmstore/predict.h), so that what
 * leaves them is not taken for more than an extrapolation.
 */
#ifndef DMS_QUERY_SUBSET_SIZES_H
#define DMS_QUERY_SUBSET_SIZES_H

#include "dmstore/predict.h"

/* dms_fit_subset_sizes for a set of training models, within memory_bytes. */
int dms_subset_sizes_read(dms_snapshot *snapshot, const struct dms_row_set *training,
                          unsigned thread_ct, uint64_t memory_bytes,
                          struct dms_subset_sizes *sizes);

#endif
