/*
 * dmstore append: reads rows from standard input, as binary frames or as lines of JSON, and makes
 * them durable as they come: whenever no further input is ready, what has come is committed.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <dmstore/frame.h>
#include <dmstore/snapshot.h>
#include <dmstore/store.h>

#include "commands.h"
#include "jsonl_row.h"
#include "options.h"
#include "progress.h"
#include "row_batch.h"
#include "write_report.h"

static const char name[] = "append";

#define READ_BYTES (1u << 18)

/* Waiting rows are committed when they take this much, whatever --batch says. */
#define BATCH_BYTES (8u << 20)

/* Bytes of standard input that no row was made of yet. */
struct input {
    uint8_t *data;
    size_t begin, end, capacity; /* one byte more is allocated: a line can be ended there */
    size_t scanned;              /* from `begin` on, free of newlines */
    size_t bytes_max;            /* no row is longer */
    uint64_t row_number;         /* of the next row or line, from 1 */
    bool at_end;
};

struct appender {
    struct input input;
    struct row_batch batch;
    struct row_sink sink;
    const struct dms_sampling *sampling; /* NULL: not claimed */
    uint64_t batch_rows;
    const void **frame_values; /* room for the pointers into one frame */
    /* Takes one row from the input into the batch. 1: taken; 0: more input is needed first;
     * negative: it is wrong. */
    int (*take_row)(struct appender *appender);
};

/* ---- input ---- */

static int grow_input(struct input *input)
{
    size_t capacity = input->capacity ? 2 * input->capacity : 2 * READ_BYTES;
    uint8_t *data;

    if (input->end - input->begin > input->bytes_max)
        return dms_source_fail(DMS_ERR_INVALID,
                               "row %" PRIu64 " is longer than %zu bytes, which no row of this "
                               "store can be",
                               input->row_number, input->bytes_max);
    data = realloc(input->data, capacity + 1);
    if (!data)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu bytes of input", capacity);
    input->data = data;
    input->capacity = capacity;
    return 0;
}

/* Reads what is there, at least one byte unless the input is at its end. Returns
 * DMS_ERR_INTERRUPTED when a signal asks to stop. */
static int read_input(struct input *input)
{
    ssize_t got;

    if (input->begin > 0) {
        memmove(input->data, input->data + input->begin, input->end - input->begin);
        input->end -= input->begin;
        input->begin = 0;
    }
    if (input->capacity - input->end < READ_BYTES) {
        int code = grow_input(input);

        if (code < 0)
            return code;
    }
    do {
        if (interruption_came())
            return dms_source_fail(DMS_ERR_INTERRUPTED, "interrupted");
        got = read(STDIN_FILENO, input->data + input->end, input->capacity - input->end);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return tool_source_fail_errno("cannot read standard input");
    input->at_end = got == 0;
    input->end += (size_t)got;
    return 0;
}

/* Whether a read would return at once. */
static bool input_is_ready(void)
{
    struct pollfd descriptor = {.fd = STDIN_FILENO, .events = POLLIN};

    return poll(&descriptor, 1, 0) > 0;
}

/* ---- binary frames ---- */

static int add_frame(struct appender *appender, const struct dms_frame *frame, const uint8_t *bytes)
{
    struct row_batch *batch = &appender->batch;
    const uint8_t *mask;
    uint8_t *payload;
    int code = row_batch_begin(batch, frame->payload_bytes, &payload);

    if (code < 0)
        return code;
    memcpy(payload, bytes, frame->payload_bytes);
    code = dms_frame_payload_decode(batch->schema, frame, payload, &mask, appender->frame_values);
    if (code < 0)
        return code;
    for (uint32_t i = 0; i < batch->value_ct; i++)
        row_batch_set(batch, i, appender->frame_values[i]);
    row_batch_end(batch, frame->id, mask, appender->sampling);
    return 0;
}

static int take_frame(struct appender *appender)
{
    struct input *input = &appender->input;
    const uint8_t *bytes = input->data + input->begin;
    size_t available = input->end - input->begin;
    struct dms_frame frame;
    int code;

    if (available < DMS_FRAME_HEADER_BYTES)
        goto incomplete;
    code = dms_frame_header_decode(appender->batch.schema, bytes, &frame);
    if (code < 0)
        goto failed;
    if (available - DMS_FRAME_HEADER_BYTES < frame.payload_bytes)
        goto incomplete;
    code = add_frame(appender, &frame, bytes + DMS_FRAME_HEADER_BYTES);
    if (code < 0)
        goto failed;
    input->begin += DMS_FRAME_HEADER_BYTES + frame.payload_bytes;
    return 1;
incomplete:
    if (!input->at_end || available == 0)
        return 0;
    code = dms_source_fail(DMS_ERR_INVALID, "the input ends inside the frame, after %zu bytes",
                           available);
failed:
    return dms_source_fail(code, "row %" PRIu64 " of the input: %s", input->row_number,
                           dms_error_message());
}

/* ---- lines of JSON ---- */

static bool is_blank(const char *line)
{
    return line[strspn(line, " \t\r")] == '\0';
}

static int take_line(struct appender *appender)
{
    struct input *input = &appender->input;
    size_t available = input->end - input->begin, bytes;
    char *line = (char *)input->data + input->begin;
    char *newline = available > input->scanned
                        ? memchr(line + input->scanned, '\n', available - input->scanned)
                        : NULL;
    int code = 0;

    if (!newline && (!input->at_end || available == 0)) {
        input->scanned = available;
        return 0;
    }
    bytes = newline ? (size_t)(newline - line) : available;
    line[bytes] = '\0';
    if (!is_blank(line) || strlen(line) < bytes)
        code = jsonl_row_parse(line, bytes, appender->sampling, &appender->batch);
    if (code < 0)
        return dms_source_fail(code, "line %" PRIu64 " of the input: %s", input->row_number,
                               dms_error_message());
    input->begin += bytes + (newline ? 1 : 0);
    input->scanned = 0;
    return 1;
}

/* ---- the loop ---- */

static bool batch_is_full(const struct appender *appender)
{
    return appender->batch.row_ct >= appender->batch_rows || appender->batch.bytes >= BATCH_BYTES;
}

/* Takes rows until the input ends or something is wrong with it. */
static int take_rows(struct appender *appender)
{
    struct input *input = &appender->input;

    for (;;) {
        int taken = appender->take_row(appender);

        if (taken < 0)
            return taken;
        if (taken == 0 && input->at_end)
            return 0;
        input->row_number += (uint64_t)taken;
        if (batch_is_full(appender) || (taken == 0 && !input_is_ready())) {
            int code = row_sink_commit(&appender->sink, &appender->batch);

            if (code < 0)
                return code;
        }
        if (taken == 0) {
            int code = read_input(input);

            if (code < 0)
                return code;
        }
    }
}

/* Takes all rows; those before one that is wrong, or before an interruption, are committed. */
static int append_rows(struct appender *appender)
{
    char message[1024];
    int failure = take_rows(appender), code;

    snprintf(message, sizeof(message), "%s", failure < 0 ? dms_error_message() : "");
    code = row_sink_commit(&appender->sink, &appender->batch);
    if (failure < 0)
        return dms_source_fail(failure, "%s", message);
    return code;
}

/* ---- the command ---- */

enum format { FORMAT_BINARY, FORMAT_JSONL };

static const char *const format_words[] = {"binary", "jsonl", NULL};

/* What the command line says. */
struct request {
    const char *path;
    int format;
    int on_duplicate;
    const char *sampled;
    const char *spool;
    uint64_t batch_rows;
    bool acknowledge;
    bool as_json;
};

static int run_appender(struct appender *appender, const struct request *request,
                        const struct dms_schema *schema)
{
    struct dms_sampling sampling;
    int code = row_batch_init(&appender->batch, schema);

    if (code < 0)
        return code;
    appender->frame_values = calloc(schema->column_ct, sizeof(*appender->frame_values));
    if (!appender->frame_values)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    if (request->sampled) {
        code = sampling_parse(request->sampled, schema->example_ct, &sampling);
        if (code < 0)
            return code;
        appender->sampling = &sampling;
    }
    appender->batch_rows = request->batch_rows;
    appender->input.row_number = 1;
    appender->input.bytes_max =
        request->format == FORMAT_JSONL ? jsonl_line_bytes_max(schema) : SIZE_MAX;
    appender->take_row = request->format == FORMAT_JSONL ? take_line : take_frame;
    code = grow_input(&appender->input);
    if (code < 0)
        return code;
    interruption_catch();
    return append_rows(appender);
}

/* Copies what rows are made for, so that the snapshot can be closed: a worker may append for weeks,
 * and the snapshot would keep every file that is compacted away meanwhile. The caller frees
 * schema->columns. */
static int read_current_schema(dms_store *store, struct dms_schema *schema)
{
    dms_snapshot *snapshot = NULL;
    int code = dms_store_snapshot(store, &snapshot);

    if (code < 0)
        return code;
    *schema = *dms_snapshot_schema(snapshot);
    schema->metadata = NULL;
    schema->metadata_ct = 0;
    schema->columns = calloc(schema->column_ct, sizeof(*schema->columns));
    if (schema->columns)
        memcpy(schema->columns, dms_snapshot_schema(snapshot)->columns,
               schema->column_ct * sizeof(*schema->columns));
    else
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    dms_snapshot_close(snapshot);
    return code;
}

/* Appends to the store, with the schema that it has now. */
static int append_to_store(struct appender *appender, const struct request *request)
{
    dms_store *store = NULL;
    struct dms_schema schema = {0};
    int code = dms_store_open(request->path, &store);

    if (code < 0)
        return code;
    code = read_current_schema(store, &schema);
    if (code == 0) {
        appender->sink.store = store;
        code = run_appender(appender, request, &schema);
    }
    free(schema.columns);
    dms_store_close(store);
    return code;
}

/* Appends to a spool directory; of the store only the schema is read. */
static int append_to_spool(struct appender *appender, const struct request *request)
{
    struct dms_schema *schema = NULL;
    int code = dms_schema_read(request->path, &schema);

    if (code < 0)
        return code;
    appender->sink.spool = request->spool;
    appender->sink.store_path = request->path;
    code = run_appender(appender, request, schema);
    dms_schema_free(schema);
    return code;
}

static int append(const struct request *request)
{
    struct appender appender = {
        .sink = {.on_duplicate = (enum dms_on_duplicate)request->on_duplicate,
                 .acknowledge = request->acknowledge},
    };
    double start = monotonic_seconds();
    int code =
        request->spool ? append_to_spool(&appender, request) : append_to_store(&appender, request);

    row_batch_free(&appender.batch);
    free(appender.input.data);
    free(appender.frame_values);
    if (code == DMS_ERR_INTERRUPTED)
        return tool_fail(name, "interrupted after %" PRIu64 " new rows",
                         appender.sink.result.added_ct + appender.sink.result.replaced_ct);
    if (code < 0)
        return tool_fail_library(name);
    if (request->as_json || !request->acknowledge)
        write_result_print(&appender.sink.result, monotonic_seconds() - start, request->as_json);
    return tool_finish_output(name, TOOL_OK);
}

int command_append(int argc, char **argv)
{
    struct request request = {.batch_rows = 256};
    char **positionals;
    const struct tool_option options[] = {
        OPTION_CHOICE("format", 0, "binary|jsonl", &request.format, format_words,
                      "how rows are written: frames as in dmstore-format(5) (default), or one "
                      "JSON object a line"),
        OPTION_CHOICE("on-duplicate", 0, "error|keep|replace", &request.on_duplicate,
                      tool_on_duplicate_words,
                      "what to do with a model that is there with other bytes (default error)"),
        OPTION_TEXT("sampled", 0, "ALPHA:SEED", &request.sampled,
                    "the masks were drawn by 'dmstore sample' with this alpha and seed: store "
                    "that instead of the bits, after comparing them; lines of JSON may leave the "
                    "mask out"),
        OPTION_TEXT("spool", 0, "DIR", &request.spool,
                    "write files into DIR instead, for 'dmstore ingest STORE --spool DIR'; needs "
                    "no lock and works on a network file system"),
        OPTION_COUNT("batch", 0, "K", &request.batch_rows, NULL,
                     "commit when K rows (default 256) or 8 MiB have come, or when no further "
                     "input is ready"),
        OPTION_FLAG("acknowledge", 0, &request.acknowledge,
                    "print the id of each row, a line each, once it is durable"),
        OPTION_FLAG("json", 0, &request.as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE [options] < rows",
        .description =
            "Reads rows from standard input and makes them durable as they come. Any number\n"
            "of processes may append to one store at once. With --spool, STORE may also be a\n"
            "manifest written by 'dmstore snapshot'. A line of --format jsonl is\n"
            "  {\"id\": 5, \"mask\": \"HEX\" or [INDEX, ...],\n"
            "   \"outputs\": {\"NAME\": [NUMBER, ...]}, \"scalars\": {\"NAME\": VALUE}}\n"
            "where null stands for NaN.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    struct dms_sampling ignored;
    int status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status != TOOL_CONTINUE)
        return status;
    if (request.batch_rows == 0)
        return tool_fail_usage(name, "--batch: at least 1");
    if (request.spool && request.on_duplicate != DMS_DUPLICATE_ERROR)
        return tool_fail_usage(name, "--on-duplicate is for the 'dmstore ingest' that collects the "
                                     "spool");
    if (request.sampled && sampling_parse(request.sampled, 1, &ignored) < 0)
        return tool_fail_usage(name, "--sampled: %s", dms_error_message());
    request.path = positionals[0];
    return append(&request);
}
