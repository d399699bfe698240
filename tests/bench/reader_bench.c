/*
 * The reader against what the machine can do with the same bytes: copying them (raw chunks), or
 * decompressing the same frames with libzstd alone (compressed ones), in the same number of
 * threads.
 *
 *   reader_bench [--full] [--rows M] [--examples D] [--targets N] [--batch-rows B] [--threads T]
 *                [--repeats R] [--processor-time] [--directory DIR]
 *
 * Everything is in the page cache and was checked before, all buffers were used before; each repeat
 * measures the reference and the reader in turns. The reader's time is that from seeking an epoch
 * to its end, batches being given back at once; only where masks are lent in place, both sides add
 * up all words, since otherwise nothing would be read at all. Times are on the wall; with
 * --processor-time they are what the process used of the processors, for a machine that does other
 * things, too (then they say nothing about waiting).
 */
#include "dmstore/reader.h"
#include "tests/bench/bench.h"
#include "tests/bench/data.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

/* The payload of a chunk follows its header (format/SPEC.md). */
enum { HEADER_BYTES = 128, THREADS_MAX = 64, COPY_RING = 4 };

struct setting {
    uint64_t repeat_ct;
    uint64_t thread_ct;
    uint64_t batch_rows;
    uint64_t target_ct; /* that are read of each row */
    double (*now)(void);
};

struct kind {
    const char *name;
    struct bench_data data;
    const char *path;
    dms_snapshot *snapshot;
};

/* ---- the reader ------------------------------------------------------------ */

static uint64_t add_words(const uint8_t *bytes, size_t count)
{
    uint64_t sum = 0;
    for (size_t k = 0; k + 8 <= count; k += 8) {
        uint64_t word;
        memcpy(&word, bytes + k, sizeof word);
        sum += word;
    }
    return sum;
}

static volatile uint64_t sink;

/* Seconds of an epoch, of which nothing was prepared. */
static double read_epoch(const struct setting *setting, dms_reader *reader, uint64_t epoch,
                         bool adds_words)
{
    const struct dms_batch *batch;
    int status;
    double start = setting->now();
    bench_check(dms_reader_seek(reader, epoch, 0), "seek");
    while ((status = dms_reader_next(reader, &batch)) == 0) {
        if (adds_words) {
            sink += add_words(batch->masks, batch->row_ct * batch->mask_stride_bytes);
        }
        dms_reader_release(reader, batch);
    }
    double seconds = setting->now() - start;
    bench_check(status < 0 ? status : 0, "read");
    return seconds;
}

/* ---- what raw chunks are held against -------------------------------------- */

/* Rows of all groups, in place. */
struct rows_in_place {
    const uint8_t *rows;
    size_t row_ct, stride;
};

struct copy_job {
    const struct rows_in_place *groups;
    size_t group_ct;
    size_t batch_rows;
    bool adds_words;
    uint8_t *buffers[THREADS_MAX][COPY_RING];
    atomic_size_t next, next_thread;
};

/* Copies group after group, a batch's worth at a time, into buffers that are used again. */
static void *copy_groups(void *context)
{
    struct copy_job *job = context;
    uint8_t *const *ring = job->buffers[atomic_fetch_add(&job->next_thread, 1)];
    unsigned at = 0;
    size_t group;
    while ((group = atomic_fetch_add(&job->next, 1)) < job->group_ct) {
        const struct rows_in_place *from = &job->groups[group];
        for (size_t row = 0; row < from->row_ct; row += job->batch_rows) {
            size_t rest = from->row_ct - row;
            size_t bytes = (rest < job->batch_rows ? rest : job->batch_rows) * from->stride;
            const uint8_t *rows = from->rows + row * from->stride;
            if (job->adds_words) {
                sink += add_words(rows, bytes);
            } else {
                memcpy(ring[at++ % COPY_RING], rows, bytes);
            }
        }
    }
    return NULL;
}

/* ---- what compressed chunks are held against ------------------------------- */

struct frame {
    uint8_t *bytes;
    size_t stored_bytes, decoded_bytes;
};

struct decode_job {
    const struct frame *frames;
    size_t frame_ct;
    uint8_t *buffers[THREADS_MAX];
    atomic_size_t next, next_thread;
};

static void *decode_frames(void *context)
{
    struct decode_job *job = context;
    ZSTD_DCtx *decompressor = ZSTD_createDCtx();
    uint8_t *decoded = job->buffers[atomic_fetch_add(&job->next_thread, 1)];
    size_t frame;
    while ((frame = atomic_fetch_add(&job->next, 1)) < job->frame_ct) {
        const struct frame *from = &job->frames[frame];
        if (ZSTD_decompressDCtx(decompressor, decoded, from->decoded_bytes, from->bytes,
                                from->stored_bytes) != from->decoded_bytes) {
            bench_die("a frame does not decode");
        }
    }
    ZSTD_freeDCtx(decompressor);
    return NULL;
}

/* Runs work(job) in all threads; seconds. */
static double in_threads(const struct setting *setting, uint64_t thread_ct,
                         void *(*work)(void *job), void *job)
{
    pthread_t threads[THREADS_MAX];
    double start = setting->now();
    for (uint64_t k = 0; k < thread_ct; k++) {
        if (pthread_create(&threads[k], NULL, work, job) != 0) {
            bench_die("cannot start a thread");
        }
    }
    for (uint64_t k = 0; k < thread_ct; k++) {
        pthread_join(threads[k], NULL);
    }
    return setting->now() - start;
}

/* ---- collecting ------------------------------------------------------------ */

static struct rows_in_place *map_groups(const struct kind *kind, size_t *group_ct)
{
    *group_ct = dms_snapshot_group_ct(kind->snapshot);
    struct rows_in_place *groups = bench_alloc(*group_ct * sizeof *groups);
    for (size_t k = 0; k < *group_ct; k++) {
        struct dms_chunk_info info;
        bench_check(dms_snapshot_map_chunk(kind->snapshot, k, 0, 0, &info, &groups[k].rows), "map");
        groups[k].row_ct = info.row_ct;
        groups[k].stride = info.row_stride_bytes;
    }
    return groups;
}

/* Reads the frames of all mask chunks. */
static struct frame *read_frames(const struct kind *kind, size_t *frame_ct)
{
    *frame_ct = dms_snapshot_group_ct(kind->snapshot);
    struct frame *frames = bench_alloc(*frame_ct * sizeof *frames);
    for (size_t k = 0; k < *frame_ct; k++) {
        struct dms_chunk_info info;
        bench_check(dms_snapshot_chunk(kind->snapshot, k, 0, 0, &info), "find a chunk");
        if (info.codec != DMS_CODEC_ZSTD) {
            bench_die("chunk %zu is not compressed", k);
        }
        const char *segment = bench_text("%s/segments/%08" PRIu64 ".dms", kind->path, info.segment);
        int file = open(segment, O_RDONLY | O_CLOEXEC);
        frames[k].bytes = bench_alloc((size_t)info.stored_bytes);
        frames[k].stored_bytes = (size_t)info.stored_bytes;
        frames[k].decoded_bytes = (size_t)info.decoded_bytes;
        if (file < 0 || pread(file, frames[k].bytes, (size_t)info.stored_bytes,
                              (off_t)(info.offset + HEADER_BYTES)) != (ssize_t)info.stored_bytes) {
            bench_die("cannot read '%s'", segment);
        }
        close(file);
    }
    return frames;
}

/* ---- measuring ------------------------------------------------------------- */

struct comparison {
    const char *what;
    enum dms_order order;
    bool has_masks, mask_columns, has_outputs;
    bool adds_words;
    bool has_goal;
};

static dms_reader *open_reader(const struct setting *setting, const struct kind *kind,
                               const struct comparison *comparison)
{
    struct dms_reader_options options;
    dms_reader *reader;
    dms_reader_options_init(&options);
    options.order = comparison->order;
    options.output = comparison->has_outputs ? "margins" : NULL;
    options.target_ct = setting->target_ct;
    options.masks = comparison->has_masks;
    options.mask_columns = comparison->mask_columns;
    options.batch_rows = (uint32_t)setting->batch_rows;
    options.thread_ct = (unsigned)setting->thread_ct;
    options.slot_ct = (uint32_t)setting->thread_ct + 3;
    bench_check(dms_reader_open(kind->snapshot, &options, &reader), "open a reader");
    return reader;
}

/* Compares GB/s of one kind of reading with a reference whose seconds run_reference(job) gives. */
static void compare(const struct setting *setting, const struct kind *kind,
                    const struct comparison *comparison, double gigabytes,
                    double (*run_reference)(const struct setting *, void *), void *job,
                    const char *reference_name)
{
    struct bench_series measured = {.value_ct = 0};
    struct bench_series reference = {.value_ct = 0};
    dms_reader *reader = open_reader(setting, kind, comparison);
    read_epoch(setting, reader, 0, comparison->adds_words);
    run_reference(setting, job);
    for (uint64_t repeat = 0; repeat < setting->repeat_ct; repeat++) {
        bench_add(&reference, gigabytes / run_reference(setting, job));
        /* Another epoch than the one whose first batches are there already. */
        bench_add(&measured,
                  gigabytes / read_epoch(setting, reader, 2 * repeat + 2, comparison->adds_words));
    }
    bench_print_row(&(struct bench_row){
        .what = comparison->what,
        .size =
            bench_text("%" PRIu64 " rows, d %" PRIu64 ", %s, batches of %" PRIu64 ", %" PRIu64
                       " threads, %.0f MiB of buffers",
                       kind->data.row_ct, kind->data.example_ct, kind->name, setting->batch_rows,
                       setting->thread_ct, (double)dms_reader_memory_bytes(reader) / (1 << 20)),
        .series = &measured,
        .unit = "GB/s",
        .reference_name = reference_name,
        .reference = &reference,
        .goal = comparison->has_goal ? BENCH_AT_LEAST : BENCH_NO_GOAL,
        .is_goal_of_ratio = true,
        .limit = 0.8,
    });
    dms_reader_close(reader);
}

static double run_copy(const struct setting *setting, void *context)
{
    struct copy_job *job = context;
    atomic_store(&job->next, 0);
    atomic_store(&job->next_thread, 0);
    /* Words are added up by the one consumer. */
    return in_threads(setting, job->adds_words ? 1 : setting->thread_ct, copy_groups, job);
}

static double run_decode(const struct setting *setting, void *context)
{
    struct decode_job *job = context;
    atomic_store(&job->next, 0);
    atomic_store(&job->next_thread, 0);
    return in_threads(setting, setting->thread_ct, decode_frames, job);
}

static void measure_raw(const struct setting *setting, const struct kind *kind)
{
    static const struct comparison comparisons[] = {
        {"raw masks, quasi-random", DMS_ORDER_QUASI_RANDOM, true, false, false, false, true},
        {"raw masks, random", DMS_ORDER_RANDOM, true, false, false, false, true},
        {"raw masks, transposed, quasi-random", DMS_ORDER_QUASI_RANDOM, true, true, false, false,
         false},
        {"raw masks and margins as f32, quasi-random", DMS_ORDER_QUASI_RANDOM, true, false, true,
         false, false},
    };
    static const struct comparison in_place = {"raw masks, sequential, words added up",
                                               DMS_ORDER_SEQUENTIAL,
                                               true,
                                               false,
                                               false,
                                               true,
                                               true};
    struct copy_job job = {.batch_rows = setting->batch_rows};
    struct rows_in_place *groups = map_groups(kind, &job.group_ct);
    double mask_bytes = (double)kind->data.row_ct * (double)((kind->data.example_ct + 7) / 8);
    job.groups = groups;
    for (uint64_t k = 0; k < setting->thread_ct * COPY_RING; k++) {
        job.buffers[k / COPY_RING][k % COPY_RING] =
            bench_alloc(setting->batch_rows * groups[0].stride);
    }
    for (size_t k = 0; k < sizeof comparisons / sizeof comparisons[0]; k++) {
        double margin_bytes = 2.0 * (double)kind->data.row_ct * (double)setting->target_ct;
        double bytes = mask_bytes + (comparisons[k].has_outputs ? margin_bytes : 0);
        compare(setting, kind, &comparisons[k], bytes / 1e9, run_copy, &job, "memcpy of the masks");
    }
    job.adds_words = true;
    compare(setting, kind, &in_place, mask_bytes / 1e9, run_copy, &job, "the same on the map");
    for (uint64_t k = 0; k < setting->thread_ct * COPY_RING; k++) {
        free(job.buffers[k / COPY_RING][k % COPY_RING]);
    }
    free(groups);
}

static void measure_zstd(const struct setting *setting, const struct kind *kind)
{
    static const struct comparison comparisons[] = {
        {"zstd masks, sequential", DMS_ORDER_SEQUENTIAL, true, false, false, false, true},
        {"zstd masks, quasi-random", DMS_ORDER_QUASI_RANDOM, true, false, false, false, true},
    };
    struct decode_job job = {.frame_ct = 0};
    struct frame *frames = read_frames(kind, &job.frame_ct);
    double bytes = 0;
    size_t bytes_max = 0;
    job.frames = frames;
    for (size_t k = 0; k < job.frame_ct; k++) {
        bytes += (double)frames[k].decoded_bytes;
        bytes_max = frames[k].decoded_bytes > bytes_max ? frames[k].decoded_bytes : bytes_max;
    }
    for (uint64_t k = 0; k < setting->thread_ct; k++) {
        job.buffers[k] = bench_alloc(bytes_max);
    }
    for (size_t k = 0; k < sizeof comparisons / sizeof comparisons[0]; k++) {
        compare(setting, kind, &comparisons[k], bytes / 1e9, run_decode, &job,
                "libzstd, as many threads");
    }
    for (uint64_t k = 0; k < setting->thread_ct; k++) {
        free(job.buffers[k]);
    }
    for (size_t k = 0; k < job.frame_ct; k++) {
        free(frames[k].bytes);
    }
    free(frames);
}

static void make_store(struct kind *kind, const char *codec)
{
    bench_create(&kind->data, kind->path, codec, 0);
    bench_fill(&kind->data, kind->path, BENCH_IDS_IN_ORDER, false);
    bench_check(dms_snapshot_open(kind->path, &kind->snapshot), "open");
}

int main(int argc, char **argv)
{
    uint64_t row_ct = 0;
    uint64_t example_ct = 50000;
    bool is_full = false;
    bool in_processor_time = false;
    const char *directory = NULL;
    struct setting setting = {.repeat_ct = 7, .thread_ct = 1, .batch_rows = 1024, .target_ct = 64};
    const struct bench_flag flags[] = {
        {.name = "full", .is_set = &is_full},
        {.name = "rows", .number = &row_ct},
        {.name = "examples", .number = &example_ct},
        {.name = "targets", .number = &setting.target_ct},
        {.name = "batch-rows", .number = &setting.batch_rows},
        {.name = "threads", .number = &setting.thread_ct},
        {.name = "repeats", .number = &setting.repeat_ct},
        {.name = "processor-time", .is_set = &in_processor_time},
        {.name = "directory", .text = &directory},
    };
    bench_read_flags(argc, argv, flags, sizeof flags / sizeof *flags);
    if (setting.thread_ct == 0 || setting.thread_ct > THREADS_MAX) {
        bench_die("--threads must be 1 to %d", THREADS_MAX);
    }
    setting.now = in_processor_time ? bench_processor_now : bench_now;
    row_ct = row_ct ? row_ct : (is_full ? 300000 : 30000);
    directory = bench_make_directory(directory);
    struct bench_data data = {
        .row_ct = row_ct, .example_ct = example_ct, .target_ct = setting.target_ct, .seed = 1};
    struct kind raw = {"raw", data, bench_path(directory, "raw"), NULL};
    struct kind compressed = {"zstd:1, a tenth of the examples in a mask", data,
                              bench_path(directory, "zstd"), NULL};
    compressed.data.subset_size = example_ct / 10;

    bench_print_head(directory);
    make_store(&raw, "none");
    measure_raw(&setting, &raw);
    make_store(&compressed, "zstd:1");
    measure_zstd(&setting, &compressed);
    dms_snapshot_close(raw.snapshot);
    dms_snapshot_close(compressed.snapshot);
    bench_remove(directory);
    return 0;
}
