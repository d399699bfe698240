/*
 * dmstore cluster: spectral clustering of the targets of a fit, all together or class by class.
 */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "cluster_report.h"
#include "fit_arrays.h"
#include "options.h"
#include "report.h"

static const char name[] = "cluster";

/* Pairs of targets are so much alike, or so little, on average that gamma does not fit. */
#define SIMILAR_ABOVE 0.99
#define SIMILAR_BELOW 1e-6

/* The command line. */
struct request {
    struct fit_query query;
    const char *class_path, *one_class, *truth_path, *gamma_text, *output_path;
    uint64_t cluster_ct, component_ct, restart_ct;
    bool has_cluster_ct, has_component_ct, as_json;
    int64_t class; /* that one_class names */
    struct dms_cluster_options options;
};

static int parse(int argc, char **argv, struct request *request)
{
    struct fit_query *query = &request->query;
    struct dms_cluster_options *cluster = &request->options;
    const struct tool_option options[] = {
        OPTION_COUNT("clusters", 'k', "K", &request->cluster_ct, &request->has_cluster_ct,
                     "how many clusters"),
        FIT_QUERY_TARGET_OPTION(query),
        OPTION_TEXT("class", 0, "FILE", &request->class_path,
                    ".npy of the targets' classes: cluster each class by itself"),
        OPTION_TEXT("of", 0, "C", &request->one_class, "with --class: only class C"),
        OPTION_TEXT("truth", 0, "FILE", &request->truth_path,
                    ".npy of one label a target: print how far the clusters agree with it"),
        OPTION_TEXT("gamma", 0, "G", &request->gamma_text,
                    "similarity is exp(-G distance^2) (default 1)"),
        OPTION_FLAG("no-normalize", 0, &cluster->keep_length,
                    "take weights as they are, not divided by their length"),
        OPTION_COUNT("pca", 0, "K", &request->component_ct, &request->has_component_ct,
                     "cluster coordinates in the first K principal components"),
        OPTION_COUNT("restarts", 0, "N", &request->restart_ct, NULL,
                     "how often k-means begins anew (default 10)"),
        OPTION_COUNT("seed", 0, "S", &cluster->seed, NULL, "of k-means (default 0)"),
        FIT_QUERY_TARGET_NAME_OPTIONS(query),
        OPTION_THREADS(&request->options.thread_ct,
                       "threads to work with (default: one a processor)"),
        OPTION_BYTES("memory", 0, "BYTES", &cluster->memory_bytes, NULL,
                     "memory to use (default 4G)"),
        OPTION_TEXT("output", 'o', "FILE", &request->output_path,
                    "write the cluster of each target, as .npy or .csv; '-': print CSV instead "
                    "of the report"),
        OPTION_FLAG("json", 0, &request->as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE FIT -k K [options]",
        .description =
            "Divides the targets of a fit of STORE (a store or a manifest) into K clusters of\n"
            "targets that depend on the same training examples: spectral clustering of their\n"
            "weights, with similarities exp(-gamma distance^2).\n",
        .options = options,
    };

    return fit_query_parse(query, &usage, argc, argv);
}

/* An integer, as the files of classes have them. */
static bool parse_class(const char *text, int64_t *class)
{
    char *end;

    errno = 0;
    *class = strtoll(text, &end, 10);
    return end != text && *end == '\0' && errno == 0;
}

static int interpret(struct request *request)
{
    struct dms_cluster_options *options = &request->options;

    if (!request->has_cluster_ct || request->cluster_ct == 0)
        return tool_fail_usage(name, "-k K is missing: at least one cluster");
    if (request->one_class && !request->class_path)
        return tool_fail_usage(name, "--of needs --class");
    if (request->one_class && !parse_class(request->one_class, &request->class))
        return tool_fail_usage(name, "--of: '%s' is not a class", request->one_class);
    if (request->has_component_ct && request->component_ct == 0)
        return tool_fail_usage(name, "--pca: at least one component");
    if (request->gamma_text &&
        (!tool_parse_real(request->gamma_text, &options->gamma) || options->gamma <= 0))
        return tool_fail_usage(name, "--gamma: '%s' is not a number above 0", request->gamma_text);
    if (request->restart_ct == 0 || request->restart_ct > UINT32_MAX)
        return tool_fail_usage(name, "--restarts: 1 to %u", UINT32_MAX);
    if (request->as_json && request->output_path && strcmp(request->output_path, "-") == 0)
        return tool_fail_usage(name, "--json and -o - cannot both be printed");
    options->cluster_ct = (size_t)request->cluster_ct;
    options->restart_ct = (uint32_t)request->restart_ct;
    return TOOL_CONTINUE;
}

/* ---- classes ---- */

/* Reads one integer for each target of the output column. */
static int read_labels(const struct request *request, const char *path, const char *what,
                       int64_t **labels)
{
    uint64_t target_ct = request->query.header->target_ct;
    size_t label_ct = 0;
    int code = fit_array_integers(path, what, labels, &label_ct);

    if (code == 0 && label_ct != target_ct)
        code =
            dms_source_fail(DMS_ERR_INVALID, "'%s' has %zu rows: output %s has %" PRIu64 " targets",
                            path, label_ct, request->query.header->output, target_ct);
    return code;
}

/* Those of a class; without classes, all. Sets group->place_ct and places. */
static void take_places(const struct cluster_report *report, struct cluster_group *group)
{
    for (size_t i = 0; i < report->target_ct; i++) {
        if (!report->classes || report->classes[report->targets[i]] == group->class)
            group->places[group->place_ct++] = i;
    }
}

static int compare_classes(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

/* The classes that the targets have, increasing, or the one that was asked for. */
static int list_classes(const struct request *request, const struct cluster_report *report,
                        int64_t *classes, size_t *class_ct)
{
    size_t kept = 0;

    *class_ct = 1;
    classes[0] = 0;
    if (!report->classes)
        return 0;
    for (size_t i = 0; i < report->target_ct; i++)
        classes[i] = report->classes[report->targets[i]];
    qsort(classes, report->target_ct, sizeof(*classes), compare_classes);
    for (size_t i = 0; i < report->target_ct; i++) {
        if ((!request->one_class || classes[i] == request->class) &&
            (kept == 0 || classes[kept - 1] != classes[i]))
            classes[kept++] = classes[i];
    }
    *class_ct = kept;
    return kept > 0 ? 0
                    : dms_source_fail(DMS_ERR_INVALID, "no target of fit '%s' is of class %s",
                                      request->query.fit_name, request->one_class);
}

static int make_groups(const struct request *request, struct cluster_report *report)
{
    int64_t *classes = calloc(report->target_ct + 1, sizeof(*classes));
    size_t class_ct = 0;
    int code = classes ? list_classes(request, report, classes, &class_ct) : DMS_ERR_NO_MEMORY;

    report->groups = calloc(class_ct + 1, sizeof(*report->groups));
    for (size_t c = 0; code == 0 && c < class_ct; c++) {
        struct cluster_group *group = report->groups ? &report->groups[report->group_ct++] : NULL;

        if (group) {
            group->class = classes[c];
            group->places = calloc(report->target_ct, sizeof(*group->places));
        }
        if (group && group->places)
            take_places(report, group);
        else
            code = DMS_ERR_NO_MEMORY;
    }
    free(classes);
    return code == DMS_ERR_NO_MEMORY ? dms_source_fail(code, "out of memory") : code;
}

/* ---- clusters ---- */

/* Targets that are in clusters and their labels, side by side, for the index of agreement. */
static int compare_with_truth(struct cluster_report *report, struct cluster_group *group,
                              const int64_t *clusters)
{
    int64_t *found = calloc(group->place_ct + 1, sizeof(*found));
    int64_t *truth = calloc(group->place_ct + 1, sizeof(*truth));
    size_t count = 0;
    int code = found && truth ? 0 : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");

    for (size_t i = 0; code == 0 && i < group->place_ct; i++) {
        if (clusters[i] < 0)
            continue;
        found[count] = clusters[i];
        truth[count++] = report->truth[report->targets[group->places[i]]];
    }
    if (code == 0)
        code = dms_adjusted_rand_index(found, truth, count, &group->rand_index);
    free(found);
    free(truth);
    return code;
}

static int cluster_positions(const struct request *request, const size_t *positions,
                             struct cluster_group *group, int64_t *clusters)
{
    struct dms_cluster_options options = request->options;
    struct dms_pca_options components;
    struct dms_pca *pca = NULL;
    int code = 0;

    dms_pca_options_init(&components);
    components.component_ct = (size_t)request->component_ct;
    components.keep_length = options.keep_length;
    components.thread_ct = options.thread_ct;
    components.memory_bytes = options.memory_bytes;
    if (request->component_ct > 0)
        code = dms_pca_create(request->query.fit, positions, group->place_ct, &components, &pca);
    options.pca = pca;
    if (code == 0)
        code = dms_cluster(request->query.fit, positions, group->place_ct, &options, clusters,
                           &group->clustering);
    dms_pca_free(pca);
    return code;
}

static int cluster_group(const struct request *request, struct cluster_report *report,
                         struct cluster_group *group)
{
    size_t *positions = calloc(group->place_ct + 1, sizeof(*positions));
    int64_t *clusters = calloc(group->place_ct + 1, sizeof(*clusters));
    int code = 0;

    group->sizes = calloc(request->options.cluster_ct, sizeof(*group->sizes));
    if (!positions || !clusters || !group->sizes)
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; code == 0 && i < group->place_ct; i++)
        positions[i] = request->query.positions[group->places[i]];
    if (code == 0)
        code = cluster_positions(request, positions, group, clusters);
    if (code < 0 && report->classes)
        code = dms_source_fail(code, "class %" PRId64 ": %s", group->class, dms_error_message());
    if (code == 0 && report->truth)
        code = compare_with_truth(report, group, clusters);
    for (size_t i = 0; code == 0 && i < group->place_ct; i++) {
        report->clusters[group->places[i]] = clusters[i];
        if (clusters[i] >= 0)
            group->sizes[clusters[i]]++;
    }
    free(positions);
    free(clusters);
    return code;
}

static int read_targets(const struct request *request, struct cluster_report *report)
{
    const struct fit_query *query = &request->query;
    int code = 0;

    report->target_ct = query->position_ct;
    report->targets = calloc(query->position_ct + 1, sizeof(*report->targets));
    report->clusters = calloc(query->position_ct + 1, sizeof(*report->clusters));
    if (!report->targets || !report->clusters)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu targets",
                               query->position_ct);
    for (size_t i = 0; code == 0 && i < query->position_ct; i++) {
        struct dms_fitted_target target;

        code = fit_query_target(query, i, &target);
        report->targets[i] = target.target;
        report->clusters[i] = -1;
    }
    if (code == 0 && request->class_path)
        code = read_labels(request, request->class_path, "class", &report->classes);
    if (code == 0 && request->truth_path)
        code = read_labels(request, request->truth_path, "label", &report->truth);
    return code;
}

/* ---- the report ---- */

static void warn(const struct cluster_group *group)
{
    double mean = group->clustering.mean_similarity;

    if (mean > SIMILAR_ABOVE)
        tool_warn(name,
                  "all similarities are nearly 1 (%.6f on average): the distances are small "
                  "against 1 / sqrt(gamma), a larger --gamma tells more",
                  mean);
    else if (mean < SIMILAR_BELOW)
        tool_warn(name,
                  "all similarities are nearly 0 (%.3g on average): the distances are large "
                  "against 1 / sqrt(gamma), a smaller --gamma tells more",
                  mean);
    if (group->clustering.left_out_ct > 0)
        tool_warn(name, "%zu target%s without weights %s in no cluster",
                  group->clustering.left_out_ct, tool_plural(group->clustering.left_out_ct),
                  group->clustering.left_out_ct == 1 ? "is" : "are");
}

static int show(const struct request *request, const struct cluster_report *report)
{
    int code = request->output_path ? cluster_report_write(report, request->output_path) : 0;

    for (size_t g = 0; code == 0 && g < report->group_ct; g++)
        warn(&report->groups[g]);
    if (code == 0 && request->as_json)
        cluster_report_json(report);
    else if (code == 0 && (!request->output_path || strcmp(request->output_path, "-") != 0))
        cluster_report_print(report);
    return code;
}

static int run(struct request *request)
{
    struct cluster_report report = {.query = &request->query, .options = &request->options};
    int code = fit_query_open(&request->query);

    if (code == 0)
        code = read_targets(request, &report);
    if (code == 0)
        code = make_groups(request, &report);
    for (size_t g = 0; code == 0 && g < report.group_ct; g++)
        code = cluster_group(request, &report, &report.groups[g]);
    if (code == 0)
        code = show(request, &report);
    cluster_report_free(&report);
    fit_query_close(&request->query);
    return code;
}

int command_cluster(int argc, char **argv)
{
    struct request request = {.query = {.targets = "all"}, .restart_ct = 10};
    int status;

    dms_cluster_options_init(&request.options);
    status = parse(argc, argv, &request);
    if (status == TOOL_CONTINUE)
        status = interpret(&request);
    if (status != TOOL_CONTINUE)
        return status;
    return tool_finish_output(name, run(&request) < 0 ? tool_fail_library(name) : TOOL_OK);
}
