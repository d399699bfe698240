/*
 * Orders training examples for removal, by weight or at random; see dmstore/counterfactual.h.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/mix.h"
#include "dmstore/counterfactual.h"
#include "query/weight_order.h"

/* ---- by weight ---- */

static int order_by_weight(const struct dms_fitted_target *target, enum dms_weight_sign first,
                           uint64_t example_ct, size_t k, uint64_t *examples, size_t *taken_ct)
{
    size_t taken = k < example_ct ? k : (size_t)example_ct;
    struct dms_weighted_example *entries = dms_alloc(taken, sizeof(*entries));
    struct dms_weighted_example *scratch = dms_alloc(target->weight_ct, sizeof(*scratch));
    int code = entries && scratch ? 0 : DMS_ERR_NO_MEMORY;

    if (code == 0)
        dms_weight_order(target, first, (size_t)example_ct, taken, entries, scratch);
    for (size_t i = 0; code == 0 && i < taken; i++)
        examples[i] = entries[i].example;
    free(entries);
    free(scratch);
    if (code == 0)
        *taken_ct = taken;
    return code;
}

/* ---- at random ---- */

/* The examples that qualify, in their order. */
static size_t list_candidates(const struct dms_fitted_target *target, enum dms_removal_kind kind,
                              const struct dms_removal_options *options, uint32_t *candidates)
{
    size_t candidate_ct = 0, next_weight = 0;

    for (uint64_t example = 0; example < options->example_ct; example++) {
        bool has_weight =
            next_weight < target->weight_ct && target->examples[next_weight] == example;

        next_weight += has_weight;
        if ((kind == DMS_REMOVE_ZERO && has_weight) ||
            (kind == DMS_REMOVE_CLASS && options->labels[example] != options->label))
            continue;
        candidates[candidate_ct++] = (uint32_t)example;
    }
    return candidate_ct;
}

/* The first k of a shuffle (Fisher and Yates) of those that qualify. */
static int order_at_random(const struct dms_fitted_target *target, enum dms_removal_kind kind,
                           const struct dms_removal_options *options, size_t k, uint64_t *examples,
                           size_t *taken_ct)
{
    uint32_t *candidates = dms_alloc(options->example_ct, sizeof(*candidates));
    uint64_t state = dms_mix(dms_mix(options->seed + DMS_MIX_STEP * (uint64_t)kind) +
                             DMS_MIX_STEP * target->target);
    size_t candidate_ct, taken;

    if (!candidates)
        return DMS_ERR_NO_MEMORY;
    candidate_ct = list_candidates(target, kind, options, candidates);
    for (taken = 0; taken < k && taken < candidate_ct; taken++) {
        /* Of 2^64 numbers against at most 2^32 candidates: the bias is below 2^-32. */
        uint64_t other = taken + dms_mix_next(&state) % (candidate_ct - taken);
        uint32_t drawn = candidates[other];

        candidates[other] = candidates[taken];
        examples[taken] = drawn;
    }
    free(candidates);
    *taken_ct = taken;
    return 0;
}

int dms_removal_order(const struct dms_fitted_target *target, enum dms_removal_kind kind,
                      const struct dms_removal_options *options, size_t k, uint64_t *examples,
                      size_t *example_ct)
{
    if (kind == DMS_REMOVE_TOP || kind == DMS_REMOVE_BOTTOM)
        return order_by_weight(target,
                               kind == DMS_REMOVE_TOP ? DMS_POSITIVE_WEIGHTS : DMS_NEGATIVE_WEIGHTS,
                               options->example_ct, k, examples, example_ct);
    return order_at_random(target, kind, options, k, examples, example_ct);
}
