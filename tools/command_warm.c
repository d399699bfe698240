/*
 * dmstore warm: decodes the compressed chunks of a store once into a cache file that all readers
 * map, or removes that file.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include <dmstore.h>

#include "json.h"
#include "options.h"
#include "progress.h"
#include "report.h"
#include "target_range.h"

static const char name[] = "warm";

struct request {
    const char *path;
    const char *output, *targets;
    uint64_t limit_bytes, thread_ct;
    bool has_limit, remove, as_json;
};

/* Half of the machine's memory: a cache that does not stay in the page cache is slower than
 * decoding. */
static uint64_t default_limit(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_bytes = sysconf(_SC_PAGESIZE);

    return pages > 0 && page_bytes > 0 ? (uint64_t)pages / 2 * (uint64_t)page_bytes : 0;
}

static void print_result(const struct request *request, const struct dms_warm_result *result)
{
    struct json_writer json;
    char bytes[TOOL_HUMAN_BYTES];

    if (request->as_json) {
        json_begin(&json, stdout);
        json_object_open(&json, NULL);
        json_u64(&json, "chunks", result->chunk_ct);
        json_u64(&json, "raw", result->raw_ct);
        json_u64(&json, "left_out", result->left_out_ct);
        json_u64(&json, "bytes", result->file_bytes);
        json_object_close(&json);
        json_end(&json);
        return;
    }
    if (result->chunk_ct == 0 && result->left_out_ct == 0) {
        printf("nothing to warm: all %" PRIu64 " chunks are raw, and read in place\n",
               result->raw_ct);
        return;
    }
    printf("%" PRIu64 " chunk%s decoded, %s", result->chunk_ct, tool_plural(result->chunk_ct),
           tool_human_bytes(result->file_bytes, bytes));
    if (result->left_out_ct > 0)
        printf("; %" PRIu64 " left out, for which the limit has no room", result->left_out_ct);
    printf("\n");
}

static int remove_cache(const struct request *request, dms_snapshot *snapshot)
{
    uint64_t removed_bytes;
    char bytes[TOOL_HUMAN_BYTES];
    struct json_writer json;
    int code = dms_snapshot_warm_remove(snapshot, &removed_bytes);

    if (code < 0)
        return code;
    if (request->as_json) {
        json_begin(&json, stdout);
        json_object_open(&json, NULL);
        json_u64(&json, "removed_bytes", removed_bytes);
        json_object_close(&json);
        json_end(&json);
    } else {
        printf("%s removed\n", tool_human_bytes(removed_bytes, bytes));
    }
    return 0;
}

/* A dms_progress callback: shows how many chunks are done. */
static int show_chunks(void *context, uint64_t done, uint64_t total)
{
    char text[80];

    snprintf(text, sizeof(text), "%" PRIu64 " of %" PRIu64 " chunks", done, total);
    return progress_show(context, text);
}

static int warm(const struct request *request, dms_snapshot *snapshot)
{
    struct dms_warm_options options = {.output = request->output,
                                       .limit_bytes = request->limit_bytes,
                                       .thread_ct = (unsigned)request->thread_ct,
                                       .progress = show_chunks};
    struct dms_warm_result result;
    struct progress progress;
    uint64_t end = 0;
    int code;

    if (request->targets && !target_range_parse(request->targets, &options.first_target, &end))
        return dms_source_fail(DMS_ERR_INVALID, "'%s' is no range of targets, such as 0:100",
                               request->targets);
    options.target_ct = end ? end - options.first_target : 0;
    options.progress_context = &progress;
    progress_begin(&progress, name, PROGRESS_ROWS);
    code = dms_snapshot_warm(snapshot, &options, &result);
    progress_end(&progress);
    if (code == 0)
        print_result(request, &result);
    return code;
}

static int run(const struct request *request)
{
    dms_snapshot *snapshot = NULL;
    int code = dms_snapshot_open(request->path, &snapshot);

    if (code == 0)
        code = request->remove ? remove_cache(request, snapshot) : warm(request, snapshot);
    dms_snapshot_close(snapshot);
    return code < 0 ? tool_fail_library(name) : TOOL_OK;
}

static int check(struct request *request)
{
    if (request->targets && !request->output)
        return tool_fail_usage(name, "--targets needs --output");
    if (request->remove && (request->output || request->has_limit))
        return tool_fail_usage(name, "--remove removes all of the cache");
    if (request->has_limit && request->limit_bytes == 0)
        return tool_fail_usage(name, "--limit must be more than 0; --remove takes the cache away");
    if (request->thread_ct > UINT16_MAX)
        return tool_fail_usage(name, "--threads is too large");
    if (!request->has_limit)
        request->limit_bytes = default_limit();
    return TOOL_CONTINUE;
}

int command_warm(int argc, char **argv)
{
    struct request request = {.path = NULL};
    const struct tool_option options[] = {
        OPTION_TEXT("output", 'o', "COLUMN", &request.output,
                    "decode this output, too (default: masks only)"),
        OPTION_TEXT("targets", 0, "A:B", &request.targets,
                    "only the chunks that have its targets A to B - 1"),
        OPTION_BYTES("limit", 0, "SIZE", &request.limit_bytes, &request.has_limit,
                     "largest size of the cache (default: half of the machine's memory)"),
        OPTION_COUNT("threads", 0, "T", &request.thread_ct, NULL,
                     "threads that decode (default: one a processor)"),
        OPTION_FLAG("remove", 0, &request.remove, "remove the cache"),
        OPTION_FLAG("json", 0, &request.as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE [--output COLUMN] [options]",
        .description =
            "Decodes the compressed chunks of a store once into the file warm.cache in its\n"
            "directory, which all processes that read the store then share.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    char **positionals;
    int status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status == TOOL_CONTINUE)
        status = check(&request);
    if (status != TOOL_CONTINUE)
        return status;
    request.path = positionals[0];
    return tool_finish_output(name, run(&request));
}
