/*
 * The rank statistics (src/query/ranks.h) against their definitions, computed the slow way: ranks
 * by counting, resamples by writing every value as often as it was drawn, influences by changing
 * one count.
 */
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>

#include "query/ranks.h"

enum { MAX_VALUES = 4000 };

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % bound);
}

/* A ranking with memory of its own. */
struct ranked {
    struct dms_ranking ranking;
    uint32_t order[MAX_VALUES];
    double ranks[MAX_VALUES];
};

static const struct dms_ranking *rank(struct ranked *ranked, const float *values, size_t value_ct)
{
    static uint64_t scratch[2 * MAX_VALUES];

    ranked->ranking = (struct dms_ranking){value_ct, ranked->order, ranked->ranks, false};
    dms_rank(values, &ranked->ranking, scratch);
    return &ranked->ranking;
}

static bool near(double got, double wanted, double tolerance)
{
    bool is_near = fabs(got - wanted) <= tolerance;

    if (!is_near)
        diag("got %.17g, wanted %.17g", got, wanted);
    return is_near;
}

/* `level_ct` different values, some of them below 0. */
static void fill(float *values, size_t value_ct, uint32_t level_ct)
{
    for (size_t i = 0; i < value_ct; i++)
        values[i] = ((float)random_below(level_ct) - (float)(level_ct / 2)) * 0.37f;
}

/* ---- ranks ---- */

static bool ranks_by_counting(const struct dms_ranking *ranking, const float *values)
{
    for (size_t i = 0; i < ranking->value_ct; i++) {
        size_t below = 0, equal = 0;

        for (size_t k = 0; k < ranking->value_ct; k++) {
            below += values[k] < values[i];
            equal += values[k] == values[i];
        }
        if (ranking->ranks[i] != (double)below + (double)(equal + 1) / 2 ||
            (i > 0 && values[ranking->order[i]] < values[ranking->order[i - 1]]))
            return false;
    }
    return true;
}

static void test_ranks(void)
{
    static const uint32_t level_cts[] = {1, 2, 7, 1000, 1 << 30};
    static const float zeros[] = {0.0f, -0.0f, 1e-38f, -1e-40f};
    static struct ranked ranked;
    static float values[1000];

    for (size_t k = 0; k < sizeof(level_cts) / sizeof(level_cts[0]); k++) {
        fill(values, 1000, level_cts[k]);
        rank(&ranked, values, 1000);
        ok(ranks_by_counting(&ranked.ranking, values), "ranks of %u levels", level_cts[k]);
        ok(ranked.ranking.varies == (level_cts[k] > 1), "whether they vary");
    }
    rank(&ranked, zeros, 4);
    ok(ranks_by_counting(&ranked.ranking, zeros), "both zeros are one value, denormals are not");
    rank(&ranked, zeros, 2);
    ok(!ranked.ranking.varies, "both zeros do not vary");
    rank(&ranked, zeros, 0);
    ok(!ranked.ranking.varies, "nothing does not vary");
}

/* ---- correlations ---- */

static void test_known_correlations(void)
{
    /* Without ties: 1 - 6 sum d^2 / (n^3 - n). */
    static const float maths[] = {7, 4, 3, 10, 6, 2, 9, 8, 1, 5};
    static const float music[] = {5, 7, 3, 10, 1, 9, 6, 2, 8, 4};
    static const float constant[] = {0.1f, 0.1f, 0.1f}, up[] = {1, 2, 4}, tied[] = {1, 2, 2};
    static const double numbers[] = {0.1, 0.1, 0.1}, increasing[] = {1, 2, 4};
    static struct ranked x, y;

    ok(near(dms_spearman(rank(&x, maths, 10), rank(&y, music, 10)), 1 - 6 * 182.0 / 990, 1e-15),
       "Spearman by the formula of squared differences");
    ok(near(dms_spearman(rank(&x, up, 3), rank(&y, tied, 3)), sqrt(0.75), 1e-15),
       "Spearman with a tie");
    ok(near(dms_correlation(increasing, increasing, 3), 1, 1e-15),
       "Pearson of a thing with itself");
    ok(isnan(dms_spearman(rank(&x, up, 3), rank(&y, constant, 3))) &&
           isnan(dms_correlation(increasing, numbers, 3)),
       "constant outputs: not defined");
    ok(dms_spearman(rank(&x, constant, 3), rank(&y, up, 3)) == 0 &&
           dms_correlation(numbers, increasing, 3) == 0,
       "constant predictions of outputs that vary: 0");
    ok(isnan(dms_spearman(rank(&x, up, 1), rank(&y, up, 1))) &&
           isnan(dms_correlation(numbers, numbers, 1)) &&
           isnan(dms_correlation(numbers, numbers, 0)),
       "fewer than two values: not defined");
}

/* ---- resamples ---- */

/* Spearman of the sample written out. */
static double spearman_written_out(const float *x, const float *y, const uint32_t *counts,
                                   size_t value_ct)
{
    static float x_values[MAX_VALUES], y_values[MAX_VALUES];
    static struct ranked x_ranked, y_ranked;
    size_t written = 0;

    for (size_t i = 0; i < value_ct; i++) {
        for (uint32_t k = 0; k < counts[i]; k++, written++) {
            x_values[written] = x[i];
            y_values[written] = y[i];
        }
    }
    return dms_spearman(rank(&x_ranked, x_values, written), rank(&y_ranked, y_values, written));
}

static void test_counted(uint32_t x_levels, uint32_t y_levels)
{
    enum { VALUES = 60, TRIALS = 50 };
    static struct ranked x_ranked, y_ranked;
    float x[VALUES], y[VALUES];
    uint32_t counts[VALUES];
    double scratch[2 * VALUES];
    bool same = true;

    for (int trial = 0; trial < TRIALS; trial++) {
        double got, wanted;

        fill(x, VALUES, x_levels);
        fill(y, VALUES, y_levels);
        memset(counts, 0, sizeof(counts));
        for (int k = 0; k < (trial == 0 ? 1 : VALUES); k++)
            counts[random_below(VALUES)]++;
        got = dms_spearman_counted(rank(&x_ranked, x, VALUES), rank(&y_ranked, y, VALUES), counts,
                                   scratch);
        wanted = spearman_written_out(x, y, counts, VALUES);
        same &= isnan(wanted) ? isnan(got) : near(got, wanted, 1e-12);
    }
    ok(same, "resamples of %u x %u levels", x_levels, y_levels);
}

/* Each influence is a difference quotient: counts of a million, one of them a little larger. */
static void test_influences(uint32_t x_levels, uint32_t y_levels)
{
    enum { VALUES = 50, MANY = 1000000, FEW = 100 };
    static struct ranked x_ranked, y_ranked;
    float x[VALUES], y[VALUES];
    uint32_t counts[VALUES];
    double influences[VALUES], scratch[2 * VALUES], sum = 0;
    bool same = true;

    fill(x, VALUES, x_levels);
    fill(y, VALUES, y_levels);
    rank(&x_ranked, x, VALUES);
    rank(&y_ranked, y, VALUES);
    dms_spearman_influences(&x_ranked.ranking, &y_ranked.ranking, influences, scratch);
    for (size_t i = 0; i < VALUES; i++)
        counts[i] = MANY;
    for (size_t i = 0; i < VALUES; i++) {
        double above, below;

        counts[i] = MANY + FEW;
        above = dms_spearman_counted(&x_ranked.ranking, &y_ranked.ranking, counts, scratch);
        counts[i] = MANY - FEW;
        below = dms_spearman_counted(&x_ranked.ranking, &y_ranked.ranking, counts, scratch);
        counts[i] = MANY;
        same &= near(influences[i], (above - below) * MANY / (2 * FEW), 1e-8);
        sum += influences[i];
    }
    ok(same, "influences of %u x %u levels are derivatives", x_levels, y_levels);
    ok(fabs(sum) < 1e-12, "their sum is 0");
}

static void test_no_influences(void)
{
    static const float constant[] = {3, 3, 3}, up[] = {1, 2, 4};
    static struct ranked x, y;
    double influences[3] = {1, 1, 1}, scratch[6];

    dms_spearman_influences(rank(&x, constant, 3), rank(&y, up, 3), influences, scratch);
    ok(influences[0] == 0 && influences[1] == 0 && influences[2] == 0,
       "constant predictions have no influences");
}

/* ---- classes ---- */

static void test_auc(void)
{
    enum { VALUES = 200 };
    static const float scores[] = {1, 2, 3, 4}, classes[] = {-1, 0, 2, 5}, same[] = {1, 2, 3, 4};
    static struct ranked ranked;
    float x[VALUES], y[VALUES];
    double wins = 0, pair_ct = 0;

    ok(dms_auc(rank(&ranked, scores, 4), classes) == 1, "AUC of a perfect order");
    ok(isnan(dms_auc(rank(&ranked, scores, 4), same)), "AUC of one class is not defined");
    ok(isnan(dms_auc(rank(&ranked, scores, 2), classes)), "0 is not above 0");
    fill(x, VALUES, 20);
    fill(y, VALUES, 9);
    for (size_t i = 0; i < VALUES; i++) {
        for (size_t k = 0; k < VALUES; k++) {
            if (y[i] > 0 && y[k] <= 0) {
                wins += x[i] > x[k] ? 1 : x[i] == x[k] ? 0.5 : 0;
                pair_ct++;
            }
        }
    }
    ok(near(dms_auc(rank(&ranked, x, VALUES), y), wins / pair_ct, 1e-14),
       "AUC is the share of pairs in order, ties one half");
}

int main(void)
{
    test_ranks();
    test_known_correlations();
    test_counted(1 << 30, 1 << 30);
    test_counted(9, 1 << 30);
    test_counted(5, 3);
    test_counted(1, 5);
    test_counted(5, 2);
    test_influences(1 << 30, 1 << 30);
    test_influences(6, 1 << 30);
    test_influences(6, 4);
    test_no_influences();
    test_auc();
    return tap_done();
}
