/*
 * dmstore compare: how far two fits of the same targets agree, in their weights and in what they
 * predict.
 */
#include "commands.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "fit_arrays.h"
#include "fit_query.h"
#include "json.h"
#include "options.h"
#include "output_file.h"
#include "progress.h"
#include "report.h"

static const char name[] = "compare";

/* The command line. */
struct request {
    struct fit_query a;
    const char *b_store, *b_name; /* b_store NULL: that of a */
    const char *tops, *labels, *self, *csv_path;
    uint64_t *top_cts;
    bool no_lds, as_json;
    struct dms_compare_options options;
};

/* ---- the command line ---- */

/* Reads "10,50,100". Returns false when it is no such list. */
static bool parse_tops(struct request *request)
{
    char *text = strdup(request->tops), *next = text, *word;
    size_t capacity = strlen(request->tops) + 1;
    bool is_list = true;

    request->top_cts = calloc(capacity, sizeof(*request->top_cts));
    while (text && request->top_cts && is_list && (word = strsep(&next, ","))) {
        uint64_t *top_ct = &request->top_cts[request->options.top_ct++];

        is_list = tool_parse_number(word, 0, top_ct) && *top_ct > 0;
    }
    request->options.top_cts = request->top_cts;
    free(text);
    return is_list && request->top_cts;
}

/* Turns the words of the command line into options. */
static int interpret(struct request *request)
{
    if (request->tops && !parse_tops(request))
        return tool_fail_usage(name, "-k: '%s' is no list of numbers above 0, as in 10,50,100",
                               request->tops);
    if (request->as_json && request->csv_path && strcmp(request->csv_path, "-") == 0)
        return tool_fail_usage(name, "--json and -o - cannot both be printed");
    request->options.score = !request->no_lds;
    return TOOL_CONTINUE;
}

static int parse(int argc, char **argv, struct request *request)
{
    const struct tool_option options[] = {
        FIT_QUERY_TARGET_OPTION(&request->a),
        OPTION_TEXT("store-b", 0, "STOREB", &request->b_store,
                    "the store of FITB, where it is another"),
        OPTION_TEXT("top", 'k', "K,...", &request->tops,
                    "compare the examples with the K largest weights (default 10,50,100)"),
        OPTION_FLAG("no-lds", 0, &request->no_lds,
                    "compare the weights only, and do not score them on the models of FITB"),
        OPTION_TEXT("labels", 0, "FILE", &request->labels,
                    ".npy of the correct classes, where FITB was made with one"),
        OPTION_TEXT("self", 0, "FILE", &request->self,
                    ".npy of the targets' own examples, where FITB was made with one"),
        OPTION_THREADS(&request->options.thread_ct,
                       "threads to work with (default: one a processor)"),
        OPTION_BYTES("memory", 0, "BYTES", &request->options.memory_bytes, NULL,
                     "memory to use for LDS; targets go in blocks that fit (default 4G)"),
        OPTION_TEXT("output", 'o', "FILE", &request->csv_path,
                    "write a table with one line a target, as CSV; '-': instead of the report"),
        OPTION_FLAG("json", 0, &request->as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE FITA FITB [--store-b STOREB] [options]",
        .description =
            "Compares two fits of the same targets and training examples, made of other\n"
            "models or by other methods: correlations of their weights, which examples with\n"
            "large weights they have in common, and how well FITA predicts the models that\n"
            "FITB has held out.\n",
        .positional_min = 3,
        .positional_max = 3,
        .options = options,
    };
    char **positionals;
    int status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status != TOOL_CONTINUE)
        return status;
    request->a.store = positionals[0];
    request->a.fit_name = positionals[1];
    request->b_name = positionals[2];
    return interpret(request);
}

/* ---- report ---- */

#define LABEL_WIDTH 28

/* A correlation or a share; '-' for NaN. */
static void print_value(const char *label, double value)
{
    printf("%-*s", LABEL_WIDTH, label);
    if (isnan(value))
        puts("       -");
    else
        printf("%8.4f\n", value);
}

static void print_tops(const struct dms_comparison *comparison)
{
    for (size_t i = 0; i < comparison->top_ct; i++) {
        char label[64];

        snprintf(label, sizeof(label), "top %" PRIu64 " in common", comparison->top_cts[i]);
        print_value(label, comparison->overlaps[i]);
        print_value("  Jaccard", comparison->jaccards[i]);
    }
}

static void print_lds(const struct request *request, const struct dms_comparison *comparison)
{
    char rows[TOOL_HUMAN_BYTES], label[DMS_NAME_BYTES + 16];

    if (comparison->row_ct > 0) {
        printf("LDS on %s held-out model%s of %s\n", tool_human_count(comparison->row_ct, rows),
               tool_plural(comparison->row_ct), request->b_name);
        print_value("  of its own weights", comparison->means[DMS_AGREEMENT_B_LDS]);
        snprintf(label, sizeof(label), "  of those of %s", request->a.fit_name);
        print_value(label, comparison->means[DMS_AGREEMENT_A_LDS]);
    } else if (comparison->unscored) {
        printf("no LDS: %s\n", comparison->unscored);
    }
}

static void print_note(uint64_t count, const char *text, const char *fit)
{
    char number[TOOL_HUMAN_BYTES];

    if (count > 0)
        printf("%s target%s %s%s\n", tool_human_count(count, number), tool_plural(count), text,
               fit);
}

static void print(const struct request *request, const struct dms_comparison *comparison)
{
    char targets[TOOL_HUMAN_BYTES], examples[TOOL_HUMAN_BYTES];

    printf("%s and %s: %s target%s, %s example%s\n", request->a.fit_name, request->b_name,
           tool_human_count(comparison->target_ct, targets), tool_plural(comparison->target_ct),
           tool_human_count(request->a.header->example_ct, examples),
           tool_plural(request->a.header->example_ct));
    puts("mean over targets");
    print_value("Spearman of weights", comparison->means[DMS_AGREEMENT_SPEARMAN]);
    print_value("Pearson of weights", comparison->means[DMS_AGREEMENT_PEARSON]);
    print_value("cosine of weights", comparison->means[DMS_AGREEMENT_COSINE]);
    print_tops(comparison);
    print_lds(request, comparison);
    print_note(comparison->target_ct - comparison->defined_cts[DMS_AGREEMENT_SPEARMAN],
               "without correlations: all weights of a fit are equal", "");
    print_note(comparison->a_only_ct, "not compared: not in ", request->b_name);
    print_note(comparison->b_only_ct, "not compared: not in ", request->a.fit_name);
}

/* ---- JSON ---- */

static void json_fit(struct json_writer *json, const char *key, const char *store,
                     const struct dms_fit_header *header)
{
    json_object_open(json, key);
    json_text(json, "store", store);
    json_text(json, "fit", header->name);
    json_text(json, "method", dms_fit_method(header));
    json_text(json, "output", header->output);
    json_object_close(json);
}

static void json_target(struct json_writer *json, const struct dms_comparison *comparison,
                        const struct dms_target_comparison *target)
{
    json_object_open(json, NULL);
    json_u64(json, "target", target->target);
    json_u64(json, "a_weights", target->a_weight_ct);
    json_u64(json, "b_weights", target->b_weight_ct);
    for (int i = 0; i < DMS_AGREEMENT_CT; i++)
        json_double(json, dms_agreement_name((enum dms_agreement)i), target->values[i]);
    json_array_open(json, "common");
    for (size_t i = 0; i < comparison->top_ct; i++)
        json_u64(json, NULL, target->common_cts[i]);
    json_array_close(json);
    json_object_close(json);
}

static void json_means(struct json_writer *json, const struct dms_comparison *comparison)
{
    json_object_open(json, "mean");
    for (int i = 0; i < DMS_AGREEMENT_CT; i++)
        json_double(json, dms_agreement_name((enum dms_agreement)i), comparison->means[i]);
    json_object_close(json);
    json_object_open(json, "defined");
    for (int i = 0; i < DMS_AGREEMENT_CT; i++)
        json_u64(json, dms_agreement_name((enum dms_agreement)i), comparison->defined_cts[i]);
    json_object_close(json);
    json_array_open(json, "top");
    for (size_t i = 0; i < comparison->top_ct; i++) {
        json_object_open(json, NULL);
        json_u64(json, "k", comparison->top_cts[i]);
        json_double(json, "overlap", comparison->overlaps[i]);
        json_double(json, "jaccard", comparison->jaccards[i]);
        json_object_close(json);
    }
    json_array_close(json);
}

static void print_json(const struct request *request, const struct dms_fit_header *b,
                       const struct dms_comparison *comparison)
{
    struct json_writer json;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_fit(&json, "a", request->a.store, request->a.header);
    json_fit(&json, "b", request->b_store ? request->b_store : request->a.store, b);
    json_u64(&json, "examples", b->example_ct);
    json_u64(&json, "target_count", comparison->target_ct);
    json_u64(&json, "targets_a_only", comparison->a_only_ct);
    json_u64(&json, "targets_b_only", comparison->b_only_ct);
    json_u64(&json, "rows", comparison->row_ct);
    json_text(&json, "unscored", comparison->unscored);
    json_bool(&json, "extrapolates", comparison->extrapolates);
    json_means(&json, comparison);
    json_array_open(&json, "targets");
    for (uint64_t t = 0; t < comparison->target_ct; t++)
        json_target(&json, comparison, &comparison->targets[t]);
    json_array_close(&json);
    json_object_close(&json);
    json_end(&json);
}

/* ---- CSV ---- */

static void write_table(FILE *stream, const struct dms_comparison *comparison)
{
    fputs("target,a_weights,b_weights", stream);
    for (int i = 0; i < DMS_AGREEMENT_CT; i++)
        fprintf(stream, ",%s", dms_agreement_name((enum dms_agreement)i));
    for (size_t i = 0; i < comparison->top_ct; i++)
        fprintf(stream, ",common_%" PRIu64, comparison->top_cts[i]);
    fputc('\n', stream);
    for (uint64_t t = 0; t < comparison->target_ct; t++) {
        const struct dms_target_comparison *target = &comparison->targets[t];

        fprintf(stream, "%" PRIu64 ",%zu,%zu", target->target, target->a_weight_ct,
                target->b_weight_ct);
        for (int i = 0; i < DMS_AGREEMENT_CT; i++) {
            if (isnan(target->values[i])) /* undefined: empty */
                fputc(',', stream);
            else
                fprintf(stream, ",%.12g", target->values[i]);
        }
        for (size_t i = 0; i < comparison->top_ct; i++)
            fprintf(stream, ",%" PRIu64, target->common_cts[i]);
        fputc('\n', stream);
    }
}

static int write_csv(const char *path, const struct dms_comparison *comparison)
{
    struct output_file file = {0};
    FILE *stream;
    int code = output_file_create(&file, path);

    if (code < 0)
        return code;
    stream = output_file_stream(&file);
    if (!stream)
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    else
        write_table(stream, comparison);
    return output_file_end_stream(&file, stream, code);
}

/* ---- the command ---- */

static int report(const struct request *request, const struct dms_fit_header *b,
                  const struct dms_comparison *comparison)
{
    int code = request->csv_path ? write_csv(request->csv_path, comparison) : 0;

    if (code < 0)
        return code;
    if (comparison->extrapolates)
        tool_warn(name,
                  "the held-out masks have %" PRIu64 " to %" PRIu64
                  " examples, those that %s was trained on %" PRIu64 " to %" PRIu64
                  ": its predictions extrapolate, and are compared by rank only",
                  comparison->smallest_subset, comparison->largest_subset, request->a.fit_name,
                  comparison->smallest_training_subset, comparison->largest_training_subset);
    if (request->as_json)
        print_json(request, b, comparison);
    else if (!request->csv_path || strcmp(request->csv_path, "-") != 0)
        print(request, comparison);
    return 0;
}

static int compare(struct request *request, dms_snapshot *b_snapshot, dms_fit *b)
{
    struct dms_comparison *comparison = NULL;
    struct fit_query *a = &request->a;
    struct progress progress;
    int code;

    progress_begin(&progress, name, PROGRESS_ROWS);
    request->options.progress = progress_show_targets;
    request->options.progress_context = &progress;
    code = dms_compare(a->snapshot, a->fit, b_snapshot, b, a->positions, a->position_ct,
                       &request->options, &comparison);
    progress_end(&progress);
    if (code == 0)
        code = report(request, dms_fit_get_header(b), comparison);
    dms_comparison_free(comparison);
    return code;
}

/* Those of the usual k that there are so many examples for. */
static void choose_tops(struct request *request)
{
    static const uint64_t usual[] = {10, 50, 100};

    request->options.top_cts = usual;
    while (request->options.top_ct < sizeof(usual) / sizeof(usual[0]) &&
           usual[request->options.top_ct] <= request->a.header->example_ct)
        request->options.top_ct++;
}

static int run(struct request *request)
{
    int64_t *labels = NULL, *self = NULL;
    dms_snapshot *b_snapshot = NULL;
    dms_fit *b = NULL;
    int code = fit_query_open(&request->a);

    if (code == 0 && !request->tops)
        choose_tops(request);
    if (code == 0 && request->labels)
        code = fit_array_integers(request->labels, "label", &labels, &request->options.label_ct);
    if (code == 0 && request->self)
        code = fit_array_integers(request->self, "example", &self, &request->options.self_ct);
    request->options.labels = labels;
    request->options.self = self;
    if (code == 0 && request->b_store)
        code = dms_snapshot_open(request->b_store, &b_snapshot);
    if (code == 0)
        code = dms_fit_open(b_snapshot ? b_snapshot : request->a.snapshot, request->b_name, &b);
    if (code == 0)
        code = compare(request, b_snapshot ? b_snapshot : request->a.snapshot, b);
    dms_fit_close(b);
    dms_snapshot_close(b_snapshot);
    fit_query_close(&request->a);
    free(labels);
    free(self);
    return code;
}

int command_compare(int argc, char **argv)
{
    struct request request = {.a.targets = "all"};
    int status;

    dms_compare_options_init(&request.options);
    status = parse(argc, argv, &request);
    if (status == TOOL_CONTINUE) {
        status = run(&request) < 0 ? tool_fail_library(name) : TOOL_OK;
        status = tool_finish_output(name, status);
    }
    free(request.top_cts);
    return status;
}
