/*
 * Puts the page of a fit together: what it is in words and numbers here, then the sections with
 * figures; see fit_page.h.
 */
#include "fit_page.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

/* Jobs that are told of one by one. */
#define SHOWN_JOB_CT 10

/* The ends of a narrower interval need more digits to differ. */
#define NARROW_INTERVAL 0.005

static const char *problem(const struct fit_findings *findings, const char *key)
{
    const char *value = dms_fit_problem(findings->summary.header, key);

    return value ? value : "";
}

static const char *method_text(const struct fit_findings *findings)
{
    static const struct {
        const char *method, *text;
    } methods[] = {
        {"", "LASSO: a linear regression of the output on the training mask, with a penalty on the "
             "sum of the absolute weights"},
        {"ridge", "ridge regression of the output on the training mask"},
        {"influence", "empirical influence: differences of mean outputs with and without an "
                      "example"},
        {"import", "weights of another attribution method, imported"},
        {"pca", "principal components of datamodels"},
    };
    const char *method = problem(findings, "method");

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (strcmp(method, methods[i].method) == 0)
            return methods[i].text;
    }
    return method;
}

static bool is_regression(const struct fit_findings *findings)
{
    struct dms_fitted_target first;

    return dms_fit_target(findings->query->fit, 0, &first) == 0 &&
           !(first.flags & DMS_FITTED_ESTIMATED);
}

void fit_page_target_name(struct page *page, const struct fit_findings *findings, uint64_t target)
{
    const struct index_names *names = &findings->query->targets_are;

    page_printf(page->file, "Target %" PRIu64, target);
    if (names->labels)
        page_printf(page->file, " · class %" PRId64, names->labels[target]);
    if (names->names)
        page_printf(page->file, " · %s", names->names[target]);
}

/* ---- the head ---- */

static void print_number(struct page *page, const char *term, const char *value, const char *note)
{
    fputs("<div><dt>", page->file);
    page_text(page->file, term);
    fputs("</dt><dd>", page->file);
    page_text(page->file, value);
    fputs(" <small>", page->file);
    page_text(page->file, note);
    fputs("</small></dd></div>\n", page->file);
}

static void print_score_numbers(struct page *page, const struct dms_evaluation *evaluation)
{
    const struct dms_fit_evaluation *fit = &evaluation->fits[0];
    double low = fit->lds_interval.low, high = fit->lds_interval.high;
    char value[PAGE_NUMBER_BYTES], from[PAGE_NUMBER_BYTES], to[PAGE_NUMBER_BYTES], note[160];
    char models[TOOL_HUMAN_BYTES];
    int decimal_ct = high - low < NARROW_INTERVAL ? 4 : 3;

    snprintf(note, sizeof(note), isnan(low) ? "over targets" : "95%% interval %s to %s",
             page_fixed(low, decimal_ct, from), page_fixed(high, decimal_ct, to));
    if (!isnan(fit->means[DMS_SCORE_LDS]))
        print_number(page, "Mean LDS", page_fixed(fit->means[DMS_SCORE_LDS], 3, value), note);
    snprintf(note, sizeof(note), "on %s held-out models",
             tool_human_count(evaluation->row_ct, models));
    if (!isnan(fit->means[DMS_SCORE_R2]))
        print_number(page, "Mean R²", page_fixed(fit->means[DMS_SCORE_R2], 3, value), note);
}

static void print_numbers(struct page *page, const struct fit_findings *findings)
{
    const struct fit_summary *summary = &findings->summary;
    char value[64], note[128], count[TOOL_HUMAN_BYTES], gap[PAGE_NUMBER_BYTES];

    fputs("<dl class=\"numbers\">\n", page->file);
    if (findings->evaluation)
        print_score_numbers(page, findings->evaluation);
    snprintf(note, sizeof(note), "of %s training examples, median over targets",
             tool_human_count(summary->header->example_ct, count));
    tool_human_count((uint64_t)summary->weight_cts.values[2], value);
    print_number(page, "Nonzero weights", value, note);
    if (is_regression(findings)) {
        snprintf(value, sizeof(value), "%.3g%%",
                 100 * (double)summary->certified_ct / (double)summary->target_ct);
        snprintf(note, sizeof(note), "of targets; worst duality gap %s",
                 page_number(summary->worst_gap, 2, gap));
        print_number(page, "Certified", value, note);
    }
    fputs("</dl>\n", page->file);
}

static void print_lead(struct page *page, const struct fit_findings *findings)
{
    const struct dms_fit_header *header = findings->summary.header;
    const struct dms_evaluation *evaluation = findings->evaluation;
    char fitted[TOOL_HUMAN_BYTES], all[TOOL_HUMAN_BYTES], examples[TOOL_HUMAN_BYTES];
    char models[TOOL_HUMAN_BYTES], held_out[TOOL_HUMAN_BYTES], lds[PAGE_NUMBER_BYTES];

    fputs("<p class=\"lead\">", page->file);
    page_printf(page->file,
                "A datamodel predicts what a model will output on one target, from which examples "
                "the model was trained on. Here %s for %s of %s targets of %s, linear in %s "
                "training examples and ",
                findings->target_ct == 1 ? "is one" : "are those",
                tool_human_count(findings->target_ct, fitted),
                tool_human_count(header->target_ct, all), header->output,
                tool_human_count(header->example_ct, examples));
    if (strcmp(problem(findings, "method"), "import") == 0)
        page_printf(page->file, "with weights that another attribution method has estimated.");
    else
        page_printf(page->file, "estimated from %s trained models.",
                    tool_human_count(header->training.row_ct + header->validation.row_ct, models));
    fputs("</p>\n<p class=\"lead\">", page->file);
    if (evaluation && !isnan(evaluation->fits[0].means[DMS_SCORE_LDS]))
        page_printf(page->file,
                    "On %s models that they have never seen, the rank correlation of prediction "
                    "and output is %s on average over targets.",
                    tool_human_count(evaluation->row_ct, held_out),
                    page_fixed(evaluation->fits[0].means[DMS_SCORE_LDS], 3, lds));
    else
        page_printf(page->file, "How well they predict models that they have never seen is not "
                                "known.");
    fputs("</p>\n", page->file);
}

static void print_head(struct page *page, const struct fit_findings *findings)
{
    fputs("<header>\n<p class=\"kicker\">Datamodel report</p>\n<h1>", page->file);
    page_printf(page->file, "Fit %s of %s", findings->summary.name,
                findings->summary.header->output);
    fputs("</h1>\n", page->file);
    print_lead(page, findings);
    print_numbers(page, findings);
    fputs("</header>\n", page->file);
}

/* ---- what was fitted ---- */

static void print_models(struct page *page, const char *term, const struct dms_row_set *set,
                         const char *purpose)
{
    const struct dms_id_range *last = set->range_ct > 0 ? &set->ranges[set->range_ct - 1] : NULL;
    char count[TOOL_HUMAN_BYTES];

    if (last)
        page_fact(page, term, "%s %s (ids %" PRIu64 " to %" PRIu64 ")",
                  tool_human_count(set->row_ct, count), purpose, set->ranges[0].first_id,
                  last->first_id + (last->id_ct - 1));
    else
        page_fact(page, term, "none");
}

static void print_subsets(struct page *page, const struct fit_findings *findings)
{
    const struct dms_subset_sizes *sizes = &findings->sizes;
    double all = (double)findings->summary.header->example_ct;
    char smallest[TOOL_HUMAN_BYTES], largest[TOOL_HUMAN_BYTES];

    if (!sizes->is_known)
        page_fact(page, "Training subsets", "not known: these models are no longer there");
    else if (sizes->smallest == sizes->largest)
        page_fact(page, "Training subsets", "%s examples each (α = %.3g)",
                  tool_human_count(sizes->smallest, smallest), (double)sizes->smallest / all);
    else
        page_fact(page, "Training subsets", "%s to %s examples (α = %.3g to %.3g)",
                  tool_human_count(sizes->smallest, smallest),
                  tool_human_count(sizes->largest, largest), (double)sizes->smallest / all,
                  (double)sizes->largest / all);
}

static void print_solution(struct page *page, const struct fit_findings *findings)
{
    const struct fit_summary *summary = &findings->summary;
    char gap[PAGE_NUMBER_BYTES], last[TOOL_HUMAN_BYTES], ended[TOOL_HUMAN_BYTES];
    char certified[TOOL_HUMAN_BYTES], targets[TOOL_HUMAN_BYTES];

    if (!is_regression(findings)) {
        page_fact(page, "Certificate", "none: these are estimates, no solutions of a regression");
        return;
    }
    if (*problem(findings, "lambda-min-ratio"))
        page_fact(page, "Penalties λ",
                  "%s for each target, from the smallest that leaves no weights down to %s of it",
                  problem(findings, "lambdas"), problem(findings, "lambda-min-ratio"));
    else if (*problem(findings, "lambda-file"))
        page_fact(page, "Penalties λ", "%s, the same for all targets",
                  problem(findings, "lambdas"));
    else if (*problem(findings, "lambda"))
        page_fact(page, "Penalty λ", "%s, the same for all targets", problem(findings, "lambda"));
    if (findings->path.path_ct > 0)
        page_fact(
            page, "Choice of λ",
            "least squared error on the validation models; the smallest λ of its path was "
            "chosen for %s target%s, and %s path%s ended early",
            tool_human_count(summary->last_lambda_ct, last), tool_plural(summary->last_lambda_ct),
            tool_human_count(summary->path_ended_ct, ended), tool_plural(summary->path_ended_ct));
    page_fact(page, "Certificate",
              "%s of %s targets have a duality gap of at most %s of the null deviance; the worst "
              "is %s",
              tool_human_count(summary->certified_ct, certified),
              tool_human_count(summary->target_ct, targets), problem(findings, "tolerance"),
              page_number(summary->worst_gap, 2, gap));
}

static void print_fit(struct page *page, const struct fit_findings *findings)
{
    const struct fit_summary *summary = &findings->summary;
    const struct dms_fit_header *header = summary->header;
    const char *transform = problem(findings, "transform");
    char time[FIT_TIME_BYTES], fitted[TOOL_HUMAN_BYTES], all[TOOL_HUMAN_BYTES];
    char bytes[TOOL_HUMAN_BYTES];

    page_section_begin(page, "fit", "What was fitted");
    fputs("<dl class=\"facts\">\n", page->file);
    page_fact(page, "Store", "%s", findings->query->store);
    page_fact(page, "Output", "%s%s%s", header->output,
              *transform && strcmp(transform, "none") != 0 ? ", as " : "",
              strcmp(transform, "none") != 0 ? transform : "");
    page_fact(page, "Targets", "%s of %s", tool_human_count(findings->target_ct, fitted),
              tool_human_count(header->target_ct, all));
    page_fact(page, "Method", "%s", method_text(findings));
    print_models(page, "Training", &header->training, "models");
    print_models(page, "Validation", &header->validation,
                 findings->path.path_ct > 0 ? "models, which chose λ" : "models");
    print_models(page, "Held out", &header->held_out, "models, never used");
    print_subsets(page, findings);
    print_solution(page, findings);
    if (strcmp(problem(findings, "exclude-self"), "yes") == 0)
        page_fact(page, "Own examples",
                  "models that were trained on the target itself are left out throughout");
    page_fact(page, "Kept", "%s in %" PRIu64 " part%s, %swritten %s",
              tool_human_bytes(summary->stored_bytes, bytes), summary->part_ct,
              tool_plural(summary->part_ct), summary->part_ct == 1 ? "" : "the last one ",
              fit_time_text(summary->last_time_ns, time));
    fputs("</dl>\n", page->file);
    page_section_end(page);
}

/* ---- where it is from ---- */

static const char *provenance(const struct dms_fit_part_info *info, const char *key)
{
    for (size_t i = 0; i < info->provenance_ct; i++) {
        if (strcmp(info->provenance[i].key, key) == 0)
            return info->provenance[i].value;
    }
    return NULL;
}

static void print_job(struct page *page, const struct dms_fit_part_info *info)
{
    static const struct {
        const char *key, *before, *after;
    } words[] = {{"host", " on ", ""},          {"device", " (", ")"},
                 {"threads", ", ", " threads"}, {"seconds", ", ", " seconds"},
                 {"seed", ", seed ", ""},       {"version", ", dmstore ", ""}};
    const char *command = provenance(info, "command");
    char time[FIT_TIME_BYTES];

    fputs("<p>", page->file);
    page_printf(page->file, "Targets %" PRIu64 " to %" PRIu64 ", %s", info->first_target,
                info->last_target, fit_time_text(info->time_ns, time));
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const char *value = provenance(info, words[i].key);

        if (value)
            page_printf(page->file, "%s%s%s", words[i].before, value, words[i].after);
    }
    if (command) {
        fputs(".<br><code>", page->file);
        page_text(page->file, command);
        fputs("</code>", page->file);
    }
    fputs("</p>\n", page->file);
}

static int print_provenance(struct page *page, const struct fit_findings *findings)
{
    const dms_fit *fit = findings->query->fit;
    size_t part_ct = dms_fit_part_ct(fit);
    int code = 0;

    page_section_begin(page, "provenance", "Where it comes from");
    for (size_t i = 0; code == 0 && i < part_ct && i < SHOWN_JOB_CT; i++) {
        struct dms_fit_part_info info;

        code = dms_fit_part_info(fit, i, &info);
        if (code == 0)
            print_job(page, &info);
    }
    if (part_ct > SHOWN_JOB_CT)
        page_printf(page->file, "And %zu more jobs.", part_ct - SHOWN_JOB_CT);
    page_section_end(page);
    fputs("<footer>", page->file);
    page_printf(page->file, "Written by dmstore report. This page is complete in itself: it loads "
                            "nothing, and the numbers behind its figures are in it as JSON. "
                            "Figures are named after those of Ilyas, Park, Engstrom, Leclerc and "
                            "Madry, “Datamodels: Predicting Predictions from Training Data”, "
                            "2022.");
    fputs("</footer>\n", page->file);
    return code;
}

/* ---- all of it ---- */

int fit_page_write(const struct fit_findings *findings, const struct fit_pictures *pictures,
                   FILE *file)
{
    struct page page;
    char title[2 * DMS_NAME_BYTES + 64];
    int code;

    snprintf(title, sizeof(title), "Datamodels: fit %s of %s", findings->summary.name,
             findings->summary.header->output);
    page_begin(&page, file, title);
    print_head(&page, findings);
    print_fit(&page, findings);
    fit_page_scores(&page, findings);
    fit_page_scatter(&page, findings);
    fit_page_sparsity(&page, findings);
    fit_page_lambda(&page, findings);
    code = fit_page_support(&page, findings);
    if (code == 0)
        code = fit_page_examples(&page, findings, pictures);
    if (code == 0)
        code = print_provenance(&page, findings);
    if (code == 0)
        code = fit_page_data(&page, findings);
    page_end(&page);
    return code;
}
