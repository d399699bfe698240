/*
 * k-means and the adjusted Rand index (include/dmstore/cluster.h): points whose best clusters are
 * plain, points that leave clusters empty, and the index by counting pairs.
 */
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>

#include "dmstore/cluster.h"

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % bound);
}

static double random_share(void)
{
    return random_below(1 << 24) / (double)(1 << 24);
}

/* ---- k-means ---- */

enum { POINTS = 600, GROUPS = 7 };

/* Group g has its points around (100 g, 50 g^2), more of them the smaller g is. */
static size_t make_groups(double *points, int64_t *groups)
{
    size_t count = 0;

    for (size_t i = 0; i < POINTS; i++) {
        size_t group = i % (1 + i / 90) % GROUPS;

        groups[count] = (int64_t)group;
        points[2 * count] = 100 * (double)group + random_share();
        points[2 * count + 1] = 50 * (double)(group * group) + random_share();
        count++;
    }
    return count;
}

static void test_groups(void)
{
    double points[2 * POINTS], inertia, others, index;
    int64_t groups[POINTS], clusters[POINTS], again[POINTS];
    size_t count = make_groups(points, groups), sizes[GROUPS] = {0};
    struct dms_k_means_options options;

    dms_k_means_options_init(&options);
    options.cluster_ct = GROUPS;
    is_int(dms_k_means(points, count, 2, &options, clusters, &inertia), 0, "groups far apart");
    is_int(dms_adjusted_rand_index(groups, clusters, count, &index), 0, "are compared");
    ok(index == 1, "clusters are the groups");
    for (size_t i = 0; i < count; i++)
        sizes[clusters[i]]++;
    for (size_t c = 1; c < GROUPS; c++)
        ok(sizes[c - 1] >= sizes[c] && sizes[c] > 0, "cluster %zu is no larger than the one before",
           c);
    options.thread_ct = 5;
    is_int(dms_k_means(points, count, 2, &options, again, &others), 0, "with other threads");
    ok(memcmp(clusters, again, sizeof(clusters)) == 0 && inertia == others, "the same");
}

/* The sum of squared distances to the means, from the clusters alone. */
static double inertia_of(const double *points, size_t count, const int64_t *clusters,
                         size_t cluster_ct)
{
    double sum = 0;

    for (size_t c = 0; c < cluster_ct; c++) {
        double mean = 0, squares = 0, size = 0;

        for (size_t i = 0; i < count; i++) {
            if (clusters[i] == (int64_t)c)
                mean += points[i], size++;
        }
        for (size_t i = 0; i < count && size > 0; i++) {
            if (clusters[i] == (int64_t)c)
                squares += (points[i] - mean / size) * (points[i] - mean / size);
        }
        sum += squares;
    }
    return sum;
}

/* The best division of sorted numbers is into runs: all of them are tried. */
static double best_inertia(const double *points, size_t count, size_t cluster_ct)
{
    double best = INFINITY;
    int64_t clusters[16] = {0};

    for (uint32_t cuts = 0; cuts < 1U << (count - 1); cuts++) {
        if ((size_t)__builtin_popcount(cuts) != cluster_ct - 1)
            continue;
        for (size_t i = 1; i < count; i++)
            clusters[i] = clusters[i - 1] + (cuts >> (i - 1) & 1);
        best = fmin(best, inertia_of(points, count, clusters, cluster_ct));
    }
    return best;
}

static void test_line(void)
{
    struct dms_k_means_options options;

    dms_k_means_options_init(&options);
    options.restart_ct = 300;
    for (int round = 0; round < 10; round++) {
        double points[14], inertia, wanted;
        int64_t clusters[14];

        options.cluster_ct = 2 + (size_t)round % 5;
        options.seed = (uint64_t)round;
        points[0] = 0;
        for (size_t i = 1; i < 14; i++)
            points[i] = points[i - 1] + random_share();
        is_int(dms_k_means(points, 14, 1, &options, clusters, &inertia), 0, "numbers");
        wanted = best_inertia(points, 14, options.cluster_ct);
        ok(fabs(inertia - wanted) < 1e-12 &&
               fabs(inertia_of(points, 14, clusters, options.cluster_ct) - wanted) < 1e-12,
           "%zu clusters of numbers are the best ones", options.cluster_ct);
    }
}

static void test_corners(void)
{
    double points[20] = {0}, inertia = -1;
    int64_t clusters[20], counts[4] = {0};
    struct dms_k_means_options options;

    dms_k_means_options_init(&options);
    options.cluster_ct = 4;
    is_int(dms_k_means(points, 20, 1, &options, clusters, &inertia), 0, "points that are equal");
    for (size_t i = 0; i < 20; i++)
        counts[clusters[i]]++;
    ok(inertia == 0 && counts[0] == 17 && counts[3] == 1, "fill all clusters");
    options.cluster_ct = 20;
    for (size_t i = 0; i < 20; i++)
        points[i] = (double)(i * i);
    is_int(dms_k_means(points, 20, 1, &options, clusters, &inertia), 0, "a cluster a point");
    for (size_t i = 0; i < 20; i++)
        ok(clusters[i] == (int64_t)i, "point %zu is alone, and numbers follow the points", i);
    options.cluster_ct = 21;
    is_int(dms_k_means(points, 20, 1, &options, clusters, &inertia), DMS_ERR_INVALID,
           "more clusters than points");
    options.cluster_ct = 0;
    is_int(dms_k_means(points, 20, 1, &options, clusters, &inertia), DMS_ERR_INVALID,
           "no clusters");
    options.cluster_ct = 2;
    points[7] = NAN;
    is_int(dms_k_means(points, 20, 1, &options, clusters, &inertia), DMS_ERR_INVALID,
           "a point that is no number");
    contains(dms_error_message(), "point 7", "is named");
}

/* ---- the adjusted Rand index ---- */

/* From the four numbers of pairs that are together or apart in one and the other. */
static double index_by_pairs(const int64_t *a, const int64_t *b, size_t count)
{
    double both = 0, first = 0, second = 0, none = 0;

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            bool in_a = a[i] == a[j], in_b = b[i] == b[j];

            both += in_a && in_b;
            first += in_a && !in_b;
            second += !in_a && in_b;
            none += !in_a && !in_b;
        }
    }
    if (first == 0 && second == 0)
        return 1;
    return 2 * (both * none - first * second) /
           ((both + first) * (first + none) + (both + second) * (second + none));
}

static void test_index(void)
{
    int64_t a[50], b[50];
    double index;

    for (int round = 0; round < 30; round++) {
        size_t count = 2 + (size_t)random_below(48);

        for (size_t i = 0; i < count; i++) {
            a[i] = (int64_t)random_below(1 + (uint32_t)round % 6) - 2;
            b[i] = round % 2 == 0 ? (int64_t)random_below(4) : 5 - a[i] * 3 + (i % 9 == 0);
        }
        is_int(dms_adjusted_rand_index(a, b, count, &index), 0, "two clusterings");
        if (!ok(fabs(index - index_by_pairs(a, b, count)) < 1e-12, "agree as their pairs do"))
            diag("got %.17g, wanted %.17g", index, index_by_pairs(a, b, count));
    }
    is_int(dms_adjusted_rand_index(a, b, 0, &index), 0, "no items");
    ok(index == 1, "agree");
    is_int(dms_adjusted_rand_index(a, b, 1, &index), 0, "one item");
    ok(index == 1, "agrees");
}

int main(void)
{
    test_groups();
    test_line();
    test_corners();
    test_index();
    return tap_done();
}
