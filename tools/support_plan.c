/*
 * Writes the plans of `dmstore support`; see support_plan.h.
 */
#include "support_plan.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "removal_plan.h"
#include "report.h"
#include "support_runs.h"

size_t support_grid_parse(const char *text, uint64_t grid[SUPPORT_GRID_MAX])
{
    size_t grid_ct = 0;

    for (const char *next = text, *end; *next; next = *end ? end + 1 : end) {
        char word[32];

        end = strchrnul(next, ',');
        if (grid_ct == SUPPORT_GRID_MAX || (size_t)(end - next) >= sizeof(word) ||
            (*end && !end[1]))
            return 0;
        memcpy(word, next, (size_t)(end - next));
        word[end - next] = '\0';
        if (!tool_parse_number(word, 0, &grid[grid_ct]) ||
            grid[grid_ct] <= (grid_ct > 0 ? grid[grid_ct - 1] : 0))
            return 0;
        grid_ct++;
    }
    return grid_ct;
}

/* ---- rows of a target ---- */

/* A plan that is being written. */
struct author {
    const struct fit_query *query;
    const struct support_plan *plan;
    struct removal_plan_writer writer;
    uint64_t *examples; /* of the target in work, from the largest weight down */
    double *weights;
};

/* For the rows that `set_ct` training sets and `control_ct` control models make. */
static int begin(struct author *author, uint64_t set_ct, uint64_t control_ct, uint64_t *row_ct)
{
    const struct support_plan *plan = author->plan;
    uint64_t example_ct = author->query->header->example_ct;

    if (__builtin_mul_overflow(set_ct, plan->repeat_ct, row_ct) ||
        __builtin_add_overflow(*row_ct, control_ct, row_ct))
        return dms_source_fail(DMS_ERR_INVALID,
                               "a plan of %" PRIu64 " training sets with %" PRIu64
                               " repeats is too large",
                               set_ct, plan->repeat_ct);
    author->examples = calloc(example_ct + 1, sizeof(*author->examples));
    author->weights = calloc(example_ct + 1, sizeof(*author->weights));
    if (!author->examples || !author->weights)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %" PRIu64 " examples",
                               example_ct);
    return removal_plan_create(&author->writer, plan->directory, example_ct, *row_ct,
                               plan->first_id);
}

static int end(struct author *author, int code)
{
    free(author->examples);
    free(author->weights);
    return removal_plan_end(&author->writer, code);
}

static int take_target(struct author *author, size_t place, size_t example_ct)
{
    return dms_support_examples(author->query->fit, author->query->positions[place], example_ct,
                                author->examples, author->weights);
}

static int add_set(struct author *author, size_t place, uint64_t k, const char *kind)
{
    const int64_t *labels = author->plan->labels;
    struct plan_row row = {.has_target = true, .k = k};
    struct dms_fitted_target target;
    int code = fit_query_target(author->query, place, &target);

    if (code < 0)
        return code;
    row.target = target.target;
    strcpy(row.kind, kind);
    if (labels) {
        row.has_label = true;
        row.label = labels[place];
    }
    return removal_plan_add_repeats(&author->writer, &row, author->plan->repeat_ct,
                                    author->examples, (size_t)k);
}

/* ---- plans ---- */

/* Examples that can be mislabelled, or removed so that some are left to train on. */
static uint64_t largest_set(const struct fit_query *query, const struct support_plan *plan)
{
    return query->header->example_ct - (plan->labels ? 0 : 1);
}

int support_plan_search(const struct fit_query *query, const struct support_plan *plan,
                        const uint64_t *grid, size_t grid_ct, uint64_t *row_ct)
{
    struct author author = {.query = query, .plan = plan};
    const char *kind = plan->labels ? SUPPORT_KIND_RELABEL : SUPPORT_KIND_REMOVE;
    int code;

    while (grid_ct > 0 && grid[grid_ct - 1] > largest_set(query, plan))
        grid_ct--;
    if (grid_ct == 0)
        return dms_source_fail(DMS_ERR_INVALID,
                               "there are %" PRIu64 " training examples, too few for the first k "
                               "of the grid",
                               query->header->example_ct);
    code = begin(&author, query->position_ct * grid_ct, plan->repeat_ct, row_ct);
    if (code == 0)
        code = removal_plan_add_controls(&author.writer, plan->repeat_ct);
    for (size_t i = 0; code == 0 && i < query->position_ct; i++) {
        code = take_target(&author, i, (size_t)grid[grid_ct - 1]);
        for (size_t k = 0; code == 0 && k < grid_ct; k++)
            code = add_set(&author, i, grid[k], kind);
    }
    return end(&author, code);
}

/* Whether there is anything to confirm. */
static bool has_set(const struct dms_support *support, uint64_t largest)
{
    return !isnan(support->m0) && !support->censored && support->support > 0 &&
           support->support <= largest;
}

int support_plan_confirm(const struct fit_query *query, const struct support_plan *plan,
                         const struct dms_support *supports, uint64_t *planned_ct, uint64_t *row_ct)
{
    struct author author = {.query = query, .plan = plan};
    uint64_t largest = largest_set(query, plan);
    int code;

    *planned_ct = 0;
    for (size_t i = 0; i < query->position_ct; i++)
        *planned_ct += has_set(&supports[i], largest);
    if (*planned_ct == 0)
        return dms_source_fail(DMS_ERR_INVALID,
                               "there is nothing to confirm: no target has an estimate above 0");
    code = begin(&author, 2 * *planned_ct, 0, row_ct);
    for (size_t i = 0; code == 0 && i < query->position_ct; i++) {
        uint64_t conservative =
            supports[i].conservative < largest ? supports[i].conservative : largest;

        if (!has_set(&supports[i], largest))
            continue;
        code = take_target(&author, i, (size_t)conservative);
        if (code == 0)
            code = add_set(&author, i, supports[i].support, SUPPORT_KIND_CONFIRM);
        if (code == 0)
            code = add_set(&author, i, conservative, SUPPORT_KIND_CONSERVATIVE);
    }
    return end(&author, code);
}
