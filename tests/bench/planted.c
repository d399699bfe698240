/*
 * Plants datamodels: see planted.h.
 */
#include "tests/bench/planted.h"

#include "dmstore/sample.h"
#include "tests/bench/bench.h"
#include "tests/bench/data.h"
#include "tests/bench/npy.h"
#include "tests/bench/random.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What streams of random numbers are for. */
enum purpose { FOR_SIZES = 1, FOR_EXAMPLES, FOR_WEIGHTS };

void bench_planting_init(struct bench_planting *planting)
{
    *planting = (struct bench_planting){
        .support_least = 20,
        .support_most = 640,
        .r2_least = 0.05,
        .r2_most = 0.7,
        .tail = 3,
        .negative_share = 0.2,
    };
}

/* ---- drawing -------------------------------------------------------------- */

static uint64_t seed_for(const struct bench_data *data, enum purpose purpose)
{
    return dms_mix(data->seed + DMS_MIX_STEP * (uint64_t)purpose);
}

/* The Pareto distribution with index 1, cut at both ends: its quantile of a uniform number. */
static uint64_t draw_size(const struct bench_data *data, const struct bench_planting *planting,
                          uint64_t target)
{
    uint64_t state = dms_mix(seed_for(data, FOR_SIZES) + target);
    double least = (double)planting->support_least;
    double end = (double)planting->support_most + 1;
    return (uint64_t)(least * end / (end - bench_draw_share(&state) * (end - least)));
}

/* Lists the examples of a subset of that size: drawn as masks are, with another seed. */
static void draw_examples(const struct bench_data *data, uint64_t target, uint64_t size,
                          uint8_t *mask, uint32_t *examples)
{
    uint64_t listed = 0;
    bench_check(dms_sample_mask(data->example_ct, size, seed_for(data, FOR_EXAMPLES), target, mask),
                "draw a support");
    for (uint32_t k = 0; k < data->example_ct; k++) {
        if (mask[k / 8] >> k % 8 & 1) {
            examples[listed++] = k;
        }
    }
}

static double draw_weight(const struct bench_planting *planting, uint64_t *state)
{
    double sign = bench_draw_share(state) < planting->negative_share ? -1 : 1;
    double size = fabs(bench_draw_normal(state));
    double square_sum = 0;
    for (uint64_t k = 0; k < planting->tail; k++) {
        double normal = bench_draw_normal(state);
        square_sum += normal * normal;
    }
    return sign * (planting->tail ? size / sqrt(square_sum / (double)planting->tail) : size);
}

/* The variance of a sum of weights over subsets of exactly K of the d examples: two examples are in
 * it together less often than if they were drawn apart, by alpha (1 - alpha) / (d - 1). Without a
 * size (0), each example has its own coin. */
static double sum_variance(const struct bench_data *data, const double *weights, uint64_t weight_ct)
{
    double d = (double)data->example_ct;
    double alpha = data->subset_size ? (double)data->subset_size / d : 0.5;
    double sum = 0, square_sum = 0;
    for (uint64_t k = 0; k < weight_ct; k++) {
        sum += weights[k];
        square_sum += weights[k] * weights[k];
    }
    if (data->subset_size == 0) {
        return alpha * (1 - alpha) * square_sum;
    }
    return alpha * (1 - alpha) * d / (d - 1) * (square_sum - sum * sum / d);
}

/* Draws weights of any scale, and gives them the one that explains the target's R^2. */
static void draw_target(const struct bench_data *data, const struct bench_planting *planting,
                        uint64_t target, double *drawn, struct bench_planted *planted)
{
    uint64_t begin = planted->begins[target];
    uint64_t size = planted->begins[target + 1] - begin;
    uint64_t state = dms_mix(seed_for(data, FOR_WEIGHTS) + target);
    double alpha = data->subset_size ? (double)data->subset_size / (double)data->example_ct : 0.5;
    double mean_sum = 0;
    float mean, deviation;
    for (uint64_t k = 0; k < size; k++) {
        drawn[k] = draw_weight(planting, &state);
    }
    bench_target(data, target, &mean, &deviation);
    /* Multiples of the golden ratio are spread evenly, wherever one begins and ends. */
    double share = fmod(((double)target + 0.5) * 0.6180339887498949, 1);
    double r2 = planting->r2_least + (planting->r2_most - planting->r2_least) * share;
    double scale = deviation * sqrt(r2 / sum_variance(data, drawn, size));
    for (uint64_t k = 0; k < size; k++) {
        planted->weights[begin + k] = (float)(scale * drawn[k]);
        mean_sum += alpha * scale * drawn[k];
    }
    planted->biases[target] = (float)(mean - mean_sum);
    planted->deviations[target] = (float)(deviation * sqrt(1 - r2));
    planted->r2[target] = (float)r2;
}

static void check_planting(const struct bench_data *data, const struct bench_planting *planting)
{
    if (planting->support_least < 1 || planting->support_most < planting->support_least ||
        planting->support_most > data->example_ct / 2) {
        bench_die("a support is 1 to %llu of the %llu examples",
                  (unsigned long long)data->example_ct / 2, (unsigned long long)data->example_ct);
    }
    if (!(planting->r2_least >= 0 && planting->r2_least <= planting->r2_most &&
          planting->r2_most <= 1)) {
        bench_die("R^2 is between 0 and 1, the smaller one first");
    }
}

struct bench_planted *bench_plant(const struct bench_data *data,
                                  const struct bench_planting *planting)
{
    struct bench_planted *planted = bench_alloc(sizeof *planted);
    size_t target_ct = (size_t)data->target_ct;
    check_planting(data, planting);
    planted->target_ct = data->target_ct;
    planted->begins = bench_alloc((target_ct + 1) * sizeof *planted->begins);
    planted->biases = bench_alloc(target_ct * sizeof *planted->biases);
    planted->deviations = bench_alloc(target_ct * sizeof *planted->deviations);
    planted->r2 = bench_alloc(target_ct * sizeof *planted->r2);
    for (size_t t = 0; t < target_ct; t++) {
        planted->begins[t + 1] = planted->begins[t] + draw_size(data, planting, t);
    }
    size_t weight_ct = (size_t)planted->begins[target_ct];
    planted->examples = bench_alloc(weight_ct * sizeof *planted->examples);
    planted->weights = bench_alloc(weight_ct * sizeof *planted->weights);
    uint8_t *mask = bench_alloc((size_t)(data->example_ct + 7) / 8);
    double *drawn = bench_alloc((size_t)planting->support_most * sizeof *drawn);
    for (size_t t = 0; t < target_ct; t++) {
        uint64_t begin = planted->begins[t];
        draw_examples(data, t, planted->begins[t + 1] - begin, mask, planted->examples + begin);
        draw_target(data, planting, t, drawn, planted);
    }
    free(drawn);
    free(mask);
    return planted;
}

void bench_planted_free(struct bench_planted *planted)
{
    if (planted) {
        free(planted->begins);
        free(planted->examples);
        free(planted->weights);
        free(planted->biases);
        free(planted->deviations);
        free(planted->r2);
        free(planted);
    }
}

/* ---- sums ----------------------------------------------------------------- */

/* Four lanes; a mask has all bits of a lane set or none. */
typedef float lanes __attribute__((vector_size(16)));
typedef int32_t lane_mask __attribute__((vector_size(16)));

/* For each byte the masks of its eight bits, so that eight rows take two additions a weight. */
static lane_mask byte_masks[256][2];

static void make_byte_masks(void)
{
    for (int byte = 0; byte < 256; byte++) {
        for (int bit = 0; bit < 8; bit++) {
            byte_masks[byte][bit / 4][bit % 4] = -(byte >> bit & 1);
        }
    }
}

void bench_planted_sums(const struct bench_planted *planted, uint64_t target,
                        const uint64_t *columns, float *sums)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    lanes totals[BENCH_PLANTED_ROWS / 4] = {{0}};
    pthread_once(&once, make_byte_masks);
    for (uint64_t k = planted->begins[target]; k < planted->begins[target + 1]; k++) {
        uint64_t rows = columns[planted->examples[k]];
        float weight = planted->weights[k];
        lanes weights = {weight, weight, weight, weight};
        for (int byte = 0; byte < BENCH_PLANTED_ROWS / 8; byte++) {
            const lane_mask *masks = byte_masks[rows >> 8 * byte & 0xff];
            totals[2 * byte] += (lanes)((lane_mask)weights & masks[0]);
            totals[2 * byte + 1] += (lanes)((lane_mask)weights & masks[1]);
        }
    }
    memcpy(sums, totals, sizeof totals);
}

/* ---- the truth ------------------------------------------------------------ */

void bench_planted_write(const struct bench_planted *planted, const char *path)
{
    uint64_t weight_ct = planted->begins[planted->target_ct];
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        bench_die("cannot make directory '%s': %s", path, strerror(errno));
    }
    bench_npy_save(bench_path(path, "indptr.npy"), 'u', 8, planted->target_ct + 1, planted->begins);
    bench_npy_save(bench_path(path, "indices.npy"), 'u', 4, weight_ct, planted->examples);
    bench_npy_save(bench_path(path, "data.npy"), 'f', 4, weight_ct, planted->weights);
    bench_npy_save(bench_path(path, "bias.npy"), 'f', 4, planted->target_ct, planted->biases);
    bench_npy_save(bench_path(path, "r2.npy"), 'f', 4, planted->target_ct, planted->r2);
    bench_npy_save(bench_path(path, "noise.npy"), 'f', 4, planted->target_ct, planted->deviations);
}
