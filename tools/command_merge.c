/*
 * dmstore merge: copies the models of other stores into one.
 */
#include "commands.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include <dmstore.h>

#include "json.h"
#include "options.h"
#include "progress.h"
#include "report.h"

static const char name[] = "merge";

/* Opens all sources and holds them against the store, so that one that does not belong there is
 * noticed before the first row is copied. */
static int open_sources(dms_store *store, char **paths, size_t source_ct, dms_snapshot **sources)
{
    for (size_t i = 0; i < source_ct; i++) {
        int code = dms_snapshot_open(paths[i], &sources[i]);

        if (code < 0)
            return code;
        code = dms_store_check_mergeable(store, sources[i]);
        if (code < 0)
            return dms_source_fail(code, "'%s': %s", paths[i], dms_error_message());
    }
    return 0;
}

static int merge_sources(dms_store *store, char **paths, dms_snapshot **sources, size_t source_ct,
                         struct dms_write_options *options, struct dms_write_result *results)
{
    for (size_t i = 0; i < source_ct; i++) {
        struct progress progress;
        int code;

        progress_begin(&progress, paths[i], PROGRESS_ROWS);
        options->progress = progress_update;
        options->progress_context = &progress;
        code = dms_store_merge(store, sources[i], options, &results[i]);
        progress_end(&progress);
        if (code < 0)
            return dms_source_fail(code, "'%s': %s", paths[i], dms_error_message());
    }
    return 0;
}

/* Fits name the models of the store that they were fitted in: they stay there. */
static void warn_of_fits(char **paths, dms_snapshot **sources, size_t source_ct)
{
    for (size_t i = 0; i < source_ct; i++) {
        size_t fit_ct = dms_snapshot_fit_ct(sources[i]);

        if (fit_ct > 0)
            tool_warn(name, "'%s' has %zu fit%s: fits are not copied, only models", paths[i],
                      fit_ct, tool_plural(fit_ct));
    }
}

static void print_text(char **paths, size_t source_ct, const struct dms_write_result *results)
{
    for (size_t i = 0; i < source_ct; i++) {
        printf("%s: %" PRIu64 " model%s added, %" PRIu64 " unchanged", paths[i],
               results[i].added_ct, tool_plural(results[i].added_ct), results[i].unchanged_ct);
        if (results[i].kept_ct > 0)
            printf(", %" PRIu64 " kept as they were", results[i].kept_ct);
        if (results[i].replaced_ct > 0)
            printf(", %" PRIu64 " replaced", results[i].replaced_ct);
        putchar('\n');
    }
}

static void print_json(char **paths, size_t source_ct, const struct dms_write_result *results)
{
    struct json_writer json;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_array_open(&json, "sources");
    for (size_t i = 0; i < source_ct; i++) {
        json_object_open(&json, NULL);
        json_text(&json, "source", paths[i]);
        json_u64(&json, "added", results[i].added_ct);
        json_u64(&json, "unchanged", results[i].unchanged_ct);
        json_u64(&json, "kept", results[i].kept_ct);
        json_u64(&json, "replaced", results[i].replaced_ct);
        json_object_close(&json);
    }
    json_array_close(&json);
    json_object_close(&json);
    json_end(&json);
}

static int merge(char **paths, size_t source_ct, struct dms_write_options *options, bool as_json)
{
    dms_snapshot **sources = calloc(source_ct, sizeof(*sources));
    struct dms_write_result *results = calloc(source_ct, sizeof(*results));
    dms_store *store = NULL;
    int code;

    if (!sources || !results) {
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu sources", source_ct);
        goto out;
    }
    code = dms_store_open(paths[0], &store);
    if (code == 0)
        code = open_sources(store, paths + 1, source_ct, sources);
    if (code == 0)
        code = merge_sources(store, paths + 1, sources, source_ct, options, results);
    if (code < 0)
        goto out;
    warn_of_fits(paths + 1, sources, source_ct);
    if (as_json)
        print_json(paths + 1, source_ct, results);
    else
        print_text(paths + 1, source_ct, results);
out:
    for (size_t i = 0; sources && i < source_ct; i++)
        dms_snapshot_close(sources[i]);
    dms_store_close(store);
    free(results);
    free(sources);
    return code;
}

int command_merge(int argc, char **argv)
{
    struct dms_write_options write_options = {0};
    int on_duplicate = DMS_DUPLICATE_ERROR;
    bool as_json = false;
    const struct tool_option options[] = {
        OPTION_CHOICE("on-duplicate", 0, "error|keep|replace", &on_duplicate,
                      tool_on_duplicate_words,
                      "what to do with an id that is in DEST with other bytes (default error)"),
        OPTION_THREADS(&write_options.thread_ct, "threads to use (default: one a processor)"),
        OPTION_FLAG("json", 0, &as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "DEST SOURCE ... [options]",
        .description =
            "Copies all models of every SOURCE (a store or a manifest) into the store DEST.\n"
            "They must agree in examples, columns and dataset digest.\n",
        .positional_min = 2,
        .positional_max = SIZE_MAX,
        .options = options,
    };
    char **positionals;
    size_t positional_ct;
    int status = tool_options_parse(&usage, argc, argv, &positionals, &positional_ct);

    if (status != TOOL_CONTINUE)
        return status;
    write_options.on_duplicate = (enum dms_on_duplicate)on_duplicate;
    if (merge(positionals, positional_ct - 1, &write_options, as_json) < 0)
        return tool_fail_library(name);
    return tool_finish_output(name, TOOL_OK);
}
