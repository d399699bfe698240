/*
 * Sorts the weights of a target; see weight_order.h.
 */
#include "query/weight_order.h"

#include <stdlib.h>

static int compare_largest(const void *left, const void *right)
{
    const struct dms_weighted_example *a = left, *b = right;

    if (a->weight != b->weight)
        return a->weight > b->weight ? -1 : 1;
    return (a->example > b->example) - (a->example < b->example);
}

static int compare_smallest(const void *left, const void *right)
{
    const struct dms_weighted_example *a = left, *b = right;

    if (a->weight != b->weight)
        return a->weight < b->weight ? -1 : 1;
    return (a->example > b->example) - (a->example < b->example);
}

/* Those with a weight of that sign, as they come in the order from the end of sign `first`. */
static size_t sort_sign(const struct dms_fitted_target *target, enum dms_weight_sign sign,
                        enum dms_weight_sign first, struct dms_weighted_example *entries)
{
    size_t entry_ct = 0;

    for (size_t i = 0; i < target->weight_ct; i++) {
        if (sign == DMS_POSITIVE_WEIGHTS ? target->weights[i] > 0 : target->weights[i] < 0)
            entries[entry_ct++] =
                (struct dms_weighted_example){target->examples[i], target->weights[i]};
    }
    qsort(entries, entry_ct, sizeof(*entries),
          first == DMS_POSITIVE_WEIGHTS ? compare_largest : compare_smallest);
    return entry_ct;
}

size_t dms_weight_order_sign(const struct dms_fitted_target *target, enum dms_weight_sign sign,
                             struct dms_weighted_example *entries)
{
    return sort_sign(target, sign, sign, entries);
}

void dms_weight_order(const struct dms_fitted_target *target, enum dms_weight_sign first,
                      size_t example_ct, size_t entry_ct, struct dms_weighted_example *entries,
                      struct dms_weighted_example *scratch)
{
    enum dms_weight_sign last =
        first == DMS_POSITIVE_WEIGHTS ? DMS_NEGATIVE_WEIGHTS : DMS_POSITIVE_WEIGHTS;
    size_t sorted_ct = sort_sign(target, first, first, scratch), place = 0, next = 0;

    for (size_t i = 0; place < entry_ct && i < sorted_ct; i++)
        entries[place++] = scratch[i];
    /* No weight is 0, so the examples without one are those that are not listed. */
    for (size_t example = 0; place < entry_ct && example < example_ct; example++) {
        if (next < target->weight_ct && target->examples[next] == example)
            next++;
        else
            entries[place++] = (struct dms_weighted_example){(uint32_t)example, 0};
    }
    if (place == entry_ct)
        return;
    sorted_ct = sort_sign(target, last, first, scratch);
    for (size_t i = 0; place < entry_ct && i < sorted_ct; i++)
        entries[place++] = scratch[i];
}
