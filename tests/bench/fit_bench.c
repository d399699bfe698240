/*
 * What a fit costs: seconds a target as targets, models and examples grow; and the same fit from a
 * warm raw store, through readers, against masks and outputs in memory, and batches made before.
 *
 *   fit_bench [--full] [--only growth|store] [--rows M] [--examples D] [--targets N]
 *             [--store-rows M] [--store-examples D] [--lambdas K] [--threads T] [--repeats R]
 *             [--processor-time] [--directory DIR]
 *
 * Masks are fair coins, outputs those of planted sparse datamodels. Growth is measured in memory
 * on whole paths without validation, so that a target's work does not depend on where its path
 * ends; the fits from a store are the usual ones, with validation and refit, of 100 targets (or
 * --targets, if fewer), --store-rows training rows and --store-examples examples. --targets is the
 * most targets that growth goes to. Measurements take turns. Times are on the wall; with
 * --processor-time they are what all threads used of the processors, for a machine that does other
 * things, too.
 */
#include "dmstore/solve.h"
#include "kernels/kernels.h"
#include "solver/problem.h"
#include "tests/bench/bench.h"
#include "tests/bench/data.h"
#include "tests/bench/planted.h"
#include "tests/bench/prepared_source.h"
#include "tests/unit/matrix_source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Of every target. */
#define PLANTED_WEIGHTS 20

/* One validation model to so many training models. */
#define TRAINING_SHARE 12

#define MEMORY_BYTES (UINT64_C(4) << 30)
#define MAX_EPOCHS 100000

struct setting {
    uint64_t row_ct, example_ct, target_ct;
    uint64_t store_row_ct, store_example_ct;
    uint64_t lambda_ct, thread_ct, repeat_ct;
    const char *directory;
    double (*now)(void);
};

/* ---- one fit --------------------------------------------------------------- */

/* What a fit tells while it runs. */
struct outcome {
    uint64_t pass_ct, target_ct;
};

static int on_progress(void *context, const struct dms_fit_progress *progress)
{
    struct outcome *outcome = context;
    (void)progress;
    outcome->pass_ct++;
    return 0;
}

static int on_result(void *context, const struct dms_fitted_target *target)
{
    struct outcome *outcome = context;
    if (target->flags & DMS_FITTED_UNCERTIFIED) {
        bench_die("target %" PRIu64 " has a gap of %g", target->target, target->gap);
    }
    outcome->target_ct++;
    return 0;
}

static void check_outcome(const struct outcome *outcome, uint64_t target_ct)
{
    if (outcome->target_ct != target_ct) {
        bench_die("%" PRIu64 " of %" PRIu64 " targets came", outcome->target_ct, target_ct);
    }
}

/* Seconds; all targets are certified. */
static double solve(const struct setting *setting, const struct dms_problem *problem,
                    struct outcome *outcome)
{
    struct dms_solve_control control = {
        .thread_ct = (unsigned)setting->thread_ct,
        .memory_bytes = MEMORY_BYTES,
        .max_epochs = MAX_EPOCHS,
        .progress = on_progress,
        .result = on_result,
        .context = outcome,
    };
    *outcome = (struct outcome){0};
    double start = setting->now();
    bench_check(dms_saga_solve(problem, &control), "solve");
    double seconds = setting->now() - start;
    check_outcome(outcome, problem->target_ct);
    return seconds;
}

/* ---- data in memory -------------------------------------------------------- */

/* Datamodels of PLANTED_WEIGHTS normal weights, which explain half of the variance. */
static struct bench_planted *plant(const struct bench_data *data)
{
    return bench_plant(data, &(struct bench_planting){.support_least = PLANTED_WEIGHTS,
                                                      .support_most = PLANTED_WEIGHTS,
                                                      .r2_least = 0.5,
                                                      .r2_most = 0.5,
                                                      .negative_share = 0.5});
}

/* All rows are training rows. */
static struct matrix make_matrix(const struct bench_data *data)
{
    size_t row_ct = (size_t)data->row_ct, target_ct = (size_t)data->target_ct;
    size_t mask_bytes = (size_t)(data->example_ct + 7) / 8;
    size_t stride = matrix_mask_stride((size_t)data->example_ct);
    uint8_t *masks = bench_alloc(row_ct * stride);
    float *outputs = bench_alloc(row_ct * target_ct * sizeof *outputs);
    uint8_t *packed = bench_alloc(row_ct * mask_bytes);
    uint16_t *margins = bench_alloc(row_ct * target_ct * sizeof *margins);
    bench_masks(data, 0, row_ct, packed);
    bench_margins(data, 0, row_ct, 0, target_ct, margins);
    for (size_t row = 0; row < row_ct; row++) {
        memcpy(masks + row * stride, packed + row * mask_bytes, mask_bytes);
    }
    dms_kernels_get()->f16_to_f32(margins, row_ct * target_ct, outputs);
    free(packed);
    free(margins);
    return (struct matrix){
        .example_ct = (size_t)data->example_ct,
        .target_ct = target_ct,
        .row_ct = {data->row_ct, 0, data->row_ct},
        .masks = masks,
        .outputs = outputs,
        .seed = data->seed,
    };
}

static void free_matrix(const struct matrix *matrix)
{
    free((void *)(uintptr_t)matrix->masks);
    free((void *)(uintptr_t)matrix->outputs);
}

/* ---- growth ---------------------------------------------------------------- */

struct size {
    const char *what;
    uint64_t row_ct, example_ct, target_ct;
    bool has_goal;
    size_t reference; /* the size it is compared with; its own number: none */
    const char *reference_name;
};

enum { SIZES_MAX = 8 };

/* 1, 10, 100 ... targets; then twice the rows and twice the examples with 100 targets, or the most
 * that there are. Returns how many sizes. */
static size_t choose_sizes(const struct setting *setting, struct size *sizes)
{
    uint64_t row_ct = setting->row_ct, example_ct = setting->example_ct, target_ct = 1;
    size_t size_ct = 0, base = 0;
    for (; target_ct <= setting->target_ct && target_ct <= 1000; target_ct *= 10, size_ct++) {
        sizes[size_ct] = (struct size){
            .what = "fit, more targets",
            .row_ct = row_ct,
            .example_ct = example_ct,
            .target_ct = target_ct,
            .has_goal = size_ct > 0,
            .reference = size_ct > 0 ? size_ct - 1 : 0,
            .reference_name = size_ct > 0 ? "a tenth of the targets" : NULL,
        };
        base = target_ct <= 100 ? size_ct : base;
    }
    for (int doubles_examples = 0; doubles_examples < 2; doubles_examples++, size_ct++) {
        sizes[size_ct] = (struct size){
            .what = doubles_examples ? "fit, more examples" : "fit, more models",
            .row_ct = doubles_examples ? row_ct : 2 * row_ct,
            .example_ct = doubles_examples ? 2 * example_ct : example_ct,
            .target_ct = sizes[base].target_ct,
            .reference = base,
            .reference_name = doubles_examples ? "half the examples" : "half the models",
        };
    }
    return size_ct;
}

/* Adds the seconds a target of a fit of this size; returns the passes it took. */
static uint64_t measure_size(const struct setting *setting, const struct size *size,
                             const struct matrix *matrix, struct bench_series *series)
{
    struct outcome outcome;
    struct dms_problem problem;
    matrix_problem(matrix, &problem);
    problem.target_ct = (size_t)size->target_ct;
    problem.lambda_ct = (uint32_t)setting->lambda_ct;
    problem.full_path = true;
    bench_add(series, solve(setting, &problem, &outcome) / (double)size->target_ct);
    return outcome.pass_ct;
}

static void print_size(const struct setting *setting, const struct size *size, uint64_t pass_ct,
                       const struct bench_series *series, const struct bench_series *reference)
{
    bench_print_row(&(struct bench_row){
        .what = size->what,
        .size = bench_text("%" PRIu64 " rows, d %" PRIu64 ", n %" PRIu64 ", %" PRIu64
                           " lambdas, %" PRIu64 " passes",
                           size->row_ct, size->example_ct, size->target_ct, setting->lambda_ct,
                           pass_ct),
        .series = series,
        .unit = "s a target",
        .reference_name = size->reference_name,
        .reference = size->reference_name ? reference : NULL,
        .goal = size->has_goal ? BENCH_AT_MOST : BENCH_NO_GOAL,
        .is_goal_of_ratio = true,
        .limit = 1,
    });
}

static void measure_growth(const struct setting *setting)
{
    struct size sizes[SIZES_MAX];
    struct bench_series series[SIZES_MAX] = {{.value_ct = 0}};
    struct matrix matrices[SIZES_MAX];
    uint64_t pass_cts[SIZES_MAX];
    size_t size_ct = choose_sizes(setting, sizes);
    for (size_t k = 0; k < size_ct; k++) {
        struct bench_data data = {.row_ct = sizes[k].row_ct,
                                  .example_ct = sizes[k].example_ct,
                                  .target_ct = sizes[k].target_ct,
                                  .seed = 1};
        struct bench_planted *planted = plant(&data);
        data.planted = planted;
        matrices[k] = make_matrix(&data);
        bench_planted_free(planted);
    }
    for (uint64_t repeat = 0; repeat < setting->repeat_ct; repeat++) {
        for (size_t k = 0; k < size_ct; k++) {
            pass_cts[k] = measure_size(setting, &sizes[k], &matrices[k], &series[k]);
        }
    }
    for (size_t k = 0; k < size_ct; k++) {
        print_size(setting, &sizes[k], pass_cts[k], &series[k], &series[sizes[k].reference]);
        free_matrix(&matrices[k]);
    }
}

/* ---- from a store ---------------------------------------------------------- */

/* The same fit from a store, from masks and outputs in memory, and from batches that lie ready. */
struct comparison {
    struct matrix matrix;
    dms_snapshot *snapshot;
    struct dms_fit_options options;
    struct dms_fit_header *header;
    struct dms_problem in_memory, prepared_problem;
    struct prepared *prepared;
};

static double fit_from_store(const struct setting *setting, const struct comparison *comparison,
                             struct outcome *outcome)
{
    struct dms_fit_hooks hooks = {.progress = on_progress, .result = on_result, .context = outcome};
    *outcome = (struct outcome){0};
    double start = setting->now();
    bench_check(dms_fit_run(comparison->snapshot, comparison->header, &comparison->options, &hooks),
                "fit");
    double seconds = setting->now() - start;
    check_outcome(outcome, comparison->matrix.target_ct);
    return seconds;
}

static void open_comparison(const struct setting *setting, struct comparison *comparison)
{
    uint64_t validation_ct = setting->store_row_ct / TRAINING_SHARE + 1;
    struct bench_data data = {.row_ct = setting->store_row_ct + validation_ct,
                              .example_ct = setting->store_example_ct,
                              .target_ct = setting->target_ct < 100 ? setting->target_ct : 100,
                              .seed = 1};
    struct bench_planted *planted = plant(&data);
    const char *path = bench_path(setting->directory, "store");
    data.planted = planted;
    bench_create(&data, path, "none", 0);
    bench_fill(&data, path, BENCH_IDS_IN_ORDER, false);
    bench_check(dms_snapshot_open(path, &comparison->snapshot), "open");
    comparison->matrix = make_matrix(&data);
    bench_planted_free(planted);
    comparison->matrix.row_ct[DMS_ROLE_TRAINING] = setting->store_row_ct;
    comparison->matrix.row_ct[DMS_ROLE_VALIDATION] = validation_ct;
    struct dms_fit_options *options = &comparison->options;
    dms_fit_options_init(options);
    options->name = "bench";
    options->output = "margins";
    options->held_out_ct = 0;
    options->validation_ct = validation_ct;
    options->lambda_ct = (uint32_t)setting->lambda_ct;
    options->thread_ct = (unsigned)setting->thread_ct;
    options->memory_bytes = MEMORY_BYTES;
    options->max_epochs = MAX_EPOCHS;
    bench_check(dms_fit_plan(comparison->snapshot, options, &comparison->header), "plan");
    /* Otherwise other rows would be fitted. */
    if (comparison->header->training.row_ct != setting->store_row_ct) {
        bench_die("two models have the same mask: take more examples");
    }
    matrix_problem(&comparison->matrix, &comparison->in_memory);
    comparison->in_memory.lambda_ct = (uint32_t)setting->lambda_ct;
    comparison->prepared_problem = comparison->in_memory;
    comparison->prepared = prepared_create(&comparison->prepared_problem);
}

static void close_comparison(struct comparison *comparison)
{
    prepared_free(comparison->prepared);
    dms_fit_header_free(comparison->header);
    dms_snapshot_close(comparison->snapshot);
    free_matrix(&comparison->matrix);
}

/* What was measured of one way: seconds of fits, milliseconds a pass. */
struct timing {
    struct bench_series fit, pass;
};

static void add_timing(struct timing *timing, double seconds, const struct outcome *outcome)
{
    bench_add(&timing->fit, seconds);
    bench_add(&timing->pass, 1e3 * seconds / (double)outcome->pass_ct);
}

static void print_comparison(const struct setting *setting, const struct comparison *comparison,
                             const struct bench_row *row)
{
    struct bench_row whole = *row;
    whole.size =
        bench_text("%" PRIu64 " rows, d %zu, n %zu, %" PRIu64 " lambdas",
                   comparison->matrix.row_ct[DMS_ROLE_REFIT], comparison->matrix.example_ct,
                   comparison->matrix.target_ct, setting->lambda_ct);
    whole.is_goal_of_ratio = true;
    whole.limit = 1.1;
    bench_print_row(&whole);
}

static void print_timings(const struct setting *setting, const struct comparison *comparison,
                          const struct timing *store, const struct timing *memory,
                          const struct timing *prepared)
{
    print_comparison(setting, comparison,
                     &(struct bench_row){.what = "fit from a warm raw store",
                                         .series = &store->fit,
                                         .unit = "s",
                                         .reference_name = "masks in memory",
                                         .reference = &memory->fit,
                                         .goal = BENCH_AT_MOST});
    print_comparison(setting, comparison,
                     &(struct bench_row){.what = "fit from a warm raw store, a pass",
                                         .series = &store->pass,
                                         .unit = "ms",
                                         .reference_name = "masks in memory",
                                         .reference = &memory->pass});
    print_comparison(setting, comparison,
                     &(struct bench_row){.what = "fit from a warm raw store, a pass",
                                         .series = &store->pass,
                                         .unit = "ms",
                                         .reference_name = "batches that lie ready",
                                         .reference = &prepared->pass});
}

/* Each way takes its rows in another random order, so that the passes they need differ a little: a
 * pass is compared, too. Masks in memory are still gathered and transposed for each batch, by the
 * thread that solves; of batches that lie ready nothing is left to do. */
static void measure_store(const struct setting *setting)
{
    struct comparison comparison;
    struct timing *timings = bench_alloc(3 * sizeof *timings);
    struct timing *store = &timings[0], *memory = &timings[1], *prepared = &timings[2];
    struct outcome outcome;
    open_comparison(setting, &comparison);
    fit_from_store(setting, &comparison, &outcome);         /* checks all chunks */
    solve(setting, &comparison.prepared_problem, &outcome); /* makes the batches */
    for (uint64_t repeat = 0; repeat < setting->repeat_ct; repeat++) {
        double seconds = solve(setting, &comparison.in_memory, &outcome);
        add_timing(memory, seconds, &outcome);
        seconds = fit_from_store(setting, &comparison, &outcome);
        add_timing(store, seconds, &outcome);
        seconds = solve(setting, &comparison.prepared_problem, &outcome);
        add_timing(prepared, seconds, &outcome);
    }
    print_timings(setting, &comparison, store, memory, prepared);
    close_comparison(&comparison);
    free(timings);
}

int main(int argc, char **argv)
{
    bool is_full = false, in_processor_time = false;
    const char *only = NULL;
    struct setting setting = {.target_ct = 1000, .repeat_ct = 3};
    const struct bench_flag flags[] = {
        {.name = "full", .is_set = &is_full},
        {.name = "only", .text = &only},
        {.name = "rows", .number = &setting.row_ct},
        {.name = "examples", .number = &setting.example_ct},
        {.name = "targets", .number = &setting.target_ct},
        {.name = "store-rows", .number = &setting.store_row_ct},
        {.name = "store-examples", .number = &setting.store_example_ct},
        {.name = "lambdas", .number = &setting.lambda_ct},
        {.name = "threads", .number = &setting.thread_ct},
        {.name = "repeats", .number = &setting.repeat_ct},
        {.name = "processor-time", .is_set = &in_processor_time},
        {.name = "directory", .text = &setting.directory},
    };
    bench_read_flags(argc, argv, flags, sizeof flags / sizeof *flags);
    if (setting.target_ct == 0 || setting.repeat_ct == 0) {
        bench_die("--targets and --repeats must be 1 or more");
    }
    if (only && strcmp(only, "growth") != 0 && strcmp(only, "store") != 0) {
        bench_die("--only takes growth or store, not '%s'", only);
    }
    setting.now = in_processor_time ? bench_processor_now : bench_now;
    bench_set_default(&setting.row_ct, 6000);
    bench_set_default(&setting.example_ct, 500);
    bench_set_default(&setting.store_row_ct, is_full ? 12000 : 3000);
    bench_set_default(&setting.store_example_ct, is_full ? 2000 : 1000);
    bench_set_default(&setting.lambda_ct, is_full ? 100 : 20);
    setting.directory = bench_make_directory(setting.directory);

    bench_print_head(setting.directory);
    if (!only || strcmp(only, "growth") == 0) {
        measure_growth(&setting);
    }
    if (!only || strcmp(only, "store") == 0) {
        measure_store(&setting);
    }
    bench_remove(setting.directory);
    return 0;
}
