/*
 * k-means with restarts (dms_k_means): restarts are independent of each other, and go to threads.
 */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/mix.h"
#include "base/pool.h"
#include "dmstore/cluster.h"

#define ROUND_MAX 300

void dms_k_means_options_init(struct dms_k_means_options *options)
{
    *options = (struct dms_k_means_options){.cluster_ct = 8, .restart_ct = 10};
}

/* All restarts. */
struct work {
    const double *points;
    size_t point_ct, dimension_ct;
    const struct dms_k_means_options *options;
    pthread_mutex_t lock; /* of what follows: the best restart so far */
    size_t restart;
    double inertia;
    uint32_t *clusters;
};

/* One restart. */
struct trial {
    const struct work *work;
    uint64_t random;
    double *centres;    /* cluster_ct x dimension_ct */
    double *distances;  /* squared, of each point to its centre */
    double *candidate;  /* distances if a candidate were a centre, too ... */
    double *best;       /* ... and those of the best candidate */
    uint32_t *clusters; /* of each point */
    size_t *sizes;      /* of each cluster */
};

static const double *point(const struct work *work, size_t number)
{
    return work->points + number * work->dimension_ct;
}

static double squared_distance(const double *a, const double *b, size_t dimension_ct)
{
    double sum = 0;

    for (size_t i = 0; i < dimension_ct; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

/* ---- k-means++ ---- */

static double draw_share(struct trial *trial)
{
    return (double)(dms_mix_next(&trial->random) >> 11) * 0x1p-53;
}

/* A point, with a probability in proportion to its squared distance. */
static size_t draw_point(struct trial *trial, double total)
{
    double left = draw_share(trial) * total;
    size_t last = trial->work->point_ct - 1;

    for (size_t i = 0; i < last; i++) {
        left -= trial->distances[i];
        if (left < 0)
            return i;
    }
    return last;
}

/* Fills `candidate` with the distances to the nearest centre if this point were one; their sum. */
static double try_centre(struct trial *trial, size_t number)
{
    const struct work *work = trial->work;
    double sum = 0;

    for (size_t i = 0; i < work->point_ct; i++) {
        double distance = squared_distance(point(work, i), point(work, number), work->dimension_ct);

        trial->candidate[i] = fmin(distance, trial->distances[i]);
        sum += trial->candidate[i];
    }
    return sum;
}

static void swap(double **a, double **b)
{
    double *other = *a;

    *a = *b;
    *b = other;
}

/* Takes the best of some candidates as centre; returns the new sum of distances. */
static double choose_centre(struct trial *trial, size_t cluster, double total)
{
    const struct work *work = trial->work;
    size_t tries = 2 + (size_t)log((double)work->options->cluster_ct), chosen = 0;
    double least = INFINITY;

    for (size_t try = 0; try < tries; try++) {
        size_t number = draw_point(trial, total);
        double sum = try_centre(trial, number);

        if (sum < least) {
            least = sum;
            chosen = number;
            swap(&trial->candidate, &trial->best);
        }
    }
    swap(&trial->distances, &trial->best);
    memcpy(trial->centres + cluster * work->dimension_ct, point(work, chosen),
           work->dimension_ct * sizeof(double));
    return least;
}

static void choose_centres(struct trial *trial)
{
    const struct work *work = trial->work;
    size_t first = (size_t)(draw_share(trial) * (double)work->point_ct);
    double total;

    for (size_t i = 0; i < work->point_ct; i++)
        trial->distances[i] = INFINITY;
    total = try_centre(trial, first);
    swap(&trial->distances, &trial->candidate);
    memcpy(trial->centres, point(work, first), work->dimension_ct * sizeof(double));
    for (size_t cluster = 1; cluster < work->options->cluster_ct; cluster++)
        total = choose_centre(trial, cluster, total);
}

/* ---- Lloyd ---- */

/* Gives each point to its nearest centre, of equal ones the first. Returns how many moved. */
static size_t assign(struct trial *trial)
{
    const struct work *work = trial->work;
    size_t moved = 0;

    memset(trial->sizes, 0, work->options->cluster_ct * sizeof(*trial->sizes));
    for (size_t i = 0; i < work->point_ct; i++) {
        uint32_t nearest = 0;

        trial->distances[i] = INFINITY;
        for (uint32_t c = 0; c < work->options->cluster_ct; c++) {
            double distance = squared_distance(
                point(work, i), trial->centres + c * work->dimension_ct, work->dimension_ct);

            if (distance < trial->distances[i]) {
                trial->distances[i] = distance;
                nearest = c;
            }
        }
        moved += nearest != trial->clusters[i];
        trial->clusters[i] = nearest;
        trial->sizes[nearest]++;
    }
    return moved;
}

/* Gives clusters without points the points that are furthest from their centres, but never the
 * last one of a cluster. */
static size_t fill_empty(struct trial *trial)
{
    const struct work *work = trial->work;
    size_t moved = 0;

    for (uint32_t c = 0; c < work->options->cluster_ct; c++) {
        size_t furthest = SIZE_MAX;

        for (size_t i = 0; trial->sizes[c] == 0 && i < work->point_ct; i++) {
            if (trial->sizes[trial->clusters[i]] > 1 &&
                (furthest == SIZE_MAX || trial->distances[i] > trial->distances[furthest]))
                furthest = i;
        }
        if (furthest == SIZE_MAX)
            continue;
        trial->sizes[trial->clusters[furthest]]--;
        trial->clusters[furthest] = c;
        trial->sizes[c] = 1;
        trial->distances[furthest] = 0;
        moved++;
    }
    return moved;
}

static void average(struct trial *trial)
{
    const struct work *work = trial->work;
    size_t dimension_ct = work->dimension_ct;

    memset(trial->centres, 0, work->options->cluster_ct * dimension_ct * sizeof(double));
    for (size_t i = 0; i < work->point_ct; i++) {
        double *centre = trial->centres + trial->clusters[i] * dimension_ct;

        for (size_t k = 0; k < dimension_ct; k++)
            centre[k] += point(work, i)[k] / (double)trial->sizes[trial->clusters[i]];
    }
}

static double sum_distances(const struct trial *trial)
{
    const struct work *work = trial->work;
    double sum = 0;

    for (size_t i = 0; i < work->point_ct; i++)
        sum += squared_distance(point(work, i),
                                trial->centres + trial->clusters[i] * work->dimension_ct,
                                work->dimension_ct);
    return sum;
}

/* Points that are equal may leave clusters empty for good: rounds end then all the same. */
static double improve(struct trial *trial)
{
    for (size_t i = 0; i < trial->work->point_ct; i++)
        trial->clusters[i] = UINT32_MAX;
    for (int round = 0; round < ROUND_MAX; round++) {
        size_t moved = assign(trial);

        moved += fill_empty(trial);
        if (moved == 0)
            break;
        average(trial);
    }
    return sum_distances(trial);
}

/* ---- restarts ---- */

static void keep_best(struct work *work, size_t restart, double inertia, const uint32_t *clusters)
{
    pthread_mutex_lock(&work->lock);
    if (inertia < work->inertia || (inertia == work->inertia && restart < work->restart)) {
        work->inertia = inertia;
        work->restart = restart;
        memcpy(work->clusters, clusters, work->point_ct * sizeof(*clusters));
    }
    pthread_mutex_unlock(&work->lock);
}

static int run_trial(void *context, size_t restart)
{
    struct work *work = context;
    size_t cluster_ct = work->options->cluster_ct;
    struct trial trial = {
        .work = work,
        .random = dms_mix(work->options->seed + DMS_MIX_STEP) + restart,
        .centres = dms_alloc(cluster_ct, work->dimension_ct * sizeof(double)),
        .distances = dms_alloc(work->point_ct, sizeof(double)),
        .candidate = dms_alloc(work->point_ct, sizeof(double)),
        .best = dms_alloc(work->point_ct, sizeof(double)),
        .clusters = dms_alloc(work->point_ct, sizeof(uint32_t)),
        .sizes = dms_alloc(cluster_ct, sizeof(size_t)),
    };
    int code = trial.centres && trial.distances && trial.candidate && trial.best &&
                       trial.clusters && trial.sizes
                   ? 0
                   : DMS_ERR_NO_MEMORY;

    if (code == 0) {
        trial.random = dms_mix(trial.random);
        choose_centres(&trial);
        keep_best(work, restart, improve(&trial), trial.clusters);
    }
    free(trial.centres);
    free(trial.distances);
    free(trial.candidate);
    free(trial.best);
    free(trial.clusters);
    free(trial.sizes);
    return code;
}

/* ---- the result ---- */

struct numbered {
    size_t size, first; /* points, and the first of them */
    uint32_t cluster;
};

static int compare_numbered(const void *a, const void *b)
{
    const struct numbered *left = a, *right = b;

    if (left->size != right->size)
        return left->size < right->size ? 1 : -1;
    return (left->first > right->first) - (left->first < right->first);
}

/* Numbers clusters from the largest, equal ones in order of their first points. */
static int number_clusters(const struct work *work, int64_t *clusters)
{
    size_t cluster_ct = work->options->cluster_ct;
    struct numbered *order = dms_alloc(cluster_ct, sizeof(*order));
    int64_t *numbers = dms_alloc(cluster_ct, sizeof(*numbers));
    int code = order && numbers ? 0 : DMS_ERR_NO_MEMORY;

    for (uint32_t c = 0; code == 0 && c < cluster_ct; c++)
        order[c] = (struct numbered){0, SIZE_MAX, c};
    for (size_t i = work->point_ct; code == 0 && i-- > 0;) {
        order[work->clusters[i]].size++;
        order[work->clusters[i]].first = i;
    }
    if (code == 0)
        qsort(order, cluster_ct, sizeof(*order), compare_numbered);
    for (size_t c = 0; code == 0 && c < cluster_ct; c++)
        numbers[order[c].cluster] = (int64_t)c;
    for (size_t i = 0; code == 0 && i < work->point_ct; i++)
        clusters[i] = numbers[work->clusters[i]];
    free(order);
    free(numbers);
    return code;
}

static int check(const double *points, size_t point_ct, size_t dimension_ct,
                 const struct dms_k_means_options *options)
{
    if (options->cluster_ct < 1 || options->cluster_ct > point_ct ||
        options->cluster_ct >= UINT32_MAX)
        return dms_fail(DMS_ERR_INVALID, "%zu points cannot be in %zu clusters", point_ct,
                        options->cluster_ct);
    if (options->restart_ct < 1)
        return dms_fail(DMS_ERR_INVALID, "k-means has to start at least once");
    for (size_t i = 0; i < point_ct * dimension_ct; i++) {
        if (!isfinite(points[i]))
            return dms_fail(DMS_ERR_INVALID, "a coordinate of point %zu is not finite",
                            i / dimension_ct);
    }
    return 0;
}

int dms_k_means(const double *points, size_t point_ct, size_t dimension_ct,
                const struct dms_k_means_options *options, int64_t *clusters, double *inertia)
{
    struct work work = {
        .points = points,
        .point_ct = point_ct,
        .dimension_ct = dimension_ct,
        .options = options,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .restart = SIZE_MAX,
        .inertia = INFINITY,
    };
    struct dms_pool *pool = NULL;
    int code = check(points, point_ct, dimension_ct, options);

    if (code < 0)
        return code;
    work.clusters = dms_alloc(point_ct, sizeof(*work.clusters));
    code = work.clusters ? dms_pool_create(options->thread_ct, &pool) : DMS_ERR_NO_MEMORY;
    if (code == 0)
        code = dms_pool_run(pool, options->restart_ct, run_trial, &work);
    if (code == 0)
        code = number_clusters(&work, clusters);
    if (code == 0)
        *inertia = work.inertia;
    dms_pool_free(pool);
    free(work.clusters);
    return code;
}
