/*
 * dmstore similar: the targets whose weights are most like those of a target.
 */
#include "commands.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "fit_query.h"
#include "npy_file.h"
#include "options.h"
#include "output_file.h"
#include "report.h"

static const char name[] = "similar";

/* The command line. */
struct request {
    struct fit_query query;
    uint64_t similar_ct, component_ct;
    unsigned thread_ct;
    bool has_component_ct, keep_length, as_json;
    const char *csv_path;
};

/* What was found for the targets of the query. */
struct found {
    size_t similar_ct; /* room for each target */
    struct dms_similar *similar;
    size_t *similar_cts;
};

static int parse(int argc, char **argv, struct request *request)
{
    struct fit_query *query = &request->query;
    const struct tool_option options[] = {
        FIT_QUERY_TARGET_OPTION(query),
        OPTION_COUNT("count", 'k', "K", &request->similar_ct, NULL,
                     "how many for each target (default 10)"),
        OPTION_COUNT("pca", 0, "K", &request->component_ct, &request->has_component_ct,
                     "compare coordinates in the first K principal components"),
        OPTION_FLAG("no-normalize", 0, &request->keep_length,
                    "with --pca: components of the weights as they are"),
        FIT_QUERY_TARGET_NAME_OPTIONS(query),
        OPTION_THREADS(&request->thread_ct, "threads to work with (default: one a processor)"),
        OPTION_TEXT("output", 'o', "FILE", &request->csv_path,
                    "write a table, a line a pair, as CSV; '-': instead of the report"),
        OPTION_FLAG("json", 0, &request->as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE FIT --target J [options]",
        .description =
            "Finds the targets of a fit of STORE (a store or a manifest) whose weights are\n"
            "most like those of a target: by the cosine of the angle between them.\n",
        .options = options,
    };

    return fit_query_parse(query, &usage, argc, argv);
}

static int interpret(const struct request *request)
{
    if (!request->query.targets)
        return tool_fail_usage(name, "--target is missing");
    if (request->similar_ct == 0)
        return tool_fail_usage(name, "-k: at least one");
    if (request->has_component_ct && request->component_ct == 0)
        return tool_fail_usage(name, "--pca: at least one component");
    if (request->keep_length && !request->has_component_ct)
        return tool_fail_usage(name, "--no-normalize goes with --pca only");
    if (request->as_json && request->csv_path && strcmp(request->csv_path, "-") == 0)
        return tool_fail_usage(name, "--json and -o - cannot both be printed");
    if (request->csv_path && npy_is_path(request->csv_path))
        return tool_fail_usage(name, "--output: the table is CSV, and cannot be an array");
    return TOOL_CONTINUE;
}

/* ---- the report ---- */

static uint64_t target_number(const struct request *request, size_t place)
{
    struct dms_fitted_target target = {0};

    /* It was read before. */
    (void)fit_query_target(&request->query, place, &target);
    return target.target;
}

static void print(const struct request *request, const struct found *found)
{
    const struct index_names *names = &request->query.targets_are;

    for (size_t i = 0; i < request->query.position_ct; i++) {
        uint64_t target = target_number(request, i);

        printf("target %" PRIu64, target);
        index_names_print_aside(names, target, stdout);
        puts(found->similar_cts[i] == 0 ? ": nothing to compare" : "");
        for (size_t k = 0; k < found->similar_cts[i]; k++) {
            const struct dms_similar *similar = &found->similar[i * found->similar_ct + k];

            /* What rounds to 0 has no sign. */
            printf("  %8.5f  %" PRIu64,
                   fabs(similar->similarity) < 0.5e-5 ? 0 : similar->similarity, similar->target);
            index_names_print(names, similar->target, stdout);
            putchar('\n');
        }
    }
}

static void print_json(const struct request *request, const struct found *found)
{
    const struct index_names *names = &request->query.targets_are;
    struct json_writer json;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_text(&json, "store", request->query.store);
    json_text(&json, "fit", request->query.fit_name);
    json_array_open(&json, "targets");
    for (size_t i = 0; i < request->query.position_ct; i++) {
        uint64_t target = target_number(request, i);

        json_object_open(&json, NULL);
        json_u64(&json, "target", target);
        index_names_json(names, target, &json);
        json_array_open(&json, "similar");
        for (size_t k = 0; k < found->similar_cts[i]; k++) {
            const struct dms_similar *similar = &found->similar[i * found->similar_ct + k];

            json_object_open(&json, NULL);
            json_u64(&json, "target", similar->target);
            json_double(&json, "similarity", similar->similarity);
            index_names_json(names, similar->target, &json);
            json_object_close(&json);
        }
        json_array_close(&json);
        json_object_close(&json);
    }
    json_array_close(&json);
    json_object_close(&json);
    json_end(&json);
}

static int write_csv(const struct request *request, const struct found *found)
{
    const struct index_names *names = &request->query.targets_are;
    struct output_file file = {0};
    int code = output_file_create(&file, request->csv_path);
    FILE *stream = code == 0 ? output_file_stream(&file) : NULL;

    if (code < 0)
        return code;
    if (!stream)
        return output_file_end_stream(&file, NULL, DMS_ERR_NO_MEMORY);
    fputs("target,similar,similarity", stream);
    index_names_csv_head(names, "similar_", stream);
    putc('\n', stream);
    for (size_t i = 0; i < request->query.position_ct; i++) {
        for (size_t k = 0; k < found->similar_cts[i]; k++) {
            const struct dms_similar *similar = &found->similar[i * found->similar_ct + k];

            fprintf(stream, "%" PRIu64 ",%" PRIu64 ",%.12g", target_number(request, i),
                    similar->target, similar->similarity);
            index_names_csv(names, similar->target, stream);
            putc('\n', stream);
        }
    }
    return output_file_end_stream(&file, stream, 0);
}

static int report(const struct request *request, const struct found *found)
{
    int code = request->csv_path ? write_csv(request, found) : 0;

    if (code == 0 && request->as_json)
        print_json(request, found);
    else if (code == 0 && (!request->csv_path || strcmp(request->csv_path, "-") != 0))
        print(request, found);
    return code;
}

/* ---- the search ---- */

/* Components of all targets of the fit, those of the query or not. */
static int find_components(const struct request *request, struct dms_pca **pca)
{
    const dms_fit *fit = request->query.fit;
    size_t target_ct = dms_fit_target_ct(fit);
    size_t *all = calloc(target_ct + 1, sizeof(*all));
    struct dms_pca_options options;
    int code;

    if (!all)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu targets", target_ct);
    for (size_t i = 0; i < target_ct; i++)
        all[i] = i;
    dms_pca_options_init(&options);
    options.component_ct = (size_t)request->component_ct;
    options.keep_length = request->keep_length;
    options.thread_ct = request->thread_ct;
    code = dms_pca_create(fit, all, target_ct, &options, pca);
    free(all);
    return code;
}

static int search(const struct request *request, struct found *found)
{
    const struct fit_query *query = &request->query;
    struct dms_similar_options options;
    struct dms_pca *pca = NULL;
    size_t target_ct = dms_fit_target_ct(query->fit);
    int code;

    if (query->position_ct == 0)
        return dms_source_fail(DMS_ERR_INVALID, "'%s' names no targets", query->targets);
    dms_similar_options_init(&options);
    options.thread_ct = request->thread_ct;
    options.similar_ct = request->similar_ct < target_ct ? request->similar_ct : target_ct;
    found->similar_ct = options.similar_ct;
    found->similar = calloc(query->position_ct + 1, options.similar_ct * sizeof(*found->similar));
    found->similar_cts = calloc(query->position_ct + 1, sizeof(*found->similar_cts));
    code = found->similar && found->similar_cts
               ? 0
               : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu x %zu similar targets",
                                 query->position_ct, options.similar_ct);
    if (code == 0 && request->component_ct > 0)
        code = find_components(request, &pca);
    options.pca = pca;
    if (code == 0)
        code = dms_find_similar(query->fit, query->positions, query->position_ct, &options,
                                found->similar, found->similar_cts);
    dms_pca_free(pca);
    return code;
}

int command_similar(int argc, char **argv)
{
    struct request request = {.similar_ct = 10};
    struct found found = {0};
    int code, status = parse(argc, argv, &request);

    if (status == TOOL_CONTINUE)
        status = interpret(&request);
    if (status != TOOL_CONTINUE)
        return status;
    code = fit_query_open(&request.query);
    if (code == 0)
        code = search(&request, &found);
    if (code == 0)
        code = report(&request, &found);
    status = tool_finish_output(name, code < 0 ? tool_fail_library(name) : TOOL_OK);
    free(found.similar);
    free(found.similar_cts);
    fit_query_close(&request.query);
    return status;
}
