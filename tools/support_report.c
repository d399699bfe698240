/*
 * Prints estimates of data support; see support_report.h.
 */
#include "support_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "json.h"
#include "output_file.h"
#include "report.h"

void support_estimates_free(struct support_estimates *estimates)
{
    free(estimates->supports);
    free(estimates->points);
    free(estimates->first_points);
    free(estimates->labels);
    *estimates = (struct support_estimates){0};
}

/* Whether M0 is not known, so that there is no estimate. */
static bool is_undefined(const struct dms_support *support)
{
    return isnan(support->m0);
}

static bool is_known(const struct dms_support *support)
{
    return !is_undefined(support) && !support->censored;
}

/* ---- the distribution over targets ---- */

#define CDF_MAX 64

/* 0, 1, 2, 5, 10, 20, 50 ... up to the first that is no smaller than any estimate. Returns how
 * many. */
static size_t choose_ks(const struct support_estimates *estimates, uint64_t ks[CDF_MAX])
{
    static const uint64_t steps[] = {1, 2, 5};
    uint64_t largest = 0, unit = 1;
    size_t k_ct = 0;

    for (size_t i = 0; i < estimates->query->position_ct; i++) {
        if (!is_undefined(&estimates->supports[i]) && estimates->supports[i].support > largest)
            largest = estimates->supports[i].support;
    }
    ks[k_ct++] = 0;
    while (k_ct < CDF_MAX && ks[k_ct - 1] < largest) {
        ks[k_ct] = unit * steps[(k_ct - 1) % 3];
        unit *= k_ct % 3 == 0 ? 10 : 1;
        k_ct++;
    }
    return k_ct;
}

/* ---- examples ---- */

/* The examples of an estimate, from the largest weight down. */
struct example_list {
    uint64_t *examples;
    double *weights;
    size_t example_ct;
};

/* Those of target i, at most example_ct of them. The caller ends *list with free_examples. */
static int list_examples(const struct support_estimates *estimates, size_t i, size_t example_ct,
                         struct example_list *list)
{
    const struct dms_support *support = &estimates->supports[i];
    size_t wanted_ct = is_undefined(support) ? 0 : (size_t)support->support;

    if (wanted_ct > example_ct)
        wanted_ct = example_ct;
    list->examples = calloc(wanted_ct + 1, sizeof(*list->examples));
    list->weights = calloc(wanted_ct + 1, sizeof(*list->weights));
    list->example_ct = wanted_ct;
    if (!list->examples || !list->weights)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu examples", wanted_ct);
    return dms_support_examples(estimates->query->fit, estimates->query->positions[i], wanted_ct,
                                list->examples, list->weights);
}

static void free_examples(struct example_list *list)
{
    free(list->examples);
    free(list->weights);
}

/* ---- text ---- */

/* Where M0 is from, of target_ct targets. */
static const char *m0_text(uint64_t control_ct, uint64_t target_ct)
{
    if (control_ct == target_ct)
        return "control runs";
    return control_ct == 0 ? "the datamodel (b + sum of all weights)"
                           : "control runs, and where a target has none, the datamodel";
}

static void print_heading(const struct support_estimates *estimates)
{
    const struct fit_query *query = estimates->query;
    uint64_t target_ct = query->position_ct, control_ct = 0;
    char targets[TOOL_HUMAN_BYTES], runs[TOOL_HUMAN_BYTES];

    printf("%s: %s of %s target%s by fit %s\n", query->header->output,
           estimates->labels ? "mislabelled examples that flip a prediction" : "data support",
           tool_human_count(target_ct, targets), tool_plural(target_ct), query->header->name);
    if (estimates->runs) {
        printf("from %s models of the plan in %s\n",
               tool_human_count(estimates->runs->run_ct, runs), estimates->runs_path);
        return;
    }
    for (size_t i = 0; i < query->position_ct; i++)
        control_ct += estimates->supports[i].m0_source == DMS_M0_CONTROL_RUNS;
    printf("from weights; M0 from %s\n", m0_text(control_ct, target_ct));
}

/* The estimate and the conservative one. */
static void print_support(const struct dms_support *support)
{
    char text[32] = "-";

    if (is_known(support)) {
        printf("  %11" PRIu64 "  %9" PRIu64, support->support, support->conservative);
        return;
    }
    if (!is_undefined(support))
        snprintf(text, sizeof(text), "> %" PRIu64, support->support);
    printf("  %11s  %9s", text, "-");
}

static void print_target(const struct support_estimates *estimates, size_t i)
{
    const struct dms_support *support = &estimates->supports[i];

    printf("%8" PRIu64, support->target);
    print_support(support);
    if (is_undefined(support))
        printf("  %10s", "-");
    else
        printf("  %10.4g", support->m0);
    if (estimates->labels)
        printf("  %8" PRId64, estimates->labels[i]);
    index_names_print(&estimates->query->targets_are, support->target, stdout);
    putchar('\n');
}

static int print_examples(const struct support_estimates *estimates, size_t i, size_t example_ct)
{
    struct example_list list = {0};
    int code = list_examples(estimates, i, example_ct, &list);

    for (size_t k = 0; code == 0 && k < list.example_ct; k++) {
        printf("%12s%8" PRIu64 "  %11.4g", "", list.examples[k], list.weights[k]);
        index_names_print(&estimates->query->examples_are, list.examples[k], stdout);
        putchar('\n');
    }
    free_examples(&list);
    return code;
}

static void print_cdf(const struct support_estimates *estimates)
{
    uint64_t ks[CDF_MAX];
    double fractions[CDF_MAX];
    size_t k_ct = choose_ks(estimates, ks);

    dms_support_cdf(estimates->supports, estimates->query->position_ct, ks, k_ct, fractions);
    puts("part of the targets with at most k examples");
    for (size_t i = 0; i < k_ct; i++)
        printf("%8" PRIu64 "  %11.4f\n", ks[i], fractions[i]);
}

static void print_notes(const struct support_estimates *estimates)
{
    uint64_t censored_ct = 0, undefined_ct = 0;

    for (size_t i = 0; i < estimates->query->position_ct; i++) {
        const struct dms_support *support = &estimates->supports[i];

        undefined_ct += is_undefined(support);
        censored_ct += !is_undefined(support) && support->censored;
    }
    if (censored_ct > 0)
        printf("%" PRIu64 " target%s of which it is only known that there are more (>): %s\n",
               censored_ct, tool_plural(censored_ct),
               estimates->runs ? "the mean output is not below 0 at the largest k of the plan"
                               : "all positive weights together do not exceed M0");
    if (undefined_ct > 0)
        printf("%" PRIu64 " target%s without an estimate: no control run has a finite output\n",
               undefined_ct, tool_plural(undefined_ct));
}

int support_print(const struct support_estimates *estimates, size_t example_ct)
{
    int code = 0;

    print_heading(estimates);
    printf("%8s  %11s  %9s  %10s%s\n", "target", "examples", "x 1.2", "M0",
           estimates->labels ? "  as class" : "");
    for (size_t i = 0; code == 0 && i < estimates->query->position_ct; i++) {
        print_target(estimates, i);
        if (example_ct > 0)
            code = print_examples(estimates, i, example_ct);
    }
    if (code == 0 && estimates->query->position_ct > 1)
        print_cdf(estimates);
    print_notes(estimates);
    return code;
}

/* ---- JSON ---- */

static void json_count(struct json_writer *json, const char *key, bool is_there, uint64_t value)
{
    if (is_there)
        json_u64(json, key, value);
    else
        json_null(json, key);
}

static void json_points(struct json_writer *json, const struct support_estimates *estimates,
                        size_t i)
{
    json_array_open(json, "points");
    for (size_t p = estimates->first_points[i]; p < estimates->first_points[i + 1]; p++) {
        const struct dms_support_point *point = &estimates->points[p];

        json_object_open(json, NULL);
        json_u64(json, "k", point->k);
        json_u64(json, "runs", point->run_ct);
        json_double(json, "output", point->output);
        json_double(json, "fitted", point->fitted);
        json_object_close(json);
    }
    json_array_close(json);
}

static int json_examples(struct json_writer *json, const struct support_estimates *estimates,
                         size_t i, size_t example_ct)
{
    struct example_list list = {0};
    int code = list_examples(estimates, i, example_ct, &list);

    json_array_open(json, "examples");
    for (size_t k = 0; code == 0 && k < list.example_ct; k++) {
        json_object_open(json, NULL);
        json_u64(json, "example", list.examples[k]);
        json_double(json, "weight", list.weights[k]);
        index_names_json(&estimates->query->examples_are, list.examples[k], json);
        json_object_close(json);
    }
    json_array_close(json);
    free_examples(&list);
    return code;
}

static int json_target(struct json_writer *json, const struct support_estimates *estimates,
                       size_t i, size_t example_ct)
{
    const struct dms_support *support = &estimates->supports[i];
    bool is_censored = !is_undefined(support) && support->censored;
    int code;

    json_object_open(json, NULL);
    json_u64(json, "target", support->target);
    index_names_json(&estimates->query->targets_are, support->target, json);
    json_count(json, "support", is_known(support), support->support);
    json_count(json, "conservative", is_known(support), support->conservative);
    json_double(json, "k", is_known(support) ? support->k : NAN);
    json_bool(json, "censored", is_censored);
    json_count(json, "more_than", is_censored, support->support);
    json_double(json, "m0", support->m0);
    json_text(json, "m0_source", dms_m0_source_name(support->m0_source));
    json_u64(json, "control_runs", support->control_ct);
    if (estimates->labels)
        json_i64(json, "mislabelled_as", estimates->labels[i]);
    if (estimates->runs)
        json_points(json, estimates, i);
    code = json_examples(json, estimates, i, example_ct);
    json_object_close(json);
    return code;
}

static void json_cdf(struct json_writer *json, const struct support_estimates *estimates)
{
    uint64_t ks[CDF_MAX];
    double fractions[CDF_MAX];
    size_t k_ct = choose_ks(estimates, ks);

    dms_support_cdf(estimates->supports, estimates->query->position_ct, ks, k_ct, fractions);
    json_array_open(json, "cdf");
    for (size_t i = 0; i < k_ct; i++) {
        json_object_open(json, NULL);
        json_u64(json, "k", ks[i]);
        json_double(json, "fraction", fractions[i]);
        json_object_close(json);
    }
    json_array_close(json);
}

int support_print_json(const struct support_estimates *estimates, size_t example_ct)
{
    const struct fit_query *query = estimates->query;
    struct json_writer json;
    int code = 0;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_text(&json, "fit", query->header->name);
    json_text(&json, "output", query->header->output);
    json_text(&json, "method", estimates->runs ? "search" : "weights");
    json_bool(&json, "extrapolates", estimates->extrapolates);
    json_array_open(&json, "targets");
    for (size_t i = 0; code == 0 && i < query->position_ct; i++)
        code = json_target(&json, estimates, i, example_ct);
    json_array_close(&json);
    json_cdf(&json, estimates);
    json_object_close(&json);
    json_end(&json);
    return code;
}

/* ---- CSV ---- */

static void csv_target(const struct support_estimates *estimates, size_t i, FILE *file)
{
    const struct dms_support *support = &estimates->supports[i];

    fprintf(file, "%" PRIu64, support->target);
    index_names_csv(&estimates->query->targets_are, support->target, file);
    if (is_known(support))
        fprintf(file, ",%" PRIu64 ",%" PRIu64 ",%.17g,", support->support, support->conservative,
                support->k);
    else
        fputs(",,,,", file);
    if (!is_undefined(support) && support->censored)
        fprintf(file, "%" PRIu64, support->support);
    putc(',', file);
    if (!is_undefined(support))
        fprintf(file, "%.17g", support->m0);
    fprintf(file, ",%s,%" PRIu64, dms_m0_source_name(support->m0_source), support->control_ct);
    if (estimates->labels)
        fprintf(file, ",%" PRId64, estimates->labels[i]);
    putc('\n', file);
}

int support_write_csv(const struct support_estimates *estimates, const char *path)
{
    struct output_file output = {0};
    int code = output_file_create(&output, path);
    FILE *file = code == 0 ? output_file_stream(&output) : NULL;

    if (code == 0 && !file)
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    if (code == 0) {
        fputs("target", file);
        index_names_csv_head(&estimates->query->targets_are, "target_", file);
        fprintf(file, ",support,conservative,k,more_than,m0,m0_source,control_runs%s\n",
                estimates->labels ? ",mislabelled_as" : "");
        for (size_t i = 0; i < estimates->query->position_ct; i++)
            csv_target(estimates, i, file);
    }
    return output_file_end_stream(&output, file, code);
}
