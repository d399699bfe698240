/*
 * The products of the solver on one core, X W (multiply) and X^T R (multiply_transposed) with 64
 * targets, by each variant of the lane kernels, against OpenBLAS on the same masks as dense
 * numbers; and the transposition of the bits that comes before.
 *
 *   lanes_bench [--full] [--columns D] [--rows M] [--variant NAME] [--repeats N]
 *
 * Without --columns and --rows: three of each with --full, and 1,024 rows else; without --variant:
 * all that the machine can run. A
 * multiply-add is counted for every row, column and target, whether the bit is set or not. Time is
 * that of the processor; measurements of a size take turns, so that what disturbs the machine
 * disturbs all. DMS_KERNELS=avx2 compares with OpenBLAS's kernels for AVX2.
 */
#include "kernels/lanes.h"
#include "tests/bench/bench.h"
#include "tests/bench/blas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TARGET_CT = 64, TILE_CT = TARGET_CT / DMS_LANES, VARIANT_CT = 3 };

/* Short calls are repeated for so long that the clock can tell. */
static const double min_seconds = 0.005;

static const char *const variant_names[VARIANT_CT] = {"ref", "avx2", "avx512"};
static const char *only_variant; /* NULL: all */

/* One size in one type. Operands of tiles lie one after another, those of OpenBLAS row by row. */
struct problem {
    size_t row_ct, column_ct, row_stride_bytes;
    bool is_double;
    uint8_t *masks;
    uint64_t *columns;
    void *dense;              /* row_ct x column_ct zeros and ones; NULL without OpenBLAS */
    void *weights, *products; /* column_ct and row_ct x TARGET_CT */
};

/* What is measured: a product by a variant, or by OpenBLAS when `variant` is NULL. */
struct measured {
    const struct dms_lane_variant *variant;
    bool is_transposed;
    struct bench_series *speed;
};

/* NULL if it is not to be measured, or cannot be. */
static const struct dms_lane_variant *variant_at(size_t v)
{
    bool is_asked_for = !only_variant || strcmp(only_variant, variant_names[v]) == 0;

    return is_asked_for ? dms_lane_variant_by_name(variant_names[v]) : NULL;
}

static size_t real_bytes(const struct problem *problem)
{
    return problem->is_double ? sizeof(double) : sizeof(float);
}

static void fill_reals(bool is_double, void *reals, size_t ct)
{
    for (size_t i = 0; i < ct; i++) {
        double value = (double)(i * 7919 % 2003) / 2003 - 0.5;

        if (is_double) {
            ((double *)reals)[i] = value;
        } else {
            ((float *)reals)[i] = (float)value;
        }
    }
}

static void fill_dense(struct problem *problem)
{
    size_t bytes = real_bytes(problem);

    problem->dense = bench_alloc(problem->row_ct * problem->column_ct * bytes);
    for (size_t i = 0; i < problem->row_ct; i++) {
        const uint8_t *row = problem->masks + i * problem->row_stride_bytes;

        for (size_t k = 0; k < problem->column_ct; k++) {
            size_t at = i * problem->column_ct + k;

            if (problem->is_double) {
                ((double *)problem->dense)[at] = row[k / 8] >> k % 8 & 1;
            } else {
                ((float *)problem->dense)[at] = (float)(row[k / 8] >> k % 8 & 1);
            }
        }
    }
}

/* Masks of fair coins, as at alpha 0.5. */
static struct problem make_problem(size_t row_ct, size_t column_ct, bool is_double, bool has_blas)
{
    struct problem problem = {.row_ct = row_ct, .column_ct = column_ct, .is_double = is_double};
    size_t word_ct = (column_ct + 63) / 64;
    uint64_t state = 1;

    problem.row_stride_bytes = (word_ct + 7) / 8 * 64; /* as in a store */
    problem.masks = bench_alloc(row_ct * problem.row_stride_bytes);
    problem.columns = bench_alloc((row_ct + 63) / 64 * column_ct * sizeof(uint64_t));
    for (size_t i = 0; i < row_ct; i++) {
        for (size_t k = 0; k < column_ct; k++) {
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            problem.masks[i * problem.row_stride_bytes + k / 8] |=
                (uint8_t)((state >> 63) << k % 8);
        }
    }
    dms_lane_variant_get()->transpose_bits(problem.masks, row_ct, problem.row_stride_bytes,
                                           column_ct, problem.columns, column_ct);
    problem.weights = bench_alloc(column_ct * TARGET_CT * real_bytes(&problem));
    problem.products = bench_alloc(row_ct * TARGET_CT * real_bytes(&problem));
    fill_reals(is_double, problem.weights, column_ct * TARGET_CT);
    fill_reals(is_double, problem.products, row_ct * TARGET_CT);
    if (has_blas) {
        fill_dense(&problem);
    }
    return problem;
}

static void free_problem(struct problem *problem)
{
    free(problem->masks);
    free(problem->columns);
    free(problem->dense);
    free(problem->weights);
    free(problem->products);
}

static void multiply_tiles(const struct problem *problem, const struct measured *measured,
                           void *workspace)
{
    const struct dms_lane_kernels *kernels =
        problem->is_double ? measured->variant->f64 : measured->variant->f32;
    size_t lane_bytes = DMS_LANES * kernels->real_bytes;

    for (size_t tile = 0; tile < TILE_CT; tile++) {
        uint8_t *weights = (uint8_t *)problem->weights + tile * problem->column_ct * lane_bytes;
        uint8_t *products = (uint8_t *)problem->products + tile * problem->row_ct * lane_bytes;

        if (measured->is_transposed) {
            kernels->multiply_transposed(problem->columns, problem->column_ct, problem->row_ct,
                                         problem->column_ct, products, weights, workspace);
        } else {
            kernels->multiply(problem->masks, problem->row_ct, problem->row_stride_bytes,
                              problem->column_ct, weights, products, workspace);
        }
    }
}

/* Adds the multiply-adds per second of one measurement. */
static void measure(const struct problem *problem, const struct measured *measured, void *workspace)
{
    double work = (double)problem->row_ct * (double)problem->column_ct * TARGET_CT;
    double start = bench_processor_now(), elapsed;
    size_t call_ct = 0;

    do {
        if (measured->variant) {
            multiply_tiles(problem, measured, workspace);
        } else if (measured->is_transposed) {
            bench_blas_multiply(problem->is_double, true, problem->row_ct, problem->column_ct,
                                TARGET_CT, problem->dense, problem->products, problem->weights);
        } else {
            bench_blas_multiply(problem->is_double, false, problem->row_ct, problem->column_ct,
                                TARGET_CT, problem->dense, problem->weights, problem->products);
        }
        call_ct++;
        elapsed = bench_processor_now() - start;
    } while (elapsed < min_seconds);
    bench_add(measured->speed, work * (double)call_ct / elapsed);
}

static size_t largest_workspace(void)
{
    size_t largest = 0;

    for (size_t v = 0; v < VARIANT_CT; v++) {
        const struct dms_lane_variant *variant = variant_at(v);
        size_t f32 = variant ? variant->f32->workspace_bytes : 0;
        size_t f64 = variant ? variant->f64->workspace_bytes : 0;

        largest = f32 > largest ? f32 : largest;
        largest = f64 > largest ? f64 : largest;
    }
    return largest;
}

/* The goals are for the variant that this machine uses, in float. */
static void print_product(const struct problem *problem, const struct measured *measured,
                          bool has_blas, const struct bench_series *reference)
{
    const char *type = problem->is_double ? "f64" : "f32";
    bool is_judged = has_blas && !problem->is_double && measured->variant == dms_lane_variant_get();

    bench_print_row(&(struct bench_row){
        .what = bench_text("product %s, %s %s", measured->is_transposed ? "X^T R" : "X W",
                           measured->variant->name, type),
        .size = bench_text("%zu rows, d %zu, n %d", problem->row_ct, problem->column_ct, TARGET_CT),
        .series = measured->speed,
        .unit = "multiply-adds/s",
        .reference_name = has_blas ? (problem->is_double ? "dgemm" : "sgemm") : NULL,
        .reference = has_blas ? reference : NULL,
        .goal = is_judged ? BENCH_AT_LEAST : BENCH_NO_GOAL,
        .is_goal_of_ratio = true,
        .limit = measured->is_transposed ? 5 : 3,
    });
}

static void measure_product(const struct problem *problem, bool is_transposed, uint64_t repeats,
                            bool has_blas)
{
    struct bench_series speeds[VARIANT_CT + 1] = {{.value_ct = 0}};
    struct measured all[VARIANT_CT + 1];
    size_t measured_ct = 0;
    void *workspace = bench_alloc(largest_workspace());

    for (size_t v = 0; v < VARIANT_CT; v++) {
        const struct dms_lane_variant *variant = variant_at(v);

        if (variant) {
            all[measured_ct] = (struct measured){variant, is_transposed, &speeds[measured_ct]};
            measured_ct++;
        }
    }
    all[measured_ct] = (struct measured){NULL, is_transposed, &speeds[measured_ct]};
    for (uint64_t repeat = 0; repeat < repeats; repeat++) {
        for (size_t m = 0; m < measured_ct + has_blas; m++) {
            measure(problem, &all[m], workspace);
        }
    }
    for (size_t m = 0; m < measured_ct; m++) {
        print_product(problem, &all[m], has_blas, &speeds[measured_ct]);
    }
    free(workspace);
}

/* Bytes of bits transposed per second, against ref. */
static void measure_transpose(const struct problem *problem, uint64_t repeats)
{
    struct bench_series speeds[VARIANT_CT] = {{.value_ct = 0}};
    double bytes = (double)problem->row_ct * (double)problem->column_ct / 8;

    for (uint64_t repeat = 0; repeat < repeats; repeat++) {
        for (size_t v = 0; v < VARIANT_CT; v++) {
            const struct dms_lane_variant *variant = variant_at(v);
            double start = bench_processor_now(), elapsed = 0;
            size_t call_ct = 0;

            while (variant && elapsed < min_seconds) {
                variant->transpose_bits(problem->masks, problem->row_ct, problem->row_stride_bytes,
                                        problem->column_ct, problem->columns, problem->column_ct);
                call_ct++;
                elapsed = bench_processor_now() - start;
            }
            if (variant) {
                bench_add(&speeds[v], 1e-9 * bytes * (double)call_ct / elapsed);
            }
        }
    }
    for (size_t v = 0; v < VARIANT_CT; v++) {
        bool has_reference = v > 0 && speeds[0].value_ct > 0;

        if (speeds[v].value_ct > 0) {
            bench_print_row(&(struct bench_row){
                .what = bench_text("transpose bits, %s", variant_names[v]),
                .size = bench_text("%zu rows, d %zu", problem->row_ct, problem->column_ct),
                .series = &speeds[v],
                .unit = "GB/s",
                .reference_name = has_reference ? "ref" : NULL,
                .reference = has_reference ? &speeds[0] : NULL,
            });
        }
    }
}

static void measure_size(size_t row_ct, size_t column_ct, uint64_t repeats, bool has_blas)
{
    for (int is_double = 0; is_double < 2; is_double++) {
        struct problem problem = make_problem(row_ct, column_ct, is_double, has_blas);

        measure_product(&problem, false, repeats, has_blas);
        measure_product(&problem, true, repeats, has_blas);
        if (!is_double) {
            measure_transpose(&problem, repeats);
        }
        free_problem(&problem);
    }
}

int main(int argc, char **argv)
{
    static const size_t usual_row_cts[] = {512, 1024, 2048};
    static const size_t usual_column_cts[] = {2000, 21404, 50000};
    uint64_t row_ct = 0, column_ct = 0, repeats = 11;
    bool is_full = false, has_blas;
    const char *directory = ".";
    const struct bench_flag flags[] = {
        {.name = "full", .is_set = &is_full},    {.name = "columns", .number = &column_ct},
        {.name = "rows", .number = &row_ct},     {.name = "variant", .text = &only_variant},
        {.name = "repeats", .number = &repeats}, {.name = "directory", .text = &directory},
    };

    bench_read_flags(argc, argv, flags, sizeof flags / sizeof *flags);
    if (row_ct == 0 && !is_full) {
        row_ct = 1024;
    }
    has_blas = bench_blas_open(dms_lane_variant_get()->name);
    printf("reference: %s\n", has_blas ? bench_blas_name() : "OpenBLAS is not installed");
    bench_print_head(directory);
    for (size_t c = 0; c < (column_ct > 0 ? 1 : 3); c++) {
        for (size_t r = 0; r < (row_ct > 0 ? 1 : 3); r++) {
            measure_size(row_ct > 0 ? row_ct : usual_row_cts[r],
                         column_ct > 0 ? column_ct : usual_column_cts[c], repeats, has_blas);
        }
    }
    return 0;
}
