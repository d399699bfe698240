/*
 * dmstore gram: counts how many models have both examples of every pair, for the row sets of a fit,
 * multiplies masks with outputs, and keeps both in the store; lists them, removes them, writes the
 * counts as an array.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <dmstore.h>

#include "choices.h"
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

/* What was done for a row set. */
struct counted {
    const char *role;
    char digest[DMS_DIGEST_TEXT_BYTES];
    uint64_t example_ct;
    struct dms_gram_result result;
    double seconds;
};

/* What was multiplied for a row set. */
struct multiplied {
    const char *role;
    char digest[DMS_DIGEST_TEXT_BYTES];
    struct dms_products_result result;
    double seconds;
};

/* Training and validation models, as far as they were in work. */
struct outcome {
    struct counted counted[2];
    struct multiplied multiplied[2];
    size_t role_ct;
};

static const char *const origin_words[] = {"found", "counted", "added"};

/* ---- reports ---- */

/* Pairs of bits that were looked at in a second. */
static double speed(const struct counted *counted)
{
    double example_ct = (double)counted->example_ct;

    return (double)counted->result.counted_ct * example_ct * (example_ct + 1) / 2 /
           (counted->seconds > 0 ? counted->seconds : 1e-9);
}

/* " on cuda: NVIDIA H100 (there is a CUDA device)", and why only where that was left open: nothing
 * when the processor was to count. */
static void print_placement(const struct request *request, const struct dms_gram_result *result)
{
    if (request->device == DMS_DEVICE_CPU)
        return;
    printf(" on %s", device_words[result->placement.device]);
    if (result->device_name[0])
        printf(": %s", result->device_name);
    if (request->device == DMS_DEVICE_AUTO)
        printf(" (%s)", result->placement.reason);
}

static void print_counted(const struct request *request, const struct counted *counted)
{
    const struct dms_gram_result *result = &counted->result;
    char bytes[TOOL_HUMAN_BYTES];

    printf("%s: %" PRIu64 " model%s, %s, %s: ", counted->role, result->row_ct,
           tool_plural(result->row_ct), counted->digest,
           result->file_bytes > 0 ? tool_human_bytes(result->file_bytes, bytes) : "not kept");
    if (result->origin == DMS_GRAM_FOUND) {
        puts("was there");
        return;
    }
    if (result->origin == DMS_GRAM_ADDED)
        printf("%" PRIu64 " added", result->counted_ct);
    else
        printf("counted");
    print_placement(request, result);
    printf(" in %.3g s, %.3g pairs of bits a second", counted->seconds, speed(counted));
    if (result->pass_ct > 1)
        printf(", %" PRIu64 " passes", result->pass_ct);
    putchar('\n');
}

static void json_counted(struct json_writer *json, const struct counted *counted)
{
    const struct dms_gram_result *result = &counted->result;

    json_object_open(json, NULL);
    json_text(json, "role", counted->role);
    json_text(json, "digest", counted->digest);
    json_u64(json, "models", result->row_ct);
    json_text(json, "origin", origin_words[result->origin]);
    json_u64(json, "counted", result->counted_ct);
    json_u64(json, "passes", result->pass_ct);
    json_text(json, "device",
              result->origin == DMS_GRAM_FOUND ? NULL : device_words[result->placement.device]);
    json_text(json, "device_name", result->device_name[0] ? result->device_name : NULL);
    json_u64(json, "bytes", result->file_bytes);
    json_double(json, "seconds", counted->seconds);
    json_double(json, "bit_pairs_per_second", speed(counted));
    json_object_close(json);
}

/* "training, products with margin: 3,138 of 3,138 targets, 335.1 MB: made in 12.3 s" */
static void print_multiplied(const char *output, const struct multiplied *multiplied)
{
    const struct dms_products_result *result = &multiplied->result;
    char bytes[TOOL_HUMAN_BYTES];

    printf("%s, products with %s: %" PRIu64 " of %" PRIu64 " target%s, %s: ", multiplied->role,
           output, result->kept_ct, result->target_ct, tool_plural(result->target_ct),
           tool_human_bytes(result->file_bytes, bytes));
    if (result->origin == DMS_GRAM_FOUND) {
        puts("were there");
        return;
    }
    if (result->origin == DMS_GRAM_ADDED)
        printf("those of %" PRIu64 " models added", result->counted_ct);
    else
        printf("made");
    printf(" in %.3g s", multiplied->seconds);
    if (result->pass_ct > 1)
        printf(", %" PRIu64 " passes", result->pass_ct);
    putchar('\n');
}

static void json_multiplied(struct json_writer *json, const char *output,
                            const struct multiplied *multiplied)
{
    const struct dms_products_result *result = &multiplied->result;

    json_object_open(json, NULL);
    json_text(json, "role", multiplied->role);
    json_text(json, "digest", multiplied->digest);
    json_text(json, "output", output);
    json_u64(json, "models", result->row_ct);
    json_text(json, "origin", origin_words[result->origin]);
    json_u64(json, "counted", result->counted_ct);
    json_u64(json, "passes", result->pass_ct);
    json_u64(json, "targets", result->target_ct);
    json_u64(json, "kept_targets", result->kept_ct);
    json_u64(json, "bytes", result->file_bytes);
    json_double(json, "seconds", multiplied->seconds);
    json_object_close(json);
}

/* ---- counting ---- */

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

static int work_role(const struct request *request, dms_snapshot *snapshot, const char *output,
                     const char *role, const struct dms_row_set *rows, struct outcome *outcome)
{
    int code = count_set(request, snapshot, role, rows, &outcome->counted[outcome->role_ct]);

    if (code == 0 && request->products)
        code = multiply_set(request, snapshot, output, role, rows,
                            &outcome->multiplied[outcome->role_ct]);
    outcome->role_ct++;
    return code;
}

static void print_outcome(const struct request *request, const char *output,
                          const struct outcome *outcome)
{
    struct json_writer json;

    for (size_t i = 0; !request->as_json && i < outcome->role_ct; i++) {
        print_counted(request, &outcome->counted[i]);
        if (request->products)
            print_multiplied(output, &outcome->multiplied[i]);
    }
    if (!request->as_json)
        return;
    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_u64(&json, "examples", outcome->counted[0].example_ct);
    json_array_open(&json, "counts");
    for (size_t i = 0; i < outcome->role_ct; i++)
        json_counted(&json, &outcome->counted[i]);
    json_array_close(&json);
    json_array_open(&json, "products");
    for (size_t i = 0; request->products && i < outcome->role_ct; i++)
        json_multiplied(&json, output, &outcome->multiplied[i]);
    json_array_close(&json);
    json_object_close(&json);
    json_end(&json);
}

/* Training and validation models, as a fit needs them; with an array, those that train alone. */
static int work_roles(const struct request *request, dms_snapshot *snapshot)
{
    struct dms_row_sets chosen = {0}, sets;
    struct outcome outcome = {.role_ct = 0};
    dms_fit *fit = NULL;
    const char *output;
    int code = choose_rows(request, snapshot, &fit, &chosen, &sets, &output);

    if (code == 0)
        code = work_role(request, snapshot, output, "training", &sets.training, &outcome);
    if (code == 0 && !request->array_path && sets.validation.row_ct > 0)
        code = work_role(request, snapshot, output, "validation", &sets.validation, &outcome);
    if (code == 0)
        print_outcome(request, output, &outcome);
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

/* The name of a column in *schema; its number when it is no longer there. */
static const char *column_name(const struct dms_schema *schema, uint32_t id, char text[32])
{
    for (uint32_t i = 0; i < schema->column_ct; i++)
        if (schema->columns[i].id == id)
            return schema->columns[i].name;
    snprintf(text, 32, "removed column %" PRIu32, id);
    return text;
}

struct listing {
    const struct dms_schema *schema;
    struct json_writer *json; /* NULL: text */
};

static int print_file(void *context, const struct dms_gram_file *file)
{
    const struct listing *listing = context;
    char bytes[TOOL_HUMAN_BYTES], column[32];

    printf("%s  ", file->digest);
    if (file->kind == DMS_GRAM_PRODUCTS)
        printf("products with %s  ", column_name(listing->schema, file->column_id, column));
    if (file->damage) {
        printf("DAMAGED: %s\n", file->damage);
        return 0;
    }
    printf("%" PRIu64 " model%s, ids %" PRIu64 " to %" PRIu64 ", of commit %" PRIu64 ", %s\n",
           file->row_ct, tool_plural(file->row_ct), file->first_id, file->last_id, file->sequence,
           tool_human_bytes(file->bytes, bytes));
    return 0;
}

static int json_file(void *context, const struct dms_gram_file *file)
{
    const struct listing *listing = context;
    struct json_writer *json = listing->json;
    bool is_products = file->kind == DMS_GRAM_PRODUCTS;
    char column[32];

    json_object_open(json, NULL);
    json_text(json, "kind", is_products ? "products" : "pairs");
    json_text(json, "digest", file->digest);
    json_text(json, "output",
              is_products ? column_name(listing->schema, file->column_id, column) : NULL);
    json_text(json, "path", file->path);
    json_text(json, "damage", file->damage);
    json_u64(json, "examples", file->example_ct);
    json_u64(json, "models", file->row_ct);
    json_u64(json, "first_id", file->first_id);
    json_u64(json, "last_id", file->last_id);
    json_u64(json, "sequence", file->sequence);
    json_u64(json, "bytes", file->bytes);
    json_object_close(json);
    return 0;
}

static int list_files(const struct request *request, const struct dms_schema *schema)
{
    struct json_writer json;
    struct listing listing = {schema, request->as_json ? &json : NULL};
    int code;

    if (!request->as_json)
        return dms_gram_files(request->path, false, print_file, &listing);
    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_array_open(&json, "files");
    code = dms_gram_files(request->path, false, json_file, &listing);
    json_array_close(&json);
    json_object_close(&json);
    json_end(&json);
    return code;
}

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
        code = request->list ? list_files(request, dms_snapshot_schema(snapshot))
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
            "where fits of any number of processes share them.\n",
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
