/*
 * The models on which fits are evaluated: those that all of them have held out, what their masks
 * have in common, and the check that they are still what they were when the fits were made.
 */
#ifndef DMS_QUERY_HELD_OUT_H
#define DMS_QUERY_HELD_OUT_H

#include "dmstore/fit.h"

/* Models are numbered 0 .. row_ct - 1 by increasing id, as the ranks of a reader over `ranges` are;
 * different masks 0 .. mask_ct - 1 by the first model that has them. */
struct dms_held_out {
    size_t range_ct;
    struct dms_id_range *ranges;
    uint32_t row_ct;
    uint64_t left_out_ct; /* models that some of the fits have held out, but not all */
    uint32_t mask_ct;
    uint32_t *masks;                          /* row_ct: number of each model's mask */
    uint32_t *first_rows;                     /* mask_ct: the first model that has it */
    uint32_t repeated_ct;                     /* masks of several models */
    uint64_t smallest_subset, largest_subset; /* examples in a mask of the first fit's */
    uint64_t smallest_training_subset, largest_training_subset; /* of models that fits used */
};

/* Errors as dms_evaluate. The caller ends *held_out with dms_held_out_free; a zeroed one may be
 * freed. */
int dms_held_out_read(dms_snapshot *snapshot, dms_fit *const *fits, size_t fit_ct,
                      unsigned thread_ct, uint64_t memory_bytes, struct dms_held_out *held_out);
void dms_held_out_free(struct dms_held_out *held_out);

#endif
