/*
 * dmstore snapshot: publishes the current state of a store as a manifest file, with which commands
 * that only read open it without its index.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>

#include <dmstore.h>

#include "json.h"
#include "options.h"
#include "report.h"

static const char name[] = "snapshot";

static void print_result(const dms_snapshot *snapshot, const char *manifest, bool as_json)
{
    struct dms_snapshot_info info;
    struct json_writer json;

    dms_snapshot_info(snapshot, &info);
    if (!as_json) {
        printf("%s: commit %" PRIu64 ", %" PRIu64 " model%s\n", manifest, info.sequence,
               info.model_ct, tool_plural(info.model_ct));
        return;
    }
    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_text(&json, "manifest", manifest);
    json_u64(&json, "sequence", info.sequence);
    json_u64(&json, "models", info.model_ct);
    json_u64(&json, "segments", info.segment_ct);
    json_object_close(&json);
    json_end(&json);
}

int command_snapshot(int argc, char **argv)
{
    const char *manifest = NULL;
    bool as_json = false;
    const struct tool_option options[] = {
        OPTION_TEXT("output", 'o', "MANIFEST", &manifest, "the file to write"),
        OPTION_FLAG("json", 0, &as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE -o MANIFEST [--json]",
        .description =
            "Writes a file that describes the state of STORE at this moment. Commands that\n"
            "only read take it in place of the store, also over a network file system.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    dms_snapshot *snapshot = NULL;
    char **positionals;
    int code, status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status != TOOL_CONTINUE)
        return status;
    if (!manifest)
        return tool_fail_usage(name, "-o is missing: the manifest file to write");
    code = dms_snapshot_open(positionals[0], &snapshot);
    if (code == 0)
        code = dms_snapshot_write_manifest(snapshot, manifest);
    if (code < 0)
        status = tool_fail_library(name);
    else
        print_result(snapshot, manifest, as_json);
    dms_snapshot_close(snapshot);
    return tool_finish_output(name, code < 0 ? status : TOOL_OK);
}
