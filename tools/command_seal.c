/*
 * dmstore seal: turns the staged rows of a store into chunks now.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>

#include <dmstore.h>

#include "json.h"
#include "options.h"
#include "report.h"

static const char name[] = "seal";

static void print_result(uint64_t row_ct, bool as_json)
{
    struct json_writer json;

    if (!as_json) {
        printf("%" PRIu64 " row%s sealed\n", row_ct, tool_plural(row_ct));
        return;
    }
    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_u64(&json, "sealed", row_ct);
    json_object_close(&json);
    json_end(&json);
}

int command_seal(int argc, char **argv)
{
    bool as_json = false;
    const struct tool_option options[] = {
        OPTION_FLAG("json", 0, &as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE [--json]",
        .description =
            "Turns the rows that 'dmstore append' has staged into chunks, without waiting\n"
            "for a full group.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    dms_store *store = NULL;
    uint64_t row_ct = 0;
    char **positionals;
    int code, status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status != TOOL_CONTINUE)
        return status;
    code = dms_store_open(positionals[0], &store);
    if (code == 0)
        code = dms_store_seal(store, &row_ct);
    if (code < 0)
        status = tool_fail_library(name);
    else
        print_result(row_ct, as_json);
    dms_store_close(store);
    return tool_finish_output(name, code < 0 ? status : TOOL_OK);
}
