/*
 * Data for the benchmarks: see data.h.
 */
#include "tests/bench/data.h"

#include "base/pool.h"
#include "dmstore/sample.h"
#include "kernels/kernels.h"
#include "kernels/lanes.h"
#include "tests/bench/bench.h"
#include "tests/bench/npy.h"
#include "tests/bench/planted.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The normal distribution is a table of its quantiles with straight lines between them. */
enum {
    QUANTILE_CT = 4096,
    BLOCK_ROWS = BENCH_PLANTED_ROWS,
    BLOCK_TARGETS = 512,
    BLOCK_BYTES = 4 << 20, /* of a file, that a thread makes at a time */
};

static float quantiles[QUANTILE_CT + 1];
static pthread_once_t quantiles_once = PTHREAD_ONCE_INIT;

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- random numbers ------------------------------------------------------- */

/* Number `at` of stream `stream`: splitmix64 on a counter. */
static inline uint64_t random_at(uint64_t stream, uint64_t at)
{
    uint64_t z = (stream + at) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Streams of one seed are far apart. */
static uint64_t stream_of(const struct bench_data *data, uint64_t row)
{
    return random_at(data->seed ^ UINT64_C(0x5bd1e995), row) << 20;
}

/* Lines lose some of the variance, and so do the tails that the table has not: it is made 1 again,
 * so that a planted R^2 is what it says. */
static void make_quantiles(void)
{
    double variance = 0;
    for (int k = 0; k <= QUANTILE_CT; k++) {
        double share = (k + 0.5) / (QUANTILE_CT + 1);
        double low = -8;
        double high = 8;
        for (int step = 0; step < 60; step++) {
            double middle = (low + high) / 2;
            *(erfc(-middle / sqrt(2)) / 2 < share ? &low : &high) = middle;
        }
        quantiles[k] = (float)low;
    }
    for (int k = 0; k < QUANTILE_CT; k++) {
        double a = quantiles[k], b = quantiles[k + 1];
        variance += (a * a + a * b + b * b) / 3 / QUANTILE_CT;
    }
    for (int k = 0; k <= QUANTILE_CT; k++) {
        quantiles[k] /= (float)sqrt(variance);
    }
}

static inline float normal_from(uint32_t random)
{
    uint32_t at = random >> 20;
    float part = (float)(random & 0xfffff) / (1 << 20);
    return quantiles[at] + (quantiles[at + 1] - quantiles[at]) * part;
}

/* ---- rows ----------------------------------------------------------------- */

static size_t mask_bytes(const struct bench_data *data)
{
    return (size_t)(data->example_ct + 7) / 8;
}

static void flip_coins(const struct bench_data *data, uint64_t row, uint8_t *mask)
{
    size_t bytes = mask_bytes(data);
    uint64_t stream = stream_of(data, row);
    for (size_t at = 0; at < bytes; at += 8) {
        uint64_t word = random_at(stream, at / 8);
        memcpy(mask + at, &word, bytes - at < 8 ? bytes - at : 8);
    }
    if (data->example_ct % 8 != 0) {
        mask[bytes - 1] &= (uint8_t)((1u << data->example_ct % 8) - 1);
    }
}

void bench_masks(const struct bench_data *data, uint64_t row, uint64_t row_ct, uint8_t *masks)
{
    for (uint64_t k = 0; k < row_ct; k++) {
        uint8_t *mask = masks + k * mask_bytes(data);
        if (data->subset_size == 0) {
            flip_coins(data, row + k, mask);
        } else {
            bench_check(
                dms_sample_mask(data->example_ct, data->subset_size, data->seed, row + k, mask),
                "sample");
        }
    }
}

void bench_target(const struct bench_data *data, uint64_t target, float *mean, float *deviation)
{
    uint64_t random = random_at(data->seed ^ UINT64_C(0x7f4a7c15), target);
    pthread_once(&quantiles_once, make_quantiles);
    *mean = 4 + 3 * normal_from((uint32_t)random);
    *deviation = 0.5f + 1.5f * (float)(random >> 40) / (1 << 24);
}

/* columns[k], for each example k: bit i is bit k of the mask of row `row` + i, for i < row_ct <=
 * BLOCK_ROWS. */
static void make_columns(const struct bench_data *data, uint64_t row, uint64_t row_ct,
                         uint64_t *columns)
{
    size_t stride = (size_t)(data->example_ct + 63) / 64 * 8;
    uint8_t *masks = bench_alloc(BLOCK_ROWS * stride);
    for (uint64_t r = 0; r < row_ct; r++) {
        bench_masks(data, row + r, 1, masks + r * stride);
    }
    dms_lane_variant_get()->transpose_bits(masks, (size_t)row_ct, stride, (size_t)data->example_ct,
                                           columns, (size_t)data->example_ct);
    free(masks);
}

/* At most BLOCK_ROWS x BLOCK_TARGETS margins; columns of these rows, where something is planted. */
static void margins_block(const struct bench_data *data, uint64_t row, uint64_t row_ct,
                          uint64_t target, uint64_t target_ct, const uint64_t *columns,
                          size_t stride, uint16_t *margins)
{
    const struct bench_planted *planted = data->planted;
    float levels[BLOCK_TARGETS];
    float deviations[BLOCK_TARGETS];
    float values[BLOCK_TARGETS];
    float sums[BLOCK_TARGETS][BLOCK_ROWS];
    for (uint64_t k = 0; k < target_ct; k++) {
        if (planted) {
            levels[k] = planted->biases[target + k];
            deviations[k] = planted->deviations[target + k];
            bench_planted_sums(planted, target + k, columns, sums[k]);
        } else {
            bench_target(data, target + k, &levels[k], &deviations[k]);
        }
    }
    for (uint64_t r = 0; r < row_ct; r++) {
        uint64_t stream = ~stream_of(data, row + r);
        for (uint64_t k = 0; k < target_ct; k++) {
            uint32_t random = (uint32_t)(random_at(stream, target + k) >> 32);
            float level = planted ? levels[k] + sums[k][r] : levels[k];
            values[k] = level + deviations[k] * normal_from(random);
        }
        dms_kernels_get()->f32_to_f16(values, (size_t)target_ct, margins + r * stride);
    }
}

void bench_margins(const struct bench_data *data, uint64_t row, uint64_t row_ct, uint64_t target,
                   uint64_t target_ct, uint16_t *margins)
{
    size_t stride = (size_t)target_ct;
    uint64_t *columns =
        data->planted ? bench_alloc((size_t)data->example_ct * sizeof *columns) : NULL;
    pthread_once(&quantiles_once, make_quantiles);
    for (uint64_t r = 0; r < row_ct; r += BLOCK_ROWS) {
        uint64_t rows = least(row_ct - r, BLOCK_ROWS);
        if (columns) {
            make_columns(data, row + r, rows, columns);
        }
        for (uint64_t t = 0; t < target_ct; t += BLOCK_TARGETS) {
            margins_block(data, row + r, rows, target + t, least(target_ct - t, BLOCK_TARGETS),
                          columns, stride, margins + r * stride + t);
        }
    }
    free(columns);
}

/* ---- NumPy files ---------------------------------------------------------- */

/* A file of a row for each model, whose blocks threads make and write. */
struct file_job {
    const struct bench_data *data;
    struct bench_npy file;
    uint64_t block_rows;
    /* Makes the bytes of rows row .. row + row_ct - 1 of the file. */
    void (*make)(const struct file_job *job, uint64_t row, uint64_t row_ct, uint8_t *bytes);
};

static int write_block(void *context, size_t index)
{
    const struct file_job *job = context;
    uint64_t row = index * job->block_rows;
    uint64_t row_ct = least(job->data->row_ct - row, job->block_rows);
    uint8_t *bytes = bench_alloc((size_t)row_ct * job->file.row_bytes);
    job->make(job, row, row_ct, bytes);
    bench_npy_write(&job->file, row, row_ct, bytes);
    free(bytes);
    return 0;
}

static void write_file(struct file_job *job)
{
    struct dms_pool *pool;
    job->block_rows = BLOCK_BYTES / (job->file.row_bytes + 1) + 1;
    bench_check(dms_pool_create(0, &pool), "threads");
    bench_check(dms_pool_run(pool,
                             (size_t)((job->data->row_ct + job->block_rows - 1) / job->block_rows),
                             write_block, job),
                "write a file");
    dms_pool_free(pool);
    bench_npy_close(&job->file);
}

static void make_packed(const struct file_job *job, uint64_t row, uint64_t row_ct, uint8_t *bytes)
{
    bench_masks(job->data, row, row_ct, bytes);
}

static void make_bools(const struct file_job *job, uint64_t row, uint64_t row_ct, uint8_t *bytes)
{
    size_t packed_bytes = mask_bytes(job->data);
    uint8_t *masks = bench_alloc((size_t)row_ct * packed_bytes);
    bench_masks(job->data, row, row_ct, masks);
    for (uint64_t k = 0; k < row_ct; k++) {
        dms_kernels_get()->unpack_bits(masks + k * packed_bytes, job->file.row_bytes,
                                       bytes + k * job->file.row_bytes);
    }
    free(masks);
}

static void make_margins(const struct file_job *job, uint64_t row, uint64_t row_ct, uint8_t *bytes)
{
    bench_margins(job->data, row, row_ct, 0, job->data->target_ct, (uint16_t *)(void *)bytes);
}

static void make_ones(const struct file_job *job, uint64_t row, uint64_t row_ct, uint8_t *bytes)
{
    (void)row;
    memset(bytes, 1, (size_t)row_ct * job->file.row_bytes);
}

void bench_write_masks(const struct bench_data *data, bool is_packed, const char *path)
{
    struct file_job job = {
        .data = data,
        .file = bench_npy_create(path, is_packed ? 'u' : 'b', 1, data->row_ct,
                                 is_packed ? mask_bytes(data) : data->example_ct),
        .make = is_packed ? make_packed : make_bools,
    };
    write_file(&job);
}

void bench_write_margins(const struct bench_data *data, const char *path)
{
    struct file_job job = {
        .data = data,
        .file = bench_npy_create(path, 'f', 2, data->row_ct, data->target_ct),
        .make = make_margins,
    };
    write_file(&job);
}

void bench_write_completed(const struct bench_data *data, const char *path)
{
    struct file_job job = {
        .data = data,
        .file = bench_npy_create(path, 'b', 1, data->row_ct, 0),
        .make = make_ones,
    };
    write_file(&job);
}

/* ---- stores --------------------------------------------------------------- */

void bench_create(const struct bench_data *data, const char *path, const char *codec,
                  uint32_t chunk_rows)
{
    struct dms_column column;
    struct dms_schema schema = {.example_ct = data->example_ct, .chunk_rows = chunk_rows};
    bench_check(dms_codec_parse(codec, &schema.codec), codec);
    if (data->target_ct > 0) {
        const char *text = bench_text("margins:%" PRIu64 ":f16", data->target_ct);
        bench_check(dms_output_parse(text, &column), text);
        schema.columns = &column;
        schema.column_ct = 1;
    }
    bench_check(dms_store_create(path, &schema), "create");
}

static int read_masks(void *context, uint64_t row, uint32_t row_ct, uint8_t *masks)
{
    bench_masks(context, row, row_ct, masks);
    return 0;
}

static int read_values(void *context, uint32_t column_index, uint64_t row, uint32_t row_ct,
                       uint64_t target, uint64_t target_ct, void *values)
{
    (void)column_index;
    bench_margins(context, row, row_ct, target, target_ct, values);
    return 0;
}

static uint64_t *make_ids(const struct bench_data *data, enum bench_ids order)
{
    uint64_t *ids = bench_alloc((size_t)data->row_ct * sizeof *ids);
    for (uint64_t k = 0; k < data->row_ct; k++) {
        uint64_t other = order == BENCH_IDS_SHUFFLED ? random_at(data->seed, k) % (k + 1) : k;
        ids[k] = ids[other];
        ids[other] = k;
    }
    return ids;
}

void bench_fill(const struct bench_data *data, const char *path, enum bench_ids order,
                bool is_claimed)
{
    static const uint32_t columns[] = {2}; /* after the mask and the model id */
    struct dms_sampling sampling = {data->subset_size, data->seed};
    uint64_t *ids = make_ids(data, order);
    struct dms_row_source source = {
        .context = (void *)data,
        .row_ct = data->row_ct,
        .ids = ids,
        .read_masks = read_masks,
        .column_ct = data->target_ct > 0 ? 1 : 0,
        .columns = columns,
        .read_values = read_values,
        .sampling = is_claimed ? &sampling : NULL,
    };
    dms_store *store;
    bench_check(dms_store_open(path, &store), "open");
    bench_check(dms_store_write(store, &source, NULL, NULL), "write");
    dms_store_close(store);
    free(ids);
}
