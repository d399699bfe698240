/*
 * dmstore fits: lists the fits of a store, or tells all of one: its models, its problem, the jobs
 * that made it, and its targets.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "fit_summary.h"
#include "json.h"
#include "options.h"
#include "report.h"
#include "target_range.h"

static const char name[] = "fits";

/* ---- all fits ---- */

/* Whether no target is one that a regression could have certified. */
static bool is_estimated(const struct fit_summary *summary)
{
    return summary->target_ct > 0 && summary->estimated_ct == summary->target_ct;
}

static void print_row(const struct fit_summary *summary)
{
    const struct dms_fit_header *header = summary->header;
    char targets[48], certified[24] = "-", gap[24] = "-", time[FIT_TIME_BYTES];

    if (!is_estimated(summary)) {
        snprintf(certified, sizeof(certified), "%" PRIu64, summary->certified_ct);
        snprintf(gap, sizeof(gap), "%.2g", summary->worst_gap);
    }
    snprintf(targets, sizeof(targets), "%" PRIu64 "/%" PRIu64, summary->target_ct,
             header->target_ct);
    printf("%-16s %-16s %-10s %15s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9s %9s %9.1f %5" PRIu64
           "  %s\n",
           summary->name, header->output, dms_fit_method(header), targets, header->training.row_ct,
           header->validation.row_ct, header->held_out.row_ct, certified, gap,
           summary->mean_weight_ct, summary->part_ct, fit_time_text(summary->last_time_ns, time));
}

static int list_fits(dms_snapshot *snapshot, struct json_writer *json)
{
    size_t fit_ct = dms_snapshot_fit_ct(snapshot);

    if (!json)
        printf("%-16s %-16s %-10s %15s %9s %9s %9s %9s %9s %9s %5s  %s\n", "FIT", "OUTPUT",
               "METHOD", "TARGETS", "TRAINING", "VALID", "HELD-OUT", "CERTIFIED", "GAP", "NNZ",
               "PARTS", "LAST");
    for (size_t i = 0; i < fit_ct; i++) {
        struct fit_summary summary;
        dms_fit *fit;
        int code = dms_fit_open(snapshot, dms_snapshot_fit_name(snapshot, i), &fit);

        if (code < 0)
            return code;
        code = fit_summarize(fit, &summary);
        if (code == 0 && json) {
            json_object_open(json, NULL);
            fit_summary_json(json, &summary);
            json_u64(json, "parts", summary.part_ct);
            json_object_close(json);
        } else if (code == 0) {
            print_row(&summary);
        }
        dms_fit_close(fit);
        if (code < 0)
            return code;
    }
    return 0;
}

/* ---- one fit ---- */

static void print_row_set(const char *what, const struct dms_row_set *set)
{
    printf("  %-15s %" PRIu64 " model%s", what, set->row_ct, tool_plural(set->row_ct));
    for (size_t i = 0; i < set->range_ct && i < 4; i++) {
        const struct dms_id_range *range = &set->ranges[i];

        printf("%s%" PRIu64, i == 0 ? ", ids " : ",", range->first_id);
        if (range->id_ct > 1)
            printf("-%" PRIu64, range->first_id + range->id_ct - 1);
    }
    if (set->range_ct > 4)
        printf(" and %zu more ranges", set->range_ct - 4);
    putchar('\n');
}

static void print_quartiles(const char *what, const struct quartiles *quartiles)
{
    const double *values = quartiles->values;

    printf("  %-15s %.6g smallest, %.6g, %.6g median, %.6g, %.6g largest\n", what, values[0],
           values[1], values[2], values[3], values[4]);
}

static void print_header(const struct fit_summary *summary)
{
    const struct dms_fit_header *header = summary->header;

    printf("%s\n", summary->name);
    printf("  output          %s\n", header->output);
    printf("  method          %s\n", dms_fit_method(header));
    printf("  examples        %" PRIu64 "\n", header->example_ct);
    print_row_set("training", &header->training);
    print_row_set("validation", &header->validation);
    print_row_set("held out", &header->held_out);
    printf("  begun at commit %" PRIu64 "\n", header->sequence);
    printf("problem\n");
    for (size_t i = 0; i < header->problem_ct; i++)
        printf("  %s = %s\n", header->problem[i].key, header->problem[i].value);
}

static void print_targets_summary(const struct fit_summary *summary)
{
    char bytes[TOOL_HUMAN_BYTES];

    printf("targets\n");
    printf("  fitted          %" PRIu64 " of %" PRIu64 ", %s\n", summary->target_ct,
           summary->header->target_ct, tool_human_bytes(summary->stored_bytes, bytes));
    if (summary->target_ct == 0)
        return;
    if (is_estimated(summary))
        printf("  certified       -, no target is the solution of a regression\n");
    else
        printf("  certified       %" PRIu64 ", worst gap %.3g\n", summary->certified_ct,
               summary->worst_gap);
    printf("  constant        %" PRIu64 "\n", summary->constant_ct);
    printf("  refitted        %" PRIu64 "\n", summary->refitted_ct);
    printf("  path ended      %" PRIu64 " early; %" PRIu64 " chose the last lambda\n",
           summary->path_ended_ct, summary->last_lambda_ct);
    print_quartiles("nonzeros", &summary->weight_cts);
    print_quartiles("lambda", &summary->lambdas);
}

static int print_parts(const dms_fit *fit)
{
    for (size_t i = 0; i < dms_fit_part_ct(fit); i++) {
        struct dms_fit_part_info info;
        char time[FIT_TIME_BYTES], bytes[TOOL_HUMAN_BYTES];
        int code = dms_fit_part_info(fit, i, &info);

        if (code < 0)
            return code;
        printf("part %zu: %" PRIu64 " target%s of %" PRIu64 " to %" PRIu64 ", commit %" PRIu64
               ", %s, %s\n",
               i + 1, info.target_ct, tool_plural(info.target_ct), info.first_target,
               info.last_target, info.sequence, fit_time_text(info.time_ns, time),
               tool_human_bytes(info.stored_bytes, bytes));
        for (size_t k = 0; k < info.provenance_ct; k++)
            printf("  %s = %s\n", info.provenance[k].key, info.provenance[k].value);
    }
    return 0;
}

static int print_fit(const dms_fit *fit)
{
    struct fit_summary summary;
    int code = fit_summarize(fit, &summary);

    if (code < 0)
        return code;
    print_header(&summary);
    print_targets_summary(&summary);
    return print_parts(fit);
}

/* ---- one fit as JSON ---- */

static void json_row_set(struct json_writer *json, const char *key, const struct dms_row_set *set)
{
    char digest[33];

    snprintf(digest, sizeof(digest), "%016" PRIx64 "%016" PRIx64, set->digest[1], set->digest[0]);
    json_object_open(json, key);
    json_u64(json, "models", set->row_ct);
    json_array_open(json, "ranges");
    for (size_t i = 0; i < set->range_ct; i++) {
        json_array_open(json, NULL);
        json_u64(json, NULL, set->ranges[i].first_id);
        json_u64(json, NULL, set->ranges[i].first_id + (set->ranges[i].id_ct - 1));
        json_array_close(json);
    }
    json_array_close(json);
    json_text(json, "digest", digest);
    json_object_close(json);
}

static int json_parts(struct json_writer *json, const dms_fit *fit)
{
    int code = 0;

    json_array_open(json, "parts");
    for (size_t i = 0; i < dms_fit_part_ct(fit) && code == 0; i++) {
        struct dms_fit_part_info info;
        char time[FIT_TIME_BYTES];

        code = dms_fit_part_info(fit, i, &info);
        if (code < 0)
            break;
        json_object_open(json, NULL);
        json_u64(json, "targets", info.target_ct);
        json_u64(json, "first_target", info.first_target);
        json_u64(json, "last_target", info.last_target);
        json_u64(json, "sequence", info.sequence);
        json_text(json, "time", info.time_ns ? fit_time_text(info.time_ns, time) : NULL);
        json_u64(json, "bytes", info.stored_bytes);
        fit_pairs_json(json, "provenance", info.provenance, info.provenance_ct);
        json_object_close(json);
    }
    json_array_close(json);
    return code;
}

static int json_fit(struct json_writer *json, const dms_fit *fit)
{
    struct fit_summary summary;
    int code = fit_summarize(fit, &summary);

    if (code < 0)
        return code;
    fit_summary_json(json, &summary);
    json_u64(json, "examples", summary.header->example_ct);
    json_u64(json, "sequence", summary.header->sequence);
    json_object_open(json, "models");
    json_row_set(json, "training", &summary.header->training);
    json_row_set(json, "validation", &summary.header->validation);
    json_row_set(json, "held_out", &summary.header->held_out);
    json_object_close(json);
    fit_pairs_json(json, "problem", summary.header->problem, summary.header->problem_ct);
    return json_parts(json, fit);
}

/* ---- targets ---- */

static const struct {
    uint32_t flag;
    const char *word;
} flag_words[] = {
    {DMS_FITTED_UNCERTIFIED, "uncertified"}, {DMS_FITTED_CONSTANT, "constant"},
    {DMS_FITTED_PATH_ENDED, "path-ended"},   {DMS_FITTED_LAST_LAMBDA, "last-lambda"},
    {DMS_FITTED_REFITTED, "refitted"},       {DMS_FITTED_ESTIMATED, "estimated"},
    {DMS_FITTED_NO_BIAS, "no-bias"},
};

enum { FLAG_WORD_CT = sizeof(flag_words) / sizeof(flag_words[0]) };

static void print_target(const struct dms_fitted_target *target)
{
    const char *separator = "";

    printf("%8" PRIu64 " %12.6g %12.6g %4zu/%-4zu %8zu %9.2g %12.6g %9" PRIu64 "  ", target->target,
           target->bias, target->lambda, target->path_ct > 0 ? target->chosen + 1 : 0,
           target->path_ct, target->weight_ct, target->gap, target->null_deviance, target->row_ct);
    for (size_t i = 0; i < FLAG_WORD_CT; i++) {
        if (target->flags & flag_words[i].flag) {
            printf("%s%s", separator, flag_words[i].word);
            separator = ",";
        }
    }
    putchar('\n');
}

static void json_target(struct json_writer *json, const struct dms_fitted_target *target)
{
    json_object_open(json, NULL);
    json_u64(json, "target", target->target);
    json_double(json, "bias", target->bias);
    json_double(json, "lambda", target->lambda);
    json_u64(json, "nnz", target->weight_ct);
    json_double(json, "gap", target->gap);
    json_double(json, "null_deviance", target->null_deviance);
    json_double(json, "mean", target->mean);
    json_u64(json, "rows", target->row_ct);
    json_array_open(json, "flags");
    for (size_t i = 0; i < FLAG_WORD_CT; i++) {
        if (target->flags & flag_words[i].flag)
            json_text(json, NULL, flag_words[i].word);
    }
    json_array_close(json);
    json_u64(json, "chosen", target->chosen);
    json_array_open(json, "path");
    for (size_t i = 0; i < target->path_ct; i++) {
        json_object_open(json, NULL);
        json_double(json, "lambda", target->path_lambdas[i]);
        json_double(json, "error", target->path_errors[i]);
        json_double(json, "gap", target->path_gaps[i]);
        json_u64(json, "nnz", target->path_weight_cts[i]);
        json_object_close(json);
    }
    json_array_close(json);
    json_object_close(json);
}

/* The fitted targets of first .. end - 1; end 0: to the last. */
static int list_targets(const dms_fit *fit, uint64_t first, uint64_t end, struct json_writer *json)
{
    if (!json)
        printf("%8s %12s %12s %9s %8s %9s %12s %9s  %s\n", "TARGET", "BIAS", "LAMBDA", "CHOSEN",
               "NNZ", "GAP", "DEVIANCE", "MODELS", "FLAGS");
    for (size_t i = 0; i < dms_fit_target_ct(fit); i++) {
        struct dms_fitted_target target;
        int code = dms_fit_target(fit, i, &target);

        if (code < 0)
            return code;
        if (target.target < first || (end > 0 && target.target >= end))
            continue;
        if (json)
            json_target(json, &target);
        else
            print_target(&target);
    }
    return 0;
}

/* ---- the command ---- */

/* What the command line says. */
struct request {
    const char *store;
    const char *fit; /* NULL: all */
    bool has_targets;
    uint64_t first_target, end_target;
};

static int show_fit(dms_snapshot *snapshot, const struct request *request, struct json_writer *json)
{
    dms_fit *fit;
    int code = dms_fit_open(snapshot, request->fit, &fit);

    if (code < 0)
        return code;
    if (request->has_targets) {
        if (json)
            json_array_open(json, "targets");
        code = list_targets(fit, request->first_target, request->end_target, json);
        if (json)
            json_array_close(json);
    } else {
        code = json ? json_fit(json, fit) : print_fit(fit);
    }
    dms_fit_close(fit);
    return code;
}

static int show(dms_snapshot *snapshot, const struct request *request, struct json_writer *json)
{
    int code;

    if (json) {
        json_begin(json, stdout);
        json_object_open(json, NULL);
    }
    if (request->fit) {
        code = show_fit(snapshot, request, json);
    } else {
        if (json)
            json_array_open(json, "fits");
        code = list_fits(snapshot, json);
        if (json)
            json_array_close(json);
    }
    if (json) {
        json_object_close(json);
        json_end(json);
    }
    return code;
}

int command_fits(int argc, char **argv)
{
    bool as_json = false;
    const char *targets = NULL;
    const struct tool_option options[] = {
        OPTION_TEXT("targets", 0, "A:B", &targets, "list the targets A to B - 1 of FIT one by one"),
        OPTION_FLAG("json", 0, &as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE [FIT] [--targets A:B] [--json]",
        .description =
            "Lists the fits of STORE (a store or a manifest): their targets, models and gaps.\n"
            "With FIT: everything about one, the jobs that made it included.\n",
        .positional_min = 1,
        .positional_max = 2,
        .options = options,
    };
    struct request request = {0};
    struct json_writer json;
    dms_snapshot *snapshot = NULL;
    char **positionals;
    size_t positional_ct;
    int code, status = tool_options_parse(&usage, argc, argv, &positionals, &positional_ct);

    if (status != TOOL_CONTINUE)
        return status;
    request.store = positionals[0];
    request.fit = positional_ct > 1 ? positionals[1] : NULL;
    request.has_targets = targets != NULL;
    if (targets && !request.fit)
        return tool_fail_usage(name, "--targets goes with the name of a fit");
    if (targets && !target_range_parse(targets, &request.first_target, &request.end_target))
        return tool_fail_usage(name, "--targets: '%s' is not a range FIRST:END", targets);
    code = dms_snapshot_open(request.store, &snapshot);
    if (code == 0)
        code = show(snapshot, &request, as_json ? &json : NULL);
    status = code < 0 ? tool_fail_library(name) : TOOL_OK;
    dms_snapshot_close(snapshot);
    return tool_finish_output(name, status);
}
