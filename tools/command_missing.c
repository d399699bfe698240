/*
 * dmstore missing: prints which ids of a range have no model, in the form that a SLURM array takes.
 */
#include "commands.h"

#include <stdio.h>
#include <stdlib.h>

#include <dmstore.h>

#include "id_ranges.h"
#include "json.h"
#include "options.h"
#include "report.h"

static const char name[] = "missing";

/* Adds the ids in first_id .. first_id + count - 1 that no run of live ids covers. */
static int find_missing(dms_snapshot *snapshot, uint64_t first_id, uint64_t count,
                        struct id_ranges *missing)
{
    const struct dms_id_run *runs;
    size_t run_ct;
    uint64_t next = first_id, last = first_id + (count - 1);
    int code;

    if (count == 0)
        return 0;
    code = dms_snapshot_id_runs(snapshot, &runs, &run_ct);
    if (code < 0)
        return code;
    for (size_t i = 0; i < run_ct && runs[i].first_id <= last; i++) {
        uint64_t run_last = runs[i].first_id + (runs[i].id_ct - 1);

        if (run_last < next)
            continue;
        if (runs[i].first_id > next) {
            code = id_ranges_append(missing, next, runs[i].first_id - 1);
            if (code < 0)
                return code;
        }
        if (run_last >= last)
            return 0;
        next = run_last + 1;
    }
    return id_ranges_append(missing, next, last);
}

static int print_json(const struct id_ranges *missing, uint64_t first_id, uint64_t count)
{
    struct json_writer json;
    char *text = id_ranges_text(missing);

    if (!text)
        return DMS_ERR_NO_MEMORY;
    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_u64(&json, "first_id", first_id);
    json_u64(&json, "count", count);
    json_u64(&json, "missing_count", id_ranges_count(missing));
    json_text(&json, "missing", text);
    json_object_close(&json);
    json_end(&json);
    free(text);
    return 0;
}

int command_missing(int argc, char **argv)
{
    uint64_t count = 0, first_id = 0;
    bool count_given = false, as_json = false;
    const struct tool_option options[] = {
        OPTION_COUNT("count", 0, "M", &count, &count_given, "how many ids to look for"),
        OPTION_COUNT("first-id", 0, "ID", &first_id, NULL, "the first of them (default 0)"),
        OPTION_FLAG("json", 0, &as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE --count M [--first-id ID] [--json]",
        .description = "Prints which of the M model ids from ID on are not in STORE (a store or a\n"
                       "manifest), as ranges on one line, such as 0-4,7,9-12; nothing if all are\n"
                       "there.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    struct id_ranges missing = {0};
    dms_snapshot *snapshot = NULL;
    char **positionals;
    int code, status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status != TOOL_CONTINUE)
        return status;
    if (!count_given)
        return tool_fail_usage(name, "--count is missing: how many ids to look for");
    if (count > 0 && first_id > UINT64_MAX - (count - 1))
        return tool_fail_usage(name, "--first-id and --count go beyond the largest id, %llu",
                               (unsigned long long)UINT64_MAX);
    code = dms_snapshot_open(positionals[0], &snapshot);
    if (code < 0)
        goto out;
    code = find_missing(snapshot, first_id, count, &missing);
    if (code < 0)
        goto out;
    if (as_json) {
        code = print_json(&missing, first_id, count);
    } else if (missing.item_ct > 0) {
        id_ranges_print(&missing, stdout);
        putchar('\n');
    }
out:
    dms_snapshot_close(snapshot);
    id_ranges_free(&missing);
    return tool_finish_output(name, code < 0 ? tool_fail_library(name) : TOOL_OK);
}
