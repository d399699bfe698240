/*
 * dms_evaluate: the targets that fits have in common go block by block through target_block.c,
 * which finds outputs and predictions, and scorer.c, which compares them; here is what is decided
 * before and averaged after that.
 */
#include "query/evaluate.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/thread.h"
#include "query/scorer.h"
#include "query/target_block.h"

void dms_evaluate_options_init(struct dms_evaluate_options *options)
{
    *options = (struct dms_evaluate_options){
        .bootstrap_ct = 1000,
        .memory_bytes = UINT64_C(4) << 30,
    };
}

const char *dms_score_name(enum dms_score score)
{
    static const char *const names[DMS_SCORE_CT] = {
        [DMS_SCORE_LDS] = "lds",
        [DMS_SCORE_PEARSON] = "pearson",
        [DMS_SCORE_MSE] = "mse",
        [DMS_SCORE_R2] = "r2",
        [DMS_SCORE_AUC] = "auc",
        [DMS_SCORE_OPT] = "opt",
        [DMS_SCORE_LDS_AVERAGED] = "lds_averaged",
        [DMS_SCORE_CEILING] = "ceiling",
    };

    return names[score];
}

/* An evaluation under way. */
struct work {
    dms_fit *const *fits;
    size_t fit_ct, host_ct, judge_ct; /* see evaluate.h */
    const struct dms_evaluate_options *options;
    struct dms_scored_output output;
    struct dms_held_out held_out;
    struct dms_bootstrap bootstrap;
    struct dms_block_setting setting;
    struct dms_target_block block;
    size_t first_of_block;       /* number of its first target among those evaluated */
    size_t *positions;           /* of fit f, target t in that fit at t * fit_ct + f */
    struct dms_scorer **scorers; /* one a worker */
    atomic_size_t next_target;   /* of the block, to be scored */
    struct dms_evaluation *result;
    struct dms_target_models *models; /* NULL, or where those of the only target are kept */
};

/* ---- the targets ---- */

struct target_list {
    size_t target_ct, capacity;
    uint64_t *targets;
    size_t position_capacity;
    size_t *positions; /* as in struct work */
    uint64_t missing_ct;
};

/* places: of the target in each fit. */
static int add_target(struct target_list *list, uint64_t target, const size_t *places,
                      size_t fit_ct)
{
    int code =
        dms_grow((void **)&list->targets, &list->capacity, list->target_ct + 1, sizeof(uint64_t));

    if (code == 0)
        code = dms_grow((void **)&list->positions, &list->position_capacity,
                        (list->target_ct + 1) * fit_ct, sizeof(size_t));
    if (code < 0)
        return code;
    list->targets[list->target_ct] = target;
    memcpy(list->positions + list->target_ct * fit_ct, places, fit_ct * sizeof(*places));
    list->target_ct++;
    return 0;
}

/* Lists the targets that all fits have, and counts those that only some have; reads none. */
static int list_targets(const struct work *work, uint64_t first, uint64_t end,
                        struct target_list *list)
{
    size_t fit_ct = work->fit_ct;
    size_t *places = dms_alloc(fit_ct, sizeof(*places));
    int code = places ? 0 : DMS_ERR_NO_MEMORY;

    for (uint64_t target = first; code == 0 && target < end; target++) {
        size_t found_ct = 0;

        for (size_t fit = 0; fit < fit_ct; fit++)
            found_ct += dms_fit_find(work->fits[fit], target, &places[fit]) == 0;
        if (found_ct == fit_ct)
            code = add_target(list, target, places, fit_ct);
        else
            list->missing_ct += found_ct > 0;
    }
    free(places);
    return code;
}

static int choose_targets(struct work *work, struct target_list *list)
{
    uint64_t column_end = work->output.column->target_ct;
    uint64_t first = work->options->first_target;
    uint64_t end = work->options->end_target > 0 ? work->options->end_target : column_end;
    int code;

    if (first >= end || end > column_end)
        return dms_fail(DMS_ERR_INVALID,
                        "targets %" PRIu64 ":%" PRIu64 " are not a part of 0:%" PRIu64
                        ", the targets of column %s",
                        first, end, column_end, work->output.column->name);
    code = list_targets(work, first, end, list);
    if (code < 0)
        return code;
    for (size_t fit = 0; fit < work->fit_ct; fit++) {
        if (dms_fit_target_ct(work->fits[fit]) == 0)
            return dms_fail(DMS_ERR_INVALID,
                            "fit %s has no targets: its jobs have not ended yet, or not well",
                            dms_fit_get_header(work->fits[fit])->name);
    }
    if (list->target_ct == 0 && work->fit_ct == 1)
        return dms_fail(DMS_ERR_INVALID, "fit %s has none of the targets %" PRIu64 ":%" PRIu64,
                        dms_fit_get_header(work->fits[0])->name, first, end);
    if (list->target_ct == 0)
        return dms_fail(DMS_ERR_INVALID,
                        "the fits have none of the targets %" PRIu64 ":%" PRIu64 " in common",
                        first, end);
    return 0;
}

/* ---- the result ---- */

static int create_result(struct work *work, const struct target_list *list)
{
    struct dms_evaluation *result = dms_alloc(1, sizeof(*result));

    if (!result)
        return DMS_ERR_NO_MEMORY;
    work->result = result;
    result->output = dms_fit_get_header(work->fits[0])->output;
    result->transform = work->output.transform;
    result->threshold = work->output.threshold;
    result->target_ct = list->target_ct;
    result->missing_ct = list->missing_ct;
    result->fits = dms_alloc(work->fit_ct, sizeof(*result->fits));
    result->differences = dms_alloc(work->fit_ct, sizeof(*result->differences));
    if (!result->fits || !result->differences)
        return DMS_ERR_NO_MEMORY;
    result->fit_ct = work->fit_ct;
    for (size_t fit = 0; fit < work->fit_ct; fit++) {
        struct dms_fit_evaluation *evaluation = &result->fits[fit];
        const struct dms_fit_header *header = dms_fit_get_header(work->fits[fit]);

        evaluation->name = header->name;
        evaluation->method = dms_fit_method(header);
        evaluation->is_of_another_number = !dms_scored_output_is_of(&work->output, header);
        evaluation->targets = dms_alloc(list->target_ct, sizeof(*evaluation->targets));
        if (!evaluation->targets)
            return DMS_ERR_NO_MEMORY;
        for (size_t t = 0; t < list->target_ct; t++)
            evaluation->targets[t].target = list->targets[t];
    }
    return 0;
}

void dms_evaluation_free(struct dms_evaluation *evaluation)
{
    if (!evaluation)
        return;
    for (size_t fit = 0; fit < evaluation->fit_ct; fit++)
        free(evaluation->fits[fit].targets);
    free(evaluation->fits);
    free(evaluation->differences);
    free(evaluation);
}

/* Means over the targets where a score is defined. */
static void average(struct dms_fit_evaluation *fit, uint64_t target_ct)
{
    for (int score = 0; score < DMS_SCORE_CT; score++) {
        double sum = 0;

        for (uint64_t t = 0; t < target_ct; t++) {
            if (!isnan(fit->targets[t].scores[score])) {
                sum += fit->targets[t].scores[score];
                fit->defined_cts[score]++;
            }
        }
        fit->means[score] =
            fit->defined_cts[score] > 0 ? sum / (double)fit->defined_cts[score] : NAN;
    }
}

static void describe_models(const struct work *work, struct dms_evaluation *result)
{
    const struct dms_held_out *held_out = &work->held_out;

    result->row_ct = held_out->row_ct;
    result->left_out_ct = held_out->left_out_ct;
    result->mask_ct = held_out->mask_ct;
    result->repeated_ct = held_out->repeated_ct;
    result->smallest_subset = held_out->smallest_subset;
    result->largest_subset = held_out->largest_subset;
    result->smallest_training_subset = held_out->smallest_training_subset;
    result->largest_training_subset = held_out->largest_training_subset;
    result->bootstrap = work->bootstrap.method;
}

static int find_intervals(const struct work *work, struct dms_evaluation *result)
{
    const struct dms_bootstrap *bootstrap = &work->bootstrap;
    struct dms_interval *intervals = dms_alloc(2 * work->fit_ct, sizeof(*intervals));
    struct dms_interval *differences;
    double *means = dms_alloc(work->fit_ct, sizeof(*means));
    struct dms_bootstrap_sums sums = {0};
    int code = intervals && means ? 0 : DMS_ERR_NO_MEMORY;

    if (code < 0)
        goto out;
    differences = intervals + work->fit_ct;
    for (size_t fit = 0; fit < 2 * work->fit_ct; fit++)
        intervals[fit] = (struct dms_interval){NAN, NAN};
    for (size_t fit = 0; fit < work->fit_ct; fit++)
        means[fit] = result->fits[fit].means[DMS_SCORE_LDS];
    if (bootstrap->method != DMS_BOOTSTRAP_NONE) {
        code = dms_bootstrap_sums_create(bootstrap, &sums);
        if (code < 0)
            goto out;
        for (size_t worker = 0; worker < work->setting.worker_ct; worker++)
            dms_bootstrap_sums_merge(bootstrap, dms_scorer_sums(work->scorers[worker]), &sums);
        code = dms_bootstrap_intervals(bootstrap, &sums, means, intervals, differences);
        if (code < 0)
            goto out;
    }
    for (size_t fit = 0; fit < work->fit_ct; fit++) {
        result->fits[fit].lds_interval = intervals[fit];
        if (fit > 0)
            result->differences[fit - 1] =
                (struct dms_lds_difference){means[fit] - means[0], differences[fit - 1]};
    }
out:
    dms_bootstrap_sums_free(&sums);
    free(intervals);
    free(means);
    return code;
}

static int finish_result(struct work *work)
{
    struct dms_evaluation *result = work->result;

    describe_models(work, result);
    for (size_t fit = 0; fit < work->fit_ct; fit++)
        average(&result->fits[fit], result->target_ct);
    for (uint64_t t = 0; t < result->target_ct; t++) {
        const struct dms_target_evaluation *target = &result->fits[0].targets[t];

        if (target->row_ct < 2)
            result->empty_ct++;
        else if (isnan(target->scores[DMS_SCORE_LDS]))
            result->constant_ct++;
    }
    return find_intervals(work, result);
}

/* ---- memory and threads ---- */

/* Batches that the reader prepares; enough rows in one for the kernels to be worth their tables. */
#define READER_SLOTS 4
#define MANY_ROWS 256
#define MOST_ROWS 1024

/* A block of more targets takes no fewer instructions, and reports its progress later. */
#define MOST_TARGETS 1024

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Half of the memory is for the block, a quarter for the reader, a quarter for the threads. */
static int plan_memory(struct work *work)
{
    struct dms_block_setting *setting = &work->setting;
    size_t memory = work->options->memory_bytes, row_ct = work->held_out.row_ct;
    size_t example_ct = dms_snapshot_schema(setting->snapshot)->example_ct;
    size_t value_bytes = work->output.column->values_per_target * sizeof(float);
    size_t mask_bytes = example_ct / 8 + 64, worker_bytes, target_bytes;

    target_bytes = row_ct * sizeof(float) * (1 + work->fit_ct);
    setting->capacity =
        smaller(memory / 2 / target_bytes,
                memory / 4 / READER_SLOTS / smaller(row_ct, MANY_ROWS) / value_bytes);
    if (setting->capacity > DMS_LANES)
        setting->capacity -= setting->capacity % DMS_LANES;
    setting->capacity =
        smaller(setting->capacity, smaller(MOST_TARGETS, work->output.column->target_ct));
    setting->batch_rows = (uint32_t)smaller(
        smaller(memory / 4 / READER_SLOTS / (mask_bytes + setting->capacity * value_bytes + 64),
                row_ct),
        MOST_ROWS);
    /* As for the largest batch, so that what the message asks for is enough. */
    worker_bytes = dms_predictor_bytes(example_ct, smaller(row_ct, MOST_ROWS)) +
                   dms_scorer_bytes(row_ct, &work->bootstrap);
    if (setting->capacity == 0 || setting->batch_rows == 0 || worker_bytes > memory / 4)
        return dms_fail(DMS_ERR_INVALID,
                        "%zu bytes of memory are too few to evaluate on %zu models of %zu "
                        "examples: give at least %zu",
                        memory, row_ct, example_ct,
                        4 * worker_bytes + 2 * target_bytes +
                            4 * READER_SLOTS * (mask_bytes + 64 + value_bytes * MANY_ROWS));
    setting->worker_ct =
        work->options->thread_ct > 0 ? work->options->thread_ct : dms_processor_ct();
    setting->worker_ct = smaller(setting->worker_ct, memory / 4 / worker_bytes);
    setting->reader_thread_ct = (unsigned)setting->worker_ct;
    setting->reader_bytes = memory / 4;
    return 0;
}

static int create_workers(struct work *work)
{
    struct dms_block_setting *setting = &work->setting;
    size_t example_ct = dms_snapshot_schema(setting->snapshot)->example_ct;
    int code = dms_pool_create((unsigned)setting->worker_ct, &setting->pool);

    if (code < 0)
        return code;
    setting->predictors = dms_alloc(setting->worker_ct, sizeof(*setting->predictors));
    work->scorers = dms_alloc(setting->worker_ct, sizeof(*work->scorers));
    if (!setting->predictors || !work->scorers)
        return DMS_ERR_NO_MEMORY;
    for (size_t worker = 0; code == 0 && worker < setting->worker_ct; worker++) {
        code = dms_predictor_create(example_ct, setting->batch_rows, &setting->predictors[worker]);
        if (code == 0)
            code = dms_scorer_create(&work->held_out, &work->bootstrap, &work->scorers[worker]);
    }
    return code;
}

static void free_work(struct work *work)
{
    for (size_t worker = 0; worker < work->setting.worker_ct; worker++) {
        if (work->setting.predictors)
            dms_predictor_free(work->setting.predictors[worker]);
        if (work->scorers)
            dms_scorer_free(work->scorers[worker]);
    }
    free(work->setting.predictors);
    free(work->scorers);
    dms_pool_free(work->setting.pool);
    dms_target_block_free(&work->block);
    dms_held_out_free(&work->held_out);
    free(work->positions);
    dms_evaluation_free(work->result);
}

/* ---- blocks ---- */

static int report_progress(void *context)
{
    const struct work *work = context;

    return work->options->progress
               ? work->options->progress(work->options->progress_context, work->first_of_block,
                                         work->result->target_ct)
               : 0;
}

/* The targets of the next block: as many as lie within its capacity. */
static int choose_block(struct work *work)
{
    const struct dms_target_evaluation *targets =
        work->result->fits[0].targets + work->first_of_block;
    size_t left = work->result->target_ct - work->first_of_block, target_ct = 0;

    while (target_ct < left &&
           targets[target_ct].target - targets[0].target < work->setting.capacity)
        target_ct++;
    work->block.target_ct = target_ct;
    for (size_t fit = 0; fit < work->fit_ct; fit++) {
        for (size_t t = 0; t < target_ct; t++) {
            size_t place = (work->first_of_block + t) * work->fit_ct + fit;
            int code = dms_fit_target(work->fits[fit], work->positions[place],
                                      &work->block.fitted[fit * target_ct + t]);

            if (code < 0)
                return code;
        }
    }
    return 0;
}

/* Keeps the models of the first fit that count for target t of the block. */
static int keep_models(const struct work *work, size_t t, struct dms_target_models *models)
{
    const struct dms_held_out *held_out = &work->held_out;
    const float *outputs = work->block.outputs + t * held_out->row_ct;
    const float *predictions = work->block.predictions + t * held_out->row_ct;
    const struct dms_fitted_target *fitted = &work->block.fitted[t];
    double unit = dms_prediction_unit(fitted);
    size_t row = 0;

    models->ids = dms_alloc(held_out->row_ct, sizeof(*models->ids));
    models->outputs = dms_alloc(held_out->row_ct, sizeof(*models->outputs));
    models->predictions = dms_alloc(held_out->row_ct, sizeof(*models->predictions));
    if (!models->ids || !models->outputs || !models->predictions)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < held_out->range_ct; i++) {
        for (uint64_t k = 0; k < held_out->ranges[i].id_ct; k++, row++) {
            if (!isfinite(outputs[row]))
                continue;
            models->ids[models->model_ct] = held_out->ranges[i].first_id + k;
            models->outputs[models->model_ct] = outputs[row];
            models->predictions[models->model_ct] = (float)(fitted->bias + unit * predictions[row]);
            models->model_ct++;
        }
    }
    return 0;
}

/* Scores target t of the block. */
static void score_target(struct work *work, struct dms_scorer *scorer, size_t t,
                         struct dms_prediction *predictions,
                         struct dms_target_evaluation **evaluations)
{
    const struct dms_target_block *block = &work->block;
    size_t row_ct = work->held_out.row_ct;

    for (size_t fit = 0; fit < work->fit_ct; fit++) {
        size_t place = fit * block->target_ct + t;

        predictions[fit].values = block->predictions + place * row_ct;
        predictions[fit].bias = block->fitted[place].bias;
        predictions[fit].unit = dms_prediction_unit(&block->fitted[place]);
        predictions[fit].mean = block->fitted[place].mean;
        predictions[fit].no_level = work->result->fits[fit].is_of_another_number;
        predictions[fit].no_bias =
            fit >= work->host_ct || (block->fitted[place].flags & DMS_FITTED_NO_BIAS) != 0;
        evaluations[fit] = &work->result->fits[fit].targets[work->first_of_block + t];
        evaluations[fit]->flags = block->fitted[place].flags;
    }
    dms_scorer_add(scorer, block->outputs + t * row_ct, predictions, evaluations);
    for (size_t fit = 0; fit < work->fit_ct; fit++) {
        evaluations[fit]->excluded_ct = block->excluded_cts[t];
        evaluations[fit]->nonfinite_ct = row_ct - evaluations[fit]->row_ct - block->excluded_cts[t];
    }
}

static int score_targets(void *context, size_t worker)
{
    struct work *work = context;
    struct dms_prediction *predictions = dms_alloc(work->fit_ct, sizeof(*predictions));
    struct dms_target_evaluation **evaluations = dms_alloc(work->fit_ct, sizeof(*evaluations));
    int code = predictions && evaluations ? 0 : DMS_ERR_NO_MEMORY;
    size_t t;

    while (code == 0 && (t = atomic_fetch_add(&work->next_target, 1)) < work->block.target_ct) {
        score_target(work, work->scorers[worker], t, predictions, evaluations);
        if (work->models)
            code = keep_models(work, t, work->models);
    }
    free(predictions);
    free(evaluations);
    return code;
}

static int run_blocks(struct work *work)
{
    int code = dms_target_block_create(&work->setting, &work->block);

    while (code == 0 && work->first_of_block < work->result->target_ct) {
        code = choose_block(work);
        if (code == 0)
            code = dms_target_block_read(&work->setting, &work->block, report_progress, work);
        if (code < 0)
            break;
        atomic_store(&work->next_target, 0);
        code = dms_pool_run(work->setting.pool, work->setting.worker_ct, score_targets, work);
        work->first_of_block += work->block.target_ct;
        if (code == 0 && report_progress(work) != 0)
            code = dms_fail(DMS_ERR_INTERRUPTED, "the evaluation was interrupted");
    }
    return code;
}

/* ---- all of it ---- */

/* Everything that is decided before the first block. */
static int prepare(struct work *work)
{
    struct target_list list = {0};
    int code = dms_scored_output_find(work->setting.snapshot, work->fits, work->host_ct,
                                      work->options, &work->output);

    if (code == 0)
        code = choose_targets(work, &list);
    if (code == 0)
        code = dms_held_out_read(work->setting.snapshot, work->fits, work->judge_ct,
                                 work->options->thread_ct, work->options->memory_bytes,
                                 &work->held_out);
    if (code == 0)
        code = create_result(work, &list);
    if (code == 0) {
        work->bootstrap = (struct dms_bootstrap){
            .method = dms_bootstrap_method(list.target_ct, work->held_out.row_ct,
                                           work->options->bootstrap_ct),
            .resample_ct = work->options->bootstrap_ct,
            .seed = work->options->seed,
            .fit_ct = work->fit_ct,
            .mask_ct = work->held_out.mask_ct,
        };
        work->setting.held_out = &work->held_out;
        work->setting.output = &work->output;
        work->setting.fit_ct = work->fit_ct;
        code = plan_memory(work);
    }
    work->positions = list.positions;
    free(list.targets);
    return code;
}

/* Does all that work->options ask for; *evaluation is the caller's. */
static int evaluate(struct work *work, struct dms_evaluation **evaluation)
{
    int code = prepare(work);

    if (code == 0)
        code = create_workers(work);
    if (code == 0)
        code = run_blocks(work);
    if (code == 0)
        code = finish_result(work);
    if (code == 0) {
        *evaluation = work->result;
        work->result = NULL;
    }
    free_work(work);
    return code;
}

int dms_evaluate(dms_snapshot *snapshot, dms_fit *const *fits, size_t fit_ct,
                 const struct dms_evaluate_options *options, struct dms_evaluation **evaluation)
{
    if (fit_ct == 0)
        return dms_fail(DMS_ERR_INVALID, "there is no fit to evaluate");
    return dms_evaluate_guests(snapshot, fits, fit_ct, fit_ct, fit_ct, options, evaluation);
}

int dms_evaluate_guests(dms_snapshot *snapshot, dms_fit *const *fits, size_t fit_ct, size_t host_ct,
                        size_t judge_ct, const struct dms_evaluate_options *options,
                        struct dms_evaluation **evaluation)
{
    struct dms_evaluate_options defaults;
    struct work work = {
        .fits = fits,
        .fit_ct = fit_ct,
        .host_ct = host_ct,
        .judge_ct = judge_ct,
        .options = options,
        .setting.snapshot = snapshot,
    };

    if (!options) {
        dms_evaluate_options_init(&defaults);
        work.options = &defaults;
    }
    return evaluate(&work, evaluation);
}

int dms_evaluate_target(dms_snapshot *snapshot, dms_fit *fit, uint64_t target,
                        const struct dms_evaluate_options *options,
                        struct dms_target_models **models)
{
    struct dms_target_models *made = dms_alloc(1, sizeof(*made));
    struct dms_evaluate_options for_target;
    struct dms_evaluation *evaluation = NULL;
    struct work work = {
        .fits = &fit,
        .fit_ct = 1,
        .host_ct = 1,
        .judge_ct = 1,
        .options = &for_target,
        .setting.snapshot = snapshot,
        .models = made,
    };
    int code;

    if (!made)
        return DMS_ERR_NO_MEMORY;
    if (options)
        for_target = *options;
    else
        dms_evaluate_options_init(&for_target);
    for_target.first_target = target;
    for_target.end_target = target + 1;
    for_target.bootstrap_ct = 0;
    code = evaluate(&work, &evaluation);
    if (code == 0) {
        made->evaluation = evaluation->fits[0].targets[0];
        *models = made;
        made = NULL;
    }
    dms_evaluation_free(evaluation);
    dms_target_models_free(made);
    return code;
}

void dms_target_models_free(struct dms_target_models *models)
{
    if (!models)
        return;
    free(models->ids);
    free(models->outputs);
    free(models->predictions);
    free(models);
}
