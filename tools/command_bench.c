/*
 * dmstore bench: how fast this machine reads this store: epochs of the prefetching reader, beside
 * copying as many bytes in memory, in the same number of threads of the same run.
 */
#include "commands.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "json.h"
#include "options.h"
#include "progress.h"
#include "report.h"
#include "target_range.h"
#include "write_report.h"

static const char name[] = "bench";

/* Memory that the comparison copies from: larger than any cache of a processor. */
#define SOURCE_BYTES ((size_t)256 << 20)

enum { THREADS_MAX = 256 };

struct request {
    const char *path;
    const char *output; /* NULL: the first output of the store */
    const char *targets;
    bool masks_only;
    uint64_t epoch_ct, batch_rows, window_groups, thread_ct, seed, memory_bytes;
    int order; /* enum dms_order */
    bool as_json;
};

/* What was measured. */
struct measurement {
    struct dms_reader_options reader;
    uint64_t row_ct;
    uint64_t row_bytes;       /* that the store has of a row as it was read, decoded */
    double *epoch_seconds;    /* request.epoch_ct */
    double copy_seconds;      /* of as many bytes as an epoch */
    uint64_t buffer_bytes;    /* of the reader */
    uint64_t anonymous_bytes; /* of the process, with an open reader, without the comparison */
    uint64_t sum;             /* of what was read, so that it is */
};

/* Memory of this process that is no file's, or 0 where the system does not tell. */
static uint64_t anonymous_bytes(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    uint64_t kibibytes = 0;

    if (!file)
        return 0;
    while (fgets(line, sizeof(line), file) && sscanf(line, "RssAnon: %" SCNu64, &kibibytes) != 1)
        ;
    fclose(file);
    return kibibytes << 10;
}

/* ---- the reader ---- */

/* Makes the options of the reader, and says how many bytes of a row they ask for. */
static int plan(const struct request *request, const struct dms_schema *schema,
                struct measurement *measured)
{
    struct dms_reader_options *options = &measured->reader;
    uint64_t end = 0;
    uint32_t column;

    dms_reader_options_init(options);
    options->order = (enum dms_order)request->order;
    options->batch_rows = (uint32_t)request->batch_rows;
    options->window_groups = (uint32_t)request->window_groups;
    options->thread_ct = (unsigned)request->thread_ct;
    options->slot_ct = (uint32_t)request->thread_ct + 3;
    options->seed = request->seed;
    options->memory_bytes = request->memory_bytes;
    options->output = request->output;
    for (column = 0; !options->output && column < schema->column_ct; column++)
        if (schema->columns[column].kind == DMS_COLUMN_OUTPUT)
            options->output = schema->columns[column].name;
    measured->row_bytes = (schema->example_ct + 7) / 8;
    if (request->masks_only || !options->output) {
        options->output = NULL;
        return 0;
    }
    int code = dms_schema_find(schema, options->output, &column);
    if (code < 0)
        return code;
    if (request->targets && !target_range_parse(request->targets, &options->first_target, &end))
        return dms_source_fail(DMS_ERR_INVALID, "'%s' is no range of targets, such as 0:100",
                               request->targets);
    end = end ? end : schema->columns[column].target_ct;
    if (end <= options->first_target)
        return dms_source_fail(DMS_ERR_INVALID, "there are no targets %s: column %s has %" PRIu64,
                               request->targets, options->output,
                               schema->columns[column].target_ct);
    options->target_ct = end - options->first_target;
    measured->row_bytes += dms_column_packed_bytes(&schema->columns[column], options->target_ct);
    return 0;
}

/* Adds up the masks of a batch: those that are lent in place would not be read otherwise. */
static uint64_t add_words(const struct dms_batch *batch)
{
    size_t bytes = batch->row_ct * batch->mask_stride_bytes;
    uint64_t sum = 0;

    for (size_t at = 0; at + 8 <= bytes; at += 8) {
        uint64_t word;
        memcpy(&word, batch->masks + at, sizeof(word));
        sum += word;
    }
    return sum;
}

static int read_epoch(dms_reader *reader, uint64_t epoch, struct measurement *measured)
{
    const struct dms_batch *batch;
    bool is_lent = measured->reader.order == DMS_ORDER_SEQUENTIAL;
    double start = monotonic_seconds();
    /* Not the epoch whose first batches were prepared during the one before. */
    int code = dms_reader_seek(reader, 2 * epoch, 0);

    while (code == 0 && (code = dms_reader_next(reader, &batch)) == 0) {
        measured->sum += is_lent ? add_words(batch) : batch->masks[0];
        dms_reader_release(reader, batch);
        if (interruption_came())
            return dms_source_fail(DMS_ERR_INTERRUPTED, "interrupted");
    }
    measured->epoch_seconds[epoch] = monotonic_seconds() - start;
    return code == DMS_END ? 0 : code;
}

static int read_epochs(const struct request *request, dms_snapshot *snapshot,
                       struct measurement *measured)
{
    dms_reader *reader = NULL;
    int code = plan(request, dms_snapshot_schema(snapshot), measured);

    if (code == 0)
        code = dms_reader_open(snapshot, &measured->reader, &reader);
    if (code < 0)
        return code;
    measured->row_ct = dms_reader_row_ct(reader);
    for (uint64_t epoch = 0; code == 0 && epoch < request->epoch_ct; epoch++)
        code = read_epoch(reader, epoch, measured);
    measured->buffer_bytes = dms_reader_memory_bytes(reader);
    measured->anonymous_bytes = anonymous_bytes();
    dms_reader_close(reader);
    return code;
}

/* ---- copying ---- */

struct copying {
    const uint8_t *source;
    uint8_t *targets; /* batch_bytes for each thread */
    size_t batch_bytes;
    uint64_t batch_ct; /* to copy in all */
    atomic_uint_fast64_t next_batch;
    atomic_uint next_thread;
};

static void *copy_batches(void *argument)
{
    struct copying *copying = argument;
    size_t step = copying->batch_bytes;
    uint8_t *to = copying->targets + atomic_fetch_add(&copying->next_thread, 1) * step;
    uint64_t places = SOURCE_BYTES / step;
    uint64_t batch;

    while ((batch = atomic_fetch_add(&copying->next_batch, 1)) < copying->batch_ct)
        memcpy(to, copying->source + batch % places * step, step);
    return NULL;
}

/* Copies as many bytes as an epoch has, batch by batch, in as many threads as the reader. */
static int run_copy(struct copying *copying, uint64_t thread_ct, double *seconds)
{
    pthread_t threads[THREADS_MAX];
    uint64_t started;
    double start = monotonic_seconds();

    atomic_store(&copying->next_batch, 0);
    atomic_store(&copying->next_thread, 0);
    for (started = 0; started < thread_ct; started++)
        if (pthread_create(&threads[started], NULL, copy_batches, copying) != 0)
            break;
    for (uint64_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    *seconds = monotonic_seconds() - start;
    return started == thread_ct
               ? 0
               : dms_source_fail(DMS_ERR_NO_MEMORY, "cannot start thread %" PRIu64, started + 1);
}

static int measure_copy(const struct request *request, struct measurement *measured)
{
    uint64_t bytes = measured->row_ct * measured->row_bytes;
    struct copying copying = {.batch_bytes = request->batch_rows * measured->row_bytes};
    uint8_t *source = malloc(SOURCE_BYTES);
    int code = 0;

    if (copying.batch_bytes > SOURCE_BYTES)
        copying.batch_bytes = SOURCE_BYTES;
    copying.batch_ct = (bytes + copying.batch_bytes - 1) / copying.batch_bytes;
    copying.source = source;
    copying.targets = malloc(request->thread_ct * copying.batch_bytes);
    if (!source || !copying.targets) {
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the comparison");
    } else {
        memset(source, 1, SOURCE_BYTES);
        memset(copying.targets, 1, request->thread_ct * copying.batch_bytes);
    }
    /* Once more than is counted, as the reader's first epoch. */
    for (int run = 0; code == 0 && run < 2; run++)
        code = run_copy(&copying, request->thread_ct, &measured->copy_seconds);
    if (code == 0)
        measured->copy_seconds *=
            (double)bytes / ((double)copying.batch_ct * (double)copying.batch_bytes);
    free(source);
    free(copying.targets);
    return code;
}

/* ---- the report ---- */

static const char *const order_words[] = {"sequential", "quasi-random", "random", NULL};

static void print_text(const struct request *request, const struct measurement *measured)
{
    double bytes = (double)measured->row_ct * (double)measured->row_bytes;
    char count[TOOL_HUMAN_BYTES], text[TOOL_HUMAN_BYTES], anonymous[TOOL_HUMAN_BYTES];

    printf("%s: %s models, %" PRIu64 " bytes each: masks", request->path,
           tool_human_count(measured->row_ct, count), measured->row_bytes);
    if (measured->reader.output)
        printf(", %s targets %" PRIu64 " to %" PRIu64, measured->reader.output,
               measured->reader.first_target,
               measured->reader.first_target + measured->reader.target_ct - 1);
    printf("\n%s, batches of %" PRIu64 ", %" PRIu64 " thread%s\n", order_words[request->order],
           request->batch_rows, request->thread_ct, tool_plural(request->thread_ct));
    for (uint64_t epoch = 0; epoch < request->epoch_ct; epoch++) {
        double seconds = measured->epoch_seconds[epoch];
        printf("  epoch %-4" PRIu64 " %9.3f s %12.0f rows/s %9.3f GB/s%s\n", epoch, seconds,
               (double)measured->row_ct / seconds, bytes / seconds / 1e9,
               epoch == 0 ? "  (checks what was not read before)" : "");
    }
    printf("  memcpy     %9.3f s %12s        %9.3f GB/s  the last epoch has %.2f of its speed\n",
           measured->copy_seconds, "", bytes / measured->copy_seconds / 1e9,
           measured->copy_seconds / measured->epoch_seconds[request->epoch_ct - 1]);
    printf("  memory: %s of buffers; %s of the process are no file's\n",
           tool_human_bytes(measured->buffer_bytes, text),
           tool_human_bytes(measured->anonymous_bytes, anonymous));
}

static void print_json(const struct request *request, const struct measurement *measured)
{
    double bytes = (double)measured->row_ct * (double)measured->row_bytes;
    struct json_writer json;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_text(&json, "store", request->path);
    json_u64(&json, "rows", measured->row_ct);
    json_u64(&json, "row_bytes", measured->row_bytes);
    json_text(&json, "order", order_words[request->order]);
    json_u64(&json, "batch_rows", request->batch_rows);
    json_u64(&json, "threads", request->thread_ct);
    json_array_open(&json, "epochs");
    for (uint64_t epoch = 0; epoch < request->epoch_ct; epoch++) {
        double seconds = measured->epoch_seconds[epoch];
        json_object_open(&json, NULL);
        json_double(&json, "seconds", seconds);
        json_double(&json, "rows_per_second", (double)measured->row_ct / seconds);
        json_double(&json, "bytes_per_second", bytes / seconds);
        json_object_close(&json);
    }
    json_array_close(&json);
    json_double(&json, "memcpy_bytes_per_second", bytes / measured->copy_seconds);
    json_double(&json, "ratio",
                measured->copy_seconds / measured->epoch_seconds[request->epoch_ct - 1]);
    json_u64(&json, "buffer_bytes", measured->buffer_bytes);
    json_u64(&json, "anonymous_bytes", measured->anonymous_bytes);
    json_object_close(&json);
    json_end(&json);
}

static int run(const struct request *request)
{
    struct measurement measured = {.row_ct = 0};
    dms_snapshot *snapshot = NULL;
    int code = dms_snapshot_open(request->path, &snapshot);

    if (code == 0) {
        measured.epoch_seconds = calloc(request->epoch_ct, sizeof(*measured.epoch_seconds));
        code = measured.epoch_seconds
                   ? read_epochs(request, snapshot, &measured)
                   : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %" PRIu64 " epochs",
                                     request->epoch_ct);
    }
    if (code == 0 && measured.row_ct == 0)
        code = dms_source_fail(DMS_ERR_NOT_FOUND, "'%s' has no models to read", request->path);
    if (code == 0)
        code = measure_copy(request, &measured);
    if (code == 0 && request->as_json)
        print_json(request, &measured);
    else if (code == 0)
        print_text(request, &measured);
    free(measured.epoch_seconds);
    dms_snapshot_close(snapshot);
    return code < 0 ? tool_fail_library(name) : TOOL_OK;
}

static int check(const struct request *request, const char *what)
{
    if (strcmp(what, "read") != 0)
        return tool_fail_usage(name, "cannot measure '%s': there is 'read'", what);
    if (request->epoch_ct == 0 || request->batch_rows == 0 || request->batch_rows > UINT32_MAX ||
        request->window_groups == 0 || request->window_groups > UINT32_MAX)
        return tool_fail_usage(name, "--epochs, --batch-rows and --window must be at least 1");
    if (request->thread_ct == 0 || request->thread_ct > THREADS_MAX)
        return tool_fail_usage(name, "--threads must be 1 to %d", THREADS_MAX);
    if (request->masks_only && (request->output || request->targets))
        return tool_fail_usage(name, "--masks-only leaves no --output and no --targets");
    return TOOL_CONTINUE;
}

int command_bench(int argc, char **argv)
{
    struct request request = {.epoch_ct = 2,
                              .batch_rows = 1024,
                              .window_groups = 8,
                              .thread_ct = 1,
                              .order = DMS_ORDER_QUASI_RANDOM};
    const struct tool_option options[] = {
        OPTION_TEXT("output", 'o', "COLUMN", &request.output,
                    "read this output with the masks (default: the store's first)"),
        OPTION_TEXT("targets", 0, "A:B", &request.targets, "only its targets A to B - 1"),
        OPTION_FLAG("masks-only", 0, &request.masks_only, "read no output"),
        OPTION_CHOICE("order", 0, "ORDER", &request.order, order_words,
                      "sequential, quasi-random (default) or random"),
        OPTION_COUNT("window", 0, "N", &request.window_groups, NULL,
                     "groups that quasi-random order draws from at a time (default: 8)"),
        OPTION_COUNT("seed", 0, "S", &request.seed, NULL, "of the order (default: 0)"),
        OPTION_COUNT("batch-rows", 0, "N", &request.batch_rows, NULL,
                     "models in a batch (default: 1024)"),
        OPTION_COUNT("threads", 0, "T", &request.thread_ct, NULL,
                     "threads that prepare batches (default: 1)"),
        OPTION_COUNT("epochs", 0, "N", &request.epoch_ct, NULL,
                     "times that all models are read (default: 2)"),
        OPTION_BYTES("memory", 0, "SIZE", &request.memory_bytes, NULL,
                     "bound on the reader's buffers"),
        OPTION_FLAG("json", 0, &request.as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "read STORE [options]",
        .description =
            "Reads all models of a store in batches, as a fit does, and prints how fast that\n"
            "was, beside copying as many bytes in memory.\n",
        .positional_min = 2,
        .positional_max = 2,
        .options = options,
    };
    char **positionals;
    int status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status == TOOL_CONTINUE)
        status = check(&request, positionals[0]);
    if (status != TOOL_CONTINUE)
        return status;
    request.path = positionals[1];
    interruption_catch();
    return tool_finish_output(name, run(&request));
}
