/*
 * Writes the numbers behind the figures of a page; see fit_page.h.
 */
#include "fit_page.h"

#include <math.h>
#include <stdlib.h>

#include "json.h"
#include "report.h"

/* Of more targets the page keeps no numbers one by one. */
#define LISTED_TARGET_MAX 20000

/* Held-out models of all shown targets together. */
#define DRAWN_MODEL_MAX 10000

size_t fit_page_drawn_ct(const struct fit_findings *findings,
                         const struct dms_target_models *models)
{
    size_t share = DRAWN_MODEL_MAX / findings->shown_ct;

    return models->model_ct < share ? models->model_ct : share;
}

size_t fit_page_drawn_model(const struct fit_findings *findings,
                            const struct dms_target_models *models, size_t i)
{
    return i * models->model_ct / fit_page_drawn_ct(findings, models);
}

/* As float has it: its shortest decimal digits would be as good, and more are noise. */
static void json_float(struct json_writer *json, double value)
{
    char text[32];

    snprintf(text, sizeof(text), "%.8g", value);
    json_double(json, NULL, strtod(text, NULL));
}

static void json_scores(struct json_writer *json, const struct fit_findings *findings,
                        const char *key, enum dms_score score)
{
    json_array_open(json, key);
    for (size_t i = 0; i < findings->target_ct; i++)
        json_float(json, fit_findings_score(findings, i, score));
    json_array_close(json);
}

static int json_targets(struct json_writer *json, const struct fit_findings *findings)
{
    int code = 0;

    json_array_open(json, "targets");
    for (size_t i = 0; code == 0 && i < findings->target_ct; i++) {
        struct dms_fitted_target target;

        code = dms_fit_target(findings->query->fit, i, &target);
        if (code == 0)
            json_u64(json, NULL, target.target);
    }
    json_array_close(json);
    json_array_open(json, "nonzeros");
    for (size_t i = 0; i < findings->target_ct; i++)
        json_u64(json, NULL, (uint64_t)findings->weight_cts[i]);
    json_array_close(json);
    if (findings->evaluation) {
        json_scores(json, findings, "lds", DMS_SCORE_LDS);
        json_scores(json, findings, "r2", DMS_SCORE_R2);
    }
    if (!findings->supports)
        return code;
    json_array_open(json, "support"); /* null: above what could be found */
    for (size_t i = 0; i < findings->target_ct; i++)
        json_double(json, NULL,
                    findings->supports[i].censored || isnan(findings->supports[i].m0)
                        ? NAN
                        : (double)findings->supports[i].support);
    json_array_close(json);
    return code;
}

static void json_models(struct json_writer *json, const struct fit_findings *findings,
                        const struct shown_target *shown)
{
    const struct dms_target_models *models = shown->models;
    size_t drawn_ct = fit_page_drawn_ct(findings, models);
    static const char *const keys[] = {"models", "outputs", "predictions"};

    for (int key = 0; key < 3; key++) {
        json_array_open(json, keys[key]);
        for (size_t i = 0; i < drawn_ct; i++) {
            size_t model = fit_page_drawn_model(findings, models, i);

            if (key == 0)
                json_u64(json, NULL, models->ids[model]);
            else
                json_float(json, key == 1 ? models->outputs[model] : models->predictions[model]);
        }
        json_array_close(json);
    }
}

static void json_shown(struct json_writer *json, const struct fit_findings *findings)
{
    json_array_open(json, "shown");
    for (size_t i = 0; i < findings->shown_ct; i++) {
        json_object_open(json, NULL);
        json_u64(json, "target", findings->shown[i].fitted.target);
        if (findings->shown[i].models)
            json_models(json, findings, &findings->shown[i]);
        json_object_close(json);
    }
    json_array_close(json);
}

static void json_mean_path(struct json_writer *json, const struct mean_path *path)
{
    const double *const columns[] = {path->ratios, path->errors, path->target_cts};
    static const char *const keys[] = {"lambda_ratios", "errors", "target_counts"};

    json_object_open(json, "mean_path");
    for (int key = 0; key < 3; key++) {
        json_array_open(json, keys[key]);
        for (size_t i = 0; i < path->point_ct; i++)
            json_float(json, columns[key][i]);
        json_array_close(json);
    }
    json_object_close(json);
}

static int write_json(const struct fit_findings *findings, FILE *file)
{
    struct json_writer json;
    int code = 0;

    json_begin_line(&json, file);
    json_object_open(&json, NULL);
    json_text(&json, "fit", findings->summary.name);
    json_text(&json, "output", findings->summary.header->output);
    json_u64(&json, "target_count", findings->target_ct);
    if (findings->target_ct <= LISTED_TARGET_MAX)
        code = json_targets(&json, findings);
    json_shown(&json, findings);
    json_mean_path(&json, &findings->path);
    json_object_close(&json);
    json_end(&json);
    return code;
}

int fit_page_data(struct page *page, const struct fit_findings *findings)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    int code = memory ? write_json(findings, memory) : DMS_ERR_NO_MEMORY;

    if (memory && fclose(memory) != 0)
        code = DMS_ERR_NO_MEMORY;
    if (code == DMS_ERR_NO_MEMORY)
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the report");
    if (code == 0) {
        fputs("<script type=\"application/json\" id=\"data\">", page->file);
        for (size_t i = 0; i < bytes; i++) { /* "</script>" in a name must not end it */
            if (text[i] == '<')
                fputs("\\u003c", page->file);
            else
                putc(text[i], page->file);
        }
        fputs("</script>\n", page->file);
    }
    free(text);
    return code;
}
