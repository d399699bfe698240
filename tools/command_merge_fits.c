/*
 * dmstore merge-fits: takes parts of fits that jobs on other hosts wrote as files into a store.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <dmstore.h>

#include "json.h"
#include "options.h"
#include "report.h"

static const char name[] = "merge-fits";

/* One file that was taken in. */
struct merged {
    const char *path;
    char fit[DMS_NAME_BYTES];
    uint64_t added_ct, unchanged_ct;
};

static int merge_file(dms_store *store, const char *path, struct merged *merged)
{
    dms_fit_part *part;
    int code = dms_fit_part_load(path, &part);

    if (code < 0)
        return code;
    merged->path = path;
    snprintf(merged->fit, sizeof(merged->fit), "%s", dms_fit_part_header(part)->name);
    code = dms_store_merge_fit(store, part, &merged->added_ct);
    if (code == 0)
        merged->unchanged_ct = dms_fit_part_target_ct(part) - merged->added_ct;
    else
        code = dms_source_fail(code, "'%s': %s", path, dms_error_message());
    dms_fit_part_free(part);
    return code;
}

static void print_text(const struct merged *merged)
{
    printf("%s: fit %s: %" PRIu64 " target%s added", merged->path, merged->fit, merged->added_ct,
           tool_plural(merged->added_ct));
    if (merged->unchanged_ct > 0)
        printf(", %" PRIu64 " there already", merged->unchanged_ct);
    putchar('\n');
}

static void json_merged(struct json_writer *json, const struct merged *merged)
{
    json_object_open(json, NULL);
    json_text(json, "part", merged->path);
    json_text(json, "fit", merged->fit);
    json_u64(json, "added", merged->added_ct);
    json_u64(json, "unchanged", merged->unchanged_ct);
    json_object_close(json);
}

/* Tells of each file once its part is durable; the first failure ends it. */
static int merge_files(const char *store_path, char **paths, size_t path_ct,
                       struct json_writer *json)
{
    dms_store *store = NULL;
    int code = dms_store_open(store_path, &store);

    for (size_t i = 0; i < path_ct && code == 0; i++) {
        struct merged merged;

        code = merge_file(store, paths[i], &merged);
        if (code == 0 && json)
            json_merged(json, &merged);
        else if (code == 0)
            print_text(&merged);
    }
    dms_store_close(store);
    return code;
}

int command_merge_fits(int argc, char **argv)
{
    bool as_json = false;
    const struct tool_option options[] = {
        OPTION_FLAG("json", 0, &as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE PART ... [--json]",
        .description =
            "Takes parts of fits, which 'dmstore fit -o PART' wrote on other hosts, into\n"
            "STORE. Each part is added whole or not at all; what is there is passed over.\n",
        .positional_min = 2,
        .positional_max = SIZE_MAX,
        .options = options,
    };
    struct json_writer json;
    char **positionals;
    size_t positional_ct;
    int code, status = tool_options_parse(&usage, argc, argv, &positionals, &positional_ct);

    if (status != TOOL_CONTINUE)
        return status;
    if (as_json) {
        json_begin(&json, stdout);
        json_object_open(&json, NULL);
        json_array_open(&json, "parts");
    }
    code = merge_files(positionals[0], positionals + 1, positional_ct - 1, as_json ? &json : NULL);
    if (as_json) {
        json_array_close(&json);
        json_object_close(&json);
        json_end(&json);
    }
    status = code < 0 ? tool_fail_library(name) : TOOL_OK;
    return tool_finish_output(name, status);
}
