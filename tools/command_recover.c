/*
 * dmstore recover: rebuilds the index of a store from its segment files and tells which models were
 * lost.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "damage_report.h"
#include "json.h"
#include "options.h"
#include "output_file.h"
#include "progress.h"
#include "report.h"

static const char name[] = "recover";

static int run(const char *path, bool keep_partial, struct damage_report *damage,
               struct dms_recover_report *report)
{
    struct progress progress;
    const struct dms_recover_options options = {
        .keep_partial = keep_partial,
        .on_damage = damage_report_add,
        .damage_context = damage,
        .progress = progress_update,
        .progress_context = &progress,
    };
    int code;

    damage->progress = &progress;
    progress_begin(&progress, name, PROGRESS_BYTES);
    code = dms_recover(path, &options, report);
    progress_end(&progress);
    return code;
}

static void print_text(const char *path, const struct dms_recover_report *report,
                       const struct id_ranges *lost)
{
    printf("%s: %" PRIu64 " model%s in %" PRIu64 " group%s from %" PRIu64 " segment%s\n", path,
           report->model_ct, tool_plural(report->model_ct), report->group_ct,
           tool_plural(report->group_ct), report->segment_ct, tool_plural(report->segment_ct));
    if (report->fit_ct > 0)
        printf("%" PRIu64 " fit%s\n", report->fit_ct, tool_plural(report->fit_ct));
    if (report->damage_ct > 0)
        printf("damaged in %" PRIu64 " place%s\n", report->damage_ct,
               tool_plural(report->damage_ct));
    if (report->salvaged_ct > 0)
        printf("%" PRIu64 " model%s brought back without a commit record\n", report->salvaged_ct,
               tool_plural(report->salvaged_ct));
    if (report->lost_target_ct > 0)
        printf("%" PRIu64 " fitted target%s lost, to fit again\n", report->lost_target_ct,
               tool_plural(report->lost_target_ct));
    if (lost->item_ct > 0) {
        printf("%" PRIu64 " model%s lost, to train again: ", report->lost_id_ct,
               tool_plural(report->lost_id_ct));
        id_ranges_print(lost, stdout);
        putchar('\n');
    }
}

static int recover_as_text(const char *path, bool keep_partial, struct damage_report *damage,
                           struct dms_recover_report *report, struct id_ranges *lost)
{
    int code = run(path, keep_partial, damage, report);

    if (code == 0)
        code = id_ranges_add_ids(lost, report->lost_ids, report->lost_id_ct);
    if (code == 0)
        print_text(path, report, lost);
    return code;
}

static int recover_as_json(const char *path, bool keep_partial, struct damage_report *damage,
                           struct dms_recover_report *report, struct id_ranges *lost)
{
    struct json_writer json;
    int code;

    damage->json = &json;
    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_text(&json, "store", path);
    json_array_open(&json, "damage");
    code = run(path, keep_partial, damage, report);
    json_array_close(&json);
    if (code == 0)
        code = id_ranges_add_ids(lost, report->lost_ids, report->lost_id_ct);
    if (code < 0) {
        json_text(&json, "error", dms_error_message());
    } else {
        json_u64(&json, "segments", report->segment_ct);
        json_u64(&json, "groups", report->group_ct);
        json_u64(&json, "models", report->model_ct);
        json_u64(&json, "damage_count", report->damage_ct);
        json_u64(&json, "salvaged", report->salvaged_ct);
        json_u64(&json, "fits", report->fit_ct);
        json_u64(&json, "lost_target_count", report->lost_target_ct);
        json_u64(&json, "lost_id_count", report->lost_id_ct);
        code = damage_report_json_ids(&json, "lost_ids", lost);
    }
    json_object_close(&json);
    json_end(&json);
    return code;
}

/* Writes the ranges on one line; nothing when no model was lost. */
static int write_lost_ids(const char *path, const struct id_ranges *lost)
{
    struct output_file output = {0};
    char *text = id_ranges_text(lost);
    int code;

    if (!text)
        return DMS_ERR_NO_MEMORY;
    code = output_file_create(&output, path);
    if (code == 0)
        code = output_file_append(&output, strlen(text), text);
    if (code == 0 && text[0])
        code = output_file_append(&output, 1, "\n");
    if (code == 0)
        code = output_file_commit(&output);
    output_file_abandon(&output);
    free(text);
    return code;
}

int command_recover(int argc, char **argv)
{
    bool keep_partial = false, as_json = false;
    const char *lost_ids_path = NULL;
    const struct tool_option options[] = {
        OPTION_FLAG("keep-partial", 0, &keep_partial,
                    "keep models that lost outputs or scalars but have their mask"),
        OPTION_TEXT("lost-ids", 0, "FILE", &lost_ids_path, "write the ranges of lost ids to FILE"),
        OPTION_FLAG("json", 0, &as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE [--keep-partial] [--lost-ids FILE] [--json]",
        .description =
            "Makes a new index of STORE from its segment files alone, which are not touched,\n"
            "and salvages everything good of a damaged store. Nobody else may have it open.\n"
            "Exits with 1 if models or fitted targets were lost.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    struct damage_report damage = {0};
    struct dms_recover_report report = {0};
    struct id_ranges lost = {0};
    char **positionals;
    int code, status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status != TOOL_CONTINUE)
        return status;
    code = as_json ? recover_as_json(positionals[0], keep_partial, &damage, &report, &lost)
                   : recover_as_text(positionals[0], keep_partial, &damage, &report, &lost);
    if (code == 0 && lost_ids_path)
        code = write_lost_ids(lost_ids_path, &lost);
    status = TOOL_OK;
    if (code < 0)
        status = tool_fail_library(name);
    else if (report.lost_id_ct > 0)
        status = tool_fail(name,
                           "the index was rebuilt, but %" PRIu64
                           " model%s lost ('dmstore missing' names them)",
                           report.lost_id_ct, report.lost_id_ct == 1 ? " was" : "s were");
    else if (report.lost_target_ct > 0)
        status = tool_fail(name, "the index was rebuilt, but %" PRIu64 " fitted target%s lost",
                           report.lost_target_ct, report.lost_target_ct == 1 ? " was" : "s were");
    free(report.lost_ids);
    id_ranges_free(&lost);
    id_ranges_free(&damage.lost);
    return tool_finish_output(name, status);
}
