/*
 * dmstore eval: scores fits on the models that they have held out.
 */
#include "commands.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "evaluation_report.h"
#include "extrapolation.h"
#include "fit_arrays.h"
#include "options.h"
#include "progress.h"
#include "report.h"
#include "target_range.h"

static const char name[] = "eval";

/* The command line. */
struct request {
    const char *store;
    char **fit_names;
    size_t fit_ct;
    const char *targets, *labels, *self, *csv_path;
    uint64_t bootstrap_ct;
    bool as_json;
    struct dms_evaluate_options options;
};

static int parse(int argc, char **argv, struct request *request)
{
    const struct tool_option options[] = {
        OPTION_TEXT("targets", 0, "A:B", &request->targets,
                    "targets A to B - 1 (default: all that the fits have)"),
        OPTION_TEXT("labels", 0, "FILE", &request->labels,
                    ".npy of the correct classes, for a fit that was made with one"),
        OPTION_TEXT("self", 0, "FILE", &request->self,
                    ".npy of the targets' own examples, for a fit that was made with one"),
        OPTION_COUNT("bootstrap", 0, "N", &request->bootstrap_ct, NULL,
                     "resamples for the 95% intervals (default 1000; 0: none)"),
        OPTION_COUNT("seed", 0, "S", &request->options.seed, NULL, "of the resamples (default 0)"),
        OPTION_THREADS(&request->options.thread_ct,
                       "threads to work with (default: one a processor)"),
        OPTION_BYTES("memory", 0, "BYTES", &request->options.memory_bytes, NULL,
                     "memory to use; targets go in blocks that fit (default 4G)"),
        OPTION_TEXT("output", 'o', "FILE", &request->csv_path,
                    "write a table with one line a target and fit, as CSV; '-': instead of the "
                    "report"),
        OPTION_FLAG("json", 0, &request->as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE FIT [FIT ...] [options]",
        .description =
            "Scores fits of STORE (a store or a manifest) on the models that they have held\n"
            "out: LDS (Spearman), Pearson, MSE, R^2 and AUC of each target, and their means.\n"
            "Several fits are compared on the models and targets that they have in common.\n",
        .positional_min = 2,
        .positional_max = SIZE_MAX,
        .options = options,
    };
    char **positionals;
    size_t positional_ct;
    int status = tool_options_parse(&usage, argc, argv, &positionals, &positional_ct);

    if (status != TOOL_CONTINUE)
        return status;
    request->store = positionals[0];
    request->fit_names = positionals + 1;
    request->fit_ct = positional_ct - 1;
    return TOOL_CONTINUE;
}

/* Puts what was given as words and numbers into the options. */
static int interpret(struct request *request)
{
    struct dms_evaluate_options *options = &request->options;

    if (request->targets &&
        !target_range_parse(request->targets, &options->first_target, &options->end_target))
        return tool_fail_usage(name, "--targets: '%s' is not a range FIRST:END", request->targets);
    if (request->bootstrap_ct > UINT32_MAX)
        return tool_fail_usage(name, "--bootstrap: at most %u resamples", UINT32_MAX);
    if (request->as_json && request->csv_path && strcmp(request->csv_path, "-") == 0)
        return tool_fail_usage(name, "--json and -o - cannot both be printed");
    options->bootstrap_ct = (uint32_t)request->bootstrap_ct;
    return TOOL_CONTINUE;
}

/* Opens the fits. fits: fit_ct of them, NULL where it failed. */
static int open_fits(dms_snapshot *snapshot, const struct request *request, dms_fit **fits)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < request->fit_ct; i++)
        code = dms_fit_open(snapshot, request->fit_names[i], &fits[i]);
    return code;
}

static int report(const struct request *request, const struct dms_evaluation *evaluation)
{
    struct dms_subset_sizes training = evaluation_training_sizes(evaluation);
    int code = request->csv_path ? evaluation_write_csv(evaluation, request->csv_path) : 0;

    if (code < 0)
        return code;
    extrapolation_warn(name, "the held-out masks have", evaluation->smallest_subset,
                       evaluation->largest_subset, &training);
    if (request->as_json)
        evaluation_print_json(evaluation, &request->options, request->store);
    else if (!request->csv_path || strcmp(request->csv_path, "-") != 0)
        code = evaluation_print(evaluation, &request->options);
    return code;
}

static int evaluate(struct request *request, dms_snapshot *snapshot, dms_fit **fits)
{
    struct dms_evaluation *evaluation = NULL;
    struct progress progress;
    int code;

    progress_begin(&progress, name, PROGRESS_ROWS);
    request->options.progress = progress_show_targets;
    request->options.progress_context = &progress;
    code = dms_evaluate(snapshot, fits, request->fit_ct, &request->options, &evaluation);
    progress_end(&progress);
    if (code == 0)
        code = report(request, evaluation);
    dms_evaluation_free(evaluation);
    return code;
}

int command_eval(int argc, char **argv)
{
    struct request request = {.bootstrap_ct = 1000};
    int64_t *labels = NULL, *self = NULL;
    dms_snapshot *snapshot = NULL;
    dms_fit **fits = NULL;
    int code = 0, status;

    dms_evaluate_options_init(&request.options);
    status = parse(argc, argv, &request);
    if (status == TOOL_CONTINUE)
        status = interpret(&request);
    if (status != TOOL_CONTINUE)
        return status;
    fits = calloc(request.fit_ct, sizeof(*fits));
    if (!fits)
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu fits", request.fit_ct);
    if (code == 0 && request.labels)
        code = fit_array_integers(request.labels, "label", &labels, &request.options.label_ct);
    if (code == 0 && request.self)
        code = fit_array_integers(request.self, "example", &self, &request.options.self_ct);
    request.options.labels = labels;
    request.options.self = self;
    if (code == 0)
        code = dms_snapshot_open(request.store, &snapshot);
    if (code == 0)
        code = open_fits(snapshot, &request, fits);
    if (code == 0)
        code = evaluate(&request, snapshot, fits);
    for (size_t i = 0; fits && i < request.fit_ct; i++)
        dms_fit_close(fits[i]);
    free(fits);
    dms_snapshot_close(snapshot);
    free(labels);
    free(self);
    return tool_finish_output(name, code < 0 ? tool_fail_library(name) : TOOL_OK);
}
