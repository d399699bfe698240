/*
 * dms_fit_top: a target's weights of one sign, sorted.
 */
#include "dmstore/nearest.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* By decreasing size of the weight; all of them have one sign. */
static int compare_sizes(const void *left, const void *right)
{
    const struct dms_weighted_example *a = left, *b = right;

    if (a->weight != b->weight)
        return (a->weight > b->weight) == (a->weight > 0) ? -1 : 1;
    return (a->example > b->example) - (a->example < b->example);
}

/* Sorts the target's weights of the sign into *sorted, which grows. */
static int sort_weights(const struct dms_fitted_target *target, enum dms_weight_sign sign,
                        struct dms_weighted_example **sorted, size_t *capacity, size_t *example_ct)
{
    size_t count = 0;
    int code = dms_grow((void **)sorted, capacity, target->weight_ct, sizeof(**sorted));

    if (code < 0)
        return code;
    for (size_t i = 0; i < target->weight_ct; i++) {
        if ((target->weights[i] > 0) == (sign == DMS_POSITIVE_WEIGHTS))
            (*sorted)[count++] =
                (struct dms_weighted_example){target->examples[i], target->weights[i]};
    }
    if (count > 1)
        qsort(*sorted, count, sizeof(**sorted), compare_sizes);
    *example_ct = count;
    return 0;
}

int dms_fit_top(const dms_fit *fit, const size_t *positions, size_t position_ct, size_t k,
                enum dms_weight_sign sign, struct dms_weighted_example *examples,
                size_t *example_cts)
{
    struct dms_weighted_example *sorted = NULL;
    size_t capacity = 0;
    int code = 0;

    for (size_t i = 0; code == 0 && i < position_ct; i++) {
        struct dms_fitted_target target;
        size_t example_ct = 0;

        code = dms_fit_target(fit, positions[i], &target);
        if (code == 0)
            code = sort_weights(&target, sign, &sorted, &capacity, &example_ct);
        if (code < 0)
            break;
        example_cts[i] = example_ct < k ? example_ct : k;
        if (example_cts[i] > 0)
            memcpy(examples + i * k, sorted, example_cts[i] * sizeof(*sorted));
    }
    free(sorted);
    return code;
}
