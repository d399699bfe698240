/*
 * Prints evaluations; see evaluation_report.h.
 */
#include "evaluation_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "options.h"
#include "output_file.h"
#include "report.h"

struct dms_subset_sizes evaluation_training_sizes(const struct dms_evaluation *evaluation)
{
    return (struct dms_subset_sizes){
        .is_known = evaluation->smallest_training_subset <= evaluation->largest_training_subset,
        .smallest = evaluation->smallest_training_subset,
        .largest = evaluation->largest_training_subset,
    };
}

static uint64_t count_flagged(const struct dms_evaluation *evaluation, size_t fit, uint32_t flag)
{
    uint64_t count = 0;

    for (uint64_t t = 0; t < evaluation->target_ct; t++)
        count += (evaluation->fits[fit].targets[t].flags & flag) != 0;
    return count;
}

/* ---- table ---- */

#define LABEL_WIDTH 20
#define NUMBER_WIDTH 18
/* As many columns as 80 characters hold; more fits follow in another table below. */
#define TABLE_FITS 3

/* Some of the fits of an evaluation, side by side. */
struct table {
    const struct dms_evaluation *evaluation;
    size_t first, end;
};

/* How the table calls the scores. */
static const char *const labels[DMS_SCORE_CT] = {
    [DMS_SCORE_LDS] = "LDS",
    [DMS_SCORE_PEARSON] = "Pearson",
    [DMS_SCORE_MSE] = "MSE",
    [DMS_SCORE_R2] = "R^2",
    [DMS_SCORE_AUC] = "AUC",
    [DMS_SCORE_OPT] = "OPT",
    [DMS_SCORE_LDS_AVERAGED] = "LDS with averages",
    [DMS_SCORE_CEILING] = "  noise ceiling",
};

static void print_cell(const char *text)
{
    printf("  %*s", NUMBER_WIDTH, text);
}

/* A share or a correlation; '-' for NaN. */
static void print_share(double value)
{
    char text[NUMBER_WIDTH + 16];

    snprintf(text, sizeof(text), "%.4f", value);
    print_cell(isnan(value) ? "-" : text);
}

/* A squared error, of any size. */
static void print_error(double value)
{
    char text[NUMBER_WIDTH + 16];

    snprintf(text, sizeof(text), "%.4g", value);
    print_cell(isnan(value) ? "-" : text);
}

static void print_interval(const struct dms_interval *interval)
{
    char text[2 * NUMBER_WIDTH];

    snprintf(text, sizeof(text), "%.4f .. %.4f", interval->low, interval->high);
    print_cell(text);
}

static void print_means(const struct table *table)
{
    const struct dms_evaluation *evaluation = table->evaluation;

    for (int score = 0; score < DMS_SCORE_CT; score++) {
        if (score >= DMS_SCORE_OPT && evaluation->repeated_ct == 0)
            break;
        printf("%-*s", LABEL_WIDTH, labels[score]);
        for (size_t fit = table->first; fit < table->end; fit++) {
            double mean = evaluation->fits[fit].means[score];

            if (score == DMS_SCORE_MSE || score == DMS_SCORE_OPT)
                print_error(mean);
            else
                print_share(mean);
        }
        putchar('\n');
        if (score != DMS_SCORE_LDS || evaluation->bootstrap == DMS_BOOTSTRAP_NONE ||
            isnan(evaluation->fits[0].lds_interval.low))
            continue;
        printf("%-*s", LABEL_WIDTH, "  95% interval");
        for (size_t fit = table->first; fit < table->end; fit++)
            print_interval(&evaluation->fits[fit].lds_interval);
        putchar('\n');
    }
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* The LDS of all targets of a fit that have one, sorted; returns how many. */
static size_t sort_lds(const struct dms_evaluation *evaluation, size_t fit, double *sorted)
{
    size_t count = 0;

    for (uint64_t t = 0; t < evaluation->target_ct; t++) {
        double lds = evaluation->fits[fit].targets[t].scores[DMS_SCORE_LDS];

        if (!isnan(lds))
            sorted[count++] = lds;
    }
    qsort(sorted, count, sizeof(*sorted), compare_doubles);
    return count;
}

static int print_quantiles(const struct table *table)
{
    const struct dms_evaluation *evaluation = table->evaluation;
    static const struct {
        const char *label;
        double share;
    } quantiles[] = {{"  smallest", 0}, {"  5%", 0.05},  {"  25%", 0.25}, {"  median", 0.5},
                     {"  75%", 0.75},   {"  95%", 0.95}, {"  largest", 1}};
    double *sorted = malloc(TABLE_FITS * evaluation->target_ct * sizeof(*sorted));
    uint64_t count = 0;

    if (!sorted)
        return dms_source_fail(DMS_ERR_NO_MEMORY,
                               "out of memory for the scores of %" PRIu64 " targets",
                               evaluation->target_ct);
    for (size_t fit = table->first; fit < table->end; fit++)
        count = sort_lds(evaluation, fit, sorted + (fit - table->first) * evaluation->target_ct);
    if (count > 1) /* the outputs decide which targets have one: the same for all fits */
        puts("LDS over targets");
    for (size_t i = 0; count > 1 && i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        printf("%-*s", LABEL_WIDTH, quantiles[i].label);
        for (size_t column = 0; column < table->end - table->first; column++)
            print_share(sorted[column * evaluation->target_ct +
                               (size_t)lround(quantiles[i].share * (double)(count - 1))]);
        putchar('\n');
    }
    free(sorted);
    return 0;
}

static void print_differences(const struct dms_evaluation *evaluation)
{
    for (size_t i = 0; i + 1 < evaluation->fit_ct; i++) {
        const struct dms_lds_difference *difference = &evaluation->differences[i];

        printf("LDS of %s - %s: %+.4f", evaluation->fits[i + 1].name, evaluation->fits[0].name,
               difference->difference);
        if (!isnan(difference->interval.low))
            printf(", 95%% interval %+.4f .. %+.4f (paired)", difference->interval.low,
                   difference->interval.high);
        putchar('\n');
    }
}

/* What of the column is scored. */
static void print_output(const struct dms_evaluation *evaluation)
{
    if (evaluation->transform == DMS_TRANSFORM_CORRECT && evaluation->threshold != 0)
        printf("whether %s is above %g", evaluation->output, evaluation->threshold);
    else
        printf("%s%s",
               evaluation->transform == DMS_TRANSFORM_MARGIN    ? "margins of "
               : evaluation->transform == DMS_TRANSFORM_CORRECT ? "correctness of "
                                                                : "",
               evaluation->output);
}

static void print_heading(const struct dms_evaluation *evaluation)
{
    char targets[TOOL_HUMAN_BYTES], rows[TOOL_HUMAN_BYTES], masks[TOOL_HUMAN_BYTES];

    print_output(evaluation);
    printf(": %s target%s on %s held-out model%s", tool_human_count(evaluation->target_ct, targets),
           tool_plural(evaluation->target_ct), tool_human_count(evaluation->row_ct, rows),
           tool_plural(evaluation->row_ct));
    if (evaluation->repeated_ct > 0)
        printf(" with %s different masks", tool_human_count(evaluation->mask_ct, masks));
    putchar('\n');
}

/* The names of the fits, and their methods unless all are regressions by LASSO. */
static void print_columns(const struct table *table)
{
    const struct dms_evaluation *evaluation = table->evaluation;
    bool is_lasso = true;

    printf("%-*s", LABEL_WIDTH, "mean over targets");
    for (size_t fit = table->first; fit < table->end; fit++)
        print_cell(evaluation->fits[fit].name);
    putchar('\n');
    for (size_t fit = 0; fit < evaluation->fit_ct; fit++)
        is_lasso &= strcmp(evaluation->fits[fit].method, "lasso") == 0;
    if (is_lasso)
        return;
    printf("%-*s", LABEL_WIDTH, "  method");
    for (size_t fit = table->first; fit < table->end; fit++)
        print_cell(evaluation->fits[fit].method);
    putchar('\n');
}

static int print_tables(const struct dms_evaluation *evaluation)
{
    struct table table = {.evaluation = evaluation};
    int code = 0;

    for (; code == 0 && table.first < evaluation->fit_ct; table.first = table.end) {
        table.end = table.first + TABLE_FITS;
        if (table.end > evaluation->fit_ct)
            table.end = evaluation->fit_ct;
        if (table.first > 0)
            putchar('\n');
        print_columns(&table);
        print_means(&table);
        code = print_quantiles(&table);
    }
    if (evaluation->fit_ct > TABLE_FITS)
        putchar('\n');
    return code;
}

static void print_note(uint64_t count, const char *noun, const char *text)
{
    char number[TOOL_HUMAN_BYTES];

    if (count > 0)
        printf("%s %s%s %s\n", tool_human_count(count, number), noun, tool_plural(count), text);
}

/* Targets that have scores, but no AUC although a fit with a bias could have one. */
static uint64_t count_one_class(const struct dms_evaluation *evaluation)
{
    uint64_t count = 0;

    for (uint64_t t = 0; t < evaluation->target_ct; t++) {
        bool is_one_class = false;

        for (size_t fit = 0; fit < evaluation->fit_ct; fit++) {
            const struct dms_target_evaluation *target = &evaluation->fits[fit].targets[t];

            is_one_class |= (target->flags & DMS_FITTED_NO_BIAS) == 0 &&
                            !isnan(target->scores[DMS_SCORE_LDS]) &&
                            isnan(target->scores[DMS_SCORE_AUC]);
        }
        count += is_one_class;
    }
    return count;
}

/* What was left out, and what to beware of. */
static void print_notes(const struct dms_evaluation *evaluation,
                        const struct dms_evaluate_options *options)
{
    uint64_t nonfinite_ct = 0, excluded_ct = 0;

    for (uint64_t t = 0; t < evaluation->target_ct; t++) {
        nonfinite_ct += evaluation->fits[0].targets[t].nonfinite_ct;
        excluded_ct += evaluation->fits[0].targets[t].excluded_ct;
    }
    print_note(evaluation->constant_ct, "target", "left out of all means: the output is constant");
    print_note(evaluation->empty_ct, "target", "left out of all means: fewer than two outputs");
    print_note(count_one_class(evaluation), "target", "without AUC: all outputs are of one class");
    print_note(evaluation->missing_ct, "target", "not used: only some of the fits have them");
    print_note(evaluation->left_out_ct, "model", "not used: only some of the fits held them out");
    print_note(nonfinite_ct, "output", "not used: not finite");
    print_note(excluded_ct, "output", "not used: of models that have seen the target itself");
    for (size_t fit = 0; fit < evaluation->fit_ct; fit++) {
        char text[128];

        snprintf(text, sizeof(text), "of %s without a certificate", evaluation->fits[fit].name);
        print_note(count_flagged(evaluation, fit, DMS_FITTED_UNCERTIFIED), "target", text);
        snprintf(text, sizeof(text), "of %s without a bias: only LDS is scored",
                 evaluation->fits[fit].name);
        print_note(count_flagged(evaluation, fit, DMS_FITTED_NO_BIAS), "target", text);
        if (evaluation->fits[fit].is_of_another_number)
            printf("%s predicts another number of %s than %s, on which it is scored: no MSE and "
                   "R^2\n",
                   evaluation->fits[fit].name, evaluation->output, evaluation->fits[0].name);
    }
    if (evaluation->bootstrap == DMS_BOOTSTRAP_LINEARISED)
        printf("the interval is that of %" PRIu32 " linearised resamples\n", options->bootstrap_ct);
}

int evaluation_print(const struct dms_evaluation *evaluation,
                     const struct dms_evaluate_options *options)
{
    int code;

    print_heading(evaluation);
    code = print_tables(evaluation);
    print_differences(evaluation);
    print_notes(evaluation, options);
    return code;
}

/* ---- JSON ---- */

static const char *method_word(enum dms_bootstrap_method method)
{
    return method == DMS_BOOTSTRAP_RESAMPLED    ? "resampled"
           : method == DMS_BOOTSTRAP_LINEARISED ? "linearised"
                                                : "none";
}

/* The members of the object that is open. */
static void json_scores(struct json_writer *json, const double *scores)
{
    for (int score = 0; score < DMS_SCORE_CT; score++)
        json_double(json, dms_score_name((enum dms_score)score), scores[score]);
}

static void json_fit(struct json_writer *json, const struct dms_evaluation *evaluation, size_t i)
{
    const struct dms_fit_evaluation *fit = &evaluation->fits[i];

    json_object_open(json, NULL);
    json_text(json, "name", fit->name);
    json_u64(json, "rows", evaluation->row_ct);
    json_text(json, "method", fit->method);
    json_bool(json, "of_another_number", fit->is_of_another_number);
    json_u64(json, "uncertified", count_flagged(evaluation, i, DMS_FITTED_UNCERTIFIED));
    json_u64(json, "without_bias", count_flagged(evaluation, i, DMS_FITTED_NO_BIAS));
    json_object_open(json, "mean");
    json_scores(json, fit->means);
    json_double(json, "lds_low", fit->lds_interval.low);
    json_double(json, "lds_high", fit->lds_interval.high);
    json_object_close(json);
    json_object_open(json, "defined");
    for (int score = 0; score < DMS_SCORE_CT; score++)
        json_u64(json, dms_score_name((enum dms_score)score), fit->defined_cts[score]);
    json_object_close(json);
    json_array_open(json, "targets");
    for (uint64_t t = 0; t < evaluation->target_ct; t++) {
        const struct dms_target_evaluation *target = &fit->targets[t];

        json_object_open(json, NULL);
        json_u64(json, "target", target->target);
        json_u64(json, "rows", target->row_ct);
        json_u64(json, "nonfinite", target->nonfinite_ct);
        json_u64(json, "excluded", target->excluded_ct);
        json_scores(json, target->scores);
        json_object_close(json);
    }
    json_array_close(json);
    json_object_close(json);
}

static void json_differences(struct json_writer *json, const struct dms_evaluation *evaluation)
{
    json_array_open(json, "differences");
    for (size_t i = 0; i + 1 < evaluation->fit_ct; i++) {
        json_object_open(json, NULL);
        json_text(json, "name", evaluation->fits[i + 1].name);
        json_text(json, "minus", evaluation->fits[0].name);
        json_double(json, "lds", evaluation->differences[i].difference);
        json_double(json, "lds_low", evaluation->differences[i].interval.low);
        json_double(json, "lds_high", evaluation->differences[i].interval.high);
        json_object_close(json);
    }
    json_array_close(json);
}

void evaluation_print_json(const struct dms_evaluation *evaluation,
                           const struct dms_evaluate_options *options, const char *store)
{
    struct dms_subset_sizes training = evaluation_training_sizes(evaluation);
    struct json_writer json;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_text(&json, "store", store);
    json_text(&json, "output", evaluation->output);
    json_text(&json, "transform", tool_transform_words[evaluation->transform]);
    if (evaluation->transform == DMS_TRANSFORM_CORRECT)
        json_double(&json, "threshold", evaluation->threshold);
    json_u64(&json, "rows", evaluation->row_ct);
    json_u64(&json, "rows_left_out", evaluation->left_out_ct);
    json_u64(&json, "masks", evaluation->mask_ct);
    json_u64(&json, "repeated_masks", evaluation->repeated_ct);
    json_bool(&json, "extrapolates",
              dms_subsets_extrapolate(&training, evaluation->smallest_subset,
                                      evaluation->largest_subset));
    json_u64(&json, "target_count", evaluation->target_ct);
    json_u64(&json, "targets_not_common", evaluation->missing_ct);
    json_u64(&json, "targets_constant", evaluation->constant_ct);
    json_u64(&json, "targets_empty", evaluation->empty_ct);
    json_object_open(&json, "bootstrap");
    json_text(&json, "method", method_word(evaluation->bootstrap));
    json_u64(&json, "resamples", options->bootstrap_ct);
    json_u64(&json, "seed", options->seed);
    json_object_close(&json);
    json_array_open(&json, "fits");
    for (size_t fit = 0; fit < evaluation->fit_ct; fit++)
        json_fit(&json, evaluation, fit);
    json_array_close(&json);
    if (evaluation->fit_ct > 1)
        json_differences(&json, evaluation);
    json_object_close(&json);
    json_end(&json);
}

/* ---- CSV ---- */

#define CSV_LINE_BYTES (DMS_NAME_BYTES + 100 + DMS_SCORE_CT * 32)

/* Undefined scores are empty. */
static int write_line(struct output_file *file, const char *fit,
                      const struct dms_target_evaluation *target)
{
    char line[CSV_LINE_BYTES];
    int bytes = snprintf(line, sizeof(line), "%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64, fit,
                         target->target, target->row_ct, target->nonfinite_ct, target->excluded_ct);

    for (int score = 0; score < DMS_SCORE_CT; score++) {
        double value = target->scores[score];

        line[bytes++] = ',';
        if (!isnan(value))
            bytes += snprintf(line + bytes, sizeof(line) - (size_t)bytes, "%.12g", value);
    }
    line[bytes++] = '\n';
    return output_file_append(file, (uint64_t)bytes, line);
}

static int write_header(struct output_file *file)
{
    char line[CSV_LINE_BYTES] = "fit,target,rows,nonfinite,excluded";

    for (int score = 0; score < DMS_SCORE_CT; score++) {
        strcat(line, ",");
        strcat(line, dms_score_name((enum dms_score)score));
    }
    strcat(line, "\n");
    return output_file_append(file, strlen(line), line);
}

int evaluation_write_csv(const struct dms_evaluation *evaluation, const char *path)
{
    struct output_file file = {0};
    int code = output_file_create(&file, path);

    if (code < 0)
        return code;
    code = write_header(&file);
    for (size_t fit = 0; fit < evaluation->fit_ct; fit++) {
        for (uint64_t t = 0; code == 0 && t < evaluation->target_ct; t++)
            code = write_line(&file, evaluation->fits[fit].name, &evaluation->fits[fit].targets[t]);
    }
    if (code == 0)
        code = output_file_commit(&file);
    output_file_abandon(&file);
    return code;
}
