/*
 * dmstore fit: fits the datamodels of targets to the models of a store, and keeps them in it or in
 * a file of their own. dmstore ols is the same by least squares.
 */
#include "commands.h"

#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <dmstore.h>

#include "choices.h"
#include "fit_arrays.h"
#include "fit_report.h"
#include "id_ranges.h"
#include "options.h"
#include "progress.h"
#include "provenance.h"
#include "report.h"
#include "target_range.h"

static const char *name = "fit"; /* or "ols" */

/* Two jobs may begin a fit at the same moment: the later one plans again, with what it finds. */
#define PLAN_ATTEMPTS 4

/* The command line. */
struct request {
    const char *store;
    const char *part_path; /* -o; NULL: into the store */
    const char *targets, *lambda, *lambda_file, *labels, *self, *tolerance, *lambda_min_ratio;
    const char *checkpoint, *log;
    uint64_t lambda_ct;
    bool lambda_ct_given, rows_used_given, seed_given, max_epochs_given;
    bool is_ols;
    bool no_standardize, no_refit, resume, allow_uncertified, as_json;
    int solver, transform, device; /* words; see below */
    struct dms_fit_options options;
    char *command_line;
};

/* What the command holds while it works. */
struct fit_job {
    const struct request *request;
    struct dms_fit_options options;
    int64_t *labels, *self;
    double *lambdas;
    char *checkpoint_path;
    dms_snapshot *snapshot;
    struct dms_fit_header *header;
    dms_fit_part *found; /* targets as they come, without provenance */
    struct dms_ridge_cost ridge_cost;
    struct fit_report report;
    struct progress progress;
    time_t start_time;
};

/* A path of ridge regression spans many more lambdas than one of LASSO. */
#define RIDGE_LAMBDA_MIN_RATIO 1e-6

/* ---- the command line ---- */

/* What the options of lambda mean depends on the solver. */
static int interpret_solver(struct request *request)
{
    struct dms_fit_options *options = &request->options;

    options->solver = (enum dms_solver)request->solver;
    if (request->is_ols) {
        options->solver = DMS_SOLVER_RIDGE;
        options->ridge_lambda = 0;
        return TOOL_CONTINUE;
    }
    if (options->solver != DMS_SOLVER_RIDGE)
        return request->lambda
                   ? tool_fail_usage(name, "--lambda is for --solver ridge: LASSO chooses from a "
                                           "path of lambdas, which --lambda-file can give")
                   : TOOL_CONTINUE;
    if (options->full_path)
        return tool_fail_usage(name, "--full-path has no use with --solver ridge: its path is "
                                     "always complete");
    if (request->seed_given)
        return tool_fail_usage(name, "--seed has no use with --solver ridge: nothing is shuffled");
    if (request->max_epochs_given)
        return tool_fail_usage(name, "--max-epochs has no use with --solver ridge: nothing is "
                                     "repeated until it is good enough");
    if (!request->lambda) {
        if (!request->lambda_min_ratio)
            options->lambda_min_ratio = RIDGE_LAMBDA_MIN_RATIO;
        return TOOL_CONTINUE;
    }
    if (request->lambda_ct_given || request->lambda_min_ratio || request->lambda_file)
        return tool_fail_usage(name, "--lambda is in place of --lambdas, --lambda-min-ratio and "
                                     "--lambda-file: give one");
    if (!tool_parse_real(request->lambda, &options->ridge_lambda))
        return tool_fail_usage(name, "--lambda: '%s' is no number", request->lambda);
    if (!(options->ridge_lambda >= 0))
        return tool_fail_usage(name, "--lambda is %s: it must be 0 or above", request->lambda);
    return TOOL_CONTINUE;
}

/* Turns the words of the command line into options. */
static int interpret(struct request *request)
{
    struct dms_fit_options *options = &request->options;

    if (!options->name)
        return tool_fail_usage(name, "--name is missing: what the fit shall be called");
    if (!options->output)
        return tool_fail_usage(name, "--output is missing: the column to fit");
    if (request->targets &&
        !target_range_parse(request->targets, &options->first_target, &options->end_target))
        return tool_fail_usage(name, "--targets: '%s' is not a range FIRST:END", request->targets);
    if (request->tolerance && !tool_parse_real(request->tolerance, &options->tolerance))
        return tool_fail_usage(name, "--tol: '%s' is no number", request->tolerance);
    if (!(options->tolerance > 0))
        return tool_fail_usage(name, "--tol is %s: the tolerance must be above 0",
                               request->tolerance);
    if (request->lambda_min_ratio &&
        !tool_parse_real(request->lambda_min_ratio, &options->lambda_min_ratio))
        return tool_fail_usage(name, "--lambda-min-ratio: '%s' is no number",
                               request->lambda_min_ratio);
    if (!(options->lambda_min_ratio > 0 && options->lambda_min_ratio < 1))
        return tool_fail_usage(name, "--lambda-min-ratio is %s: it must be between 0 and 1",
                               request->lambda_min_ratio);
    if (request->lambda_file && (request->lambda_ct_given || request->lambda_min_ratio))
        return tool_fail_usage(
            name, "--lambda-file is in place of --lambdas and --lambda-min-ratio: give one");
    if (request->lambda_ct == 0 || request->lambda_ct > 1000000)
        return tool_fail_usage(name, "--lambdas: from 1 to a million there can be");
    if (request->rows_used_given && options->rows_used == 0)
        return tool_fail_usage(name, "--rows-used: 0 models cannot train");
    options->lambda_ct = (uint32_t)request->lambda_ct;
    options->exclude_self |= request->self != NULL;
    options->standardize = !request->no_standardize;
    options->refit = !request->no_refit;
    options->transform = (enum dms_transform)request->transform;
    options->device = (enum dms_device)request->device;
    return interpret_solver(request);
}

/* Takes out of the table what least squares leave nothing to say about. */
static void drop_ols_options(struct tool_option *options)
{
    static const char *const dropped[] = {
        "solver",    "lambda", "lambdas",        "lambda-file", "lambda-min-ratio",
        "full-path", "seed",   "no-standardize", "max-epochs",  "device"};
    size_t kept = 0;

    for (size_t i = 0; options[i].name; i++) {
        bool is_dropped = false;

        for (size_t k = 0; k < sizeof(dropped) / sizeof(dropped[0]); k++)
            is_dropped |= strcmp(options[i].name, dropped[k]) == 0;
        if (!is_dropped)
            options[kept++] = options[i];
    }
    options[kept] = (struct tool_option)OPTION_END;
}

static const char fit_description[] =
    "Fits a datamodel for each target of an output column: a sparse linear model of\n"
    "the output on the training mask (LASSO), lambda chosen on validation models,\n"
    "every solution with a bound on its error. STORE may be a manifest with -o.\n";

static const char ols_description[] =
    "Fits a linear model of each target of an output column on the training mask by\n"
    "ordinary least squares, for comparison with datamodels: the same as 'dmstore fit\n"
    "--solver ridge --lambda 0'. STORE may be a manifest with -o.\n";

static int parse(int argc, char **argv, struct request *request)
{
    struct dms_fit_options *fit = &request->options;
    struct tool_option options[] = {
        OPTION_TEXT("output", 0, "COLUMN", &fit->output, "the output column to fit"),
        OPTION_TEXT("name", 0, "FIT", &fit->name,
                    "name of the fit; jobs with the same name and other targets join"),
        OPTION_TEXT("targets", 0, "A:B", &request->targets, "targets A to B - 1 (default all)"),
        OPTION_CHOICE("solver", 0, "auto|gram|saga|ridge", &request->solver, solver_words,
                      "how LASSO is solved: auto (default) takes gram where its matrix fits "
                      "the memory, else saga; or ridge regression in its place"),
        OPTION_COUNT("holdout", 0, "H", &fit->held_out_ct, NULL,
                     "never use the H largest model ids (default: as the fit has it, else 0)"),
        OPTION_COUNT("validation", 0, "V", &fit->validation_ct, NULL,
                     "the V largest ids before those choose lambda (default: as the fit has it, "
                     "else a tenth)"),
        OPTION_COUNT("rows-used", 0, "M", &fit->rows_used, &request->rows_used_given,
                     "train on the first M training ids only"),
        OPTION_TEXT("lambda", 0, "L", &request->lambda,
                    "of --solver ridge: this lambda, 0 for least squares (default: chosen)"),
        OPTION_COUNT("lambdas", 0, "K", &request->lambda_ct, &request->lambda_ct_given,
                     "length of the path (default 100)"),
        OPTION_TEXT("lambda-min-ratio", 0, "R", &request->lambda_min_ratio,
                    "smallest lambda over the largest (default 0.01; for ridge 1e-6)"),
        OPTION_TEXT("lambda-file", 0, "FILE", &request->lambda_file,
                    ".npy of decreasing lambdas, the same for all targets"),
        OPTION_TEXT("tol", 0, "T", &request->tolerance,
                    "duality gap over null deviance to reach (default 1e-4)"),
        OPTION_FLAG("full-path", 0, &fit->full_path,
                    "do not end a path when its validation error has turned"),
        OPTION_FLAG("no-standardize", 0, &request->no_standardize,
                    "penalise weights as they are, not times the standard deviation"),
        OPTION_FLAG("no-refit", 0, &request->no_refit,
                    "keep the weights of the path; do not fit again with the validation models"),
        OPTION_FLAG("exclude-self", 0, &fit->exclude_self,
                    "leave out models that were trained on the target itself"),
        OPTION_TEXT("self", 0, "FILE", &request->self,
                    ".npy: which example each target is, -1: none (default: target j is j); "
                    "implies --exclude-self"),
        OPTION_CHOICE("transform", 0, "none|margin|correct", &request->transform,
                      tool_transform_words,
                      "fit margins of logits, or correctness of margins or logits"),
        OPTION_TEXT("labels", 0, "FILE", &request->labels,
                    ".npy: the correct class of each target, for logits"),
        OPTION_CHOICE("device", 0, "cpu|cuda|auto", &request->device, device_words,
                      "where to compute (default auto)"),
        OPTION_THREADS(&fit->thread_ct, "threads to use (default: one a processor)"),
        OPTION_BYTES("memory", 0, "BYTES", &fit->memory_bytes, NULL,
                     "memory to use; what does not fit is done in blocks of targets (default 4G)"),
        OPTION_COUNT("seed", 0, "S", &fit->seed, &request->seed_given,
                     "of the order of the rows (default 0)"),
        OPTION_COUNT("max-epochs", 0, "N", &fit->max_epochs, &request->max_epochs_given,
                     "give up on a block of targets after N passes (default 100000)"),
        OPTION_FLAG("resume", 0, &request->resume, "go on from the checkpoint, if there is one"),
        OPTION_TEXT("checkpoint", 0, "FILE", &request->checkpoint,
                    "where unfinished work is kept (default beside STORE, or beside PART)"),
        OPTION_FLAG("allow-uncertified", 0, &request->allow_uncertified,
                    "store targets that did not reach --tol, marked, and succeed"),
        OPTION_TEXT("log", 0, "FILE", &request->log, "JSON lines of every pass and every target"),
        OPTION_TEXT("part", 'o', "PART", &request->part_path,
                    "write the result to a file for 'dmstore merge-fits', not to the store"),
        OPTION_FLAG("json", 0, &request->as_json, "print the summary as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE --output COLUMN --name FIT [options]",
        .description = request->is_ols ? ols_description : fit_description,
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    char **positionals;
    int status;

    if (request->is_ols)
        drop_ols_options(options);
    dms_fit_options_init(fit);
    request->lambda_ct = fit->lambda_ct;
    request->solver = (int)fit->solver;
    request->command_line = provenance_command_line(argc, argv);
    if (!request->command_line)
        return tool_fail(name, "out of memory");
    status = tool_options_parse(&usage, argc, argv, &positionals, NULL);
    if (status != TOOL_CONTINUE)
        return status;
    request->store = positionals[0];
    return interpret(request);
}

/* ---- before the work ---- */

static int read_arrays(struct fit_job *job)
{
    const struct request *request = job->request;
    struct dms_fit_options *options = &job->options;
    size_t lambda_ct = 0;
    int code = 0;

    if (request->labels)
        code = fit_array_integers(request->labels, "label", &job->labels, &options->label_ct);
    if (code == 0 && request->self)
        code = fit_array_integers(request->self, "example", &job->self, &options->self_ct);
    if (code == 0 && request->lambda_file)
        code = fit_array_doubles(request->lambda_file, "lambda", &job->lambdas, &lambda_ct);
    if (code < 0)
        return code;
    if (lambda_ct > UINT32_MAX)
        return dms_source_fail(DMS_ERR_INVALID, "'%s' has too many lambdas", request->lambda_file);
    options->labels = job->labels;
    options->self = job->self;
    options->lambdas = job->lambdas;
    if (job->lambdas)
        options->lambda_ct = (uint32_t)lambda_ct;
    return 0;
}

/* Fails when `path` could not be written in the end: better before hours of work than after. */
static int check_writable(const char *path, const char *hint)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    struct stat status;
    int code = 0;

    if (!directory)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    if (access(directory, W_OK | X_OK) != 0)
        code = tool_source_fail_errno("cannot write '%s'%s", path, hint);
    else if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        code = dms_source_fail(DMS_ERR_INVALID,
                               "cannot write '%s'%s: it is there and is not a regular file", path,
                               hint);
    free(directory);
    return code;
}

/* STORE.fit-NAME-A-B.checkpoint, or PART.checkpoint: beside what it becomes. */
static int choose_checkpoint(struct fit_job *job)
{
    const struct request *request = job->request;
    const char *base = request->part_path ? request->part_path : request->store;
    size_t base_bytes = strlen(base), bytes = base_bytes + strlen(job->options.name) + 80;
    int code;

    while (base_bytes > 1 && base[base_bytes - 1] == '/')
        base_bytes--;
    if (request->checkpoint) {
        job->checkpoint_path = strdup(request->checkpoint);
    } else if ((job->checkpoint_path = malloc(bytes)) != NULL) {
        if (request->part_path)
            snprintf(job->checkpoint_path, bytes, "%s.checkpoint", base);
        else
            snprintf(job->checkpoint_path, bytes, "%.*s.fit-%s-%" PRIu64 "-%" PRIu64 ".checkpoint",
                     (int)base_bytes, base, job->options.name, job->report.first_target,
                     job->report.end_target);
    }
    if (!job->checkpoint_path)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    code = check_writable(job->checkpoint_path, ", the checkpoint (see --checkpoint)");
    if (code == 0 && request->part_path)
        code = check_writable(request->part_path, "");
    return code;
}

/* Fails with the targets of this job that the fit in the snapshot has. */
static int check_targets_are_new(struct fit_job *job)
{
    struct id_ranges there = {0};
    dms_fit *fit = NULL;
    char *text;
    int code = 0;

    for (size_t i = 0; i < dms_snapshot_fit_ct(job->snapshot) && !fit; i++) {
        if (strcmp(dms_snapshot_fit_name(job->snapshot, i), job->options.name) == 0)
            code = dms_fit_open(job->snapshot, job->options.name, &fit);
        if (code < 0)
            return code;
    }
    for (size_t i = 0; code == 0 && fit && i < dms_fit_target_ct(fit); i++) {
        struct dms_fitted_target target;

        code = dms_fit_target(fit, i, &target);
        if (code == 0 && target.target >= job->report.first_target &&
            target.target < job->report.end_target)
            code = id_ranges_append(&there, target.target, target.target);
    }
    if (code == 0 && there.item_ct > 0) {
        text = id_ranges_text(&there);
        code = text ? dms_source_fail(DMS_ERR_EXISTS,
                                      "fit %s has %s %s already: take others with --targets, or "
                                      "another --name",
                                      job->options.name,
                                      id_ranges_count(&there) == 1 ? "target" : "targets", text)
                    : DMS_ERR_NO_MEMORY;
        free(text);
    }
    id_ranges_free(&there);
    dms_fit_close(fit);
    return code;
}

static int begin_in_store(struct fit_job *job)
{
    dms_store *store = NULL;
    int code = dms_store_open(job->request->store, &store);

    if (code == 0)
        code = dms_store_begin_fit(store, job->header);
    dms_store_close(store);
    return code;
}

/* Opens the snapshot and plans; in the store, the fit is there afterwards. CONFLICT: it is there
 * with another plan, perhaps since a moment ago. */
static int plan_once(struct fit_job *job)
{
    int code;

    dms_fit_header_free(job->header);
    dms_snapshot_close(job->snapshot);
    job->header = NULL;
    job->snapshot = NULL;
    code = dms_snapshot_open(job->request->store, &job->snapshot);
    if (code == 0)
        code = dms_fit_plan(job->snapshot, &job->options, &job->header);
    if (code < 0)
        return code;
    job->report.header = job->header;
    job->report.first_target = job->options.first_target;
    job->report.end_target =
        job->options.end_target > 0 ? job->options.end_target : job->header->target_ct;
    if (job->options.solver == DMS_SOLVER_RIDGE)
        code = dms_ridge_cost(job->header, &job->options, &job->ridge_cost);
    return code < 0 ? code : check_targets_are_new(job);
}

static int plan(struct fit_job *job)
{
    int code = 0;

    for (int attempt = 0; attempt < PLAN_ATTEMPTS; attempt++) {
        code = plan_once(job);
        if (code < 0 || job->request->part_path)
            break;
        code = begin_in_store(job);
        if (code != DMS_ERR_CONFLICT)
            break;
    }
    return code == DMS_ERR_CONFLICT ? tool_advise_other_name(code) : code;
}

/* ---- the work ---- */

static int on_progress(void *context, const struct dms_fit_progress *progress)
{
    struct fit_job *job = context;

    return fit_report_pass(&job->report, progress);
}

static void on_placement(void *context, const struct dms_fit_placement *placement)
{
    struct fit_job *job = context;

    fit_report_placement(&job->report, placement, job->request->as_json);
}

static int on_result(void *context, const struct dms_fitted_target *target)
{
    struct fit_job *job = context;
    int code = dms_fit_part_add(job->found, target);

    return code < 0 ? code : fit_report_target(&job->report, target);
}

/* Cards fail where processors do not: what was done until then need not be done again. */
static int explain_device_failure(const struct fit_job *job, int code)
{
    if (access(job->checkpoint_path, F_OK) != 0)
        return code;
    return dms_source_fail(code,
                           "%s (what is done is kept in '%s': the same command with --device cuda "
                           "--resume goes on)",
                           dms_error_message(), job->checkpoint_path);
}

static int run(struct fit_job *job)
{
    const struct dms_fit_hooks hooks = {
        .progress = on_progress,
        .placement = on_placement,
        .result = on_result,
        .checkpoint_path = job->checkpoint_path,
        .resume = job->request->resume,
        .context = job,
    };
    int code = dms_fit_part_create(job->header, NULL, 0, &job->found);

    if (code < 0)
        return code;
    fit_report_begin(&job->report);
    progress_begin(&job->progress, name, PROGRESS_ROWS);
    code = dms_fit_run(job->snapshot, job->header, &job->options, &hooks);
    progress_end(&job->progress);
    if (code < 0 && job->report.device == DMS_DEVICE_CUDA && code != DMS_ERR_INTERRUPTED)
        return explain_device_failure(job, code);
    if (code == DMS_ERR_INTERRUPTED && access(job->checkpoint_path, F_OK) == 0)
        return dms_source_fail(code,
                               "interrupted; what is done is kept in '%s': the same command with "
                               "--resume goes on",
                               job->checkpoint_path);
    return code;
}

/* ---- after the work ---- */

static void describe(const struct fit_job *job, struct provenance *provenance)
{
    const struct dms_fit_options *options = &job->options;

    provenance_say_job(provenance, job->request->command_line, job->start_time);
    provenance_say(provenance, "seconds", "%.3f", fit_report_seconds(&job->report));
    provenance_say(provenance, "epochs", "%" PRIu64, job->report.epoch_ct);
    provenance_say(provenance, "resumed", "%s", job->request->resume ? "yes" : "no");
    provenance_say(provenance, "solver", "%s", solver_words[job->report.solver]);
    if (job->report.device == DMS_DEVICE_CUDA)
        provenance_say(provenance, "device", "cuda: %s", job->report.device_name);
    else
        provenance_say(provenance, "device", "cpu");
    if (options->thread_ct > 0)
        provenance_say(provenance, "threads", "%u", options->thread_ct);
    else
        provenance_say(provenance, "threads", "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    provenance_say(provenance, "memory", "%" PRIu64, options->memory_bytes);
    provenance_say(provenance, "seed", "%" PRIu64, options->seed);
    provenance_say(provenance, "max-epochs", "%" PRIu64, options->max_epochs);
}

/* The targets that were found, as a part that says how. */
static int make_part(struct fit_job *job, dms_fit_part **part)
{
    struct provenance provenance = {0};
    dms_fit_part *made = NULL;
    int code;

    describe(job, &provenance);
    code = dms_fit_part_create(job->header, provenance.pairs, provenance.pair_ct, &made);
    for (size_t i = 0; code == 0 && i < dms_fit_part_target_ct(job->found); i++) {
        struct dms_fitted_target target;

        code = dms_fit_part_target(job->found, i, &target);
        if (code == 0)
            code = dms_fit_part_add(made, &target);
    }
    if (code < 0) {
        dms_fit_part_free(made);
        return code;
    }
    *part = made;
    return 0;
}

static int store_part(struct fit_job *job, uint64_t *added_ct)
{
    const struct request *request = job->request;
    dms_fit_part *part = NULL;
    dms_store *store = NULL;
    int code = make_part(job, &part);

    dms_fit_part_free(job->found);
    job->found = NULL;
    if (code < 0)
        return code;
    *added_ct = dms_fit_part_target_ct(part);
    if (request->part_path) {
        code = dms_fit_part_save(part, request->part_path);
    } else {
        code = dms_store_open(request->store, &store);
        if (code == 0)
            code = dms_store_merge_fit(store, part, added_ct);
        dms_store_close(store);
    }
    dms_fit_part_free(part);
    if (code < 0)
        return dms_source_fail(code,
                               "%s (the result is kept in '%s': the same command with --resume "
                               "stores it)",
                               dms_error_message(), job->checkpoint_path);
    unlink(job->checkpoint_path);
    return 0;
}

/* Stores what may be stored and reports. Returns the exit status. */
static int finish(struct fit_job *job)
{
    const struct request *request = job->request;
    const char *stored = request->part_path ? request->part_path : request->store;
    uint64_t uncertified_ct = job->report.target_ct - job->report.certified_ct;
    uint64_t pass_ct =
        job->options.solver == DMS_SOLVER_RIDGE ? job->report.epoch_ct : job->options.max_epochs;
    bool is_kept = uncertified_ct == 0 || request->allow_uncertified;
    uint64_t added_ct = 0;

    if (is_kept && store_part(job, &added_ct) < 0)
        return tool_fail_library(name);
    if (request->as_json)
        fit_report_print_json(&job->report, is_kept ? stored : NULL, added_ct);
    else
        fit_report_print(&job->report, is_kept ? stored : NULL, added_ct);
    if (!is_kept)
        return tool_fail(name,
                         "%" PRIu64 " target%s left without a gap of %g after %" PRIu64
                         " passes: nothing is stored; '%s' has the result: the same command with "
                         "--resume --allow-uncertified stores it as it is",
                         uncertified_ct, tool_plural(uncertified_ct), job->options.tolerance,
                         pass_ct, job->checkpoint_path);
    return TOOL_OK;
}

/* What the plan has freed shall not stand beside what the fit may use. */
static void give_back_memory(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

static int open_log(struct fit_job *job)
{
    const struct request *request = job->request;

    if (!request->log)
        return 0;
    job->report.log = fopen(request->log, request->resume ? "a" : "w");
    return job->report.log ? 0 : tool_source_fail_errno("cannot write '%s'", request->log);
}

/* A log that could not be written is no reason to lose a fit, but must not look whole. */
static int close_log(struct fit_job *job, int status)
{
    bool failed;

    if (!job->report.log)
        return status;
    failed = ferror(job->report.log) != 0;
    failed |= fclose(job->report.log) != 0;
    job->report.log = NULL;
    return failed ? tool_fail(name, "cannot write all of '%s'", job->request->log) : status;
}

static int fit(const struct request *request)
{
    struct fit_job job = {.request = request, .options = request->options};
    int status = TOOL_FAILED, code;

    job.start_time = time(NULL);
    code = read_arrays(&job);
    if (code == 0)
        code = plan(&job);
    give_back_memory();
    if (code == 0)
        code = choose_checkpoint(&job);
    if (code == 0)
        code = open_log(&job);
    if (code < 0)
        goto out;
    job.report.tolerance = job.options.tolerance;
    job.report.progress = &job.progress;
    if (!request->as_json)
        fit_report_print_plan(&job.report,
                              job.options.solver == DMS_SOLVER_RIDGE ? &job.ridge_cost : NULL);
    code = run(&job);
    if (code == 0)
        status = finish(&job);
out:
    if (code < 0)
        status = tool_fail_library(name);
    status = close_log(&job, status);
    fit_report_free(&job.report);
    dms_fit_part_free(job.found);
    dms_fit_header_free(job.header);
    dms_snapshot_close(job.snapshot);
    free(job.checkpoint_path);
    free(job.lambdas);
    free(job.self);
    free(job.labels);
    return status;
}

static int run_command(int argc, char **argv, bool is_ols)
{
    struct request request = {.is_ols = is_ols};
    int status = parse(argc, argv, &request);

    if (status == TOOL_CONTINUE)
        status = tool_finish_output(name, fit(&request));
    free(request.command_line);
    return status;
}

int command_fit(int argc, char **argv)
{
    return run_command(argc, argv, false);
}

int command_ols(int argc, char **argv)
{
    name = "ols";
    return run_command(argc, argv, true);
}
