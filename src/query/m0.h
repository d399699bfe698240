/*
 * M0, the mean output of models that are trained on everything: from the control runs of the fit's
 * own store, or what the datamodel predicts.
 */
#ifndef DMS_QUERY_M0_H
#define DMS_QUERY_M0_H

#include "dmstore/retrained.h"
#include "dmstore/support.h"
#include "query/scored_output.h"

/* Sets target, m0, m0_source and control_ct of supports[i] for positions[i]. Errors as
 * dms_support_estimate. */
int dms_m0_find(dms_snapshot *snapshot, dms_fit *fit, const size_t *positions, size_t position_ct,
                const struct dms_support_options *options, struct dms_support *supports);

/* What is done with the output of the fit, checked against the labels and the map. */
int dms_m0_find_output(dms_snapshot *snapshot, dms_fit *fit,
                       const struct dms_support_options *options, struct dms_scored_output *output);

/* Opens the control runs of the fit's own store. NOT_FOUND, or no models in *controls: there are
 * none. */
int dms_m0_open_controls(dms_snapshot *snapshot, dms_fit *fit,
                         const struct dms_support_options *options, dms_retrained **controls);

#endif
