/*
 * Compares the weights of two fits target by target, on their nonzeros alone, and lets the weights
 * of the first be scored on the models of the second; see dmstore/compare.h.
 */
#include "dmstore/compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/thread.h"
#include "dmstore/predict.h"
#include "query/evaluate.h"
#include "query/id_ranges.h"
#include "query/weight_order.h"

void dms_compare_options_init(struct dms_compare_options *options)
{
    *options = (struct dms_compare_options){
        .score = true,
        .memory_bytes = UINT64_C(4) << 30,
    };
}

const char *dms_agreement_name(enum dms_agreement agreement)
{
    static const char *const names[DMS_AGREEMENT_CT] = {
        [DMS_AGREEMENT_SPEARMAN] = "spearman", [DMS_AGREEMENT_PEARSON] = "pearson",
        [DMS_AGREEMENT_COSINE] = "cosine",     [DMS_AGREEMENT_A_LDS] = "a_lds",
        [DMS_AGREEMENT_B_LDS] = "b_lds",
    };

    return names[agreement];
}

/* ---- two sparse vectors ---- */

/* What a thread works with: room for all examples in each array. */
struct desk {
    struct dms_weighted_example *sorted;
    struct dms_weighted_example *orders[2]; /* the largest weights of both */
    double *ranks[2];                       /* of each weight of a target; see rank */
    uint32_t *places; /* 1 + the place of each example among orders[1], or 0 */
};

/* A number for each example: values[i] / scale - shift for examples[i], -shift for all others. */
struct vector {
    const uint32_t *examples;
    const double *values;
    size_t value_ct;
    double scale, shift;
};

struct products {
    double a_square, b_square, product;
};

static int compare_weights(const void *left, const void *right)
{
    double a = ((const struct dms_weighted_example *)left)->weight;
    double b = ((const struct dms_weighted_example *)right)->weight;

    return (a > b) - (a < b);
}

/* ranks[i]: the average rank of weight i among all examples, less that of the examples without a
 * weight. All are halves of integers, and sums of their squares exact. */
static void rank(const struct dms_fitted_target *target, size_t example_ct,
                 struct dms_weighted_example *sorted, double *ranks)
{
    size_t weight_ct = target->weight_ct, zero_ct = example_ct - weight_ct, negative_ct = 0;
    double zero_rank;

    for (size_t i = 0; i < weight_ct; i++) {
        sorted[i] = (struct dms_weighted_example){(uint32_t)i, target->weights[i]};
        negative_ct += target->weights[i] < 0;
    }
    qsort(sorted, weight_ct, sizeof(*sorted), compare_weights);
    zero_rank = (double)negative_ct + (double)(zero_ct + 1) / 2;
    for (size_t start = 0, end; start < weight_ct; start = end) {
        double mean;

        for (end = start + 1; end < weight_ct && sorted[end].weight == sorted[start].weight;)
            end++;
        mean = (double)(start + 1 + end) / 2 + (double)(sorted[start].weight > 0 ? zero_ct : 0);
        for (size_t i = start; i < end; i++)
            ranks[sorted[i].example] = mean - zero_rank;
    }
}

/* Of the size that no square of a weight is too large or too small for a double. */
static double scale_of(const struct dms_fitted_target *target)
{
    double largest = 0;

    for (size_t i = 0; i < target->weight_ct; i++)
        largest = fmax(largest, fabs(target->weights[i]));
    return largest > 0 ? largest : 1;
}

/* The same less its mean: a sum of squares from which that of the mean is taken afterwards would
 * lose what varies in weights that have a large number in common. */
static struct vector centred(struct vector vector, size_t example_ct)
{
    double sum = 0;

    for (size_t i = 0; i < vector.value_ct; i++)
        sum += vector.values[i] / vector.scale;
    vector.shift = sum / (double)example_ct;
    return vector;
}

/* Sums over all examples. */
static struct products multiply(const struct vector *a, const struct vector *b, size_t example_ct)
{
    struct products sums = {0};
    size_t i = 0, k = 0, other_ct = example_ct;

    for (; i < a->value_ct || k < b->value_ct; other_ct--) {
        bool in_a = i < a->value_ct && (k == b->value_ct || a->examples[i] <= b->examples[k]);
        bool in_b = k < b->value_ct && (i == a->value_ct || b->examples[k] <= a->examples[i]);
        double a_value = (in_a ? a->values[i++] / a->scale : 0) - a->shift;
        double b_value = (in_b ? b->values[k++] / b->scale : 0) - b->shift;

        sums.a_square += a_value * a_value;
        sums.b_square += b_value * b_value;
        sums.product += a_value * b_value;
    }
    sums.a_square += (double)other_ct * a->shift * a->shift;
    sums.b_square += (double)other_ct * b->shift * b->shift;
    sums.product += (double)other_ct * a->shift * b->shift;
    return sums;
}

/* The cosine of the angle between two vectors; NaN when one of them is 0. */
static double cosine_of(const struct vector *a, const struct vector *b, size_t example_ct)
{
    struct products sums = multiply(a, b, example_ct);
    double value = sums.product / (sqrt(sums.a_square) * sqrt(sums.b_square));

    if (!(sums.a_square > 0) || !(sums.b_square > 0))
        return NAN;
    return value > 1 ? 1 : value < -1 ? -1 : value;
}

static double correlation(const struct vector *a, const struct vector *b, size_t example_ct)
{
    struct vector a_centred = centred(*a, example_ct), b_centred = centred(*b, example_ct);

    return cosine_of(&a_centred, &b_centred, example_ct);
}

static void correlate(const struct dms_fitted_target *a, const struct dms_fitted_target *b,
                      size_t example_ct, struct desk *desk, double *values)
{
    const struct vector a_ranks = {a->examples, desk->ranks[0], a->weight_ct, .scale = 1};
    const struct vector b_ranks = {b->examples, desk->ranks[1], b->weight_ct, .scale = 1};
    const struct vector a_weights = {a->examples, a->weights, a->weight_ct, .scale = scale_of(a)};
    const struct vector b_weights = {b->examples, b->weights, b->weight_ct, .scale = scale_of(b)};

    rank(a, example_ct, desk->sorted, desk->ranks[0]);
    rank(b, example_ct, desk->sorted, desk->ranks[1]);
    values[DMS_AGREEMENT_SPEARMAN] = correlation(&a_ranks, &b_ranks, example_ct);
    /* Ranks tell exactly whether weights vary. */
    values[DMS_AGREEMENT_PEARSON] = isnan(values[DMS_AGREEMENT_SPEARMAN])
                                        ? NAN
                                        : correlation(&a_weights, &b_weights, example_ct);
    values[DMS_AGREEMENT_COSINE] = cosine_of(&a_weights, &b_weights, example_ct);
}

/* ---- the largest weights ---- */

static uint64_t largest_top(const struct dms_comparison *comparison)
{
    uint64_t largest = 0;

    for (size_t i = 0; i < comparison->top_ct; i++)
        largest = comparison->top_cts[i] > largest ? comparison->top_cts[i] : largest;
    return largest;
}

static void count_common(const struct dms_fitted_target *a, const struct dms_fitted_target *b,
                         size_t example_ct, const struct dms_comparison *comparison,
                         struct desk *desk, uint64_t *common_cts)
{
    uint64_t largest = largest_top(comparison);

    dms_weight_order(a, DMS_POSITIVE_WEIGHTS, example_ct, largest, desk->orders[0], desk->sorted);
    dms_weight_order(b, DMS_POSITIVE_WEIGHTS, example_ct, largest, desk->orders[1], desk->sorted);
    for (uint32_t i = 0; i < largest; i++)
        desk->places[desk->orders[1][i].example] = i + 1;
    for (size_t i = 0; i < comparison->top_ct; i++) {
        uint64_t k = comparison->top_cts[i];

        common_cts[i] = 0;
        for (uint64_t n = 0; n < k; n++) {
            uint32_t place = desk->places[desk->orders[0][n].example];

            common_cts[i] += place > 0 && place <= k;
        }
    }
    for (uint32_t i = 0; i < largest; i++)
        desk->places[desk->orders[1][i].example] = 0;
}

static void free_desk(struct desk *desk)
{
    free(desk->sorted);
    free(desk->places);
    for (int i = 0; i < 2; i++) {
        free(desk->orders[i]);
        free(desk->ranks[i]);
    }
}

static int create_desk(size_t example_ct, struct desk *desk)
{
    *desk = (struct desk){
        .sorted = dms_alloc(example_ct, sizeof(*desk->sorted)),
        .places = dms_alloc(example_ct, sizeof(*desk->places)),
    };
    for (int i = 0; i < 2; i++) {
        desk->orders[i] = dms_alloc(example_ct, sizeof(*desk->orders[i]));
        desk->ranks[i] = dms_alloc(example_ct, sizeof(*desk->ranks[i]));
    }
    if (desk->sorted && desk->places && desk->orders[0] && desk->orders[1] && desk->ranks[0] &&
        desk->ranks[1])
        return 0;
    free_desk(desk);
    return DMS_ERR_NO_MEMORY;
}

/* ---- all targets ---- */

struct work {
    dms_snapshot *snapshots[2];
    dms_fit *fits[2];
    const struct dms_compare_options *options;
    size_t example_ct;
    size_t *positions[2]; /* of the targets in common */
    struct dms_comparison *result;
    atomic_size_t next_target;
};

static int compare_target(const struct work *work, size_t t, struct desk *desk)
{
    struct dms_target_comparison *comparison = &work->result->targets[t];
    struct dms_fitted_target a, b;
    int code = dms_fit_target(work->fits[0], work->positions[0][t], &a);

    if (code == 0)
        code = dms_fit_target(work->fits[1], work->positions[1][t], &b);
    if (code < 0)
        return code;
    comparison->a_weight_ct = a.weight_ct;
    comparison->b_weight_ct = b.weight_ct;
    correlate(&a, &b, work->example_ct, desk, comparison->values);
    count_common(&a, &b, work->example_ct, work->result, desk, comparison->common_cts);
    return 0;
}

static int compare_targets(void *context, size_t worker)
{
    struct work *work = context;
    struct desk desk;
    int code = create_desk(work->example_ct, &desk);
    size_t t;

    (void)worker;
    if (code < 0)
        return code;
    while (code == 0 && (t = atomic_fetch_add(&work->next_target, 1)) < work->result->target_ct)
        code = compare_target(work, t, &desk);
    free_desk(&desk);
    return code;
}

static int run_targets(struct work *work)
{
    unsigned thread_ct =
        work->options->thread_ct > 0 ? work->options->thread_ct : dms_processor_ct();
    struct dms_pool *pool;
    int code = dms_pool_create(thread_ct, &pool);

    if (code < 0)
        return code;
    code = dms_pool_run(pool, thread_ct, compare_targets, work);
    dms_pool_free(pool);
    return code;
}

/* ---- LDS ---- */

/* Whether both fits were made of models of one store. */
static bool same_store(const struct work *work)
{
    return memcmp(dms_fit_get_header(work->fits[0])->store_uuid,
                  dms_fit_get_header(work->fits[1])->store_uuid, 16) == 0;
}

static bool has_components(const struct dms_fit_header *header)
{
    return strcmp(dms_fit_method(header), "pca") == 0;
}

/* Sets work->result->unscored when there is nothing to score on. */
static int find_reason(struct work *work)
{
    const struct dms_fit_header *a = dms_fit_get_header(work->fits[0]);
    const struct dms_fit_header *b = dms_fit_get_header(work->fits[1]);
    struct dms_id_range *common = NULL;
    size_t common_ct = 1;
    int code = 0;

    if (same_store(work))
        code = dms_id_ranges_intersect(a->held_out.ranges, a->held_out.range_ct, b->held_out.ranges,
                                       b->held_out.range_ct, &common, &common_ct);
    free(common);
    if (has_components(a))
        work->result->unscored = "principal components predict no output";
    else if (b->held_out.row_ct == 0)
        work->result->unscored = "the second fit has held out no models";
    else if (common_ct == 0)
        work->result->unscored = "there is no model that both fits have held out";
    return code;
}

static void take_lds(struct work *work, const struct dms_evaluation *evaluation)
{
    struct dms_comparison *result = work->result;
    uint64_t place = 0;

    for (uint64_t t = 0; t < result->target_ct; t++) {
        struct dms_target_comparison *target = &result->targets[t];

        /* Both are of increasing targets; the evaluation has others, too. */
        while (evaluation->fits[0].targets[place].target < target->target)
            place++;
        target->values[DMS_AGREEMENT_B_LDS] =
            evaluation->fits[0].targets[place].scores[DMS_SCORE_LDS];
        target->values[DMS_AGREEMENT_A_LDS] =
            evaluation->fits[1].targets[place].scores[DMS_SCORE_LDS];
    }
    result->row_ct = evaluation->row_ct;
    result->smallest_subset = evaluation->smallest_subset;
    result->largest_subset = evaluation->largest_subset;
}

static int find_extrapolation(struct work *work)
{
    struct dms_comparison *result = work->result;
    struct dms_subset_sizes sizes;
    int code =
        dms_fit_subset_sizes(work->snapshots[0], work->fits[0], work->options->thread_ct, &sizes);

    if (code < 0)
        return code;
    result->smallest_training_subset = sizes.smallest;
    result->largest_training_subset = sizes.largest;
    result->extrapolates =
        dms_subsets_extrapolate(&sizes, result->smallest_subset, result->largest_subset);
    return 0;
}

static int score(struct work *work)
{
    const struct dms_compare_options *options = work->options;
    dms_fit *fits[] = {work->fits[1], work->fits[0]};
    struct dms_comparison *result = work->result;
    struct dms_evaluation *evaluation = NULL;
    struct dms_evaluate_options evaluate;
    int code;

    dms_evaluate_options_init(&evaluate);
    evaluate.first_target = result->targets[0].target;
    evaluate.end_target = result->targets[result->target_ct - 1].target + 1;
    evaluate.labels = options->labels;
    evaluate.label_ct = options->label_ct;
    evaluate.self = options->self;
    evaluate.self_ct = options->self_ct;
    evaluate.bootstrap_ct = 0;
    evaluate.thread_ct = options->thread_ct;
    evaluate.memory_bytes = options->memory_bytes;
    evaluate.progress = options->progress;
    evaluate.progress_context = options->progress_context;
    code = dms_evaluate_guests(work->snapshots[1], fits, 2, 1, same_store(work) ? 2 : 1, &evaluate,
                               &evaluation);
    if (code < 0)
        return code;
    take_lds(work, evaluation);
    dms_evaluation_free(evaluation);
    return find_extrapolation(work);
}

/* ---- the result ---- */

/* Held against each other before anything is read. */
static int check(const struct work *work)
{
    const struct dms_fit_header *a = dms_fit_get_header(work->fits[0]);
    const struct dms_fit_header *b = dms_fit_get_header(work->fits[1]);
    const struct dms_schema *a_schema = dms_snapshot_schema(work->snapshots[0]);
    const struct dms_schema *b_schema = dms_snapshot_schema(work->snapshots[1]);
    const struct dms_compare_options *options = work->options;

    if (a->example_ct != b->example_ct || a->target_ct != b->target_ct)
        return dms_fail(DMS_ERR_INVALID,
                        "fit %s is of %" PRIu64 " examples and %" PRIu64
                        " targets, fit %s of %" PRIu64 " and %" PRIu64 ": they cannot be compared",
                        a->name, a->example_ct, a->target_ct, b->name, b->example_ct, b->target_ct);
    if (has_components(a) != has_components(b))
        return dms_fail(DMS_ERR_INVALID,
                        "fit %s has principal components of datamodels (method pca), and fit %s "
                        "targets: component 0 is not target 0, and they cannot be compared",
                        has_components(a) ? a->name : b->name,
                        has_components(a) ? b->name : a->name);
    if (a_schema->digest_bytes > 0 && b_schema->digest_bytes > 0 &&
        (a_schema->digest_bytes != b_schema->digest_bytes ||
         memcmp(a_schema->digest, b_schema->digest, a_schema->digest_bytes) != 0))
        return dms_fail(DMS_ERR_CONFLICT,
                        "fits %s and %s are of stores about different data sets: their digests "
                        "differ",
                        a->name, b->name);
    for (size_t i = 0; i < options->top_ct; i++) {
        if (options->top_cts[i] == 0 || options->top_cts[i] > a->example_ct)
            return dms_fail(DMS_ERR_INVALID,
                            "the largest %" PRIu64 " weights cannot be compared: there are "
                            "%" PRIu64 " examples",
                            options->top_cts[i], a->example_ct);
    }
    return 0;
}

static int compare_positions(const void *left, const void *right)
{
    size_t a = *(const size_t *)left, b = *(const size_t *)right;

    return (a > b) - (a < b);
}

/* Positions in both fits of the targets that both have, by increasing target. */
static int find_common(struct work *work, const size_t *positions, size_t position_ct)
{
    struct dms_comparison *result = work->result;

    memcpy(work->positions[0], positions, position_ct * sizeof(*positions));
    qsort(work->positions[0], position_ct, sizeof(*positions), compare_positions);
    for (size_t i = 0; i < position_ct; i++) {
        struct dms_fitted_target target;
        size_t position = work->positions[0][i], there;
        int code = dms_fit_target(work->fits[0], position, &target);

        if (code < 0)
            return code;
        code = dms_fit_find(work->fits[1], target.target, &there);
        if (code == DMS_ERR_NOT_FOUND) {
            result->a_only_ct++;
            continue;
        }
        if (code < 0)
            return code;
        work->positions[0][result->target_ct] = position;
        work->positions[1][result->target_ct] = there;
        result->targets[result->target_ct++].target = target.target;
    }
    if (result->target_ct == 0)
        return dms_fail(DMS_ERR_INVALID, "fits %s and %s have no target in common",
                        dms_fit_get_header(work->fits[0])->name,
                        dms_fit_get_header(work->fits[1])->name);
    return 0;
}

/* Asks which targets the fits have, and reads none of them. */
static void count_b_only(struct work *work)
{
    uint64_t target_ct = dms_fit_get_header(work->fits[1])->target_ct;

    for (uint64_t target = 0; target < target_ct; target++) {
        size_t position;

        work->result->b_only_ct += dms_fit_find(work->fits[1], target, &position) == 0 &&
                                   dms_fit_find(work->fits[0], target, &position) < 0;
    }
}

static int create_result(struct work *work, size_t position_ct)
{
    size_t top_ct = work->options->top_ct;
    struct dms_comparison *result = dms_alloc(1, sizeof(*result));
    uint64_t *common_cts;

    work->result = result;
    work->positions[0] = dms_alloc(position_ct, sizeof(size_t));
    work->positions[1] = dms_alloc(position_ct, sizeof(size_t));
    if (!result || !work->positions[0] || !work->positions[1])
        return DMS_ERR_NO_MEMORY;
    result->top_ct = top_ct;
    result->top_cts = dms_alloc(top_ct, sizeof(*result->top_cts));
    result->overlaps = dms_alloc(top_ct, sizeof(*result->overlaps));
    result->jaccards = dms_alloc(top_ct, sizeof(*result->jaccards));
    result->targets = dms_alloc(position_ct + 1, sizeof(*result->targets));
    if (!result->top_cts || !result->overlaps || !result->jaccards || !result->targets)
        return DMS_ERR_NO_MEMORY;
    if (top_ct > 0)
        memcpy(result->top_cts, work->options->top_cts, top_ct * sizeof(*result->top_cts));
    common_cts = dms_alloc(position_ct * top_ct + 1, sizeof(*common_cts));
    if (!common_cts)
        return DMS_ERR_NO_MEMORY;
    for (size_t t = 0; t <= position_ct; t++) {
        result->targets[t].common_cts = common_cts + (t < position_ct ? t : 0) * top_ct;
        for (int i = 0; i < DMS_AGREEMENT_CT; i++)
            result->targets[t].values[i] = NAN;
    }
    return 0;
}

void dms_comparison_free(struct dms_comparison *comparison)
{
    if (!comparison)
        return;
    if (comparison->targets)
        free(comparison->targets[0].common_cts); /* of all targets */
    free(comparison->targets);
    free(comparison->top_cts);
    free(comparison->overlaps);
    free(comparison->jaccards);
    free(comparison);
}

static void average(struct dms_comparison *result)
{
    for (int i = 0; i < DMS_AGREEMENT_CT; i++) {
        double sum = 0;

        for (uint64_t t = 0; t < result->target_ct; t++) {
            if (isnan(result->targets[t].values[i]))
                continue;
            sum += result->targets[t].values[i];
            result->defined_cts[i]++;
        }
        result->means[i] = result->defined_cts[i] > 0 ? sum / (double)result->defined_cts[i] : NAN;
    }
    for (size_t i = 0; i < result->top_ct; i++) {
        double k = (double)result->top_cts[i];

        for (uint64_t t = 0; t < result->target_ct; t++) {
            double common = (double)result->targets[t].common_cts[i];

            result->overlaps[i] += common / k / (double)result->target_ct;
            result->jaccards[i] += common / (2 * k - common) / (double)result->target_ct;
        }
    }
}

int dms_compare(dms_snapshot *a_snapshot, dms_fit *a, dms_snapshot *b_snapshot, dms_fit *b,
                const size_t *positions, size_t position_ct,
                const struct dms_compare_options *options, struct dms_comparison **comparison)
{
    struct work work = {
        .snapshots = {a_snapshot, b_snapshot},
        .fits = {a, b},
        .options = options,
        .example_ct = (size_t)dms_fit_get_header(a)->example_ct,
    };
    int code = check(&work);

    if (code == 0)
        code = create_result(&work, position_ct);
    if (code == 0)
        code = find_common(&work, positions, position_ct);
    if (code == 0) {
        count_b_only(&work);
        code = run_targets(&work);
    }
    if (code == 0 && options->score)
        code = find_reason(&work);
    if (code == 0 && options->score && !work.result->unscored)
        code = score(&work);
    if (code == 0) {
        average(work.result);
        *comparison = work.result;
        work.result = NULL;
    }
    dms_comparison_free(work.result);
    free(work.positions[0]);
    free(work.positions[1]);
    return code;
}
