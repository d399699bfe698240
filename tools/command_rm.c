/*
 * dmstore rm: removes models, named by a list of ids and ranges or by a .npy file.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "id_ranges.h"
#include "json.h"
#include "npy_file.h"
#include "options.h"
#include "report.h"

static const char name[] = "rm";

/* Adds the ids of a .npy file. */
static int read_ids_file(const char *path, struct id_ranges *ranges)
{
    struct npy_file file = {0};
    uint64_t *ids = NULL;
    int code = npy_file_open_integers(&file, path, "model id");

    if (code < 0)
        return code;
    ids = calloc(file.row_ct + 1, sizeof(*ids));
    if (!ids)
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %" PRIu64 " ids", file.row_ct);
    if (code == 0)
        code = npy_file_read_integers(&file, "model id", 0, file.row_ct, ids);
    if (code == 0)
        code = id_ranges_add_ids(ranges, ids, file.row_ct);
    free(ids);
    npy_file_close(&file);
    return code;
}

/* A list consists of digits, commas and dashes; everything else is the name of a file. */
static int read_ids(const char *text, struct id_ranges *ranges)
{
    bool is_list = text[strspn(text, "0123456789,-")] == '\0';
    int code = is_list ? id_ranges_parse(text, ranges) : read_ids_file(text, ranges);

    if (code == DMS_ERR_INVALID && is_list)
        return tool_fail_usage(name, "--ids: %s", dms_error_message());
    return code < 0 ? tool_fail_library(name) : TOOL_CONTINUE;
}

/* Sets *there to the part of `wanted` that is in the snapshot. */
static int intersect(dms_snapshot *snapshot, const struct id_ranges *wanted,
                     struct id_ranges *there)
{
    const struct dms_id_run *runs;
    size_t run_ct, run = 0, range = 0;
    int code = dms_snapshot_id_runs(snapshot, &runs, &run_ct);

    while (code == 0 && run < run_ct && range < wanted->item_ct) {
        uint64_t run_last = runs[run].first_id + (runs[run].id_ct - 1);
        uint64_t range_last = wanted->items[range].last;
        uint64_t first = wanted->items[range].first;
        uint64_t last = run_last < range_last ? run_last : range_last;

        if (runs[run].first_id > first)
            first = runs[run].first_id;
        if (first <= last)
            code = id_ranges_append(there, first, last);
        if (run_last <= range_last)
            run++;
        else
            range++;
    }
    return code;
}

/* The first id of `wanted` that is not in `there`, which is a part of it. */
static uint64_t first_absent(const struct id_ranges *wanted, const struct id_ranges *there)
{
    for (size_t i = 0;; i++) {
        if (i >= there->item_ct || there->items[i].first != wanted->items[i].first)
            return wanted->items[i].first;
        if (there->items[i].last != wanted->items[i].last)
            return there->items[i].last + 1;
    }
}

static int remove_ranges(dms_store *store, const struct id_ranges *ranges, bool ignore_missing,
                         uint64_t *removed_ct)
{
    uint64_t id_ct = id_ranges_count(ranges);
    uint64_t *ids = calloc(id_ct + 1, sizeof(*ids));
    size_t next = 0;
    int code;

    if (!ids)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %" PRIu64 " ids", id_ct);
    for (size_t i = 0; i < ranges->item_ct; i++) {
        for (uint64_t id = ranges->items[i].first;; id++) {
            ids[next++] = id;
            if (id == ranges->items[i].last)
                break;
        }
    }
    code = dms_store_remove(store, ids, next, ignore_missing, removed_ct);
    free(ids);
    return code;
}

/* Looks first which of the ids are there, so that a range far larger than the store costs nothing
 * and the message can say how many are not. */
static int remove_models(const char *path, const struct id_ranges *wanted, bool ignore_missing,
                         uint64_t *removed_ct)
{
    struct id_ranges there = {0};
    dms_snapshot *snapshot = NULL;
    dms_store *store = NULL;
    uint64_t absent_ct;
    int code = dms_store_open(path, &store);

    if (code == 0)
        code = dms_store_snapshot(store, &snapshot);
    if (code == 0)
        code = intersect(snapshot, wanted, &there);
    if (code < 0)
        goto out;
    absent_ct = id_ranges_count(wanted) - id_ranges_count(&there);
    if (absent_ct > 0 && !ignore_missing) {
        code = dms_source_fail(DMS_ERR_NOT_FOUND,
                               "%" PRIu64 " of these models are not in '%s', the first is %" PRIu64
                               "; nothing was removed (--ignore-missing passes over them)",
                               absent_ct, path, first_absent(wanted, &there));
        goto out;
    }
    code = remove_ranges(store, &there, ignore_missing, removed_ct);
out:
    dms_snapshot_close(snapshot);
    dms_store_close(store);
    id_ranges_free(&there);
    return code;
}

static void print_result(uint64_t removed_ct, uint64_t absent_ct, bool as_json)
{
    struct json_writer json;

    if (!as_json) {
        printf("%" PRIu64 " model%s removed", removed_ct, tool_plural(removed_ct));
        if (absent_ct > 0)
            printf(", %" PRIu64 " not there", absent_ct);
        putchar('\n');
        return;
    }
    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_u64(&json, "removed", removed_ct);
    json_u64(&json, "not_there", absent_ct);
    json_object_close(&json);
    json_end(&json);
}

int command_rm(int argc, char **argv)
{
    const char *ids = NULL;
    bool ignore_missing = false, as_json = false;
    const struct tool_option options[] = {
        OPTION_TEXT("ids", 0, "LIST", &ids,
                    "ids and ranges of ids such as 3,5,10-20, or the name of a .npy file of ids"),
        OPTION_FLAG("ignore-missing", 0, &ignore_missing,
                    "pass over ids that are not there instead of removing nothing"),
        OPTION_FLAG("json", 0, &as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE --ids LIST [--ignore-missing] [--json]",
        .description = "Removes models, all of those named or none. Their space comes back with\n"
                       "'dmstore compact'.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    struct id_ranges wanted = {0};
    uint64_t removed_ct = 0;
    char **positionals;
    int status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status != TOOL_CONTINUE)
        return status;
    if (!ids)
        return tool_fail_usage(name, "--ids is missing: which models to remove");
    status = read_ids(ids, &wanted);
    if (status != TOOL_CONTINUE)
        goto out;
    if (remove_models(positionals[0], &wanted, ignore_missing, &removed_ct) < 0) {
        status = tool_fail_library(name);
        goto out;
    }
    print_result(removed_ct, id_ranges_count(&wanted) - removed_ct, as_json);
    status = tool_finish_output(name, TOOL_OK);
out:
    id_ranges_free(&wanted);
    return status;
}
