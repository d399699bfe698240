/*
 * dms_fit_top: a heap of the k best of a target's weights, whose root is the worst of them, sorted
 * in the end.
 */
#include "dmstore/nearest.h"

#include <stdlib.h>

typedef int compare_function(const void *left, const void *right);

/* Best first. */
static int compare_largest(const void *left, const void *right)
{
    const struct dms_weighted_example *a = left, *b = right;

    if (a->weight != b->weight)
        return a->weight > b->weight ? -1 : 1;
    return (a->example > b->example) - (a->example < b->example);
}

static int compare_most_negative(const void *left, const void *right)
{
    const struct dms_weighted_example *a = left, *b = right;

    if (a->weight != b->weight)
        return a->weight < b->weight ? -1 : 1;
    return (a->example > b->example) - (a->example < b->example);
}

/* Lets the root of a heap sink to where it belongs: what comes later in the order is above. */
static void sink(struct dms_weighted_example *heap, size_t example_ct, compare_function *compare)
{
    size_t at = 0, child;

    while ((child = 2 * at + 1) < example_ct) {
        struct dms_weighted_example parent = heap[at];

        if (child + 1 < example_ct && compare(&heap[child], &heap[child + 1]) < 0)
            child++;
        if (compare(&parent, &heap[child]) >= 0)
            return;
        heap[at] = heap[child];
        heap[child] = parent;
        at = child;
    }
}

/* Puts a further one at the end of a heap and lets it rise. */
static void rise(struct dms_weighted_example *heap, size_t example_ct,
                 const struct dms_weighted_example *example, compare_function *compare)
{
    size_t at = example_ct;

    while (at > 0 && compare(&heap[(at - 1) / 2], example) < 0) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = *example;
}

static size_t top_of_target(const struct dms_fitted_target *target, size_t k,
                            enum dms_weight_sign sign, struct dms_weighted_example *examples)
{
    compare_function *compare =
        sign == DMS_POSITIVE_WEIGHTS ? compare_largest : compare_most_negative;
    size_t example_ct = 0;

    for (size_t i = 0; i < target->weight_ct; i++) {
        struct dms_weighted_example example = {target->examples[i], target->weights[i]};

        if (sign == DMS_POSITIVE_WEIGHTS ? example.weight <= 0 : example.weight >= 0)
            continue;
        if (example_ct < k) {
            rise(examples, example_ct++, &example, compare);
        } else if (k > 0 && compare(&example, &examples[0]) < 0) {
            examples[0] = example;
            sink(examples, example_ct, compare);
        }
    }
    qsort(examples, example_ct, sizeof(*examples), compare);
    return example_ct;
}

int dms_fit_top(const dms_fit *fit, const size_t *positions, size_t position_ct, size_t k,
                enum dms_weight_sign sign, struct dms_weighted_example *examples,
                size_t *example_cts)
{
    for (size_t i = 0; i < position_ct; i++) {
        struct dms_fitted_target target;
        int code = dms_fit_target(fit, positions[i], &target);

        if (code < 0)
            return code;
        example_cts[i] = top_of_target(&target, k, sign, examples + i * k);
    }
    return 0;
}
