/*
 * The reader: every row of a store whose content is known arrives once, with the right bits, values
 * and rank, in all orders; the order does not depend on how it is read; failures come in the order
 * of the stream.
 */
#include "dmstore/reader.h"
#include "dmstore/warm.h"
#include "reader/order.h"

#include "tests/unit/known_store.h"

#include <fcntl.h>

static char directory[] = "reader_test.XXXXXX";

/* The path of something in the test's directory; valid until the fourth call after. */
static const char *in_directory(const char *name)
{
    static char paths[4][256];
    static unsigned used;
    char *path = paths[used++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static dms_snapshot *open_snapshot(const char *path)
{
    dms_snapshot *snapshot;
    must(dms_snapshot_open(path, &snapshot));
    return snapshot;
}

/* ---- permutations ---- */

static bool is_permutation(uint64_t count, uint64_t key)
{
    struct dms_permutation permutation = dms_permutation_make(count, key);
    uint8_t *seen = known_alloc(count);
    bool same = true;
    for (uint64_t k = 0; k < count; k++) {
        uint64_t at = dms_permutation_at(&permutation, k);
        same &= at < count && !seen[at];
        seen[at] = 1;
    }
    free(seen);
    return same;
}

static void test_permutations(void)
{
    bool all = true;
    for (uint64_t count = 1; count < 300; count++) {
        all &= is_permutation(count, count * 77);
    }
    ok(all, "permutations of 1 to 299 numbers");
    ok(is_permutation(100003, 5), "a permutation of 100,003 numbers");
    /* Where 0 goes, under many keys: chi-squared with 99 degrees of freedom, p = 1e-6 at 171. */
    uint64_t counts[100] = {0};
    double chi_squared = 0;
    for (uint64_t key = 0; key < 100000; key++) {
        struct dms_permutation permutation =
            dms_permutation_make(100, key * UINT64_C(0x9e3779b97f4a7c15));
        counts[dms_permutation_at(&permutation, 0)]++;
    }
    for (int k = 0; k < 100; k++) {
        chi_squared += (counts[k] - 1000.0) * (counts[k] - 1000.0) / 1000.0;
    }
    ok(chi_squared < 171, "a place goes anywhere equally often (chi-squared %.1f)", chi_squared);
    /* Neighbours before the shuffle must not stay near each other. */
    struct dms_permutation permutation = dms_permutation_make(10000, 9);
    double distance = 0;
    for (uint64_t k = 0; k + 1 < 10000; k++) {
        distance += fabs((double)dms_permutation_at(&permutation, k) -
                         (double)dms_permutation_at(&permutation, k + 1));
    }
    ok(fabs(distance / 9999 - 3333) < 150, "neighbours are as far apart as any two (%.0f)",
       distance / 9999);
}

/* ---- batches of the known store ---- */

static bool same_number(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b;
}

static bool check_masks(const struct dms_reader_options *options, const struct dms_batch *batch)
{
    bool same = (batch->masks != NULL) == options->masks &&
                (batch->mask_columns != NULL) == options->mask_columns &&
                batch->mask_stride_bytes % 8 == 0;
    for (uint32_t k = 0; same && k < batch->row_ct; k++) {
        uint8_t mask[256] = {0};
        known_mask(batch->ids[k], mask);
        if (options->masks) {
            same &= memcmp(mask, batch->masks + k * batch->mask_stride_bytes,
                           batch->mask_stride_bytes) == 0;
        }
        for (uint32_t e = 0; options->mask_columns && e < KNOWN_EXAMPLES; e++) {
            uint64_t column = batch->mask_columns[k / 64 * KNOWN_EXAMPLES + e];
            same &= (column >> k % 64 & 1) == (mask[e / 8] >> e % 8 & 1);
        }
    }
    for (uint32_t e = 0; options->mask_columns && batch->row_ct % 64 && e < KNOWN_EXAMPLES; e++) {
        uint64_t last = batch->mask_columns[batch->row_ct / 64 * KNOWN_EXAMPLES + e];
        same &= last >> batch->row_ct % 64 == 0;
    }
    return same;
}

static bool check_outputs(const struct dms_schema *schema, const struct dms_reader_options *options,
                          const struct dms_batch *batch)
{
    uint32_t position;
    if (!options->output) {
        return batch->outputs == NULL;
    }
    must(dms_schema_find(schema, options->output, &position));
    const struct dms_column *column = &schema->columns[position];
    uint64_t target_ct =
        options->target_ct ? options->target_ct : column->target_ct - options->first_target;
    uint64_t value_ct = target_ct * column->values_per_target;
    size_t value_bytes = options->dtype == DMS_F16 ? 2 : 4;
    bool same = batch->output_stride_values % 16 == 0 && batch->output_stride_values >= value_ct;
    for (uint32_t k = 0; same && k < batch->row_ct; k++) {
        const uint8_t *row =
            (const uint8_t *)batch->outputs + (size_t)k * batch->output_stride_values * value_bytes;
        for (uint64_t v = 0; same && v < batch->output_stride_values; v++) {
            uint8_t expected[8] = {0};
            if (v < value_ct) {
                known_value(column, position, batch->ids[k],
                            options->first_target * column->values_per_target + v, expected);
            }
            same &= same_number(v < value_ct ? known_number(column->dtype, expected) : 0,
                                known_number(options->dtype, row + v * value_bytes));
        }
    }
    return same;
}

/* What was delivered, in order. */
struct delivered {
    uint64_t ids[1024];
    uint64_t ranks[1024];
    uint64_t row_ct;
};

static bool check_batch(dms_snapshot *snapshot, const struct dms_reader_options *options,
                        const struct dms_batch *batch, uint64_t epoch, struct delivered *delivered)
{
    bool same = batch->epoch == epoch && batch->position == delivered->row_ct &&
                batch->row_ct > 0 && batch->row_ct <= options->batch_rows;
    uint32_t position = 0;
    if (options->output) {
        must(dms_schema_find(dms_snapshot_schema(snapshot), options->output, &position));
    }
    for (uint32_t k = 0; same && k < batch->row_ct; k++) {
        same &= known_is_live(batch->ids[k]) && known_is_present(batch->ids[k], position);
        delivered->ids[delivered->row_ct] = batch->ids[k];
        delivered->ranks[delivered->row_ct++] = batch->ranks[k];
    }
    return same && check_masks(options, batch) &&
           check_outputs(dms_snapshot_schema(snapshot), options, batch);
}

/* Whether each rank is the number of smaller ids, which makes all of them different. */
static bool ranks_are_right(const struct delivered *delivered)
{
    bool same = true;
    for (uint64_t k = 0; k < delivered->row_ct; k++) {
        uint64_t smaller_ct = 0;
        for (uint64_t other = 0; other < delivered->row_ct; other++) {
            smaller_ct += delivered->ids[other] < delivered->ids[k];
            same &= other == k || delivered->ids[other] != delivered->ids[k];
        }
        same &= smaller_ct == delivered->ranks[k];
    }
    return same;
}

/* Reads an epoch to its end and checks all of it. */
static bool read_epoch(dms_reader *reader, dms_snapshot *snapshot,
                       const struct dms_reader_options *options, uint64_t epoch,
                       struct delivered *delivered)
{
    const struct dms_batch *batch;
    bool same = true;
    int status;
    delivered->row_ct = 0;
    while ((status = dms_reader_next(reader, &batch)) == 0) {
        bool is_short = batch->row_ct < options->batch_rows;
        same &= check_batch(snapshot, options, batch, epoch, delivered);
        same &= !is_short || delivered->row_ct == dms_reader_row_ct(reader);
        dms_reader_release(reader, batch);
    }
    if (status != DMS_END) {
        diag("%s: %s", dms_error_name(status), dms_error_message());
    }
    return same && status == DMS_END && delivered->row_ct == dms_reader_row_ct(reader) &&
           ranks_are_right(delivered);
}

static bool read_all(dms_snapshot *snapshot, const struct dms_reader_options *options,
                     uint64_t epoch, struct delivered *delivered)
{
    dms_reader *reader;
    must(dms_reader_open(snapshot, options, &reader));
    must(dms_reader_seek(reader, epoch, 0));
    bool same = read_epoch(reader, snapshot, options, epoch, delivered);
    dms_reader_close(reader);
    return same;
}

static struct dms_reader_options default_options(void)
{
    struct dms_reader_options options;
    dms_reader_options_init(&options);
    options.batch_rows = 50;
    options.window_groups = 2;
    return options;
}

static uint64_t present_ct(uint32_t position)
{
    uint64_t count = 0;
    for (uint64_t id = 0; id < 6000; id++) {
        count += known_is_live(id) && known_is_present(id, position);
    }
    return count;
}

/* Reads every output in all types, as a whole and in slices. */
static void test_outputs(dms_snapshot *snapshot, enum dms_order order, const char *name)
{
    static const struct slice {
        const char *output;
        uint64_t first, count;
        enum dms_dtype dtype;
    } slices[] = {
        {NULL, 0, 0, DMS_F32},           {"margins", 0, 0, DMS_F32}, {"margins", 0, 0, DMS_F16},
        {"margins", 1000, 100, DMS_F32}, /* across two tiles */
        {"margins", 2499, 1, DMS_F16},   {"logits", 3, 17, DMS_F32}, {"flags", 0, 0, DMS_F32},
        {"flags", 1023, 5, DMS_F16}, /* begins inside a byte */
        {"labels", 1, 0, DMS_F32},       {"labels", 0, 3, DMS_F16},  {"extra", 0, 0, DMS_F32},
    };
    for (size_t k = 0; k < sizeof slices / sizeof slices[0]; k++) {
        struct delivered delivered;
        struct dms_reader_options options = default_options();
        uint32_t position = 0;
        options.output = slices[k].output;
        options.first_target = slices[k].first;
        options.target_ct = slices[k].count;
        options.dtype = slices[k].dtype;
        options.order = order;
        options.mask_columns = k % 2 == 0;
        options.masks = k % 3 != 2 || !options.output;
        if (options.output) {
            must(dms_schema_find(dms_snapshot_schema(snapshot), options.output, &position));
        }
        ok(read_all(snapshot, &options, 0, &delivered) && delivered.row_ct == present_ct(position),
           "%s: all rows of %s from target %d on", name, options.output ? options.output : "masks",
           (int)slices[k].first);
    }
}

static bool same_ids(const struct delivered *a, const struct delivered *b)
{
    return a->row_ct == b->row_ct && memcmp(a->ids, b->ids, a->row_ct * sizeof a->ids[0]) == 0;
}

/* The order depends on seed and epoch, and on nothing else. */
static void test_order(dms_snapshot *snapshot, struct dms_reader_options options, const char *name)
{
    struct delivered first, other;
    bool same = true;
    ok(read_all(snapshot, &options, 3, &first), "%s: epoch 3", name);
    for (uint32_t way = 0; way < 12; way++) {
        struct dms_reader_options changed = options;
        changed.batch_rows = way % 4 == 0 ? 1 : way % 4 == 1 ? 7 : way % 4 == 2 ? 64 : 1000;
        changed.thread_ct = 1 + way % 3;
        changed.slot_ct = 2 + way % 5;
        changed.masks = way % 2;
        changed.mask_columns = !changed.masks;
        same &= read_all(snapshot, &changed, 3, &other) && same_ids(&first, &other);
    }
    ok(same, "%s: the same with other batches, threads and slots", name);
    must(read_all(snapshot, &options, 4, &other) ? 0 : DMS_ERR_INVALID);
    bool is_sequential = options.order == DMS_ORDER_SEQUENTIAL;
    ok(same_ids(&first, &other) == is_sequential, "%s: epoch 4 is %s", name,
       is_sequential ? "the same" : "another");
    options.seed++;
    must(read_all(snapshot, &options, 3, &other) ? 0 : DMS_ERR_INVALID);
    ok(same_ids(&first, &other) == is_sequential, "%s: with another seed it is %s", name,
       is_sequential ? "the same" : "another");
}

/* An epoch gone on with in its middle is the rest of that epoch, and the next follows. */
static void test_resume(dms_snapshot *snapshot, const struct dms_reader_options *options,
                        const char *name)
{
    struct delivered whole, next, rest;
    dms_reader *reader;
    const struct dms_batch *batch;
    must(dms_reader_open(snapshot, options, &reader));
    bool same = read_epoch(reader, snapshot, options, 0, &whole) &&
                read_epoch(reader, snapshot, options, 1, &next);
    ok(same, "%s: two epochs follow one another", name);
    for (uint64_t position = 0; same && position <= whole.row_ct; position += 37) {
        must(dms_reader_seek(reader, 0, position));
        memcpy(&rest, &whole, sizeof rest);
        rest.row_ct = position;
        while (dms_reader_next(reader, &batch) == 0) {
            same &= check_batch(snapshot, options, batch, 0, &rest);
            dms_reader_release(reader, batch);
        }
        same &= same_ids(&whole, &rest);
        must(dms_reader_next(reader, &batch));
        same &= batch->epoch == 1 && batch->ids[0] == next.ids[0];
        dms_reader_release(reader, batch);
    }
    ok(same, "%s: resumed anywhere", name);
    must(dms_reader_seek(reader, 7, whole.row_ct));
    is_int(dms_reader_next(reader, &batch), DMS_END, "the end of an epoch can be sought");
    must(dms_reader_next(reader, &batch));
    is_int(batch->epoch, 8, "the next epoch comes after it");
    is_int(dms_reader_seek(reader, 0, 0), DMS_ERR_INVALID, "no seek while a batch is held");
    dms_reader_release(reader, batch);
    is_int(dms_reader_seek(reader, 0, whole.row_ct + 1), DMS_ERR_INVALID, "no seek past the end");
    dms_reader_close(reader);
}

/* ---- row filters ---- */

static void test_filter(dms_snapshot *snapshot)
{
    struct dms_id_range ranges[] = {{1001, 2}, {1010, 90}, {2014, 1}, {3500, 3}, {5001, 69}};
    struct dms_reader_options options = default_options();
    struct delivered delivered;
    options.ids = ranges;
    options.id_range_ct = 5;
    options.order = DMS_ORDER_QUASI_RANDOM;
    options.mask_columns = true;
    ok(read_all(snapshot, &options, 0, &delivered) && delivered.row_ct == 165,
       "rows asked for by id");
    bool all = true;
    for (uint64_t k = 0; k < delivered.row_ct; k++) {
        uint64_t id = delivered.ids[k];
        all &= (id >= 1001 && id < 1003) || (id >= 1010 && id < 1100) || id == 2014 ||
               (id >= 3500 && id < 3503) || (id >= 5001 && id < 5070);
    }
    ok(all, "and no others");
    dms_reader *reader;
    ranges[0].id_ct = 3;
    is_int(dms_reader_open(snapshot, &options, &reader), DMS_ERR_NOT_FOUND,
           "a removed model is not there");
    contains(dms_error_message(), "1003", "its id is named");
    ranges[0].id_ct = 20;
    is_int(dms_reader_open(snapshot, &options, &reader), DMS_ERR_INVALID,
           "ranges that overlap are refused");
    options.id_range_ct = 0;
    must(dms_reader_open(snapshot, &options, &reader));
    const struct dms_batch *batch;
    ok(dms_reader_row_ct(reader) == 0 && dms_reader_next(reader, &batch) == DMS_END &&
           dms_reader_next(reader, &batch) == DMS_END,
       "a reader of no rows is always at an end");
    dms_reader_close(reader);
    struct dms_id_range absent = {2007 + 7, 1};
    options.ids = &absent;
    options.id_range_ct = 1;
    options.output = "extra";
    is_int(dms_reader_open(snapshot, &options, &reader), DMS_ERR_NOT_FOUND,
           "a model without a value is an error when asked for");
    contains(dms_error_message(), "extra", "the column is named");
}

/* ---- what is refused ---- */

static void refused(dms_snapshot *snapshot, const struct dms_reader_options *options,
                    const char *message)
{
    dms_reader *reader;
    is_int(dms_reader_open(snapshot, options, &reader), DMS_ERR_INVALID, message);
}

static void test_refusals(dms_snapshot *snapshot)
{
    struct dms_reader_options options = default_options();
    options.masks = false;
    refused(snapshot, &options, "neither masks nor outputs");
    options = default_options();
    options.output = "alpha";
    refused(snapshot, &options, "a scalar");
    options.output = "logits";
    options.dtype = DMS_F16;
    refused(snapshot, &options, "f32 as f16");
    options.dtype = DMS_U8;
    refused(snapshot, &options, "delivered as u8");
    options.dtype = DMS_F32;
    options.first_target = 39;
    options.target_ct = 2;
    refused(snapshot, &options, "targets out of range");
    options = default_options();
    options.batch_rows = 0;
    refused(snapshot, &options, "batches of no rows");
    options = default_options();
    options.memory_bytes = 5000;
    refused(snapshot, &options, "too little memory");
    contains(dms_error_message(), "bytes of memory", "it says how much is needed");
}

static void test_held_batches(dms_snapshot *snapshot)
{
    struct dms_reader_options options = default_options();
    options.batch_rows = 10;
    options.slot_ct = 3;
    dms_reader *reader;
    const struct dms_batch *batches[4];
    must(dms_reader_open(snapshot, &options, &reader));
    for (int k = 0; k < 3; k++) {
        must(dms_reader_next(reader, &batches[k]));
    }
    is_int(dms_reader_next(reader, &batches[3]), DMS_ERR_INVALID, "one batch more than there are");
    uint64_t first = batches[0]->ids[0];
    dms_reader_release(reader, batches[1]);
    must(dms_reader_next(reader, &batches[3]));
    ok(batches[3]->position == 30 && batches[0]->ids[0] == first &&
           check_masks(&options, batches[0]),
       "held batches stay as they are, whatever the order of release");
    dms_reader_close(reader);
}

static void test_memory(dms_snapshot *snapshot)
{
    struct dms_reader_options options = default_options();
    struct delivered free_choice, bounded;
    dms_reader *reader;
    options.output = "margins";
    options.order = DMS_ORDER_QUASI_RANDOM;
    options.slot_ct = 8;
    must(dms_reader_open(snapshot, &options, &reader));
    uint64_t bytes = dms_reader_memory_bytes(reader);
    dms_reader_close(reader);
    options.memory_bytes = bytes * 2 / 3;
    must(dms_reader_open(snapshot, &options, &reader));
    ok(dms_reader_memory_bytes(reader) <= bytes * 2 / 3, "memory is bounded");
    dms_reader_close(reader);
    bool same = read_all(snapshot, &options, 0, &bounded);
    options.memory_bytes = 0;
    same &= read_all(snapshot, &options, 0, &free_choice);
    ok(same && same_ids(&free_choice, &bounded), "with less memory the order is the same");
}

/* Ends readers in the middle of an epoch, with batches held and work under way. */
static void test_cancel(dms_snapshot *snapshot)
{
    for (uint32_t k = 0; k < 50; k++) {
        struct dms_reader_options options = default_options();
        dms_reader *reader;
        const struct dms_batch *batch;
        options.output = "margins";
        options.order = DMS_ORDER_QUASI_RANDOM;
        options.thread_ct = 3;
        options.batch_rows = 1 + k % 20;
        must(dms_reader_open(snapshot, &options, &reader));
        for (uint32_t next = 0; next < k % 3; next++) {
            must(dms_reader_next(reader, &batch));
        }
        dms_reader_close(reader);
    }
    ok(true, "readers end in mid-epoch");
}

static void test_store(const char *codec)
{
    static const char *const names[] = {"sequential", "quasi-random", "random"};
    const char *path = in_directory(codec);
    known_store_build(path, codec);
    dms_snapshot *snapshot = open_snapshot(path);
    diag("codec %s", codec);
    for (int order = DMS_ORDER_SEQUENTIAL; order <= DMS_ORDER_QUASI_RANDOM; order++) {
        struct dms_reader_options options = default_options();
        options.order = (enum dms_order)order;
        options.output = "margins";
        options.first_target = 1000;
        options.target_ct = 300;
        test_outputs(snapshot, options.order, names[order]);
        test_order(snapshot, options, names[order]);
        test_resume(snapshot, &options, names[order]);
    }
    test_filter(snapshot);
    test_refusals(snapshot);
    test_held_batches(snapshot);
    test_memory(snapshot);
    test_cancel(snapshot);
    dms_snapshot_close(snapshot);
}

/* ---- damage ---- */

/* The largest segment file of a store, and its length. */
static uint64_t largest_segment(const char *store, char *path, size_t path_bytes)
{
    char command[400];
    struct stat status;
    snprintf(command, sizeof command, "ls -S %s/segments/* | head -1", store);
    FILE *names = popen(command, "r");
    known_must(names && fgets(path, (int)path_bytes, names) ? 0 : DMS_ERR_IO, command);
    pclose(names);
    path[strcspn(path, "\n")] = 0;
    known_must(stat(path, &status) == 0 ? 0 : DMS_ERR_IO, path);
    return (uint64_t)status.st_size;
}

static void copy_store(const char *from, const char *to)
{
    char command[600];
    snprintf(command, sizeof command, "cp -r %s %s", from, to);
    known_must(system(command) == 0 ? 0 : DMS_ERR_IO, command);
}

static void remove_store(const char *path)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf %s", path);
    known_must(system(command) == 0 ? 0 : DMS_ERR_IO, command);
}

/* Reads until a failure and returns its code; *row_ct rows came before. All of them must be right.
 */
static int read_to_failure(dms_reader *reader, dms_snapshot *snapshot,
                           const struct dms_reader_options *options, uint64_t *row_ct)
{
    const struct dms_batch *batch;
    struct delivered delivered = {.row_ct = 0};
    int status;
    bool same = true;
    while ((status = dms_reader_next(reader, &batch)) == 0) {
        same &= check_batch(snapshot, options, batch, 0, &delivered);
        dms_reader_release(reader, batch);
    }
    *row_ct = delivered.row_ct;
    return same ? status : 0;
}

static struct dms_reader_options damage_options(void)
{
    struct dms_reader_options options = default_options();
    options.output = "margins";
    options.first_target = 2000;
    options.batch_rows = 8;
    options.slot_ct = 2;
    return options;
}

/* A byte that changed is found where it is reached in the stream, by any number of threads. */
static void test_flipped_byte(const char *codec)
{
    const char *path = in_directory("flipped");
    char segment[300];
    uint64_t row_cts[3];
    copy_store(in_directory(codec), path);
    uint64_t size = largest_segment(path, segment, sizeof segment);
    int file = open(segment, O_RDWR | O_CLOEXEC);
    uint8_t byte;
    known_must(pread(file, &byte, 1, (off_t)(size / 5 * 3)) == 1 ? 0 : DMS_ERR_IO, "pread");
    byte ^= 0x10;
    known_must(pwrite(file, &byte, 1, (off_t)(size / 5 * 3)) == 1 ? 0 : DMS_ERR_IO, "pwrite");
    close(file);
    for (unsigned k = 0; k < 3; k++) {
        dms_snapshot *snapshot = open_snapshot(path);
        struct dms_reader_options options = damage_options();
        dms_reader *reader;
        options.thread_ct = k + 1;
        options.first_target = 0;
        must(dms_reader_open(snapshot, &options, &reader));
        int status = read_to_failure(reader, snapshot, &options, &row_cts[k]);
        const struct dms_batch *batch;
        ok(status == DMS_ERR_CORRUPT && strstr(dms_error_message(), "chunk ") &&
               strstr(dms_error_message(), "offset 0x"),
           "%s, %u threads: the damaged chunk is named", codec, k + 1);
        diag("%s", dms_error_message());
        is_int(dms_reader_next(reader, &batch), status, "the failure stays");
        must(dms_reader_seek(reader, 0, 0));
        uint64_t row_ct;
        is_int(read_to_failure(reader, snapshot, &options, &row_ct), status, "it comes again");
        is_int(row_ct, row_cts[k], "at the same place");
        dms_reader_close(reader);
        dms_snapshot_close(snapshot);
    }
    ok(row_cts[0] > 0 && row_cts[0] == row_cts[1] && row_cts[0] == row_cts[2],
       "%s: the rows before it arrive, %d of them", codec, (int)row_cts[0]);
    remove_store(path);
}

/* A segment that becomes shorter while it is read: `kept` of eight parts of it remain. The batches
 * point to no map, so that the access that fails is the reader's own. */
static void test_truncation(const char *codec, enum dms_order order, int kept)
{
    const char *path = in_directory("truncated");
    char segment[300];
    copy_store(in_directory(codec), path);
    uint64_t size = largest_segment(path, segment, sizeof segment);
    dms_snapshot *snapshot = open_snapshot(path);
    struct dms_reader_options options = damage_options();
    struct delivered delivered;
    dms_reader *reader;
    options.order = order;
    options.masks = false;
    options.mask_columns = true;
    ok(read_all(snapshot, &options, 0, &delivered), "%s, order %d: whole", codec, (int)order);
    must(dms_reader_open(snapshot, &options, &reader));
    must(dms_reader_seek(reader, 1, 0));
    known_must(truncate(segment, (off_t)(size / 8 * (uint64_t)kept)) == 0 ? 0 : DMS_ERR_IO,
               "truncate");
    must(dms_reader_seek(reader, 0, 0));
    uint64_t row_ct;
    int status = read_to_failure(reader, snapshot, &options, &row_ct);
    ok(status == DMS_ERR_CORRUPT && row_ct < dms_reader_row_ct(reader) &&
           strstr(dms_error_message(), "chunk ") && strstr(dms_error_message(), "offset") &&
           strstr(dms_error_message(), "truncated"),
       "%s, order %d: cut to %d/8, an error after %d rows", codec, (int)order, kept, (int)row_ct);
    diag("%s", dms_error_message());
    dms_reader_close(reader);
    dms_snapshot_close(snapshot);
    remove_store(path);
}

/* Bits that went away while a batch that points to them was held. */
static void test_truncated_loan(void)
{
    const char *path = in_directory("truncated");
    char segment[300];
    copy_store(in_directory("none"), path);
    uint64_t size = largest_segment(path, segment, sizeof segment);
    dms_snapshot *snapshot = open_snapshot(path);
    struct dms_reader_options options = default_options();
    struct dms_id_range range = {1010, 100};
    struct dms_chunk_info info;
    const uint8_t *rows;
    dms_reader *reader;
    const struct dms_batch *batch;
    options.ids = &range;
    options.id_range_ct = 1;
    must(dms_reader_open(snapshot, &options, &reader));
    must(dms_reader_next(reader, &batch));
    must(dms_snapshot_map_chunk(snapshot, 0, 0, 0, &info, &rows));
    ok(batch->masks == rows + 10 * info.row_stride_bytes, "masks are lent where they are");
    known_must(truncate(segment, (off_t)(size - 1)) == 0 ? 0 : DMS_ERR_IO, "truncate");
    dms_reader_release(reader, batch);
    is_int(dms_reader_next(reader, &batch), DMS_ERR_CORRUPT,
           "a file cut short under a batch is reported by the next call");
    contains(dms_error_message(), "truncated", "it says what happened");
    dms_reader_close(reader);
    dms_snapshot_close(snapshot);
    remove_store(path);
}

/* Random order needs raw chunks; the sampled masks of the known store are none. */
static void test_random(void)
{
    dms_snapshot *snapshot = open_snapshot(in_directory("none"));
    struct dms_id_range ranges[] = {{1000, 3}, {1004, 145}, {2000, 1}, {2014, 1},
                                    {3000, 1}, {3006, 1},   {3500, 3}, {4000, 2}};
    struct dms_reader_options options = default_options();
    dms_reader *reader;
    options.order = DMS_ORDER_RANDOM;
    is_int(dms_reader_open(snapshot, &options, &reader), DMS_ERR_UNSUPPORTED,
           "random order refuses encoded masks");
    contains(dms_error_message(), "quasi-random", "it says what to do");
    options.ids = ranges;
    options.id_range_ct = sizeof ranges / sizeof ranges[0];
    options.mask_columns = true;
    test_order(snapshot, options, "random");
    test_resume(snapshot, &options, "random");
    options.id_range_ct = 2;
    options.output = "flags";
    options.first_target = 5;
    test_order(snapshot, options, "random, with outputs");
    dms_snapshot_close(snapshot);
}

/* ---- the cache of decoded chunks --------------------------------------------- */

static uint64_t file_bytes(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static void flip_byte(const char *path, uint64_t at)
{
    uint8_t byte;
    int file = open(path, O_RDWR | O_CLOEXEC);
    known_must(pread(file, &byte, 1, (off_t)at) == 1 ? 0 : DMS_ERR_IO, path);
    byte ^= 1;
    known_must(pwrite(file, &byte, 1, (off_t)at) == 1 ? 0 : DMS_ERR_IO, path);
    close(file);
}

/* All rows and values of a compressed store in random order: possible only where the cache has
 * everything, since `without` is an error then. */
static bool reads_at_random(dms_snapshot *snapshot, const char *warm_path, int *status)
{
    struct dms_reader_options options = default_options();
    struct dms_id_range range = {1004, 140};
    struct delivered delivered;
    dms_reader *reader;
    options.order = DMS_ORDER_RANDOM;
    options.output = "margins";
    options.ids = &range;
    options.id_range_ct = 1;
    options.mask_columns = true;
    options.warm_path = warm_path;
    *status = dms_reader_open(snapshot, &options, &reader);
    if (*status != 0) {
        return false;
    }
    bool same = read_epoch(reader, snapshot, &options, 0, &delivered);
    dms_reader_close(reader);
    return same;
}

/* A cache that is damaged somewhere gives right rows or a refusal. */
static void test_damaged_cache(dms_snapshot *snapshot, const char *cache)
{
    uint64_t bytes = file_bytes(cache);
    bool never_wrong = true;
    unsigned refused_ct = 0;
    struct dms_reader_options options = default_options();
    struct delivered delivered;
    dms_reader *reader;
    options.output = "margins";
    for (uint64_t k = 0; k < 40; k++) {
        /* The head and the list, then the rows. */
        uint64_t at = k < 20 ? k * 7 : bytes / 40 * k;
        flip_byte(cache, at);
        options.warm_path = NULL;
        never_wrong &= read_all(snapshot, &options, 0, &delivered);
        options.warm_path = cache;
        int status = dms_reader_open(snapshot, &options, &reader);
        if (status == 0) {
            never_wrong &= read_epoch(reader, snapshot, &options, 0, &delivered);
            dms_reader_close(reader);
        } else {
            refused_ct++;
            never_wrong &=
                status == DMS_ERR_CORRUPT || status == DMS_ERR_INVALID || status == DMS_ERR_VERSION;
            never_wrong &= strstr(dms_error_message(), cache) != NULL;
        }
        flip_byte(cache, at);
    }
    ok(never_wrong && refused_ct >= 20, "a damaged cache is refused or not used (%u refused)",
       refused_ct);
}

static void test_cut_cache(dms_snapshot *snapshot, const char *cache)
{
    struct dms_reader_options options = default_options();
    dms_reader *reader;
    uint64_t row_ct;
    int status;
    options.masks = false;
    options.mask_columns = true;
    must(dms_reader_open(snapshot, &options, &reader));
    known_must(truncate(cache, (off_t)(file_bytes(cache) / 2)) == 0 ? 0 : DMS_ERR_IO, cache);
    must(dms_reader_seek(reader, 1, 0));
    must(dms_reader_seek(reader, 0, 0));
    status = read_to_failure(reader, snapshot, &options, &row_ct);
    ok(status == DMS_ERR_CORRUPT, "a cache cut short under a reader is an error");
    contains(dms_error_message(), "dmstore warm", "it says what to do");
    dms_reader_close(reader);
}

static void test_warm(void)
{
    char cache[300];
    int status;
    struct dms_warm_options options = {.output = "margins", .thread_ct = 2};
    struct dms_warm_result result;
    dms_snapshot *snapshot = open_snapshot(in_directory("zstd:3"));
    snprintf(cache, sizeof cache, "%s/warm.cache", in_directory("zstd:3"));
    reads_at_random(snapshot, NULL, &status);
    is_int(status, DMS_ERR_UNSUPPORTED, "without a cache there is no random order");
    reads_at_random(snapshot, cache, &status);
    is_int(status, DMS_ERR_NOT_FOUND, "a cache that is asked for and not there");
    must(dms_snapshot_warm(snapshot, &options, &result));
    ok(result.chunk_ct > 0 && result.left_out_ct == 0 && result.file_bytes == file_bytes(cache),
       "%d chunks are in the cache, %d are raw", (int)result.chunk_ct, (int)result.raw_ct);
    uint64_t whole_bytes = result.file_bytes;
    ok(reads_at_random(snapshot, NULL, &status), "with the store's own cache there is");
    ok(reads_at_random(snapshot, cache, &status), "also when it is named");
    reads_at_random(snapshot, "", &status);
    is_int(status, DMS_ERR_UNSUPPORTED, "or not when none is wanted");
    for (int order = DMS_ORDER_SEQUENTIAL; order <= DMS_ORDER_QUASI_RANDOM; order++) {
        struct dms_reader_options cold = default_options();
        struct delivered from_chunks, from_cache;
        cold.order = (enum dms_order)order;
        cold.output = "margins";
        cold.warm_path = "";
        bool same = read_all(snapshot, &cold, 0, &from_chunks);
        cold.warm_path = NULL;
        same &= read_all(snapshot, &cold, 0, &from_cache);
        ok(same && same_ids(&from_chunks, &from_cache), "order %d is the same with a cache", order);
    }
    test_damaged_cache(snapshot, cache);

    dms_snapshot *other = open_snapshot(in_directory("none"));
    reads_at_random(other, cache, &status);
    is_int(status, DMS_ERR_INVALID, "the cache of another store is refused");
    dms_snapshot_close(other);

    options.limit_bytes = whole_bytes / 3;
    must(dms_snapshot_warm(snapshot, &options, &result));
    ok(result.left_out_ct > 0 && file_bytes(cache) == result.file_bytes &&
           result.file_bytes <= options.limit_bytes,
       "a limit leaves chunks out");
    struct delivered delivered;
    struct dms_reader_options partly = default_options();
    partly.output = "margins";
    ok(read_all(snapshot, &partly, 0, &delivered), "what is left out is decoded");
    test_cut_cache(snapshot, cache);
    uint64_t removed_bytes;
    must(dms_snapshot_warm_remove(snapshot, &removed_bytes));
    ok(removed_bytes > 0 && file_bytes(cache) == 0, "the cache is removed");
    must(dms_snapshot_warm_remove(snapshot, &removed_bytes));
    is_int(removed_bytes, 0, "there is none to remove");
    dms_snapshot_close(snapshot);
}

int main(void)
{
    known_must(mkdtemp(directory) ? 0 : DMS_ERR_IO, "mkdtemp");
    test_permutations();
    test_store("none");
    test_store("zstd:3");
    test_random();
    test_flipped_byte("none");
    test_flipped_byte("zstd:3");
    for (int kept = 0; kept < 6; kept += 5) {
        test_truncation("none", DMS_ORDER_SEQUENTIAL, kept);
        test_truncation("none", DMS_ORDER_QUASI_RANDOM, kept);
        test_truncation("zstd:3", DMS_ORDER_SEQUENTIAL, kept);
    }
    test_truncated_loan();
    test_warm();
    remove_store(directory);
    return tap_done();
}
