/*
 * dmstore add-column: adds output and scalar columns to a store that may already hold models.
 */
#include <dmstore/schema.h>
#include <dmstore/store.h>

#include "commands.h"
#include "options.h"

static const char name[] = "add-column";

/* Parses every column of one list, or adds it when `store` is not NULL. Both are done for all
 * columns in turn, so that a misspelt one changes nothing. */
static int add_columns(dms_store *store, const struct tool_list *list, const char *option,
                       int (*parse)(const char *text, struct dms_column *column))
{
    for (size_t i = 0; i < list->item_ct; i++) {
        struct dms_column column = {0};

        if (parse(list->items[i], &column) < 0)
            return tool_fail_usage(name, "--%s: %s", option, dms_error_message());
        if (store && dms_store_add_column(store, &column) < 0)
            return tool_fail_library(name);
    }
    return TOOL_CONTINUE;
}

int command_add_column(int argc, char **argv)
{
    struct tool_list outputs = {0}, scalars = {0};
    dms_store *store = NULL;
    char **positionals;
    const struct tool_option options[] = {
        OPTION_LIST("output", 0, "NAME:SHAPE[:DTYPE]", &outputs,
                    "an output column, e.g. train_margins:50000:f16; f16 (default), f32, u8 or "
                    "bool; may be repeated"),
        OPTION_LIST("scalar", 0, "NAME:DTYPE", &scalars,
                    "a column of one value a model: bool, u8, f16, f32, f64, i32, u32, i64, u64, "
                    "or sN for text of up to N bytes; may be repeated"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE --output NAME:SHAPE[:DTYPE] | --scalar NAME:DTYPE ...",
        .description = "Adds columns. Models that are in the store have no value in them until\n"
                       "'dmstore ingest STORE --output NAME=file.npy --ids ids.npy' fills it in.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    int status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status != TOOL_CONTINUE)
        goto out;
    if (outputs.item_ct + scalars.item_ct == 0) {
        status = tool_fail_usage(name, "name a column with --output or --scalar");
        goto out;
    }
    status = add_columns(NULL, &outputs, "output", dms_output_parse);
    if (status == TOOL_CONTINUE)
        status = add_columns(NULL, &scalars, "scalar", dms_scalar_parse);
    if (status != TOOL_CONTINUE)
        goto out;
    if (dms_store_open(positionals[0], &store) < 0) {
        status = tool_fail_library(name);
        goto out;
    }
    status = add_columns(store, &outputs, "output", dms_output_parse);
    if (status == TOOL_CONTINUE)
        status = add_columns(store, &scalars, "scalar", dms_scalar_parse);
    if (status == TOOL_CONTINUE)
        status = TOOL_OK;
out:
    dms_store_close(store);
    tool_list_free(&outputs);
    tool_list_free(&scalars);
    return status;
}
