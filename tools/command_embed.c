/*
 * dmstore embed: principal components of the targets' weights, the coordinates of targets in them,
 * and components as a fit.
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
#include "provenance.h"
#include "report.h"

static const char name[] = "embed";

/* The command line. */
struct request {
    struct fit_query query;
    const char *other_name; /* of --project, or NULL */
    const char *scores_path, *components_path, *mean_path;
    const char *fit_name;       /* of the components, or NULL */
    const char *names, *labels; /* of the targets that coordinates are of */
    uint64_t component_ct;
    bool has_component_ct, as_json;
    struct dms_pca_options options;
    char *command_line;
    time_t started;
};

/* Scores of the targets that are projected: the fit's, or the other fit's. */
struct scores {
    const dms_fit *fit; /* whose targets they are */
    dms_fit *other;     /* of --project, opened */
    size_t position_ct;
    const size_t *positions;
    size_t *all; /* positions of all targets of the other fit */
    struct index_names targets_are;
    double *values;
};

static int parse(int argc, char **argv, struct request *request)
{
    struct fit_query *query = &request->query;
    const struct tool_option options[] = {
        OPTION_COUNT("pca", 0, "K", &request->component_ct, &request->has_component_ct,
                     "find the first K principal components"),
        OPTION_FLAG("no-normalize", 0, &request->options.keep_length,
                    "take weights as they are, not divided by their length"),
        FIT_QUERY_TARGET_OPTION(query),
        OPTION_TEXT("project", 0, "FIT2", &request->other_name,
                    "give coordinates of the targets of FIT2 instead"),
        OPTION_TEXT("output", 'o', "FILE", &request->scores_path,
                    "write the coordinates, a row a target, as .npy or .csv; '-': print CSV "
                    "instead of the report"),
        OPTION_TEXT("components", 0, "FILE", &request->components_path,
                    "write the components as .npy, K x examples"),
        OPTION_TEXT("mean", 0, "FILE", &request->mean_path,
                    "write the mean that was taken from each row as .npy"),
        OPTION_TEXT("name", 0, "FIT3", &request->fit_name, "keep the components as a fit"),
        FIT_QUERY_TARGET_NAME_OPTIONS(query),
        OPTION_THREADS(&request->options.thread_ct,
                       "threads to work with (default: one a processor)"),
        OPTION_BYTES("memory", 0, "BYTES", &request->options.memory_bytes, NULL,
                     "memory that the components may take (default 4G)"),
        OPTION_FLAG("json", 0, &request->as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE FIT --pca K [options]",
        .description =
            "Finds the principal components of the targets of a fit of STORE (a store or a\n"
            "manifest), each target being the vector of its weights, and the coordinates of\n"
            "targets in them. FIT may also be components that --name has kept: then give\n"
            "--project.\n",
        .options = options,
    };

    return fit_query_parse(query, &usage, argc, argv);
}

static int interpret(struct request *request)
{
    if (request->as_json && request->scores_path && strcmp(request->scores_path, "-") == 0)
        return tool_fail_usage(name, "--json and -o - cannot both be printed");
    if ((request->components_path && strcmp(request->components_path, "-") == 0) ||
        (request->mean_path && strcmp(request->mean_path, "-") == 0))
        return tool_fail_usage(name, "--components and --mean: an array is not printed, name a "
                                     "file");
    if (!request->has_component_ct && !request->other_name)
        return tool_fail_usage(name, "--pca K is missing");
    if (!request->has_component_ct && request->query.targets)
        return tool_fail_usage(name, "--target says what components are found from: it goes with "
                                     "--pca only");
    request->options.component_ct = (size_t)request->component_ct;
    if (!request->query.targets)
        request->query.targets = "all";
    /* They may be of another number of targets than the fit has, see read_names(). */
    request->names = request->query.target_names;
    request->labels = request->query.target_labels;
    request->query.target_names = request->query.target_labels = NULL;
    return TOOL_CONTINUE;
}

/* ---- components ---- */

static bool is_of_components(const struct dms_fit_header *header)
{
    const char *method = dms_fit_problem(header, "method");

    return method && strcmp(method, "pca") == 0;
}

/* From the fit's targets, or from a fit that is components. */
static int find_components(struct request *request, struct dms_pca **pca)
{
    const struct fit_query *query = &request->query;

    if (request->has_component_ct)
        return dms_pca_create(query->fit, query->positions, query->position_ct, &request->options,
                              pca);
    if (!is_of_components(query->header))
        return dms_source_fail(DMS_ERR_INVALID,
                               "fit '%s' is none of principal components: --pca K is missing",
                               query->fit_name);
    if (request->fit_name || request->mean_path || request->options.keep_length)
        return dms_source_fail(DMS_ERR_INVALID,
                               "--name, --mean and --no-normalize go with --pca only");
    return dms_pca_open(query->fit, pca);
}

/* What would keep them from being kept is known before they are found, which may take long. */
static int check_keeping(const struct request *request)
{
    struct dms_fit_header header = *request->query.header;
    dms_fit_part *part = NULL;
    dms_store *store = NULL;
    dms_fit *fit = NULL;
    int code;

    header.name = request->fit_name;
    code = dms_fit_part_create(&header, NULL, 0, &part);
    dms_fit_part_free(part);
    if (code == 0)
        code = dms_store_open(request->query.store, &store);
    dms_store_close(store);
    if (code < 0 || dms_fit_open(request->query.snapshot, request->fit_name, &fit) < 0)
        return code;
    if (!is_of_components(dms_fit_get_header(fit)))
        code = dms_source_fail(DMS_ERR_EXISTS,
                               "there is a fit '%s' already: take another --name, or remove it "
                               "(dmstore rm-fit)",
                               request->fit_name);
    dms_fit_close(fit);
    return code;
}

/* Keeps the components in the store. */
static int keep_components(const struct request *request, const struct dms_pca *pca)
{
    struct provenance provenance = {0};
    dms_fit_part *part = NULL;
    dms_store *store = NULL;
    int code;

    provenance_say_job(&provenance, request->command_line, request->started);
    provenance_say(&provenance, "targets", "%s", request->query.targets);
    provenance_say(&provenance, "total_variance", "%.17g", pca->total_variance);
    code = dms_pca_part(pca, request->query.fit, request->fit_name, provenance.pairs,
                        provenance.pair_ct, &part);
    if (code == 0)
        code = dms_store_open(request->query.store, &store);
    if (code == 0)
        code = dms_store_merge_fit(store, part, NULL);
    dms_store_close(store);
    dms_fit_part_free(part);
    if (code == DMS_ERR_CONFLICT || code == DMS_ERR_EXISTS)
        return dms_source_fail(code, "%s: take another --name, or remove the fit (dmstore rm-fit)",
                               dms_error_message());
    return code;
}

/* ---- scores ---- */

static int open_other(const struct request *request, struct scores *scores)
{
    int code = dms_fit_open(request->query.snapshot, request->other_name, &scores->other);

    if (code < 0)
        return code;
    scores->fit = scores->other;
    scores->position_ct = dms_fit_target_ct(scores->other);
    scores->all = calloc(scores->position_ct + 1, sizeof(*scores->all));
    if (!scores->all)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < scores->position_ct; i++)
        scores->all[i] = i;
    scores->positions = scores->all;
    return 0;
}

/* Of the targets that coordinates are of, which are those of an output of the other fit. */
static int read_names(const struct request *request, struct scores *scores)
{
    return index_names_read(request->names, request->labels, "target",
                            dms_fit_get_header(scores->fit)->target_ct, &scores->targets_are);
}

/* Whose targets they will be; the caller ends *scores with close_scores(). */
static int open_scores(const struct request *request, struct scores *scores)
{
    int code = 0;

    if (request->other_name) {
        code = open_other(request, scores);
    } else {
        scores->fit = request->query.fit;
        scores->position_ct = request->query.position_ct;
        scores->positions = request->query.positions;
    }
    return code ? code : read_names(request, scores);
}

static void close_scores(struct scores *scores)
{
    index_names_free(&scores->targets_are);
    free(scores->values);
    free(scores->all);
    dms_fit_close(scores->other);
}

static int find_scores(const struct request *request, const struct dms_pca *pca,
                       struct scores *scores)
{
    scores->values = calloc(scores->position_ct + 1, pca->component_ct * sizeof(double));
    if (!scores->values)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu x %zu coordinates",
                               scores->position_ct, pca->component_ct);
    return dms_pca_project(pca, scores->fit, scores->positions, scores->position_ct,
                           request->options.thread_ct, scores->values);
}

/* Whether the target at place i has no weights, and so no coordinates. */
static bool is_left_out(const struct scores *scores, const struct dms_pca *pca, size_t i)
{
    return isnan(scores->values[i * pca->component_ct]);
}

static uint64_t target_number(const struct scores *scores, size_t i)
{
    struct dms_fitted_target target = {0};

    /* It was read before. */
    (void)dms_fit_target(scores->fit, scores->positions[i], &target);
    return target.target;
}

/* ---- files ---- */

static int write_csv(const struct request *request, const struct dms_pca *pca,
                     const struct scores *scores)
{
    const struct index_names *names = &scores->targets_are;
    struct output_file file = {0};
    int code = output_file_create(&file, request->scores_path);
    FILE *stream = code == 0 ? output_file_stream(&file) : NULL;

    if (code < 0)
        return code;
    if (!stream)
        return output_file_end_stream(&file, NULL, DMS_ERR_NO_MEMORY);
    fputs("target", stream);
    index_names_csv_head(names, "target_", stream);
    for (size_t k = 0; k < pca->component_ct; k++)
        fprintf(stream, ",z%zu", k);
    putc('\n', stream);
    for (size_t i = 0; i < scores->position_ct; i++) {
        uint64_t target = target_number(scores, i);

        fprintf(stream, "%" PRIu64, target);
        index_names_csv(names, target, stream);
        for (size_t k = 0; k < pca->component_ct; k++) {
            putc(',', stream);
            if (!is_left_out(scores, pca, i))
                fprintf(stream, "%.17g", scores->values[i * pca->component_ct + k]);
        }
        putc('\n', stream);
    }
    return output_file_end_stream(&file, stream, 0);
}

static int write_scores(const struct request *request, const struct dms_pca *pca,
                        const struct scores *scores)
{
    const uint64_t dimensions[] = {scores->position_ct, pca->component_ct};

    return npy_is_path(request->scores_path)
               ? npy_write(request->scores_path, 'f', 8, 2, dimensions, scores->values)
               : write_csv(request, pca, scores);
}

static int write_files(const struct request *request, const struct dms_pca *pca,
                       const struct scores *scores)
{
    const uint64_t dimensions[] = {pca->component_ct, pca->example_ct};
    int code = 0;

    if (request->components_path)
        code = npy_write(request->components_path, 'f', 8, 2, dimensions, pca->components);
    if (code == 0 && request->mean_path)
        code = npy_write(request->mean_path, 'f', 8, 1, dimensions + 1, pca->mean);
    return code == 0 && request->scores_path ? write_scores(request, pca, scores) : code;
}

/* ---- the report ---- */

static void warn_left_out(const struct dms_pca *pca, const struct scores *scores)
{
    size_t left_out_ct = 0, first = 0;

    for (size_t i = scores->position_ct; i-- > 0;) {
        if (!is_left_out(scores, pca, i))
            continue;
        left_out_ct++;
        first = i;
    }
    if (left_out_ct > 0)
        tool_warn(name, "%zu target%s without weights %s no coordinates (the first: %" PRIu64 ")",
                  left_out_ct, tool_plural(left_out_ct), left_out_ct == 1 ? "has" : "have",
                  target_number(scores, first));
}

static void print(const struct request *request, const struct dms_pca *pca,
                  const struct scores *scores)
{
    char rows[TOOL_HUMAN_BYTES], examples[TOOL_HUMAN_BYTES];
    double sum = 0;

    printf("%s: %s target%s on %s examples, %s\n", request->query.fit_name,
           tool_human_count(pca->row_ct, rows), tool_plural(pca->row_ct),
           tool_human_count(pca->example_ct, examples),
           pca->keep_length ? "weights as they are" : "weights of unit length");
    puts("component      variance     share       sum");
    for (size_t k = 0; k < pca->component_ct; k++) {
        double share = pca->variances[k] / pca->total_variance;

        sum += share;
        if (isnan(share))
            printf("%9zu  %12.6g         -         -\n", k, pca->variances[k]);
        else
            printf("%9zu  %12.6g  %7.3f%%  %7.3f%%\n", k, pca->variances[k], 100 * share,
                   100 * sum);
    }
    if (request->other_name)
        printf("coordinates of %s target%s of fit %s\n",
               tool_human_count(scores->position_ct, rows), tool_plural(scores->position_ct),
               request->other_name);
    if (request->fit_name)
        printf("kept as fit %s\n", request->fit_name);
}

static void print_json(const struct request *request, const struct dms_pca *pca,
                       const struct scores *scores)
{
    struct json_writer json;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_text(&json, "store", request->query.store);
    json_text(&json, "fit", request->query.fit_name);
    json_text(&json, "projected",
              request->other_name ? request->other_name : request->query.fit_name);
    if (request->fit_name)
        json_text(&json, "name", request->fit_name);
    json_u64(&json, "examples", pca->example_ct);
    json_u64(&json, "rows", pca->row_ct);
    json_bool(&json, "normalized", !pca->keep_length);
    json_double(&json, "total_variance", pca->total_variance);
    json_array_open(&json, "components");
    for (size_t k = 0; k < pca->component_ct; k++) {
        json_object_open(&json, NULL);
        json_u64(&json, "component", k);
        json_double(&json, "variance", pca->variances[k]);
        json_double(&json, "variance_ratio", pca->variances[k] / pca->total_variance);
        json_object_close(&json);
    }
    json_array_close(&json);
    json_array_open(&json, "targets");
    for (size_t i = 0; i < scores->position_ct; i++)
        json_u64(&json, NULL, target_number(scores, i));
    json_array_close(&json);
    json_array_open(&json, "left_out");
    for (size_t i = 0; i < scores->position_ct; i++) {
        if (is_left_out(scores, pca, i))
            json_u64(&json, NULL, target_number(scores, i));
    }
    json_array_close(&json);
    json_object_close(&json);
    json_end(&json);
}

static int report(const struct request *request, const struct dms_pca *pca, struct scores *scores)
{
    int code = find_scores(request, pca, scores);

    if (code == 0)
        code = write_files(request, pca, scores);
    if (code == 0 && request->fit_name)
        code = keep_components(request, pca);
    if (code < 0)
        return code;
    warn_left_out(pca, scores);
    if (request->as_json)
        print_json(request, pca, scores);
    else if (!request->scores_path || strcmp(request->scores_path, "-") != 0)
        print(request, pca, scores);
    return 0;
}

static int embed(struct request *request)
{
    struct scores scores = {0};
    struct dms_pca *pca = NULL;
    int code = fit_query_open(&request->query);

    if (code == 0)
        code = open_scores(request, &scores);
    if (code == 0 && request->fit_name)
        code = check_keeping(request);
    if (code == 0)
        code = find_components(request, &pca);
    if (code == 0)
        code = report(request, pca, &scores);
    dms_pca_free(pca);
    close_scores(&scores);
    fit_query_close(&request->query);
    return code;
}

int command_embed(int argc, char **argv)
{
    struct request request = {.started = time(NULL)};
    int status;

    dms_pca_options_init(&request.options);
    request.command_line = provenance_command_line(argc, argv);
    if (!request.command_line)
        return tool_fail(name, "out of memory");
    status = parse(argc, argv, &request);
    if (status == TOOL_CONTINUE)
        status = interpret(&request);
    if (status == TOOL_CONTINUE)
        status = tool_finish_output(name, embed(&request) < 0 ? tool_fail_library(name) : TOOL_OK);
    free(request.command_line);
    return status;
}
