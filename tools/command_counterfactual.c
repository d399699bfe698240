/*
 * dmstore counterfactual: what a fit predicts of removing training examples, plans to retrain
 * without them, and what retrained models show.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "counterfactual_list.h"
#include "counterfactual_report.h"
#include "distances.h"
#include "extrapolation.h"
#include "fit_query.h"
#include "options.h"
#include "removal_plan.h"
#include "removal_sets.h"
#include "report.h"

static const char name[] = "counterfactual";

/* What is asked about where neither sets nor retrained models are given. */
static const char *const default_removals[] = {"top:grid", "bottom:grid", "zero:grid",
                                               "random:grid"};

#define DEFAULT_REMOVAL_CT (sizeof(default_removals) / sizeof(default_removals[0]))

/* The command line, and what it opens. */
struct request {
    struct fit_query query;
    struct tool_list remove;
    const char *by, *distances_path, *actual, *plan, *csv_path;
    int metric;
    uint64_t seed, repeat_ct, first_id;
    unsigned thread_ct;
    bool repeats_given, first_id_given, as_json;
    char *by_fit_name; /* of --by, without its target */
    uint64_t by_target;

    struct removal_sets sets;
    struct distances distances;
    dms_fit *by_fit;
    struct dms_fitted_target by_weights;
    dms_retrained *retrained;
    struct dms_retrained_options retrained_options;
    struct counterfactual_list list;
    struct counterfactual_report report;
};

/* ---- command line ---- */

static int parse(int argc, char **argv, struct request *request)
{
    const struct tool_option options[] = {
        FIT_QUERY_TARGET_OPTION(&request->query),
        OPTION_LIST("remove", 0, "WHAT", &request->remove,
                    "remove top:K, bottom:K, zero:K, random:K, class:K or nearest:K examples, or "
                    "those that @FILE lists; K may be 'grid': 10, 20, 40 ... 1280; may be repeated "
                    "(default: top, bottom, zero and random:grid)"),
        OPTION_TEXT("by", 0, "FIT:J", &request->by,
                    "choose examples by the weights of target J of another fit, the same for all "
                    "targets"),
        OPTION_COUNT("seed", 0, "S", &request->seed, NULL, "of random choices (default 0)"),
        OPTION_TEXT("labels", 0, "FILE", &request->query.labels,
                    ".npy of the training examples' classes"),
        OPTION_TEXT("target-labels", 0, "FILE", &request->query.target_labels,
                    ".npy of the targets' classes"),
        OPTION_TEXT("target-names", 0, "FILE", &request->query.target_names,
                    "names of the targets"),
        OPTION_TEXT("distances", 0, "FILE", &request->distances_path,
                    ".npy of distances (targets, examples), or of coordinates of the examples, "
                    "then the targets; for nearest:K"),
        OPTION_CHOICE("metric", 0, "euclidean|haversine", &request->metric, distance_metric_words,
                      "distance of coordinates (default euclidean)"),
        OPTION_TEXT("plan", 0, "DIR", &request->plan,
                    "write DIR/masks.npy and DIR/plan.csv: the models to retrain"),
        OPTION_COUNT("repeats", 0, "T", &request->repeat_ct, &request->repeats_given,
                     "models of each training set in the plan (default 1)"),
        OPTION_COUNT("first-id", 0, "ID", &request->first_id, &request->first_id_given,
                     "model id of the plan's first row (default 0)"),
        OPTION_TEXT("actual", 0, "RUNS", &request->actual,
                    "compare with the retrained models in the store RUNS: without --remove, with "
                    "all of their training sets"),
        OPTION_THREADS(&request->thread_ct, "threads to work with (default: one a processor)"),
        OPTION_TEXT("output", 'o', "FILE", &request->csv_path,
                    "write a line a target and set, as CSV; '-': instead of the report"),
        OPTION_FLAG("json", 0, &request->as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE FIT --target J [options]",
        .description =
            "Predicts how the outputs of FIT on targets change when examples are removed\n"
            "from the full training set: minus the sum of their weights. Plans models that\n"
            "are to be retrained without them, and compares predicted changes with those of\n"
            "models that were.\n",
        .options = options,
    };

    return fit_query_parse(&request->query, &usage, argc, argv);
}

/* Pairs that are there twice would count twice. */
static int check_removals(const struct removal *removals, size_t removal_ct,
                          const char *const *texts)
{
    for (size_t i = 1; i < removal_ct; i++) {
        for (size_t j = 0; j < i; j++) {
            if (removal_overlaps(&removals[i], &removals[j]))
                return tool_fail_usage(name, "--remove %s and --remove %s ask about the same sets",
                                       texts[j], texts[i]);
        }
    }
    return TOOL_CONTINUE;
}

/* Parses --remove, or what stands for it. */
static int parse_removals(struct request *request)
{
    const struct tool_list *given = &request->remove;
    bool is_default = given->item_ct == 0 && !request->actual;
    size_t removal_ct = is_default ? DEFAULT_REMOVAL_CT : given->item_ct;
    const char *const *texts = is_default ? default_removals : given->items;

    request->sets.removals = calloc(removal_ct + 1, sizeof(*request->sets.removals));
    if (!request->sets.removals)
        return tool_fail(name, "out of memory");
    for (; request->sets.removal_ct < removal_ct; request->sets.removal_ct++) {
        const char *text = texts[request->sets.removal_ct];

        if (!removal_parse(text, &request->sets.removals[request->sets.removal_ct]))
            return tool_fail_usage(name,
                                   "--remove: '%s' is neither top, bottom, zero, random, class or "
                                   "nearest with ':K' or ':grid', nor @FILE",
                                   text);
    }
    return check_removals(request->sets.removals, removal_ct, texts);
}

/* Parses "FIT:J". */
static int parse_by(struct request *request)
{
    const char *colon = request->by ? strrchr(request->by, ':') : NULL;

    if (!request->by)
        return TOOL_CONTINUE;
    if (!colon || colon == request->by || !tool_parse_number(colon + 1, 0, &request->by_target))
        return tool_fail_usage(name, "--by: '%s' is not FIT:J, a target J of a fit", request->by);
    request->by_fit_name = strndup(request->by, (size_t)(colon - request->by));
    return request->by_fit_name ? TOOL_CONTINUE : tool_fail(name, "out of memory");
}

static int interpret(struct request *request)
{
    int status;

    if (!request->query.targets)
        return tool_fail_usage(name, "--target J (or A:B, all, @FILE) is needed");
    if (request->plan && request->actual)
        return tool_fail_usage(name, "--plan comes before retraining and --actual after it");
    if (!request->plan && (request->repeats_given || request->first_id_given))
        return tool_fail_usage(name, "--repeats and --first-id go with --plan");
    if (request->repeat_ct == 0)
        return tool_fail_usage(name, "--repeats: at least 1");
    if (request->by && request->actual && request->remove.item_ct == 0)
        return tool_fail_usage(name, "--by chooses what --remove removes: give --remove, too");
    status = tool_check_csv(name, request->csv_path, request->as_json);
    if (status == TOOL_CONTINUE)
        status = parse_by(request);
    return status == TOOL_CONTINUE ? parse_removals(request) : status;
}

/* ---- opening ---- */

static int open_by(struct request *request)
{
    size_t position;
    int code = dms_fit_open(request->query.snapshot, request->by_fit_name, &request->by_fit);

    if (code == 0)
        code = dms_fit_find(request->by_fit, request->by_target, &position);
    if (code == 0)
        code = dms_fit_target(request->by_fit, position, &request->by_weights);
    request->sets.by = &request->by_weights;
    return code;
}

static int open_sets(struct request *request)
{
    const struct dms_fit_header *header = request->query.header;
    struct removal_sets *sets = &request->sets;
    int code = request->by ? open_by(request) : 0;

    if (code == 0 && request->distances_path)
        code = distances_open(&request->distances, request->distances_path,
                              (enum distance_metric)request->metric, header->example_ct,
                              header->target_ct);
    if (code < 0)
        return code;
    sets->example_ct = header->example_ct;
    sets->seed = request->seed;
    sets->examples_are = &request->query.examples_are;
    sets->targets_are = &request->query.targets_are;
    sets->distances = request->distances_path ? &request->distances : NULL;
    return removal_sets_prepare(sets);
}

static int open_retrained(struct request *request)
{
    struct dms_retrained_options *options = &request->retrained_options;
    const char *excludes = dms_fit_problem(request->query.header, "exclude-self");

    dms_retrained_options_init(options);
    if (dms_fit_problem(request->query.header, "labels") && !request->query.targets_are.labels)
        return dms_source_fail(DMS_ERR_INVALID,
                               "fit '%s' was made with labels: give the same (--target-labels)",
                               request->query.fit_name);
    options->labels = request->query.targets_are.labels;
    options->label_ct = options->labels ? request->query.targets_are.count : 0;
    options->thread_ct = request->thread_ct;
    if (excludes && strcmp(excludes, "yes") == 0)
        tool_warn(name,
                  "fit '%s' is about models that have not seen the target itself; retrained "
                  "models count whatever they have seen",
                  request->query.fit_name);
    return dms_retrained_open(request->actual, request->query.snapshot, request->query.fit, options,
                              &request->retrained);
}

static void close_request(struct request *request)
{
    counterfactual_list_free(&request->list);
    dms_retrained_close(request->retrained);
    removal_sets_free(&request->sets);
    distances_close(&request->distances);
    dms_fit_close(request->by_fit);
    fit_query_close(&request->query);
    free(request->sets.removals);
    free(request->by_fit_name);
    tool_list_free(&request->remove);
}

/* ---- the plan ---- */

struct planner {
    struct removal_plan_writer *writer;
    uint64_t repeat_ct;
    bool has_target;
    uint64_t target;
};

static int plan_set(void *context, const struct removed_set *set)
{
    const struct planner *planner = context;
    struct plan_row row = {
        .has_target = planner->has_target, .target = planner->target, .k = set->k};

    if (set->k == planner->writer->example_ct)
        return dms_source_fail(DMS_ERR_INVALID,
                               "--remove %s leaves none of the %" PRIu64 " examples to train on",
                               removal_rule_words[set->removal->rule], set->k);
    snprintf(row.kind, sizeof(row.kind), "%s", removal_rule_words[set->removal->rule]);
    return removal_plan_add_repeats(planner->writer, &row, planner->repeat_ct, set->examples,
                                    set->k);
}

/* Control rows first, then the sets in the order in which they are visited. */
static int plan_rows(struct request *request, struct removal_plan_writer *writer)
{
    struct planner planner = {.writer = writer, .repeat_ct = request->repeat_ct};
    int code = removal_plan_add_controls(writer, request->repeat_ct);

    if (code == 0)
        code = removal_sets_visit(&request->sets, NULL, plan_set, &planner);
    planner.has_target = true;
    for (size_t place = 0; code == 0 && place < request->query.position_ct; place++) {
        struct dms_fitted_target target;

        code = fit_query_target(&request->query, place, &target);
        planner.target = target.target;
        if (code == 0)
            code = removal_sets_visit(&request->sets, &target, plan_set, &planner);
    }
    return code;
}

static int write_plan(struct request *request)
{
    struct removal_plan_writer writer;
    uint64_t row_ct;
    int code;

    if (__builtin_mul_overflow(request->list.set_ct + 1, request->repeat_ct, &row_ct))
        return dms_source_fail(DMS_ERR_INVALID, "too many repeats of %" PRIu64 " sets",
                               request->list.set_ct);
    code = removal_plan_create(&writer, request->plan, request->query.header->example_ct, row_ct,
                               request->first_id);
    if (code < 0)
        return code;
    request->report.plan = request->plan;
    request->report.plan_row_ct = row_ct;
    request->report.first_id = request->first_id;
    return removal_plan_end(&writer, plan_rows(request, &writer));
}

/* ---- the report ---- */

/* Full training sets are larger than those of training, unless those are removed to their size. */
static int check_extrapolation(struct request *request)
{
    uint64_t example_ct = request->query.header->example_ct;
    struct dms_subset_sizes sizes;
    int code = dms_fit_subset_sizes(request->query.snapshot, request->query.fit, request->thread_ct,
                                    &sizes);

    if (code < 0 || request->list.set_ct == 0)
        return code;
    request->report.extrapolates = extrapolation_warn(
        name, "these training sets have", request->list.smallest_subset, example_ct, &sizes);
    return 0;
}

static int print_report(struct request *request)
{
    int code = check_extrapolation(request);

    if (code == 0 && request->csv_path)
        code = counterfactual_write_csv(&request->report, request->csv_path);
    if (code == 0 && request->as_json)
        code = counterfactual_print_json(&request->report);
    else if (code == 0 && (!request->csv_path || strcmp(request->csv_path, "-") != 0))
        code = counterfactual_print(&request->report);
    return code;
}

static int run(struct request *request)
{
    bool of_masks = request->actual && request->remove.item_ct == 0;
    int code = fit_query_open(&request->query);

    if (code == 0)
        code = fit_query_check_outputs(&request->query);
    if (code == 0)
        code = open_sets(request);
    if (code == 0 && request->actual)
        code = open_retrained(request);
    if (code == 0)
        code = of_masks ? counterfactual_list_collect_masks(&request->query, request->retrained,
                                                            &request->list)
                        : counterfactual_list_collect(&request->query, &request->sets,
                                                      request->retrained, &request->list);
    if (code == 0 && request->actual)
        code = counterfactual_list_read_actual(&request->query, request->retrained,
                                               &request->retrained_options, &request->list);
    request->report = (struct counterfactual_report){
        .query = &request->query,
        .list = &request->list,
        .seed = request->seed,
        .by_fit = request->by_fit_name,
        .by_target = request->by_target,
    };
    if (code == 0 && request->plan)
        code = write_plan(request);
    return code < 0 ? code : print_report(request);
}

int command_counterfactual(int argc, char **argv)
{
    struct request request = {.repeat_ct = 1};
    int status = parse(argc, argv, &request);

    if (status == TOOL_CONTINUE)
        status = interpret(&request);
    if (status == TOOL_CONTINUE)
        status = tool_finish_output(name, run(&request) < 0 ? tool_fail_library(name) : TOOL_OK);
    close_request(&request);
    return status;
}
