/*
 * Opening a store of very many rows, and reading one row: in the library and with `dmstore get`,
 * beyond the start-up of the program (what `dmstore --version` takes).
 *
 *   open_bench [--full] [--rows M] [--group-rows R] [--value-rows M] [--repeats R] [--dmstore
 * PROGRAM] [--directory DIR]
 *
 * All times are processor time (in the program and in the kernel), the same as time on the wall
 * when the processor is free: nothing is waited for, since everything is in the page cache. Only so
 * do figures below a millisecond mean anything on a machine that does other things, too.
 *
 * Every opening and every read is done in a new process, so that nothing is at hand but the page
 * cache. "First read" therefore includes checking the hashes of the chunks it touches.
 */
#include "dmstore/snapshot.h"
#include "tests/bench/bench.h"
#include "tests/bench/data.h"
#include "tests/bench/process.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

/* A store of the benchmark. */
struct kind {
    const char *name;
    const char *codec;
    uint32_t chunk_rows;
    struct bench_data data;
    const char *path;
    enum bench_ids order;
};

struct setting {
    const char *program;
    uint64_t repeat_ct;
    struct kind many, shuffled, raw, zstd;
};

/* ---- stores --------------------------------------------------------------- */

static void make_store(const void *context, double *results)
{
    const struct kind *kind = context;
    bench_create(&kind->data, kind->path, kind->codec, kind->chunk_rows);
    bench_fill(&kind->data, kind->path, kind->order, false);
    *results = 0;
}

static const char *size_of(const struct kind *kind)
{
    return bench_text("%" PRIu64 " rows, d %" PRIu64 ", n %" PRIu64 ", %s", kind->data.row_ct,
                      kind->data.example_ct, kind->data.target_ct, kind->name);
}

/* ---- opening -------------------------------------------------------------- */

static void open_snapshot(const void *context, double *results)
{
    const struct kind *kind = context;
    dms_snapshot *snapshot;
    double start = bench_processor_now();
    bench_check(dms_snapshot_open(kind->path, &snapshot), "open");
    results[0] = 1e3 * (bench_processor_now() - start);
    results[1] = (double)bench_process_bytes(getpid(), "VmRSS:") / MIB;
    results[2] = (double)dms_snapshot_group_ct(snapshot);
    dms_snapshot_close(snapshot);
}

static void open_store(const void *context, double *results)
{
    const struct kind *kind = context;
    dms_store *store;
    double start = bench_processor_now();
    bench_check(dms_store_open(kind->path, &store), "open");
    results[0] = 1e3 * (bench_processor_now() - start);
    results[1] = (double)bench_process_bytes(getpid(), "VmRSS:") / MIB;
    results[2] = 0;
    dms_store_close(store);
}

static void measure_open(const struct setting *setting, const struct kind *kind, const char *what,
                         void (*work)(const void *context, double *results), bool has_goal)
{
    struct bench_series ms = {.value_ct = 0};
    struct bench_series resident = {.value_ct = 0};
    double results[3];
    for (uint64_t repeat = 0; repeat < setting->repeat_ct; repeat++) {
        bench_in_child(work, kind, results, 3);
        bench_add(&ms, results[0]);
        bench_add(&resident, results[1]);
    }
    const char *size = size_of(kind);
    if (results[2] > 0) {
        size = bench_text("%s, %.0f groups", size, results[2]);
    }
    bench_print_row(&(struct bench_row){
        .what = what,
        .size = size,
        .series = &ms,
        .unit = "ms",
        .goal = has_goal ? BENCH_AT_MOST : BENCH_NO_GOAL,
        .limit = 10,
    });
    bench_print_row(&(struct bench_row){
        .what = bench_text("%s: resident", what),
        .size = size,
        .series = &resident,
        .unit = "MiB",
        .goal = has_goal ? BENCH_AT_MOST : BENCH_NO_GOAL,
        .limit = 20,
    });
}

/* ---- one row in the library ----------------------------------------------- */

/* results: ms of the first read of a mask, of its second; the same for all margins of a row. */
static void read_row(const void *context, double *results)
{
    const struct kind *kind = context;
    uint8_t *mask = bench_alloc((size_t)kind->data.example_ct / 8 + 1);
    uint16_t *margins = bench_alloc((size_t)kind->data.target_ct * sizeof *margins + 1);
    struct dms_position position;
    dms_snapshot *snapshot;
    uint64_t id = kind->data.row_ct / 3;
    bench_check(dms_snapshot_open(kind->path, &snapshot), "open");
    for (int k = 0; k < 2; k++) {
        double start = bench_processor_now();
        bench_check(dms_snapshot_find(snapshot, id, &position), "find");
        bench_check(dms_snapshot_read_masks(snapshot, position.group, position.row, 1, mask),
                    "read a mask");
        results[k] = 1e3 * (bench_processor_now() - start);
    }
    for (int k = 2; k < 4; k++) {
        double start = bench_processor_now();
        if (kind->data.target_ct > 0) {
            bench_check(dms_snapshot_find(snapshot, id, &position), "find");
            bench_check(dms_snapshot_read_values(snapshot, position.group, 2, position.row, 1, 0,
                                                 kind->data.target_ct, margins),
                        "read margins");
        }
        results[k] = 1e3 * (bench_processor_now() - start);
    }
    dms_snapshot_close(snapshot);
    free(mask);
    free(margins);
}

static void measure_reads(const struct setting *setting, const struct kind *kind,
                          double margins_limit)
{
    static const char *const whats[] = {"first read of a mask", "second read of a mask",
                                        "first read of a row's margins",
                                        "second read of a row's margins"};
    struct bench_series ms[4] = {{.value_ct = 0}};
    for (uint64_t repeat = 0; repeat < setting->repeat_ct; repeat++) {
        double results[4];
        bench_in_child(read_row, kind, results, 4);
        for (int k = 0; k < 4; k++) {
            bench_add(&ms[k], results[k]);
        }
    }
    for (int k = 0; k < (kind->data.target_ct > 0 ? 4 : 2); k++) {
        bench_print_row(&(struct bench_row){
            .what = whats[k],
            .size = size_of(kind),
            .series = &ms[k],
            .unit = "ms",
            .goal = BENCH_AT_MOST,
            .limit = k < 2 ? 1 : margins_limit,
        });
    }
}

/* ---- one row with the command --------------------------------------------- */

/* column NULL: the mask. */
static void measure_get(const struct setting *setting, const struct kind *kind, const char *column,
                        const char *format, double limit)
{
    const char *id = bench_text("%" PRIu64, kind->data.row_ct / 3);
    const char *get[11] = {setting->program, "get", kind->path, "--id", id, "--format", format};
    get[7] = column ? "--output" : "--mask";
    get[8] = column;
    const char *version[] = {setting->program, "--version", NULL};
    struct bench_series beyond = {.value_ct = 0};
    struct bench_series start_up = {.value_ct = 0};
    for (uint64_t repeat = 0; repeat < setting->repeat_ct; repeat++) {
        struct bench_process started;
        struct bench_process got;
        bench_run(version, &started);
        bench_run(get, &got);
        bench_add(&start_up, 1e3 * started.processor_seconds);
        bench_add(&beyond, 1e3 * (got.processor_seconds - started.processor_seconds));
    }
    bench_print_row(&(struct bench_row){
        .what =
            bench_text("get --%s --format %s, whole process", column ? "output" : "mask", format),
        .size = size_of(kind),
        .series = &beyond,
        .unit = "ms",
        .reference_name = "start-up (subtracted)",
        .reference = &start_up,
        .goal = BENCH_AT_MOST,
        .limit = limit,
    });
}

static void measure(const struct setting *setting)
{
    measure_open(setting, &setting->many, "open a snapshot", open_snapshot, true);
    measure_open(setting, &setting->many, "open for writing", open_store, true);
    measure_open(setting, &setting->shuffled, "open a snapshot", open_snapshot, false);
    measure_reads(setting, &setting->many, 0);
    measure_reads(setting, &setting->raw, 5);
    measure_reads(setting, &setting->zstd, 50);
    static const char *const formats[] = {"raw", "text"};
    for (int k = 0; k < 2; k++) {
        measure_get(setting, &setting->many, NULL, formats[k], 1);
        measure_get(setting, &setting->raw, NULL, formats[k], 1);
        measure_get(setting, &setting->zstd, NULL, formats[k], 1);
        measure_get(setting, &setting->raw, "margins", formats[k], 5);
        measure_get(setting, &setting->zstd, "margins", formats[k], 50);
    }
}

int main(int argc, char **argv)
{
    uint64_t row_ct = 0;
    uint64_t value_row_ct = 0;
    uint64_t group_rows = 1024;
    bool is_full = false;
    const char *directory = NULL;
    struct setting setting = {.repeat_ct = 21, .program = "./dmstore"};
    const struct bench_flag flags[] = {
        {.name = "full", .is_set = &is_full},
        {.name = "rows", .number = &row_ct},
        {.name = "group-rows", .number = &group_rows},
        {.name = "value-rows", .number = &value_row_ct},
        {.name = "repeats", .number = &setting.repeat_ct},
        {.name = "dmstore", .text = &setting.program},
        {.name = "directory", .text = &directory},
    };
    bench_read_flags(argc, argv, flags, sizeof flags / sizeof *flags);
    row_ct = row_ct ? row_ct : (is_full ? 1500000 : 150000);
    value_row_ct = value_row_ct ? value_row_ct : (is_full ? 8192 : 2048);
    directory = bench_make_directory(directory);
    struct bench_data many = {.row_ct = row_ct, .example_ct = 64, .seed = 1};
    struct bench_data values = {
        .row_ct = value_row_ct, .example_ct = 50000, .target_ct = 10000, .seed = 1};
    uint32_t chunk_rows = (uint32_t)group_rows;
    setting.many =
        (struct kind){"ids in order",    "none", chunk_rows, many, bench_path(directory, "many"),
                      BENCH_IDS_IN_ORDER};
    setting.shuffled = (struct kind){
        "ids in no order", "none", chunk_rows, many, bench_path(directory, "shuffled"),
        BENCH_IDS_SHUFFLED};
    setting.raw =
        (struct kind){"raw", "none", 0, values, bench_path(directory, "raw"), BENCH_IDS_IN_ORDER};
    setting.zstd = (struct kind){
        "zstd:1", "zstd:1", 0, values, bench_path(directory, "zstd"), BENCH_IDS_IN_ORDER};

    bench_print_head(directory);
    const struct kind *kinds[] = {&setting.many, &setting.shuffled, &setting.raw, &setting.zstd};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        double nothing;
        bench_in_child(make_store, kinds[k], &nothing, 1);
    }
    measure(&setting);
    bench_remove(directory);
    return 0;
}
