/*
 * dmstore leakage: pairs of a target and a training example that may be the same, by weights that
 * stand out; and, where it is known what is near, how good such a list is.
 */
#include "commands.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "detection_report.h"
#include "distances.h"
#include "fit_query.h"
#include "json.h"
#include "options.h"
#include "output_file.h"
#include "report.h"

static const char name[] = "leakage";

#define CONTEXT_CT 10     /* weights of the target that are shown with a candidate */
#define CONTEXT_LINE_CT 5 /* of them in a line */
#define LEAK_MAX 1000000  /* that may be asked for */

struct request {
    struct fit_query query;
    const char *threshold_text, *score_text, *radius_text;
    const char *distances;
    int metric;
    const char *csv_path, *curve_path;
    bool as_json;
    double radius; /* NaN: not given */
    uint64_t leak_max;
    struct dms_leak_options options;
};

/* A candidate as it is told. */
struct candidate {
    struct dms_leak leak;
    double distance; /* NaN: not known */
    struct dms_weighted_example context[CONTEXT_CT];
    size_t context_ct;
};

struct leakage {
    const struct request *request;
    const struct fit_query *query;
    struct distances distances;
    double *to_examples; /* distances of a target; NULL: not known */
    struct candidate *candidates;
    size_t candidate_ct;
    uint64_t found_ct;
    struct dms_detection_curve curve;
};

/* ---- the command line ---- */

/* Sets *value if the option was given; a number that is not negative. */
static int parse_real(const char *option, const char *text, double *value)
{
    double read;

    if (!text)
        return TOOL_CONTINUE;
    if (!tool_parse_real(text, &read) || read < 0)
        return tool_fail_usage(name, "--%s: '%s' is not a number, 0 or more", option, text);
    *value = read;
    return TOOL_CONTINUE;
}

static bool is_printed(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

static int interpret(struct request *request)
{
    struct dms_leak_options *options = &request->options;
    int status = parse_real("threshold", request->threshold_text, &options->least_weight);

    if (status == TOOL_CONTINUE && request->threshold_text)
        options->least_score = 0; /* instead, unless --score says otherwise */
    if (status == TOOL_CONTINUE)
        status = parse_real("score", request->score_text, &options->least_score);
    if (status == TOOL_CONTINUE)
        status = parse_real("radius", request->radius_text, &request->radius);
    if (status != TOOL_CONTINUE)
        return status;
    if (request->leak_max > LEAK_MAX)
        return tool_fail_usage(name, "-k: at most %d candidates", LEAK_MAX);
    if ((request->radius_text || request->metric >= 0) && !request->distances)
        return tool_fail_usage(name, "--radius and --metric go with --distances FILE");
    if (request->curve_path && !request->radius_text)
        return tool_fail_usage(name, "--curve wants --radius R, within which pairs are true");
    if (is_printed(request->curve_path) && (request->as_json || is_printed(request->csv_path)))
        return tool_fail_usage(name, "--curve - and %s cannot both be printed",
                               request->as_json ? "--json" : "-o -");
    status = tool_check_csv(name, request->csv_path, request->as_json);
    if (status == TOOL_CONTINUE)
        status = tool_check_csv(name, request->curve_path, false);
    if (status != TOOL_CONTINUE)
        return status;
    options->leak_max = (size_t)request->leak_max;
    return TOOL_CONTINUE;
}

static int parse(int argc, char **argv, struct request *request)
{
    const struct tool_option options[] = {
        FIT_QUERY_TARGET_OPTION(&request->query),
        OPTION_TEXT("threshold", 0, "W", &request->threshold_text,
                    "candidates are pairs with a weight of W or more, whatever their score"),
        OPTION_TEXT("score", 0, "S", &request->score_text,
                    "candidates have a weight of S robust standard deviations of the target's "
                    "weights, or more (default 10)"),
        OPTION_COUNT("count", 'k', "K", &request->leak_max, NULL,
                     "print the K candidates of largest weight (default 20)"),
        OPTION_TEXT("distances", 0, "FILE", &request->distances,
                    ".npy of distances (targets x examples), or of coordinates, of the examples "
                    "and then of the targets"),
        OPTION_CHOICE("metric", 0, "NAME", &request->metric, distance_metric_words,
                      "distance between coordinates: euclidean (default), or haversine, in km, of "
                      "latitudes and longitudes in degrees"),
        OPTION_TEXT("radius", 0, "R", &request->radius_text,
                    "pairs within R are true: print the detection curve"),
        FIT_QUERY_NAME_OPTIONS(&request->query),
        OPTION_TEXT("output", 'o', "FILE", &request->csv_path,
                    "write the candidates as CSV; '-': instead of the report"),
        OPTION_TEXT("curve", 0, "FILE", &request->curve_path, "write the detection curve as CSV"),
        OPTION_FLAG("json", 0, &request->as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE FIT [--threshold W] [-k K] [--distances FILE --radius R] [options]",
        .description =
            "Prints pairs of a target and a training example that may be the same, or of the\n"
            "same scene: those whose weight stands out among the weights of the target.\n",
        .options = options,
    };
    int status = fit_query_parse(&request->query, &usage, argc, argv);

    return status == TOOL_CONTINUE ? interpret(request) : status;
}

/* ---- finding ---- */

static int open_distances(struct leakage *leakage)
{
    const struct request *request = leakage->request;
    const struct dms_fit_header *header = leakage->query->header;
    int code;

    if (!request->distances)
        return 0;
    code = distances_open(&leakage->distances, request->distances,
                          request->metric < 0 ? DISTANCE_EUCLIDEAN
                                              : (enum distance_metric)request->metric,
                          header->example_ct, header->target_ct);
    if (code < 0)
        return code;
    leakage->to_examples = calloc(header->example_ct, sizeof(*leakage->to_examples));
    return leakage->to_examples ? 0
                                : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for distances");
}

static int complete_candidate(struct leakage *leakage, const struct dms_leak *leak,
                              struct candidate *candidate)
{
    int code = 0;

    *candidate = (struct candidate){.leak = *leak, .distance = NAN};
    if (leakage->to_examples)
        code = distances_of_pair(&leakage->distances, leak->target, leak->example,
                                 &candidate->distance);
    if (code < 0)
        return code;
    return dms_fit_top(leakage->query->fit, &leak->position, 1, CONTEXT_CT, DMS_POSITIVE_WEIGHTS,
                       candidate->context, &candidate->context_ct);
}

static int find_candidates(struct leakage *leakage)
{
    const struct fit_query *query = leakage->query;
    const struct dms_leak_options *options = &leakage->request->options;
    struct dms_leak *leaks = calloc(options->leak_max + 1, sizeof(*leaks));
    int code = leaks ? dms_fit_leaks(query->fit, query->positions, query->position_ct, options,
                                     leaks, &leakage->candidate_ct, &leakage->found_ct)
                     : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the candidates");

    if (code == 0) {
        leakage->candidates = calloc(leakage->candidate_ct + 1, sizeof(*leakage->candidates));
        if (!leakage->candidates)
            code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the candidates");
    }
    for (size_t i = 0; code == 0 && i < leakage->candidate_ct; i++)
        code = complete_candidate(leakage, &leaks[i], &leakage->candidates[i]);
    free(leaks);
    return code;
}

/* A dms_true_pairs: those within the radius. */
static int flag_near(void *context, uint64_t target, uint8_t *flags)
{
    struct leakage *leakage = context;
    int code = distances_of_target(&leakage->distances, target, leakage->to_examples);

    for (uint64_t k = 0; code == 0 && k < leakage->query->header->example_ct; k++)
        flags[k] = leakage->to_examples[k] <= leakage->request->radius;
    return code;
}

static int find(struct leakage *leakage)
{
    const struct fit_query *query = leakage->query;
    int code = open_distances(leakage);

    if (code == 0)
        code = find_candidates(leakage);
    if (code == 0 && !isnan(leakage->request->radius))
        code = dms_fit_detection(query->fit, query->positions, query->position_ct, flag_near,
                                 leakage, &leakage->curve);
    return code;
}

/* ---- reports ---- */

static void print_candidate(const struct leakage *leakage, const struct candidate *candidate)
{
    const struct dms_leak *leak = &candidate->leak;

    printf("\ntarget %" PRIu64, leak->target);
    index_names_print_aside(&leakage->query->targets_are, leak->target, stdout);
    printf(", example %" PRIu32, leak->example);
    index_names_print_aside(&leakage->query->examples_are, leak->example, stdout);
    printf("\n  weight %.6g  score %.3g", leak->weight, leak->score);
    if (!isnan(candidate->distance))
        printf("  distance %.6g", candidate->distance);
    for (size_t i = 0; i < candidate->context_ct; i++)
        printf("%s%" PRIu32 ":%.3g", i % CONTEXT_LINE_CT == 0 ? "\n   " : "  ",
               candidate->context[i].example, candidate->context[i].weight);
    putchar('\n');
}

static void print_heading(const struct leakage *leakage)
{
    const struct request *request = leakage->request;
    const struct fit_query *query = leakage->query;
    char targets[TOOL_HUMAN_BYTES], found[TOOL_HUMAN_BYTES], shown[TOOL_HUMAN_BYTES];

    printf("%s: fit %s, %s target%s\n", query->header->output, query->fit_name,
           tool_human_count(query->position_ct, targets), tool_plural(query->position_ct));
    printf("%s candidate%s", tool_human_count(leakage->found_ct, found),
           tool_plural(leakage->found_ct));
    if (request->options.least_weight > 0)
        printf(" with a weight of %g or more", request->options.least_weight);
    if (request->options.least_score > 0)
        printf(" with a score of %g or more", request->options.least_score);
    putchar('\n');
    if (leakage->candidate_ct == 0)
        return;
    if (leakage->candidate_ct < leakage->found_ct)
        printf("here are the %s of largest weight\n",
               tool_human_count(leakage->candidate_ct, shown));
    puts("below each are the largest weights of its target, as example:weight");
}

static void print(const struct leakage *leakage)
{
    const struct request *request = leakage->request;

    print_heading(leakage);
    for (size_t i = 0; i < leakage->candidate_ct; i++)
        print_candidate(leakage, &leakage->candidates[i]);
    if (!isnan(request->radius))
        detection_print(&leakage->curve, leakage->query->position_ct, request->radius);
}

static void json_candidate(const struct leakage *leakage, const struct candidate *candidate,
                           struct json_writer *json)
{
    const struct index_names *examples_are = &leakage->query->examples_are;
    const struct index_names *targets_are = &leakage->query->targets_are;
    const struct dms_leak *leak = &candidate->leak;

    json_object_open(json, NULL);
    json_u64(json, "target", leak->target);
    if (targets_are->labels)
        json_i64(json, "target_label", targets_are->labels[leak->target]);
    if (targets_are->names)
        json_text(json, "target_name", targets_are->names[leak->target]);
    json_u64(json, "example", leak->example);
    index_names_json(examples_are, leak->example, json);
    json_double(json, "weight", leak->weight);
    json_double(json, "score", leak->score);
    if (!isnan(candidate->distance))
        json_double(json, "distance", candidate->distance);
    json_array_open(json, "examples");
    for (size_t i = 0; i < candidate->context_ct; i++) {
        json_object_open(json, NULL);
        json_u64(json, "example", candidate->context[i].example);
        index_names_json(examples_are, candidate->context[i].example, json);
        json_double(json, "weight", candidate->context[i].weight);
        json_object_close(json);
    }
    json_array_close(json);
    json_object_close(json);
}

static void print_json(const struct leakage *leakage)
{
    const struct request *request = leakage->request;
    struct json_writer json;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_text(&json, "fit", leakage->query->fit_name);
    json_text(&json, "output", leakage->query->header->output);
    json_double(&json, "least_weight", request->options.least_weight);
    json_double(&json, "least_score", request->options.least_score);
    json_u64(&json, "found", leakage->found_ct);
    json_array_open(&json, "candidates");
    for (size_t i = 0; i < leakage->candidate_ct; i++)
        json_candidate(leakage, &leakage->candidates[i], &json);
    json_array_close(&json);
    if (!isnan(request->radius))
        detection_json(&leakage->curve, request->radius, &json);
    json_object_close(&json);
    json_end(&json);
}

static void write_candidates(const struct leakage *leakage, FILE *stream)
{
    const struct fit_query *query = leakage->query;

    fputs("target", stream);
    index_names_csv_head(&query->targets_are, "target_", stream);
    fputs(",example", stream);
    index_names_csv_head(&query->examples_are, "", stream);
    fputs(leakage->to_examples ? ",weight,score,distance\n" : ",weight,score\n", stream);
    for (size_t i = 0; i < leakage->candidate_ct; i++) {
        const struct candidate *candidate = &leakage->candidates[i];
        const struct dms_leak *leak = &candidate->leak;

        fprintf(stream, "%" PRIu64, leak->target);
        index_names_csv(&query->targets_are, leak->target, stream);
        fprintf(stream, ",%" PRIu32, leak->example);
        index_names_csv(&query->examples_are, leak->example, stream);
        fprintf(stream, ",%.17g,%.17g", leak->weight, leak->score);
        if (leakage->to_examples)
            fprintf(stream, ",%.17g", candidate->distance);
        putc('\n', stream);
    }
}

static int write_csv(const struct leakage *leakage)
{
    struct output_file file = {0};
    FILE *stream;
    int code = output_file_begin_stream(&file, leakage->request->csv_path, &stream);

    if (code < 0)
        return output_file_end_stream(&file, stream, code);
    write_candidates(leakage, stream);
    return output_file_end_stream(&file, stream, 0);
}

static int report(const struct leakage *leakage)
{
    const struct request *request = leakage->request;
    int code = request->csv_path ? write_csv(leakage) : 0;

    if (code == 0 && request->curve_path)
        code = detection_write_csv(&leakage->curve, request->curve_path);
    if (code < 0)
        return code;
    if (request->as_json)
        print_json(leakage);
    else if (!is_printed(request->csv_path) && !is_printed(request->curve_path))
        print(leakage);
    return 0;
}

/* ---- the command ---- */

int command_leakage(int argc, char **argv)
{
    struct request request = {
        .query.targets = "all",
        .metric = -1,
        .radius = NAN,
        .leak_max = 20,
    };
    struct leakage leakage = {.request = &request, .query = &request.query};
    int code, status;

    dms_leak_options_init(&request.options);
    status = parse(argc, argv, &request);
    if (status != TOOL_CONTINUE)
        return status;
    code = fit_query_open(&request.query);
    if (code == 0)
        code = find(&leakage);
    if (code == 0)
        code = report(&leakage);
    free(leakage.candidates);
    free(leakage.to_examples);
    distances_close(&leakage.distances);
    fit_query_close(&request.query);
    return tool_finish_output(name, code < 0 ? tool_fail_library(name) : TOOL_OK);
}
