/*
 * dmstore verify: checks every byte of a store and names what is damaged and which models must be
 * trained again.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>

#include <dmstore.h>

#include "damage_report.h"
#include "json.h"
#include "options.h"
#include "progress.h"
#include "report.h"

static const char name[] = "verify";

/* What was found: in the store proper, and in its files of counts. */
struct verdict {
    struct dms_verify_report store;
    uint64_t gram_ct, gram_bytes, gram_damage_ct;
    struct damage_report *damage;
};

/* Takes in a file of counts. What is damaged in it costs no model anything. */
static int take_gram(void *context, const struct dms_gram_file *file)
{
    struct verdict *verdict = context;

    verdict->gram_ct++;
    verdict->gram_bytes += file->bytes;
    if (!file->damage)
        return 0;
    verdict->gram_damage_ct++;
    damage_report_add(verdict->damage,
                      &(struct dms_damage){.path = file->path, .what = file->damage});
    return verdict->damage->code;
}

static int run(const char *path, bool quick, struct damage_report *damage, struct verdict *verdict)
{
    struct progress progress;
    const struct dms_verify_options options = {
        .quick = quick,
        .on_damage = damage_report_add,
        .damage_context = damage,
        .progress = progress_update,
        .progress_context = &progress,
    };
    int code;

    damage->progress = &progress;
    progress_begin(&progress, name, PROGRESS_BYTES);
    code = dms_verify(path, &options, &verdict->store);
    verdict->damage = damage;
    if (code == 0)
        code = dms_gram_files(path, !quick, take_gram, verdict);
    progress_end(&progress);
    return code < 0 ? code : damage->code;
}

static void print_gram(const struct verdict *verdict)
{
    char bytes[TOOL_HUMAN_BYTES];

    if (verdict->gram_ct == 0)
        return;
    printf("%" PRIu64 " file%s of counts and products, %s", verdict->gram_ct,
           tool_plural(verdict->gram_ct), tool_human_bytes(verdict->gram_bytes, bytes));
    if (verdict->gram_damage_ct > 0)
        printf(": %" PRIu64 " CANNOT BE USED; 'dmstore gram --remove' removes them, and they "
               "can be made again",
               verdict->gram_damage_ct);
    putchar('\n');
}

static void print_text(const char *path, bool quick, const struct id_ranges *lost,
                       const struct verdict *verdict)
{
    const struct dms_verify_report *report = &verdict->store;
    char bytes[TOOL_HUMAN_BYTES];

    printf("%s: %" PRIu64 " segment%s, %" PRIu64 " commit%s, %" PRIu64 " chunk%s, %s %s\n", path,
           report->segment_ct, tool_plural(report->segment_ct), report->commit_ct,
           tool_plural(report->commit_ct), report->chunk_ct, tool_plural(report->chunk_ct),
           tool_human_bytes(report->checked_bytes, bytes), quick ? "checked quickly" : "checked");
    if (report->orphan_bytes > 0)
        printf("%s after the last commit were left by a crash: no damage\n",
               tool_human_bytes(report->orphan_bytes, bytes));
    print_gram(verdict);
    if (report->damage_ct == 0) {
        puts(verdict->gram_damage_ct == 0 ? "good" : "all else is good");
        return;
    }
    printf("DAMAGED in %" PRIu64 " place%s; ", report->damage_ct, tool_plural(report->damage_ct));
    if (report->lost_target_ct > 0)
        printf("%" PRIu64 " target%s to fit again; ", report->lost_target_ct,
               tool_plural(report->lost_target_ct));
    if (lost->item_ct == 0) {
        puts("no model that is there has lost anything ('dmstore recover', then 'dmstore compact "
             "--all', mend it)");
        return;
    }
    printf("%" PRIu64 " model%s to train again: ", report->lost_id_ct,
           tool_plural(report->lost_id_ct));
    id_ranges_print(lost, stdout);
    putchar('\n');
}

static int verify_as_text(const char *path, bool quick, struct damage_report *damage,
                          struct verdict *verdict)
{
    int code = run(path, quick, damage, verdict);

    if (code == 0)
        print_text(path, quick, &damage->lost, verdict);
    return code;
}

static int verify_as_json(const char *path, bool quick, struct damage_report *damage,
                          struct verdict *verdict)
{
    const struct dms_verify_report *report = &verdict->store;
    struct json_writer json;
    int code, text_code;

    damage->json = &json;
    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_text(&json, "store", path);
    json_bool(&json, "quick", quick);
    json_array_open(&json, "damage");
    code = run(path, quick, damage, verdict);
    json_array_close(&json);
    if (code < 0) {
        json_text(&json, "error", dms_error_message());
    } else {
        json_bool(&json, "good", report->damage_ct == 0 && verdict->gram_damage_ct == 0);
        json_u64(&json, "segments", report->segment_ct);
        json_u64(&json, "commits", report->commit_ct);
        json_u64(&json, "chunks", report->chunk_ct);
        json_u64(&json, "checked_bytes", report->checked_bytes);
        json_u64(&json, "orphan_bytes", report->orphan_bytes);
        json_u64(&json, "count_files", verdict->gram_ct);
        json_u64(&json, "damaged_count_files", verdict->gram_damage_ct);
        json_u64(&json, "lost_target_count", report->lost_target_ct);
        json_u64(&json, "lost_id_count", report->lost_id_ct);
        text_code = damage_report_json_ids(&json, "lost_ids", &damage->lost);
        code = text_code < 0 ? text_code : code;
    }
    json_object_close(&json);
    json_end(&json);
    return code;
}

int command_verify(int argc, char **argv)
{
    bool quick = false, as_json = false;
    const struct tool_option options[] = {
        OPTION_FLAG("quick", 0, &quick,
                    "check headers, hashes of stored bytes and the index, but decode nothing"),
        OPTION_FLAG("json", 0, &as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE [--quick] [--json]",
        .description =
            "Reads every byte of STORE and checks every hash and every rule of the format.\n"
            "Prints each damage with the models that must be trained again. Exits with 1\n"
            "if there is any.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    struct damage_report damage = {0};
    struct verdict verdict = {.gram_ct = 0};
    char **positionals;
    int code, status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status != TOOL_CONTINUE)
        return status;
    code = as_json ? verify_as_json(positionals[0], quick, &damage, &verdict)
                   : verify_as_text(positionals[0], quick, &damage, &verdict);
    if (code < 0)
        status = tool_fail_library(name);
    else
        status = verdict.store.damage_ct + verdict.gram_damage_ct > 0 ? TOOL_FAILED : TOOL_OK;
    id_ranges_free(&damage.lost);
    return tool_finish_output(name, status);
}
