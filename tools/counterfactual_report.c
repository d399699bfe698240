/*
 * Prints counterfactuals; see counterfactual_report.h.
 */
#include "counterfactual_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "json.h"
#include "output_file.h"
#include "report.h"

/* Of the output when the set is removed. (Not a negative zero.) */
static double predicted_change(const struct counterfactual *pair)
{
    return 0 - pair->effect;
}

/* ---- groups of pairs ---- */

/* All pairs, ordered by kind and size, so that what is reported together stands together. */
struct grouping {
    const struct counterfactual **pairs;
    size_t pair_ct;
    double *predicted, *actual; /* room for a group */
};

static int compare_pairs(const void *left, const void *right)
{
    const struct counterfactual *a = *(const struct counterfactual *const *)left;
    const struct counterfactual *b = *(const struct counterfactual *const *)right;

    if (a->rule != b->rule)
        return a->rule < b->rule ? -1 : 1;
    if (a->k != b->k)
        return a->k < b->k ? -1 : 1;
    return (a > b) - (a < b); /* in the order of the list */
}

static void grouping_free(struct grouping *grouping)
{
    free(grouping->pairs);
    free(grouping->predicted);
    free(grouping->actual);
}

static int grouping_make(const struct counterfactual_list *list, struct grouping *grouping)
{
    struct grouping made = {.pair_ct = list->item_ct};

    made.pairs = calloc(list->item_ct + 1, sizeof(*made.pairs));
    made.predicted = calloc(list->item_ct + 1, sizeof(*made.predicted));
    made.actual = calloc(list->item_ct + 1, sizeof(*made.actual));
    if (!made.pairs || !made.predicted || !made.actual) {
        grouping_free(&made);
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu pairs", list->item_ct);
    }
    for (size_t i = 0; i < list->item_ct; i++)
        made.pairs[i] = &list->items[i];
    qsort(made.pairs, made.pair_ct, sizeof(*made.pairs), compare_pairs);
    *grouping = made;
    return 0;
}

/* The end of the pairs of the kind of pair `start`, or of its kind and size. */
static size_t group_end(const struct grouping *grouping, size_t start, bool of_size)
{
    const struct counterfactual *first = grouping->pairs[start];
    size_t end = start;

    while (end < grouping->pair_ct && grouping->pairs[end]->rule == first->rule &&
           (!of_size || grouping->pairs[end]->k == first->k))
        end++;
    return end;
}

/* A group: its pairs are `pair_ct` from `start` on. */
struct group {
    size_t start, pair_ct;
    double predicted;              /* mean change over all of them */
    struct dms_change_score score; /* over those whose actual change is known */
};

static int score_group(const struct grouping *grouping, size_t start, size_t end,
                       struct group *group)
{
    double sum = 0;

    for (size_t i = start; i < end; i++) {
        const struct counterfactual *pair = grouping->pairs[i];

        grouping->predicted[i - start] = predicted_change(pair);
        grouping->actual[i - start] = pair->actual;
        sum += predicted_change(pair);
    }
    *group = (struct group){start, end - start, sum / (double)(end - start), {0}};
    return dms_compare_changes(grouping->predicted, grouping->actual, end - start, &group->score);
}

/* ---- table ---- */

#define NUMBER_WIDTH 11

/* Of more sizes than these (masks of any training sets) no line each is printed. */
#define SIZE_LINE_MAX 24

static void print_number(const char *format, double value)
{
    char text[64];

    snprintf(text, sizeof(text), format, value);
    printf("  %*s", NUMBER_WIDTH, isnan(value) ? "-" : text);
}

static void print_group(const struct counterfactual_report *report, const struct group *group,
                        const char *kind, const char *size)
{
    char count[TOOL_HUMAN_BYTES];
    bool is_compared = report->list->runs != NULL;

    printf("%-8s  %7s  %9s", kind, size,
           tool_human_count(is_compared ? group->score.pair_ct : group->pair_ct, count));
    print_number("%+.4f", is_compared ? group->score.predicted_mean : group->predicted);
    if (is_compared) {
        print_number("%+.4f", group->score.actual_mean);
        print_number("%.4f", group->score.pearson);
        print_number("%.4f", group->score.spearman);
    }
    putchar('\n');
}

static size_t count_sizes(const struct grouping *grouping, size_t start, size_t end)
{
    size_t size_ct = 0;

    for (size_t i = start; i < end; i = group_end(grouping, i, true))
        size_ct++;
    return size_ct;
}

/* The sizes of one kind, and then all of them. */
static int print_kind(const struct counterfactual_report *report, const struct grouping *grouping,
                      size_t start, size_t end)
{
    const char *kind = removal_rule_words[grouping->pairs[start]->rule];
    size_t size_ct = count_sizes(grouping, start, end);
    struct group group;
    int code = 0;

    for (size_t next, i = start; code == 0 && size_ct <= SIZE_LINE_MAX && i < end; i = next) {
        char size[TOOL_HUMAN_BYTES];
        uint64_t k = grouping->pairs[i]->k;

        next = group_end(grouping, i, true);
        code = score_group(grouping, i, next, &group);
        if (code == 0)
            print_group(report, &group, kind, tool_human_count(k, size));
    }
    if (code == 0 && size_ct > 1)
        code = score_group(grouping, start, end, &group);
    if (code == 0 && size_ct > 1)
        print_group(report, &group, kind, "all");
    return code;
}

static int print_table(const struct counterfactual_report *report)
{
    struct grouping grouping;
    struct group group;
    size_t kind_ct = 0;
    int code = grouping_make(report->list, &grouping);

    if (code < 0)
        return code;
    printf("%-8s  %7s  %9s  %*s", "removed", "k", "pairs", NUMBER_WIDTH, "predicted");
    if (report->list->runs)
        printf("  %*s  %*s  %*s", NUMBER_WIDTH, "actual", NUMBER_WIDTH, "Pearson", NUMBER_WIDTH,
               "Spearman");
    putchar('\n');
    for (size_t end, i = 0; code == 0 && i < grouping.pair_ct; i = end, kind_ct++) {
        end = group_end(&grouping, i, false);
        code = print_kind(report, &grouping, i, end);
    }
    if (code == 0 && kind_ct > 1)
        code = score_group(&grouping, 0, grouping.pair_ct, &group);
    if (code == 0 && kind_ct > 1)
        print_group(report, &group, "all", "all");
    grouping_free(&grouping);
    return code;
}

static void print_base(const struct counterfactual_list *list)
{
    static const char *const what[] = {
        [DMS_BASE_RETRAINED] = "the retrained models of all training examples",
        [DMS_BASE_STORE] = "the store's models of all training examples",
        [DMS_BASE_PREDICTED] = "the prediction for all training examples: there are no models",
    };

    printf("actual changes: mean output of retrained models of %s less that of %s\n", list->runs,
           what[list->base]);
}

static void print_note(uint64_t count, const char *noun, const char *text)
{
    char number[TOOL_HUMAN_BYTES];

    if (count > 0)
        printf("%s %s%s %s\n", tool_human_count(count, number), noun, tool_plural(count), text);
}

static void print_plan(const struct counterfactual_report *report)
{
    char rows[TOOL_HUMAN_BYTES], bytes[TOOL_HUMAN_BYTES];

    printf("plan: %s/plan.csv has %s models to train, ids %" PRIu64 " to %" PRIu64
           "; their masks are in %s/masks.npy (%s)\n",
           report->plan, tool_human_count(report->plan_row_ct, rows), report->first_id,
           report->first_id + (report->plan_row_ct - 1), report->plan,
           tool_human_bytes(report->plan_row_ct * report->query->header->example_ct, bytes));
}

int counterfactual_print(const struct counterfactual_report *report)
{
    const struct counterfactual_list *list = report->list;
    char targets[TOOL_HUMAN_BYTES], sets[TOOL_HUMAN_BYTES];
    int code;

    printf("%s: fit %s, %s target%s, %s set%s of training examples removed",
           report->query->header->output, report->query->fit_name,
           tool_human_count(report->query->position_ct, targets),
           tool_plural(report->query->position_ct), tool_human_count(list->set_ct, sets),
           tool_plural(list->set_ct));
    if (report->by_fit)
        printf(", chosen by target %" PRIu64 " of %s", report->by_target, report->by_fit);
    puts("\nmean change of the output:");
    code = print_table(report);
    if (code < 0)
        return code;
    if (list->item_ct == 0)
        puts("no sets: there are too few examples to remove 10 of them");
    if (list->runs)
        print_base(list);
    print_note(list->untrained_ct, "pair", "left out: no model was trained on the set");
    print_note(list->baseless_ct, "pair",
               "left out: no model of all training examples has a finite output on the target");
    print_note(list->nonfinite_ct, "output", "left out: not finite");
    if (report->plan)
        print_plan(report);
    return 0;
}

/* ---- JSON ---- */

static void json_score(struct json_writer *json, const struct counterfactual_report *report,
                       const struct group *group)
{
    json_u64(json, "pair_count", report->list->runs ? group->score.pair_ct : group->pair_ct);
    json_double(json, "predicted",
                report->list->runs ? group->score.predicted_mean : group->predicted);
    if (!report->list->runs)
        return;
    json_double(json, "actual", group->score.actual_mean);
    json_double(json, "pearson", group->score.pearson);
    json_double(json, "spearman", group->score.spearman);
}

/* One kind: its score, and that of each of its sizes. */
static int json_kind(struct json_writer *json, const struct counterfactual_report *report,
                     const struct grouping *grouping, size_t start, size_t end)
{
    struct group group;
    int code = score_group(grouping, start, end, &group);

    if (code < 0)
        return code;
    json_object_open(json, NULL);
    json_text(json, "kind", removal_rule_words[grouping->pairs[start]->rule]);
    json_score(json, report, &group);
    json_array_open(json, "sizes");
    for (size_t next, i = start; code == 0 && i < end; i = next) {
        next = group_end(grouping, i, true);
        code = score_group(grouping, i, next, &group);
        if (code < 0)
            return code;
        json_object_open(json, NULL);
        json_u64(json, "k", grouping->pairs[i]->k);
        json_score(json, report, &group);
        json_object_close(json);
    }
    json_array_close(json);
    json_object_close(json);
    return 0;
}

static int json_groups(struct json_writer *json, const struct counterfactual_report *report)
{
    struct grouping grouping;
    struct group group;
    int code = grouping_make(report->list, &grouping);

    if (code < 0)
        return code;
    json_array_open(json, "kinds");
    for (size_t end, i = 0; code == 0 && i < grouping.pair_ct; i = end) {
        end = group_end(&grouping, i, false);
        code = json_kind(json, report, &grouping, i, end);
    }
    json_array_close(json);
    if (code == 0 && grouping.pair_ct > 0)
        code = score_group(&grouping, 0, grouping.pair_ct, &group);
    if (code == 0 && grouping.pair_ct > 0) {
        json_object_open(json, "overall");
        json_score(json, report, &group);
        json_object_close(json);
    }
    grouping_free(&grouping);
    return code;
}

static void json_pair(struct json_writer *json, const struct counterfactual_report *report,
                      const struct counterfactual *pair, uint64_t target)
{
    json_object_open(json, NULL);
    json_u64(json, "target", target);
    index_names_json(&report->query->targets_are, target, json);
    json_text(json, "kind", removal_rule_words[pair->rule]);
    if (pair->removal && pair->removal->path)
        json_text(json, "list", pair->removal->path);
    json_u64(json, "k", pair->k);
    json_double(json, "effect", pair->effect);
    json_double(json, "predicted", predicted_change(pair));
    if (report->list->runs) {
        json_double(json, "actual", pair->actual);
        json_u64(json, "runs", pair->run_ct);
    }
    json_object_close(json);
}

/* Calls `write` with every pair and its target. */
static int for_each_pair(const struct counterfactual_report *report,
                         void (*write)(void *context, const struct counterfactual *pair,
                                       uint64_t target),
                         void *context)
{
    for (size_t i = 0; i < report->list->item_ct; i++) {
        const struct counterfactual *pair = &report->list->items[i];
        struct dms_fitted_target target;
        int code = fit_query_target(report->query, pair->place, &target);

        if (code < 0)
            return code;
        write(context, pair, target.target);
    }
    return 0;
}

struct json_context {
    struct json_writer *json;
    const struct counterfactual_report *report;
};

static void write_json(void *context, const struct counterfactual *pair, uint64_t target)
{
    struct json_context *to = context;

    json_pair(to->json, to->report, pair, target);
}

static void json_head(struct json_writer *json, const struct counterfactual_report *report)
{
    const struct counterfactual_list *list = report->list;

    json_text(json, "store", report->query->store);
    json_text(json, "fit", report->query->fit_name);
    json_text(json, "output", report->query->header->output);
    json_u64(json, "target_count", report->query->position_ct);
    json_u64(json, "set_count", list->set_ct);
    json_u64(json, "seed", report->seed);
    if (report->by_fit) {
        json_object_open(json, "by");
        json_text(json, "fit", report->by_fit);
        json_u64(json, "target", report->by_target);
        json_object_close(json);
    }
    json_bool(json, "extrapolates", report->extrapolates);
    if (report->plan) {
        json_object_open(json, "plan");
        json_text(json, "directory", report->plan);
        json_u64(json, "first_id", report->first_id);
        json_u64(json, "rows", report->plan_row_ct);
        json_object_close(json);
    }
    if (list->runs) {
        json_text(json, "runs", list->runs);
        json_text(json, "base", dms_base_name(list->base));
        json_u64(json, "pairs_untrained", list->untrained_ct);
        json_u64(json, "pairs_without_base", list->baseless_ct);
        json_u64(json, "outputs_nonfinite", list->nonfinite_ct);
    }
}

int counterfactual_print_json(const struct counterfactual_report *report)
{
    struct json_writer json;
    struct json_context context = {&json, report};
    int code;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_head(&json, report);
    code = json_groups(&json, report);
    json_array_open(&json, "pairs");
    if (code == 0)
        code = for_each_pair(report, write_json, &context);
    json_array_close(&json);
    json_object_close(&json);
    json_end(&json);
    return code;
}

/* ---- CSV ---- */

struct csv_context {
    FILE *file;
    const struct counterfactual_report *report;
};

static void write_csv(void *context, const struct counterfactual *pair, uint64_t target)
{
    struct csv_context *to = context;

    fprintf(to->file, "%" PRIu64, target);
    index_names_csv(&to->report->query->targets_are, target, to->file);
    fprintf(to->file, ",%s,%" PRIu64 ",%.17g,%.17g,", removal_rule_words[pair->rule], pair->k,
            pair->effect, predicted_change(pair));
    if (!isnan(pair->actual))
        fprintf(to->file, "%.17g", pair->actual);
    fprintf(to->file, ",%" PRIu64 "\n", pair->run_ct);
}

int counterfactual_write_csv(const struct counterfactual_report *report, const char *path)
{
    struct output_file output = {0};
    struct csv_context context = {.report = report};
    int code = output_file_create(&output, path);

    if (code < 0)
        return code;
    context.file = output_file_stream(&output);
    if (!context.file) {
        output_file_abandon(&output);
        return DMS_ERR_NO_MEMORY;
    }
    fputs("target", context.file);
    index_names_csv_head(&report->query->targets_are, "target_", context.file);
    fputs(",kind,k,effect,predicted,actual,runs\n", context.file);
    code = for_each_pair(report, write_csv, &context);
    return output_file_end_stream(&output, context.file, code);
}
