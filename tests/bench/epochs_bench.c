/*
 * Epochs of the reader over a store that is there, for peers_stores.py, which holds them against
 * other formats: prints how long opening and each epoch took, and sums of all that was delivered,
 * as one JSON object.
 *
 *   epochs_bench --store PATH --output COLUMN [--order random|quasi-random] [--first-target A]
 *                [--targets N] [--batch-rows B] [--threads T] [--epochs E]
 *
 * Opening is that of a snapshot: a reader begins to read ahead as soon as it is open. Before the
 * epochs that count there is one in which every byte is added up, so that whoever asked can see
 * that all rows came. Masks are delivered packed and outputs as float16, side by side, as they are
 * stored.
 */
#include "dmstore/reader.h"
#include "tests/bench/bench.h"
#include "tests/bench/process.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Of everything that an epoch delivers; none depends on the order of the rows. */
struct sums {
    uint64_t masks;   /* of the bytes of packed masks */
    uint64_t outputs; /* of the 16 bits of each float16 */
};

static volatile uint8_t sink;

static void add_batch(const struct dms_batch *batch, uint64_t target_ct, struct sums *sums)
{
    const uint16_t *outputs = batch->outputs;
    for (size_t at = 0; at < batch->row_ct * batch->mask_stride_bytes; at++) {
        sums->masks += batch->masks[at];
    }
    for (size_t row = 0; row < batch->row_ct; row++) {
        for (size_t target = 0; target < target_ct; target++) {
            sums->outputs += outputs[row * batch->output_stride_values + target];
        }
    }
}

/* Seconds of an epoch, of which nothing was prepared. sums may be NULL. */
static double read_epoch(dms_reader *reader, uint64_t epoch, uint64_t target_ct, struct sums *sums)
{
    const struct dms_batch *batch;
    int status;
    double start = bench_now();
    bench_check(dms_reader_seek(reader, epoch, 0), "seek");
    while ((status = dms_reader_next(reader, &batch)) == 0) {
        if (sums) {
            add_batch(batch, target_ct, sums);
        }
        sink = batch->masks[0];
        dms_reader_release(reader, batch);
    }
    double seconds = bench_now() - start;
    bench_check(status < 0 ? status : 0, "read");
    return seconds;
}

static void read_epochs(dms_snapshot *snapshot, const struct dms_reader_options *options,
                        uint64_t epoch_ct)
{
    uint64_t anonymous_bytes = bench_process_bytes(getpid(), "RssAnon:");
    struct sums sums = {0, 0};
    dms_reader *reader;
    bench_check(dms_reader_open(snapshot, options, &reader), "open a reader");
    read_epoch(reader, 0, options->target_ct, &sums);
    printf("\"rows\": %" PRIu64 ", \"mask_sum\": %" PRIu64 ", \"output_sum\": %" PRIu64
           ", \"epochs\": [",
           dms_reader_row_ct(reader), sums.masks, sums.outputs);
    for (uint64_t epoch = 1; epoch <= epoch_ct; epoch++) {
        /* Not the one whose first batches were prepared during the one before. */
        double seconds = read_epoch(reader, 2 * epoch, options->target_ct, NULL);
        printf("%s%.9f", epoch > 1 ? ", " : "", seconds);
    }
    printf("], \"anonymous_before\": %" PRIu64 ", \"anonymous_after\": %" PRIu64 "}\n",
           anonymous_bytes, bench_process_bytes(getpid(), "RssAnon:"));
    dms_reader_close(reader);
}

int main(int argc, char **argv)
{
    const char *store = NULL;
    const char *output = NULL;
    const char *order = "quasi-random";
    uint64_t first_target = 0;
    uint64_t target_ct = 0;
    uint64_t batch_rows = 1024;
    uint64_t thread_ct = 1;
    uint64_t epoch_ct = 3;
    const struct bench_flag flags[] = {
        {.name = "store", .text = &store},
        {.name = "output", .text = &output},
        {.name = "order", .text = &order},
        {.name = "first-target", .number = &first_target},
        {.name = "targets", .number = &target_ct},
        {.name = "batch-rows", .number = &batch_rows},
        {.name = "threads", .number = &thread_ct},
        {.name = "epochs", .number = &epoch_ct},
    };
    struct dms_reader_options options;
    dms_snapshot *snapshot;

    bench_read_flags(argc, argv, flags, sizeof flags / sizeof *flags);
    if (!store || !output || target_ct == 0) {
        bench_die("--store, --output and --targets are needed");
    }
    if (strcmp(order, "random") != 0 && strcmp(order, "quasi-random") != 0) {
        bench_die("'%s' is no order: there are random and quasi-random", order);
    }
    double start = bench_now();
    bench_check(dms_snapshot_open(store, &snapshot), "open");
    printf("{\"open\": %.9f, ", bench_now() - start);
    dms_reader_options_init(&options);
    options.output = output;
    options.first_target = first_target;
    options.target_ct = target_ct;
    options.order = strcmp(order, "random") == 0 ? DMS_ORDER_RANDOM : DMS_ORDER_QUASI_RANDOM;
    options.batch_rows = (uint32_t)batch_rows;
    options.dtype = DMS_F16;
    options.thread_ct = (unsigned)thread_ct;
    options.slot_ct = (uint32_t)thread_ct + 3;
    read_epochs(snapshot, &options, epoch_ct);
    dms_snapshot_close(snapshot);
    return 0;
}
