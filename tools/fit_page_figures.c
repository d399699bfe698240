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

/* A histogram with fewer bins has room for so many. */
#define FEW_BINS 7

#define MEAN_BYTES (PAGE_NUMBER_BYTES + 8)

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

/* "mean 0.976", "mean 1,400" */
static void describe_mean(double mean, char text[MEAN_BYTES])
{
    char number[PAGE_NUMBER_BYTES];

    if (mean >= 100 || (mean >= 0 && mean == floor(mean)))
        tool_human_count((uint64_t)(mean + 0.5), number);
    else
        page_number(mean, 3, number);
    snprintf(text, MEAN_BYTES, "mean %s", number);
}

/* The range of the bins, with room beside few of them: a bar is not to fill the plot. No value can
 * be below `least` or above `most`. */
static struct svg_axis axis_of_bins(const struct histogram *histogram, const char *label,
                                    double least, double most)
{
    double high = histogram->low + (double)histogram->bin_ct * histogram->step;
    double room = histogram->bin_ct < FEW_BINS
                      ? (double)(FEW_BINS - histogram->bin_ct) / 2 * histogram->step
                      : 0;

    return (struct svg_axis){
        .label = label,
        .low = fmin(histogram->low, fmax(histogram->low - room, least)),
        .high = fmax(high, fmin(high + room, most)),
    };
}

/* A histogram over targets with its mean. */
static void plot_histogram(struct page *page, const struct histogram *histogram,
                           struct svg_axis axis, const char *name)
{
    double high = histogram->low + (double)histogram->bin_ct * histogram->step;
    struct svg_plot plot = {
        .file = page->file,
        .x = axis,
        .y = {"targets", 0, 1.06 * (double)histogram->largest_count, .is_count = true},
    };
    char description[200], mean[MEAN_BYTES];

    snprintf(description, sizeof(description),
             "Histogram over %" PRIu64 " targets from %.4g to %.4g; the mean is %.4g.",
             histogram->value_ct, histogram->low, high, histogram->mean);
    begin_plot(page);
    svg_plot_begin(&plot, name, description);
    draw_bars(&plot, histogram);
    describe_mean(histogram->mean, mean);
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
        plot_histogram(page, histogram, axis_of_bins(histogram, label, LEAST_R2, 1), label);
    free(values);
}

static bool has_r2(const struct fit_findings *findings)
{
    return findings->evaluation && !isnan(findings->evaluation->fits[0].means[DMS_SCORE_R2]);
}

static bool has_no_bias(const struct fit_findings *findings)
{
    struct dms_fitted_target first;

    return dms_fit_target(findings->query->fit, 0, &first) == 0 && first.flags & DMS_FITTED_NO_BIAS;
}

static void explain_scores(struct page *page, const struct fit_findings *findings)
{
    const struct dms_evaluation *evaluation = findings->evaluation;
    const struct dms_subset_sizes *sizes = &findings->sizes;
    uint64_t left_out_ct = evaluation->constant_ct + evaluation->empty_ct;
    char models[TOOL_HUMAN_BYTES];

    fputs("<p>", page->file);
    page_printf(page->file,
                "Each target is scored by itself, over %s held-out models: LDS, the linear "
                "datamodeling score, is Spearman’s rank correlation of the predicted and the "
                "actual outputs%s",
                tool_human_count(evaluation->row_ct, models),
                has_r2(findings)
                    ? "; R² is the part of the variance of the outputs that is explained."
                    : ".");
    if (!has_r2(findings) && has_no_bias(findings))
        page_printf(page->file, " There is no R², as the targets have no bias: what they predict "
                                "is known but for a constant.");
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
    char mean[PAGE_NUMBER_BYTES], low[PAGE_NUMBER_BYTES], high[PAGE_NUMBER_BYTES];

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
    page_printf(page->file, "How LDS%s distributed over targets.",
                r2.value_ct > 0 ? " and R² are" : " is");
    if (lds.value_ct > 0)
        page_printf(page->file, " The mean LDS is %s",
                    page_fixed(fit->means[DMS_SCORE_LDS], 4, mean));
    if (!isnan(fit->lds_interval.low))
        page_printf(page->file, " (95%% interval %s to %s, by resampling held-out models)",
                    page_fixed(fit->lds_interval.low, 4, low),
                    page_fixed(fit->lds_interval.high, 4, high));
    if (r2.value_ct > 0)
        page_printf(page->file, ", the mean R² %s", page_fixed(fit->means[DMS_SCORE_R2], 4, mean));
    if (lds.value_ct > 0)
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
        .x = svg_axis_around("predicted output", values, has_level ? 2 * point_ct : point_ct),
        .y = svg_axis_around("actual output", values + (has_level ? 0 : point_ct),
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
    char text[PAGE_NUMBER_BYTES];

    if (isnan(scores[DMS_SCORE_LDS])) {
        page_printf(page->file, "no score");
        return;
    }
    page_printf(page->file, "LDS %s", page_fixed(scores[DMS_SCORE_LDS], 3, text));
    if (!isnan(scores[DMS_SCORE_PEARSON]))
        page_printf(page->file, ", Pearson %s", page_fixed(scores[DMS_SCORE_PEARSON], 3, text));
    if (!isnan(scores[DMS_SCORE_R2]))
        page_printf(page->file, ", R² %s", page_fixed(scores[DMS_SCORE_R2], 3, text));
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
    char drawn[TOOL_HUMAN_BYTES], models[TOOL_HUMAN_BYTES];

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
                "training subsets (Figure 5 of the paper), %s.%s",
                has_no_bias(findings) ? "which it does but for a constant, as it has no bias"
                                      : "with the line of equality",
                findings->query->targets || findings->shown_ct == 1
                    ? ""
                    : " The targets are those at the minimum, the quartiles and the maximum of "
                      "LDS.");
    if (drawn_ct < model_ct)
        page_printf(page->file, " Drawn are %s of the %s models, evenly by id.",
                    tool_human_count(drawn_ct, drawn), tool_human_count(model_ct, models));
    page_caption_end(page);
    page_section_end(page);
}

/* ---- sparsity ---- */

void fit_page_sparsity(struct page *page, const struct fit_findings *findings)
{
    const struct fit_summary *summary = &findings->summary;
    struct histogram histogram;
    char median[TOOL_HUMAN_BYTES], least[TOOL_HUMAN_BYTES], most[TOOL_HUMAN_BYTES];
    char examples[TOOL_HUMAN_BYTES];

    histogram_make(findings->weight_cts, findings->target_ct, 1, -INFINITY, &histogram);
    page_section_begin(page, "sparsity", "How many training examples matter");
    page_figure_begin(page);
    plot_histogram(page, &histogram,
                   axis_of_bins(&histogram, "nonzero weights of a target", 0, INFINITY),
                   "Nonzero weights of each target");
    page_caption_begin(page);
    page_printf(page->file,
                "Number of training examples with a nonzero weight, over targets (E.1 of the "
                "paper): median %s, from %s to %s, of %s examples.",
                tool_human_count((uint64_t)summary->weight_cts.values[2], median),
                tool_human_count((uint64_t)summary->weight_cts.values[0], least),
                tool_human_count((uint64_t)summary->weight_cts.values[4], most),
                tool_human_count(summary->header->example_ct, examples));
    if (summary->constant_ct > 0)
        page_printf(page->file, " %" PRIu64 " %s a constant output, and with it no weights.",
                    summary->constant_ct,
                    summary->constant_ct == 1 ? "target has" : "targets have");
    page_caption_end(page);
    page_section_end(page);
}

/* ---- lambda ---- */

/* A mean over fewer of the paths says more of which they are than of lambda. */
#define LEAST_SHARE 0.5

/* A log axis over increasing or decreasing positive values, or around the only one. */
static struct svg_axis log_axis(const char *label, double one, double other)
{
    double low = fmin(one, other), high = fmax(one, other);

    if (!(high > low))
        low /= 2, high *= 2;
    return (struct svg_axis){label, low, high, .is_log = true};
}

/* How many points at least such a share of the paths has. */
static size_t points_of_share(const struct mean_path *path, double share)
{
    size_t point_ct = 0;

    while (point_ct < path->point_ct && path->target_cts[point_ct] >= share * (double)path->path_ct)
        point_ct++;
    return point_ct;
}

static void plot_mean_path(struct page *page, const struct mean_path *path)
{
    size_t point_ct = points_of_share(path, LEAST_SHARE), last = point_ct - 1;
    size_t common_ct = points_of_share(path, 1);
    struct svg_plot plot = {
        .file = page->file,
        .x = log_axis("λ, relative to the largest of each target", path->ratios[0],
                      path->ratios[last]),
        .y = svg_axis_around("mean relative validation error", path->errors, point_ct),
    };
    char description[160];

    snprintf(description, sizeof(description),
             "Mean over %" PRIu64 " targets at %zu values of lambda: from 1 at the largest to %.3g "
             "at the smallest.",
             path->path_ct, point_ct, path->errors[last]);
    begin_plot(page);
    fputs("<h3>Mean over targets</h3>\n", page->file);
    svg_plot_begin(&plot, "Mean validation error against lambda", description);
    if (common_ct < point_ct)
        svg_plot_line(&plot, "line dashed", path->ratios + common_ct - 1,
                      path->errors + common_ct - 1, point_ct - common_ct + 1);
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
        .y = svg_axis_around("validation error (MSE)", target->path_errors, target->path_ct),
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
    bool has_mean = path->path_ct > 1 && path->point_ct > 1;
    char targets[TOOL_HUMAN_BYTES];

    if (path->path_ct == 0)
        return; /* nothing was chosen by validation models */
    page_section_begin(page, "lambda", "The choice of the penalty");
    page_figure_begin(page);
    if (has_mean)
        plot_mean_path(page, path);
    for (size_t i = 0; i < findings->shown_ct; i++) {
        if (has_errors(&findings->shown[i].fitted))
            plot_path(page, findings, &findings->shown[i].fitted);
    }
    page_caption_begin(page);
    page_printf(page->file,
                "Mean squared error on the validation models against the penalty λ (E.2 of the "
                "paper); the dot is the λ that was chosen.");
    if (has_mean)
        page_printf(page->file,
                    " The mean is over %s targets, each relative to its error at its largest λ.",
                    tool_human_count(path->path_ct, targets));
    if (has_mean && points_of_share(path, 1) < path->point_ct)
        page_printf(page->file, " Where it is dashed, the paths of some targets have ended, and "
                                "the mean is over the others; it ends where those of more than "
                                "half have.");
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
        .x = {"examples removed", 1, end, .is_log = true},
        .y = {"% of targets with an output below 0", 0, 100, .is_log = false},
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
    char known[TOOL_HUMAN_BYTES], median[TOOL_HUMAN_BYTES], targets[TOOL_HUMAN_BYTES];

    page_printf(page->file,
                "Estimated data support (Figure 7 of the paper): the share of targets whose mean "
                "output would fall below 0, which is a mistake where it is a margin, if so many "
                "training examples, those of largest weight, were left out. The estimate is made "
                "from the weights alone (Appendix F.3.2).");
    if (known_ct > 0)
        page_printf(page->file, " The median of the %s targets for which it is known is %s.",
                    tool_human_count(known_ct, known),
                    tool_human_count(sorted[(known_ct - 1) / 2], median));
    if (known_ct < findings->target_ct)
        page_printf(page->file,
                    " For %s of %s targets all examples of positive weight are not enough.",
                    tool_human_count(findings->target_ct - known_ct, known),
                    tool_human_count(findings->target_ct, targets));
    if (datamodel_ct == findings->target_ct)
        page_printf(page->file, " The output on the whole training set, from which it is counted, "
                                "is what the datamodel predicts, an extrapolation: there are no "
                                "control runs.");
    else
        page_printf(page->file,
                    " The output on the whole training set is that of control runs for %s "
                    "targets.",
                    tool_human_count(findings->target_ct - datamodel_ct, known));
}

/* Without a curve there is no figure, only what would be its caption. */
static void print_supports(struct page *page, const struct fit_findings *findings,
                           const uint64_t *sorted, size_t known_ct)
{
    if (known_ct > 0) {
        page_figure_begin(page);
        plot_cdf(page, findings, sorted, known_ct);
        page_caption_begin(page);
    } else {
        fputs("<p>", page->file);
    }
    explain_supports(page, findings, sorted, known_ct);
    if (known_ct > 0)
        page_caption_end(page);
    else
        fputs("</p>\n", page->file);
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
        print_supports(page, findings, sorted, known_ct);
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
