/*
 * dms_evaluate on a small store: against scores computed plainly here from the same masks, outputs
 * and weights, whatever the threads and the memory; and what it refuses.
 *
 * The store has models 100 .. 299 of 70 examples. Fits train on 100 .. 199, validate on 200 .. 219
 * and hold out from 220 on. Outputs are quarters, so that they are exact in f16 and have ties.
 */
#include "base/hash.h"
#include "tests/unit/tap.h"

#include <dmstore.h>

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    EXAMPLES = 70,
    MASK_BYTES = (EXAMPLES + 7) / 8,
    FIRST_ID = 100,
    MODELS = 200,
    FIRST_HELD_OUT = 220,
    HELD_OUT = FIRST_ID + MODELS - FIRST_HELD_OUT,
    TARGETS = 40,
    CLASSES = 3,
    LOGIT_TARGETS = 6,
    CONSTANT_TARGET = 7,
    PATCHY_TARGET = 8, /* every fifth output is not finite */
    POSITIVE_TARGET = 9,
    EMPTY_TARGET = 10, /* one finite output */
};

#define must(status) must_not_fail((status), #status)
static void must_not_fail(int status, const char *what)
{
    if (status < 0) {
        printf("Bail out! %s: %s\n", what, dms_error_message());
        exit(1);
    }
}

static bool near(double got, double wanted)
{
    bool is_near = isnan(wanted) ? isnan(got) : fabs(got - wanted) <= 1e-6 * (1 + fabs(wanted));

    if (!is_near)
        diag("got %.17g, wanted %.17g", got, wanted);
    return is_near;
}

/* ---- what is in the store ---- */

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t x = a * UINT64_C(0x9e3779b97f4a7c15) + b * UINT64_C(0xd1342543de82ef95);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Of the held-out models, 240 .. 249 have the masks of 230 .. 239, and so have 250 .. 254. */
static void make_mask(uint64_t id, uint8_t mask[MASK_BYTES])
{
    uint64_t number = id < 240 || id >= 255 ? id : 230 + id % 10;

    must(dms_sample_mask(EXAMPLES, EXAMPLES / 2, 1, number, mask));
}

static bool has_example(uint64_t id, size_t example)
{
    uint8_t mask[MASK_BYTES];

    make_mask(id, mask);
    return mask[example / 8] >> example % 8 & 1;
}

static double true_weight(uint64_t target, size_t example)
{
    return mix(target, example) % 4 == 0 ? (double)(mix(example, target) % 9) / 4 - 1 : 0;
}

/* Quarters: the weights and a little noise. */
static float margin_of(uint64_t id, uint64_t target)
{
    double sum = 0;

    if (target == CONSTANT_TARGET)
        return 1.25f;
    if ((target == PATCHY_TARGET && id % 5 == 0) || (target == EMPTY_TARGET && id != 290))
        return id % 2 ? NAN : INFINITY;
    for (size_t k = 0; k < EXAMPLES; k++)
        sum += has_example(id, k) ? true_weight(target, k) : 0;
    sum += (double)(mix(id, 1000 + target) % 17) / 4 - 2;
    return (float)(target == POSITIVE_TARGET ? fabs(sum) + 1 : sum);
}

static float logit_of(uint64_t id, uint64_t target, int class)
{
    return (float)(mix(id, 77 * target + (uint64_t) class) % 41) / 4 - 5;
}

static int64_t label_of(uint64_t target)
{
    return (int64_t)(target % CLASSES);
}

static float logit_margin(uint64_t id, uint64_t target)
{
    float largest = -INFINITY;

    for (int class = 0; class < CLASSES; class ++) {
        if (class != label_of(target))
            largest = fmaxf(largest, logit_of(id, target, class));
    }
    return logit_of(id, target, (int)label_of(target)) - largest;
}

static void add_model(dms_store *store, uint64_t id)
{
    float margins[TARGETS], train[EXAMPLES], logits[LOGIT_TARGETS * CLASSES];
    const void *outputs[3] = {margins, train, logits};
    uint8_t mask[MASK_BYTES];
    struct dms_row row = {.id = id, .mask = mask, .outputs = outputs};

    make_mask(id, mask);
    for (uint64_t t = 0; t < TARGETS; t++)
        margins[t] = margin_of(id, t);
    for (uint64_t t = 0; t < EXAMPLES; t++)
        train[t] = margin_of(id, 100 + t) + (has_example(id, t) ? 50 : 0);
    for (uint64_t t = 0; t < LOGIT_TARGETS; t++) {
        for (int class = 0; class < CLASSES; class ++)
            logits[t * CLASSES + (uint64_t) class] = logit_of(id, t, class);
    }
    must(dms_append_rows(store, &row, 1, DMS_DUPLICATE_REPLACE, NULL));
}

static void remove_tree(const char *path)
{
    char command[256];

    snprintf(command, sizeof(command), "rm -rf '%s'", path);
    if (system(command) != 0)
        diag("cannot remove %s", path);
}

static dms_store *create_store(const char *path)
{
    struct dms_column columns[3];
    struct dms_schema schema = {
        .example_ct = EXAMPLES, .chunk_rows = 64, .column_ct = 3, .columns = columns};
    dms_store *store;

    remove_tree(path);
    must(dms_output_parse("margins:40:f32", &columns[0]));
    must(dms_output_parse("train:70:f32", &columns[1]));
    must(dms_output_parse("logits:6x3:f32", &columns[2]));
    must(dms_store_create(path, &schema));
    must(dms_store_open(path, &store));
    /* Backwards, so that the order of rows is not that of ids. */
    for (uint64_t id = FIRST_ID + MODELS; id-- > FIRST_ID;)
        add_model(store, id);
    return store;
}

/* ---- fits ---- */

static double weight_of(const char *fit, uint64_t target, size_t example)
{
    if (strcmp(fit, "null") == 0)
        return 0;
    if (strcmp(fit, "half") == 0)
        return example % 2 ? true_weight(target, example) : 0;
    /* "dense": every weight, so that predictions go through the kernels. */
    return true_weight(target, example) + 0.125;
}

static double bias_of(uint64_t target)
{
    return (double)target / 8;
}

/* The sum of XXH3-128 over (id, mask), as include/dmstore/fit.h defines it. */
static void set_digest(struct dms_row_set *set)
{
    unsigned __int128 sum = 0;

    set->row_ct = 0;
    for (size_t r = 0; r < set->range_ct; r++) {
        for (uint64_t k = 0; k < set->ranges[r].id_ct; k++) {
            uint64_t id = set->ranges[r].first_id + k;
            uint8_t row[8 + MASK_BYTES];
            struct dms_hash128 hash;

            for (int i = 0; i < 8; i++)
                row[i] = (uint8_t)(id >> 8 * i);
            make_mask(id, row + 8);
            hash = dms_hash128(row, sizeof(row));
            sum += (unsigned __int128)hash.high << 64 | hash.low;
            set->row_ct++;
        }
    }
    set->digest[0] = (uint64_t)sum;
    set->digest[1] = (uint64_t)(sum >> 64);
}

struct fit_plan {
    const char *name, *output;
    uint64_t target_ct;           /* of the column */
    uint64_t first_target, step;  /* targets that are fitted */
    struct dms_id_range training; /* id_ct 0: as usual */
    struct dms_id_range held_out[2];
    size_t held_out_ct; /* ranges */
    size_t problem_ct;
    struct dms_metadata problem[4];
};

static struct fit_plan usual_plan(const char *name)
{
    return (struct fit_plan){.name = name,
                             .output = "margins",
                             .target_ct = TARGETS,
                             .step = 1,
                             .held_out = {{FIRST_HELD_OUT, HELD_OUT}},
                             .held_out_ct = 1};
}

static void fill_target(const char *name, uint64_t target, uint32_t *examples, double *weights,
                        struct dms_fitted_target *fitted)
{
    *fitted = (struct dms_fitted_target){.target = target,
                                         .bias = bias_of(target),
                                         .lambda = 0.1,
                                         .null_deviance = 1,
                                         .mean = 0.5,
                                         .row_ct = 120,
                                         .examples = examples,
                                         .weights = weights};
    for (uint32_t k = 0; k < EXAMPLES; k++) {
        if (weight_of(name, target, k) != 0) {
            examples[fitted->weight_ct] = k;
            weights[fitted->weight_ct++] = weight_of(name, target, k);
        }
    }
}

static void add_fit(dms_store *store, struct fit_plan plan)
{
    struct dms_id_range training = {FIRST_ID, 100}, validation = {200, 20};
    struct dms_fit_header header = {
        .name = plan.name,
        .output = plan.output,
        .example_ct = EXAMPLES,
        .target_ct = plan.target_ct,
        .training = {.range_ct = 1, .ranges = plan.training.id_ct ? &plan.training : &training},
        .validation = {.range_ct = 1, .ranges = &validation},
        .held_out = {.range_ct = plan.held_out_ct, .ranges = plan.held_out},
        .problem_ct = plan.problem_ct,
        .problem = plan.problem,
    };
    struct dms_snapshot_info info;
    dms_snapshot *snapshot;
    dms_fit_part *part;

    must(dms_store_snapshot(store, &snapshot));
    dms_snapshot_info(snapshot, &info);
    dms_snapshot_close(snapshot);
    memcpy(header.store_uuid, info.store_uuid, sizeof(header.store_uuid));
    header.sequence = info.sequence;
    set_digest(&header.training);
    set_digest(&header.validation);
    set_digest(&header.held_out);
    must(dms_fit_part_create(&header, NULL, 0, &part));
    for (uint64_t target = plan.first_target; target < plan.target_ct; target += plan.step) {
        uint32_t examples[EXAMPLES];
        double weights[EXAMPLES];
        struct dms_fitted_target fitted;

        fill_target(plan.name, target, examples, weights, &fitted);
        must(dms_fit_part_add(part, &fitted));
    }
    must(dms_store_merge_fit(store, part, NULL));
    dms_fit_part_free(part);
}

/* ---- evaluating ---- */

static struct dms_evaluate_options usual_options(void)
{
    struct dms_evaluate_options options;

    dms_evaluate_options_init(&options);
    options.bootstrap_ct = 50;
    return options;
}

/* An evaluation with what it points to. */
struct outcome {
    int code;
    dms_snapshot *snapshot;
    dms_fit *fits[2];
    struct dms_evaluation *evaluation;
};

static struct outcome evaluate(dms_store *store, const char *first, const char *second,
                               const struct dms_evaluate_options *options)
{
    struct outcome outcome = {0};

    must(dms_store_snapshot(store, &outcome.snapshot));
    must(dms_fit_open(outcome.snapshot, first, &outcome.fits[0]));
    if (second)
        must(dms_fit_open(outcome.snapshot, second, &outcome.fits[1]));
    outcome.code =
        dms_evaluate(outcome.snapshot, outcome.fits, second ? 2 : 1, options, &outcome.evaluation);
    return outcome;
}

static void finish(struct outcome *outcome)
{
    dms_evaluation_free(outcome->evaluation);
    dms_fit_close(outcome->fits[0]);
    dms_fit_close(outcome->fits[1]);
    dms_snapshot_close(outcome->snapshot);
}

/* It must succeed. */
static struct outcome evaluate_well(dms_store *store, const char *first, const char *second,
                                    const struct dms_evaluate_options *options)
{
    struct outcome outcome = evaluate(store, first, second, options);

    must(outcome.code);
    return outcome;
}

static void check_refused(dms_store *store, const char *first, const char *second,
                          const struct dms_evaluate_options *options, int code, const char *part,
                          const char *what)
{
    struct dms_evaluate_options usual = usual_options();
    struct outcome outcome = evaluate(store, first, second, options ? options : &usual);

    is_int(outcome.code, code, what);
    contains(outcome.code < 0 ? dms_error_message() : "", part, "and the message says why");
    finish(&outcome);
}

/* ---- plain scores ---- */

static double plain_spearman(const double *x, const double *y, size_t value_ct)
{
    double xy = 0, xx = 0, yy = 0, middle = (double)(value_ct + 1) / 2;

    for (size_t i = 0; i < value_ct; i++) {
        double x_rank = 0.5, y_rank = 0.5;

        for (size_t k = 0; k < value_ct; k++) {
            x_rank += x[k] < x[i] ? 1 : x[k] == x[i] ? 0.5 : 0;
            y_rank += y[k] < y[i] ? 1 : y[k] == y[i] ? 0.5 : 0;
        }
        xy += (x_rank - middle) * (y_rank - middle);
        xx += (x_rank - middle) * (x_rank - middle);
        yy += (y_rank - middle) * (y_rank - middle);
    }
    return yy == 0 ? NAN : xx == 0 ? 0 : xy / sqrt(xx * yy);
}

static double predict(const char *fit, uint64_t id, uint64_t target)
{
    double sum = bias_of(target);

    for (size_t k = 0; k < EXAMPLES; k++)
        sum += has_example(id, k) ? weight_of(fit, target, k) : 0;
    return sum;
}

struct plain_scores {
    size_t row_ct;
    double lds, mse, r2;
};

/* Models first .. first + count - 1; with `self` >= 0 those whose mask has this example do not
 * count. */
static struct plain_scores score_plainly(const char *fit, uint64_t target,
                                         float (*output)(uint64_t id, uint64_t target),
                                         uint64_t first, size_t count, int64_t self)
{
    double outputs[MODELS], predictions[MODELS], error = 0, null_error = 0;
    struct plain_scores scores = {0};

    for (uint64_t id = first; id < first + count; id++) {
        float value = output(id, target);

        if (!isfinite(value) || (self >= 0 && has_example(id, (size_t)self)))
            continue;
        outputs[scores.row_ct] = value;
        predictions[scores.row_ct] = predict(fit, id, target);
        error += pow(value - predictions[scores.row_ct], 2);
        null_error += pow(value - 0.5, 2);
        scores.row_ct++;
    }
    scores.lds = plain_spearman(predictions, outputs, scores.row_ct);
    scores.mse = isnan(scores.lds) ? NAN : error / (double)scores.row_ct;
    scores.r2 = isnan(scores.lds) ? NAN : 1 - error / null_error;
    return scores;
}

static bool agrees(const struct dms_target_evaluation *target, struct plain_scores wanted)
{
    return target->row_ct == wanted.row_ct && near(target->scores[DMS_SCORE_LDS], wanted.lds) &&
           near(target->scores[DMS_SCORE_MSE], wanted.mse) &&
           near(target->scores[DMS_SCORE_R2], wanted.r2);
}

/* ---- one fit ---- */

static void test_scores(dms_store *store, const char *fit)
{
    struct dms_evaluate_options options = usual_options();
    struct outcome outcome = evaluate_well(store, fit, NULL, &options);
    const struct dms_evaluation *evaluation = outcome.evaluation;
    bool all_agree = evaluation->target_ct == TARGETS;
    double lds_sum = 0;

    for (uint64_t t = 0; t < evaluation->target_ct; t++) {
        const struct dms_target_evaluation *target = &evaluation->fits[0].targets[t];

        all_agree &= target->target == t &&
                     agrees(target, score_plainly(fit, t, margin_of, FIRST_HELD_OUT, HELD_OUT, -1));
        if (!isnan(target->scores[DMS_SCORE_LDS]))
            lds_sum += target->scores[DMS_SCORE_LDS];
    }
    ok(all_agree, "fit %s: LDS, MSE and R^2 of all targets", fit);
    ok(near(evaluation->fits[0].means[DMS_SCORE_LDS], lds_sum / (TARGETS - 2)),
       "the mean LDS is that of the targets that have one");
    is_int(evaluation->row_ct, HELD_OUT, "held-out models");
    is_int(evaluation->mask_ct, HELD_OUT - 15, "different masks");
    is_int(evaluation->repeated_ct, 10, "masks of several models");
    is_int(evaluation->constant_ct, 1, "constant targets");
    is_int(evaluation->empty_ct, 1, "targets without outputs");
    is_int(evaluation->fits[0].targets[PATCHY_TARGET].nonfinite_ct, HELD_OUT / 5,
           "outputs that are not finite");
    is_int(evaluation->fits[0].defined_cts[DMS_SCORE_AUC], TARGETS - 3, "targets of two classes");
    ok(isnan(evaluation->fits[0].targets[POSITIVE_TARGET].scores[DMS_SCORE_AUC]),
       "one class has no AUC");
    ok(evaluation->bootstrap == DMS_BOOTSTRAP_RESAMPLED &&
           evaluation->fits[0].lds_interval.low <= evaluation->fits[0].means[DMS_SCORE_LDS] &&
           evaluation->fits[0].lds_interval.high >= evaluation->fits[0].means[DMS_SCORE_LDS],
       "the interval has the mean in it");
    is_int(evaluation->smallest_subset, EXAMPLES / 2, "size of the held-out subsets");
    is_int(evaluation->largest_training_subset, EXAMPLES / 2, "and of those of training");
    finish(&outcome);
}

/* The models behind the scores of one target; with `self` >= 0 without those that have seen it. */
static void test_models(dms_store *store, const char *fit, uint64_t target,
                        float (*output)(uint64_t id, uint64_t target), int64_t self)
{
    struct dms_evaluate_options options = usual_options();
    struct outcome outcome = evaluate_well(store, fit, NULL, &options);
    struct dms_target_models *models = NULL;
    struct dms_target_evaluation *wanted = &outcome.evaluation->fits[0].targets[target];
    bool all_agree = true;
    size_t place = 0;

    must(dms_evaluate_target(outcome.snapshot, outcome.fits[0], target, &options, &models));
    ok(models->evaluation.target == target &&
           memcmp(models->evaluation.scores, wanted->scores, sizeof(wanted->scores)) == 0,
       "fit %s: target %" PRIu64 " has the same scores alone", fit, target);
    is_int(models->model_ct, wanted->row_ct, "with as many models");
    for (uint64_t id = FIRST_HELD_OUT; id < FIRST_ID + MODELS; id++) {
        float value = output(id, target);

        if (!isfinite(value) || (self >= 0 && has_example(id, (size_t)self)))
            continue;
        all_agree &= place < models->model_ct && models->ids[place] == id &&
                     models->outputs[place] == value &&
                     near(models->predictions[place], predict(fit, id, target));
        place++;
    }
    ok(all_agree && place == models->model_ct, "their ids, outputs and predictions");
    dms_target_models_free(models);
    is_int(dms_evaluate_target(outcome.snapshot, outcome.fits[0], EXAMPLES, &options, &models),
           DMS_ERR_INVALID, "a target that is not there is refused");
    finish(&outcome);
}

static void test_null(dms_store *store)
{
    struct dms_evaluate_options options = usual_options();
    struct outcome outcome = evaluate_well(store, "null", NULL, &options);
    const struct dms_fit_evaluation *fit = &outcome.evaluation->fits[0];

    ok(fit->means[DMS_SCORE_LDS] == 0 && fit->means[DMS_SCORE_PEARSON] == 0,
       "a null fit has mean LDS 0");
    ok(fit->lds_interval.low == 0 && fit->lds_interval.high == 0, "in every resample");
    is_int(fit->defined_cts[DMS_SCORE_LDS], TARGETS - 2, "for all targets whose output varies");
    finish(&outcome);
}

static bool same_evaluation(const struct dms_evaluation *a, const struct dms_evaluation *b)
{
    for (uint64_t t = 0; t < a->target_ct; t++) {
        if (memcmp(a->fits[0].targets[t].scores, b->fits[0].targets[t].scores,
                   sizeof(a->fits[0].targets[t].scores)) != 0)
            return false;
    }
    return a->target_ct == b->target_ct &&
           a->fits[0].lds_interval.low == b->fits[0].lds_interval.low &&
           a->fits[0].lds_interval.high == b->fits[0].lds_interval.high;
}

/* The number of threads and blocks changes nothing. */
static void test_threads_and_memory(dms_store *store)
{
    static const struct {
        unsigned thread_ct;
        uint64_t memory_bytes;
    } cases[] = {{1, 1 << 30}, {3, 1 << 30}, {1, 1 << 20}, {3, 2 << 20}};
    struct dms_evaluate_options options = usual_options();
    struct outcome first = evaluate_well(store, "half", NULL, &options), outcome;

    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        options.thread_ct = cases[k].thread_ct;
        options.memory_bytes = cases[k].memory_bytes;
        outcome = evaluate_well(store, "half", NULL, &options);
        ok(same_evaluation(first.evaluation, outcome.evaluation),
           "%u threads and %" PRIu64 " bytes: the same to the bit", cases[k].thread_ct,
           cases[k].memory_bytes);
        finish(&outcome);
    }
    options.seed = 1;
    outcome = evaluate_well(store, "half", NULL, &options);
    ok(!same_evaluation(first.evaluation, outcome.evaluation), "another seed: another interval");
    finish(&outcome);
    finish(&first);
    options.memory_bytes = 1 << 12;
    check_refused(store, "half", NULL, &options, DMS_ERR_INVALID, "too few to evaluate",
                  "4 KiB of memory are too few");
    options.memory_bytes = strtoull(strstr(dms_error_message(), "at least ") + 9, NULL, 10);
    outcome = evaluate_well(store, "half", NULL, &options);
    ok(true, "%" PRIu64 " bytes, which the message asks for, are enough", options.memory_bytes);
    finish(&outcome);
}

static void test_ranges(dms_store *store)
{
    struct dms_evaluate_options options = usual_options();
    struct outcome outcome;

    options.first_target = 11;
    options.end_target = 14;
    outcome = evaluate_well(store, "half", NULL, &options);
    is_int(outcome.evaluation->target_ct, 3, "three targets");
    ok(agrees(&outcome.evaluation->fits[0].targets[2],
              score_plainly("half", 13, margin_of, FIRST_HELD_OUT, HELD_OUT, -1)),
       "they are those asked for");
    finish(&outcome);
    options.end_target = TARGETS + 1;
    check_refused(store, "half", NULL, &options, DMS_ERR_INVALID, "11:41 are not a part of 0:40",
                  "targets that the column does not have");
    options.first_target = 1;
    options.end_target = 2;
    check_refused(store, "sparse", NULL, &options, DMS_ERR_INVALID,
                  "fit sparse has none of the targets 1:2", "targets that the fit does not have");
}

/* ---- several fits ---- */

/* "half" has all targets, "sparse" every third, and holds out ten models less. */
static void test_pair(dms_store *store)
{
    struct dms_evaluate_options options = usual_options();
    struct outcome outcome = evaluate_well(store, "half", "sparse", &options);
    const struct dms_evaluation *evaluation = outcome.evaluation;
    const struct dms_lds_difference *difference = &evaluation->differences[0];
    bool all_agree = true;

    for (uint64_t t = 0; t < evaluation->target_ct; t++) {
        for (int fit = 0; fit < 2; fit++)
            all_agree &= agrees(&evaluation->fits[fit].targets[t],
                                score_plainly(fit ? "sparse" : "half", 3 * t, margin_of,
                                              FIRST_HELD_OUT + 10, HELD_OUT - 10, -1));
    }
    ok(all_agree, "two fits are scored on common models and targets");
    is_int(evaluation->target_ct, 14, "common targets");
    is_int(evaluation->missing_ct, TARGETS - 14, "targets that are not common");
    is_int(evaluation->row_ct, HELD_OUT - 10, "common models");
    is_int(evaluation->left_out_ct, 10, "models that are not common");
    ok(near(difference->difference,
            evaluation->fits[1].means[DMS_SCORE_LDS] - evaluation->fits[0].means[DMS_SCORE_LDS]),
       "the difference is that of the means");
    ok(difference->interval.low <= difference->difference &&
           difference->interval.high >= difference->difference,
       "and lies in its interval");
    ok(difference->interval.high - difference->interval.low <
           evaluation->fits[0].lds_interval.high - evaluation->fits[0].lds_interval.low,
       "which is narrower than that of a fit, since pairs are compared");
    finish(&outcome);

    outcome = evaluate_well(store, "half", "half", &options);
    ok(outcome.evaluation->differences[0].difference == 0 &&
           outcome.evaluation->differences[0].interval.low == 0 &&
           outcome.evaluation->differences[0].interval.high == 0,
       "a fit does not differ from itself");
    finish(&outcome);
    check_refused(store, "half", "train", NULL, DMS_ERR_INVALID, "evaluate them one by one",
                  "fits of different outputs cannot be compared");
    check_refused(store, "half", "elsewhere", NULL, DMS_ERR_INVALID, "nothing to compare them on",
                  "nor can fits that held out different models");
}

/* ---- transforms and exclusion ---- */

static float train_of(uint64_t id, uint64_t target)
{
    return margin_of(id, 100 + target) + (has_example(id, target) ? 50 : 0);
}

static void test_exclude_self(dms_store *store)
{
    struct dms_evaluate_options options = usual_options();
    struct outcome outcome = evaluate_well(store, "train", NULL, &options);
    bool all_agree = outcome.evaluation->target_ct == EXAMPLES, all_counted = true;

    for (uint64_t t = 0; t < outcome.evaluation->target_ct; t++) {
        const struct dms_target_evaluation *target = &outcome.evaluation->fits[0].targets[t];

        all_agree &= agrees(
            target, score_plainly("train", t, train_of, FIRST_HELD_OUT, HELD_OUT, (int64_t)t));
        all_counted &= target->excluded_ct == HELD_OUT - target->row_ct && target->excluded_ct > 0;
    }
    ok(all_agree, "models that have seen the target do not count");
    ok(all_counted, "and are counted");
    finish(&outcome);
}

static float correctness(uint64_t id, uint64_t target)
{
    return logit_margin(id, target) > 0;
}

static void test_transforms(dms_store *store)
{
    struct dms_evaluate_options options = usual_options();
    int64_t labels[LOGIT_TARGETS];
    bool all_agree = true;

    check_refused(store, "margin", NULL, NULL, DMS_ERR_INVALID, "--labels",
                  "a fit of logits needs the labels");
    for (uint64_t t = 0; t < LOGIT_TARGETS; t++)
        labels[t] = label_of(t);
    options.labels = labels;
    options.label_ct = LOGIT_TARGETS;
    for (int correct = 0; correct < 2; correct++) {
        const char *fit = correct ? "correct" : "margin";
        struct outcome outcome = evaluate_well(store, fit, NULL, &options);

        for (uint64_t t = 0; t < LOGIT_TARGETS; t++)
            all_agree &= agrees(&outcome.evaluation->fits[0].targets[t],
                                score_plainly(fit, t, correct ? correctness : logit_margin,
                                              FIRST_HELD_OUT, HELD_OUT, -1));
        ok(all_agree, "transform %s", fit);
        finish(&outcome);
    }
    labels[0] = 1;
    check_refused(store, "margin", NULL, &options, DMS_ERR_CONFLICT, "another file of labels",
                  "other labels are refused");
}

/* ---- refusals ---- */

static void test_refusals(dms_store *store)
{
    check_refused(store, "nothing", NULL, NULL, DMS_ERR_INVALID, "has held out no models",
                  "a fit that held out nothing");
    check_refused(store, "used", NULL, NULL, DMS_ERR_CONFLICT,
                  "has held out model 220, but that is one of its training models",
                  "a fit that was trained on what it held out");
}

/* These change the store. */
static void test_changes(dms_store *store)
{
    const uint64_t id = 290;
    uint8_t mask[MASK_BYTES];
    float margins[TARGETS] = {0};
    const void *outputs[3] = {margins, NULL, NULL};
    struct dms_row row = {.id = id, .mask = mask, .outputs = outputs};

    must(dms_sample_mask(EXAMPLES, EXAMPLES / 2, 2, id, mask));
    must(dms_append_rows(store, &row, 1, DMS_DUPLICATE_REPLACE, NULL));
    check_refused(store, "half", NULL, NULL, DMS_ERR_CONFLICT, "half",
                  "a held-out model has another mask now");
    must(dms_store_remove(store, &id, 1, false, NULL));
    check_refused(store, "half", NULL, NULL, DMS_ERR_NOT_FOUND, "290", "a held-out model is gone");
}

/* ---- the store with its fits ---- */

/* The digest of labels as fits keep it (src/solver/options.c). */
static const char *label_digest(void)
{
    static char text[40];
    int64_t labels[LOGIT_TARGETS];
    struct dms_hash128 hash;

    for (uint64_t t = 0; t < LOGIT_TARGETS; t++)
        labels[t] = label_of(t);
    hash = dms_hash128(labels, sizeof(labels));
    snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64, hash.high, hash.low);
    return text;
}

static void add_fits(dms_store *store)
{
    struct fit_plan plan = usual_plan("half");

    add_fit(store, plan);
    add_fit(store, usual_plan("dense"));
    add_fit(store, usual_plan("null"));
    plan = usual_plan("sparse");
    plan.step = 3;
    plan.held_out[0] = (struct dms_id_range){FIRST_HELD_OUT + 10, HELD_OUT - 10};
    add_fit(store, plan);
    plan = usual_plan("elsewhere");
    plan.training = (struct dms_id_range){240, 40};
    plan.held_out[0] = (struct dms_id_range){150, 20};
    add_fit(store, plan);
    plan = usual_plan("nothing");
    plan.held_out_ct = 0;
    add_fit(store, plan);
    plan = usual_plan("used");
    plan.training = (struct dms_id_range){180, 41};
    add_fit(store, plan);
    plan = usual_plan("train");
    plan.output = "train";
    plan.target_ct = EXAMPLES;
    plan.problem_ct = 1;
    plan.problem[0] = (struct dms_metadata){"exclude-self", "yes"};
    add_fit(store, plan);
    plan = usual_plan("margin");
    plan.output = "logits";
    plan.target_ct = LOGIT_TARGETS;
    plan.problem_ct = 2;
    plan.problem[0] = (struct dms_metadata){"labels", label_digest()};
    plan.problem[1] = (struct dms_metadata){"transform", "margin"};
    add_fit(store, plan);
    plan.name = "correct";
    plan.problem[1].value = "correct";
    add_fit(store, plan);
}

int main(void)
{
    char path[64];
    dms_store *store;

    snprintf(path, sizeof(path), "evaluate-test-%ld.dms", (long)getpid());
    store = create_store(path);
    add_fits(store);
    test_scores(store, "half");
    test_scores(store, "dense");
    test_null(store);
    test_threads_and_memory(store);
    test_ranges(store);
    test_pair(store);
    test_exclude_self(store);
    test_models(store, "half", 3, margin_of, -1);
    test_models(store, "dense", PATCHY_TARGET, margin_of, -1);
    test_models(store, "train", 5, train_of, 5);
    test_transforms(store);
    test_refusals(store);
    must(dms_store_seal(store, NULL));
    test_scores(store, "half");
    test_changes(store);
    dms_store_close(store);
    remove_tree(path);
    return tap_done();
}
