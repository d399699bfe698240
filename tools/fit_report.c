/*
 * Progress, log and summary of a fit; see fit_report.h.
 */
#include "fit_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "choices.h"
#include "json.h"
#include "report.h"
#include "write_report.h"

void fit_report_begin(struct fit_report *report)
{
    report->start_seconds = monotonic_seconds();
}

void fit_report_free(struct fit_report *report)
{
    free(report->weight_cts);
    report->weight_cts = NULL;
}

double fit_report_seconds(const struct fit_report *report)
{
    return monotonic_seconds() - report->start_seconds;
}

/* ---- while it runs ---- */

/* How much of the work is behind us, 0 .. 1: targets that are done, and the lambdas that those of
 * the block in work have gone down. */
static double done_part(const struct dms_fit_progress *progress, uint32_t lambda_ct)
{
    double targets = (double)progress->target_ct;
    double in_block = progress->block_ct > 0 ? targets / (double)progress->block_ct : targets;
    double before = in_block * (double)progress->block;
    double done = before + in_block * progress->lambdas_done / (lambda_ct > 0 ? lambda_ct : 1);

    if (done < (double)progress->finished_ct)
        done = (double)progress->finished_ct;
    return targets > 0 ? fmin(done / targets, 1) : 0;
}

static uint32_t lambda_count(const struct dms_fit_header *header)
{
    for (size_t i = 0; i < header->problem_ct; i++) {
        if (strcmp(header->problem[i].key, "lambdas") == 0)
            return (uint32_t)strtoul(header->problem[i].value, NULL, 10);
    }
    return 0;
}

static bool is_ridge(const struct fit_report *report)
{
    const char *method = dms_fit_problem(report->header, "method");

    return method && strcmp(method, "ridge") == 0;
}

/* "pairs of examples: 37% counted", "outputs: 37% read" */
static int show_counting(struct fit_report *report, const struct dms_fit_progress *progress)
{
    char text[64];
    bool is_pairs = strcmp(progress->stage, "pairs") == 0;

    snprintf(text, sizeof(text), "%s: %.0f%% %s", is_pairs ? "pairs of examples" : "outputs",
             100 * progress->counted, is_pairs ? "counted" : "read");
    return progress_show(report->progress, text);
}

/* "path 37: 412/1,000 targets, lambda 34.2/100, gap 3.1e-04, 1,200,000 rows/s, 0:42 left" */
static int show(struct fit_report *report, const struct dms_fit_progress *progress)
{
    uint32_t lambda_ct = lambda_count(report->header);
    double part = done_part(progress, lambda_ct), seconds = fit_report_seconds(report);
    char done[TOOL_HUMAN_BYTES], all[TOOL_HUMAN_BYTES], rate[TOOL_HUMAN_BYTES];
    char lambda[64] = "", gap[32] = "", speed[48] = "", left[TOOL_HUMAN_BYTES + 16] = "", text[256],
         time_text[TOOL_HUMAN_BYTES];

    if (!is_ridge(report))
        snprintf(lambda, sizeof(lambda), ", lambda %.1f/%" PRIu32, progress->lambdas_done,
                 lambda_ct);
    if (!isnan(progress->worst_gap))
        snprintf(gap, sizeof(gap), ", gap %.1e", progress->worst_gap);
    if (part > 0.01 && part < 1)
        snprintf(left, sizeof(left), ", %s left",
                 tool_human_seconds((uint64_t)(seconds * (1 - part) / part + 0.5), time_text));
    if (progress->rows_per_second > 0)
        snprintf(speed, sizeof(speed), ", %s rows/s",
                 tool_human_count((uint64_t)progress->rows_per_second, rate));
    snprintf(text, sizeof(text), "%s %" PRIu64 ": %s/%s targets%s%s%s%s", progress->stage,
             progress->epoch, tool_human_count(progress->finished_ct, done),
             tool_human_count(progress->target_ct, all), lambda, gap, speed, left);
    return progress_show(report->progress, text);
}

static void log_pass(struct fit_report *report, const struct dms_fit_progress *progress)
{
    struct json_writer json;

    json_begin_line(&json, report->log);
    json_object_open(&json, NULL);
    json_text(&json, "event", "pass");
    json_double(&json, "seconds", fit_report_seconds(report));
    json_text(&json, "stage", progress->stage);
    json_u64(&json, "block", progress->block);
    json_u64(&json, "blocks", progress->block_ct);
    json_u64(&json, "epoch", progress->epoch);
    json_u64(&json, "finished_targets", progress->finished_ct);
    json_u64(&json, "targets", progress->target_ct);
    json_double(&json, "lambdas_done", progress->lambdas_done);
    json_double(&json, "worst_gap", progress->worst_gap);
    json_double(&json, "rows_per_second", progress->rows_per_second);
    json_object_close(&json);
    json_end(&json);
    fflush(report->log);
}

/* "cuda: NVIDIA H100, 78.9 GiB free (there is a CUDA device)" */
static void print_device(const struct dms_fit_placement *placement)
{
    char bytes[TOOL_HUMAN_BYTES];

    printf("  device       %s", device_words[placement->device]);
    if (placement->device_name)
        printf(": %s, %s free", placement->device_name,
               tool_human_bytes(placement->device_bytes, bytes));
    printf(" (%s)\n", placement->reason);
}

static void print_solver(const struct dms_fit_placement *placement)
{
    char bytes[TOOL_HUMAN_BYTES];

    printf("  solver       %s (%s)", solver_words[placement->solver], placement->solver_reason);
    if (placement->memory_bytes > 0)
        printf(", at most %s", tool_human_bytes(placement->memory_bytes, bytes));
    printf("\n");
}

static void print_blocks(const struct dms_fit_placement *placement)
{
    char block_ct[TOOL_HUMAN_BYTES], targets[TOOL_HUMAN_BYTES], rows[TOOL_HUMAN_BYTES];

    printf("  blocks       %s of %s target%s, batches of %s models, table of SAGA: %s\n",
           tool_human_count(placement->block_ct, block_ct),
           tool_human_count(placement->block_targets, targets),
           tool_plural(placement->block_targets), tool_human_count(placement->batch_rows, rows),
           placement->table);
}

static void log_placement(const struct fit_report *report,
                          const struct dms_fit_placement *placement)
{
    struct json_writer json;

    json_begin_line(&json, report->log);
    json_object_open(&json, NULL);
    json_text(&json, "event", "placement");
    json_text(&json, "solver", solver_words[placement->solver]);
    json_text(&json, "solver_reason", placement->solver_reason);
    json_u64(&json, "memory_bytes", placement->memory_bytes);
    json_text(&json, "device", device_words[placement->device]);
    json_text(&json, "name", placement->device_name);
    json_text(&json, "reason", placement->reason);
    json_u64(&json, "free_bytes", placement->device_bytes);
    json_u64(&json, "blocks", placement->block_ct);
    json_u64(&json, "block_targets", placement->block_targets);
    json_u64(&json, "batch_rows", placement->batch_rows);
    json_text(&json, "table", placement->table);
    json_object_close(&json);
    json_end(&json);
    fflush(report->log);
}

void fit_report_placement(struct fit_report *report, const struct dms_fit_placement *placement,
                          bool quiet)
{
    report->solver = placement->solver;
    report->device = placement->device;
    snprintf(report->device_name, sizeof(report->device_name), "%s",
             placement->device_name ? placement->device_name : "");
    if (report->log)
        log_placement(report, placement);
    if (quiet)
        return;
    print_solver(placement);
    print_device(placement);
    if (placement->block_ct > 0)
        print_blocks(placement);
    fflush(stdout);
}

int fit_report_pass(struct fit_report *report, const struct dms_fit_progress *progress)
{
    if (!isnan(progress->counted))
        return show_counting(report, progress);
    report->epoch_ct++;
    if (report->log)
        log_pass(report, progress);
    return show(report, progress);
}

static void log_target(struct fit_report *report, const struct dms_fitted_target *target)
{
    struct json_writer json;

    json_begin_line(&json, report->log);
    json_object_open(&json, NULL);
    json_text(&json, "event", "target");
    json_double(&json, "seconds", fit_report_seconds(report));
    json_u64(&json, "target", target->target);
    json_bool(&json, "certified", !(target->flags & DMS_FITTED_UNCERTIFIED));
    json_double(&json, "gap", target->gap);
    json_double(&json, "lambda", target->lambda);
    json_u64(&json, "lambdas", target->path_ct);
    json_u64(&json, "weights", target->weight_ct);
    json_u64(&json, "rows", target->row_ct);
    json_bool(&json, "constant", target->flags & DMS_FITTED_CONSTANT);
    json_bool(&json, "last_lambda", target->flags & DMS_FITTED_LAST_LAMBDA);
    json_object_close(&json);
    json_end(&json);
    fflush(report->log);
}

/* Room for one more. */
static int grow(struct fit_report *report)
{
    size_t capacity = report->weight_capacity + report->weight_capacity / 2 + 64;
    uint64_t *grown;

    if (report->target_ct < report->weight_capacity)
        return 0;
    grown = realloc(report->weight_cts, capacity * sizeof(*grown));
    if (!grown)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the report");
    report->weight_cts = grown;
    report->weight_capacity = capacity;
    return 0;
}

int fit_report_target(struct fit_report *report, const struct dms_fitted_target *target)
{
    int code = grow(report);

    if (code < 0)
        return code;
    report->weight_cts[report->target_ct++] = target->weight_ct;
    report->certified_ct += !(target->flags & DMS_FITTED_UNCERTIFIED);
    report->constant_ct += (target->flags & DMS_FITTED_CONSTANT) != 0;
    report->path_ended_ct += (target->flags & DMS_FITTED_PATH_ENDED) != 0;
    report->last_lambda_ct += (target->flags & DMS_FITTED_LAST_LAMBDA) != 0;
    for (size_t i = 0; i < target->path_ct; i++) {
        report->pair_ct += !isnan(target->path_gaps[i]);
        report->certified_pair_ct += target->path_gaps[i] <= report->tolerance;
    }
    if (!(target->gap <= report->worst_gap)) {
        report->worst_gap = target->gap;
        report->worst_target = target->target;
    }
    if (report->log)
        log_target(report, target);
    return 0;
}

/* ---- before and after ---- */

static void print_rows(const char *label, const struct dms_row_set *set)
{
    const struct dms_id_range *last = set->range_ct > 0 ? &set->ranges[set->range_ct - 1] : NULL;
    char count[TOOL_HUMAN_BYTES];

    printf("  %-12s %s model%s", label, tool_human_count(set->row_ct, count),
           tool_plural(set->row_ct));
    if (last)
        printf(", ids %" PRIu64 " to %" PRIu64, set->ranges[0].first_id,
               last->first_id + (last->id_ct - 1));
    putchar('\n');
}

static void print_ridge_cost(const struct fit_report *report, const struct dms_ridge_cost *cost)
{
    char matrix_ct[TOOL_HUMAN_BYTES], size[TOOL_HUMAN_BYTES], bytes[TOOL_HUMAN_BYTES];

    tool_human_count(cost->matrix_ct, matrix_ct);
    tool_human_count(report->header->example_ct, size);
    printf("  matrices     %s of %s x %s, %s: about %.2g operations and at least %s of memory\n",
           matrix_ct, size, size, cost->has_eigenvectors ? "eigenvectors" : "Cholesky factors",
           cost->operations, tool_human_bytes(cost->memory_bytes, bytes));
}

void fit_report_print_plan(const struct fit_report *report, const struct dms_ridge_cost *ridge)
{
    const struct dms_fit_header *header = report->header;

    printf("fit %s: targets %" PRIu64 " to %" PRIu64 " of %s\n", header->name, report->first_target,
           report->end_target - 1, header->output);
    print_rows("training", &header->training);
    print_rows("validation", &header->validation);
    print_rows("held out", &header->held_out);
    if (ridge)
        print_ridge_cost(report, ridge);
    if (!ridge && header->validation.row_ct == 0)
        puts("  No models choose lambda: every target gets the last one of its path.");
    if (header->held_out.row_ct == 0)
        puts("  No models are held out: 'dmstore eval' will have none to judge the fit by.");
    fflush(stdout);
}

static int compare_counts(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

/* Sorts the counts; the middle one, or the mean of the two. */
static double median_weights(struct fit_report *report)
{
    size_t count = (size_t)report->target_ct;

    if (count == 0)
        return 0;
    qsort(report->weight_cts, count, sizeof(*report->weight_cts), compare_counts);
    return ((double)report->weight_cts[(count - 1) / 2] + (double)report->weight_cts[count / 2]) /
           2;
}

void fit_report_print(struct fit_report *report, const char *stored, uint64_t added_ct)
{
    double seconds = fit_report_seconds(report), median = median_weights(report);
    char time_text[TOOL_HUMAN_BYTES];

    printf("  gap at most %-8g %" PRIu64 " of %" PRIu64 " targets", report->tolerance,
           report->certified_ct, report->target_ct);
    if (!is_ridge(report))
        printf(", %" PRIu64 " of %" PRIu64 " (target, lambda) pairs", report->certified_pair_ct,
               report->pair_ct);
    putchar('\n');
    printf("  worst gap            %.3g, of target %" PRIu64 "\n", report->worst_gap,
           report->worst_target);
    if (!is_ridge(report))
        printf("  path ended early     %" PRIu64 " target%s\n", report->path_ended_ct,
               tool_plural(report->path_ended_ct));
    printf("  at the last lambda   %" PRIu64 " target%s%s\n", report->last_lambda_ct,
           tool_plural(report->last_lambda_ct),
           report->last_lambda_ct > 0 && report->header->validation.row_ct > 0
               ? ": a smaller --lambda-min-ratio may fit better"
               : "");
    printf("  constant output      %" PRIu64 " target%s\n", report->constant_ct,
           tool_plural(report->constant_ct));
    if (report->target_ct > 0)
        printf("  weights              median %g, %" PRIu64 " to %" PRIu64 "\n", median,
               report->weight_cts[0], report->weight_cts[report->target_ct - 1]);
    printf("  time                 %s, %" PRIu64 " pass%s, %.3g seconds a target\n",
           tool_human_seconds((uint64_t)(seconds + 0.5), time_text), report->epoch_ct,
           report->epoch_ct == 1 ? "" : "es",
           report->target_ct > 0 ? seconds / (double)report->target_ct : 0);
    if (stored)
        printf("  stored               %" PRIu64 " target%s in %s\n", added_ct,
               tool_plural(added_ct), stored);
    else
        puts("  stored               nothing");
}

void fit_report_print_json(struct fit_report *report, const char *stored, uint64_t added_ct)
{
    const struct dms_fit_header *header = report->header;
    double median = median_weights(report);
    struct json_writer json;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_text(&json, "fit", header->name);
    json_text(&json, "output", header->output);
    json_u64(&json, "first_target", report->first_target);
    json_u64(&json, "end_target", report->end_target);
    json_u64(&json, "training", header->training.row_ct);
    json_u64(&json, "validation", header->validation.row_ct);
    json_u64(&json, "held_out", header->held_out.row_ct);
    json_text(&json, "solver", solver_words[report->solver]);
    json_text(&json, "device",
              report->device == DMS_DEVICE_AUTO ? NULL : device_words[report->device]);
    json_double(&json, "tolerance", report->tolerance);
    json_u64(&json, "targets", report->target_ct);
    json_u64(&json, "certified_targets", report->certified_ct);
    json_u64(&json, "pairs", report->pair_ct);
    json_u64(&json, "certified_pairs", report->certified_pair_ct);
    json_double(&json, "worst_gap", report->worst_gap);
    json_u64(&json, "worst_target", report->worst_target);
    json_u64(&json, "path_ended", report->path_ended_ct);
    json_u64(&json, "last_lambda", report->last_lambda_ct);
    json_u64(&json, "constant", report->constant_ct);
    json_double(&json, "median_weights", median);
    json_double(&json, "seconds", fit_report_seconds(report));
    json_u64(&json, "passes", report->epoch_ct);
    json_text(&json, "stored", stored);
    json_u64(&json, "added", added_ct);
    json_object_close(&json);
    json_end(&json);
}
