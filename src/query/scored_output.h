/*
 * The number that fits predict: which output column it is in, how it is computed from what is
 * stored, and which example a target itself is. Read from the problems of the fits, and checked
 * against labels and maps that the caller gives again.
 */
#ifndef DMS_QUERY_SCORED_OUTPUT_H
#define DMS_QUERY_SCORED_OUTPUT_H

#include "dmstore/evaluate.h"
#include "dmstore/solve.h"

struct dms_scored_output {
    const struct dms_column *column; /* belongs to the snapshot */
    enum dms_transform transform;
    double threshold;
    const int64_t *labels; /* the caller's; NULL: none needed */
    bool exclude_self;     /* models that have seen a target's own example do not count */
    const int64_t *self;   /* the caller's; NULL: target j is example j */
};

/* Fills the options of a fit that say what its outputs are from its header: output, transform,
 * threshold, labels, exclude_self and self. labels, self: as the caller gives them again, NULL for
 * none; what the fit does not have is not taken. Errors as dms_evaluate. */
int dms_scored_problem_read(const struct dms_fit_header *header, const int64_t *labels,
                            size_t label_ct, const int64_t *self, size_t self_ct,
                            struct dms_fit_options *problem);

/* Errors as dms_evaluate. */
int dms_scored_output_find(dms_snapshot *snapshot, dms_fit *const *fits, size_t fit_ct,
                           const struct dms_evaluate_options *options,
                           struct dms_scored_output *output);

/* The same for one fit, where models count whatever they have seen: no map is needed. */
int dms_scored_output_of(dms_snapshot *snapshot, dms_fit *fit, const int64_t *labels,
                         size_t label_ct, struct dms_scored_output *output);

/* Whether a fit of the column predicts this very number. */
bool dms_scored_output_is_of(const struct dms_scored_output *output,
                             const struct dms_fit_header *header);

/* The example that target `target` itself is, or -1. */
int64_t dms_scored_output_self(const struct dms_scored_output *output, uint64_t target);

#endif
