/*
 * Single rows appended durably by many processes at once, and by many threads of one, against the
 * same processes doing the least that is needed (append_reference.h: write, fdatasync and LMDB
 * commit of the same size under one lock).
 *
 *   append_bench [--full] [--rows M] [--examples D] [--targets N] [--repeats R]
 *                [--processes 1|2|4|8] [--directory DIR]
 *
 * --rows is what all workers append together in one run. A run begins when all workers have opened
 * the store and ends when the last one is done; store and reference alternate.
 */
#include "dmstore/store.h"
#include "tests/bench/append_reference.h"
#include "tests/bench/bench.h"
#include "tests/bench/data.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKER_MAX = 64 };

struct setting {
    struct bench_data data;
    uint64_t repeat_ct;
    bool is_full;
    const char *directory;
    const char *store;   /* of the store or the reference of one run */
    uint64_t process_ct; /* 0: 1, 2, 4, 8 and threads */
};

/* One run: who appends how many rows to what. */
struct run {
    const struct setting *setting;
    unsigned worker_ct;
    uint64_t row_ct; /* of all workers */
    bool is_reference;
};

/* ---- a worker's rows ------------------------------------------------------ */

struct row_bytes {
    uint8_t *mask, *margins;
    size_t mask_bytes, margin_bytes;
};

/* One row's bytes, mask first, as the reference writes them. */
static struct row_bytes make_row(const struct bench_data *data)
{
    struct row_bytes row = {.mask_bytes = (size_t)(data->example_ct + 7) / 8,
                            .margin_bytes = (size_t)data->target_ct * 2};
    row.mask = bench_alloc(row.mask_bytes + row.margin_bytes + 1);
    uint16_t *margins = bench_alloc(row.margin_bytes + 1);
    bench_masks(data, 0, 1, row.mask);
    bench_margins(data, 0, 1, 0, data->target_ct, margins);
    row.margins = row.mask + row.mask_bytes;
    memcpy(row.margins, margins, row.margin_bytes);
    free(margins);
    return row;
}

/* Appends this worker's share of the rows. */
static void append_to_store(const struct run *run, unsigned worker, dms_store *store)
{
    struct row_bytes row = make_row(&run->setting->data);
    const void *outputs[] = {row.margins};
    for (uint64_t id = worker; id < run->row_ct; id += run->worker_ct) {
        row.mask[0] = (uint8_t)id;
        bench_check(dms_append(store, id, row.mask, outputs, NULL), "append");
    }
    free(row.mask);
}

static void append_to_reference(const struct run *run, unsigned worker,
                                struct append_reference *reference)
{
    struct row_bytes row = make_row(&run->setting->data);
    for (uint64_t id = worker; id < run->row_ct; id += run->worker_ct) {
        row.mask[0] = (uint8_t)id;
        append_reference_append(reference, id, row.mask, row.mask_bytes + row.margin_bytes);
    }
    free(row.mask);
}

/* ---- processes ------------------------------------------------------------ */

/* Pipes between the parent and its workers: a worker that is ready says so and waits until the
 * parent lets all of them go by closing its end. */
struct start {
    int ready[2], go[2];
};

static void wait_for_start(const struct start *start)
{
    char byte = 0;
    close(start->go[1]);
    if (write(start->ready[1], &byte, 1) != 1 || read(start->go[0], &byte, 1) != 0) {
        bench_die("a worker could not wait: %s", strerror(errno));
    }
}

static void work(const struct run *run, unsigned worker, const struct start *start)
{
    const char *path = run->setting->store;
    if (run->is_reference) {
        struct append_reference *reference = append_reference_open(path);
        wait_for_start(start);
        append_to_reference(run, worker, reference);
        append_reference_close(reference);
    } else {
        dms_store *store;
        bench_check(dms_store_open(path, &store), "open");
        wait_for_start(start);
        append_to_store(run, worker, store);
        dms_store_close(store);
    }
}

static void start_worker(const struct run *run, unsigned worker, const struct start *start,
                         pid_t *pid)
{
    *pid = fork();
    if (*pid < 0) {
        bench_die("fork: %s", strerror(errno));
    }
    if (*pid == 0) {
        work(run, worker, start);
        _exit(0);
    }
}

/* Seconds from when all may begin until all are done. */
static double time_processes(const struct run *run)
{
    struct start start;
    pid_t workers[WORKER_MAX];
    char byte;
    if (pipe(start.ready) != 0 || pipe(start.go) != 0) {
        bench_die("pipe: %s", strerror(errno));
    }
    for (unsigned worker = 0; worker < run->worker_ct; worker++) {
        start_worker(run, worker, &start, &workers[worker]);
    }
    close(start.ready[1]);
    for (unsigned worker = 0; worker < run->worker_ct; worker++) {
        if (read(start.ready[0], &byte, 1) != 1) {
            bench_die("a worker did not start");
        }
    }
    close(start.ready[0]);
    close(start.go[0]);
    double began = bench_now();
    close(start.go[1]);
    for (unsigned worker = 0; worker < run->worker_ct; worker++) {
        int status;
        if (waitpid(workers[worker], &status, 0) < 0 || status != 0) {
            bench_die("a worker failed");
        }
    }
    return bench_now() - began;
}

/* ---- threads -------------------------------------------------------------- */

struct thread {
    const struct run *run;
    unsigned worker;
    dms_store *store;
};

static void *run_thread(void *context)
{
    const struct thread *thread = context;
    append_to_store(thread->run, thread->worker, thread->store);
    return NULL;
}

static double time_threads(const struct run *run)
{
    struct thread threads[WORKER_MAX];
    pthread_t handles[WORKER_MAX];
    dms_store *store;
    bench_check(dms_store_open(run->setting->store, &store), "open");
    double began = bench_now();
    for (unsigned worker = 0; worker < run->worker_ct; worker++) {
        threads[worker] = (struct thread){run, worker, store};
        if (pthread_create(&handles[worker], NULL, run_thread, &threads[worker]) != 0) {
            bench_die("cannot start a thread");
        }
    }
    for (unsigned worker = 0; worker < run->worker_ct; worker++) {
        pthread_join(handles[worker], NULL);
    }
    double seconds = bench_now() - began;
    dms_store_close(store);
    return seconds;
}

/* ---- measuring ------------------------------------------------------------ */

/* Rows a second of one run, in a new store or a new place for the reference. */
static double rate(const struct run *run, double (*time)(const struct run *run))
{
    const char *path = run->setting->store;
    bench_remove(path);
    if (run->is_reference) {
        if (mkdir(path, 0777) != 0) {
            bench_die("cannot make '%s': %s", path, strerror(errno));
        }
    } else {
        bench_create(&run->setting->data, path, "none", 0);
    }
    return (double)run->row_ct / time(run);
}

static void measure(const struct setting *setting, unsigned worker_ct, uint64_t row_ct,
                    const char *what, double (*time)(const struct run *run), bool has_goal)
{
    struct run store = {setting, worker_ct, row_ct, false};
    struct run reference = {setting, worker_ct, row_ct, true};
    struct bench_series rates = {.value_ct = 0};
    struct bench_series reference_rates = {.value_ct = 0};
    for (uint64_t repeat = 0; repeat < setting->repeat_ct; repeat++) {
        bench_add(&reference_rates, rate(&reference, time_processes));
        bench_add(&rates, rate(&store, time));
    }
    bench_print_row(&(struct bench_row){
        .what = what,
        .size = bench_text("%" PRIu64 " rows of d %" PRIu64 ", n %" PRIu64, row_ct,
                           setting->data.example_ct, setting->data.target_ct),
        .series = &rates,
        .unit = "rows/s",
        .reference_name = bench_text("%u processes: write + fdatasync + LMDB commit", worker_ct),
        .reference = &reference_rates,
        .goal = has_goal ? BENCH_AT_LEAST : BENCH_NO_GOAL,
        .is_goal_of_ratio = true,
        .limit = 0.8,
    });
}

int main(int argc, char **argv)
{
    struct setting setting = {.data = {.example_ct = 50000, .target_ct = 10000, .seed = 1},
                              .repeat_ct = 5};
    const struct bench_flag flags[] = {
        {.name = "full", .is_set = &setting.is_full},
        {.name = "rows", .number = &setting.data.row_ct},
        {.name = "examples", .number = &setting.data.example_ct},
        {.name = "targets", .number = &setting.data.target_ct},
        {.name = "repeats", .number = &setting.repeat_ct},
        {.name = "processes", .number = &setting.process_ct},
        {.name = "directory", .text = &setting.directory},
    };
    bench_read_flags(argc, argv, flags, sizeof flags / sizeof *flags);
    uint64_t row_ct = setting.data.row_ct ? setting.data.row_ct : (setting.is_full ? 400 : 200);
    setting.directory = bench_make_directory(setting.directory);
    setting.store = bench_path(setting.directory, "store");

    bench_print_head(setting.directory);
    for (unsigned worker_ct = 1; worker_ct <= 8; worker_ct *= 2) {
        if (setting.process_ct == 0 || setting.process_ct == worker_ct) {
            measure(&setting, worker_ct, row_ct, bench_text("append, processes: %u", worker_ct),
                    time_processes, worker_ct == 8);
        }
    }
    if (setting.process_ct == 0) {
        measure(&setting, 8, 8 * row_ct, "append, processes: 8, groups sealed on the way",
                time_processes, false);
        measure(&setting, 8, row_ct, "append, threads of one process: 8", time_threads, false);
    }
    bench_remove(setting.directory);
    return 0;
}
