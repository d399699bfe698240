/*
 * Data for the benchmarks: see data.h.
 */
#include "tests/bench/data.h"

#include "dmstore/sample.h"
#include "kernels/kernels.h"
#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The normal distribution is a table of its quantiles with straight lines between them. */
enum { QUANTILE_CT = 4096, BLOCK_TARGETS = 1024, HEADER_BYTES = 128, BLOCK_BYTES = 4 << 20 };

static float quantiles[QUANTILE_CT + 1];

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

static void make_quantiles(void)
{
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

static void target_parameters(const struct bench_data *data, uint64_t target, float *mean,
                              float *deviation)
{
    uint64_t random = random_at(data->seed ^ UINT64_C(0x7f4a7c15), target);
    *mean = 4 + 3 * normal_from((uint32_t)random);
    *deviation = 0.5f + 1.5f * (float)(random >> 40) / (1 << 24);
}

/* A weight of the planted datamodel of a target. */
struct planted_weight {
    uint32_t example;
    float size; /* in standard deviations of the target's noise */
};

/* weight_ct of them for each target; NULL without any. */
static struct planted_weight *make_weights(const struct bench_data *data, uint64_t target,
                                           uint64_t target_ct)
{
    double alpha =
        data->subset_size > 0 ? (double)data->subset_size / (double)data->example_ct : 0.5;
    double scale = 1 / sqrt((double)data->weight_ct * alpha * (1 - alpha));
    struct planted_weight *weights;
    if (data->weight_ct == 0) {
        return NULL;
    }
    weights = bench_alloc((size_t)(target_ct * data->weight_ct) * sizeof *weights);
    for (uint64_t k = 0; k < target_ct * data->weight_ct; k++) {
        uint64_t random =
            random_at(data->seed ^ UINT64_C(0x1ce4e5b9), target * data->weight_ct + k);
        weights[k].example = (uint32_t)((random >> 32) % data->example_ct);
        weights[k].size = (float)scale * normal_from((uint32_t)random);
    }
    return weights;
}

static float planted_sum(const uint8_t *mask, const struct planted_weight *weights,
                         uint64_t weight_ct)
{
    float sum = 0;
    for (uint64_t k = 0; k < weight_ct; k++) {
        uint32_t example = weights[k].example;
        sum += mask[example / 8] >> example % 8 & 1 ? weights[k].size : 0;
    }
    return sum;
}

/* At most BLOCK_TARGETS targets. */
static void margins_block(const struct bench_data *data, uint64_t row, uint64_t row_ct,
                          uint64_t target, uint64_t target_ct, size_t stride, uint16_t *margins)
{
    float means[BLOCK_TARGETS];
    float deviations[BLOCK_TARGETS];
    float values[BLOCK_TARGETS];
    struct planted_weight *weights = make_weights(data, target, target_ct);
    uint8_t *mask = weights ? bench_alloc(mask_bytes(data)) : NULL;
    for (uint64_t k = 0; k < target_ct; k++) {
        target_parameters(data, target + k, &means[k], &deviations[k]);
    }
    for (uint64_t r = 0; r < row_ct; r++) {
        uint64_t stream = ~stream_of(data, row + r);
        if (weights) {
            bench_masks(data, row + r, 1, mask);
        }
        for (uint64_t k = 0; k < target_ct; k++) {
            uint32_t random = (uint32_t)(random_at(stream, target + k) >> 32);
            float moved = normal_from(random);
            if (weights) {
                moved += planted_sum(mask, weights + k * data->weight_ct, data->weight_ct);
            }
            values[k] = means[k] + deviations[k] * moved;
        }
        dms_kernels_get()->f32_to_f16(values, (size_t)target_ct, margins + r * stride);
    }
    free(weights);
    free(mask);
}

void bench_margins(const struct bench_data *data, uint64_t row, uint64_t row_ct, uint64_t target,
                   uint64_t target_ct, uint16_t *margins)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_quantiles);
    for (uint64_t done = 0; done < target_ct; done += BLOCK_TARGETS) {
        uint64_t rest = target_ct - done;
        margins_block(data, row, row_ct, target + done, rest < BLOCK_TARGETS ? rest : BLOCK_TARGETS,
                      (size_t)target_ct, margins + done);
    }
}

/* ---- NumPy files ---------------------------------------------------------- */

static void write_all(int descriptor, const char *path, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        ssize_t written = write(descriptor, at, size);
        if (written < 0) {
            bench_die("cannot write '%s': %s", path, strerror(errno));
        }
        at += written;
        size -= (size_t)written;
    }
}

/* Begins a file of row_ct x column_ct values of NumPy's type `type`. */
static int begin_npy(const char *path, const char *type, uint64_t row_ct, uint64_t column_ct)
{
    char header[HEADER_BYTES + 1];
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor < 0) {
        bench_die("cannot create '%s': %s", path, strerror(errno));
    }
    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    int length =
        snprintf(header + 10, sizeof header - 10,
                 "{'descr': '%s', 'fortran_order': False, 'shape': (%" PRIu64 ", %" PRIu64 "), }",
                 type, row_ct, column_ct);
    header[10 + length] = ' ';
    header[HEADER_BYTES - 1] = '\n';
    write_all(descriptor, path, header, HEADER_BYTES);
    return descriptor;
}

/* Rows that make a block of about BLOCK_BYTES. */
static uint64_t block_rows(const struct bench_data *data, size_t row_bytes)
{
    uint64_t rows = BLOCK_BYTES / (row_bytes + 1) + 1;
    return rows < data->row_ct ? rows : data->row_ct;
}

void bench_write_masks(const struct bench_data *data, bool is_packed, const char *path)
{
    size_t packed_bytes = mask_bytes(data);
    size_t row_bytes = is_packed ? packed_bytes : (size_t)data->example_ct;
    uint64_t step = block_rows(data, row_bytes);
    uint8_t *masks = bench_alloc((size_t)step * packed_bytes);
    uint8_t *bytes = bench_alloc(is_packed ? 1 : (size_t)step * row_bytes);
    int descriptor = begin_npy(path, is_packed ? "|u1" : "|b1", data->row_ct, row_bytes);
    for (uint64_t row = 0; row < data->row_ct; row += step) {
        uint64_t row_ct = data->row_ct - row < step ? data->row_ct - row : step;
        bench_masks(data, row, row_ct, masks);
        for (uint64_t k = 0; !is_packed && k < row_ct; k++) {
            dms_kernels_get()->unpack_bits(masks + k * packed_bytes, row_bytes,
                                           bytes + k * row_bytes);
        }
        write_all(descriptor, path, is_packed ? masks : bytes, (size_t)row_ct * row_bytes);
    }
    close(descriptor);
    free(masks);
    free(bytes);
}

void bench_write_margins(const struct bench_data *data, const char *path)
{
    size_t row_bytes = (size_t)data->target_ct * sizeof(uint16_t);
    uint64_t step = block_rows(data, row_bytes);
    uint16_t *margins = bench_alloc((size_t)step * row_bytes);
    int descriptor = begin_npy(path, "<f2", data->row_ct, data->target_ct);
    for (uint64_t row = 0; row < data->row_ct; row += step) {
        uint64_t row_ct = data->row_ct - row < step ? data->row_ct - row : step;
        bench_margins(data, row, row_ct, 0, data->target_ct, margins);
        write_all(descriptor, path, margins, (size_t)row_ct * row_bytes);
    }
    close(descriptor);
    free(margins);
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
