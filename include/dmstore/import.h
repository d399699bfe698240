/*
 * Datamodels that another program has estimated (TRAK, influence functions, TracIn ...), taken in
 * as a fit: which models they are scored on, and what the store knows of their targets. The weights
 * are the caller's, who adds them to a part (dms_fit_part_add) with DMS_FITTED_ESTIMATED, and with
 * DMS_FITTED_NO_BIAS where there is no bias.
 */
#ifndef DMSTORE_IMPORT_H
#define DMSTORE_IMPORT_H

#include "dmstore/fit.h"
#include "dmstore/snapshot.h"
#include "dmstore/solve.h"

DMS_BEGIN_DECLS

/*
 * The header of an imported fit: its problem says method=import, and which number it predicts. Of
 * `options` name, output, transform, threshold, labels, self, exclude_self, held_out_ct,
 * validation_ct (by default 0 of both) and rows_used count; the models are chosen as dms_fit_plan
 * does, all that are not held out being those of training. With `like`, a fit of the same snapshot
 * (else NULL), all of these but the name are its own, so that both are scored on the same models;
 * labels and self must be given where it was made with them. The caller frees *header with
 * dms_fit_header_free.
 *
 * Errors as dms_fit_plan; INVALID: `like` is of another output, of principal components, or needs
 * labels or a map that is not given; CONFLICT: they are not those that it was made with.
 */
DMS_API int dms_import_plan(dms_snapshot *snapshot, const struct dms_fit_options *options,
                            const dms_fit *like, struct dms_fit_header **header);

/* What the training and validation models say of a target: the fields of struct dms_fitted_target
 * that are not the other program's. Only models count whose output is finite and, in a fit that
 * excludes them, that have not seen the target's own example. */
struct dms_output_moments {
    uint64_t row_ct;
    double mean;          /* 0 without any model */
    double null_deviance; /* 1/(2 row_ct) sum (output - mean)^2 */
};

/* Fills moments[0 .. end_target - first_target - 1] for the targets of `options` (end 0: all) with
 * one pass over the outputs or more, as memory_bytes allows; labels, self and thread_ct are read
 * from `options`, too, and the rest from the header. INTERRUPTED: `progress`, which may be NULL and
 * is told how many targets are done, asked for it. */
DMS_API int dms_import_moments(dms_snapshot *snapshot, const struct dms_fit_header *header,
                               const struct dms_fit_options *options, dms_progress progress,
                               void *progress_context, struct dms_output_moments *moments);

DMS_END_DECLS

#endif
