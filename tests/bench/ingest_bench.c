/*
 * Ingest of a finished run's .npy files, against cp and fsync of the same files: `dmstore ingest`
 * as a process, into raw and zstd stores, from bool and from packed masks; the memory it needs; and
 * the kernel that packs the bools.
 *
 *   ingest_bench [--full] [--rows M] [--examples D] [--targets N] [--repeats R] [--dmstore PROGRAM]
 * [--directory DIR]
 *
 * Before each timed run what was written before is removed and the file system is synced, so that
 * no run pays for another. The source files are in the page cache, for both sides.
 */
#include "dmstore/snapshot.h"
#include "kernels/kernels.h"
#include "tests/bench/bench.h"
#include "tests/bench/data.h"
#include "tests/bench/process.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { KERNEL_BYTES = 64 << 20, KERNEL_REPEATS = 11, MIB = 1 << 20 };

struct setting {
    struct bench_data data;
    const char *program;
    uint64_t repeat_ct;
    bool is_full;
    const char *directory;
    const char *masks, *packed, *margins; /* source files */
    const char *store, *copies;           /* what the runs make */
};

/* One way in: a kind of mask file into a store of one codec, and a copy of what it reads. */
struct way {
    const char *what;
    const char *codec;
    bool is_packed;
    struct bench_series seconds, copy_seconds, anonymous_mib;
};

static void clean(const struct setting *setting)
{
    bench_remove(setting->store);
    bench_remove(setting->copies);
    sync();
}

static void run_ingest(const struct setting *setting, struct way *way)
{
    const char *output = bench_text("margins=%s", setting->margins);
    const char *command[] = {setting->program,
                             "ingest",
                             setting->store,
                             "--masks",
                             way->is_packed ? setting->packed : setting->masks,
                             "--output",
                             output,
                             way->is_packed ? "--packed-masks" : NULL,
                             NULL};
    struct bench_process process;
    clean(setting);
    bench_create(&setting->data, setting->store, way->codec, 0);
    bench_run(command, &process);
    bench_add(&way->seconds, process.seconds);
    bench_add(&way->anonymous_mib, (double)process.anonymous_bytes / MIB);

    struct dms_snapshot_info info;
    dms_snapshot *snapshot;
    bench_check(dms_snapshot_open(setting->store, &snapshot), "open");
    dms_snapshot_info(snapshot, &info);
    dms_snapshot_close(snapshot);
    if (info.model_ct != setting->data.row_ct) {
        bench_die("%" PRIu64 " rows went in, %" PRIu64 " are there", setting->data.row_ct,
                  info.model_ct);
    }
}

static void run_copy(const struct setting *setting, struct way *way)
{
    clean(setting);
    const char *make[] = {"mkdir", setting->copies, NULL};
    bench_run(make, NULL);
    double start = bench_now();
    bench_copy(way->is_packed ? setting->packed : setting->masks,
               bench_path(setting->copies, "masks.npy"));
    bench_copy(setting->margins, bench_path(setting->copies, "margins.npy"));
    bench_add(&way->copy_seconds, bench_now() - start);
}

static void print_way(const struct setting *setting, const struct way *way)
{
    const struct bench_data *data = &setting->data;
    const char *size =
        bench_text("%" PRIu64 " rows, d %" PRIu64 ", n %" PRIu64 ", %.2f GB", data->row_ct,
                   data->example_ct, data->target_ct,
                   1e-9 * (double)data->row_ct *
                       ((way->is_packed ? (double)data->example_ct / 8 : (double)data->example_ct) +
                        2 * (double)data->target_ct));
    bool has_goal = !way->is_packed && way->codec[0] == 'n';
    bench_print_row(&(struct bench_row){
        .what = way->what,
        .size = size,
        .series = &way->seconds,
        .unit = "s",
        .reference_name = "cp + fsync",
        .reference = &way->copy_seconds,
        .goal = has_goal ? BENCH_AT_MOST : BENCH_NO_GOAL,
        .is_goal_of_ratio = true,
        .limit = 1,
    });
    bench_print_row(&(struct bench_row){
        .what = bench_text("%s: RssAnon", way->what),
        .size = size,
        .series = &way->anonymous_mib,
        .unit = "MiB",
        .goal = BENCH_AT_MOST,
        .limit = 512,
    });
}

/* Packing in memory, on one core: input larger than the caches, beside memcpy of it. */
static void measure_packing(void)
{
    uint8_t *bytes = bench_alloc(KERNEL_BYTES);
    uint8_t *bits = bench_alloc(KERNEL_BYTES);
    struct bench_series packed = {.value_ct = 0};
    struct bench_series copied = {.value_ct = 0};
    for (size_t k = 0; k < KERNEL_BYTES; k++) {
        bytes[k] = (uint8_t)(k * 2654435761u >> 13 & 1);
    }
    for (int repeat = 0; repeat < KERNEL_REPEATS; repeat++) {
        double start = bench_processor_now();
        dms_kernels_get()->pack_bits(bytes, KERNEL_BYTES, bits);
        double middle = bench_processor_now();
        __builtin_memcpy(bits, bytes, KERNEL_BYTES);
        double end = bench_processor_now();
        bench_add(&packed, 1e-9 * KERNEL_BYTES / (middle - start));
        bench_add(&copied, 1e-9 * KERNEL_BYTES / (end - middle));
    }
    bench_print_row(&(struct bench_row){
        .what = bench_text("pack bools, a second of one core (%s)", dms_kernels_get()->name),
        .size = "64 MiB of bools",
        .series = &packed,
        .unit = "GB/s",
        .reference_name = "memcpy",
        .reference = &copied,
        .goal = BENCH_AT_LEAST,
        .limit = 4,
    });
    free(bytes);
    free(bits);
}

int main(int argc, char **argv)
{
    struct setting setting = {.data = {.example_ct = 50000, .target_ct = 2000, .seed = 1}};
    const struct bench_flag flags[] = {
        {.name = "full", .is_set = &setting.is_full},
        {.name = "rows", .number = &setting.data.row_ct},
        {.name = "examples", .number = &setting.data.example_ct},
        {.name = "targets", .number = &setting.data.target_ct},
        {.name = "repeats", .number = &setting.repeat_ct},
        {.name = "dmstore", .text = &setting.program},
        {.name = "directory", .text = &setting.directory},
    };
    static struct way ways[] = {
        {.what = "ingest, raw store", .codec = "none"},
        {.what = "ingest, zstd:1 store", .codec = "zstd:1"},
        {.what = "ingest of packed masks, raw store", .codec = "none", .is_packed = true},
    };
    size_t way_ct = sizeof ways / sizeof *ways;
    bench_read_flags(argc, argv, flags, sizeof flags / sizeof *flags);
    setting.program = setting.program ? setting.program : "./dmstore";
    setting.data.row_ct =
        setting.data.row_ct ? setting.data.row_ct : (setting.is_full ? 50000 : 4000);
    setting.repeat_ct = setting.repeat_ct ? setting.repeat_ct : 5;
    setting.directory = bench_make_directory(setting.directory);
    setting.masks = bench_path(setting.directory, "masks.npy");
    setting.packed = bench_path(setting.directory, "packed.npy");
    setting.margins = bench_path(setting.directory, "margins.npy");
    setting.store = bench_path(setting.directory, "store");
    setting.copies = bench_path(setting.directory, "copies");

    bench_print_head(setting.directory);
    bench_write_masks(&setting.data, false, setting.masks);
    bench_write_masks(&setting.data, true, setting.packed);
    bench_write_margins(&setting.data, setting.margins);
    for (uint64_t repeat = 0; repeat < setting.repeat_ct; repeat++) {
        for (size_t k = 0; k < way_ct; k++) {
            run_copy(&setting, &ways[k]);
            run_ingest(&setting, &ways[k]);
        }
    }
    for (size_t k = 0; k < way_ct; k++) {
        print_way(&setting, &ways[k]);
    }
    measure_packing();
    bench_remove(setting.directory);
    return 0;
}
