/*
 * Orders of removal (dms_removal_order) against their definition, random ones for being
 * permutations of what qualifies that favour nothing; effects; and correlations of changes against
 * plain ones.
 */
#include "tests/unit/tap.h"

#include <dmstore.h>

#include <math.h>
#include <stdlib.h>

enum { EXAMPLES = 60, DRAWS = 6000 };

/* A target with ties: examples 3 j + 1 have the weights 0.5, -0.5, 0.25, -0.25, 0.5 ... */
static uint32_t examples[EXAMPLES];
static double weights[EXAMPLES];
static int64_t labels[EXAMPLES];
static struct dms_fitted_target target = {.examples = examples, .weights = weights};

static double weight_of(uint64_t example)
{
    static const double cycle[] = {0.5, -0.5, 0.25, -0.25};

    return example % 3 == 1 ? cycle[example / 3 % 4] : 0;
}

static void make_target(void)
{
    for (uint32_t example = 0; example < EXAMPLES; example++) {
        labels[example] = example % 5;
        if (weight_of(example) != 0) {
            examples[target.weight_ct] = example;
            weights[target.weight_ct++] = weight_of(example);
        }
    }
}

static struct dms_removal_options usual_options(uint64_t seed)
{
    return (struct dms_removal_options){
        .example_ct = EXAMPLES, .seed = seed, .labels = labels, .label = 2};
}

static size_t order(enum dms_removal_kind kind, uint64_t seed, size_t k, uint64_t *order)
{
    struct dms_removal_options options = usual_options(seed);
    size_t example_ct = 0;

    if (dms_removal_order(&target, kind, &options, k, order, &example_ct) < 0)
        diag("%s", dms_error_message());
    return example_ct;
}

/* ---- by weight ---- */

/* Whether each example stands behind those before it: sign 1, larger weights first. */
static bool is_ordered(const uint64_t *order, size_t example_ct, double sign)
{
    for (size_t i = 1; i < example_ct; i++) {
        double before = sign * weight_of(order[i - 1]), after = sign * weight_of(order[i]);

        if (before < after || (before == after && order[i - 1] >= order[i]))
            return false;
    }
    return true;
}

static void test_by_weight(void)
{
    uint64_t all[EXAMPLES], some[EXAMPLES];
    bool are_prefixes = true;

    ok(order(DMS_REMOVE_TOP, 0, EXAMPLES, all) == EXAMPLES && is_ordered(all, EXAMPLES, 1),
       "top: by decreasing weight, then by index");
    for (size_t k = 0; k < EXAMPLES; k++)
        are_prefixes &=
            order(DMS_REMOVE_TOP, 9, k, some) == k && memcmp(some, all, k * sizeof(*all)) == 0;
    ok(are_prefixes, "fewer are the first ones of more, whatever the seed");
    ok(order(DMS_REMOVE_BOTTOM, 0, EXAMPLES, all) == EXAMPLES && is_ordered(all, EXAMPLES, -1),
       "bottom: by increasing weight, then by index");
}

/* ---- at random ---- */

static bool are_different(const uint64_t *order, size_t example_ct)
{
    bool is_there[EXAMPLES] = {false};

    for (size_t i = 0; i < example_ct; i++) {
        if (order[i] >= EXAMPLES || is_there[order[i]])
            return false;
        is_there[order[i]] = true;
    }
    return true;
}

static void test_at_random(void)
{
    uint64_t all[EXAMPLES + 1], again[EXAMPLES + 1];
    size_t example_ct = order(DMS_REMOVE_RANDOM, 3, EXAMPLES + 1, all);
    bool qualify = true;

    ok(example_ct == EXAMPLES && are_different(all, example_ct), "random: all examples, once each");
    order(DMS_REMOVE_RANDOM, 3, 20, again);
    ok(memcmp(all, again, 20 * sizeof(*all)) == 0, "fewer are the first ones of more");
    order(DMS_REMOVE_RANDOM, 4, 20, again);
    ok(memcmp(all, again, 20 * sizeof(*all)) != 0, "another seed gives another order");
    target.target = 1;
    order(DMS_REMOVE_RANDOM, 3, 20, again);
    target.target = 0;
    ok(memcmp(all, again, 20 * sizeof(*all)) != 0, "and so does another target");
    example_ct = order(DMS_REMOVE_ZERO, 3, EXAMPLES, all);
    for (size_t i = 0; i < example_ct; i++)
        qualify &= weight_of(all[i]) == 0;
    ok(example_ct == 40 && qualify && are_different(all, example_ct), "zero: all of weight 0");
    example_ct = order(DMS_REMOVE_CLASS, 3, EXAMPLES, all);
    for (size_t i = 0; i < example_ct; i++)
        qualify &= labels[all[i]] == 2;
    ok(example_ct == 12 && qualify && are_different(all, example_ct), "class: all of the class");
}

/* Each example is among the first 6 of 60 in a tenth of the draws: 600, standard deviation 23. */
static void test_is_fair(void)
{
    unsigned counts[EXAMPLES] = {0}, smallest = DRAWS, largest = 0;
    uint64_t drawn[6];

    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        order(DMS_REMOVE_RANDOM, seed, 6, drawn);
        for (size_t i = 0; i < 6; i++)
            counts[drawn[i]]++;
    }
    for (size_t i = 0; i < EXAMPLES; i++) {
        smallest = counts[i] < smallest ? counts[i] : smallest;
        largest = counts[i] > largest ? counts[i] : largest;
    }
    if (!ok(smallest > 500 && largest < 700, "every example is drawn as often as the others"))
        diag("from %u to %u times", smallest, largest);
}

/* ---- changes ---- */

static void test_effect(void)
{
    uint8_t mask[8] = {0};
    double sum = 0;

    for (size_t i = 0; i < target.weight_ct; i++)
        sum += target.weights[i];
    ok(dms_removal_effect(&target, mask) == sum, "everything is removed");
    memset(mask, 0xff, sizeof(mask));
    ok(dms_removal_effect(&target, mask) == 0, "nothing is removed");
    mask[0] = 0xe5; /* without examples 1, 3 and 4 */
    ok(dms_removal_effect(&target, mask) == weight_of(1) + weight_of(4), "some are");
}

static void test_compare(void)
{
    /* Differences that float would not see; one pair is not known. */
    double predicted[] = {1, 1 + 1e-12, 5, -2, 1 + 1e-12, 3};
    double actual[] = {2, 2 + 1e-12, NAN, 2 + 2e-12, 2 + 3e-12, 2 + 4e-12};
    double equal[] = {1, 1, 1, 1, 1, 1};
    struct dms_change_score score;

    /* Ranks 2 3.5 1 3.5 5 and 1 2 3 4 5, around 3: 6 / sqrt(9.5 x 10). */
    ok(dms_compare_changes(predicted, actual, 6, &score) == 0 && score.pair_ct == 5 &&
           fabs(score.spearman - 6 / sqrt(95)) < 1e-14,
       "ranks are those of doubles, and what is not known is left out");
    ok(fabs(score.predicted_mean - 4.0 / 5) < 1e-11 && fabs(score.actual_mean - 2) < 1e-11,
       "of the means, too");
    ok(dms_compare_changes(equal, predicted, 6, &score) == 0 && score.pearson == 0 &&
           score.spearman == 0,
       "predictions that are all equal tell nothing");
    ok(dms_compare_changes(predicted, equal, 6, &score) == 0 && isnan(score.pearson) &&
           isnan(score.spearman),
       "of changes that are all equal nothing can be told");
    ok(dms_compare_changes(predicted, &actual[2], 1, &score) == 0 && score.pair_ct == 0 &&
           isnan(score.actual_mean),
       "there may be none");
}

int main(void)
{
    make_target();
    test_by_weight();
    test_at_random();
    test_is_fair();
    test_effect();
    test_compare();
    return tap_done();
}
