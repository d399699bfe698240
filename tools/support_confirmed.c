/*
 * Prints which estimates of data support were confirmed by retraining; see support_report.h.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "json.h"
#include "output_file.h"
#include "report.h"
#include "support_report.h"

/* The kinds of rows that confirm, and how many examples they do without. */
static const struct {
    const char *kind;
    const char *text;
} kinds[] = {
    {SUPPORT_KIND_CONFIRM, "as many examples as estimated"},
    {SUPPORT_KIND_CONSERVATIVE, "1.2 times as many"},
};

#define KIND_CT (sizeof(kinds) / sizeof(kinds[0]))

/* The training sets of a kind whose mean output is known, and those where it is below 0. */
struct tally {
    uint64_t set_ct, confirmed_ct;
};

static bool is_confirmed(const struct support_mean *mean)
{
    return mean->output < 0;
}

static bool is_of_kind(const struct support_mean *mean, const char *kind)
{
    return strcmp(mean->row.kind, kind) == 0;
}

static struct tally count_kind(const struct support_runs *runs, const char *kind)
{
    struct tally tally = {0};

    for (size_t i = 0; i < runs->mean_ct; i++) {
        if (!is_of_kind(&runs->means[i], kind) || isnan(runs->means[i].output))
            continue;
        tally.set_ct++;
        tally.confirmed_ct += is_confirmed(&runs->means[i]);
    }
    return tally;
}

/* NaN: there are none. */
static double fraction_of(const struct tally *tally)
{
    return tally->set_ct > 0 ? (double)tally->confirmed_ct / (double)tally->set_ct : NAN;
}

/* Whether row i of the means is to be told: the control rows of the plan are not. */
static bool is_told(const struct support_runs *runs, size_t i)
{
    for (size_t kind = 0; kind < KIND_CT; kind++) {
        if (is_of_kind(&runs->means[i], kinds[kind].kind))
            return true;
    }
    return false;
}

/* ---- text ---- */

static const char *outcome(const struct support_mean *mean)
{
    return isnan(mean->output) ? "not known" : is_confirmed(mean) ? "confirmed" : "not confirmed";
}

void support_print_confirmed(const struct fit_query *query, const struct support_runs *runs,
                             const char *runs_path)
{
    printf("%s: estimates by fit %s, retrained %s these examples in %s\n", query->header->output,
           query->header->name, runs->relabels ? "with other labels for" : "without", runs_path);
    printf("%8s  %11s  %11s\n", "target", "examples", "mean output");
    for (size_t i = 0; i < runs->mean_ct; i++) {
        const struct support_mean *mean = &runs->means[i];

        if (!is_told(runs, i))
            continue;
        printf("%8" PRIu64 "  %11" PRIu64 "  %11.4g  %s", mean->row.target, mean->row.k,
               mean->output, outcome(mean));
        index_names_print(&query->targets_are, mean->row.target, stdout);
        putchar('\n');
    }
    for (size_t kind = 0; kind < KIND_CT; kind++) {
        struct tally tally = count_kind(runs, kinds[kind].kind);

        if (tally.set_ct > 0)
            printf("%s: %" PRIu64 " of %" PRIu64 " confirmed (%.1f%%)\n", kinds[kind].text,
                   tally.confirmed_ct, tally.set_ct, 100 * fraction_of(&tally));
    }
}

/* ---- JSON ---- */

static void json_kinds(struct json_writer *json, const struct support_runs *runs)
{
    json_array_open(json, "confirmed");
    for (size_t kind = 0; kind < KIND_CT; kind++) {
        struct tally tally = count_kind(runs, kinds[kind].kind);

        json_object_open(json, NULL);
        json_text(json, "kind", kinds[kind].kind);
        json_u64(json, "estimates", tally.set_ct);
        json_u64(json, "confirmed", tally.confirmed_ct);
        json_double(json, "fraction", fraction_of(&tally));
        json_object_close(json);
    }
    json_array_close(json);
}

static void json_mean(struct json_writer *json, const struct fit_query *query,
                      const struct support_mean *mean)
{
    json_object_open(json, NULL);
    json_u64(json, "target", mean->row.target);
    index_names_json(&query->targets_are, mean->row.target, json);
    json_text(json, "kind", mean->row.kind);
    json_u64(json, "k", mean->row.k);
    if (mean->row.has_label)
        json_i64(json, "mislabelled_as", mean->row.label);
    json_u64(json, "runs", mean->run_ct);
    json_double(json, "output", mean->output);
    json_bool(json, "confirmed", is_confirmed(mean));
    json_object_close(json);
}

void support_print_confirmed_json(const struct fit_query *query, const struct support_runs *runs)
{
    struct json_writer json;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_text(&json, "fit", query->header->name);
    json_text(&json, "output", query->header->output);
    json_kinds(&json, runs);
    json_array_open(&json, "targets");
    for (size_t i = 0; i < runs->mean_ct; i++) {
        if (is_told(runs, i))
            json_mean(&json, query, &runs->means[i]);
    }
    json_array_close(&json);
    json_object_close(&json);
    json_end(&json);
}

/* ---- CSV ---- */

static void csv_mean(const struct fit_query *query, const struct support_mean *mean, FILE *file)
{
    fprintf(file, "%" PRIu64, mean->row.target);
    index_names_csv(&query->targets_are, mean->row.target, file);
    fprintf(file, ",%s,%" PRIu64 ",%" PRIu64 ",", mean->row.kind, mean->row.k, mean->run_ct);
    if (!isnan(mean->output))
        fprintf(file, "%.17g", mean->output);
    fprintf(file, ",%d\n", is_confirmed(mean));
}

int support_write_confirmed_csv(const struct fit_query *query, const struct support_runs *runs,
                                const char *path)
{
    struct output_file output = {0};
    int code = output_file_create(&output, path);
    FILE *file = code == 0 ? output_file_stream(&output) : NULL;

    if (code == 0 && !file)
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    if (code == 0) {
        fputs("target", file);
        index_names_csv_head(&query->targets_are, "target_", file);
        fputs(",kind,k,runs,output,confirmed\n", file);
        for (size_t i = 0; i < runs->mean_ct; i++) {
            if (is_told(runs, i))
                csv_mean(query, &runs->means[i], file);
        }
    }
    return output_file_end_stream(&output, file, code);
}
