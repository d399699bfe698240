/*
 * The sections of a page that have plots; see fit_page.h.
 */
#include "fit_page.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "histogram.h"
#include "report.h"
#include "svg_plot.h"

/* R^2 has no lower end: what is below goes into the first bar. */
#define LEAST_R2 (-1.0)

static void begin_plot(struct page *page)
{
    fputs("<div class=\"plot\">\n", page->file);
}

static void end_plot(struct page *page)
{
    fputs("</div>\n", page->file);
}

static const char *target_word(uint64_t count)
{
    return count == 1 ? "target" : "targets";
}

/* ---- histograms ---- */

static void draw_bars(const struct svg_plot *plot, const struct histogram *histogram)
{
    char tip[128];

    fprintf(plot->file, "<g class=\"bars\" data-low=\"%.17g\" data-step=\"%.17g\">\n",
            histogram->low, histogram->step);
    for (size_t i = 0; i < histogram->bin_ct; i++) {
        double from = histogram->low + (double)i * histogram->step;

        snprintf(tip, sizeof(tip), "%.4g to %.4g: %" PRIu64 " %s", from, from + histogram->step,
                 histogram->counts[i], target_word(histogram->counts[i]));
        svg_plot_bar(plot, from, from + histogram->step, (double)histogram->counts[i], tip);
    }
    fputs("</g>\n", plot->file);
}

/* A histogram over targets with its mean. */
static void plot_histogram(struct page *page, const struct histogram *histogram, const char *label,
                           const char *name)
{
    double high = histogram->low + (double)histogram->bin_ct * histogram->step;
    struct svg_plot plot = {
        .file = page->file,
        .x = {label, histogram->low, high, false},
        .y = {"targets", 0, 1.06 * (double)histogram->largest_count, false},
    };
    char description[200], mean[48];

    snprintf(description, sizeof(description),
             "Histogram over %" PRIu64 " targets from %.4g to %.4g; the mean is %.4g.",
             histogram->value_ct, histogram->low, high, histogram->mean);
    begin_plot(page);
    svg_plot_begin(&plot, name, description);
    draw_bars(&plot, histogram);
    snprintf(mean, sizeof(mean), "mean %.3g", histogram->mean);
    if (histogram->mean >= histogram->low)
        svg_plot_vertical(&plot, histogram->mean, mean);
    svg_plot_end(&plot);
    end_plot(page);
}

/* The histogram of a score, in the open figure. */
static void plot_score(struct page *page, const struct fit_findings *findings, enum dms_score score,
                       double least, const char *label, struct histogram *histogram)
{
    double *values = calloc(findings->target_ct, sizeof(*values));

    *histogram = (struct histogram){0};
    if (!values)
        return; /* the figure lacks a plot */
    for (size_t i = 0; i < findings->target_ct; i++)
        values[i] = fit_findings_score(findings, i, score);
    histogram_make(values, findings->target_ct, 0, least, histogram);
    if (histogram->value_ct > 0)
        plot_histogram(page, histogram, label, label);
    free(values);
}

static void explain_scores(struct page *page, const struct fit_findings *findings)
{
    const struct dms_evaluation *evaluation = findings->evaluation;
    const struct dms_subset_sizes *sizes = &findings->sizes;
    uint64_t left_out_ct = evaluation->constant_ct + evaluation->empty_ct;

    fputs("<p>", page->file);
    page_printf(page->file,
                "Each target is scored by itself, over %" PRIu64
                " held-out models: LDS, the linear "
                "datamodeling score, is Spearman’s rank correlation of the predicted and the "
                "actual outputs; R² is the part of the variance of the outputs that is explained.",
                evaluation->row_ct);
    if (left_out_ct > 0)
        page_printf(page->file, " %" PRIu64 " %s no score, as the output does not vary.",
                    left_out_ct, left_out_ct == 1 ? "target has" : "targets have");
    fputs("</p>\n", page->file);
    if (!dms_subsets_extrapolate(sizes, evaluation->smallest_subset, evaluation->largest_subset))
        return;
    fputs("<p class=\"note\">", page->file);
    page_printf(page->file,
                "These models were trained on subsets of %" PRIu64 " to %" PRIu64
                " examples, the fit on subsets of %" PRIu64 " to %" PRIu64
                ": the predictions extrapolate, and their level is not to be trusted.",
                evaluation->smallest_subset, evaluation->largest_subset, sizes->smallest,
                sizes->largest);
    fputs("</p>\n", page->file);
}

void fit_page_scores(struct page *page, const struct fit_findings *findings)
{
    const struct dms_fit_evaluation *fit;
    struct histogram lds, r2;

    page_section_begin(page, "scores", "How well it predicts models that it has not seen");
    if (!findings->evaluation) {
        fputs("<p class=\"note\">", page->file);
        page_printf(page->file, "How well the fit predicts is not known: %s.",
                    findings->score_reason);
        fputs("</p>\n", page->file);
        page_section_end(page);
        return;
    }
    fit = &findings->evaluation->fits[0];
    explain_scores(page, findings);
    page_figure_begin(page);
    plot_score(page, findings, DMS_SCORE_LDS, -INFINITY, "LDS", &lds);
    plot_score(page, findings, DMS_SCORE_R2, LEAST_R2, "R²", &r2);
    page_caption_begin(page);
    page_printf(page->file, "How LDS and R² are distributed over targets.");
    if (lds.value_ct > 0)
        page_printf(page->file, " The mean LDS is %.4f", fit->means[DMS_SCORE_LDS]);
    if (!isnan(fit->lds_interval.low))
        page_printf(page->file, " (95%% interval %.4f to %.4f, by resampling held-out models)",
                    fit->lds_interval.low, fit->lds_interval.high);
    if (r2.value_ct > 0)
        page_printf(page->file, ", the mean R² %.4f", fit->means[DMS_SCORE_R2]);
    page_printf(page->file, ".");
    if (r2.below_ct > 0)
        page_printf(page->file, " The first bar of R² has %" PRIu64 " %s below −1.", r2.below_ct,
                    target_word(r2.below_ct));
    page_caption_end(page);
    page_section_end(page);
}

/* ---- predicted against actual ---- */

/* A plot with the same range both ways, so that the line of equality is its diagonal; values: all
 * predictions, then all outputs. Without a level only the order of predictions means something. */
static void draw_scatter(struct page *page, const struct shown_target *shown, const double *values,
                         size_t point_ct)
{
    bool has_level = !(shown->fitted.flags & DMS_FITTED_NO_BIAS);
    struct svg_plot plot = {
        .file = page->file,
        .x = svg_axis_around("predicted", values, has_level ? 2 * point_ct : point_ct),
        .y = svg_axis_around("actual", values + (has_level ? 0 : point_ct),
                             has_level ? 2 * point_ct : point_ct),
    };
    double ends[2] = {plot.x.low, plot.x.high};
    char name[64], description[200];

    snprintf(name, sizeof(name), "Predicted against actual output of target %" PRIu64,
             shown->fitted.target);
    snprintf(description, sizeof(description), "%zu points, one a held-out model.", point_ct);
    svg_plot_begin(&plot, name, description);
    if (has_level)
        svg_plot_line(&plot, "line same", ends, ends, 2);
    svg_plot_points(&plot, values, values + point_ct, point_ct);
    svg_plot_end(&plot);
}

static void print_correlations(struct page *page, const struct dms_target_models *models)
{
    const double *scores = models->evaluation.scores;

    if (isnan(scores[DMS_SCORE_LDS])) {
        page_printf(page->file, "no score");
        return;
    }
    page_printf(page->file, "LDS %.3f, Pearson %.3f", scores[DMS_SCORE_LDS],
                scores[DMS_SCORE_PEARSON]);
    if (!isnan(scores[DMS_SCORE_R2]))
        page_printf(page->file, ", R² %.3f", scores[DMS_SCORE_R2]);
}

static void plot_scatter(struct page *page, const struct fit_findings *findings,
                         const struct shown_target *shown)
{
    const struct dms_target_models *models = shown->models;
    size_t point_ct = fit_page_drawn_ct(findings, models);
    double *values = calloc(2 * point_ct + 1, sizeof(*values));

    if (!values)
        return; /* the figure lacks a plot */
    for (size_t i = 0; i < point_ct; i++) {
        size_t model = fit_page_drawn_model(findings, models, i);

        values[i] = models->predictions[model];
        values[point_ct + i] = models->outputs[model];
    }
    begin_plot(page);
    fputs("<h3>", page->file);
    fit_page_target_name(page, findings, shown->fitted.target);
    fputs("<br><small>", page->file);
    print_correlations(page, models);
    fputs("</small></h3>\n", page->file);
    draw_scatter(page, shown, values, point_ct);
    end_plot(page);
    free(values);
}

void fit_page_scatter(struct page *page, const struct fit_findings *findings)
{
    size_t drawn_ct, model_ct;

    if (!findings->evaluation || findings->shown_ct == 0)
        return;
    page_section_begin(page, "scatter", "Predicted against actual");
    page_figure_begin(page);
    for (size_t i = 0; i < findings->shown_ct; i++)
        plot_scatter(page, findings, &findings->shown[i]);
    page_caption_begin(page);
    model_ct = findings->shown[0].models->model_ct;
    drawn_ct = fit_page_drawn_ct(findings, findings->shown[0].models);
    page_printf(page->file,
                "Actual output of held-out models against what the datamodel predicts from their "
                "training subsets (Figure 5 of the paper), with the line of equality.%s",
                findings->query->targets
                    ? ""
                    : " The targets are those at the minimum, the quartiles and the maximum of "
                      "LDS.");
    if (drawn_ct < model_ct)
        page_printf(page->file, " Drawn are %zu of the %zu models, evenly by id.", drawn_ct,
                    model_ct);
    page_caption_end(page);
    page_section_end(page);
}

/* ---- sparsity ---- */

void fit_page_sparsity(struct page *page, const struct fit_findings *findings)
{
    const struct fit_summary *summary = &findings->summary;
    struct histogram histogram;

    histogram_make(findings->weight_cts, findings->target_ct, 1, -INFINITY, &histogram);
    page_section_begin(page, "sparsity", "How many training examples matter");
    page_figure_begin(page);
    plot_histogram(page, &histogram, "nonzero weights", "Nonzero weights of each target");
    page_caption_begin(page);
    page_printf(page->file,
                "Number of training examples with a nonzero weight, over targets (E.1 of the "
                "paper): median %g, from %g to %g, of %" PRIu64 " examples.",
                summary->weight_cts.values[2], summary->weight_cts.values[0],
                summary->weight_cts.values[4], summary->header->example_ct);
    if (summary->constant_ct > 0)
        page_printf(page->file, " %" PRIu64 " %s a constant output, and with it no weights.",
                    summary->constant_ct,
                    summary->constant_ct == 1 ? "target has" : "targets have");
    page_caption_end(page);
    page_section_end(page);
}

/* ---- lambda ---- */

/* A log axis over increasing or decreasing positive values, or around the only one. */
static struct svg_axis log_axis(const char *label, double one, double other)
{
    double low = fmin(one, other), high = fmax(one, other);

    if (!(high > low))
        low /= 2, high *= 2;
    return (struct svg_axis){label, low, high, true};
}

/* How many points all paths have: the mean is over all of them there. */
static size_t common_points(const struct mean_path *path)
{
    size_t point_ct = 0;

    while (point_ct < path->point_ct && path->target_cts[point_ct] == (double)path->path_ct)
        point_ct++;
    return point_ct;
}

static void plot_mean_path(struct page *page, const struct mean_path *path)
{
    size_t last = path->point_ct - 1, common_ct = common_points(path);
    struct svg_plot plot = {
        .file = page->file,
        .x = log_axis("λ, relative to the largest of each target", path->ratios[0],
                      path->ratios[last]),
        .y = svg_axis_around("mean relative validation error", path->errors, path->point_ct),
    };
    char description[160];

    snprintf(description, sizeof(description),
             "Mean over %" PRIu64 " targets at %zu values of lambda: from 1 at the largest to %.3g "
             "at the smallest.",
             path->path_ct, path->point_ct, path->errors[last]);
    begin_plot(page);
    fputs("<h3>Mean over targets</h3>\n", page->file);
    svg_plot_begin(&plot, "Mean validation error against lambda", description);
    if (common_ct < path->point_ct)
        svg_plot_line(&plot, "line dashed", path->ratios + common_ct - 1,
                      path->errors + common_ct - 1, path->point_ct - common_ct + 1);
    svg_plot_line(&plot, "line", path->ratios, path->errors, common_ct);
    svg_plot_end(&plot);
    end_plot(page);
}

static bool has_errors(const struct dms_fitted_target *target)
{
    return target->path_ct > 1 && isfinite(target->path_errors[0]);
}

static void plot_path(struct page *page, const struct fit_findings *findings,
                      const struct dms_fitted_target *target)
{
    size_t chosen = target->chosen;
    struct svg_plot plot = {
        .file = page->file,
        .x = log_axis("λ", target->path_lambdas[0], target->path_lambdas[target->path_ct - 1]),
        .y = svg_axis_around("validation error", target->path_errors, target->path_ct),
    };
    char description[160], tip[96];

    snprintf(tip, sizeof(tip), "chosen: λ = %.3g, error %.4g, %" PRIu32 " nonzero weights",
             target->path_lambdas[chosen], target->path_errors[chosen],
             target->path_weight_cts[chosen]);
    snprintf(description, sizeof(description), "%zu values of lambda; %s.", target->path_ct, tip);
    begin_plot(page);
    fputs("<h3>", page->file);
    fit_page_target_name(page, findings, target->target);
    fputs("</h3>\n", page->file);
    svg_plot_begin(&plot, "Validation error against lambda", description);
    svg_plot_line(&plot, "line", target->path_lambdas, target->path_errors, target->path_ct);
    svg_plot_mark(&plot, target->path_lambdas[chosen], target->path_errors[chosen], tip);
    svg_plot_end(&plot);
    end_plot(page);
}

void fit_page_lambda(struct page *page, const struct fit_findings *findings)
{
    const struct mean_path *path = &findings->path;

    if (path->path_ct == 0)
        return; /* nothing was chosen by validation models */
    page_section_begin(page, "lambda", "The choice of the penalty");
    page_figure_begin(page);
    if (path->point_ct > 1)
        plot_mean_path(page, path);
    for (size_t i = 0; i < findings->shown_ct; i++) {
        if (has_errors(&findings->shown[i].fitted))
            plot_path(page, findings, &findings->shown[i].fitted);
    }
    page_caption_begin(page);
    page_printf(page->file,
                "Mean squared error on the validation models against the penalty λ (E.2 of the "
                "paper); the dot is the λ that was chosen.");
    if (path->point_ct > 1)
        page_printf(page->file,
                    " The mean is over %" PRIu64
                    " targets, each relative to its error at its largest λ.",
                    path->path_ct);
    if (common_points(path) < path->point_ct)
        page_printf(page->file, " Where it is dashed, the paths of some targets have ended, and "
                                "the mean is over the others.");
    page_caption_end(page);
    page_section_end(page);
}

/* ---- data support ---- */

static int compare_counts(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

/* The supports that are known, sorted; and how many. */
static size_t sort_supports(const struct fit_findings *findings, uint64_t *sorted)
{
    size_t known_ct = 0;

    for (size_t i = 0; i < findings->target_ct; i++) {
        const struct dms_support *support = &findings->supports[i];

        if (!support->censored && !isnan(support->m0))
            sorted[known_ct++] = support->support;
    }
    qsort(sorted, known_ct, sizeof(*sorted), compare_counts);
    return known_ct;
}

/* The curve through the different ones of the sorted supports; 0 is at 1, where the axis begins. */
static void plot_cdf(struct page *page, const struct fit_findings *findings, const uint64_t *sorted,
                     size_t known_ct)
{
    double end = svg_round_step(fmax((double)sorted[known_ct - 1], 2) * 1.5), *xs, *percents;
    uint64_t *ks = calloc(known_ct + 1, sizeof(*ks));
    double *fractions = calloc(3 * (known_ct + 1), sizeof(*fractions));
    struct svg_plot plot = {
        .file = page->file,
        .x = {"examples removed", 1, end, true},
        .y = {"% of targets misclassified", 0, 100, false},
    };
    char description[160];
    size_t k_ct = 0;

    if (!ks || !fractions)
        goto out; /* the figure lacks a plot */
    for (size_t i = 0; i < known_ct; i++) {
        uint64_t k = sorted[i] > 0 ? sorted[i] : 1;

        if (k_ct == 0 || k != ks[k_ct - 1])
            ks[k_ct++] = k;
    }
    dms_support_cdf(findings->supports, findings->target_ct, ks, k_ct, fractions);
    xs = fractions + known_ct + 1;
    percents = xs + known_ct + 1;
    for (size_t i = 0; i < k_ct; i++) {
        xs[i] = (double)ks[i];
        percents[i] = 100 * fractions[i];
    }
    xs[k_ct] = end;
    percents[k_ct] = percents[k_ct - 1];
    snprintf(description, sizeof(description),
             "Cumulative distribution over %zu targets, from %.3g%% at %" PRIu64
             " examples to %.3g%% at %" PRIu64 ".",
             findings->target_ct, percents[0], ks[0], percents[k_ct - 1], ks[k_ct - 1]);
    begin_plot(page);
    svg_plot_begin(&plot, "Data support", description);
    svg_plot_steps(&plot, "line", xs, percents, k_ct + 1);
    svg_plot_end(&plot);
    end_plot(page);
out:
    free(ks);
    free(fractions);
}

static size_t count_from_datamodel(const struct fit_findings *findings)
{
    size_t count = 0;

    for (size_t i = 0; i < findings->target_ct; i++)
        count += findings->supports[i].m0_source == DMS_M0_DATAMODEL;
    return count;
}

static void explain_supports(struct page *page, const struct fit_findings *findings,
                             const uint64_t *sorted, size_t known_ct)
{
    size_t datamodel_ct = count_from_datamodel(findings);

    page_printf(page->file,
                "Estimated data support (Figure 7 of the paper): the share of targets whose mean "
                "output would fall below 0 if so many training examples, those of largest weight, "
                "were left out. The estimate is made from the weights alone (Appendix F.3.2).");
    if (known_ct > 0)
        page_printf(page->file,
                    " The median of the %zu targets for which it is known is %" PRIu64 ".",
                    known_ct, sorted[(known_ct - 1) / 2]);
    if (known_ct < findings->target_ct)
        page_printf(page->file,
                    " For %zu of %zu targets all examples of positive weight are not enough.",
                    findings->target_ct - known_ct, findings->target_ct);
    if (datamodel_ct == findings->target_ct)
        page_printf(page->file, " The output on the whole training set, from which it is counted, "
                                "is what the datamodel predicts, an extrapolation: there are no "
                                "control runs.");
    else
        page_printf(page->file,
                    " The output on the whole training set is that of control runs for %zu "
                    "targets.",
                    findings->target_ct - datamodel_ct);
}

int fit_page_support(struct page *page, const struct fit_findings *findings)
{
    uint64_t *sorted = calloc(findings->target_ct, sizeof(*sorted));
    size_t known_ct;

    if (!sorted)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the report");
    page_section_begin(page, "support", "How few examples a prediction hangs on");
    if (findings->supports) {
        known_ct = sort_supports(findings, sorted);
        page_figure_begin(page);
        if (known_ct > 0)
            plot_cdf(page, findings, sorted, known_ct);
        page_caption_begin(page);
        explain_supports(page, findings, sorted, known_ct);
        page_caption_end(page);
    } else {
        fputs("<p class=\"note\">", page->file);
        page_printf(page->file, "There is no estimate of the data support: %s.",
                    findings->support_reason);
        fputs("</p>\n", page->file);
    }
    page_section_end(page);
    free(sorted);
    return 0;
}
