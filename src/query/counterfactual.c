/*
 * Effects of removing training examples, predicted and actual; see dmstore/counterfactual.h.
 */
#include "dmstore/counterfactual.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "query/ranks.h"

double dms_removal_effect(const struct dms_fitted_target *target, const uint8_t *mask)
{
    double effect = 0;

    for (size_t i = 0; i < target->weight_ct; i++) {
        uint32_t example = target->examples[i];

        if (!(mask[example >> 3] >> (example & 7) & 1))
            effect += target->weights[i];
    }
    return effect;
}

/* ---- actual changes ---- */

/* The base of every target that occurs: bases[p] of the target at position p, for all of the fit.
 */
static int read_bases(dms_snapshot *snapshot, dms_fit *fit, const dms_retrained *retrained,
                      const struct dms_retrained_options *options,
                      const struct dms_actual_change *changes, size_t change_ct, double *bases,
                      enum dms_base *base)
{
    size_t target_ct = dms_fit_target_ct(fit), position_ct = 0;
    size_t *positions = dms_alloc(target_ct, sizeof(*positions));
    double *outputs = dms_alloc(target_ct, sizeof(*outputs));
    int code = positions && outputs ? 0 : DMS_ERR_NO_MEMORY;

    for (size_t i = 0; code == 0 && i < change_ct; i++)
        bases[changes[i].position] = 1;
    for (size_t p = 0; code == 0 && p < target_ct; p++) {
        if (bases[p] != 0)
            positions[position_ct++] = p;
    }
    if (code == 0)
        code = dms_base_outputs(snapshot, fit, retrained, options, positions, position_ct, outputs,
                                base);
    for (size_t i = 0; code == 0 && i < position_ct; i++)
        bases[positions[i]] = outputs[i];
    free(positions);
    free(outputs);
    return code;
}

static int read_means(const dms_fit *fit, const dms_retrained *retrained,
                      const struct dms_actual_change *changes, size_t change_ct,
                      struct dms_retrained_mean *means)
{
    for (size_t i = 0; i < change_ct; i++) {
        struct dms_fitted_target target;
        int code = dms_fit_target(fit, changes[i].position, &target);

        if (code < 0)
            return code;
        means[i] = (struct dms_retrained_mean){.mask = changes[i].mask, .target = target.target};
    }
    return dms_retrained_means(retrained, means, change_ct);
}

int dms_actual_changes(dms_snapshot *snapshot, dms_fit *fit, const dms_retrained *retrained,
                       const struct dms_retrained_options *options,
                       struct dms_actual_change *changes, size_t change_ct, enum dms_base *base)
{
    struct dms_retrained_mean *means = dms_alloc(change_ct, sizeof(*means));
    double *bases = dms_alloc(dms_fit_target_ct(fit), sizeof(*bases));
    int code = means && bases ? 0 : DMS_ERR_NO_MEMORY;

    if (code == 0)
        code = read_means(fit, retrained, changes, change_ct, means);
    if (code == 0)
        code = read_bases(snapshot, fit, retrained, options, changes, change_ct, bases, base);
    for (size_t i = 0; code == 0 && i < change_ct; i++) {
        changes[i].change = means[i].mean - bases[changes[i].position];
        changes[i].model_ct = means[i].model_ct;
        changes[i].nonfinite_ct = means[i].nonfinite_ct;
    }
    free(means);
    free(bases);
    return code;
}

/* ---- comparing ---- */

/* Spearman's correlation of value_ct pairs. */
static int correlate_ranks(const double *predicted, const double *actual, size_t value_ct,
                           double *spearman)
{
    struct dms_placed_value *scratch = dms_alloc(value_ct, sizeof(*scratch));
    uint32_t *order = dms_alloc(value_ct, sizeof(*order));
    double *ranks = dms_alloc(2 * value_ct, sizeof(*ranks));
    struct dms_ranking predictions = {.value_ct = value_ct, .order = order, .ranks = ranks};
    struct dms_ranking outputs = {.value_ct = value_ct, .order = order};
    int code = scratch && order && ranks ? 0 : DMS_ERR_NO_MEMORY;

    if (code == 0) {
        outputs.ranks = ranks + value_ct;
        dms_rank_doubles(predicted, &predictions, scratch);
        dms_rank_doubles(actual, &outputs, scratch);
        *spearman = dms_spearman(&predictions, &outputs);
    }
    free(scratch);
    free(order);
    free(ranks);
    return code;
}

int dms_compare_changes(const double *predicted, const double *actual, size_t pair_ct,
                        struct dms_change_score *score)
{
    struct dms_change_score made = {0};
    double *known = dms_alloc(2 * pair_ct, sizeof(*known)), *known_actual;
    int code;

    if (!known)
        return DMS_ERR_NO_MEMORY;
    known_actual = known + pair_ct;
    for (size_t i = 0; i < pair_ct; i++) {
        if (isnan(actual[i]))
            continue;
        known[made.pair_ct] = predicted[i];
        known_actual[made.pair_ct++] = actual[i];
    }
    made.predicted_mean = dms_mean(known, made.pair_ct);
    made.actual_mean = dms_mean(known_actual, made.pair_ct);
    made.pearson = dms_correlation(known, known_actual, made.pair_ct);
    code = correlate_ranks(known, known_actual, made.pair_ct, &made.spearman);
    free(known);
    if (code == 0)
        *score = made;
    return code;
}
