/*
 * The kernels on bits, products, pairs and models, against plain loops in double precision: odd
 * sizes, tails, nothing at all. Runs on the stand-in, or on a card (tests/cuda/gpu.sh).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device_arrays.h"
#include "unit/tap.h"

/* Random words whose bits from bit_ct on are 0. */
static uint64_t *random_bits(size_t row_ct, size_t word_ct, size_t bit_ct)
{
    uint64_t *words = calloc(row_ct * word_ct + 1, sizeof *words);

    for (size_t i = 0; i < row_ct; i++)
        for (size_t k = 0; k < bit_ct; k++)
            words[i * word_ct + k / 64] |= (uint64_t)(random_word() >> 31) << (k % 64);
    return words;
}

static bool bit_at(const uint64_t *words, size_t k)
{
    return words[k / 64] >> (k % 64) & 1;
}

/* ---- transposing ---- */

static void test_transpose(uint32_t row_ct, uint32_t example_ct)
{
    size_t word_ct = example_ct / 64 + 2, column_ct = (row_ct + 63) / 64 * (size_t)example_ct;
    uint64_t *masks = random_bits(row_ct, word_ct, example_ct);
    uint64_t *columns = calloc(column_ct + 1, sizeof *columns);
    struct dms_cuda_batch batch = {.masks = device_array(masks, row_ct * word_ct * 8),
                                   .row_ct = row_ct,
                                   .mask_words = (uint32_t)word_ct};
    uint64_t *out = device_array(columns, column_ct * 8);
    size_t wrong_ct = 0;

    device_check(module->transpose_bits(&batch, example_ct, out, stream), "transposing");
    device_read(columns, out, column_ct * 8);
    for (size_t w = 0; w < (row_ct + 63) / 64; w++)
        for (size_t k = 0; k < example_ct; k++)
            for (size_t i = 0; i < 64; i++) {
                size_t row = 64 * w + i;
                bool bit = row < row_ct && bit_at(masks + row * word_ct, k);

                wrong_ct += bit != (columns[w * example_ct + k] >> i & 1);
            }
    ok(wrong_ct == 0, "%u rows of %u bits are transposed", row_ct, example_ct);
    free(masks);
    free(columns);
}

/* ---- products ---- */

struct product_case {
    uint32_t row_ct, factor_ct, stride;
    bool adds, halves;
    double range; /* binary orders of magnitude of the values of a lane */
};

/* Values of very different sizes; lane 3 has none but 0. */
static double *random_values(const struct product_case *given)
{
    double *values = malloc(((size_t)given->factor_ct * given->stride + 1) * sizeof *values);

    for (size_t f = 0; f < given->factor_ct; f++)
        for (size_t l = 0; l < given->stride; l++)
            values[f * given->stride + l] =
                l == 3 ? 0 : random_real() * exp2(given->range * random_real() + (double)l);
    return values;
}

/* The largest error of the result over what is allowed, which is a share of the sum of the sizes
 * of what was added up. */
static double worst_error(const struct product_case *given, const uint64_t *words,
                          const double *values, const double *before, const double *result)
{
    size_t word_ct = (given->factor_ct + 63) / 64 + 1, stride = given->stride;
    double share = given->halves ? 1e-6 : 1e-13, worst = 0;

    for (size_t m = 0; m < given->row_ct; m++)
        for (size_t l = 0; l < stride; l++) {
            bool is_active = l / DMS_CUDA_TILE != 1;
            double sum = given->adds || !is_active ? before[m * stride + l] : 0, size = fabs(sum);

            for (size_t f = 0; f < given->factor_ct && is_active; f++)
                if (bit_at(words + m * word_ct, f)) {
                    sum += values[f * stride + l];
                    size += fabs(values[f * stride + l]);
                }
            if (is_active && size > 0)
                worst = fmax(worst, fabs(result[m * stride + l] - sum) / (share * size));
            else if (result[m * stride + l] != sum)
                worst = INFINITY;
        }
    return worst;
}

static void run_product(const struct product_case *given, const struct dms_cuda_product *product)
{
    double *scales = device_doubles(given->stride);
    double *partial = device_doubles((size_t)DMS_CUDA_SUMS * DMS_CUDA_PARTS * given->stride);
    size_t pair_ct = DMS_CUDA_PAIRS(given->factor_ct) * given->stride;
    uint64_t *halves = (uint64_t *)(void *)device_doubles(pair_ct);
    struct dms_cuda_split split = {product->values, halves,           scales,
                                   partial,         given->factor_ct, given->stride};
    struct dms_cuda_product in_halves = *product;

    if (!given->halves) {
        device_check(module->multiply(product, stream), "multiplying");
        return;
    }
    in_halves.values = NULL;
    in_halves.halves = halves;
    in_halves.scales = scales;
    device_check(module->split_halves(&split, stream), "splitting");
    device_check(module->multiply_halves(&in_halves, stream), "multiplying halves");
}

static void test_product(const struct product_case *given)
{
    size_t word_ct = (given->factor_ct + 63) / 64 + 1;
    size_t result_ct = (size_t)given->row_ct * given->stride;
    uint64_t *words = random_bits(given->row_ct, word_ct, given->factor_ct);
    double *values = random_values(given);
    double *before = malloc((result_ct + 1) * sizeof *before), *result = malloc(result_ct * 8 + 8);
    uint8_t active[64];
    struct dms_cuda_product product = {
        .bits = {device_array(words, given->row_ct * word_ct * 8), word_ct, 1, given->row_ct,
                 given->factor_ct},
        .values = device_array(values, (size_t)given->factor_ct * given->stride * 8),
        .stride = given->stride,
        .adds = given->adds};
    double worst;

    for (size_t i = 0; i < result_ct; i++)
        before[i] = random_real();
    for (size_t i = 0; i < sizeof active; i++)
        active[i] = i != 1;
    product.active = device_array(active, given->stride / DMS_CUDA_TILE);
    product.result = device_array(before, result_ct * 8);
    run_product(given, &product);
    device_read(result, product.result, result_ct * 8);
    worst = worst_error(given, words, values, before, result);
    if (!ok(worst <= 1, "%u rows x %u factors x %u lanes%s%s", given->row_ct, given->factor_ct,
            given->stride, given->adds ? ", added" : "", given->halves ? ", in halves" : ""))
        diag("%g times the error that is allowed", worst);
    free(words);
    free(values);
    free(before);
    free(result);
}

static void test_products(void)
{
    static const struct product_case cases[] = {
        {1, 1, 64, false, false, 1},      {65, 33, 64, true, false, 4},
        {130, 200, 128, false, false, 1}, {0, 10, 64, false, false, 1},
        {1, 1, 64, false, true, 1},       {257, 65, 64, false, true, 1},
        {300, 700, 128, true, true, 4},   {64, 31, 64, true, true, 0},
        {0, 10, 64, false, true, 1},      {5, 1300, 64, false, true, 8},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        test_product(&cases[i]);
}

/* Counts: a product of bits with ones must be exact. */
static void test_exact_counts(void)
{
    struct product_case given = {70, 4096, 64, false, true, 0};
    size_t word_ct = (given.factor_ct + 63) / 64;
    uint64_t *words = random_bits(given.row_ct, word_ct, given.factor_ct);
    double *values = malloc((size_t)given.factor_ct * given.stride * 8);
    double *result = malloc((size_t)given.row_ct * given.stride * 8);
    uint8_t active[4] = {1, 1, 1, 1};
    struct dms_cuda_product product = {.bits = {device_array(words, given.row_ct * word_ct * 8),
                                                word_ct, 1, given.row_ct, given.factor_ct},
                                       .active = device_array(active, sizeof active),
                                       .result =
                                           device_doubles((size_t)given.row_ct * given.stride),
                                       .stride = given.stride};
    size_t wrong_ct = 0;

    for (size_t i = 0; i < (size_t)given.factor_ct * given.stride; i++)
        values[i] = 1;
    product.values = device_array(values, (size_t)given.factor_ct * given.stride * 8);
    run_product(&given, &product);
    device_read(result, product.result, (size_t)given.row_ct * given.stride * 8);
    for (size_t m = 0; m < given.row_ct; m++) {
        int count = 0;

        for (size_t w = 0; w < word_ct; w++)
            count += __builtin_popcountll(words[m * word_ct + w]);
        for (size_t l = 0; l < given.stride; l++)
            wrong_ct += result[m * given.stride + l] != count;
    }
    ok(wrong_ct == 0, "counts of a whole batch in halves are exact");
    free(words);
    free(values);
    free(result);
}

/* ---- pairs ---- */

static uint64_t count_pair(const struct dms_cuda_pairs *pairs, const uint64_t *columns,
                           const uint64_t *rows, uint32_t a, uint32_t b)
{
    uint64_t count = 0;

    for (size_t w = 0; w < pairs->word_ct; w++)
        count += (uint64_t)__builtin_popcountll(columns[w * pairs->column_stride + a] &
                                                columns[w * pairs->column_stride + b] &
                                                (rows ? rows[w] : UINT64_MAX));
    return count;
}

static void test_pairs(uint32_t a_ct, uint32_t b_ct, uint32_t word_ct, bool with_rows, bool by_mma)
{
    size_t example_ct = 97, pair_ct = (size_t)a_ct * b_ct, wrong_ct = 0;
    uint64_t *columns = random_bits(word_ct, example_ct, example_ct * 64);
    uint64_t *rows = random_bits(1, word_ct, (size_t)word_ct * 64);
    uint64_t *counts = malloc((pair_ct + 1) * 8);
    uint32_t a[64], b[64];
    struct dms_cuda_pairs pairs = {.columns = device_array(columns, word_ct * example_ct * 8),
                                   .column_stride = example_ct,
                                   .word_ct = word_ct,
                                   .row_words = with_rows ? device_array(rows, word_ct * 8) : NULL,
                                   .a_ct = a_ct,
                                   .b_ct = b_ct};

    for (size_t i = 0; i < 64; i++) {
        a[i] = random_word() % (uint32_t)example_ct;
        b[i] = random_word() % (uint32_t)example_ct;
    }
    for (size_t i = 0; i < pair_ct; i++)
        counts[i] = i;
    pairs.a_examples = device_array(a, sizeof a);
    pairs.b_examples = device_array(b, sizeof b);
    pairs.counts = device_array(counts, pair_ct * 8);
    device_check((by_mma ? module->count_pairs_mma : module->count_pairs)(&pairs, stream), "pairs");
    device_read(counts, pairs.counts, pair_ct * 8);
    for (size_t i = 0; i < pair_ct; i++)
        wrong_ct += counts[i] != i + count_pair(&pairs, columns, with_rows ? rows : NULL,
                                                a[i / b_ct], b[i % b_ct]);
    ok(wrong_ct == 0, "pairs of %u and %u examples in %u words%s%s", a_ct, b_ct, word_ct,
       with_rows ? ", of some rows" : "", by_mma ? ", by matrices" : "");
    free(columns);
    free(rows);
    free(counts);
}

/* Counts of panels replace what was there; what is behind them stays. */
static void test_columns(uint32_t a_ct, uint32_t b_ct, uint32_t word_ct, bool in_bits)
{
    size_t pair_ct = (size_t)a_ct * b_ct, wrong_ct = 0;
    uint64_t *a = random_bits(a_ct, word_ct, (size_t)word_ct * 64);
    uint64_t *b = random_bits(b_ct, word_ct, (size_t)word_ct * 64);
    uint32_t *counts = malloc((pair_ct + 1) * sizeof *counts);
    struct dms_cuda_column_pairs pairs = {
        .a = device_array(a, (size_t)a_ct * word_ct * 8),
        .b = device_array(b, (size_t)b_ct * word_ct * 8),
        .word_ct = word_ct,
        .a_ct = a_ct,
        .b_ct = b_ct,
    };

    for (size_t i = 0; i <= pair_ct; i++)
        counts[i] = 77777777;
    pairs.counts = device_array(counts, (pair_ct + 1) * sizeof *counts);
    device_check((in_bits ? module->count_columns_b1 : module->count_columns_s8)(&pairs, stream),
                 "columns");
    device_read(counts, pairs.counts, (pair_ct + 1) * sizeof *counts);
    for (size_t i = 0; i < pair_ct; i++) {
        uint32_t count = 0;

        for (size_t w = 0; w < word_ct; w++)
            count += (uint32_t)__builtin_popcountll(a[i / b_ct * word_ct + w] &
                                                    b[i % b_ct * word_ct + w]);
        wrong_ct += counts[i] != count;
    }
    ok(wrong_ct == 0 && counts[pair_ct] == 77777777,
       "pairs of %u and %u columns of %u words, in %s", a_ct, b_ct, word_ct,
       in_bits ? "bits" : "bytes");
    free(a);
    free(b);
    free(counts);
}

static void test_all_columns(bool in_bits)
{
    static const uint32_t sizes[][3] = {{1, 1, 8},    {257, 130, 24}, {70, 129, 8},
                                        {193, 66, 0}, {0, 5, 8},      {5, 0, 8}};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        test_columns(sizes[i][0], sizes[i][1], sizes[i][2], in_bits);
}

/* ---- ceilings ---- */

/* The sums tell that each instruction was done as often as it counts for. */
static void test_ceiling(enum dms_cuda_unit unit, double each, const char *name)
{
    struct dms_cuda_ceiling ceiling = {.unit = unit, .block_ct = 2, .step_ct = 5, .one = 1};
    size_t thread_ct = ceiling.block_ct * DMS_CUDA_CEILING_THREADS, wrong_ct = 0;
    double *sums = malloc(thread_ct * sizeof *sums);

    ceiling.sums = device_doubles(thread_ct);
    device_check(module->run_ceiling(&ceiling, stream), "a ceiling");
    device_read(sums, ceiling.sums, thread_ct * sizeof *sums);
    for (size_t i = 0; i < thread_ct; i++)
        wrong_ct += sums[i] != each * ceiling.step_ct * DMS_CUDA_CEILING_CHAINS;
    ok(wrong_ct == 0, "%s is repeated as often as asked for", name);
    free(sums);
}

static void test_ceilings(void)
{
    test_ceiling(DMS_CUDA_UNIT_F16, 64, "the instruction for halves");
    test_ceiling(DMS_CUDA_UNIT_S8, 128, "the instruction for bytes");
    test_ceiling(DMS_CUDA_UNIT_B1, 1024, "the instruction for bits");
    test_ceiling(DMS_CUDA_UNIT_F64, 1, "the instruction for doubles");
}

/* ---- models ---- */

static void check_models(const struct dms_cuda_panel *panel, const double *weights, uint32_t first,
                         uint32_t lane_ct)
{
    size_t example_ct = panel->example_ct, wrong_ct = 0;
    uint32_t *examples = malloc(example_ct * lane_ct * 4), cts[16];
    double *values = malloc(example_ct * lane_ct * 8);
    uint32_t *device_examples = device_array(examples, example_ct * lane_ct * 4);
    double *device_values = device_array(values, example_ct * lane_ct * 8);
    uint32_t *device_cts = device_array(cts, sizeof cts);

    device_check(
        module->extract(panel, first, lane_ct, device_examples, device_values, device_cts, stream),
        "extracting");
    device_read(examples, device_examples, example_ct * lane_ct * 4);
    device_read(values, device_values, example_ct * lane_ct * 8);
    device_read(cts, device_cts, sizeof cts);
    for (size_t i = 0; i < lane_ct; i++) {
        size_t at = 0;

        for (size_t k = 0; k < example_ct; k++) {
            double weight = weights[k * panel->stride + first + i];

            if (weight == 0)
                continue;
            wrong_ct += at >= cts[i] || examples[i * example_ct + at] != k ||
                        values[i * example_ct + at] != weight;
            at++;
        }
        wrong_ct += cts[i] != at;
    }
    ok(wrong_ct == 0, "models of %zu examples go in and come out", example_ct);
    free(examples);
    free(values);
}

static void test_models(uint32_t example_ct)
{
    uint32_t stride = 64;
    double *weights = calloc((size_t)example_ct * stride, 8);
    struct dms_cuda_panel panel = {.example_ct = example_ct, .stride = stride};
    struct dms_cuda_weight *list = malloc((size_t)example_ct * stride * sizeof *list);
    size_t weight_ct = 0;

    panel.weights = device_array(weights, (size_t)example_ct * stride * 8);
    for (uint32_t k = 0; k < example_ct; k++)
        for (uint32_t l = 0; l < stride; l++)
            if (random_word() % 3 == 0) {
                weights[(size_t)k * stride + l] = random_real();
                list[weight_ct++] = (struct dms_cuda_weight){weights[(size_t)k * stride + l], k, l};
            }
    device_check(module->set_weights(&panel, device_array(list, weight_ct * sizeof *list),
                                     weight_ct, stream),
                 "setting weights");
    device_check(module->set_weights(&panel, NULL, 0, stream), "setting none");
    device_check(module->clear_lane(&panel, 18, stream), "clearing a lane");
    for (uint32_t k = 0; k < example_ct; k++)
        weights[(size_t)k * stride + 18] = 0;
    check_models(&panel, weights, 16, 16);
    free(weights);
    free(list);
}

int main(void)
{
    static const uint32_t sizes[][2] = {{1, 1}, {63, 64}, {65, 200}, {130, 129}, {0, 5}};
    const char *reason = device_open();

    if (reason) {
        printf("1..0 # SKIP %s\n", reason);
        return 0;
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        test_transpose(sizes[i][0], sizes[i][1]);
    test_products();
    test_exact_counts();
    for (int by_mma = 0; by_mma < 2; by_mma++) {
        test_pairs(1, 1, 1, false, by_mma);
        test_pairs(17, 33, 7, true, by_mma);
        test_pairs(64, 9, 40, false, by_mma);
        test_pairs(5, 5, 0, false, by_mma);
    }
    test_all_columns(true);
    test_all_columns(false);
    test_ceilings();
    test_models(1);
    test_models(300);
    device_close();
    return tap_done();
}
