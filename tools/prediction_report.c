/*
 * Prints and writes predictions; see prediction_report.h.
 */
#include "prediction_report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "json.h"
#include "output_file.h"
#include "report.h"

/* What a value is called. */
static const char *value_word(const struct prediction_report *report)
{
    return report->changes_only ? "change" : "prediction";
}

static bool has_csv(const struct prediction_report *report)
{
    return report->path && !npy_is_path(report->path);
}

static bool is_instead(const struct prediction_report *report)
{
    return report->path && strcmp(report->path, "-") == 0;
}

/* ---- files ---- */

static int begin_file(struct prediction_report *report)
{
    uint64_t dimensions[2] = {report->mask_ct, report->query->position_ct};

    if (!report->path)
        return 0;
    if (npy_is_path(report->path))
        return npy_writer_create(&report->npy, report->path, 'f', sizeof(double), 2, dimensions);
    return output_file_begin_stream(&report->csv, report->path, &report->stream);
}

static int write_npy(const struct prediction_report *report, uint64_t first_mask, uint64_t mask_ct,
                     const double *values)
{
    uint64_t row_bytes = report->query->position_ct * sizeof(double);

    if (!report->path || has_csv(report) || row_bytes == 0)
        return 0;
    return npy_writer_write(&report->npy, first_mask, mask_ct, 0, row_bytes, values);
}

static int end_file(struct prediction_report *report, int code)
{
    if (has_csv(report))
        return output_file_end_stream(&report->csv, report->stream, code);
    if (report->path && code == 0)
        code = npy_writer_commit(&report->npy);
    npy_writer_abandon(&report->npy);
    return code;
}

/* ---- heads ---- */

static void print_head(const struct prediction_report *report)
{
    const struct fit_query *query = report->query;
    char targets[TOOL_HUMAN_BYTES];

    printf("%s: fit %s, %s target%s, ", query->header->output, query->fit_name,
           tool_human_count(query->position_ct, targets), tool_plural(query->position_ct));
}

static void print_changes_only(const struct prediction_report *report)
{
    if (report->changes_only)
        puts("The fit does not know the level of the output: it predicts changes only, here "
             "against the full training set.");
}

static void json_head(struct prediction_report *report)
{
    json_begin(&report->json, stdout);
    json_object_open(&report->json, NULL);
    json_text(&report->json, "fit", report->query->fit_name);
    json_text(&report->json, "output", report->query->header->output);
}

static void json_end_report(struct prediction_report *report,
                            const struct predicted_subsets *subsets)
{
    json_bool(&report->json, "extrapolates", subsets->extrapolate);
    json_object_close(&report->json);
    json_end(&report->json);
}

/* ---- one subset ---- */

/* The target at a place of the query; it was read before. */
static uint64_t target_at(const struct prediction_report *report, size_t place)
{
    struct dms_fitted_target target = {0};

    (void)fit_query_target(report->query, place, &target);
    return target.target;
}

static void print_subset(const struct prediction_report *report,
                         const struct predicted_subsets *subsets, const double *predictions,
                         const double *changes)
{
    char subset[TOOL_HUMAN_BYTES], all[TOOL_HUMAN_BYTES];

    print_head(report);
    printf("%s of %s examples\n", tool_human_count(subsets->smallest, subset),
           tool_human_count(report->query->header->example_ct, all));
    print_changes_only(report);
    if (report->path)
        return;
    printf("%9s", "target");
    if (!report->changes_only)
        printf("  %12s", "prediction");
    printf("  %12s\n", "change");
    for (size_t i = 0; i < report->query->position_ct; i++) {
        uint64_t target = target_at(report, i);

        printf("%9" PRIu64, target);
        if (!report->changes_only)
            printf("  %12.6g", predictions[i]);
        printf("  %12.6g", changes[i]);
        index_names_print(&report->query->targets_are, target, stdout);
        putchar('\n');
    }
}

static void json_subset(struct prediction_report *report, const struct predicted_subsets *subsets,
                        const double *predictions, const double *changes)
{
    struct json_writer *json = &report->json;

    json_head(report);
    json_u64(json, "examples", subsets->smallest);
    json_array_open(json, "targets");
    for (size_t i = 0; i < report->query->position_ct; i++) {
        uint64_t target = target_at(report, i);

        json_object_open(json, NULL);
        json_u64(json, "target", target);
        index_names_json(&report->query->targets_are, target, json);
        if (!report->changes_only)
            json_double(json, "prediction", predictions[i]);
        json_double(json, "change", changes[i]);
        json_object_close(json);
    }
    json_array_close(json);
    json_end_report(report, subsets);
}

static void csv_subset(const struct prediction_report *report, const double *predictions,
                       const double *changes)
{
    const struct index_names *names = &report->query->targets_are;
    FILE *stream = report->stream;

    fputs("target", stream);
    index_names_csv_head(names, "target_", stream);
    fputs(report->changes_only ? ",change\n" : ",prediction,change\n", stream);
    for (size_t i = 0; i < report->query->position_ct; i++) {
        uint64_t target = target_at(report, i);

        fprintf(stream, "%" PRIu64, target);
        index_names_csv(names, target, stream);
        if (!report->changes_only)
            fprintf(stream, ",%.17g", predictions[i]);
        fprintf(stream, ",%.17g\n", changes[i]);
    }
}

int prediction_report_subset(struct prediction_report *report,
                             const struct predicted_subsets *subsets, const double *predictions,
                             const double *changes)
{
    int code;

    report->mask_ct = 1;
    code = begin_file(report);
    if (code == 0)
        code = write_npy(report, 0, 1, report->changes_only ? changes : predictions);
    if (code == 0 && has_csv(report))
        csv_subset(report, predictions, changes);
    code = end_file(report, code);
    if (code < 0)
        return code;
    if (report->as_json)
        json_subset(report, subsets, predictions, changes);
    else if (!is_instead(report))
        print_subset(report, subsets, predictions, changes);
    return 0;
}

/* ---- many ---- */

int prediction_report_begin(struct prediction_report *report, uint64_t mask_ct)
{
    int code;

    report->mask_ct = mask_ct;
    report->smallest = INFINITY;
    report->largest = -INFINITY;
    code = begin_file(report);
    if (code == 0 && report->stream)
        fprintf(report->stream, "mask,target,%s\n", value_word(report));
    if (code < 0 || !report->as_json)
        return code;
    json_head(report);
    json_array_open(&report->json, "targets");
    for (size_t i = 0; i < report->query->position_ct; i++)
        json_u64(&report->json, NULL, target_at(report, i));
    json_array_close(&report->json);
    json_array_open(&report->json, "masks");
    return 0;
}

static void json_mask(struct prediction_report *report, uint64_t mask, const double *values)
{
    json_object_open(&report->json, NULL);
    json_u64(&report->json, "mask", mask);
    json_array_open(&report->json, report->changes_only ? "changes" : "predictions");
    for (size_t i = 0; i < report->query->position_ct; i++)
        json_double(&report->json, NULL, values[i]);
    json_array_close(&report->json);
    json_object_close(&report->json);
}

int prediction_report_masks(struct prediction_report *report, uint64_t first_mask, uint64_t mask_ct,
                            const double *values)
{
    size_t target_ct = report->query->position_ct;

    for (uint64_t i = 0; i < mask_ct; i++) {
        for (size_t t = 0; t < target_ct; t++) {
            double value = values[i * target_ct + t];

            report->value_sum += value;
            report->smallest = fmin(report->smallest, value);
            report->largest = fmax(report->largest, value);
            if (report->stream)
                fprintf(report->stream, "%" PRIu64 ",%" PRIu64 ",%.17g\n", first_mask + i,
                        target_at(report, t), value);
        }
        if (report->as_json)
            json_mask(report, first_mask + i, values + i * target_ct);
    }
    report->value_ct += mask_ct * target_ct;
    return write_npy(report, first_mask, mask_ct, values);
}

static void print_masks(const struct prediction_report *report,
                        const struct predicted_subsets *subsets)
{
    char masks[TOOL_HUMAN_BYTES], smallest[TOOL_HUMAN_BYTES], largest[TOOL_HUMAN_BYTES];

    print_head(report);
    printf("%s subset%s", tool_human_count(report->mask_ct, masks), tool_plural(report->mask_ct));
    if (report->mask_ct > 0)
        printf(" of %s", tool_human_count(subsets->smallest, smallest));
    if (subsets->largest > subsets->smallest)
        printf(" to %s", tool_human_count(subsets->largest, largest));
    puts(report->mask_ct > 0 ? " examples" : "");
    print_changes_only(report);
    if (report->value_ct > 0)
        printf("%ss %.6g to %.6g, mean %.6g\n", value_word(report), report->smallest,
               report->largest, report->value_sum / (double)report->value_ct);
}

int prediction_report_end(struct prediction_report *report, const struct predicted_subsets *subsets,
                          int code)
{
    code = end_file(report, code);
    if (code < 0)
        return code;
    if (report->as_json) {
        json_array_close(&report->json);
        json_end_report(report, subsets);
    } else if (!is_instead(report)) {
        print_masks(report, subsets);
    }
    return 0;
}
