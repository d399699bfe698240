/*
 * dmstore select: chooses the training examples that minimise or maximise the mean predicted output
 * over targets.
 */
#include "commands.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "extrapolation.h"
#include "fit_arrays.h"
#include "fit_query.h"
#include "index_list.h"
#include "npy_file.h"
#include "options.h"
#include "output_file.h"
#include "report.h"

static const char name[] = "select";

/* How many of the chosen examples people see. */
#define SHOWN_EXAMPLE_CT 10

/* The command line, and what its files hold. */
struct request {
    struct fit_query query;
    uint64_t example_ct;
    bool has_example_ct, minimize, maximize, as_json;
    const char *excluded_path, *weights_path, *classes_path;
    const char *list_path, *mask_path;
    struct dms_select_options options;
    struct index_list excluded;
    double *target_weights;
    int64_t *classes;
    bool extrapolates; /* the fit was trained on subsets of other sizes */
};

static int parse(int argc, char **argv, struct request *request)
{
    struct fit_query *query = &request->query;
    const struct tool_option options[] = {
        OPTION_COUNT("count", 'k', "K", &request->example_ct, &request->has_example_ct,
                     "how many examples to choose"),
        OPTION_FLAG("minimize", 0, &request->minimize,
                    "choose those that make the mean output smallest (of losses: the best data)"),
        OPTION_FLAG("maximize", 0, &request->maximize,
                    "choose those that make it largest (of margins: the best data)"),
        OPTION_TEXT("targets", 0, "J", &query->targets,
                    "target J, targets A:B, 'all' (default), or those that @FILE lists"),
        OPTION_TEXT(
            "weights", 0, "FILE", &request->weights_path,
            ".npy of what each of these targets counts in the mean (default: all the same)"),
        OPTION_TEXT("exclude", 0, "I", &request->excluded_path,
                    "example I, examples A:B, or those that @FILE lists may not be chosen"),
        OPTION_TEXT("per-class", 0, "FILE", &request->classes_path,
                    ".npy of the training examples' classes: choose as many of each"),
        OPTION_TEXT("names", 0, "FILE", &query->names,
                    "names of the training examples: text, a line each"),
        OPTION_TEXT("labels", 0, "FILE", &query->labels, ".npy of the training examples' classes"),
        OPTION_TEXT("output", 'o', "FILE", &request->list_path,
                    "write the examples, best first, as .npy or .csv"),
        OPTION_TEXT("mask", 0, "FILE", &request->mask_path,
                    "write a .npy mask of the training set: true where an example was chosen"),
        OPTION_FLAG("json", 0, &request->as_json, "print the selection as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE FIT -k K (--minimize | --maximize) [options]",
        .description =
            "Chooses the K training examples of which a fit of STORE (a store or a manifest)\n"
            "predicts the smallest or largest mean output over targets.\n",
        .options = options,
    };
    int status = fit_query_parse(query, &usage, argc, argv);

    if (status != TOOL_CONTINUE)
        return status;
    if (request->minimize == request->maximize)
        return tool_fail_usage(name, "give either --minimize or --maximize");
    if (!request->has_example_ct || request->example_ct == 0)
        return tool_fail_usage(name, "-k K is missing: how many examples to choose");
    if (request->as_json && request->list_path && strcmp(request->list_path, "-") == 0)
        return tool_fail_usage(name, "--json and -o - cannot both be printed");
    if (request->mask_path && strcmp(request->mask_path, "-") == 0)
        return tool_fail_usage(name, "--mask: an array is not printed, name a file");
    return TOOL_CONTINUE;
}

/* ---- inputs ---- */

static int read_weights(struct request *request)
{
    size_t weight_ct;
    int code =
        fit_array_doubles(request->weights_path, "weight", &request->target_weights, &weight_ct);

    if (code == 0 && weight_ct != request->query.position_ct)
        code = dms_source_fail(DMS_ERR_INVALID, "'%s' has %zu weights for %zu targets",
                               request->weights_path, weight_ct, request->query.position_ct);
    return code;
}

static int read_classes(struct request *request)
{
    uint64_t example_ct = request->query.header->example_ct;
    size_t class_ct;
    int code = fit_array_integers(request->classes_path, "class", &request->classes, &class_ct);

    if (code == 0 && class_ct != example_ct)
        code = dms_source_fail(DMS_ERR_INVALID, "'%s' has %zu classes for %" PRIu64 " examples",
                               request->classes_path, class_ct, example_ct);
    return code;
}

static int read_inputs(struct request *request)
{
    struct dms_select_options *options = &request->options;
    int code = request->weights_path ? read_weights(request) : 0;

    if (code == 0 && request->classes_path)
        code = read_classes(request);
    if (code == 0 && request->excluded_path)
        code = index_list_parse(request->excluded_path, "example",
                                request->query.header->example_ct, &request->excluded);
    dms_select_options_init(options);
    options->direction = request->maximize ? DMS_SELECT_MAXIMIZE : DMS_SELECT_MINIMIZE;
    options->example_ct = request->example_ct;
    options->target_weights = request->target_weights;
    options->excluded = request->excluded.indices;
    options->excluded_ct = request->excluded.index_ct;
    options->classes = request->classes;
    return code;
}

/* ---- files ---- */

static int write_csv(const struct request *request, const struct dms_selection *selection)
{
    const struct index_names *names = &request->query.examples_are;
    struct output_file output = {0};
    FILE *stream = NULL;
    int code = output_file_create(&output, request->list_path);

    if (code == 0)
        stream = output_file_stream(&output);
    if (stream) {
        fputs("example,weight", stream);
        index_names_csv_head(names, "", stream);
        putc('\n', stream);
    }
    for (size_t i = 0; stream && i < selection->example_ct; i++) {
        fprintf(stream, "%" PRIu64 ",%.17g", selection->examples[i], selection->weights[i]);
        index_names_csv(names, selection->examples[i], stream);
        putc('\n', stream);
    }
    return output_file_end_stream(&output, stream, code);
}

static int write_mask(const struct request *request, const struct dms_selection *selection)
{
    const uint64_t dimensions[] = {request->query.header->example_ct};
    uint8_t *mask = calloc((size_t)dimensions[0], 1);
    int code;

    if (!mask)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for a mask");
    for (size_t i = 0; i < selection->example_ct; i++)
        mask[selection->examples[i]] = 1;
    code = npy_write(request->mask_path, 'b', 1, 1, dimensions, mask);
    free(mask);
    return code;
}

static int write_files(const struct request *request, const struct dms_selection *selection)
{
    const uint64_t dimensions[] = {selection->example_ct};
    int code = 0;

    if (request->list_path)
        code = npy_is_path(request->list_path)
                   ? npy_write(request->list_path, 'i', 8, 1, dimensions, selection->examples)
                   : write_csv(request, selection);
    return code == 0 && request->mask_path ? write_mask(request, selection) : code;
}

/* ---- the report ---- */

static void print_output(const char *label, double value)
{
    if (isnan(value))
        printf("  %-34s not known\n", label);
    else
        printf("  %-34s %10.6g\n", label, value);
}

static void print(const struct request *request, const struct dms_selection *selection)
{
    const struct fit_query *query = &request->query;
    size_t shown =
        selection->example_ct < SHOWN_EXAMPLE_CT ? selection->example_ct : SHOWN_EXAMPLE_CT;
    char count[TOOL_HUMAN_BYTES], all[TOOL_HUMAN_BYTES];

    printf("%s: %s of %s examples that %s the mean output of %zu target%s\n", query->fit_name,
           tool_human_count(selection->example_ct, count),
           tool_human_count(selection->available_ct, all),
           request->maximize ? "maximize" : "minimize", query->position_ct,
           tool_plural(query->position_ct));
    puts("predicted mean output");
    print_output("of these examples", selection->bias + selection->weight_sum);
    print_output("of as many at random", selection->bias + selection->random_weight_sum);
    print_output("of the whole training set", selection->bias + selection->full_weight_sum);
    print_output("these minus random", selection->weight_sum - selection->random_weight_sum);
    printf("first %zu\n", shown);
    for (size_t i = 0; i < shown; i++) {
        printf("  %8" PRIu64 " %+13.6g", selection->examples[i], selection->weights[i]);
        index_names_print(&query->examples_are, selection->examples[i], stdout);
        putchar('\n');
    }
}

static void print_json(const struct request *request, const struct dms_selection *selection)
{
    const struct fit_query *query = &request->query;
    struct json_writer json;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_text(&json, "store", query->store);
    json_text(&json, "fit", query->fit_name);
    json_u64(&json, "k", selection->example_ct);
    json_text(&json, "direction", request->maximize ? "maximize" : "minimize");
    json_u64(&json, "target_count", query->position_ct);
    json_u64(&json, "available", selection->available_ct);
    json_double(&json, "mean_output", selection->bias + selection->weight_sum);
    json_double(&json, "mean_output_random", selection->bias + selection->random_weight_sum);
    json_double(&json, "mean_output_all", selection->bias + selection->full_weight_sum);
    json_double(&json, "difference_to_random",
                selection->weight_sum - selection->random_weight_sum);
    json_bool(&json, "extrapolates", request->extrapolates);
    json_array_open(&json, "examples");
    for (size_t i = 0; i < selection->example_ct; i++) {
        json_object_open(&json, NULL);
        json_u64(&json, "example", selection->examples[i]);
        json_double(&json, "weight", selection->weights[i]);
        index_names_json(&query->examples_are, selection->examples[i], &json);
        json_object_close(&json);
    }
    json_array_close(&json);
    json_object_close(&json);
    json_end(&json);
}

/* Warns where K is none of the sizes of subsets that the fit has learned from. */
static int check_size(struct request *request)
{
    const struct fit_query *query = &request->query;
    struct dms_subset_sizes sizes;
    int code = dms_fit_subset_sizes(query->snapshot, query->fit, 0, &sizes);

    if (code < 0)
        return code;
    request->extrapolates = extrapolation_warn(name, "the selection has", request->example_ct,
                                               request->example_ct, &sizes);
    return 0;
}

static int select_examples(struct request *request)
{
    const struct fit_query *query = &request->query;
    struct dms_selection *selection = NULL;
    int code =
        dms_select(query->fit, query->positions, query->position_ct, &request->options, &selection);

    if (code == 0)
        code = check_size(request);
    if (code == 0)
        code = write_files(request, selection);
    if (code == 0 && request->as_json)
        print_json(request, selection);
    else if (code == 0 && !(request->list_path && strcmp(request->list_path, "-") == 0))
        print(request, selection);
    dms_selection_free(selection);
    return code;
}

int command_select(int argc, char **argv)
{
    struct request request = {.query.targets = "all"};
    int code, status = parse(argc, argv, &request);

    if (status != TOOL_CONTINUE)
        return status;
    code = fit_query_open(&request.query);
    if (code == 0)
        code = read_inputs(&request);
    if (code == 0)
        code = select_examples(&request);
    fit_query_close(&request.query);
    index_list_free(&request.excluded);
    free(request.target_weights);
    free(request.classes);
    return tool_finish_output(name, code < 0 ? tool_fail_library(name) : TOOL_OK);
}
