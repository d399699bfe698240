/*
 * Empirical influences: how much higher an output is on average in the models that were trained on
 * an example than in those that were not,
 *
 *     theta_k = mean of y over models with example k - mean of y over models without it
 *
 * (Ilyas et al. 2022, eq. 15; Feldman and Zhang 2020, section 3), as a datamodel of the output with
 * the bias b = mean of y - sum over k of theta_k p_k, p_k the share of the models that have k. It
 * is not scaled: over all subsets of one size of d examples, d / (d - 1) times the least squares of
 * minimum norm. An example that is in all models or in none has the weight 0.
 */
#ifndef DMSTORE_INFLUENCE_H
#define DMSTORE_INFLUENCE_H

#include "dmstore/fit.h"
#include "dmstore/snapshot.h"
#include "dmstore/solve.h"

DMS_BEGIN_DECLS

/* The header of such a fit: its problem says method=influence. Of `options` name, output,
 * transform, threshold, labels, exclude_self, self, held_out_ct (by default 0) and rows_used count;
 * all models that are not held out are those of training. Joins a fit that is there, and fails, as
 * dms_fit_plan does. The caller frees *header with dms_fit_header_free. */
DMS_API int dms_influence_plan(dms_snapshot *snapshot, const struct dms_fit_options *options,
                               struct dms_fit_header **header);

struct dms_influence_hooks {
    dms_progress progress; /* may be NULL: targets that are done, and all */
    /* Called with every target, in increasing order and in the caller's thread; its arrays are
     * valid until it returns. Fails the run when it returns an error. */
    int (*result)(void *context, const struct dms_fitted_target *target);
    void *context;
};

/* Estimates the targets of `options` on the training models of `header`, which dms_influence_plan
 * made of the same options, in blocks of targets that fit options->memory_bytes: 12 bytes an
 * example and target. For a target only models count whose output is finite (of correctness: whose
 * margin is not NaN) and, with exclude_self, that have not seen the target's own example. Targets
 * have DMS_FITTED_ESTIMATED, and DMS_FITTED_CONSTANT where all outputs are equal or there are none.
 * Results are the same bytes for any number of threads and any memory. INVALID: the memory is too
 * small; CONFLICT: header, options and store do not belong together; INTERRUPTED: `progress` asked
 * for it; else what `result` or reading the store failed with. */
DMS_API int dms_influence_run(dms_snapshot *snapshot, const struct dms_fit_header *header,
                              const struct dms_fit_options *options,
                              const struct dms_influence_hooks *hooks);

DMS_END_DECLS

#endif
