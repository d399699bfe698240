/*
 * The batch sources of a fit (struct dms_problem.open) over readers of a snapshot.
 */
#ifndef DMS_SOLVER_BATCH_SOURCE_H
#define DMS_SOLVER_BATCH_SOURCE_H

#include "solver/problem.h"

/* What all sources of a fit have in common; must outlive them. */
struct dms_batch_source_setting {
    dms_snapshot *snapshot;
    const struct dms_column *column;
    const struct dms_fit_options *options; /* transform, labels, seed */
    uint64_t first_target;                 /* of the fit */
    /* Ids of each role, as a reader takes them. */
    const struct dms_id_range *ranges[DMS_ROLE_CT];
    size_t range_cts[DMS_ROLE_CT];
    unsigned thread_ct;    /* of a reader */
    uint64_t memory_bytes; /* for the buffers of one source */
};

/* As struct dms_problem.open; context is a struct dms_batch_source_setting. */
int dms_batch_source_open(void *context, enum dms_role role, bool shuffled, size_t target,
                          size_t target_ct, uint32_t batch_rows, struct dms_batch_source *source);

#endif
