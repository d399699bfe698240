/*
 * The kernels of the gram solver, each variant on one core against the portable one: rows of the
 * Gram matrix added up for the gradients of many targets, which find the rows in the cache or not,
 * and for one target at a time, vectors for coordinate descent, and weights where a mask has an
 * example.
 *
 *   gram_bench [--columns D] [--rows R] [--variant ref|avx2|avx512] [--repeats N]
 *
 * A target adds up 64 of R rows of D columns (2,048 rows of 8,192 columns unless given: a range of
 * columns of 1,024 of them is 4 MB). In processor time.
 */
#include "base/mix.h"
#include "kernels/gram.h"
#include "tests/bench/bench.h"

#include <stdlib.h>
#include <string.h>

enum { VARIANT_CT = 3, TARGET_CT = 64, WEIGHT_CT = 64, RANGE = 1024 };

static const double min_seconds = 0.05;
static const char *const variant_names[VARIANT_CT] = {"ref", "avx2", "avx512"};

static const char *only_variant; /* NULL: all that this machine can run */

static const struct dms_gram_kernels *variant_at(size_t v)
{
    bool wanted = !only_variant || strcmp(only_variant, variant_names[v]) == 0;

    return wanted ? dms_gram_kernels_by_name(variant_names[v]) : NULL;
}

struct data {
    size_t row_ct, column_ct;
    int16_t *rows;
    double *sums; /* TARGET_CT x column_ct */
    uint64_t *words;
    double weights[DMS_GRAM_ROWS];
};

/* Each returns the additions that it made. */
typedef double work_function(const struct dms_gram_kernels *kernels, const struct data *data);

/* The order of the solver: all targets in a range of columns, then the next. */
static double add_rows(const struct dms_gram_kernels *kernels, const struct data *data)
{
    for (size_t first = 0; first < data->column_ct; first += RANGE) {
        size_t end = first + RANGE < data->column_ct ? first + RANGE : data->column_ct;

        for (size_t t = 0; t < TARGET_CT; t++)
            for (size_t w = 0; w < WEIGHT_CT; w += DMS_GRAM_ROWS) {
                const int16_t *rows[DMS_GRAM_ROWS];

                for (size_t r = 0; r < DMS_GRAM_ROWS; r++) {
                    size_t row = (t * 577 + (w + r) * 31) % data->row_ct;

                    rows[r] = data->rows + row * data->column_ct + first;
                }
                kernels->add_rows(DMS_GRAM_ROWS, rows, data->weights, end - first,
                                  data->sums + t * data->column_ct + first);
            }
    }
    return (double)TARGET_CT * WEIGHT_CT * (double)data->column_ct;
}

/* A target by itself, whole rows, as its weights change. */
static double add_multiples(const struct dms_gram_kernels *kernels, const struct data *data)
{
    const int16_t factors[DMS_GRAM_MULTIPLES] = {1, -20, 300, -4000, 5, 60, -700, 8000};

    for (size_t t = 0; t < TARGET_CT; t++)
        for (size_t w = 0; w < WEIGHT_CT; w += DMS_GRAM_MULTIPLES) {
            const int16_t *rows[DMS_GRAM_MULTIPLES];

            for (size_t r = 0; r < DMS_GRAM_MULTIPLES; r++)
                rows[r] = data->rows + (t * 577 + (w + r) * 31) % data->row_ct * data->column_ct;
            kernels->add_multiples(rows, factors, 1e-9, data->column_ct,
                                   data->sums + t * data->column_ct);
        }
    return (double)TARGET_CT * WEIGHT_CT * (double)data->column_ct;
}

static double add_scaled(const struct dms_gram_kernels *kernels, const struct data *data)
{
    for (size_t t = 1; t < TARGET_CT; t++)
        kernels->add_scaled(data->column_ct, 1e-9, data->sums + t * data->column_ct, data->sums);
    return (double)(TARGET_CT - 1) * (double)data->column_ct;
}

static double add_where(const struct dms_gram_kernels *kernels, const struct data *data)
{
    for (size_t t = 0; t < TARGET_CT; t++)
        kernels->add_where(data->words, 1, data->column_ct, 1e-9, data->sums + t * data->column_ct);
    return (double)TARGET_CT * (double)data->column_ct;
}

static void measure(const char *what, work_function *work, const struct data *data,
                    uint64_t repeats)
{
    struct bench_series speeds[VARIANT_CT] = {{.value_ct = 0}};

    for (uint64_t repeat = 0; repeat < repeats; repeat++)
        for (size_t v = 0; v < VARIANT_CT; v++) {
            const struct dms_gram_kernels *kernels = variant_at(v);
            double start = bench_processor_now(), elapsed = 0, done = 0;

            while (kernels && elapsed < min_seconds) {
                done += work(kernels, data);
                elapsed = bench_processor_now() - start;
            }
            if (kernels)
                bench_add(&speeds[v], done / elapsed);
        }
    for (size_t v = 0; v < VARIANT_CT; v++) {
        bool has_reference = v > 0 && speeds[0].value_ct > 0;

        if (speeds[v].value_ct > 0)
            bench_print_row(&(struct bench_row){
                .what = bench_text("%s, %s", what, variant_names[v]),
                .size = bench_text("%zu rows, d %zu", data->row_ct, data->column_ct),
                .series = &speeds[v],
                .unit = "multiply-adds/s",
                .reference_name = has_reference ? "ref" : NULL,
                .reference = has_reference ? &speeds[0] : NULL,
            });
    }
}

int main(int argc, char **argv)
{
    const char *directory = ".";
    uint64_t row_ct = 2048, column_ct = 8192, repeats = 11, random_state = 1;
    const struct bench_flag flags[] = {{.name = "columns", .number = &column_ct},
                                       {.name = "rows", .number = &row_ct},
                                       {.name = "variant", .text = &only_variant},
                                       {.name = "repeats", .number = &repeats},
                                       {.name = "directory", .text = &directory}};
    struct data data = {.weights = {1e-9, 2e-9, -1e-9, 3e-9}};

    bench_read_flags(argc, argv, flags, sizeof flags / sizeof *flags);
    data.row_ct = row_ct;
    data.column_ct = column_ct;
    data.rows = bench_alloc(row_ct * column_ct * sizeof *data.rows);
    data.sums = bench_alloc(TARGET_CT * column_ct * sizeof *data.sums);
    data.words = bench_alloc((column_ct / 64 + 1) * sizeof *data.words);
    for (size_t i = 0; i < row_ct * column_ct; i++)
        data.rows[i] = (int16_t)(dms_mix_next(&random_state) % 800) - 400;
    for (size_t i = 0; i < TARGET_CT * column_ct; i++)
        data.sums[i] = 0;
    for (size_t w = 0; w < column_ct / 64 + 1; w++)
        data.words[w] = dms_mix_next(&random_state);
    bench_print_head(directory);
    measure("add up rows of the Gram matrix", add_rows, &data, repeats);
    measure("add up multiples of rows", add_multiples, &data, repeats);
    measure("add a vector", add_scaled, &data, repeats);
    measure("add a weight where bits are set", add_where, &data, repeats);
    free(data.rows);
    free(data.sums);
    free(data.words);
    return 0;
}
