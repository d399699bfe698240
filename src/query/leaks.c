/*
 * dms_fit_leaks: gathers the pairs whose weight stands out among those of its target, and now and
 * then sorts them and drops what is not wanted, which bounds their memory.
 */
#include "dmstore/nearest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/order.h"

/* The standard deviation of a normal distribution, for a median of absolute values of 1. */
#define NORMAL_CONSISTENT 1.4826

/* Candidates that are gathered beyond twice those that are wanted before they are sorted. */
#define SPARE_LEAKS 1024

void dms_leak_options_init(struct dms_leak_options *options)
{
    *options = (struct dms_leak_options){.least_score = 10, .leak_max = 20};
}

/* What was found so far, and working memory. */
struct search {
    const struct dms_leak_options *options;
    struct dms_leak *leaks;
    size_t leak_ct, capacity;
    uint64_t found_ct; /* with those that are not wanted any more */
    double *sizes;     /* of a target's weights, sorted */
    size_t size_capacity;
};

/* The median of the other value_ct - 1 of the sorted values, without one that is `left_out`. */
static double median_of_others(const double *sorted, size_t value_ct, double left_out)
{
    size_t other_ct = value_ct - 1;
    size_t low = (other_ct - 1) / 2, high = other_ct / 2;

    /* Those from the first value that is left_out or above it move down by one. */
    low += sorted[low] >= left_out;
    high += sorted[high] >= left_out;
    return (sorted[low] + sorted[high]) / 2;
}

static double score(const struct search *search, size_t weight_ct, double weight)
{
    if (weight_ct == 1)
        return INFINITY;
    return weight / (NORMAL_CONSISTENT * median_of_others(search->sizes, weight_ct, weight));
}

static int compare_leaks(const void *left, const void *right)
{
    const struct dms_leak *a = left, *b = right;

    if (a->weight != b->weight)
        return a->weight > b->weight ? -1 : 1;
    if (a->target != b->target)
        return a->target < b->target ? -1 : 1;
    return (a->example > b->example) - (a->example < b->example);
}

/* Sorts what was found and drops what is not wanted. */
static void keep_wanted(struct search *search)
{
    if (search->leak_ct > 1)
        qsort(search->leaks, search->leak_ct, sizeof(*search->leaks), compare_leaks);
    if (search->leak_ct > search->options->leak_max)
        search->leak_ct = search->options->leak_max;
}

static int add_leak(struct search *search, const struct dms_leak *leak)
{
    int code;

    if (search->leak_ct >= SPARE_LEAKS &&
        search->leak_ct - SPARE_LEAKS >= 2 * search->options->leak_max)
        keep_wanted(search);
    code = dms_grow((void **)&search->leaks, &search->capacity, search->leak_ct + 1,
                    sizeof(*search->leaks));
    search->found_ct++;
    if (code == 0)
        search->leaks[search->leak_ct++] = *leak;
    return code;
}

static int search_target(struct search *search, const struct dms_fitted_target *target,
                         size_t position)
{
    const struct dms_leak_options *options = search->options;
    int code = dms_grow((void **)&search->sizes, &search->size_capacity, target->weight_ct,
                        sizeof(*search->sizes));

    if (code < 0)
        return code;
    for (size_t i = 0; i < target->weight_ct; i++)
        search->sizes[i] = fabs(target->weights[i]);
    if (target->weight_ct > 1)
        qsort(search->sizes, target->weight_ct, sizeof(*search->sizes), dms_compare_double);
    for (size_t i = 0; code == 0 && i < target->weight_ct; i++) {
        struct dms_leak leak = {
            .target = target->target,
            .position = position,
            .example = target->examples[i],
            .weight = target->weights[i],
        };

        if (leak.weight <= 0 || leak.weight < options->least_weight)
            continue;
        leak.score = score(search, target->weight_ct, leak.weight);
        if (leak.score >= options->least_score)
            code = add_leak(search, &leak);
    }
    return code;
}

int dms_fit_leaks(const dms_fit *fit, const size_t *positions, size_t position_ct,
                  const struct dms_leak_options *options, struct dms_leak *leaks, size_t *leak_ct,
                  uint64_t *found_ct)
{
    struct search search = {.options = options};
    int code = 0;

    for (size_t i = 0; code == 0 && i < position_ct; i++) {
        struct dms_fitted_target target;

        code = dms_fit_target(fit, positions[i], &target);
        if (code == 0)
            code = search_target(&search, &target, positions[i]);
    }
    if (code == 0) {
        keep_wanted(&search);
        if (search.leak_ct > 0)
            memcpy(leaks, search.leaks, search.leak_ct * sizeof(*leaks));
        *leak_ct = search.leak_ct;
        *found_ct = search.found_ct;
    }
    free(search.leaks);
    free(search.sizes);
    return code;
}
