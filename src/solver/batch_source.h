/*
 * The batch sources of a fit (struct dms_problem.open) over readers of a snapshot.
 */
#ifndef DMS_SOLVER_BATCH_SOURCE_H
#define DMS_SOLVER_BATCH_SOURCE_H

#include "reader/memory.h"
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
    unsigned thread_ct;             /* of a reader */
    struct dms_batch_memory memory; /* of packed batches */
    /* Set by dms_batch_source_measure. */
    uint64_t row_ct; /* of the largest role */
    bool decodes;    /* some chunk is not read in place */
};

/* Completes a setting whose other fields are set. */
int dms_batch_source_measure(struct dms_batch_source_setting *setting);

/* As struct dms_problem.open, .open_packed, .open_outputs and .source_bytes; context is a struct
 * dms_batch_source_setting. */
int dms_batch_source_open(void *context, enum dms_role role, bool shuffled, size_t target,
                          size_t target_ct, uint32_t batch_rows, struct dms_batch_source *source);
int dms_batch_source_open_packed(void *context, enum dms_role role, bool shuffled, size_t target,
                                 size_t target_ct, uint32_t batch_rows,
                                 struct dms_batch_source *source);
int dms_batch_source_open_outputs(void *context, enum dms_role role, bool shuffled, size_t target,
                                  size_t target_ct, uint32_t batch_rows,
                                  struct dms_batch_source *source);
uint64_t dms_batch_source_bytes(void *context, size_t target_ct, uint32_t batch_rows);

#endif
