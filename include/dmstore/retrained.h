/*
 * Models that were really retrained on training sets that somebody asked a fit about: another store
 * ("runs") of the same training set, whose masks are those training sets and whose outputs tell
 * what datamodels only predict. Models are found by their id, as in the plan that they were trained
 * from, or by their mask: models that share one are repeats, and their outputs are averaged
 * (Ilyas et al. 2022, Algorithms 1 and A.2: T models a training set).
 *
 * Outputs are what the fit predicts: transformed as the outputs that it was fitted to. A fit that
 * leaves out the models that have seen a target's own example (exclude_self) is asked like any
 * other, and here such models count.
 */
#ifndef DMSTORE_RETRAINED_H
#define DMSTORE_RETRAINED_H

#include "dmstore/error.h"
#include "dmstore/fit.h"
#include "dmstore/snapshot.h"

DMS_BEGIN_DECLS

typedef struct dms_retrained dms_retrained;

struct dms_retrained_options {
    const int64_t *labels; /* for a fit that was made with labels: the same, one a target */
    size_t label_ct;
    unsigned thread_ct; /* 0: one a processor; changes no result */
};
DMS_API void dms_retrained_options_init(struct dms_retrained_options *options);

/*
 * Opens the store or manifest `path`, and hashes the masks of all models that have a value in the
 * column that `fit` predicts; the others are not there. path NULL: the models of `snapshot` itself.
 * `snapshot`, which the fit is of, and the labels must outlive *retrained, which the caller ends
 * with dms_retrained_close. Memory: 40 bytes a model.
 *
 * CONFLICT: the store is about another training set (number of examples, dataset digest where both
 * have one), or its column has another shape. NOT_FOUND: it has no such column. INVALID: the labels
 * are missing or are not those of the fit.
 */
DMS_API int dms_retrained_open(const char *path, dms_snapshot *snapshot, dms_fit *fit,
                               const struct dms_retrained_options *options,
                               dms_retrained **retrained);
DMS_API void dms_retrained_close(dms_retrained *retrained);

/* The path, NULL for the store of the fit itself. */
DMS_API const char *dms_retrained_path(const dms_retrained *retrained);
DMS_API size_t dms_retrained_model_ct(const dms_retrained *retrained);

/* ---- masks ---- */

/* Different masks 0 .. mask_ct - 1 are numbered by the smallest id of the models that have them. */
DMS_API size_t dms_retrained_mask_ct(const dms_retrained *retrained);

/* The models of a mask: *id_ct ids, increasing; they belong to `retrained`. INVALID: no such mask.
 */
DMS_API int dms_retrained_models(const dms_retrained *retrained, size_t mask, const uint64_t **ids,
                                 size_t *id_ct);

/* The mask itself: packed has (example_ct + 7) / 8 bytes. */
DMS_API int dms_retrained_read_mask(const dms_retrained *retrained, size_t mask, uint8_t *packed);

/* Calls `visit` with every mask in the order of reading, and stops with what it returns when that
 * is not 0. */
DMS_API int dms_retrained_visit_masks(const dms_retrained *retrained,
                                      int (*visit)(void *context, size_t mask,
                                                   const uint8_t *packed),
                                      void *context);

/* The number of the mask that is `packed` (bits after the last example zero), of that of model
 * `id`, and of the mask of all examples, whose models are the controls. NOT_FOUND. */
DMS_API int dms_retrained_find_mask(const dms_retrained *retrained, const uint8_t *packed,
                                    size_t *mask);
DMS_API int dms_retrained_find_model(const dms_retrained *retrained, uint64_t id, size_t *mask);
DMS_API int dms_retrained_find_controls(const dms_retrained *retrained, size_t *mask);

/* ---- outputs ---- */

struct dms_retrained_output {
    uint64_t id;
    uint64_t target;
    double output; /* set; NaN where it is not finite */
};

/* Sets the outputs of output_ct pairs of model and target, in any order, repeated ones too.
 * *nonfinite_ct (may be NULL): how many of them are not finite. Memory: 8 bytes a pair. NOT_FOUND:
 * models are not there; the message lists their ids as ranges. INVALID: no such target. */
DMS_API int dms_retrained_outputs(const dms_retrained *retrained,
                                  struct dms_retrained_output *outputs, size_t output_ct,
                                  uint64_t *nonfinite_ct);

struct dms_retrained_mean {
    size_t mask;
    uint64_t target;
    double mean;           /* set: of the finite outputs of all models of the mask; NaN: none */
    uint64_t model_ct;     /* set: finite outputs */
    uint64_t nonfinite_ct; /* set: the others, left out */
};

/* Sets the means of mean_ct pairs of mask and target. Memory: 32 bytes a model and target. */
DMS_API int dms_retrained_means(const dms_retrained *retrained, struct dms_retrained_mean *means,
                                size_t mean_ct);

/* ---- what a model of the whole training set puts out ---- */

enum dms_base {
    DMS_BASE_RETRAINED = 0, /* mean over the controls of the retrained models */
    DMS_BASE_STORE = 1,     /* mean over the controls of the fit's own store */
    DMS_BASE_PREDICTED = 2, /* bias + sum of the weights, when there are no controls */
};

/* "runs", "store", "predicted". */
DMS_API const char *dms_base_name(enum dms_base base);

/*
 * M0: outputs of `position_ct` targets of the fit (positions as dms_fit_find gives them) when
 * nothing is removed. Of the first of these that there are, for all targets: the controls of
 * `retrained` (may be NULL), those of `snapshot`, the prediction. outputs: position_ct, NaN where
 * no control has a finite output. *base says which it is.
 */
DMS_API int dms_base_outputs(dms_snapshot *snapshot, dms_fit *fit, const dms_retrained *retrained,
                             const struct dms_retrained_options *options, const size_t *positions,
                             size_t position_ct, double *outputs, enum dms_base *base);

DMS_END_DECLS

#endif
