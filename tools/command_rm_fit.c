/*
 * dmstore rm-fit: removes a fit from a store.
 */
#include "commands.h"

#include <stdio.h>

#include <dmstore.h>

#include "options.h"
#include "report.h"

static const char name[] = "rm-fit";

int command_rm_fit(int argc, char **argv)
{
    const struct tool_option options[] = {OPTION_END};
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE FIT",
        .description = "Removes the fit FIT with all its targets. Its space comes back with\n"
                       "'dmstore compact'.\n",
        .positional_min = 2,
        .positional_max = 2,
        .options = options,
    };
    dms_store *store = NULL;
    char **positionals;
    int code, status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status != TOOL_CONTINUE)
        return status;
    code = dms_store_open(positionals[0], &store);
    if (code == 0)
        code = dms_store_remove_fit(store, positionals[1]);
    dms_store_close(store);
    if (code < 0)
        return tool_fail_library(name);
    printf("fit %s removed\n", positionals[1]);
    return tool_finish_output(name, TOOL_OK);
}
