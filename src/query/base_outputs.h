/*
 * What models of the whole training set put out, in the two ways in which it is known: as the mean
 * of such models, and as the datamodel predicts.
 */
#ifndef DMS_QUERY_BASE_OUTPUTS_H
#define DMS_QUERY_BASE_OUTPUTS_H

#include "dmstore/retrained.h"

/* Means over the controls of the targets at `positions`. NOT_FOUND: there are no controls. */
int dms_control_means(const dms_retrained *retrained, const dms_fit *fit, const size_t *positions,
                      size_t position_ct, struct dms_retrained_mean *means);

/* Bias + sum of all weights; NaN: the target has no bias. */
double dms_predict_full(const struct dms_fitted_target *target);

#endif
