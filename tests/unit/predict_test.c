/*
 * Predictions, nearest examples, candidates for leakage and detection curves of a fit with made-up
 * weights, against what is computed plainly here: around the sizes at which the computation takes
 * another way, with ties, and with targets that have few weights or none.
 */
#include "base/order.h"
#include "tests/unit/tap.h"

#include <dmstore.h>

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    EXAMPLES = 203, /* no multiple of 8 or 64 */
    TARGETS = 40,
    MASKS = 600,
    STRIDE = (EXAMPLES + 7) / 8 + 3,
};

#define must(status) must_not_fail((status), #status)
static void must_not_fail(int status, const char *what)
{
    if (status < 0) {
        printf("Bail out! %s: %s\n", what, dms_error_message());
        exit(1);
    }
}

/* ---- the fit ---- */

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t x = a * UINT64_C(0x9e3779b97f4a7c15) + b * UINT64_C(0xd1342543de82ef95);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Target t has about 5 t weights, target 0 none, target 1 one. Every third target has weights that
 * are eighths, so that there are ties; those of the others need all their bits. */
static double weight_of(uint64_t target, size_t example)
{
    double size = (double)(int64_t)mix(target, example) * 0x1p-63;

    if (target == 1)
        return example == 17 ? 0.5 : 0;
    if (mix(example, target) % EXAMPLES >= 5 * target)
        return 0;
    return target % 3 == 0 ? round(8 * size) / 8 : size;
}

static double bias_of(uint64_t target)
{
    return (double)target / 8;
}

static void add_target(dms_fit_part *part, uint64_t number)
{
    uint32_t examples[EXAMPLES];
    double weights[EXAMPLES];
    struct dms_fitted_target target = {
        .target = number,
        .bias = bias_of(number),
        .lambda = 0.1,
        .null_deviance = 1,
        .row_ct = 120,
        .examples = examples,
        .weights = weights,
    };

    for (uint32_t k = 0; k < EXAMPLES; k++) {
        if (weight_of(number, k) != 0) {
            examples[target.weight_ct] = k;
            weights[target.weight_ct++] = weight_of(number, k);
        }
    }
    must(dms_fit_part_add(part, &target));
}

/* A store with the fit "main" of all targets but 5. */
static void create_store(const char *path)
{
    struct dms_column column;
    struct dms_schema schema = {
        .example_ct = EXAMPLES, .chunk_rows = 64, .column_ct = 1, .columns = &column};
    struct dms_id_range training = {0, 100};
    struct dms_fit_header header = {
        .name = "main",
        .output = "margins",
        .example_ct = EXAMPLES,
        .target_ct = TARGETS,
        .training = {.range_ct = 1, .ranges = &training, .row_ct = 100},
    };
    struct dms_snapshot_info info;
    dms_snapshot *snapshot;
    dms_fit_part *part;
    dms_store *store;

    must(dms_output_parse("margins:40:f32", &column));
    must(dms_store_create(path, &schema));
    must(dms_store_open(path, &store));
    must(dms_store_snapshot(store, &snapshot));
    dms_snapshot_info(snapshot, &info);
    memcpy(header.store_uuid, info.store_uuid, sizeof(header.store_uuid));
    header.sequence = info.sequence;
    dms_snapshot_close(snapshot);
    must(dms_fit_part_create(&header, NULL, 0, &part));
    for (uint64_t target = 0; target < TARGETS; target++) {
        if (target != 5)
            add_target(part, target);
    }
    must(dms_store_merge_fit(store, part, NULL));
    dms_fit_part_free(part);
    dms_store_close(store);
}

/* Positions of the targets, from the last to the first; returns how many. */
static size_t find_all(const dms_fit *fit, size_t positions[TARGETS])
{
    size_t count = 0;

    for (uint64_t target = TARGETS; target-- > 0;) {
        if (target != 5)
            must(dms_fit_find(fit, target, &positions[count++]));
    }
    return count;
}

static uint64_t target_at(const dms_fit *fit, size_t position)
{
    struct dms_fitted_target target;

    must(dms_fit_target(fit, position, &target));
    return target.target;
}

/* ---- predictions ---- */

/* Masks of every size, the first empty and the second full; noise where nobody should look. */
static uint8_t *make_masks(void)
{
    uint8_t *masks = malloc(MASKS * STRIDE);

    if (!masks)
        exit(1);
    for (size_t i = 0; i < MASKS * STRIDE; i++)
        masks[i] = (uint8_t)mix(i, 3);
    for (size_t k = 0; k < EXAMPLES; k++) {
        masks[k / 8] &= (uint8_t) ~(1u << k % 8);
        masks[STRIDE + k / 8] |= (uint8_t)(1u << k % 8);
    }
    return masks;
}

static double plain_prediction(uint64_t target, const uint8_t *mask)
{
    long double sum = bias_of(target);

    for (size_t k = 0; k < EXAMPLES; k++)
        sum += mask[k / 8] >> k % 8 & 1 ? weight_of(target, k) : 0;
    return (double)sum;
}

static void test_predictions(const dms_fit *fit)
{
    static const size_t mask_cts[] = {1, 24, 25, 64, 65, 128, 512, 513, MASKS};
    size_t positions[TARGETS], target_ct = find_all(fit, positions);
    double *expected = malloc(MASKS * TARGETS * sizeof(*expected));
    double *found = malloc(MASKS * TARGETS * sizeof(*found));
    double worst = 0;
    uint8_t *masks = make_masks();

    must(dms_predict_masks(fit, positions, target_ct, masks, MASKS, STRIDE, 1, expected));
    for (size_t i = 0; i < MASKS; i++) {
        for (size_t t = 0; t < target_ct; t++)
            worst = fmax(worst,
                         fabs(expected[i * target_ct + t] -
                              plain_prediction(target_at(fit, positions[t]), masks + i * STRIDE)));
    }
    ok(worst < 1e-13, "predictions are those computed plainly (within %g)", worst);
    ok(expected[0] == bias_of(target_at(fit, positions[0])), "nobody trained: the bias");
    for (size_t n = 0; n < sizeof(mask_cts) / sizeof(mask_cts[0]); n++) {
        for (unsigned threads = 1; threads <= 3; threads += 2) {
            must(dms_predict_masks(fit, positions, target_ct, masks, mask_cts[n], STRIDE, threads,
                                   found));
            ok(memcmp(found, expected, mask_cts[n] * target_ct * sizeof(*found)) == 0,
               "%zu masks on %u thread(s): the same bits", mask_cts[n], threads);
        }
    }
    for (size_t t = 0; t < target_ct; t += 13) {
        must(dms_predict_masks(fit, positions + t, 1, masks, MASKS, STRIDE, 1, found));
        worst = 0;
        for (size_t i = 0; i < MASKS; i++)
            worst = fmax(worst, fabs(found[i] - expected[i * target_ct + t]));
        ok(worst == 0, "one target by itself: the same bits");
    }
    must(dms_predict_masks(fit, positions, 0, masks, MASKS, STRIDE, 1, found));
    must(dms_predict_masks(fit, positions, target_ct, masks, 0, STRIDE, 1, found));
    positions[0] = TARGETS;
    ok(dms_predict_masks(fit, positions, target_ct, masks, 3, STRIDE, 0, found) == DMS_ERR_INVALID,
       "no such position: %s", dms_error_message());
    free(masks);
    free(expected);
    free(found);
}

static void test_sizes(void)
{
    struct dms_subset_sizes known = {true, 10, 20}, unknown = {0};

    ok(!dms_subsets_extrapolate(&known, 10, 20), "sizes of training are no extrapolation");
    ok(dms_subsets_extrapolate(&known, 9, 15), "a smaller one is");
    ok(dms_subsets_extrapolate(&known, 15, 21), "a larger one is");
    ok(!dms_subsets_extrapolate(&unknown, 9, 21), "nobody knows: not said to be");
}

/* ---- nearest ---- */

/* Whether a comes before b. */
static bool is_before(const struct dms_weighted_example *a, const struct dms_weighted_example *b,
                      bool negative)
{
    if (a->weight != b->weight)
        return (a->weight > b->weight) != negative;
    return a->example < b->example;
}

static bool is_top(uint64_t target, size_t k, bool negative,
                   const struct dms_weighted_example *found, size_t found_ct)
{
    size_t count = 0;

    for (uint32_t example = 0; example < EXAMPLES; example++) {
        struct dms_weighted_example this = {example, weight_of(target, example)};
        size_t better_ct = 0;

        if (negative ? this.weight >= 0 : this.weight <= 0)
            continue;
        count++;
        for (uint32_t other = 0; other < EXAMPLES; other++) {
            struct dms_weighted_example that = {other, weight_of(target, other)};

            better_ct += is_before(&that, &this, negative);
        }
        if (better_ct < k && (better_ct >= found_ct || found[better_ct].example != example ||
                              found[better_ct].weight != this.weight))
            return false;
    }
    return found_ct == (count < k ? count : k);
}

static void test_top(const dms_fit *fit)
{
    static const size_t ks[] = {0, 1, 10, EXAMPLES};
    static struct dms_weighted_example examples[TARGETS * EXAMPLES];
    size_t positions[TARGETS], counts[TARGETS], target_ct = find_all(fit, positions);

    for (size_t n = 0; n < sizeof(ks) / sizeof(ks[0]); n++) {
        for (int negative = 0; negative < 2; negative++) {
            bool all = true;

            must(dms_fit_top(fit, positions, target_ct, ks[n],
                             negative ? DMS_NEGATIVE_WEIGHTS : DMS_POSITIVE_WEIGHTS, examples,
                             counts));
            for (size_t t = 0; t < target_ct; t++)
                all &= is_top(target_at(fit, positions[t]), ks[n], negative, examples + t * ks[n],
                              counts[t]);
            ok(all, "the %zu %s weights of all targets", ks[n],
               negative ? "most negative" : "largest");
        }
    }
    positions[3] = TARGETS;
    ok(dms_fit_top(fit, positions, target_ct, 1, DMS_POSITIVE_WEIGHTS, examples, counts) ==
           DMS_ERR_INVALID,
       "no such position");
}

/* ---- leakage ---- */

static double plain_score(uint64_t target, size_t example)
{
    double sizes[EXAMPLES];
    size_t count = 0;

    for (size_t k = 0; k < EXAMPLES; k++) {
        if (k != example && weight_of(target, k) != 0)
            sizes[count++] = fabs(weight_of(target, k));
    }
    if (count == 0)
        return INFINITY;
    qsort(sizes, count, sizeof(*sizes), dms_compare_double);
    return weight_of(target, example) / (1.4826 * (sizes[(count - 1) / 2] + sizes[count / 2]) / 2);
}

static uint64_t count_leaks(double least_score, double least_weight)
{
    uint64_t count = 0;

    for (uint64_t target = 0; target < TARGETS; target++) {
        for (size_t k = 0; k < EXAMPLES && target != 5; k++)
            count += weight_of(target, k) > 0 && weight_of(target, k) >= least_weight &&
                     plain_score(target, k) >= least_score;
    }
    return count;
}

static void test_leaks(const dms_fit *fit)
{
    static struct dms_leak leaks[TARGETS * EXAMPLES];
    struct dms_leak_options options;
    size_t positions[TARGETS], target_ct = find_all(fit, positions), leak_ct;
    bool are_scores = true, are_sorted = true;
    uint64_t found_ct;

    dms_leak_options_init(&options);
    options.least_score = 0;
    options.leak_max = TARGETS * EXAMPLES;
    must(dms_fit_leaks(fit, positions, target_ct, &options, leaks, &leak_ct, &found_ct));
    ok(leak_ct == found_ct && found_ct == count_leaks(0, 0), "all positive weights");
    for (size_t i = 0; i < leak_ct; i++) {
        double score = plain_score(leaks[i].target, leaks[i].example);

        are_scores &= leaks[i].weight == weight_of(leaks[i].target, leaks[i].example);
        are_scores &= leaks[i].score == score || fabs(leaks[i].score - score) < 1e-12 * score;
        are_scores &= target_at(fit, leaks[i].position) == leaks[i].target;
        if (i > 0 && leaks[i - 1].weight == leaks[i].weight)
            are_sorted &=
                leaks[i - 1].target < leaks[i].target ||
                (leaks[i - 1].target == leaks[i].target && leaks[i - 1].example < leaks[i].example);
        else if (i > 0)
            are_sorted &= leaks[i - 1].weight > leaks[i].weight;
    }
    ok(are_scores, "their scores are those computed plainly");
    ok(are_sorted, "they go by weight, target and example");
    options.leak_max = 7;
    options.least_score = 1.5;
    options.least_weight = 0.25;
    must(dms_fit_leaks(fit, positions, target_ct, &options, leaks, &leak_ct, &found_ct));
    ok(leak_ct == 7 && found_ct == count_leaks(1.5, 0.25) && found_ct > 7,
       "both thresholds, and no more than are wanted");
}

/* ---- the detection curve ---- */

static bool is_true_pair(uint64_t target, uint64_t example)
{
    return mix(target + 1000, example) % 40 == 0;
}

static int flag_pairs(void *context, uint64_t target, uint8_t *flags)
{
    if (context)
        return DMS_ERR_IO;
    for (size_t k = 0; k < EXAMPLES; k++)
        flags[k] = is_true_pair(target, k);
    return 0;
}

static void test_detection(const dms_fit *fit)
{
    static struct dms_leak leaks[TARGETS * EXAMPLES];
    struct dms_leak_options options = {.leak_max = TARGETS * EXAMPLES};
    struct dms_detection_curve curve;
    size_t positions[TARGETS], target_ct = find_all(fit, positions), leak_ct;
    uint64_t found_ct, true_ct = 0, leaked_ct = 0, so_far = 0, detected_ct = 0;
    bool is_leaked[TARGETS] = {0}, is_detected[TARGETS] = {0}, all = true;
    double all_ct = (double)target_ct * EXAMPLES;
    size_t point = 0;

    must(dms_fit_detection(fit, positions, target_ct, flag_pairs, NULL, &curve));
    must(dms_fit_leaks(fit, positions, target_ct, &options, leaks, &leak_ct, &found_ct));
    for (uint64_t t = 0; t < TARGETS; t++) {
        for (size_t k = 0; k < EXAMPLES && t != 5; k++) {
            true_ct += is_true_pair(t, k);
            leaked_ct += is_true_pair(t, k) && !is_leaked[t];
            is_leaked[t] |= is_true_pair(t, k);
        }
    }
    ok(curve.pair_ct == leak_ct && curve.true_pair_ct == true_ct &&
           curve.leaked_target_ct == leaked_ct,
       "pairs, true pairs and targets are counted");
    for (size_t i = 0; i < leak_ct; i++) {
        if (is_true_pair(leaks[i].target, leaks[i].example)) {
            so_far++;
            detected_ct += !is_detected[leaks[i].target];
            is_detected[leaks[i].target] = true;
        }
        if (point < curve.point_ct && curve.points[point].pair_ct == i + 1) {
            const struct dms_detection_point *at = &curve.points[point++];

            all &= fabs(at->precision - (double)so_far / (double)(i + 1)) < 1e-12;
            all &= fabs(at->recall - (double)detected_ct / (double)leaked_ct) < 1e-12;
            all &= fabs(at->random_precision - (double)true_ct / all_ct) < 1e-12;
        }
    }
    ok(all && point == curve.point_ct && point > 8 && curve.points[3].pair_ct == 10,
       "precision and recall along the curve");
    ok(curve.points[point - 1].pair_ct == leak_ct, "which ends with the last pair");
    ok(fabs(curve.points[0].random_recall - (double)true_ct / all_ct / (double)leaked_ct) < 1e-12,
       "one random pair is a true one with the probability of true pairs");
    ok(dms_fit_detection(fit, positions, target_ct, flag_pairs, &curve, &curve) == DMS_ERR_IO,
       "a failure of the caller's is returned");
}

/* Of one target with one weight, what a random order finds is known. */
static void test_random_order(const dms_fit *fit)
{
    struct dms_detection_curve curve;
    size_t position;
    double true_ct = 0;

    must(dms_fit_find(fit, 1, &position));
    must(dms_fit_detection(fit, &position, 1, flag_pairs, NULL, &curve));
    for (size_t k = 0; k < EXAMPLES; k++)
        true_ct += is_true_pair(1, k);
    ok(true_ct > 1 && curve.point_ct == 1 && curve.points[0].pair_ct == 1 &&
           fabs(curve.points[0].random_recall - true_ct / EXAMPLES) < 1e-12,
       "several true pairs of one target");
    must(dms_fit_find(fit, 0, &position));
    must(dms_fit_detection(fit, &position, 1, flag_pairs, NULL, &curve));
    ok(curve.point_ct == 0 && curve.pair_ct == 0, "no weights: no curve");
}

int main(void)
{
    char path[64], command[80];
    dms_snapshot *snapshot;
    dms_fit *fit;

    snprintf(path, sizeof(path), "predict-test-%ld.dms", (long)getpid());
    snprintf(command, sizeof(command), "rm -rf '%s'", path);
    create_store(path);
    must(dms_snapshot_open(path, &snapshot));
    must(dms_fit_open(snapshot, "main", &fit));
    test_predictions(fit);
    test_sizes();
    test_top(fit);
    test_leaks(fit);
    test_detection(fit);
    test_random_order(fit);
    dms_fit_close(fit);
    dms_snapshot_close(snapshot);
    if (system(command) != 0)
        diag("cannot remove %s", path);
    return tap_done();
}
