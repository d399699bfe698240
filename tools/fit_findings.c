/*
 * Gathers what a report tells of a fit; see fit_findings.h.
 */
#include "fit_findings.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

/* How far lambdas of different targets may differ for their paths to be averaged. */
#define SAME_RATIO 1e-6

static int fail_memory(void)
{
    return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the report");
}

double fit_findings_score(const struct fit_findings *findings, size_t place, enum dms_score score)
{
    return findings->evaluation ? findings->evaluation->fits[0].targets[place].scores[score] : NAN;
}

/* ---- paths ---- */

static bool has_path(const struct dms_fitted_target *target)
{
    return target->path_ct > 1 && isfinite(target->path_errors[0]) && target->path_errors[0] > 0;
}

/* The ratios of the longest path. */
static int find_longest_path(const struct fit_findings *findings, struct mean_path *path)
{
    struct dms_fitted_target target, longest = {0};
    int code = 0;

    for (size_t i = 0; code == 0 && i < findings->target_ct; i++) {
        code = dms_fit_target(findings->query->fit, i, &target);
        if (code == 0 && has_path(&target) && target.path_ct > longest.path_ct)
            longest = target;
    }
    if (code < 0 || longest.path_ct == 0)
        return code;
    path->ratios = calloc(longest.path_ct, sizeof(*path->ratios));
    path->errors = calloc(longest.path_ct, sizeof(*path->errors));
    path->target_cts = calloc(longest.path_ct, sizeof(*path->target_cts));
    if (!path->ratios || !path->errors || !path->target_cts)
        return fail_memory();
    path->point_ct = longest.path_ct;
    for (size_t i = 0; i < longest.path_ct; i++)
        path->ratios[i] = longest.path_lambdas[i] / longest.path_lambdas[0];
    return 0;
}

/* Whether the lambdas of a target are as far from its first one as those of the others. */
static bool add_path(const struct dms_fitted_target *target, struct mean_path *path)
{
    for (size_t i = 0; i < target->path_ct; i++) {
        double ratio = target->path_lambdas[i] / target->path_lambdas[0];

        if (fabs(ratio / path->ratios[i] - 1) > SAME_RATIO)
            return false;
        path->errors[i] += target->path_errors[i] / target->path_errors[0];
        path->target_cts[i]++;
    }
    path->path_ct++;
    return true;
}

static int average_paths(struct fit_findings *findings)
{
    struct mean_path *path = &findings->path;
    bool are_alike = true;
    int code = find_longest_path(findings, path);

    for (size_t i = 0; code == 0 && path->point_ct > 0 && i < findings->target_ct; i++) {
        struct dms_fitted_target target;

        code = dms_fit_target(findings->query->fit, i, &target);
        if (code == 0 && has_path(&target))
            are_alike &= add_path(&target, path);
    }
    if (!are_alike)
        path->point_ct = 0;
    for (size_t i = 0; i < path->point_ct; i++)
        path->errors[i] /= path->target_cts[i];
    return code;
}

/* ---- scores and supports ---- */

static int count_weights(struct fit_findings *findings)
{
    int code = 0;

    findings->positions = calloc(findings->target_ct, sizeof(*findings->positions));
    findings->weight_cts = calloc(findings->target_ct, sizeof(*findings->weight_cts));
    if (!findings->positions || !findings->weight_cts)
        return fail_memory();
    for (size_t i = 0; code == 0 && i < findings->target_ct; i++) {
        struct dms_fitted_target target;

        code = dms_fit_target(findings->query->fit, i, &target);
        findings->positions[i] = i;
        findings->weight_cts[i] = code == 0 ? (double)target.weight_ct : 0;
    }
    return code;
}

/* Why the page lacks something. */
static int keep_reason(const char *text, char **reason)
{
    *reason = strdup(text);
    return *reason ? 0 : fail_memory();
}

static void set_evaluation(const struct fit_query *query,
                           const struct fit_findings_options *options,
                           struct dms_evaluate_options *evaluation)
{
    dms_evaluate_options_init(evaluation);
    evaluation->labels = query->targets_are.labels;
    evaluation->label_ct = query->targets_are.labels ? query->targets_are.count : 0;
    evaluation->self = options->self;
    evaluation->self_ct = options->self_ct;
    evaluation->thread_ct = options->thread_ct;
    evaluation->memory_bytes = options->memory_bytes;
}

/* A store may have outlived the models that were held out. */
static int evaluate(struct fit_findings *findings, const struct fit_findings_options *options)
{
    const struct fit_query *query = findings->query;
    struct dms_evaluate_options evaluation;
    dms_fit *fit = query->fit;
    int code;

    if (query->header->held_out.row_ct == 0)
        return keep_reason("it has held out no models; fit again with some held out to know",
                           &findings->score_reason);
    set_evaluation(query, options, &evaluation);
    evaluation.progress = options->progress;
    evaluation.progress_context = options->progress_context;
    code = dms_evaluate(query->snapshot, &fit, 1, &evaluation, &findings->evaluation);
    return code == DMS_ERR_NOT_FOUND ? keep_reason(dms_error_message(), &findings->score_reason)
                                     : code;
}

/* What has no support says why: correctness, for example, is never below 0. */
static int estimate_support(struct fit_findings *findings,
                            const struct fit_findings_options *options)
{
    const struct fit_query *query = findings->query;
    struct dms_support_options support;
    int code;

    dms_support_options_init(&support);
    support.labels = query->targets_are.labels;
    support.label_ct = query->targets_are.labels ? query->targets_are.count : 0;
    support.self = options->self;
    support.self_ct = options->self_ct;
    support.thread_ct = options->thread_ct;
    findings->supports = calloc(findings->target_ct, sizeof(*findings->supports));
    if (!findings->supports)
        return fail_memory();
    code = dms_support_estimate(query->snapshot, query->fit, findings->positions,
                                findings->target_ct, &support, findings->supports);
    if (code != DMS_ERR_INVALID)
        return code;
    free(findings->supports);
    findings->supports = NULL;
    return keep_reason(dms_error_message(), &findings->support_reason);
}

/* ---- targets one by one ---- */

/* A target and what it is ranked by. */
struct ranked {
    double value;
    size_t position;
};

static int compare_ranked(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;

    if (a->value != b->value)
        return a->value < b->value ? -1 : 1;
    return (a->position > b->position) - (a->position < b->position);
}

/* The targets at the quartiles. */
static int choose_quartiles(struct fit_findings *findings, size_t *chosen, size_t *chosen_ct)
{
    struct ranked *ranked = calloc(findings->target_ct, sizeof(*ranked));
    size_t ranked_ct = 0;

    if (!ranked)
        return fail_memory();
    for (size_t i = 0; i < findings->target_ct; i++) {
        double value = findings->evaluation ? fit_findings_score(findings, i, DMS_SCORE_LDS)
                                            : findings->weight_cts[i];

        if (!isnan(value))
            ranked[ranked_ct++] = (struct ranked){value, i};
    }
    qsort(ranked, ranked_ct, sizeof(*ranked), compare_ranked);
    *chosen_ct = 0;
    for (size_t quarter = 0; ranked_ct > 0 && quarter <= 4; quarter++) {
        size_t position = ranked[(ranked_ct - 1) * quarter / 4].position;

        if (*chosen_ct == 0 || chosen[*chosen_ct - 1] != position)
            chosen[(*chosen_ct)++] = position;
    }
    free(ranked);
    return 0;
}

static int choose_shown(const struct fit_query *query, struct fit_findings *findings,
                        size_t chosen[SHOWN_TARGET_MAX], size_t *chosen_ct)
{
    if (!query->targets)
        return choose_quartiles(findings, chosen, chosen_ct);
    if (query->position_ct > SHOWN_TARGET_MAX)
        return dms_source_fail(DMS_ERR_INVALID,
                               "%zu targets are to be shown one by one: a page has room for %d",
                               query->position_ct, SHOWN_TARGET_MAX);
    memcpy(chosen, query->positions, query->position_ct * sizeof(*chosen));
    *chosen_ct = query->position_ct;
    return 0;
}

static int show_target(const struct fit_findings *findings,
                       const struct fit_findings_options *options, struct shown_target *shown)
{
    const struct fit_query *query = findings->query;
    struct dms_evaluate_options evaluation;
    int code = dms_fit_target(query->fit, shown->position, &shown->fitted);

    for (int sign = 0; code == 0 && sign < 2; sign++) {
        shown->examples[sign] = calloc(options->example_ct + 1, sizeof(*shown->examples[sign]));
        if (!shown->examples[sign])
            return fail_memory();
        code = dms_fit_top(query->fit, &shown->position, 1, options->example_ct,
                           (enum dms_weight_sign)sign, shown->examples[sign],
                           &shown->example_cts[sign]);
    }
    if (code < 0 || !findings->evaluation)
        return code;
    set_evaluation(query, options, &evaluation);
    return dms_evaluate_target(query->snapshot, query->fit, shown->fitted.target, &evaluation,
                               &shown->models);
}

static int show_targets(struct fit_findings *findings, const struct fit_findings_options *options)
{
    size_t chosen[SHOWN_TARGET_MAX], chosen_ct = 0;
    int code = choose_shown(findings->query, findings, chosen, &chosen_ct);

    if (code < 0)
        return code;
    findings->shown = calloc(chosen_ct + 1, sizeof(*findings->shown));
    if (!findings->shown)
        return fail_memory();
    findings->shown_ct = chosen_ct;
    for (size_t i = 0; code == 0 && i < chosen_ct; i++) {
        findings->shown[i].position = chosen[i];
        code = show_target(findings, options, &findings->shown[i]);
    }
    return code;
}

/* ---- all of it ---- */

int fit_findings_gather(const struct fit_query *query, const struct fit_findings_options *options,
                        struct fit_findings *findings)
{
    int code;

    *findings = (struct fit_findings){.query = query, .target_ct = dms_fit_target_ct(query->fit)};
    if (findings->target_ct == 0)
        return dms_source_fail(DMS_ERR_INVALID,
                               "fit %s has no targets: its jobs have not ended yet, or not well",
                               query->header->name);
    code = fit_summarize(query->fit, &findings->summary);
    if (code == 0)
        code = count_weights(findings);
    if (code == 0)
        code =
            dms_fit_subset_sizes(query->snapshot, query->fit, options->thread_ct, &findings->sizes);
    if (code == 0)
        code = average_paths(findings);
    if (code == 0)
        code = estimate_support(findings, options);
    if (code == 0)
        code = evaluate(findings, options);
    return code == 0 ? show_targets(findings, options) : code;
}

void fit_findings_free(struct fit_findings *findings)
{
    for (size_t i = 0; i < findings->shown_ct; i++) {
        dms_target_models_free(findings->shown[i].models);
        free(findings->shown[i].examples[0]);
        free(findings->shown[i].examples[1]);
    }
    free(findings->shown);
    free(findings->positions);
    free(findings->weight_cts);
    free(findings->path.ratios);
    free(findings->path.errors);
    free(findings->path.target_cts);
    free(findings->supports);
    free(findings->support_reason);
    free(findings->score_reason);
    dms_evaluation_free(findings->evaluation);
    *findings = (struct fit_findings){0};
}
