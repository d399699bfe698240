/*
 * dmstore top: the training examples with the largest, or the most negative, weights in the
 * datamodels of targets.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "fit_query.h"
#include "json.h"
#include "options.h"
#include "output_file.h"
#include "report.h"

static const char name[] = "top";

struct request {
    struct fit_query query;
    uint64_t k;
    bool all_targets, negative, as_json;
    const char *csv_path;
};

/* The best examples of one target after another. */
struct top {
    const struct request *request;
    const struct fit_query *query;
    struct dms_weighted_example *examples; /* capacity */
    size_t capacity;
    struct dms_fitted_target target; /* the one whose examples these are */
    size_t example_ct;
    struct json_writer json;
    struct output_file csv;
    FILE *stream; /* of csv */
};

/* ---- the command line ---- */

static int check(struct request *request)
{
    if (request->all_targets && request->query.targets)
        return tool_fail_usage(name, "--target and --all-targets cannot both be given");
    if (request->all_targets)
        request->query.targets = "all";
    if (!request->query.targets)
        return tool_fail_usage(name, "--target J (or --all-targets) is needed");
    if (request->k == 0 || request->k > UINT32_MAX)
        return tool_fail_usage(name, "-k: 1 to %u examples", UINT32_MAX);
    return tool_check_csv(name, request->csv_path, request->as_json);
}

static int parse(int argc, char **argv, struct request *request)
{
    const struct tool_option options[] = {
        FIT_QUERY_TARGET_OPTION(&request->query),
        OPTION_FLAG("all-targets", 0, &request->all_targets, "all fitted targets"),
        OPTION_COUNT("count", 'k', "K", &request->k, NULL, "examples of each target (default 10)"),
        OPTION_FLAG("negative", 0, &request->negative,
                    "the most negative weights: the examples that do the most harm"),
        FIT_QUERY_NAME_OPTIONS(&request->query),
        OPTION_TEXT("output", 'o', "FILE", &request->csv_path,
                    "write a table with one line an example, as CSV; '-': instead of the report"),
        OPTION_FLAG("json", 0, &request->as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE FIT --target J [-k 10] [--negative] [options]",
        .description =
            "Prints the training examples that have the largest positive weights in the\n"
            "datamodels of targets, those that the models take to be most like the target.\n",
        .options = options,
    };
    int status = fit_query_parse(&request->query, &usage, argc, argv);

    return status == TOOL_CONTINUE ? check(request) : status;
}

/* ---- one target ---- */

/* Finds the examples of the target at a place of the query. */
static int find(struct top *top, size_t place)
{
    const struct request *request = top->request;
    enum dms_weight_sign sign = request->negative ? DMS_NEGATIVE_WEIGHTS : DMS_POSITIVE_WEIGHTS;
    int code = fit_query_target(top->query, place, &top->target);
    size_t k;

    if (code < 0)
        return code;
    k = request->k < top->target.weight_ct ? request->k : top->target.weight_ct;
    if (k > top->capacity) {
        free(top->examples);
        top->examples = malloc(k * sizeof(*top->examples));
        top->capacity = top->examples ? k : 0;
        if (!top->examples)
            return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu examples", k);
    }
    return dms_fit_top(top->query->fit, &top->query->positions[place], 1, k, sign, top->examples,
                       &top->example_ct);
}

static uint64_t count_of_sign(const struct top *top)
{
    uint64_t count = 0;

    for (size_t i = 0; i < top->target.weight_ct; i++)
        count += (top->target.weights[i] < 0) == top->request->negative;
    return count;
}

static void print(const struct top *top)
{
    const char *sign = top->request->negative ? "negative" : "positive";
    uint64_t count = count_of_sign(top);
    char all[TOOL_HUMAN_BYTES];

    printf("target %" PRIu64, top->target.target);
    index_names_print_aside(&top->query->targets_are, top->target.target, stdout);
    if (count == 0)
        printf(": no %s weights\n", sign);
    else if (top->example_ct < count)
        printf(": %zu of %s %s weights\n", top->example_ct, tool_human_count(count, all), sign);
    else
        printf(": %s %s weight%s, no more\n", tool_human_count(count, all), sign,
               tool_plural(count));
    for (size_t i = 0; i < top->example_ct; i++) {
        const struct dms_weighted_example *example = &top->examples[i];

        printf("%9" PRIu32 "  %12.6g", example->example, example->weight);
        index_names_print(&top->query->examples_are, example->example, stdout);
        putchar('\n');
    }
}

static void write_json(struct top *top)
{
    struct json_writer *json = &top->json;

    json_object_open(json, NULL);
    json_u64(json, "target", top->target.target);
    index_names_json(&top->query->targets_are, top->target.target, json);
    json_array_open(json, "examples");
    for (size_t i = 0; i < top->example_ct; i++) {
        json_object_open(json, NULL);
        json_u64(json, "example", top->examples[i].example);
        index_names_json(&top->query->examples_are, top->examples[i].example, json);
        json_double(json, "weight", top->examples[i].weight);
        json_object_close(json);
    }
    json_array_close(json);
    json_object_close(json);
}

static void write_csv(struct top *top)
{
    for (size_t i = 0; i < top->example_ct; i++) {
        const struct dms_weighted_example *example = &top->examples[i];

        fprintf(top->stream, "%" PRIu64, top->target.target);
        index_names_csv(&top->query->targets_are, top->target.target, top->stream);
        fprintf(top->stream, ",%zu,%" PRIu32, i + 1, example->example);
        index_names_csv(&top->query->examples_are, example->example, top->stream);
        fprintf(top->stream, ",%.17g\n", example->weight);
    }
}

/* ---- all of them ---- */

static int begin(struct top *top)
{
    const struct request *request = top->request;
    int code = request->csv_path
                   ? output_file_begin_stream(&top->csv, request->csv_path, &top->stream)
                   : 0;

    if (code == 0 && request->csv_path) {
        fputs("target", top->stream);
        index_names_csv_head(&top->query->targets_are, "target_", top->stream);
        fputs(",rank,example", top->stream);
        index_names_csv_head(&top->query->examples_are, "", top->stream);
        fputs(",weight\n", top->stream);
    }
    if (code == 0 && request->as_json) {
        json_begin(&top->json, stdout);
        json_object_open(&top->json, NULL);
        json_text(&top->json, "fit", top->query->fit_name);
        json_text(&top->json, "output", top->query->header->output);
        json_array_open(&top->json, "targets");
    }
    return code;
}

static int end(struct top *top, int code)
{
    if (top->request->csv_path)
        code = output_file_end_stream(&top->csv, top->stream, code);
    if (code == 0 && top->request->as_json) {
        json_array_close(&top->json);
        json_object_close(&top->json);
        json_end(&top->json);
    }
    free(top->examples);
    return code;
}

static int run(struct request *request)
{
    struct top top = {.request = request, .query = &request->query};
    bool is_instead = request->csv_path && strcmp(request->csv_path, "-") == 0;
    int code = fit_query_open(&request->query);

    if (code == 0)
        code = begin(&top);
    for (size_t i = 0; code == 0 && i < request->query.position_ct; i++) {
        code = find(&top, i);
        if (code < 0)
            break;
        if (top.stream)
            write_csv(&top);
        if (request->as_json)
            write_json(&top);
        else if (!is_instead)
            print(&top);
    }
    return end(&top, code);
}

int command_top(int argc, char **argv)
{
    struct request request = {.k = 10};
    int code, status = parse(argc, argv, &request);

    if (status != TOOL_CONTINUE)
        return status;
    code = run(&request);
    fit_query_close(&request.query);
    return tool_finish_output(name, code < 0 ? tool_fail_library(name) : TOOL_OK);
}
