/*
 * Predictions of datamodels for batches of packed masks: sums of the weights of the examples in the
 * mask, for DMS_LANES targets at a time. The prediction is bias + unit x sum: sums have no bias and
 * are in a unit of the target's own, because rounded to float they would lose what tells masks
 * apart in weights that are small beside the bias, and overflow where an attribution method has its
 * own idea of a scale.
 */
#ifndef DMS_QUERY_PREDICT_H
#define DMS_QUERY_PREDICT_H

#include "dmstore/fit.h"
#include "kernels/lanes.h"

/* The working memory of one thread. */
struct dms_predictor;

/* For masks of example_ct bits in batches of at most batch_rows. */
int dms_predictor_create(size_t example_ct, size_t batch_rows, struct dms_predictor **predictor);
void dms_predictor_free(struct dms_predictor *predictor);

/* Bytes of such a predictor. */
size_t dms_predictor_bytes(size_t example_ct, size_t batch_rows);

/* The unit of a target's sums: the power of 2 of its largest weight, 1 when it has none. */
double dms_prediction_unit(const struct dms_fitted_target *target);

/*
 * Sums up target_ct <= DMS_LANES targets for row_ct masks; a mask is as in struct dms_batch. The
 * result belongs to the predictor until its next use: row i, target t at i * DMS_LANES + t. It is
 * rounded to float, and its error is that of a sum in float; it depends on the targets and masks
 * alone.
 */
const float *dms_predict(struct dms_predictor *predictor, const struct dms_fitted_target *targets,
                         size_t target_ct, const uint8_t *masks, size_t mask_stride_bytes,
                         size_t row_ct);

#endif
