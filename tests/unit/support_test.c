/*
 * Isotonic regression, crossings and the guided search (include/dmstore/support.h) against their
 * definitions: regressions against the max-min formula, which no pooling is needed for.
 */
#include "tests/unit/tap.h"

#include <math.h>
#include <string.h>

#include "dmstore/error.h"
#include "dmstore/support.h"

enum { MAX_VALUES = 12 };

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % bound);
}

static double mean_of(const double *values, const double *weights, size_t first, size_t last)
{
    double sum = 0, weight = 0;
    for (size_t i = first; i <= last; i++) {
        sum += weights[i] * values[i];
        weight += weights[i];
    }
    return sum / weight;
}

/* Robertson, Wright, Dykstra 1988, eq. 1.4.4, for a non-increasing sequence: min over starts at or
 * before i of the max over ends at or after i of the mean between them. */
static double min_max(const double *values, const double *weights, size_t value_ct, size_t i)
{
    double smallest = INFINITY;
    for (size_t first = 0; first <= i; first++) {
        double largest = -INFINITY;
        for (size_t last = i; last < value_ct; last++)
            largest = fmax(largest, mean_of(values, weights, first, last));
        smallest = fmin(smallest, largest);
    }
    return smallest;
}

static void test_isotonic(void)
{
    bool same = true, falls = true;
    for (int round = 0; round < 2000; round++) {
        double values[MAX_VALUES], weights[MAX_VALUES], fitted[MAX_VALUES];
        size_t value_ct = 1 + random_below(MAX_VALUES);
        for (size_t i = 0; i < value_ct; i++) {
            values[i] = (double)random_below(round % 2 ? 5 : 1000) - 2;
            weights[i] = 1 + random_below(4);
        }
        same &= dms_isotonic_fit(values, weights, value_ct, fitted) == 0;
        for (size_t i = 0; i < value_ct; i++) {
            same &= fabs(fitted[i] - min_max(values, weights, value_ct, i)) < 1e-9;
            falls &= i == 0 || fitted[i] <= fitted[i - 1];
        }
    }
    ok(same, "isotonic regression is the min-max of means, ties and weights included");
    ok(falls, "and never rises");
    ok(dms_isotonic_fit(NULL, NULL, 0, NULL) == 0, "no values are no failure");
}

static void test_crossing(void)
{
    const double ks[] = {0, 10, 20, 40};
    ok(dms_zero_crossing(ks, (double[]){3, 1, -1, -2}, 4) == 15, "a crossing between two points");
    ok(dms_zero_crossing(ks, (double[]){3, 1, 1, -3}, 4) == 25, "after a plateau");
    ok(dms_zero_crossing(ks, (double[]){3, 0, 0, -2}, 4) == 10, "where 0 is reached first");
    ok(dms_zero_crossing(ks, (double[]){3, 2, 1, 0}, 4) == 40, "at the last point");
    ok(dms_zero_crossing(ks, (double[]){-1, -1, -2, -2}, 4) == 0, "at the first point");
    ok(isnan(dms_zero_crossing(ks, (double[]){3, 2, 1, 0.5}, 4)), "nowhere");
    ok(isnan(dms_zero_crossing(ks, ks, 0)), "nowhere without points");
}

static void test_search(void)
{
    struct dms_support support = {.target = 7};
    struct dms_support_point points[] = {
        {0, 4, 2, 0}, {10, 2, 1, 0}, {20, 0, NAN, 0}, {40, 1, 2.5, 0}, {80, 4, -1, 0}};
    ok(dms_support_search(points, 5, 1000, &support) == 0, "a search with all that can happen");
    /* 10 and 40 pool to (2 x 1 + 2.5) / 3 = 1.5, which falls to -1 from 40 to 80. */
    ok(points[0].fitted == 2 && points[1].fitted == 1.5 && points[3].fitted == 1.5 &&
           points[4].fitted == -1,
       "means are pooled by their runs");
    ok(isnan(points[2].fitted), "a point without runs does not count");
    ok(support.target == 7 && support.k == 64 && support.support == 64 &&
           support.conservative == 77 && !support.censored,
       "the support is where the fit crosses 0");
    ok(support.m0 == 2 && support.control_ct == 4 && support.m0_source == DMS_M0_CONTROL_RUNS,
       "M0 is the first point");
    ok(dms_support_search(points, 5, 70, &support) == 0 && support.conservative == 70,
       "there are no more examples than that");
    ok(dms_support_search(points, 4, 1000, &support) == 0 && support.censored &&
           support.support == 40,
       "a search that stays above 0 ends with its largest k");
    points[3].run_ct = 0;
    ok(dms_support_search(points, 4, 1000, &support) == 0 && support.censored &&
           support.support == 10,
       "that has runs");
    points[0].output = -0.5;
    points[1].output = 3;
    ok(dms_support_search(points, 5, 1000, &support) == 0 && support.k == 0 &&
           support.support == 0 && support.conservative == 0 && !support.censored,
       "what is wrong from the beginning has support 0, whatever comes then");
    points[2].k = 10;
    ok(dms_support_search(points, 5, 1000, &support) == DMS_ERR_INVALID, "one k twice is refused");
    points[2].k = 20;
    points[1].output = NAN;
    ok(dms_support_search(points, 5, 1000, &support) == DMS_ERR_INVALID, "so is a NaN");
    ok(dms_support_search(points + 1, 1, 1000, &support) == DMS_ERR_INVALID &&
           dms_support_search(points, 0, 1000, &support) == DMS_ERR_INVALID,
       "and a search without M0");
}

static void test_cdf(void)
{
    const struct dms_support supports[] = {
        {.support = 0}, {.support = 5}, {.support = 5, .censored = true}, {.m0 = NAN}};
    const uint64_t ks[] = {0, 4, 5, 1000};
    double fractions[4];
    dms_support_cdf(supports, 4, ks, 4, fractions);
    ok(fractions[0] == 0.25 && fractions[1] == 0.25 && fractions[2] == 0.5 && fractions[3] == 0.5,
       "the distribution leaves censored and unknown supports above every k");
    ok(strcmp(dms_m0_source_name(DMS_M0_DATAMODEL), "datamodel") == 0, "sources have names");
}

int main(void)
{
    test_isotonic();
    test_crossing();
    test_search();
    test_cdf();
    return tap_done();
}
