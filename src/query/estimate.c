/*
 * Sums of outputs, and of outputs by training example, for tiles of DMS_LANES targets; see
 * estimate.h. All tiles of a block share each pass over the rows; a batch's tiles are divided among
 * threads, and a tile takes its batches in their order.
 */
#include "query/estimate.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/thread.h"
#include "kernels/lanes.h"
#include "solver/batch_source.h"
#include "solver/split.h"

/* Enough rows for the kernel to be worth its tables. */
#define BATCH_ROWS 1024

/* ---- words ---- */

void dms_estimate_describe(const struct dms_fit_options *options, const char *method,
                           struct dms_problem_text *text)
{
    static const char *const keys[] = {"exclude-self", "holdout",   "labels",    "rows-used",
                                       "self",         "threshold", "transform", "validation"};
    struct dms_metadata pairs[DMS_PROBLEM_PAIR_MAX];
    size_t pair_ct = 0;

    dms_problem_describe(options, text);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *value = dms_problem_value(text->pairs, text->pair_ct, keys[i]);

        if (strcmp(keys[i], "rows-used") == 0) /* the next one in the alphabet */
            pairs[pair_ct++] = (struct dms_metadata){.key = "method", .value = method};
        if (value)
            pairs[pair_ct++] = (struct dms_metadata){.key = keys[i], .value = value};
    }
    memcpy(text->pairs, pairs, pair_ct * sizeof(*pairs));
    text->pair_ct = pair_ct;
}

/* ---- a tile ---- */

struct tile {
    struct dms_target_sums targets[DMS_LANES];
    double *sums;      /* example_ct x DMS_LANES; NULL: not by example */
    uint32_t *row_cts; /* the same: of rows that do not count; in the end of those that do */
};

/* What a thread works with. */
struct bench {
    double *values;   /* BATCH_ROWS x DMS_LANES: y, 0 in rows that do not count */
    double *absent;   /* the same: 1 in rows that do not count, else 0 */
    double *products; /* example_ct x DMS_LANES */
    void *workspace;
};

struct work {
    const struct dms_sums_job *job;
    const struct dms_lane_kernels *kernels;
    size_t example_ct;
    uint64_t first_target, target_ct; /* of the job */
    struct dms_id_range *ranges;
    struct dms_batch_source_setting setting;
    struct dms_pool *pool;
    size_t worker_ct;
    struct bench *benches;
    size_t capacity; /* of a block, in tiles */
    struct tile *tiles;
    uint32_t *row_cts; /* example_ct: rows that have each example */

    /* The block and the batch in work. */
    uint64_t block_first, block_target_ct; /* block_first: from the first of the job */
    const struct dms_batch *batch;
    atomic_size_t next_tile;
};

static bool has_example(const struct work *work, uint32_t row, uint64_t example)
{
    return work->batch->mask_columns[(row >> 6) * work->example_ct + example] >> (row & 63) & 1;
}

static int64_t self_of(const struct dms_fit_options *options, uint64_t target)
{
    if (!options->exclude_self)
        return -1;
    return options->self ? options->self[target] : (int64_t)target;
}

/* Takes one target's outputs from the batch into a lane; true when all of its rows count. */
static bool take_lane(const struct work *work, struct dms_target_sums *target, const float *outputs,
                      struct bench *bench, size_t lane)
{
    const struct dms_batch *batch = work->batch;
    int64_t self = self_of(work->job->options, target->target);
    uint64_t before_ct = target->row_ct;

    for (uint32_t row = 0; row < batch->row_ct; row++) {
        double output = outputs[row * batch->output_stride_values], y = 0;
        bool counts = isfinite(output) && !(self >= 0 && has_example(work, row, (uint64_t)self));

        if (counts) {
            if (target->row_ct++ == 0)
                target->shift = output;
            y = output - target->shift;
            target->sum += y;
            target->square_sum += y * y;
        }
        bench->values[row * DMS_LANES + lane] = y;
        bench->absent[row * DMS_LANES + lane] = !counts;
    }
    return target->row_ct - before_ct == batch->row_ct;
}

static void clear_lane(const struct work *work, struct bench *bench, size_t lane)
{
    for (uint32_t row = 0; row < work->batch->row_ct; row++)
        bench->values[row * DMS_LANES + lane] = bench->absent[row * DMS_LANES + lane] = 0;
}

static void multiply(const struct work *work, const double *values, struct bench *bench)
{
    work->kernels->multiply_transposed(work->batch->mask_columns, work->example_ct,
                                       work->batch->row_ct, work->example_ct, values,
                                       bench->products, bench->workspace);
}

static void take_batch(const struct work *work, size_t t, struct bench *bench)
{
    struct tile *tile = &work->tiles[t];
    const float *outputs = (const float *)work->batch->outputs + t * DMS_LANES;
    bool all_count = true;

    for (size_t lane = 0; lane < DMS_LANES; lane++) {
        if (t * DMS_LANES + lane < work->block_target_ct)
            all_count &= take_lane(work, &tile->targets[lane], outputs + lane, bench, lane);
        else
            clear_lane(work, bench, lane);
    }
    if (!tile->sums)
        return;
    multiply(work, bench->values, bench);
    for (size_t i = 0; i < work->example_ct * DMS_LANES; i++)
        tile->sums[i] += bench->products[i];
    if (all_count)
        return;
    multiply(work, bench->absent, bench);
    for (size_t i = 0; i < work->example_ct * DMS_LANES; i++)
        tile->row_cts[i] += (uint32_t)bench->products[i];
}

static int take_tiles(void *context, size_t worker)
{
    struct work *work = context;
    size_t tile_ct = (work->block_target_ct + DMS_LANES - 1) / DMS_LANES, t;

    while ((t = atomic_fetch_add(&work->next_tile, 1)) < tile_ct)
        take_batch(work, t, &work->benches[worker]);
    return 0;
}

/* ---- a block ---- */

static void begin_block(struct work *work)
{
    size_t value_ct = work->example_ct * DMS_LANES;

    for (size_t t = 0; t < work->capacity; t++) {
        struct tile *tile = &work->tiles[t];

        for (size_t lane = 0; lane < DMS_LANES; lane++)
            tile->targets[lane] = (struct dms_target_sums){
                .target = work->first_target + work->block_first + t * DMS_LANES + lane,
            };
        if (tile->sums) {
            memset(tile->sums, 0, value_ct * sizeof(*tile->sums));
            memset(tile->row_cts, 0, value_ct * sizeof(*tile->row_cts));
        }
    }
    memset(work->row_cts, 0, work->example_ct * sizeof(*work->row_cts));
}

static void count_rows(struct work *work)
{
    const struct dms_batch *batch = work->batch;

    for (size_t word = 0; word < (batch->row_ct + 63) / 64; word++) {
        const uint64_t *columns = batch->mask_columns + word * work->example_ct;

        for (size_t k = 0; k < work->example_ct; k++)
            work->row_cts[k] += (uint32_t)__builtin_popcountll(columns[k]);
    }
}

static int report_progress(const struct work *work)
{
    const struct dms_sums_job *job = work->job;

    if (!job->progress ||
        job->progress(job->progress_context, work->block_first, work->target_ct) == 0)
        return 0;
    return dms_fail(DMS_ERR_INTERRUPTED, "interrupted");
}

static int read_block(struct work *work)
{
    struct dms_batch_source source = {0};
    int code = dms_batch_source_open(&work->setting, DMS_ROLE_REFIT, false, work->block_first,
                                     work->block_target_ct, BATCH_ROWS, &source);

    if (code < 0)
        return code;
    while ((code = source.next(source.context, &work->batch)) == 0) {
        if (work->job->by_example)
            count_rows(work);
        atomic_store(&work->next_tile, 0);
        code = dms_pool_run(work->pool, work->worker_ct, take_tiles, work);
        source.release(source.context, work->batch);
        if (code == 0)
            code = report_progress(work);
        if (code < 0)
            break;
    }
    source.close(source.context);
    return code == DMS_END ? 0 : code;
}

static int deliver_block(struct work *work)
{
    int code = 0;

    for (uint64_t i = 0; code == 0 && i < work->block_target_ct; i++) {
        struct tile *tile = &work->tiles[i / DMS_LANES];
        size_t lane = i % DMS_LANES;
        struct dms_target_sums *target = &tile->targets[lane];

        if (tile->sums) {
            for (size_t k = 0; k < work->example_ct; k++) {
                uint32_t *row_ct = &tile->row_cts[k * DMS_LANES + lane];

                *row_ct = work->row_cts[k] - *row_ct;
            }
            target->example_sums = tile->sums + lane;
            target->example_row_cts = tile->row_cts + lane;
        }
        code = work->job->result(work->job->context, target);
    }
    return code;
}

/* ---- memory ---- */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Half of the memory is for the sums of a block, the rest for threads and the source. */
static int plan_memory(struct work *work)
{
    const struct dms_fit_options *options = work->job->options;
    uint64_t memory = options->memory_bytes;
    size_t example_ct = work->job->by_example ? work->example_ct : 0;
    uint64_t bench_bytes = (2 * BATCH_ROWS + example_ct) * DMS_LANES * sizeof(double);
    uint64_t tile_bytes =
        sizeof(struct tile) + example_ct * DMS_LANES * (sizeof(double) + sizeof(uint32_t));
    size_t worker_ct = options->thread_ct > 0 ? options->thread_ct : dms_processor_ct();

    bench_bytes += work->kernels->workspace_bytes;
    work->capacity =
        smaller(memory / 2 / tile_bytes, (work->target_ct + DMS_LANES - 1) / DMS_LANES);
    work->worker_ct = smaller(worker_ct, memory / 8 / bench_bytes);
    while (work->capacity > 1 && dms_batch_source_bytes(&work->setting, work->capacity * DMS_LANES,
                                                        BATCH_ROWS) > memory / 3)
        work->capacity /= 2;
    if (work->capacity == 0 || work->worker_ct == 0)
        return dms_fail(DMS_ERR_INVALID,
                        "%" PRIu64 " bytes of memory are too few for %zu examples: give at "
                        "least %" PRIu64,
                        memory, work->example_ct,
                        8 * bench_bytes > 2 * tile_bytes ? 8 * bench_bytes : 2 * tile_bytes);
    return 0;
}

static int create_benches(struct work *work)
{
    size_t bytes = BATCH_ROWS * DMS_LANES * sizeof(double);

    work->benches = dms_alloc(work->worker_ct, sizeof(*work->benches));
    if (!work->benches)
        return DMS_ERR_NO_MEMORY;
    for (size_t worker = 0; worker < work->worker_ct; worker++) {
        struct bench *bench = &work->benches[worker];

        bench->values = dms_alloc_aligned(64, bytes);
        bench->absent = dms_alloc_aligned(64, bytes);
        if (!bench->values || !bench->absent)
            return DMS_ERR_NO_MEMORY;
        if (!work->job->by_example)
            continue;
        bench->products = dms_alloc_aligned(64, work->example_ct * DMS_LANES * sizeof(double));
        bench->workspace = dms_alloc_aligned(64, work->kernels->workspace_bytes + 64);
        if (!bench->products || !bench->workspace)
            return DMS_ERR_NO_MEMORY;
    }
    return 0;
}

static int create_tiles(struct work *work)
{
    size_t value_ct = work->example_ct * DMS_LANES;

    work->tiles = dms_alloc(work->capacity, sizeof(*work->tiles));
    work->row_cts = dms_alloc(work->example_ct, sizeof(*work->row_cts));
    if (!work->tiles || !work->row_cts)
        return DMS_ERR_NO_MEMORY;
    for (size_t t = 0; work->job->by_example && t < work->capacity; t++) {
        work->tiles[t].sums = dms_alloc(value_ct, sizeof(double));
        work->tiles[t].row_cts = dms_alloc(value_ct, sizeof(uint32_t));
        if (!work->tiles[t].sums || !work->tiles[t].row_cts)
            return DMS_ERR_NO_MEMORY;
    }
    return 0;
}

static void free_work(struct work *work)
{
    for (size_t worker = 0; work->benches && worker < work->worker_ct; worker++) {
        free(work->benches[worker].values);
        free(work->benches[worker].absent);
        free(work->benches[worker].products);
        free(work->benches[worker].workspace);
    }
    for (size_t t = 0; work->tiles && t < work->capacity; t++) {
        free(work->tiles[t].sums);
        free(work->tiles[t].row_cts);
    }
    free(work->benches);
    free(work->tiles);
    free(work->row_cts);
    free(work->ranges);
    dms_pool_free(work->pool);
}

/* ---- all of it ---- */

static int prepare(struct work *work)
{
    const struct dms_sums_job *job = work->job;
    const struct dms_schema *schema = dms_snapshot_schema(job->snapshot);
    struct dms_batch_source_setting *setting = &work->setting;
    uint32_t column;
    int code = dms_fit_options_check(job->options, schema, &column);

    if (code < 0)
        return code;
    work->kernels = dms_lane_variant_get()->f64;
    work->example_ct = schema->example_ct;
    work->first_target = job->options->first_target;
    work->target_ct =
        dms_fit_options_end(job->options, &schema->columns[column]) - work->first_target;
    code = dms_fit_used_ranges(job->header, &work->ranges, &setting->range_cts[DMS_ROLE_REFIT]);
    if (code < 0)
        return code;
    setting->snapshot = job->snapshot;
    setting->column = &schema->columns[column];
    setting->options = job->options;
    setting->first_target = work->first_target;
    setting->ranges[DMS_ROLE_REFIT] = work->ranges;
    setting->thread_ct = 1; /* the sums are most of the work */
    code = dms_batch_source_measure(setting);
    return code < 0 ? code : plan_memory(work);
}

void dms_target_sums_moments(const struct dms_target_sums *sums, struct dms_output_moments *moments)
{
    double row_ct = (double)sums->row_ct, mean = sums->row_ct > 0 ? sums->sum / row_ct : 0;
    double square = sums->row_ct > 0 ? sums->square_sum / row_ct - mean * mean : 0;

    *moments = (struct dms_output_moments){
        .row_ct = sums->row_ct,
        .mean = sums->shift + mean,
        .null_deviance = square > 0 ? square / 2 : 0,
    };
}

int dms_sums_run(const struct dms_sums_job *job)
{
    struct work work = {.job = job};
    int code = prepare(&work);

    if (code == 0)
        code = dms_pool_create((unsigned)work.worker_ct, &work.pool);
    if (code == 0)
        code = create_benches(&work);
    if (code == 0)
        code = create_tiles(&work);
    while (code == 0 && work.block_first < work.target_ct) {
        work.block_target_ct =
            smaller(work.capacity * DMS_LANES, work.target_ct - work.block_first);
        begin_block(&work);
        code = read_block(&work);
        if (code == 0)
            code = deliver_block(&work);
        work.block_first += work.block_target_ct;
    }
    free_work(&work);
    return code;
}
