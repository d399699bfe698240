/*
 * What datamodels predict for subsets of the training set: g(S') = b + sum of the weights of the
 * examples in S' (Ilyas et al. 2022, eq. 1 and 8), a proxy for training on S' again. Leaving
 * examples out of the full training set is unlearning them.
 *
 * The weights are linear around the subsets that the models of the fit were trained on. Subsets of
 * another size are an extrapolation: weights that all carry the same additional constant c, with a
 * bias that makes up for it at the size of training, predict the same there and something else
 * everywhere else.
 */
#ifndef DMSTORE_PREDICT_H
#define DMSTORE_PREDICT_H

#include "dmstore/fit.h"

DMS_BEGIN_DECLS

/*
 * Predictions of the targets at `positions` of a fit (see dms_fit_find) for masks of subsets.
 *
 * masks: mask_ct rows of example_ct bits (example k is bit k & 7 of byte k >> 3; what comes after
 * them in a row does not matter), mask_stride_bytes >= (example_ct + 7) / 8 apart. predictions:
 * mask_ct x position_ct, one row a mask. A target without a bias (DMS_FITTED_NO_BIAS) counts it as
 * 0: only differences of its predictions mean something.
 *
 * Sums are in double, and each depends on its target and its mask alone, to the bit. Beside the
 * caller's arrays it takes 80 bytes an example, and little for each thread. thread_ct 0: one a
 * processor. INVALID: no such position; CORRUPT: a part of the fit is damaged.
 */
DMS_API int dms_predict_masks(const dms_fit *fit, const size_t *positions, size_t position_ct,
                              const uint8_t *masks, size_t mask_ct, size_t mask_stride_bytes,
                              unsigned thread_ct, double *predictions);

/* Sizes of the subsets that models of a fit were trained on: of the first 4,096 training models
 * that are still in the store, by id. */
struct dms_subset_sizes {
    bool is_known; /* false: none of them is */
    uint64_t smallest, largest;
};

/* Reads their masks. `snapshot` is the one that the fit was opened on. thread_ct 0: one a
 * processor. */
DMS_API int dms_fit_subset_sizes(dms_snapshot *snapshot, const dms_fit *fit, unsigned thread_ct,
                                 struct dms_subset_sizes *sizes);

/* Whether predictions for subsets of `smallest` to `largest` examples leave the sizes of training.
 * They don't where those are not known. */
DMS_API bool dms_subsets_extrapolate(const struct dms_subset_sizes *sizes, uint64_t smallest,
                                     uint64_t largest);

DMS_END_DECLS

#endif
