/*
 * dmstore influence: estimates empirical influences, differences of mean outputs between models
 * with and without an example, and keeps them in the store as a fit.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <dmstore.h>

#include "fit_arrays.h"
#include "fit_sink.h"
#include "json.h"
#include "options.h"
#include "progress.h"
#include "report.h"
#include "target_range.h"

static const char name[] = "influence";

/* The command line. */
struct request {
    const char *store;
    const char *targets, *labels, *self, *threshold;
    bool rows_used_given, as_json;
    int transform; /* a word; -1: not given */
    struct dms_fit_options options;
    char *command_line;
};

/* What the command holds while it works. */
struct influence_job {
    struct request *request;
    int64_t *labels, *self;
    dms_snapshot *snapshot;
    struct dms_fit_header *header;
    struct provenance provenance;
    struct fit_sink sink;
    struct progress progress;
};

/* ---- the command line ---- */

/* Turns the words of the command line into options. */
static int interpret(struct request *request)
{
    struct dms_fit_options *options = &request->options;

    if (!options->name)
        return tool_fail_usage(name, "--name is missing: what the fit shall be called");
    if (!options->output)
        return tool_fail_usage(name, "--output is missing: the column whose influences are wanted");
    if (request->targets &&
        !target_range_parse(request->targets, &options->first_target, &options->end_target))
        return tool_fail_usage(name, "--targets: '%s' is not a range FIRST:END", request->targets);
    if (request->rows_used_given && options->rows_used == 0)
        return tool_fail_usage(name, "--rows-used: 0 models have no influences");
    options->exclude_self |= request->self != NULL;
    return tool_interpret_transform(name, request->transform, request->threshold, options);
}

static int parse(int argc, char **argv, struct request *request)
{
    struct dms_fit_options *fit = &request->options;
    const struct tool_option options[] = {
        OPTION_TEXT("output", 0, "COLUMN", &fit->output, "the output column"),
        OPTION_TEXT("name", 0, "FIT", &fit->name,
                    "name of the fit; jobs with the same name and other targets join"),
        OPTION_TEXT("targets", 0, "A:B", &request->targets, "targets A to B - 1 (default all)"),
        OPTION_COUNT("holdout", 0, "H", &fit->held_out_ct, NULL,
                     "never use the H largest model ids (default: as the fit has it, else 0)"),
        OPTION_COUNT("rows-used", 0, "M", &fit->rows_used, &request->rows_used_given,
                     "use the first M of the other ids only"),
        OPTION_FLAG("exclude-self", 0, &fit->exclude_self,
                    "leave out models that were trained on the target itself"),
        OPTION_TEXT("self", 0, "FILE", &request->self,
                    ".npy: which example each target is, -1: none (default: target j is j); "
                    "implies --exclude-self"),
        OPTION_TEXT("threshold", 0, "T", &request->threshold,
                    "influences on correctness: whether the output, or the margin, is above T"),
        OPTION_CHOICE("transform", 0, "none|margin|correct", &request->transform,
                      tool_transform_words,
                      "influences on margins of logits, or on correctness (as --threshold 0)"),
        OPTION_TEXT("labels", 0, "FILE", &request->labels,
                    ".npy: the correct class of each target, for logits"),
        OPTION_THREADS(&fit->thread_ct, "threads to use (default: one a processor)"),
        OPTION_BYTES("memory", 0, "BYTES", &fit->memory_bytes, NULL,
                     "memory to use; targets go in blocks that fit (default 4G)"),
        OPTION_FLAG("json", 0, &request->as_json, "print the summary as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE --output COLUMN --name FIT [options]",
        .description =
            "Estimates the influence of each training example on each target of an output\n"
            "column: its mean over models that have the example less that over the others.\n"
            "The result is a fit with a bias and (nearly) no weight of 0.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    char **positionals;
    int status;

    dms_fit_options_init(fit);
    request->command_line = provenance_command_line(argc, argv);
    if (!request->command_line)
        return tool_fail(name, "out of memory");
    status = tool_options_parse(&usage, argc, argv, &positionals, NULL);
    if (status != TOOL_CONTINUE)
        return status;
    request->store = positionals[0];
    return interpret(request);
}

/* ---- the work ---- */

static int on_progress(void *context, uint64_t done, uint64_t total)
{
    struct influence_job *job = context;

    return progress_show_targets(&job->progress, done, total);
}

static int on_result(void *context, const struct dms_fitted_target *target)
{
    struct influence_job *job = context;

    return fit_sink_add(&job->sink, target);
}

static int plan(struct influence_job *job)
{
    struct request *request = job->request;
    struct dms_fit_options *options = &request->options;
    int code = 0;

    if (request->labels)
        code = fit_array_integers(request->labels, "label", &job->labels, &options->label_ct);
    if (code == 0 && request->self)
        code = fit_array_integers(request->self, "example", &job->self, &options->self_ct);
    options->labels = job->labels;
    options->self = job->self;
    if (code == 0)
        code = fit_sink_check(request->store);
    if (code == 0)
        code = dms_snapshot_open(request->store, &job->snapshot);
    if (code == 0)
        code = dms_influence_plan(job->snapshot, options, &job->header);
    if (code == DMS_ERR_CONFLICT)
        return tool_advise_other_name(code);
    return code;
}

static int run(struct influence_job *job)
{
    const struct dms_influence_hooks hooks = {
        .progress = on_progress,
        .result = on_result,
        .context = job,
    };
    int code = plan(job);

    if (code < 0)
        return code;
    job->sink = (struct fit_sink){
        .store = job->request->store,
        .header = job->header,
        .command_line = job->request->command_line,
        .started = time(NULL),
        .provenance = &job->provenance,
    };
    progress_begin(&job->progress, name, PROGRESS_ROWS);
    code = dms_influence_run(job->snapshot, job->header, &job->request->options, &hooks);
    code = fit_sink_end(&job->sink, code);
    progress_end(&job->progress);
    return code;
}

int command_influence(int argc, char **argv)
{
    struct request request = {.transform = -1};
    struct influence_job job = {.request = &request};
    int status = parse(argc, argv, &request);

    if (status == TOOL_CONTINUE) {
        status = run(&job) < 0 ? tool_fail_library(name) : TOOL_OK;
        if (status == TOOL_OK && request.as_json)
            fit_sink_print_json(&job.sink);
        else if (status == TOOL_OK)
            fit_sink_print(&job.sink);
        dms_fit_header_free(job.header);
        dms_snapshot_close(job.snapshot);
        free(job.labels);
        free(job.self);
        status = tool_finish_output(name, status);
    }
    free(request.command_line);
    return status;
}
