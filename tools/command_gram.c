/*
 * dmstore gram: counts how many models have both examples of every pair, for the row sets of a fit,
 * multiplies masks with outputs, and keeps both in the store; lists them, removes them, writes the
 * counts as an array.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "choices.h"
#include "gram_report.h"
#include "json.h"
#include "npy_file.h"
#include "options.h"
#include "progress.h"
#include "report.h"
#include "write_report.h"

static const char name[] = "gram";

/* Rows of the matrix that are in memory at once while it is written: a tile of them. */
#define EXPORT_ROWS 128

struct request {
    const char *path;
    const char *fit_name, *array_path;
    struct dms_row_choice choice;
    struct dms_gram_options options;
    int device; /* a word of device_words */
    bool held_out_given, validation_given, rows_used_given, memory_given;
    bool products, list, remove, as_json;
};

/* ---- counting ---- */

/* Whether the array goes to standard output, where nothing may stand behind it. */
static bool is_printed(const struct request *request)
{
    return request->array_path && strcmp(request->array_path, "-") == 0;
}

static int write_array(const dms_gram *gram, const char *path)
{
    uint64_t example_ct = dms_gram_example_ct(gram), dimensions[2] = {example_ct, example_ct};
    uint32_t *counts = calloc(example_ct * EXPORT_ROWS, sizeof(*counts));
    struct npy_writer writer = {0};
    int code = counts ? npy_writer_create(&writer, path, 'u', sizeof(*counts), 2, dimensions)
                      : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for rows of counts");

    for (uint64_t row = 0; code == 0 && row < example_ct; row += EXPORT_ROWS) {
        uint64_t left = example_ct - row, row_ct = left < EXPORT_ROWS ? left : EXPORT_ROWS;

        code = dms_gram_rows(gram, row, row_ct, counts);
        if (code == 0)
            code = output_file_append(&writer.file, row_ct * writer.row_bytes, counts);
        if (code == 0 && interruption_came())
            code = dms_source_fail(DMS_ERR_INTERRUPTED, "interrupted");
    }
    if (code == 0)
        code = npy_writer_commit(&writer);
    npy_writer_abandon(&writer);
    free(counts);
    return code;
}

static int count_set(const struct request *request, dms_snapshot *snapshot, const char *role,
                     const struct dms_row_set *rows, struct counted *counted)
{
    struct dms_gram_options options = request->options;
    struct progress progress;
    dms_gram *gram = NULL;
    double start = monotonic_seconds();
    int code;

    *counted = (struct counted){.role = role};
    dms_row_set_digest_text(rows, counted->digest);
    /* An array can be written even where nothing can be kept. */
    options.keep = request->array_path ? DMS_GRAM_KEEP_IF_POSSIBLE : DMS_GRAM_KEEP;
    options.progress = progress_update;
    options.progress_context = &progress;
    progress_begin(&progress, name, PROGRESS_ROWS);
    code = dms_gram_open(snapshot, rows, &options, &gram, &counted->result);
    progress_end(&progress);
    counted->seconds = monotonic_seconds() - start;
    if (code == 0) {
        counted->example_ct = dms_gram_example_ct(gram);
        if (request->array_path && rows->row_ct > 0)
            code = write_array(gram, request->array_path);
    }
    dms_gram_close(gram);
    return code;
}

static int multiply_set(const struct request *request, dms_snapshot *snapshot, const char *output,
                        const char *role, const struct dms_row_set *rows,
                        struct multiplied *multiplied)
{
    struct dms_gram_options options = request->options;
    struct progress progress;
    dms_products *products = NULL;
    double start = monotonic_seconds();
    int code;

    *multiplied = (struct multiplied){.role = role};
    dms_row_set_digest_text(rows, multiplied->digest);
    options.progress = progress_update;
    options.progress_context = &progress;
    progress_begin(&progress, name, PROGRESS_ROWS);
    code = dms_products_open(snapshot, rows, output, &options, &products, &multiplied->result);
    progress_end(&progress);
    multiplied->seconds = monotonic_seconds() - start;
    dms_products_close(products);
    return code;
}

/* The row sets of a fit that is there, or those that the options choose, and the output that
 * products are of. *fit owns those of the former. */
static int choose_rows(const struct request *request, dms_snapshot *snapshot, dms_fit **fit,
                       struct dms_row_sets *chosen, struct dms_row_sets *sets, const char **output)
{
    int code;

    *output = request->choice.output;
    if (request->fit_name) {
        const struct dms_fit_header *header;

        code = dms_fit_open(snapshot, request->fit_name, fit);
        if (code < 0)
            return code;
        header = dms_fit_get_header(*fit);
        *sets = (struct dms_row_sets){header->training, header->validation, header->held_out};
        *output = header->output;
        return 0;
    }
    code = dms_row_sets_choose(snapshot, &request->choice, chosen);
    *sets = *chosen;
    return code;
}

static int work_role(const struct request *request, dms_snapshot *snapshot, const char *role,
                     const struct dms_row_set *rows, struct gram_outcome *outcome)
{
    int code = count_set(request, snapshot, role, rows, &outcome->counted[outcome->role_ct]);

    if (code == 0 && outcome->output)
        code = multiply_set(request, snapshot, outcome->output, role, rows,
                            &outcome->multiplied[outcome->role_ct]);
    outcome->role_ct++;
    return code;
}

/* Training and validation models, as a fit needs them; with an array, those that train alone. */
static int work_roles(const struct request *request, dms_snapshot *snapshot)
{
    struct dms_row_sets chosen = {0}, sets;
    struct gram_outcome outcome = {.device = (enum dms_device)request->device};
    dms_fit *fit = NULL;
    const char *output;
    int code = choose_rows(request, snapshot, &fit, &chosen, &sets, &output);

    if (request->products)
        outcome.output = output;
    if (code == 0)
        code = work_role(request, snapshot, "training", &sets.training, &outcome);
    if (code == 0 && !request->array_path && sets.validation.row_ct > 0)
        code = work_role(request, snapshot, "validation", &sets.validation, &outcome);
    if (code == 0 && !is_printed(request))
        (request->as_json ? gram_report_json : gram_report_print)(&outcome);
    dms_row_sets_free(&chosen);
    dms_fit_close(fit);
    return code;
}

static int work(const struct request *request)
{
    dms_snapshot *snapshot = NULL;
    int code = dms_snapshot_open(request->path, &snapshot);

    if (code == 0)
        code = work_roles(request, snapshot);
    dms_snapshot_close(snapshot);
    return code;
}

/* ---- files ---- */

static int remove_files(const struct request *request)
{
    uint64_t removed_bytes;
    char bytes[TOOL_HUMAN_BYTES];
    struct json_writer json;
    int code = dms_gram_remove(request->path, NULL, &removed_bytes);

    if (code < 0)
        return code;
    if (!request->as_json) {
        printf("%s removed\n", tool_human_bytes(removed_bytes, bytes));
        return 0;
    }
    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_u64(&json, "removed_bytes", removed_bytes);
    json_object_close(&json);
    json_end(&json);
    return 0;
}

/* For both the path must be that of a store or a manifest. */
static int keep_house(const struct request *request)
{
    dms_snapshot *snapshot = NULL;
    int code = dms_snapshot_open(request->path, &snapshot);

    if (code == 0)
        code = request->list ? gram_report_files(request->path, dms_snapshot_schema(snapshot),
                                                 request->as_json)
                             : remove_files(request);
    dms_snapshot_close(snapshot);
    return code;
}

/* ---- the command line ---- */

static int check(struct request *request)
{
    bool chooses = request->choice.output || request->held_out_given || request->validation_given ||
                   request->rows_used_given;

    if (request->list && request->remove)
        return tool_fail_usage(name, "--list and --remove are two things: give one");
    if ((request->list || request->remove) &&
        (chooses || request->fit_name || request->array_path || request->memory_given ||
         request->products || request->device != DMS_DEVICE_CPU))
        return tool_fail_usage(name, "--list and --remove are about all files, and count nothing");
    if (request->fit_name && chooses)
        return tool_fail_usage(name, "--fit has its models already: leave --output, --holdout, "
                                     "--validation and --rows-used out");
    if (request->as_json && is_printed(request))
        return tool_fail_usage(name, "--json and -o - cannot both be printed");
    if (request->products && !request->fit_name && !request->choice.output)
        return tool_fail_usage(name, "--products: of which output? Give --output or --fit");
    if (request->rows_used_given && request->choice.rows_used == 0)
        return tool_fail_usage(name, "--rows-used: 0 models cannot train");
    if (request->choice.thread_ct > UINT16_MAX)
        return tool_fail_usage(name, "--threads is too large");
    request->options.thread_ct = request->choice.thread_ct;
    request->options.device = (enum dms_device)request->device;
    return TOOL_CONTINUE;
}

int command_gram(int argc, char **argv)
{
    struct request request = {.device = DMS_DEVICE_CPU};
    struct dms_row_choice *choice = &request.choice;
    const struct tool_option options[] = {
        OPTION_TEXT("output", 0, "COLUMN", &choice->output,
                    "of the models that have a value in this output (default: of all)"),
        OPTION_COUNT("holdout", 0, "H", &choice->held_out_ct, &request.held_out_given,
                     "do not count the H largest model ids (default 0)"),
        OPTION_COUNT("validation", 0, "V", &choice->validation_ct, &request.validation_given,
                     "count the V largest ids before those apart (default a tenth)"),
        OPTION_COUNT("rows-used", 0, "M", &choice->rows_used, &request.rows_used_given,
                     "count the first M training ids only"),
        OPTION_TEXT("fit", 0, "FIT", &request.fit_name,
                    "count the models of a fit that is there instead"),
        OPTION_FLAG("products", 0, &request.products,
                    "also multiply masks with the output (of --output or --fit), for fits"),
        OPTION_TEXT("array", 'o', "FILE", &request.array_path,
                    "write the counts of the training models to FILE, an .npy of d x d uint32"),
        OPTION_THREADS(&choice->thread_ct, "threads to use (default: one a processor)"),
        OPTION_CHOICE("device", 0, "auto|cpu|cuda", &request.device, device_words,
                      "what counts (default cpu; on a card it has never run)"),
        OPTION_BYTES("memory", 0, "BYTES", &request.options.memory_bytes, &request.memory_given,
                     "memory to use; with less, masks are read several times (default 4G)"),
        OPTION_FLAG("list", 0, &request.list, "list the counts and products that the store has"),
        OPTION_FLAG("remove", 0, &request.remove,
                    "remove all counts and products that the store has"),
        OPTION_FLAG("json", 0, &request.as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE [options]",
        .description =
            "Counts how many models have both training examples of every pair, for the\n"
            "training and the validation models of a fit, and keeps the counts in STORE,\n"
            "where fits of any number of processes share them. With --products the sums of\n"
            "masks times outputs are kept, too.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    char **positionals;
    int code, status;

    dms_row_choice_init(choice);
    dms_gram_options_init(&request.options);
    status = tool_options_parse(&usage, argc, argv, &positionals, NULL);
    if (status == TOOL_CONTINUE)
        status = check(&request);
    if (status != TOOL_CONTINUE)
        return status;
    request.path = positionals[0];
    code = request.list || request.remove ? keep_house(&request) : work(&request);
    return tool_finish_output(name, code < 0 ? tool_fail_library(name) : TOOL_OK);
}
