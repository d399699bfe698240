/*
 * dmstore get: reads one model: its mask, one of its outputs or scalars, or a summary of all.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "json.h"
#include "model_summary.h"
#include "model_values.h"
#include "options.h"
#include "output_file.h"
#include "report.h"
#include "values.h"

static const char name[] = "get";

enum format { FORMAT_TEXT, FORMAT_NPY, FORMAT_RAW };
static const char *const format_words[] = {"text", "npy", "raw", NULL};

/* What the command line asks for. */
struct request {
    uint64_t id;
    bool id_given;
    bool mask;
    const char *output, *scalar;
    const char *targets; /* "A:B", or NULL */
    int format;
    bool as_json;
    const char *path; /* where it goes; NULL: standard output */
};

/* ---- writing ---- */

/* A line with a number. A mask has tens of thousands: printf would take most of the time. */
static void write_index(uint64_t index, FILE *file)
{
    char text[21];
    size_t at = sizeof(text);

    text[--at] = '\n';
    do {
        text[--at] = (char)('0' + index % 10);
        index /= 10;
    } while (index > 0);
    fwrite_unlocked(text + at, 1, sizeof(text) - at, file);
}

static void write_text(const struct model_values *values, FILE *file)
{
    const struct dms_column *column = values->column;
    const uint8_t *mask = values->values;

    if (column->kind == DMS_COLUMN_MASK) {
        for (uint64_t k = 0; k < column->target_ct; k++) {
            if (mask[k >> 3] >> (k & 7) & 1)
                write_index(k, file);
        }
        return;
    }
    for (uint64_t target = 0; target < values->target_ct; target++) {
        for (uint64_t i = 0; i < column->values_per_target; i++) {
            if (i > 0)
                fputc(' ', file);
            value_print(column, values->values, target * column->values_per_target + i, file);
        }
        fputc('\n', file);
    }
}

/* Indices of the examples in a mask. */
static void json_mask(struct json_writer *json, const uint8_t *mask, uint64_t example_ct)
{
    json_array_open(json, "mask");
    for (uint64_t k = 0; k < example_ct; k++) {
        if (mask[k >> 3] >> (k & 7) & 1)
            json_u64(json, NULL, k);
    }
    json_array_close(json);
}

/* The object that `dmstore append --format jsonl` takes, less the columns not asked for; outputs
 * are flat lists in C order. */
static void write_json(uint64_t id, const struct model_values *values, FILE *file)
{
    const struct dms_column *column = values->column;
    struct json_writer json;

    json_begin(&json, file);
    json_object_open(&json, NULL);
    json_u64(&json, "id", id);
    if (column->kind == DMS_COLUMN_MASK) {
        json_mask(&json, values->values, column->target_ct);
    } else if (column->kind == DMS_COLUMN_SCALAR) {
        json_object_open(&json, "scalars");
        value_json(&json, column->name, column, values->values, 0);
        json_object_close(&json);
    } else {
        uint64_t value_ct = model_values_count(values);

        json_object_open(&json, "outputs");
        json_array_open(&json, column->name);
        for (uint64_t i = 0; i < value_ct; i++)
            value_json(&json, NULL, column, values->values, i);
        json_array_close(&json);
        json_object_close(&json);
    }
    json_object_close(&json);
    json_end(&json);
}

static char npy_kind(enum dms_dtype dtype)
{
    switch (dtype) {
    case DMS_BOOL:
        return 'b';
    case DMS_U8:
    case DMS_U32:
    case DMS_U64:
        return 'u';
    case DMS_I32:
    case DMS_I64:
        return 'i';
    case DMS_TEXT:
        return 'S';
    default:
        return 'f';
    }
}

static int write_npy(const struct model_values *values, const void *data, FILE *file)
{
    const struct dms_column *column = values->column;
    uint8_t header[DMS_NPY_HEADER_BYTES];
    struct dms_npy npy = {
        .kind = npy_kind(column->dtype),
        .item_bytes = (uint32_t)dms_column_value_bytes(column),
        .dimension_ct = column->dimension_ct,
    };
    int code;

    for (uint32_t i = 0; i < column->dimension_ct; i++)
        npy.dimensions[i] = i == 0 ? values->target_ct : column->dimensions[i];
    code = dms_npy_print(&npy, header);
    if (code < 0)
        return code;
    fwrite(header, 1, npy.data_offset, file);
    fwrite(data, 1, npy.data_bytes, file);
    return 0;
}

/* A mask goes into .npy as one bool an example. */
static int write_npy_mask(const struct model_values *values, FILE *file)
{
    uint8_t *bytes = malloc(values->target_ct);
    int code;

    if (!bytes)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for a mask");
    dms_unpack_mask(values->values, values->target_ct, bytes);
    code = write_npy(values, bytes, file);
    free(bytes);
    return code;
}

static void write_raw(const struct model_values *values, FILE *file)
{
    uint64_t bytes = values->column->kind == DMS_COLUMN_MASK
                         ? (values->target_ct + 7) / 8
                         : model_values_count(values) * dms_column_value_bytes(values->column);

    fwrite(values->values, 1, bytes, file);
}

static int write_values(const struct request *request, const struct model_values *values,
                        FILE *file)
{
    if (request->as_json)
        write_json(request->id, values, file);
    else if (request->format == FORMAT_TEXT)
        write_text(values, file);
    else if (request->format == FORMAT_RAW)
        write_raw(values, file);
    else if (values->column->kind == DMS_COLUMN_MASK)
        return write_npy_mask(values, file);
    else
        return write_npy(values, values->values, file);
    return 0;
}

/* Writes to the file that was asked for, which appears whole or not at all. */
static int write_to_path(const struct request *request, const struct model_values *values)
{
    struct output_file output = {0};
    char *data = NULL;
    size_t bytes = 0;
    FILE *file;
    int code;

    if (!request->path || strcmp(request->path, "-") == 0)
        return write_values(request, values, stdout);
    file = open_memstream(&data, &bytes);
    if (!file)
        return tool_source_fail_errno("cannot write '%s'", request->path);
    code = write_values(request, values, file);
    if (fclose(file) != 0 && code == 0)
        code = tool_source_fail_errno("cannot write '%s'", request->path);
    if (code == 0)
        code = output_file_create(&output, request->path);
    if (code == 0)
        code = output_file_append(&output, bytes, data);
    if (code == 0)
        code = output_file_commit(&output);
    output_file_abandon(&output);
    free(data);
    return code;
}

/* ---- selecting ---- */

/* Parses "A:B" of which either may be left out; leaves those as they are. */
static bool parse_targets(const char *text, uint64_t *first, uint64_t *end)
{
    const char *colon = strchr(text, ':');
    char first_text[32];

    if (!colon || (size_t)(colon - text) >= sizeof(first_text))
        return false;
    memcpy(first_text, text, (size_t)(colon - text));
    first_text[colon - text] = '\0';
    return (!first_text[0] || tool_parse_number(first_text, 0, first)) &&
           (!colon[1] || tool_parse_number(colon + 1, 0, end));
}

static int find_column(const struct request *request, const struct dms_schema *schema,
                       uint32_t *column)
{
    const char *wanted = request->output ? request->output : request->scalar;
    enum dms_column_kind kind = request->output ? DMS_COLUMN_OUTPUT : DMS_COLUMN_SCALAR;
    int code;

    if (request->mask) {
        *column = 0;
        return 0;
    }
    code = dms_schema_find(schema, wanted, column);
    if (code < 0)
        return code;
    if (schema->columns[*column].kind != kind)
        return dms_source_fail(DMS_ERR_INVALID, "column %s is no %s column", wanted,
                               request->output ? "output" : "scalar");
    return 0;
}

static int get_values(const struct request *request, dms_snapshot *snapshot,
                      const struct dms_position *position)
{
    const struct dms_schema *schema = dms_snapshot_schema(snapshot);
    struct model_values values = {0};
    uint64_t first = 0, end;
    uint32_t column;
    int code = find_column(request, schema, &column);

    if (code < 0)
        return code;
    end = schema->columns[column].target_ct;
    if (request->targets && (!parse_targets(request->targets, &first, &end) || first >= end ||
                             end > schema->columns[column].target_ct))
        return dms_source_fail(
            DMS_ERR_INVALID,
            "--targets: '%s' is not a range of the targets 0:%" PRIu64 " of column %s",
            request->targets, schema->columns[column].target_ct, schema->columns[column].name);
    code = model_values_read(snapshot, position, column, first, end - first, &values);
    if (code < 0)
        return code;
    code = values.present
               ? write_to_path(request, &values)
               : dms_source_fail(DMS_ERR_NOT_FOUND, "model %" PRIu64 " has no value in column %s",
                                 request->id, schema->columns[column].name);
    model_values_free(&values);
    return code;
}

static int get(const char *path, const struct request *request)
{
    dms_snapshot *snapshot = NULL;
    struct dms_position position;
    int code = dms_snapshot_open(path, &snapshot);

    if (code == 0)
        code = dms_snapshot_find(snapshot, request->id, &position);
    if (code == 0 && (request->mask || request->output || request->scalar))
        code = get_values(request, snapshot, &position);
    else if (code == 0)
        code = model_summary_print(snapshot, request->id, &position, request->as_json);
    dms_snapshot_close(snapshot);
    return code;
}

static int check_request(const struct request *request)
{
    int selector_ct = request->mask + !!request->output + !!request->scalar;
    uint64_t first, end;

    if (!request->id_given)
        return tool_fail_usage(name, "--id is missing: which model to read");
    if (selector_ct > 1)
        return tool_fail_usage(name, "only one of --mask, --output and --scalar can be given");
    if (request->targets && !request->output)
        return tool_fail_usage(name, "--targets goes with --output");
    if (request->targets && !parse_targets(request->targets, &first, &end))
        return tool_fail_usage(name, "--targets: '%s' is not of the form A:B", request->targets);
    if (request->format != FORMAT_TEXT && (selector_ct == 0 || request->as_json))
        return tool_fail_usage(name,
                               "--format goes with --mask, --output or --scalar, without --json");
    if (request->path && selector_ct == 0)
        return tool_fail_usage(name, "-o goes with --mask, --output or --scalar");
    return TOOL_CONTINUE;
}

int command_get(int argc, char **argv)
{
    struct request request = {.format = FORMAT_TEXT};
    const struct tool_option options[] = {
        OPTION_COUNT("id", 0, "ID", &request.id, &request.id_given, "the model"),
        OPTION_FLAG("mask", 0, &request.mask, "its training mask; as text, the examples in it"),
        OPTION_TEXT("output", 0, "NAME", &request.output, "an output; as text, a line a target"),
        OPTION_TEXT("scalar", 0, "NAME", &request.scalar, "a scalar"),
        OPTION_TEXT("targets", 0, "A:B", &request.targets,
                    "only targets A .. B - 1 of the output; either may be left out"),
        OPTION_CHOICE("format", 0, "text|npy|raw", &request.format, format_words,
                      "how to write it (default text)"),
        OPTION_FLAG("json", 0, &request.as_json, "write JSON"),
        OPTION_TEXT("out-file", 'o', "FILE", &request.path,
                    "write to FILE, not to standard output"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE --id ID [--mask|--output NAME|--scalar NAME] [options]",
        .description =
            "Reads one model of STORE (a store or a manifest). Without --mask, --output and\n"
            "--scalar it prints a summary of the model.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    char **positionals;
    int status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status == TOOL_CONTINUE)
        status = check_request(&request);
    if (status != TOOL_CONTINUE)
        return status;
    status = get(positionals[0], &request) < 0 ? tool_fail_library(name) : TOOL_OK;
    return tool_finish_output(name, status);
}
