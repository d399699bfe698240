/*
 * dmstore support: how few training examples predictions hang on, estimated from weights or by a
 * guided search with retrained models, which it plans and whose outputs it reads.
 */
#include "commands.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "extrapolation.h"
#include "fit_arrays.h"
#include "fit_query.h"
#include "index_list.h"
#include "options.h"
#include "plan_check.h"
#include "removal_plan.h"
#include "report.h"
#include "support_classes.h"
#include "support_plan.h"
#include "support_report.h"
#include "support_runs.h"

static const char name[] = "support";

static const char *const m0_words[] = {"auto", "controls", "datamodel", NULL};

/* The command line. */
struct request {
    struct fit_query query;
    bool all;
    const char *self, *csv_path;
    int m0;
    unsigned thread_ct;
    bool as_json;
    uint64_t example_ct; /* to print of a target */
    bool example_ct_given;
    const char *plan, *actual, *confirm, *relabel, *grid_text;
    uint64_t grid[SUPPORT_GRID_MAX];
    size_t grid_ct;
    uint64_t repeat_ct, first_id;
    bool repeat_ct_given, first_id_given;
};

static int parse(int argc, char **argv, struct request *request)
{
    const struct tool_option options[] = {
        FIT_QUERY_TARGET_OPTION(&request->query),
        OPTION_FLAG("all", 0, &request->all, "all targets of the fit, as --target all"),
        OPTION_COUNT("examples", 'k', "N", &request->example_ct, &request->example_ct_given,
                     "print at most N examples a target (default: 10 of a single one, all with "
                     "--json)"),
        OPTION_CHOICE("m0", 0, "auto|controls|datamodel", &request->m0, m0_words,
                      "where the output when nothing is removed is from (default: control runs of "
                      "the store where there are any, else the datamodel)"),
        FIT_QUERY_NAME_OPTIONS(&request->query),
        OPTION_TEXT("self", 0, "FILE", &request->self,
                    ".npy of the targets' own examples, for a fit that was made with one"),
        OPTION_THREADS(&request->thread_ct, "threads to work with (default: one a processor)"),
        OPTION_TEXT("output", 'o', "FILE", &request->csv_path,
                    "write a table with one line a target as CSV; '-': instead of the report"),
        OPTION_FLAG("json", 0, &request->as_json, "print the report as JSON"),
        OPTION_TEXT("plan", 0, "DIR", &request->plan,
                    "write a plan of models to train, for the guided search; with --actual: the "
                    "plan that they were trained from"),
        OPTION_TEXT("actual", 0, "RUNS", &request->actual,
                    "store of the models that were trained from the plan"),
        OPTION_TEXT("confirm", 0, "DIR", &request->confirm,
                    "write a plan of models that are trained without what was estimated"),
        OPTION_TEXT("relabel", 0, "CLASS", &request->relabel,
                    "plan to mislabel examples instead of removing them: as CLASS, as a .npy file "
                    "says for each target, or 'auto': as the most likely wrong class"),
        OPTION_TEXT("grid", 0, "K,K,...", &request->grid_text,
                    "numbers of examples to plan for (default 10,20,40,...,1280)"),
        OPTION_COUNT("repeats", 0, "T", &request->repeat_ct, &request->repeat_ct_given,
                     "models to plan for each training set (default 20)"),
        OPTION_COUNT("first-id", 0, "ID", &request->first_id, &request->first_id_given,
                     "model id of the first one of a plan (default 0)"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE FIT [--target J] [options]",
        .description =
            "Estimates how many training examples would have to be removed until models\n"
            "get a target wrong: from the weights of FIT, or with --plan and --actual from\n"
            "models that were really retrained. STORE is a store or a manifest.\n",
        .options = options,
    };

    return fit_query_parse(&request->query, &usage, argc, argv);
}

/* ---- the command line ---- */

static int check_plan_options(const struct request *request)
{
    bool writes_search = request->plan && !request->actual;

    if (request->actual && !request->plan)
        return tool_fail_usage(name, "--actual RUNS goes with --plan DIR, from which they were "
                                     "trained");
    if (writes_search && request->confirm)
        return tool_fail_usage(name, "--plan and --confirm write different plans: use one of them, "
                                     "or give --actual, too");
    if (writes_search && (request->as_json || request->csv_path))
        return tool_fail_usage(name, "--plan without --actual writes a plan and finds nothing to "
                                     "report");
    if (!writes_search && (request->relabel || request->grid_text))
        return tool_fail_usage(name, "--%s goes with the --plan that is to be written",
                               request->relabel ? "relabel" : "grid");
    if (!writes_search && !request->confirm &&
        (request->repeat_ct_given || request->first_id_given))
        return tool_fail_usage(name, "--%s goes with a plan that is to be written",
                               request->repeat_ct_given ? "repeats" : "first-id");
    if (request->repeat_ct == 0)
        return tool_fail_usage(name, "--repeats: at least 1");
    return TOOL_CONTINUE;
}

/* k = 10, 20, 40 ... 1280, as in the paper's Algorithm 1. */
static void set_default_grid(struct request *request)
{
    for (uint64_t k = 10; k <= 1280; k *= 2)
        request->grid[request->grid_ct++] = k;
}

/* Puts what was given as words and numbers into the request. */
static int interpret(struct request *request)
{
    struct fit_query *query = &request->query;
    int status = check_plan_options(request);

    if (status != TOOL_CONTINUE)
        return status;
    if (request->all && query->targets)
        return tool_fail_usage(name, "--all and --target cannot both be given");
    if (request->all || (!query->targets && !request->actual))
        query->targets = "all";
    status = tool_check_csv(name, request->csv_path, request->as_json);
    if (status != TOOL_CONTINUE)
        return status;
    if (!request->grid_text) {
        set_default_grid(request);
        return TOOL_CONTINUE;
    }
    request->grid_ct = support_grid_parse(request->grid_text, request->grid);
    if (request->grid_ct == 0)
        return tool_fail_usage(
            name, "--grid: '%s' is not a list of at most %d increasing numbers above 0",
            request->grid_text, SUPPORT_GRID_MAX);
    return TOOL_CONTINUE;
}

/* ---- what estimates are made with ---- */

static void set_options(const struct request *request, const int64_t *self, size_t self_ct,
                        struct dms_support_options *options)
{
    static const enum dms_m0_source sources[] = {DMS_M0_AUTO, DMS_M0_CONTROL_RUNS,
                                                 DMS_M0_DATAMODEL};
    const struct index_names *targets_are = &request->query.targets_are;

    dms_support_options_init(options);
    options->m0 = sources[request->m0];
    options->labels = targets_are->labels;
    options->label_ct = targets_are->labels ? (size_t)targets_are->count : 0;
    options->self = self;
    options->self_ct = self_ct;
    options->thread_ct = request->thread_ct;
}

/* ---- estimates ---- */

/* Whether an M0 that a datamodel predicts is outside of what it was trained on. */
static int find_extrapolation(const struct request *request, struct support_estimates *estimates)
{
    const struct fit_query *query = &request->query;
    uint64_t example_ct = query->header->example_ct;
    char all[TOOL_HUMAN_BYTES], trained[EXTRAPOLATION_RANGE_BYTES];
    struct dms_subset_sizes sizes;
    bool predicted = false;
    int code;

    for (size_t i = 0; i < query->position_ct && !predicted; i++)
        predicted = estimates->supports[i].m0_source == DMS_M0_DATAMODEL;
    if (!predicted)
        return 0;
    code = dms_fit_subset_sizes(query->snapshot, query->fit, request->thread_ct, &sizes);
    if (code < 0)
        return code;
    estimates->extrapolates = dms_subsets_extrapolate(&sizes, example_ct, example_ct);
    if (estimates->extrapolates)
        tool_warn(name,
                  "M0 is what the datamodel predicts for all %s examples, and it was trained on "
                  "subsets of %s: it extrapolates, and its level is not to be trusted (control "
                  "runs in the store would tell)",
                  tool_human_count(example_ct, all),
                  extrapolation_range(sizes.smallest, sizes.largest, trained));
    return 0;
}

static int estimate_from_weights(const struct request *request,
                                 const struct dms_support_options *options,
                                 struct support_estimates *estimates)
{
    const struct fit_query *query = &request->query;
    int code;

    estimates->supports = calloc(query->position_ct + 1, sizeof(*estimates->supports));
    if (!estimates->supports)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu targets",
                               query->position_ct);
    code = dms_support_estimate(query->snapshot, query->fit, query->positions, query->position_ct,
                                options, estimates->supports);
    return code < 0 ? code : find_extrapolation(request, estimates);
}

/* Makes the points of one target of its means: the control models, then the sets of the plan. */
static int search_target(const struct support_runs *runs, size_t place,
                         struct support_estimates *estimates)
{
    const struct fit_query *query = estimates->query;
    struct dms_support *support = &estimates->supports[place];
    struct dms_support_point *points = estimates->points + estimates->first_points[place];
    const struct support_mean *means;
    struct dms_fitted_target target;
    size_t mean_ct;
    int code = fit_query_target(query, place, &target);

    if (code < 0)
        return code;
    mean_ct = support_runs_find(runs, target.target, &means);
    estimates->first_points[place + 1] = estimates->first_points[place] + mean_ct;
    for (size_t i = 0; i < mean_ct; i++) {
        points[i] =
            (struct dms_support_point){means[i].row.k, means[i].run_ct, means[i].output, NAN};
        if (estimates->labels && means[i].row.has_label)
            estimates->labels[place] = means[i].row.label;
    }
    support->target = target.target;
    if (points[0].run_ct > 0)
        return dms_support_search(points, mean_ct, query->header->example_ct, support);
    support->m0 = NAN;
    support->m0_source = DMS_M0_CONTROL_RUNS;
    return 0;
}

static int estimate_by_search(const struct request *request, const struct support_runs *runs,
                              struct support_estimates *estimates)
{
    size_t target_ct = request->query.position_ct;
    int code = 0;

    estimates->runs = runs;
    estimates->runs_path = request->actual;
    estimates->supports = calloc(target_ct + 1, sizeof(*estimates->supports));
    estimates->points = calloc(runs->mean_ct + 1, sizeof(*estimates->points));
    estimates->first_points = calloc(target_ct + 1, sizeof(*estimates->first_points));
    if (runs->relabels)
        estimates->labels = calloc(target_ct + 1, sizeof(*estimates->labels));
    if (!estimates->supports || !estimates->points || !estimates->first_points ||
        (runs->relabels && !estimates->labels))
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu targets", target_ct);
    for (size_t i = 0; code == 0 && i < target_ct; i++)
        code = search_target(runs, i, estimates);
    return code;
}

/* ---- plans ---- */

static void print_plan(const char *directory, uint64_t target_ct, uint64_t row_ct)
{
    char targets[TOOL_HUMAN_BYTES], rows[TOOL_HUMAN_BYTES];

    printf("%s: %s models to train for %s target%s\n", directory, tool_human_count(row_ct, rows),
           tool_human_count(target_ct, targets), tool_plural(target_ct));
}

static int write_search_plan(const struct request *request,
                             const struct dms_support_options *options)
{
    const struct fit_query *query = &request->query;
    struct support_plan plan = {
        .directory = request->plan,
        .first_id = request->first_id,
        .repeat_ct = request->repeat_ct,
    };
    int64_t *classes = NULL;
    uint64_t row_ct;
    int code =
        request->relabel ? support_classes_find(query, options, request->relabel, &classes) : 0;

    plan.labels = classes;
    if (code == 0)
        code = support_plan_search(query, &plan, request->grid, request->grid_ct, &row_ct);
    if (code == 0)
        print_plan(request->plan, query->position_ct, row_ct);
    free(classes);
    return code;
}

static int write_confirm_plan(const struct request *request,
                              const struct support_estimates *estimates)
{
    struct support_plan plan = {
        .directory = request->confirm,
        .first_id = request->first_id,
        .repeat_ct = request->repeat_ct,
        .labels = estimates->labels,
    };
    uint64_t planned_ct, row_ct;
    int code =
        support_plan_confirm(&request->query, &plan, estimates->supports, &planned_ct, &row_ct);

    /* Standard output may be JSON. */
    if (code == 0 && !request->as_json && !request->csv_path)
        print_plan(request->confirm, planned_ct, row_ct);
    return code;
}

/* ---- reports ---- */

static bool csv_is_printed(const struct request *request)
{
    return request->csv_path && strcmp(request->csv_path, "-") == 0;
}

static int report(const struct request *request, const struct support_estimates *estimates)
{
    size_t text_ct = request->query.position_ct == 1 ? 10 : 0;
    size_t limit = request->example_ct_given ? (size_t)request->example_ct
                   : request->as_json        ? SIZE_MAX
                                             : text_ct;
    int code = request->csv_path ? support_write_csv(estimates, request->csv_path) : 0;

    if (code == 0 && request->as_json)
        code = support_print_json(estimates, limit);
    else if (code == 0 && !csv_is_printed(request))
        code = support_print(estimates, limit);
    if (code == 0 && request->confirm)
        code = write_confirm_plan(request, estimates);
    return code;
}

static int report_confirmed(const struct request *request, const struct support_runs *runs)
{
    const struct fit_query *query = &request->query;
    int code = request->csv_path ? support_write_confirmed_csv(query, runs, request->csv_path) : 0;

    if (code == 0 && request->as_json)
        support_print_confirmed_json(query, runs);
    else if (code == 0 && !csv_is_printed(request))
        support_print_confirmed(query, runs, request->actual);
    return code;
}

/* ---- what is asked ---- */

static int ask_weights(const struct request *request, const struct dms_support_options *options)
{
    struct support_estimates estimates = {.query = &request->query};
    int code = estimate_from_weights(request, options, &estimates);

    if (code == 0)
        code = report(request, &estimates);
    support_estimates_free(&estimates);
    return code;
}

static int open_runs(const struct request *request, const struct dms_support_options *options,
                     dms_retrained **retrained)
{
    const struct fit_query *query = &request->query;
    struct dms_retrained_options retrained_options;
    int code = support_classes_check_labels(query, "read what retrained models put out");

    dms_retrained_options_init(&retrained_options);
    retrained_options.labels = options->labels;
    retrained_options.label_ct = options->label_ct;
    retrained_options.thread_ct = options->thread_ct;
    return code < 0 ? code
                    : dms_retrained_open(request->actual, query->snapshot, query->fit,
                                         &retrained_options, retrained);
}

static int read_runs(const struct request *request, const struct dms_support_options *options,
                     const struct removal_plan *plan, struct support_runs *runs)
{
    const struct fit_query *query = &request->query;
    uint64_t *targets = calloc(query->position_ct + 1, sizeof(*targets));
    dms_retrained *retrained = NULL;
    int code = targets ? 0 : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");

    for (size_t i = 0; code == 0 && i < query->position_ct; i++) {
        struct dms_fitted_target target;

        code = fit_query_target(query, i, &target);
        if (code == 0)
            targets[i] = target.target;
    }
    if (code == 0)
        code = open_runs(request, options, &retrained);
    if (code == 0)
        code = support_runs_read(plan, retrained, targets, query->position_ct, runs);
    if (code == 0)
        code = plan_check_masks(name, request->plan, plan, targets, query->position_ct, retrained,
                                query->header->example_ct);
    dms_retrained_close(retrained);
    free(targets);
    return code;
}

/* Of a plan those targets are meant that are asked for, else all of it. */
static int choose_planned(struct fit_query *query, const struct support_runs *runs)
{
    bool is_listed = query->targets && !index_list_is_range(query->targets);
    size_t kept_ct = 0;
    int code = 0;

    if (!query->targets) {
        query->positions = calloc(runs->target_ct, sizeof(*query->positions));
        if (!query->positions)
            return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the targets of a plan");
        for (size_t i = 0; code == 0 && i < runs->target_ct; i++)
            code = dms_fit_find(query->fit, runs->targets[i], &query->positions[i]);
        query->position_ct = runs->target_ct;
        return code;
    }
    for (size_t i = 0; code == 0 && i < query->position_ct; i++) {
        struct dms_fitted_target target;

        code = fit_query_target(query, i, &target);
        if (code == 0 && support_runs_plan(runs, target.target))
            query->positions[kept_ct++] = query->positions[i];
        else if (code == 0 && is_listed)
            code = dms_source_fail(DMS_ERR_NOT_FOUND, "the plan has no models for target %" PRIu64,
                                   target.target);
    }
    query->position_ct = kept_ct;
    if (code == 0 && kept_ct == 0)
        code = dms_source_fail(DMS_ERR_NOT_FOUND, "the plan has none of the targets %s",
                               query->targets);
    return code;
}

static int ask_runs(struct request *request, const struct dms_support_options *options)
{
    struct support_estimates estimates = {.query = &request->query};
    struct removal_plan plan = {0};
    struct support_runs runs = {0};
    int code = removal_plan_read(request->plan, request->query.header->target_ct, &plan);

    if (code == 0)
        code = support_runs_begin(&plan, &runs);
    if (code == 0)
        code = choose_planned(&request->query, &runs);
    if (code == 0)
        code = read_runs(request, options, &plan, &runs);
    if (code == 0 && runs.confirms && request->confirm)
        code = dms_source_fail(DMS_ERR_INVALID,
                               "the plan in '%s' confirms estimates already: --confirm follows a "
                               "search",
                               request->plan);
    else if (code == 0 && runs.confirms)
        code = report_confirmed(request, &runs);
    else if (code == 0)
        code = estimate_by_search(request, &runs, &estimates);
    if (code == 0 && !runs.confirms)
        code = report(request, &estimates);
    support_estimates_free(&estimates);
    support_runs_free(&runs);
    removal_plan_free(&plan);
    return code;
}

static int run(struct request *request)
{
    struct fit_query *query = &request->query;
    struct dms_support_options options;
    int64_t *self = NULL;
    size_t self_ct = 0;
    int code = fit_query_open(query);

    if (code == 0 && request->self)
        code = fit_array_integers(request->self, "example", &self, &self_ct);
    if (code == 0) {
        set_options(request, self, self_ct, &options);
        if (request->actual)
            code = ask_runs(request, &options);
        else if (request->plan)
            code = write_search_plan(request, &options);
        else
            code = ask_weights(request, &options);
    }
    free(self);
    fit_query_close(query);
    return code;
}

int command_support(int argc, char **argv)
{
    struct request request = {.repeat_ct = 20};
    int status = parse(argc, argv, &request);

    if (status == TOOL_CONTINUE)
        status = interpret(&request);
    if (status != TOOL_CONTINUE)
        return status;
    return tool_finish_output(name, run(&request) < 0 ? tool_fail_library(name) : TOOL_OK);
}
