/*
 * What models of the whole training set put out: the mean of those that there are, or what the
 * datamodel predicts; see dmstore/retrained.h.
 */
#include "query/base_outputs.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "query/retrained.h"

const char *dms_base_name(enum dms_base base)
{
    static const char *const names[] = {
        [DMS_BASE_RETRAINED] = "runs",
        [DMS_BASE_STORE] = "store",
        [DMS_BASE_PREDICTED] = "predicted",
    };

    return names[base];
}

int dms_control_means(const dms_retrained *retrained, const dms_fit *fit, const size_t *positions,
                      size_t position_ct, struct dms_retrained_mean *means)
{
    size_t controls;
    int code = dms_retrained_find_controls(retrained, &controls);

    for (size_t i = 0; code == 0 && i < position_ct; i++) {
        struct dms_fitted_target target;

        code = dms_fit_target(fit, positions[i], &target);
        if (code == 0)
            means[i] = (struct dms_retrained_mean){.mask = controls, .target = target.target};
    }
    return code < 0 ? code : dms_retrained_means(retrained, means, position_ct);
}

static int average_controls(const dms_retrained *retrained, const dms_fit *fit,
                            const size_t *positions, size_t position_ct, double *outputs)
{
    struct dms_retrained_mean *means = dms_alloc(position_ct, sizeof(*means));
    int code = means ? dms_control_means(retrained, fit, positions, position_ct, means)
                     : DMS_ERR_NO_MEMORY;

    for (size_t i = 0; code == 0 && i < position_ct; i++)
        outputs[i] = means[i].mean;
    free(means);
    return code;
}

double dms_predict_full(const struct dms_fitted_target *target)
{
    double sum = target->bias;

    if (target->flags & DMS_FITTED_NO_BIAS)
        return NAN;
    for (size_t i = 0; i < target->weight_ct; i++)
        sum += target->weights[i];
    return sum;
}

static int predict_full(const dms_fit *fit, const size_t *positions, size_t position_ct,
                        double *outputs)
{
    for (size_t i = 0; i < position_ct; i++) {
        struct dms_fitted_target target;
        int code = dms_fit_target(fit, positions[i], &target);

        if (code < 0)
            return code;
        outputs[i] = dms_predict_full(&target);
        if (isnan(outputs[i]))
            return dms_fail(DMS_ERR_INVALID,
                            "fit '%s' has no bias, so that it does not tell what a model of all "
                            "training examples puts out: train some (control rows of a plan)",
                            dms_fit_get_header(fit)->name);
    }
    return 0;
}

int dms_base_outputs(dms_snapshot *snapshot, dms_fit *fit, const dms_retrained *retrained,
                     const struct dms_retrained_options *options, const size_t *positions,
                     size_t position_ct, double *outputs, enum dms_base *base)
{
    dms_retrained *own = NULL;
    enum dms_base found = DMS_BASE_RETRAINED;
    int code = retrained ? average_controls(retrained, fit, positions, position_ct, outputs)
                         : DMS_ERR_NOT_FOUND;

    if (code == DMS_ERR_NOT_FOUND) {
        found = DMS_BASE_STORE;
        code = dms_retrained_open_controls(snapshot, fit, options, &own);
        if (code == 0)
            code = average_controls(own, fit, positions, position_ct, outputs);
    }
    if (code == DMS_ERR_NOT_FOUND) {
        found = DMS_BASE_PREDICTED;
        code = predict_full(fit, positions, position_ct, outputs);
    }
    dms_retrained_close(own);
    if (code == 0)
        *base = found;
    return code;
}
