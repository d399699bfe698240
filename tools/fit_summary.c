/*
 * Summaries of fits; see fit_summary.h.
 */
#include "fit_summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "report.h"

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

/* Nearest-rank quartiles; sorts the numbers. */
static struct quartiles quartiles_of(double *numbers, size_t number_ct)
{
    struct quartiles quartiles = {{0}};

    if (number_ct == 0)
        return quartiles;
    qsort(numbers, number_ct, sizeof(*numbers), compare_doubles);
    for (size_t i = 0; i < 5; i++)
        quartiles.values[i] = numbers[(number_ct - 1) * i / 4];
    return quartiles;
}

static void add_target(struct fit_summary *summary, const struct dms_fitted_target *target)
{
    summary->certified_ct += (target->flags & (DMS_FITTED_UNCERTIFIED | DMS_FITTED_ESTIMATED)) == 0;
    summary->estimated_ct += (target->flags & DMS_FITTED_ESTIMATED) != 0;
    summary->constant_ct += (target->flags & DMS_FITTED_CONSTANT) != 0;
    summary->path_ended_ct += (target->flags & DMS_FITTED_PATH_ENDED) != 0;
    summary->last_lambda_ct += (target->flags & DMS_FITTED_LAST_LAMBDA) != 0;
    summary->refitted_ct += (target->flags & DMS_FITTED_REFITTED) != 0;
    summary->mean_weight_ct += (double)target->weight_ct; /* until all are added, their sum */
    if (target->gap > summary->worst_gap)
        summary->worst_gap = target->gap;
}

static int add_parts(const dms_fit *fit, struct fit_summary *summary)
{
    summary->part_ct = dms_fit_part_ct(fit);
    for (size_t i = 0; i < summary->part_ct; i++) {
        struct dms_fit_part_info info;
        int code = dms_fit_part_info(fit, i, &info);

        if (code < 0)
            return code;
        summary->stored_bytes += info.stored_bytes;
        if (info.time_ns > summary->last_time_ns)
            summary->last_time_ns = info.time_ns;
    }
    return 0;
}

int fit_summarize(const dms_fit *fit, struct fit_summary *summary)
{
    size_t target_ct = dms_fit_target_ct(fit), lambda_ct = 0;
    double *weight_cts = calloc(target_ct + 1, sizeof(*weight_cts));
    double *lambdas = calloc(target_ct + 1, sizeof(*lambdas));
    int code = 0;

    *summary = (struct fit_summary){.header = dms_fit_get_header(fit), .target_ct = target_ct};
    summary->name = summary->header->name;
    if (!weight_cts || !lambdas)
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu targets", target_ct);
    for (size_t i = 0; i < target_ct && code == 0; i++) {
        struct dms_fitted_target target;

        code = dms_fit_target(fit, i, &target);
        if (code < 0)
            break;
        add_target(summary, &target);
        weight_cts[i] = (double)target.weight_ct;
        if ((target.flags & DMS_FITTED_CONSTANT) == 0)
            lambdas[lambda_ct++] = target.lambda;
    }
    if (code == 0) {
        if (target_ct > 0)
            summary->mean_weight_ct /= (double)target_ct;
        summary->weight_cts = quartiles_of(weight_cts, target_ct);
        summary->lambdas = quartiles_of(lambdas, lambda_ct);
        code = add_parts(fit, summary);
    }
    free(weight_cts);
    free(lambdas);
    return code;
}

int fit_list_make(dms_snapshot *snapshot, struct fit_list *list)
{
    size_t fit_ct = dms_snapshot_fit_ct(snapshot);
    int code = 0;

    *list = (struct fit_list){.fits = calloc(fit_ct + 1, sizeof(*list->fits))};
    if (!list->fits)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu fits", fit_ct);
    for (size_t i = 0; i < fit_ct && code == 0; i++) {
        struct listed_fit *listed = &list->fits[i];
        dms_fit *fit;

        code = dms_fit_open(snapshot, dms_snapshot_fit_name(snapshot, i), &fit);
        if (code < 0)
            break;
        snprintf(listed->name, sizeof(listed->name), "%s", dms_fit_get_header(fit)->name);
        snprintf(listed->output, sizeof(listed->output), "%s", dms_fit_get_header(fit)->output);
        listed->fitted_ct = dms_fit_target_ct(fit);
        listed->target_ct = dms_fit_get_header(fit)->target_ct;
        listed->part_ct = dms_fit_part_ct(fit);
        list->fit_ct++;
        dms_fit_close(fit);
    }
    return code;
}

void fit_list_free(struct fit_list *list)
{
    free(list->fits);
    *list = (struct fit_list){0};
}

void fit_list_print(const struct fit_list *list)
{
    for (size_t i = 0; i < list->fit_ct; i++) {
        const struct listed_fit *fit = &list->fits[i];

        printf("fit %s, %" PRIu64 " of %" PRIu64 " targets of %s in %" PRIu64 " part%s\n",
               fit->name, fit->fitted_ct, fit->target_ct, fit->output, fit->part_ct,
               tool_plural(fit->part_ct));
    }
}

void fit_list_json(struct json_writer *json, const struct fit_list *list)
{
    json_array_open(json, "fits");
    for (size_t i = 0; i < list->fit_ct; i++) {
        const struct listed_fit *fit = &list->fits[i];

        json_object_open(json, NULL);
        json_text(json, "name", fit->name);
        json_text(json, "output", fit->output);
        json_u64(json, "targets", fit->fitted_ct);
        json_u64(json, "targets_of_output", fit->target_ct);
        json_u64(json, "parts", fit->part_ct);
        json_object_close(json);
    }
    json_array_close(json);
}

char *fit_time_text(uint64_t time_ns, char text[FIT_TIME_BYTES])
{
    time_t seconds = (time_t)(time_ns / 1000000000u);
    struct tm parts;

    if (time_ns == 0 || !gmtime_r(&seconds, &parts) ||
        strftime(text, FIT_TIME_BYTES, "%Y-%m-%d %H:%M:%SZ", &parts) == 0)
        snprintf(text, FIT_TIME_BYTES, "-");
    return text;
}

static void json_quartiles(struct json_writer *json, const char *key,
                           const struct quartiles *quartiles)
{
    json_array_open(json, key);
    for (size_t i = 0; i < 5; i++)
        json_double(json, NULL, quartiles->values[i]);
    json_array_close(json);
}

void fit_pairs_json(struct json_writer *json, const char *key, const struct dms_metadata *pairs,
                    size_t pair_ct)
{
    json_object_open(json, key);
    for (size_t i = 0; i < pair_ct; i++)
        json_text(json, pairs[i].key, pairs[i].value);
    json_object_close(json);
}

void fit_summary_json(struct json_writer *json, const struct fit_summary *summary)
{
    char time[FIT_TIME_BYTES];

    json_text(json, "name", summary->name);
    json_text(json, "output", summary->header->output);
    json_text(json, "method", dms_fit_method(summary->header));
    json_u64(json, "targets", summary->target_ct);
    json_u64(json, "targets_of_output", summary->header->target_ct);
    json_u64(json, "training", summary->header->training.row_ct);
    json_u64(json, "validation", summary->header->validation.row_ct);
    json_u64(json, "held_out", summary->header->held_out.row_ct);
    json_u64(json, "certified", summary->certified_ct);
    json_u64(json, "constant", summary->constant_ct);
    json_u64(json, "path_ended", summary->path_ended_ct);
    json_u64(json, "last_lambda", summary->last_lambda_ct);
    json_u64(json, "refitted", summary->refitted_ct);
    json_double(json, "worst_gap", summary->worst_gap);
    json_double(json, "mean_nnz", summary->mean_weight_ct);
    json_quartiles(json, "nnz_quartiles", &summary->weight_cts);
    json_quartiles(json, "lambda_quartiles", &summary->lambdas);
    json_u64(json, "bytes", summary->stored_bytes);
    json_text(json, "time",
              summary->last_time_ns ? fit_time_text(summary->last_time_ns, time) : NULL);
}
