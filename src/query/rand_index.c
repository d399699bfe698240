/*
 * How far two clusterings agree (dms_adjusted_rand_index).
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "dmstore/cluster.h"

/* The clusters of one item. */
struct both {
    int64_t first, second;
};

static int compare_both(const void *a, const void *b)
{
    const struct both *left = a, *right = b;

    if (left->first != right->first)
        return left->first < right->first ? -1 : 1;
    return (left->second > right->second) - (left->second < right->second);
}

static int compare_second(const void *a, const void *b)
{
    const struct both *left = a, *right = b;

    return (left->second > right->second) - (left->second < right->second);
}

static double pairs_of(size_t item_ct)
{
    return (double)item_ct * ((double)item_ct - 1) / 2;
}

/* Pairs of items that stand in one run of equal ones, in an order that has them side by side. */
static double pairs_in_runs(const struct both *items, size_t item_ct, bool by_first, bool by_second)
{
    size_t begin = 0;
    double pairs = 0;

    for (size_t i = 1; i <= item_ct; i++) {
        if (i < item_ct && (!by_first || items[i].first == items[begin].first) &&
            (!by_second || items[i].second == items[begin].second))
            continue;
        pairs += pairs_of(i - begin);
        begin = i;
    }
    return pairs;
}

int dms_adjusted_rand_index(const int64_t *first, const int64_t *second, size_t item_ct,
                            double *index)
{
    struct both *items = dms_alloc(item_ct, sizeof(*items));
    double together, in_first, in_second, expected, largest;

    if (!items)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < item_ct; i++)
        items[i] = (struct both){first[i], second[i]};
    qsort(items, item_ct, sizeof(*items), compare_both);
    together = pairs_in_runs(items, item_ct, true, true);
    in_first = pairs_in_runs(items, item_ct, true, false);
    qsort(items, item_ct, sizeof(*items), compare_second);
    in_second = pairs_in_runs(items, item_ct, false, true);
    free(items);
    expected = item_ct > 1 ? in_first * in_second / pairs_of(item_ct) : 0;
    largest = (in_first + in_second) / 2;
    *index = together == in_first && together == in_second
                 ? 1
                 : (together - expected) / (largest - expected);
    return 0;
}
