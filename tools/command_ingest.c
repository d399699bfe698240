/*
 * dmstore ingest: takes whole .npy files, or the files of a spool directory, into a store.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <dmstore/snapshot.h>
#include <dmstore/store.h>

#include "commands.h"
#include "npy_source.h"
#include "options.h"
#include "progress.h"
#include "write_report.h"

static const char name[] = "ingest";

/* What the command line says. */
struct request {
    const char *masks;
    bool packed_masks;
    struct tool_list outputs;
    struct tool_list scalars;
    const char *completed;
    const char *rows;
    uint64_t first_row, end_row; /* of `rows`; end UINT64_MAX: to the last */
    uint64_t first_id;
    bool first_id_given;
    const char *ids;
    int on_duplicate;
    const char *sampled;
    uint64_t thread_ct;
    const char *spool;
    bool keep_spool;
    bool as_json;
};

/* Parses "A:B", "A:", ":B" into rows A .. B - 1. */
static bool parse_rows(const char *text, uint64_t *first, uint64_t *end)
{
    const char *colon = strchr(text, ':');
    char begin[32];

    if (!colon || (size_t)(colon - text) >= sizeof(begin))
        return false;
    snprintf(begin, sizeof(begin), "%.*s", (int)(colon - text), text);
    *first = 0;
    *end = UINT64_MAX;
    return (!*begin || tool_parse_number(begin, 1000, first)) &&
           (!colon[1] || tool_parse_number(colon + 1, 1000, end)) && *first <= *end;
}

static int check_assignments(const char *option, const struct tool_list *list)
{
    size_t name_bytes;

    for (size_t i = 0; i < list->item_ct; i++) {
        if (!tool_split_assignment(list->items[i], &name_bytes))
            return tool_fail_usage(name, "--%s: '%s' is not NAME=FILE", option, list->items[i]);
    }
    return TOOL_CONTINUE;
}

static int check_request(struct request *request)
{
    struct dms_sampling ignored;
    bool has_files = request->masks || request->outputs.item_ct + request->scalars.item_ct > 0;

    request->end_row = UINT64_MAX;
    if (request->spool) {
        if (has_files || request->ids || request->rows || request->completed ||
            request->first_id_given || request->sampled)
            return tool_fail_usage(name, "--spool takes whole rows: it goes with --on-duplicate, "
                                         "--keep-spool and --json only");
        return TOOL_CONTINUE;
    }
    if (!has_files)
        return tool_fail_usage(name, "nothing to take in: give --masks FILE and --output NAME=FILE "
                                     "(or --spool DIR)");
    if (request->keep_spool)
        return tool_fail_usage(name, "--keep-spool goes with --spool");
    if (request->packed_masks && !request->masks)
        return tool_fail_usage(name, "--packed-masks goes with --masks");
    if (request->sampled && !request->masks)
        return tool_fail_usage(name, "--sampled goes with --masks");
    if (request->ids && request->first_id_given)
        return tool_fail_usage(name, "--ids and --first-id exclude each other");
    if (request->thread_ct > 1024)
        return tool_fail_usage(name, "--threads: at most 1024");
    if (request->rows && !parse_rows(request->rows, &request->first_row, &request->end_row))
        return tool_fail_usage(name, "--rows: '%s' is not A:B (rows A to B-1, A <= B)",
                               request->rows);
    /* What alpha means depends on the store; whether it is a number at all does not. */
    if (request->sampled && sampling_parse(request->sampled, 1, &ignored) < 0)
        return tool_fail_usage(name, "--sampled: %s", dms_error_message());
    if (check_assignments("output", &request->outputs) == TOOL_USAGE)
        return TOOL_USAGE;
    return check_assignments("scalar", &request->scalars);
}

static int open_columns(struct npy_source *source, enum dms_column_kind kind,
                        const struct tool_list *list)
{
    for (size_t i = 0; i < list->item_ct; i++) {
        size_t name_bytes;
        const char *path = tool_split_assignment(list->items[i], &name_bytes);
        int code;

        code = npy_source_open_column(source, kind, list->items[i], name_bytes, path);
        if (code < 0)
            return code;
    }
    return 0;
}

/* Opens everything that the request names, so that nothing is written when a file is wrong. */
static int open_source(struct npy_source *source, const struct request *request)
{
    int code = 0;

    if (request->masks)
        code = npy_source_open_masks(source, request->masks, request->packed_masks);
    if (code == 0)
        code = open_columns(source, DMS_COLUMN_OUTPUT, &request->outputs);
    if (code == 0)
        code = open_columns(source, DMS_COLUMN_SCALAR, &request->scalars);
    if (code == 0)
        code = npy_source_choose_rows(source, request->first_row, request->end_row,
                                      request->completed);
    if (code == 0)
        code = npy_source_set_ids(source, request->first_id, request->ids);
    return code;
}

static int ingest_files(dms_store *store, const struct request *request,
                        struct dms_write_result *result)
{
    struct npy_source source = {0};
    struct dms_row_source rows;
    struct dms_sampling sampling;
    struct progress progress;
    struct dms_write_options options = {
        .on_duplicate = (enum dms_on_duplicate)request->on_duplicate,
        .thread_ct = (unsigned)request->thread_ct,
        .progress = progress_update,
        .progress_context = &progress,
    };
    dms_snapshot *snapshot = NULL;
    int code = dms_store_snapshot(store, &snapshot);

    if (code < 0)
        return code;
    source.schema = dms_snapshot_schema(snapshot);
    code = open_source(&source, request);
    if (code < 0)
        goto out;
    rows = npy_source_rows(&source);
    if (request->sampled) {
        code = sampling_parse(request->sampled, source.schema->example_ct, &sampling);
        if (code < 0)
            goto out;
        rows.sampling = &sampling;
    }
    progress_begin(&progress, name, PROGRESS_ROWS);
    code = request->masks ? dms_store_write(store, &rows, &options, result)
                          : dms_store_fill(store, &rows, &options, result);
    progress_end(&progress);
out:
    npy_source_close(&source);
    dms_snapshot_close(snapshot);
    return code;
}

static int ingest(const char *path, const struct request *request)
{
    struct dms_write_result result = {0};
    double start = monotonic_seconds();
    dms_store *store = NULL;
    int code = dms_store_open(path, &store);

    if (code < 0)
        return tool_fail_library(name);
    if (request->spool)
        code =
            dms_spool_collect(store, request->spool, (enum dms_on_duplicate)request->on_duplicate,
                              request->keep_spool, &result);
    else
        code = ingest_files(store, request, &result);
    dms_store_close(store);
    if (code == DMS_ERR_INTERRUPTED)
        return tool_fail(name, "interrupted; what was committed stays, and the same command run "
                               "again goes on from there");
    if (code < 0)
        return tool_fail_library(name);
    write_result_print(&result, monotonic_seconds() - start, request->as_json);
    return tool_finish_output(name, TOOL_OK);
}

int command_ingest(int argc, char **argv)
{
    struct request request = {0};
    char **positionals;
    const struct tool_option options[] = {
        OPTION_TEXT("masks", 0, "FILE", &request.masks,
                    "training masks, bool or uint8 (models x examples); without it the other "
                    "columns are filled for models that are there"),
        OPTION_FLAG("packed-masks", 0, &request.packed_masks,
                    "the masks are packed, uint8 (models x examples/8), as numpy.packbits(..., "
                    "axis=1, bitorder='little') makes them"),
        OPTION_LIST("output", 0, "NAME=FILE", &request.outputs,
                    "values of an output column (models x its shape), float16 or float32; may be "
                    "repeated"),
        OPTION_LIST("scalar", 0, "NAME=FILE", &request.scalars,
                    "values of a scalar column (models), of any type in which none of them is "
                    "changed; may be repeated"),
        OPTION_TEXT("completed", 0, "FILE", &request.completed,
                    "one flag a row; only rows whose flag is not 0 are taken"),
        OPTION_TEXT("rows", 0, "A:B", &request.rows,
                    "only rows A to B-1 of the files; A: and :B are open"),
        OPTION_COUNT("first-id", 0, "ID", &request.first_id, &request.first_id_given,
                     "the id of row 0 of the files (default 0); row r has ID + r, whichever rows "
                     "are taken"),
        OPTION_TEXT("ids", 0, "FILE", &request.ids,
                    "the ids instead: integers, one for every row of the files"),
        OPTION_CHOICE("on-duplicate", 0, "error|keep|replace", &request.on_duplicate,
                      tool_on_duplicate_words,
                      "what to do with a model that is there with other bytes (default error)"),
        OPTION_TEXT("sampled", 0, "ALPHA:SEED", &request.sampled,
                    "the masks were drawn by 'dmstore sample' with this alpha and seed: store "
                    "that instead of the bits, after comparing them"),
        OPTION_COUNT("threads", 0, "N", &request.thread_ct, NULL,
                     "threads (default: one a processor)"),
        OPTION_TEXT("spool", 0, "DIR", &request.spool,
                    "collect the files that 'dmstore append --spool DIR' left, and remove them"),
        OPTION_FLAG("keep-spool", 0, &request.keep_spool, "do not remove them"),
        OPTION_FLAG("json", 0, &request.as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE [--masks FILE] [--output NAME=FILE ...] [options]",
        .description =
            "Takes rows out of .npy files (versions 1.0 to 3.0, C order) into the store.\n"
            "Float32 values are rounded to the nearest in a float16 column; one that is too\n"
            "large is an error. Rows that are there with the same bytes are passed over, so\n"
            "that an interrupted ingest is continued by the same command.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    int status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status == TOOL_CONTINUE)
        status = check_request(&request);
    if (status == TOOL_CONTINUE)
        status = ingest(positionals[0], &request);
    tool_list_free(&request.outputs);
    tool_list_free(&request.scalars);
    return status;
}
