/*
 * Averages the outputs of a plan's models; see support_runs.h.
 */
#include "support_runs.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_kind(const struct plan_row *row, const char *kind)
{
    return strcmp(row->kind, kind) == 0;
}

static bool is_control(const struct plan_row *row)
{
    return !row->has_target;
}

static bool confirms(const struct plan_row *row)
{
    return is_kind(row, SUPPORT_KIND_CONFIRM) || is_kind(row, SUPPORT_KIND_CONSERVATIVE);
}

/* ---- what a plan is for ---- */

static int compare_u64(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

/* The targets of all rows, each once. */
static int list_targets(const struct removal_plan *plan, struct support_runs *runs)
{
    size_t listed_ct = 0;

    runs->targets = calloc(plan->row_ct + 1, sizeof(*runs->targets));
    if (!runs->targets)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the targets of a plan");
    for (size_t i = 0; i < plan->row_ct; i++) {
        if (!is_control(&plan->rows[i]))
            runs->targets[listed_ct++] = plan->rows[i].target;
    }
    qsort(runs->targets, listed_ct, sizeof(*runs->targets), compare_u64);
    for (size_t i = 0; i < listed_ct; i++) {
        if (i == 0 || runs->targets[i] != runs->targets[i - 1])
            runs->targets[runs->target_ct++] = runs->targets[i];
    }
    return 0;
}

static int check_row(const struct plan_row *row, const struct plan_row *first)
{
    bool searches = is_kind(row, SUPPORT_KIND_REMOVE) || is_kind(row, SUPPORT_KIND_RELABEL);

    if (!searches && !confirms(row))
        return dms_source_fail(DMS_ERR_INVALID,
                               "the plan has rows of kind '%s': it is not one of dmstore support",
                               row->kind);
    if (confirms(row) != confirms(first) || row->has_label != first->has_label)
        return dms_source_fail(
            DMS_ERR_INVALID,
            "the plan has rows of kinds '%s' and '%s', which are not asked about "
            "together",
            first->kind, row->kind);
    return 0;
}

int support_runs_begin(const struct removal_plan *plan, struct support_runs *runs)
{
    const struct plan_row *first = NULL;
    bool has_controls = false;
    int code = 0;

    *runs = (struct support_runs){.run_ct = plan->row_ct};
    for (size_t i = 0; code == 0 && i < plan->row_ct; i++) {
        if (is_control(&plan->rows[i])) {
            has_controls = true;
            continue;
        }
        first = first ? first : &plan->rows[i];
        code = check_row(&plan->rows[i], first);
    }
    if (code == 0 && !first)
        code = dms_source_fail(DMS_ERR_INVALID, "the plan has no rows but controls");
    if (code == 0 && !confirms(first) && !has_controls)
        code = dms_source_fail(DMS_ERR_INVALID, "the plan has no control rows");
    if (code < 0)
        return code;
    runs->confirms = confirms(first);
    runs->relabels = first->has_label;
    return list_targets(plan, runs);
}

bool support_runs_plan(const struct support_runs *runs, uint64_t target)
{
    return bsearch(&target, runs->targets, runs->target_ct, sizeof(target), compare_u64) != NULL;
}

/* ---- outputs ---- */

/* A row of the plan, or a control row for one of the targets, and the output on it. */
struct output {
    struct plan_row row;
    double value;
};

static int compare_sets(const struct plan_row *a, const struct plan_row *b)
{
    if (a->target != b->target)
        return a->target < b->target ? -1 : 1;
    if (a->k != b->k)
        return a->k < b->k ? -1 : 1;
    return strcmp(a->kind, b->kind);
}

static int compare_outputs(const void *left, const void *right)
{
    const struct plan_row *a = &((const struct output *)left)->row;
    const struct plan_row *b = &((const struct output *)right)->row;
    int order = compare_sets(a, b);

    return order != 0 ? order : (a->id > b->id) - (a->id < b->id);
}

/* The outputs that are asked for, without their values. The caller frees *outputs. */
static int list_outputs(const struct removal_plan *plan, const uint64_t *targets, size_t target_ct,
                        struct output **outputs, size_t *output_ct)
{
    struct output *listed;
    size_t control_ct = 0, count = 0;

    for (size_t i = 0; i < plan->row_ct; i++)
        control_ct += is_control(&plan->rows[i]);
    if (target_ct > 0 && control_ct > (SIZE_MAX / sizeof(*listed) - plan->row_ct) / target_ct)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the outputs of a plan");
    listed = calloc(plan->row_ct + control_ct * target_ct + 1, sizeof(*listed));
    if (!listed)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the outputs of a plan");
    for (size_t i = 0; i < plan->row_ct; i++) {
        const struct plan_row *row = &plan->rows[i];

        for (size_t t = 0; is_control(row) && t < target_ct; t++) {
            listed[count].row = *row;
            listed[count].row.has_target = true;
            listed[count++].row.target = targets[t];
        }
        if (!is_control(row) &&
            bsearch(&row->target, targets, target_ct, sizeof(*targets), compare_u64))
            listed[count++].row = *row;
    }
    qsort(listed, count, sizeof(*listed), compare_outputs);
    *outputs = listed;
    *output_ct = count;
    return 0;
}

static int read_outputs(const dms_retrained *retrained, struct output *outputs, size_t output_ct)
{
    struct dms_retrained_output *wanted = calloc(output_ct + 1, sizeof(*wanted));
    int code = wanted ? 0
                      : dms_source_fail(DMS_ERR_NO_MEMORY,
                                        "out of memory for the outputs of %zu "
                                        "models",
                                        output_ct);

    for (size_t i = 0; code == 0 && i < output_ct; i++)
        wanted[i] = (struct dms_retrained_output){outputs[i].row.id, outputs[i].row.target, 0};
    if (code == 0)
        code = dms_retrained_outputs(retrained, wanted, output_ct, NULL);
    for (size_t i = 0; code == 0 && i < output_ct; i++)
        outputs[i].value = wanted[i].output;
    free(wanted);
    return code;
}

/* ---- means ---- */

/* The mean of the first outputs that are of one training set and target. Returns how many. */
static size_t average(const struct output *outputs, size_t output_ct, struct support_mean *mean)
{
    double sum = 0;

    *mean = (struct support_mean){.row = outputs[0].row};
    while (mean->planned_ct < output_ct &&
           compare_sets(&outputs[mean->planned_ct].row, &mean->row) == 0) {
        double value = outputs[mean->planned_ct++].value;

        if (!isnan(value)) {
            sum += value;
            mean->run_ct++;
        }
    }
    mean->output = mean->run_ct > 0 ? sum / (double)mean->run_ct : NAN;
    return mean->planned_ct;
}

int support_runs_read(const struct removal_plan *plan, const dms_retrained *retrained,
                      uint64_t *targets, size_t target_ct, struct support_runs *runs)
{
    struct output *outputs = NULL;
    size_t output_ct = 0;
    int code;

    qsort(targets, target_ct, sizeof(*targets), compare_u64);
    code = list_outputs(plan, targets, target_ct, &outputs, &output_ct);

    if (code == 0)
        code = read_outputs(retrained, outputs, output_ct);
    if (code == 0) {
        runs->means = calloc(output_ct + 1, sizeof(*runs->means));
        if (!runs->means)
            code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the means of a plan");
    }
    for (size_t i = 0; code == 0 && i < output_ct;)
        i += average(outputs + i, output_ct - i, &runs->means[runs->mean_ct++]);
    free(outputs);
    return code;
}

size_t support_runs_find(const struct support_runs *runs, uint64_t target,
                         const struct support_mean **means)
{
    size_t low = 0, high = runs->mean_ct, end;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (runs->means[middle].row.target < target)
            low = middle + 1;
        else
            high = middle;
    }
    for (end = low; end < runs->mean_ct && runs->means[end].row.target == target;)
        end++;
    *means = runs->means + low;
    return end - low;
}

void support_runs_free(struct support_runs *runs)
{
    free(runs->means);
    free(runs->targets);
    *runs = (struct support_runs){0};
}
