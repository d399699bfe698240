/*
 * Scores of single targets, the bootstrap and the predictions (src/query) against their
 * definitions, written out plainly here.
 */
#include "tests/unit/tap.h"

#include <dmstore/error.h>

#include <math.h>
#include <stdlib.h>

#include "query/predict.h"
#include "query/scorer.h"

enum { ROWS = 120, MASKS = 50, FITS = 2, RESAMPLES = 200 };

static uint64_t random_state = 7;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % bound);
}

static float random_value(void)
{
    return (float)random_below(2000) / 1000 - 1;
}

static bool near(double got, double wanted, double tolerance)
{
    bool is_near = isnan(wanted) ? isnan(got) : fabs(got - wanted) <= tolerance;

    if (!is_near)
        diag("got %.17g, wanted %.17g", got, wanted);
    return is_near;
}

static void must(int code)
{
    if (code < 0) {
        printf("Bail out! %s\n", dms_error_message());
        exit(1);
    }
}

/* ---- definitions ---- */

static double mean_of(const double *values, size_t value_ct)
{
    double sum = 0;

    for (size_t i = 0; i < value_ct; i++)
        sum += values[i];
    return sum / (double)value_ct;
}

static double pearson(const double *x, const double *y, size_t value_ct)
{
    double x_mean = mean_of(x, value_ct), y_mean = mean_of(y, value_ct), xy = 0, xx = 0, yy = 0;

    for (size_t i = 0; i < value_ct; i++) {
        xy += (x[i] - x_mean) * (y[i] - y_mean);
        xx += (x[i] - x_mean) * (x[i] - x_mean);
        yy += (y[i] - y_mean) * (y[i] - y_mean);
    }
    return xy / sqrt(xx * yy);
}

static void rank(const double *values, size_t value_ct, double *ranks)
{
    for (size_t i = 0; i < value_ct; i++) {
        double below = 0, equal = 0;

        for (size_t k = 0; k < value_ct; k++) {
            below += values[k] < values[i];
            equal += values[k] == values[i];
        }
        ranks[i] = below + (equal + 1) / 2;
    }
}

static double spearman(const double *x, const double *y, size_t value_ct)
{
    double x_ranks[ROWS * 2], y_ranks[ROWS * 2];

    rank(x, value_ct, x_ranks);
    rank(y, value_ct, y_ranks);
    return pearson(x_ranks, y_ranks, value_ct);
}

/* ---- a set of held-out models ---- */

struct world {
    uint32_t masks[ROWS], first_rows[MASKS];
    struct dms_held_out held_out;
    struct dms_bootstrap bootstrap;
    float outputs[ROWS], predictions[FITS][ROWS];
    struct dms_target_evaluation evaluations[FITS];
    bool no_level, no_bias; /* of the second fit */
};

/* Models 0 .. mask_ct - 1 have masks of their own, the others repeat them. */
static void make_world(struct world *world, uint32_t row_ct, uint32_t mask_ct,
                       enum dms_bootstrap_method method)
{
    *world = (struct world){0};
    for (uint32_t row = 0; row < row_ct; row++)
        world->masks[row] = row % mask_ct;
    for (uint32_t mask = 0; mask < mask_ct && mask < MASKS; mask++)
        world->first_rows[mask] = mask;
    world->held_out = (struct dms_held_out){
        .row_ct = row_ct,
        .mask_ct = mask_ct,
        .masks = world->masks,
        .first_rows = mask_ct == row_ct ? world->masks : world->first_rows,
        .repeated_ct =
            row_ct > mask_ct ? (row_ct - mask_ct < mask_ct ? row_ct - mask_ct : mask_ct) : 0,
    };
    world->bootstrap = (struct dms_bootstrap){method, RESAMPLES, 5, FITS, mask_ct};
}

/* Outputs that follow the predictions of the first fit; the second fit sees less. */
static void draw_target(struct world *world)
{
    for (uint32_t row = 0; row < world->held_out.row_ct; row++) {
        uint32_t mask = world->masks[row];

        if (mask == row) {
            world->predictions[0][row] = random_value();
            world->predictions[1][row] = 0.4f * world->predictions[0][row] + random_value();
        } else {
            world->predictions[0][row] = world->predictions[0][mask];
            world->predictions[1][row] = world->predictions[1][mask];
        }
        world->outputs[row] = world->predictions[0][row] + random_value();
    }
}

static struct dms_scorer *score(struct world *world, struct dms_scorer *scorer)
{
    struct dms_prediction predictions[FITS] = {
        {.values = world->predictions[0], .unit = 1, .mean = 0.25},
        {.values = world->predictions[1],
         .unit = 1,
         .mean = 0.25,
         .no_level = world->no_level,
         .no_bias = world->no_bias},
    };
    struct dms_target_evaluation *evaluations[FITS] = {&world->evaluations[0],
                                                       &world->evaluations[1]};

    if (!scorer)
        must(dms_scorer_create(&world->held_out, &world->bootstrap, &scorer));
    dms_scorer_add(scorer, world->outputs, predictions, evaluations);
    return scorer;
}

/* ---- scores ---- */

/* Finite outputs and the predictions beside them. */
static size_t gather(const struct world *world, int fit, double *outputs, double *predictions)
{
    size_t kept = 0;

    for (uint32_t row = 0; row < world->held_out.row_ct; row++) {
        if (isfinite(world->outputs[row])) {
            outputs[kept] = world->outputs[row];
            predictions[kept++] = world->predictions[fit][row];
        }
    }
    return kept;
}

static void check_plain_scores(const struct world *world, int fit)
{
    const double *scores = world->evaluations[fit].scores;
    double outputs[ROWS], predictions[ROWS], error = 0, null_error = 0, wins = 0, pair_ct = 0;
    size_t row_ct = gather(world, fit, outputs, predictions);

    for (size_t i = 0; i < row_ct; i++) {
        error += (outputs[i] - predictions[i]) * (outputs[i] - predictions[i]);
        null_error += (outputs[i] - 0.25) * (outputs[i] - 0.25);
        for (size_t k = 0; k < row_ct; k++) {
            bool is_pair = outputs[i] > 0 && outputs[k] <= 0;

            pair_ct += is_pair;
            wins += !is_pair                          ? 0
                    : predictions[i] > predictions[k] ? 1
                    : predictions[i] < predictions[k] ? 0
                                                      : 0.5;
        }
    }
    ok(world->evaluations[fit].row_ct == row_ct, "models with an output");
    ok(near(scores[DMS_SCORE_LDS], spearman(predictions, outputs, row_ct), 1e-12), "LDS");
    ok(near(scores[DMS_SCORE_PEARSON], pearson(predictions, outputs, row_ct), 1e-12), "Pearson");
    ok(near(scores[DMS_SCORE_MSE], error / (double)row_ct, 1e-12), "MSE");
    ok(near(scores[DMS_SCORE_R2], 1 - error / null_error, 1e-12), "R^2 against the given mean");
    ok(near(scores[DMS_SCORE_AUC], wins / pair_ct, 1e-12), "AUC");
}

/* The outputs of the models of one mask; returns how many. */
static size_t outputs_of_mask(const struct world *world, uint32_t mask, double *outputs)
{
    size_t kept = 0;

    for (uint32_t row = 0; row < world->held_out.row_ct; row++) {
        if (world->masks[row] == mask && isfinite(world->outputs[row]))
            outputs[kept++] = world->outputs[row];
    }
    return kept;
}

static void check_repeat_scores(const struct world *world, int fit)
{
    const double *scores = world->evaluations[fit].scores;
    double averages[MASKS], halves[2][MASKS] = {{0}}, predictions[MASKS];
    double variance_sum = 0, agreement;
    size_t mask_ct = 0;

    for (uint32_t mask = 0; mask < world->held_out.mask_ct; mask++) {
        double outputs[ROWS], parts[2][ROWS], mean, square = 0;
        size_t row_ct = outputs_of_mask(world, mask, outputs);

        if (row_ct < 2)
            continue;
        mean = mean_of(outputs, row_ct);
        for (size_t i = 0; i < row_ct; i++) {
            square += (outputs[i] - mean) * (outputs[i] - mean);
            parts[i % 2][i / 2] = outputs[i];
        }
        variance_sum += square / (double)(row_ct - 1);
        averages[mask_ct] = (float)mean;
        halves[0][mask_ct] = (float)mean_of(parts[0], (row_ct + 1) / 2);
        halves[1][mask_ct] = (float)mean_of(parts[1], row_ct / 2);
        predictions[mask_ct++] = world->predictions[fit][mask];
    }
    agreement = spearman(halves[0], halves[1], mask_ct);
    ok(mask_ct > 10 && agreement > 0, "there are repeats, and they agree");
    ok(near(scores[DMS_SCORE_OPT], variance_sum / (double)mask_ct, 1e-12), "OPT");
    ok(near(scores[DMS_SCORE_LDS_AVERAGED], spearman(predictions, averages, mask_ct), 1e-12),
       "LDS with the averages");
    ok(near(scores[DMS_SCORE_CEILING], sqrt(2 * agreement / (1 + agreement)), 1e-12),
       "noise ceiling");
}

static void test_scores(void)
{
    static struct world world;
    struct dms_scorer *scorer;

    make_world(&world, ROWS, ROWS, DMS_BOOTSTRAP_NONE);
    draw_target(&world);
    scorer = score(&world, NULL);
    check_plain_scores(&world, 0);
    check_plain_scores(&world, 1);
    ok(isnan(world.evaluations[0].scores[DMS_SCORE_OPT]) &&
           isnan(world.evaluations[0].scores[DMS_SCORE_LDS_AVERAGED]) &&
           isnan(world.evaluations[0].scores[DMS_SCORE_CEILING]),
       "nothing to say about repeats where there are none");
    draw_target(&world);
    world.outputs[3] = NAN;
    world.outputs[4] = INFINITY;
    world.outputs[ROWS - 1] = -INFINITY;
    score(&world, scorer);
    check_plain_scores(&world, 0);
    ok(world.evaluations[0].row_ct == ROWS - 3, "outputs that are not finite do not count");
    dms_scorer_free(scorer);
}

static void test_repeats(void)
{
    static struct world world;
    struct dms_scorer *scorer;

    make_world(&world, ROWS, MASKS, DMS_BOOTSTRAP_NONE);
    draw_target(&world);
    scorer = score(&world, NULL);
    check_plain_scores(&world, 1);
    check_repeat_scores(&world, 0);
    check_repeat_scores(&world, 1);
    /* Masks that are left with two models, one and none. */
    for (int k = 0; k < 3; k++) {
        world.outputs[2 + k * MASKS] = NAN;
        if (k < 2)
            world.outputs[1 + k * MASKS] = NAN;
        if (k < 1)
            world.outputs[k * MASKS] = NAN;
    }
    score(&world, scorer);
    check_plain_scores(&world, 0);
    check_repeat_scores(&world, 0);
    dms_scorer_free(scorer);
}

static bool all_undefined(const double *scores)
{
    for (int i = 0; i < DMS_SCORE_CT; i++) {
        if (!isnan(scores[i]))
            return false;
    }
    return true;
}

/* The scores of the second fit that are left, as bits 1 << enum dms_score. */
static unsigned defined_scores(bool no_level, bool no_bias)
{
    static struct world world;
    unsigned defined = 0;

    make_world(&world, ROWS, MASKS, DMS_BOOTSTRAP_NONE);
    world.no_level = no_level;
    world.no_bias = no_bias;
    draw_target(&world);
    dms_scorer_free(score(&world, NULL));
    for (int i = 0; i < DMS_SCORE_CT; i++) {
        if (!isnan(world.evaluations[1].scores[i]))
            defined |= 1u << i;
        ok(!isnan(world.evaluations[0].scores[i]), "the first fit has its %s",
           dms_score_name((enum dms_score)i));
    }
    return defined;
}

static void test_levels(void)
{
    unsigned level = 1u << DMS_SCORE_MSE | 1u << DMS_SCORE_R2 | 1u << DMS_SCORE_OPT;
    unsigned all = (1u << DMS_SCORE_CT) - 1;

    ok(defined_scores(false, false) == all, "all scores are defined");
    ok(defined_scores(true, false) == (all & ~level), "of another number there is no error");
    ok(defined_scores(false, true) ==
           (1u << DMS_SCORE_LDS | 1u << DMS_SCORE_LDS_AVERAGED | 1u << DMS_SCORE_CEILING),
       "without a bias there is LDS");
}

static void test_degenerate(void)
{
    static struct world world;
    struct dms_scorer *scorer;

    make_world(&world, ROWS, MASKS, DMS_BOOTSTRAP_RESAMPLED);
    draw_target(&world);
    for (int row = 0; row < ROWS; row++)
        world.predictions[1][row] = 0.3f;
    scorer = score(&world, NULL);
    ok(world.evaluations[1].scores[DMS_SCORE_LDS] == 0 &&
           world.evaluations[1].scores[DMS_SCORE_PEARSON] == 0 &&
           world.evaluations[1].scores[DMS_SCORE_LDS_AVERAGED] == 0,
       "a null datamodel has LDS 0");
    ok(world.evaluations[1].scores[DMS_SCORE_AUC] == 0.5, "and AUC 1/2");
    for (int row = 0; row < ROWS; row++)
        world.outputs[row] = fabsf(world.outputs[row]) + 1;
    score(&world, scorer);
    ok(isnan(world.evaluations[0].scores[DMS_SCORE_AUC]) &&
           !isnan(world.evaluations[0].scores[DMS_SCORE_LDS]),
       "one class: no AUC, but the rest");
    for (int row = 0; row < ROWS; row++)
        world.outputs[row] = 0.1f;
    score(&world, scorer);
    ok(all_undefined(world.evaluations[0].scores), "a constant output has no score");
    for (int row = 1; row < ROWS; row++)
        world.outputs[row] = NAN;
    score(&world, scorer);
    ok(all_undefined(world.evaluations[0].scores) && world.evaluations[0].row_ct == 1,
       "nor has a single model");
    dms_scorer_free(scorer);
}

/* ---- bootstrap ---- */

/* Mean LDS of a fit over targets in each resample, by writing the resamples out. */
static void resample_plainly(const struct world *worlds, size_t target_ct, int fit, double *means)
{
    for (uint32_t resample = 0; resample < RESAMPLES; resample++) {
        uint32_t counts[ROWS], total = 0;
        double sum = 0;

        dms_bootstrap_draw(&worlds[0].bootstrap, resample, counts);
        for (uint32_t mask = 0; mask < worlds[0].bootstrap.mask_ct; mask++)
            total += counts[mask];
        if (total != worlds[0].bootstrap.mask_ct)
            ok(false, "a resample has as many masks as there are");
        for (size_t t = 0; t < target_ct; t++) {
            double outputs[2 * ROWS], predictions[2 * ROWS];
            size_t kept = 0;

            for (uint32_t row = 0; row < worlds[t].held_out.row_ct; row++) {
                for (uint32_t k = 0; k < counts[worlds[t].masks[row]]; k++) {
                    if (!isfinite(worlds[t].outputs[row]))
                        continue;
                    outputs[kept] = worlds[t].outputs[row];
                    predictions[kept++] = worlds[t].predictions[fit][row];
                }
            }
            sum += spearman(predictions, outputs, kept);
        }
        means[resample] = sum / (double)target_ct;
    }
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static struct dms_interval interval_of(double *values)
{
    double low = 0.025 * (RESAMPLES - 1), high = 0.975 * (RESAMPLES - 1);
    int l = (int)low, h = (int)high;

    qsort(values, RESAMPLES, sizeof(*values), compare_doubles);
    return (struct dms_interval){values[l] + (low - l) * (values[l + 1] - values[l]),
                                 values[h] + (high - h) * (values[h + 1] - values[h])};
}

static bool same_interval(struct dms_interval got, struct dms_interval wanted, double tolerance)
{
    return near(got.low, wanted.low, tolerance) && near(got.high, wanted.high, tolerance);
}

enum { TARGETS = 4 };

/* The intervals of both fits and of their difference. */
static void find_intervals(struct world *worlds, enum dms_bootstrap_method method,
                           struct dms_interval intervals[FITS], struct dms_interval *difference)
{
    double means[FITS] = {0};
    struct dms_scorer *scorer = NULL;

    worlds[0].bootstrap.method = method;
    for (int t = 0; t < TARGETS; t++) {
        worlds[t].bootstrap = worlds[0].bootstrap;
        scorer = score(&worlds[t], scorer);
        means[0] += worlds[t].evaluations[0].scores[DMS_SCORE_LDS] / TARGETS;
        means[1] += worlds[t].evaluations[1].scores[DMS_SCORE_LDS] / TARGETS;
    }
    must(dms_bootstrap_intervals(&worlds[0].bootstrap, dms_scorer_sums(scorer), means, intervals,
                                 difference));
    dms_scorer_free(scorer);
}

static void test_bootstrap(uint32_t mask_ct)
{
    static struct world worlds[TARGETS];
    double means[FITS][RESAMPLES];
    struct dms_interval resampled[FITS], difference, linearised[FITS], linear_difference;
    double width;

    for (int t = 0; t < TARGETS; t++) {
        make_world(&worlds[t], ROWS, mask_ct, DMS_BOOTSTRAP_RESAMPLED);
        draw_target(&worlds[t]);
    }
    worlds[1].outputs[5] = NAN;
    find_intervals(worlds, DMS_BOOTSTRAP_RESAMPLED, resampled, &difference);
    find_intervals(worlds, DMS_BOOTSTRAP_LINEARISED, linearised, &linear_difference);
    resample_plainly(worlds, TARGETS, 0, means[0]);
    resample_plainly(worlds, TARGETS, 1, means[1]);
    for (int i = 0; i < RESAMPLES; i++)
        means[1][i] -= means[0][i];
    ok(same_interval(difference, interval_of(means[1]), 1e-10),
       "%u masks: paired difference of the resamples", mask_ct);
    resample_plainly(worlds, TARGETS, 1, means[1]);
    ok(same_interval(resampled[0], interval_of(means[0]), 1e-10), "resamples of the first fit");
    ok(same_interval(resampled[1], interval_of(means[1]), 1e-10), "and of the second");
    ok(difference.high < 0, "the second fit is worse");
    for (int fit = 0; fit < FITS; fit++) {
        width = resampled[fit].high - resampled[fit].low;
        ok(same_interval(linearised[fit], resampled[fit], 0.2 * width),
           "the linearised interval of fit %d is near: %.4f %.4f and %.4f %.4f", fit,
           linearised[fit].low, linearised[fit].high, resampled[fit].low, resampled[fit].high);
    }
    width = difference.high - difference.low;
    ok(same_interval(linear_difference, difference, 0.2 * width),
       "the linearised difference is near");
}

/* Two scorers that share the targets say the same as one. */
static void test_merge(enum dms_bootstrap_method method)
{
    static struct world world;
    struct dms_scorer *all = NULL, *parts[2] = {NULL, NULL};
    struct dms_bootstrap_sums sums;

    make_world(&world, ROWS, MASKS, method);
    for (int t = 0; t < 5; t++) {
        draw_target(&world);
        all = score(&world, all);
        parts[t % 2] = score(&world, parts[t % 2]);
    }
    must(dms_bootstrap_sums_create(&world.bootstrap, &sums));
    dms_bootstrap_sums_merge(&world.bootstrap, dms_scorer_sums(parts[1]), &sums);
    dms_bootstrap_sums_merge(&world.bootstrap, dms_scorer_sums(parts[0]), &sums);
    ok(memcmp(sums.values, dms_scorer_sums(all)->values,
              FITS * sums.value_ct * sizeof(*sums.values)) == 0 &&
           memcmp(sums.defined, dms_scorer_sums(all)->defined,
                  sums.defined_ct * sizeof(*sums.defined)) == 0,
       "sums of two threads are those of one, to the bit");
    dms_bootstrap_sums_free(&sums);
    dms_scorer_free(all);
    dms_scorer_free(parts[0]);
    dms_scorer_free(parts[1]);
}

static void test_methods(void)
{
    ok(dms_bootstrap_method(10, 10, 0) == DMS_BOOTSTRAP_NONE, "no resamples, no bootstrap");
    ok(dms_bootstrap_method(1000, 2000, 1000) == DMS_BOOTSTRAP_RESAMPLED, "2e9 are resampled");
    ok(dms_bootstrap_method(1001, 2000, 1000) == DMS_BOOTSTRAP_LINEARISED, "more are not");
    ok(dms_bootstrap_method(UINT64_MAX, UINT64_MAX, 1000) == DMS_BOOTSTRAP_LINEARISED,
       "far more neither");
}

/* ---- predictions ---- */

enum { EXAMPLES = 300, STRIDE = 64, LANES = 5 };

static double predict_plainly(const struct dms_fitted_target *target, const uint8_t *mask)
{
    double sum = target->bias;

    for (size_t i = 0; i < target->weight_ct; i++) {
        if (mask[target->examples[i] / 8] >> target->examples[i] % 8 & 1)
            sum += target->weights[i];
    }
    return sum;
}

/* Every step-th example has a weight. */
static void test_predictions(uint32_t step)
{
    static uint8_t masks[ROWS * STRIDE] __attribute__((aligned(64)));
    static uint32_t examples[LANES][EXAMPLES];
    static double weights[LANES][EXAMPLES];
    struct dms_fitted_target targets[LANES];
    struct dms_predictor *predictor;
    const float *predictions;
    bool same = true;

    for (size_t row = 0; row < ROWS; row++) {
        for (uint32_t k = 0; k < EXAMPLES; k++) {
            uint8_t bit = (uint8_t)(1 << k % 8), *byte = &masks[row * STRIDE + k / 8];

            *byte = random_below(2) ? *byte | bit : *byte & ~bit;
        }
    }
    for (size_t t = 0; t < LANES; t++) {
        targets[t] = (struct dms_fitted_target){
            .bias = random_value(), .examples = examples[t], .weights = weights[t]};
        for (uint32_t k = (uint32_t)t; k < EXAMPLES; k += step) {
            examples[t][targets[t].weight_ct] = k;
            weights[t][targets[t].weight_ct++] = random_value();
        }
    }
    must(dms_predictor_create(EXAMPLES, ROWS, &predictor));
    predictions = dms_predict(predictor, targets, LANES, masks, STRIDE, ROWS);
    for (size_t row = 0; row < ROWS; row++) {
        for (size_t t = 0; t < LANES; t++)
            same &= near(targets[t].bias +
                             dms_prediction_unit(&targets[t]) * predictions[row * DMS_LANES + t],
                         predict_plainly(&targets[t], masks + row * STRIDE), 1e-4);
    }
    ok(same, "predictions with every weight number %u", step);
    dms_predictor_free(predictor);
}

int main(void)
{
    test_scores();
    test_repeats();
    test_levels();
    test_degenerate();
    test_bootstrap(ROWS);
    test_bootstrap(MASKS);
    test_merge(DMS_BOOTSTRAP_RESAMPLED);
    test_merge(DMS_BOOTSTRAP_LINEARISED);
    test_methods();
    test_predictions(1);
    test_predictions(100);
    return tap_done();
}
