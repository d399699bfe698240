/*
 * dmstore compact: gives back the space of removed rows, joins short groups and changes the codec.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>

#include <dmstore.h>

#include "json.h"
#include "options.h"
#include "progress.h"
#include "report.h"

static const char name[] = "compact";

static void print_json(const struct dms_compact_result *result)
{
    struct json_writer json;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_u64(&json, "groups_before", result->group_ct_before);
    json_u64(&json, "groups_after", result->group_ct_after);
    json_u64(&json, "bytes_before", result->bytes_before);
    json_u64(&json, "bytes_after", result->bytes_after);
    json_u64(&json, "rewritten_rows", result->rewritten_rows);
    json_object_close(&json);
    json_end(&json);
}

static void print_text(const struct dms_compact_result *result)
{
    char before[TOOL_HUMAN_BYTES], after[TOOL_HUMAN_BYTES];

    printf("%" PRIu64 " row%s rewritten, groups %" PRIu64 " -> %" PRIu64 ", size %s -> %s\n",
           result->rewritten_rows, tool_plural(result->rewritten_rows), result->group_ct_before,
           result->group_ct_after, tool_human_bytes(result->bytes_before, before),
           tool_human_bytes(result->bytes_after, after));
}

static int compact(const char *path, struct dms_compact_options *options,
                   struct dms_compact_result *result)
{
    struct progress progress;
    dms_store *store = NULL;
    int code = dms_store_open(path, &store);

    if (code < 0)
        return code;
    progress_begin(&progress, "compact", PROGRESS_ROWS);
    options->progress = progress_update;
    options->progress_context = &progress;
    code = dms_store_compact(store, options, result);
    progress_end(&progress);
    dms_store_close(store);
    return code;
}

int command_compact(int argc, char **argv)
{
    const char *codec_given = NULL;
    struct dms_compact_options compact_options = {0};
    bool as_json = false;
    const struct tool_option options[] = {
        OPTION_TEXT("codec", 0, "CODEC", &codec_given,
                    "compress every chunk so and make it the store's codec: none, zstd, "
                    "zstd:LEVEL or auto"),
        OPTION_FLAG("all", 0, &compact_options.all,
                    "rewrite every group, also where nothing is gained"),
        OPTION_THREADS(&compact_options.thread_ct, "threads to use (default: one a processor)"),
        OPTION_FLAG("json", 0, &as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE [--codec CODEC] [--all] [options]",
        .description =
            "Seals staged rows, drops removed rows, joins short groups and deletes segment\n"
            "files that nothing uses any more. Readers and writers may go on meanwhile.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    struct dms_compact_result result = {0};
    struct dms_codec codec;
    char **positionals;
    int status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status != TOOL_CONTINUE)
        return status;
    if (codec_given && dms_codec_parse(codec_given, &codec) < 0)
        return tool_fail_usage(name, "--codec: %s", dms_error_message());
    compact_options.codec = codec_given ? &codec : NULL;
    if (compact(positionals[0], &compact_options, &result) < 0)
        return tool_fail_library(name);
    if (as_json)
        print_json(&result);
    else
        print_text(&result);
    return tool_finish_output(name, TOOL_OK);
}
