/*
 * Runs a fit: gives the solver its problem, readers of the store as sources, and memory; carries
 * its results to the caller; keeps the checkpoint.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/thread.h"
#include "format/fit.h"
#include "solver/batch_source.h"
#include "solver/checkpoint.h"
#include "solver/choose.h"
#include "solver/cuda_module.h"
#include "solver/cuda_panel.h"
#include "solver/gram.h"
#include "solver/options.h"
#include "solver/plan.h"
#include "solver/problem.h"
#include "solver/products.h"
#include "solver/split.h"
#include "store/snapshot.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The next checkpoint waits so many times as long as the last one took to write. */
#define CHECKPOINT_INTERVAL 20

#define RATE_INTERVAL_NS 500000000u

struct job {
    const struct dms_fit_options *options;
    const struct dms_fit_hooks *hooks;
    const struct dms_fit_header *header;
    struct dms_batch_source_setting setting;
    struct dms_problem problem;
    struct dms_solver_choice choice;
    struct dms_placement placement;
    struct dms_engine cuda; /* open when that is the device */
    dms_products *products[DMS_ROLE_CT];
    struct dms_id_range *refit_ranges;
    int64_t *self; /* of the targets of this job, when they are not the caller's */
    struct dms_checkpoint checkpoint;
    uint64_t next_save_ns; /* monotonic clock; 0: at once */
    uint64_t finished_ct;
    /* Rows that were read since rate_begin_ns, and the rate that was seen last. */
    uint64_t rate_begin_ns, rate_rows;
    double rows_per_second;
};

/* ---- rows ---- */

static int set_rows(struct job *job, const struct dms_fit_header *header)
{
    struct dms_batch_source_setting *setting = &job->setting;
    int code = dms_fit_used_ranges(header, &job->refit_ranges, &setting->range_cts[DMS_ROLE_REFIT]);

    if (code < 0)
        return code;
    setting->ranges[DMS_ROLE_REFIT] = job->refit_ranges;
    setting->ranges[DMS_ROLE_TRAINING] = header->training.ranges;
    setting->range_cts[DMS_ROLE_TRAINING] = header->training.range_ct;
    setting->ranges[DMS_ROLE_VALIDATION] = header->validation.ranges;
    setting->range_cts[DMS_ROLE_VALIDATION] = header->validation.range_ct;
    job->problem.row_ct[DMS_ROLE_TRAINING] = header->training.row_ct;
    job->problem.row_ct[DMS_ROLE_VALIDATION] = header->validation.row_ct;
    job->problem.row_ct[DMS_ROLE_REFIT] = header->training.row_ct + header->validation.row_ct;
    return 0;
}

/* ---- counts of pairs ---- */

/* Pairs are counted once for all targets, before the first of them is in work. */
static int on_counted(void *context, uint64_t done_rows, uint64_t total_rows)
{
    struct job *job = context;
    const struct dms_fit_progress progress = {
        .stage = "pairs",
        .counted = total_rows > 0 ? (double)done_rows / (double)total_rows : 1,
        .target_ct = job->problem.target_ct,
        .worst_gap = (double)NAN,
    };

    return job->hooks->progress(job->hooks->context, &progress);
}

/* What counting may take: in memory, those of training models are there when others are counted. */
static uint64_t counting_bytes(const struct job *job, enum dms_role role)
{
    const struct dms_problem *problem = &job->problem;
    uint64_t all = job->options->memory_bytes, kept = 0;

    if (problem->counts_in_memory && role == DMS_ROLE_VALIDATION)
        kept = dms_pair_counts_tile_bytes(problem->example_ct, problem->row_ct[DMS_ROLE_TRAINING]);
    return all > kept ? all - kept : 0;
}

/* Counts that are in the store, or can be kept there for the next jobs. */
static int get_pair_counts(void *context, enum dms_role role, struct dms_pool *pool,
                           struct dms_pair_counts **counts)
{
    struct job *job = context;
    struct dms_gram_options options;

    dms_gram_options_init(&options);
    options.keep = DMS_GRAM_KEEP_IF_POSSIBLE;
    options.memory_bytes = counting_bytes(job, role);
    options.progress = job->hooks->progress ? on_counted : NULL;
    options.progress_context = job;
    return dms_pair_counts_get(job->setting.snapshot,
                               role == DMS_ROLE_TRAINING ? &job->header->training
                                                         : &job->header->validation,
                               pool, &options, counts, NULL);
}

/* ---- products ---- */

/* Products that are in the store; opened when they are first asked for. */
static int get_products(void *context, enum dms_role role, const struct dms_products **products)
{
    struct job *job = context;
    const struct dms_row_set *rows =
        role == DMS_ROLE_TRAINING ? &job->header->training : &job->header->validation;
    int code = 0;

    *products = NULL;
    /* Products are of outputs as they are, and of one role's models at a time. */
    if (job->options->transform != DMS_TRANSFORM_NONE || role == DMS_ROLE_REFIT)
        return 0;
    if (!job->products[role])
        code = dms_products_find(job->setting.snapshot, rows, job->setting.column,
                                 &job->products[role]);
    *products = job->products[role];
    return code;
}

/* ---- the problem ---- */

/* Which example each target of the job is: its own number where there is no map. */
static int set_self(struct job *job)
{
    const struct dms_fit_options *options = job->options;
    struct dms_problem *problem = &job->problem;

    if (!options->exclude_self)
        return 0;
    if (options->self) {
        problem->self = options->self + problem->first_target;
        return 0;
    }
    job->self = dms_alloc(problem->target_ct, sizeof(*job->self));
    if (!job->self)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < problem->target_ct; i++)
        job->self[i] = (int64_t)(problem->first_target + i);
    problem->self = job->self;
    return 0;
}

static int set_problem(struct job *job, dms_snapshot *snapshot, const struct dms_fit_header *header,
                       const struct dms_column *column)
{
    const struct dms_fit_options *options = job->options;
    unsigned thread_ct = options->thread_ct > 0 ? options->thread_ct : dms_processor_ct();
    int code;

    job->setting = (struct dms_batch_source_setting){
        .snapshot = snapshot,
        .column = column,
        .options = options,
        .first_target = options->first_target,
        .thread_ct = thread_ct > 4 ? thread_ct / 4 : 1, /* the solver does most of the work */
    };
    job->problem = (struct dms_problem){
        .example_ct = (size_t)header->example_ct,
        .first_target = options->first_target,
        .target_ct = (size_t)(dms_fit_options_end(options, column) - options->first_target),
        .lambda_ct = options->lambda_ct,
        .lambda_min_ratio = options->lambda_min_ratio,
        .lambdas = options->lambdas,
        .tolerance = options->tolerance,
        .full_path = options->full_path,
        .standardize = options->standardize,
        .refit = options->refit,
        .ridge_lambda = options->ridge_lambda,
        .context = &job->setting,
        .open = dms_batch_source_open,
        .open_packed = dms_batch_source_open_packed,
        .open_outputs = dms_batch_source_open_outputs,
        .source_bytes = dms_batch_source_bytes,
        .pair_counts = get_pair_counts,
        .products = get_products,
        .counts_in_memory = dms_snapshot_is_manifest(snapshot),
        .kept_context = job,
    };
    code = set_rows(job, header);
    if (code == 0)
        code = dms_batch_source_measure(&job->setting);
    return code < 0 ? code : set_self(job);
}

static int check(dms_snapshot *snapshot, const struct dms_fit_header *header,
                 const struct dms_fit_options *options, uint32_t *column)
{
    int code = dms_fit_options_check(options, dms_snapshot_schema(snapshot), column);

    if (code == 0)
        code = dms_fit_check_problem(header, options);
    return code < 0 ? code : dms_fit_check_store(header, snapshot);
}

/* ---- the device ---- */

/* Chooses a device and opens it. Where any will do, one that cannot be opened is none. */
static int choose_device(struct job *job)
{
    const struct dms_fit_options *options = job->options;
    struct dms_placement *placement = &job->placement;
    int code;

    if (job->choice.solver != DMS_SOLVER_SAGA) {
        *placement = (struct dms_placement){DMS_DEVICE_CPU, ""};
        snprintf(placement->reason, sizeof(placement->reason), "%s is solved on the processor",
                 job->choice.solver == DMS_SOLVER_RIDGE ? "ridge regression" : "gram");
        return 0;
    }
    code = dms_device_choose(options->device, placement);
    if (code == 0 && placement->device == DMS_DEVICE_CUDA)
        code = dms_cuda_engine_open(&job->cuda);
    job->setting.memory = job->cuda.memory;
    if (code == 0 || options->device == DMS_DEVICE_CUDA)
        return code;
    placement->device = DMS_DEVICE_CPU;
    snprintf(placement->reason, sizeof(placement->reason), "%s", dms_error_message());
    return 0;
}

static const char *device_word(const struct job *job)
{
    return job->placement.device == DMS_DEVICE_CUDA ? "cuda" : "cpu";
}

static const char *solver_word(const struct job *job)
{
    static const char *const words[] = {"saga", "ridge", "gram"};

    return words[job->choice.solver];
}

/* ---- checkpoints ---- */

static int identify_count(struct dms_checkpoint *checkpoint, const char *key, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    return dms_checkpoint_identify(checkpoint, key, text);
}

/* What a job must share with the one that wrote a checkpoint in order to go on with it: all that
 * the results depend on. Not the number of threads: a batch job may go on on another machine. */
static int identify(struct job *job, const struct dms_fit_header *header)
{
    struct dms_checkpoint *checkpoint = &job->checkpoint;
    struct dms_buffer encoded = {0};
    struct dms_hash128 hash;
    char text[64];
    int code = dms_checkpoint_identify(checkpoint, "version", PACKAGE_VERSION);

    if (code == 0)
        code = dms_checkpoint_identify(checkpoint, "fit", header->name);
    if (code == 0)
        code = dms_checkpoint_identify(checkpoint, "device", device_word(job));
    if (code == 0)
        code = dms_checkpoint_identify(checkpoint, "solver", solver_word(job));
    if (code == 0)
        code = dms_fit_header_encode(header, &encoded);
    if (code < 0)
        goto out;
    snprintf(text, sizeof(text), "%" PRIu64 ":%" PRIu64, job->problem.first_target,
             job->problem.first_target + job->problem.target_ct);
    code = dms_checkpoint_identify(checkpoint, "targets", text);
    hash = dms_hash128(encoded.data, encoded.size);
    snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64, hash.high, hash.low);
    if (code == 0)
        code = identify_count(checkpoint, "seed", job->options->seed);
    if (code == 0)
        code = identify_count(checkpoint, "memory", job->options->memory_bytes);
    if (code == 0)
        code = identify_count(checkpoint, "max-epochs", job->options->max_epochs);
    for (size_t i = 0; code == 0 && i < header->problem_ct; i++)
        code =
            dms_checkpoint_identify(checkpoint, header->problem[i].key, header->problem[i].value);
    if (code == 0)
        code = dms_checkpoint_identify(checkpoint, "digest of the fit's models and problem", text);
out:
    dms_buffer_free(&encoded);
    return code;
}

/* Reads what an earlier run left, if it left something. */
static int read_checkpoint(struct job *job)
{
    int code = dms_checkpoint_read(&job->checkpoint, job->hooks->checkpoint_path);

    return code == DMS_ERR_NOT_FOUND ? 0 : code;
}

static int begin_checkpoint(struct job *job, const struct dms_fit_header *header)
{
    const char *path = job->hooks->checkpoint_path;
    bool exists;
    int code = identify(job, header);

    if (code < 0)
        return code;
    if (job->hooks->resume)
        return read_checkpoint(job);
    code = dms_file_exists(path, &exists);
    if (code == 0 && exists)
        code = dms_fail(DMS_ERR_EXISTS,
                        "checkpoint '%s' of an unfinished fit is there: resume it, or remove the "
                        "file to begin again",
                        path);
    return code;
}

/* ---- what the solver calls ---- */

static uint64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void on_divided(void *context, const struct dms_fit_placement *placement)
{
    struct job *job = context;
    struct dms_fit_placement whole = *placement;

    whole.solver = job->choice.solver;
    whole.solver_reason = job->choice.reason;
    whole.memory_bytes = job->choice.memory_bytes;
    whole.device = job->placement.device;
    whole.reason = job->placement.reason;
    if (job->cuda.context) {
        const struct dms_cuda *cuda = job->cuda.context;

        whole.device_name = cuda->name;
        whole.device_bytes = cuda->free_bytes;
    }
    if (job->hooks->placement)
        job->hooks->placement(job->hooks->context, &whole);
}

/* Measures over the passes of half a second or more. */
static void measure_rate(struct job *job, const struct dms_fit_progress *progress)
{
    enum dms_role role = strcmp(progress->stage, "path") == 0 || !job->problem.refit
                             ? DMS_ROLE_TRAINING
                             : DMS_ROLE_REFIT;
    uint64_t now_ns = monotonic_ns(), elapsed_ns = now_ns - job->rate_begin_ns;

    job->rate_rows += job->problem.row_ct[role];
    if (elapsed_ns < RATE_INTERVAL_NS && job->rows_per_second > 0)
        return;
    job->rows_per_second = (double)job->rate_rows * 1e9 / (double)(elapsed_ns + 1);
    job->rate_begin_ns = now_ns;
    job->rate_rows = 0;
}

static int on_progress(void *context, const struct dms_fit_progress *progress)
{
    struct job *job = context;
    struct dms_fit_progress seen = *progress;

    /* A round of the gram solver reads no models. */
    if (job->choice.solver != DMS_SOLVER_GRAM)
        measure_rate(job, progress);
    seen.rows_per_second = job->rows_per_second;
    seen.target_ct = job->problem.target_ct;
    seen.finished_ct = job->finished_ct > seen.finished_ct ? job->finished_ct : seen.finished_ct;
    return job->hooks->progress(job->hooks->context, &seen);
}

static int deliver(void *context, const struct dms_fitted_target *target)
{
    struct job *job = context;

    job->finished_ct++;
    return job->hooks->result(job->hooks->context, target);
}

static int on_result(void *context, const struct dms_fitted_target *target)
{
    struct job *job = context;
    int code = job->hooks->checkpoint_path ? dms_checkpoint_add(&job->checkpoint, target) : 0;

    return code < 0 ? code : deliver(job, target);
}

/* Keeps the state, unless the last one was kept just now: an older one leads to the same result. */
static int on_save(void *context, const void *state, size_t state_bytes)
{
    struct job *job = context;
    uint64_t begin_ns = monotonic_ns(), end_ns;
    int code;

    if (begin_ns < job->next_save_ns)
        return 0;
    code = dms_checkpoint_write(&job->checkpoint, job->hooks->checkpoint_path, state, state_bytes);
    /* Another run of the same job is at it: what it keeps leads to the same results. */
    if (code == DMS_ERR_BUSY)
        code = 0;
    end_ns = monotonic_ns();
    job->next_save_ns = end_ns + CHECKPOINT_INTERVAL * (end_ns - begin_ns);
    return code;
}

static int solve(struct job *job)
{
    static int (*const solvers[])(const struct dms_problem *, const struct dms_solve_control *) = {
        dms_saga_solve, dms_ridge_solve, dms_gram_solve};
    const struct dms_fit_options *options = job->options;
    const char *checkpoint_path = job->hooks->checkpoint_path;
    struct dms_checkpoint *checkpoint = &job->checkpoint;
    struct dms_solve_control control = {
        .engine = job->cuda.context ? &job->cuda : NULL,
        .thread_ct = options->thread_ct,
        .memory_bytes = options->memory_bytes,
        .max_epochs = options->max_epochs,
        .progress = job->hooks->progress ? on_progress : NULL,
        .result = on_result,
        .divided = on_divided,
        .save = checkpoint_path ? on_save : NULL,
        .context = job,
        .state = checkpoint->has_state ? checkpoint->state.data : NULL,
        .state_bytes = checkpoint->state.size,
    };
    int code = dms_checkpoint_each(checkpoint, deliver, job);

    if (code == 0 && job->finished_ct == job->problem.target_ct)
        on_divided(job, &(struct dms_fit_placement){.table = "none"});
    if (code < 0 || job->finished_ct == job->problem.target_ct)
        return code;
    job->rate_begin_ns = monotonic_ns();
    if (job->choice.solver == DMS_SOLVER_RIDGE)
        on_divided(job, &(struct dms_fit_placement){.table = "none"});
    code = solvers[job->choice.solver](&job->problem, &control);
    if (code == 0 && checkpoint_path)
        code = dms_checkpoint_write(checkpoint, checkpoint_path, NULL, 0);
    return code;
}

int dms_fit_run(dms_snapshot *snapshot, const struct dms_fit_header *header,
                const struct dms_fit_options *options, const struct dms_fit_hooks *hooks)
{
    struct job job = {.options = options, .hooks = hooks, .header = header};
    uint32_t column;
    int code = check(snapshot, header, options, &column);

    if (code < 0)
        return code;
    code = set_problem(&job, snapshot, header, &dms_snapshot_schema(snapshot)->columns[column]);
    if (code == 0) {
        dms_solver_choose(&job.problem, options, &job.choice);
        code = choose_device(&job);
    }
    if (code == 0 && hooks->checkpoint_path)
        code = begin_checkpoint(&job, header);
    if (code == 0)
        code = solve(&job);
    if (job.cuda.context)
        dms_cuda_engine_close(&job.cuda);
    for (int role = 0; role < DMS_ROLE_CT; role++)
        dms_products_close(job.products[role]);
    dms_checkpoint_free(&job.checkpoint);
    free(job.self);
    free(job.refit_ranges);
    return code;
}
