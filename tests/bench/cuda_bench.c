/*
 * The solver on a graphics card against what the card can do at most, measured in the same run:
 * instructions of its tensor cores with nothing around them, its memory, PCIe. Then the products
 * X W and X^T R, as tensor cores and as doubles take them, and counts of pairs, in bits and in
 * bytes: on the card, and from columns in memory of the host to counts there. A ratio is the share
 * of the ceiling.
 *
 *   cuda_bench [--rows M] [--columns D] [--targets N] [--pair-rows M] [--pair-examples D]
 *              [--copy-mib N] [--blocks N] [--steps N] [--repeats N]
 *
 * A multiply-add is counted for every row, column and target, whether the bit is set or not, and
 * once for both halves, so that the ceiling of products in halves is half of the instruction's.
 * --blocks and --steps are those of the ceilings. The module is that of the library
 * (dmstore-devices(1)), or the file of the environment variable DMSTORE_TEST_MODULE. Without a
 * device, it prints SKIP and why.
 */
#include "solver/cuda_device.h"
#include "solver/cuda_module.h"
#include "solver/cuda_pairs.h"
#include "solver/packed_rows.h"
#include "solver/pair_band.h"
#include "tests/bench/bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct dms_cuda_module *module;
static dms_cuda_stream *stream;

static void check(int code, const char *what)
{
    if (code != 0) {
        bench_die("%s: %s", what, module->error_text(code));
    }
}

static void *device_alloc(size_t bytes)
{
    void *memory;

    check(module->allocate(bytes, &memory), "memory of the card");
    return memory;
}

/* ---- ceilings ------------------------------------------------------------- */

/* Of each unit, in multiply-adds a second. */
static struct bench_series ceilings[DMS_CUDA_UNIT_F64 + 1];

/* Names of a unit, and multiply-adds of an instruction for a thread. */
static const struct {
    const char *name;
    double count;
} units[] = {
    [DMS_CUDA_UNIT_F16] = {"tensor cores alone, halves", 64},
    [DMS_CUDA_UNIT_S8] = {"tensor cores alone, bytes", 128},
    [DMS_CUDA_UNIT_B1] = {"tensor cores alone, bits", 1024},
    [DMS_CUDA_UNIT_F64] = {"doubles alone", 1},
};

static void measure_ceiling(enum dms_cuda_unit unit, uint64_t block_ct, uint64_t step_ct,
                            uint64_t repeats)
{
    double thread_ct = (double)block_ct * DMS_CUDA_CEILING_THREADS;
    double count = thread_ct * units[unit].count * DMS_CUDA_CEILING_CHAINS * (double)step_ct;
    struct dms_cuda_ceiling ceiling = {
        .unit = unit, .block_ct = (uint32_t)block_ct, .step_ct = (uint32_t)step_ct, .one = 1};

    ceiling.sums = device_alloc((size_t)thread_ct * sizeof(double));
    check(module->run_ceiling(&ceiling, stream), "a ceiling");
    check(module->finish(stream), "a ceiling");
    for (uint64_t repeat = 0; repeat < repeats; repeat++) {
        double start = bench_now();

        check(module->run_ceiling(&ceiling, stream), "a ceiling");
        check(module->finish(stream), "a ceiling");
        bench_add(&ceilings[unit], count / (bench_now() - start));
    }
    module->release(ceiling.sums);
    bench_print_row(&(struct bench_row){
        .what = bench_text("card, %s", units[unit].name),
        .size = bench_text("%.3g multiply-adds", count),
        .series = &ceilings[unit],
        .unit = "multiply-adds/s",
    });
}

/* ---- products ------------------------------------------------------------- */

/* All on the card. Both products take the same bits: as rows of masks, and as columns. */
struct problem {
    uint32_t row_ct, column_ct, stride, word_ct;
    uint64_t *masks, *columns;
    double *values, *result; /* max(row_ct, column_ct) x stride */
    double *scales, *partial;
    uint64_t *halves;
    uint8_t *active;
};

static void fill(struct problem *problem, uint32_t longest)
{
    size_t word_ct = (size_t)problem->row_ct * problem->word_ct;
    size_t value_ct = (size_t)longest * problem->stride;
    uint64_t *words = bench_alloc(word_ct * sizeof *words);
    double *values = bench_alloc(value_ct * sizeof *values);
    uint8_t *active = bench_alloc(problem->stride / DMS_CUDA_TILE);
    struct dms_cuda_batch batch = {
        .masks = problem->masks, .row_ct = problem->row_ct, .mask_words = problem->word_ct};

    /* Every other example, so that no word has bits beyond the last. */
    for (size_t i = 0; i < problem->row_ct; i++) {
        for (size_t k = i & 1; k < problem->column_ct; k += 2) {
            words[i * problem->word_ct + k / 64] |= UINT64_C(1) << (k % 64);
        }
    }
    for (size_t i = 0; i < value_ct; i++) {
        values[i] = (double)(i * 7919 % 2003) / 2003 - 0.5;
    }
    memset(active, 1, problem->stride / DMS_CUDA_TILE);
    check(module->copy(problem->masks, words, word_ct * sizeof *words, stream), "masks");
    check(module->copy(problem->values, values, value_ct * sizeof *values, stream), "values");
    check(module->copy(problem->active, active, problem->stride / DMS_CUDA_TILE, stream), "tiles");
    check(module->transpose_bits(&batch, problem->column_ct, problem->columns, stream), "columns");
    check(module->finish(stream), "filling the card");
    free(words);
    free(values);
    free(active);
}

static struct problem make_problem(uint32_t row_ct, uint32_t column_ct, uint32_t target_ct)
{
    uint32_t longest = row_ct > column_ct ? row_ct : column_ct;
    struct problem problem = {.row_ct = row_ct, .column_ct = column_ct};
    size_t stride = (target_ct + DMS_CUDA_STRIDE - 1) / DMS_CUDA_STRIDE * DMS_CUDA_STRIDE;

    problem.stride = (uint32_t)stride;
    problem.word_ct = (column_ct + 63) / 64;
    problem.masks = device_alloc((size_t)row_ct * problem.word_ct * sizeof(uint64_t));
    problem.columns = device_alloc(((size_t)row_ct + 63) / 64 * column_ct * sizeof(uint64_t));
    problem.values = device_alloc(longest * stride * sizeof(double));
    problem.result = device_alloc(longest * stride * sizeof(double));
    problem.halves = device_alloc(DMS_CUDA_PAIRS(longest) * stride * sizeof(uint64_t));
    problem.scales = device_alloc(stride * sizeof(double));
    problem.partial = device_alloc(DMS_CUDA_SUMS * DMS_CUDA_PARTS * stride * sizeof(double));
    problem.active = device_alloc(stride / DMS_CUDA_TILE);
    fill(&problem, longest);
    return problem;
}

static void free_problem(struct problem *problem)
{
    module->release(problem->masks);
    module->release(problem->columns);
    module->release(problem->values);
    module->release(problem->result);
    module->release(problem->halves);
    module->release(problem->scales);
    module->release(problem->partial);
    module->release(problem->active);
}

/* Begins a product; splitting the values belongs to it. */
static int multiply(const struct problem *problem, bool is_transposed, bool in_halves)
{
    const struct dms_cuda_bits rows = {problem->masks, problem->word_ct, 1, problem->row_ct,
                                       problem->column_ct};
    const struct dms_cuda_bits columns = {problem->columns, 1, problem->column_ct,
                                          problem->column_ct, problem->row_ct};
    const struct dms_cuda_product product = {.bits = is_transposed ? columns : rows,
                                             .values = problem->values,
                                             .halves = problem->halves,
                                             .scales = problem->scales,
                                             .active = problem->active,
                                             .result = problem->result,
                                             .stride = problem->stride};
    const struct dms_cuda_split split = {problem->values,  problem->halves,        problem->scales,
                                         problem->partial, product.bits.factor_ct, problem->stride};
    int code = 0;

    if (!in_halves) {
        return module->multiply(&product, stream);
    }
    code = module->split_halves(&split, stream);
    return code == 0 ? module->multiply_halves(&product, stream) : code;
}

static void measure_product(const struct problem *problem, bool is_transposed, bool in_halves,
                            uint64_t repeats)
{
    enum dms_cuda_unit unit = in_halves ? DMS_CUDA_UNIT_F16 : DMS_CUDA_UNIT_F64;
    struct bench_series speeds = {.value_ct = 0};
    double count = (double)problem->row_ct * (double)problem->column_ct * (double)problem->stride;

    check(multiply(problem, is_transposed, in_halves), "a product");
    check(module->finish(stream), "a product");
    for (uint64_t repeat = 0; repeat < repeats; repeat++) {
        double start = bench_now();

        check(multiply(problem, is_transposed, in_halves), "a product");
        check(module->finish(stream), "a product");
        bench_add(&speeds, count / (bench_now() - start));
    }
    bench_print_row(&(struct bench_row){
        .what = bench_text("card, %s, %s", is_transposed ? "X^T R" : "X W",
                           in_halves ? "halves" : "double"),
        .size =
            bench_text("%u rows, d %u, n %u", problem->row_ct, problem->column_ct, problem->stride),
        .series = &speeds,
        .unit = "multiply-adds/s",
        .reference_name = bench_text("%s%s", in_halves ? "half of " : "", units[unit].name),
        .reference_value = bench_median(&ceilings[unit]) / (in_halves ? 2 : 1),
    });
}

/* ---- pairs ---------------------------------------------------------------- */

/* Columns that are in every other row, and some more. */
static struct dms_packed_rows make_rows(uint64_t row_ct, uint64_t example_ct)
{
    size_t step = DMS_CUDA_COLUMN_WORDS;
    struct dms_packed_rows rows = {.example_ct = (size_t)example_ct, .row_ct = row_ct};

    /* As the kernels take them, without padding. */
    rows.word_ct = ((size_t)(row_ct + 63) / 64 + step - 1) / step * step;
    rows.row_ct = rows.word_ct * 64;
    rows.columns = bench_alloc(rows.example_ct * rows.word_ct * sizeof *rows.columns);
    for (size_t i = 0; i < rows.example_ct * rows.word_ct; i++) {
        rows.columns[i] = UINT64_C(0x5555555555555555) | i * UINT64_C(0x9e3779b97f4a7c15);
    }
    return rows;
}

static double pair_bits(const struct dms_packed_rows *rows)
{
    return (double)rows->example_ct * (double)rows->example_ct * (double)rows->row_ct;
}

static void print_pairs(const struct dms_packed_rows *rows, const char *what,
                        const struct bench_series *speeds, const char *reference_name,
                        double reference)
{
    bench_print_row(&(struct bench_row){
        .what = what,
        .size = bench_text("%zu x %zu examples, %" PRIu64 " rows", rows->example_ct,
                           rows->example_ct, rows->row_ct),
        .series = speeds,
        .unit = "bit pairs/s",
        .reference_name = reference_name,
        .reference_value = reference,
    });
}

/* On the card alone. */
static double measure_counting(const struct dms_packed_rows *rows, bool in_bits, uint64_t repeats)
{
    enum dms_cuda_unit unit = in_bits ? DMS_CUDA_UNIT_B1 : DMS_CUDA_UNIT_S8;
    struct bench_series speeds = {.value_ct = 0};
    size_t bytes = rows->example_ct * rows->word_ct * sizeof *rows->columns;
    uint32_t example_ct = (uint32_t)rows->example_ct;
    uint64_t *columns = device_alloc(bytes);
    const struct dms_cuda_column_pairs pairs = {
        columns,    columns,    (uint32_t)rows->word_ct,
        example_ct, example_ct, device_alloc(sizeof(uint32_t) * example_ct * example_ct)};

    check(module->copy(columns, rows->columns, bytes, stream), "columns");
    check(module->finish(stream), "columns");
    for (uint64_t repeat = 0; repeat <= repeats; repeat++) {
        double start = bench_now();

        check((in_bits ? module->count_columns_b1 : module->count_columns_s8)(&pairs, stream),
              "counting pairs");
        check(module->finish(stream), "counting pairs");
        /* The first time is for the card to get going. */
        if (repeat > 0) {
            bench_add(&speeds, pair_bits(rows) / (bench_now() - start));
        }
    }
    module->release(columns);
    module->release(pairs.counts);
    print_pairs(rows, bench_text("card, counts of pairs in %s", in_bits ? "bits" : "bytes"),
                &speeds, units[unit].name, bench_median(&ceilings[unit]));
    return bench_median(&speeds);
}

/* Where counts go: example_ct x example_ct, row-major. */
struct matrix {
    size_t example_ct;
    uint32_t *counts;
};

static int copy_rectangle(void *taker, const struct dms_pair_rectangle *rectangle)
{
    const struct matrix *matrix = taker;
    size_t b_ct = rectangle->end_b - rectangle->first_b;

    for (size_t a = rectangle->first_a; a < rectangle->end_a; a++)
        memcpy(matrix->counts + a * matrix->example_ct + rectangle->first_b,
               rectangle->counts + (a - rectangle->first_a) * b_ct, b_ct * sizeof(uint32_t));
    return 0;
}

static void count_matrix(const struct dms_packed_rows *rows, struct matrix *matrix)
{
    struct dms_cuda_pair_counter *counter;
    size_t d = rows->example_ct;

    bench_check(dms_cuda_pairs_open(d, rows->row_ct, 0, &counter), "counting pairs");
    bench_check(dms_cuda_pairs_set_rows(counter, rows->columns, rows->word_ct, rows->word_ct),
                "counting pairs");
    bench_check(dms_cuda_pairs_count(counter, 0, d, 0, d, matrix, copy_rectangle),
                "counting pairs");
    dms_cuda_pairs_close(counter);
}

/* From the host and back, all memory of the card and the host being taken anew. */
static void measure_pairs(uint64_t row_ct, uint64_t example_ct, uint64_t repeats)
{
    struct dms_packed_rows rows = make_rows(row_ct, example_ct);
    struct matrix matrix = {
        .example_ct = rows.example_ct,
        .counts = bench_alloc(rows.example_ct * rows.example_ct * sizeof *matrix.counts),
    };
    double in_bits = measure_counting(&rows, true, repeats);
    double in_bytes = measure_counting(&rows, false, repeats);
    struct bench_series speeds = {.value_ct = 0};
    struct dms_cuda cuda;

    bench_check(dms_cuda_open(&cuda), "the card");
    for (uint64_t repeat = 0; repeat < repeats; repeat++) {
        double start = bench_now();

        count_matrix(&rows, &matrix);
        bench_add(&speeds, pair_bits(&rows) / (bench_now() - start));
    }
    print_pairs(&rows,
                bench_text("card, from columns to counts on the host, in %s",
                           cuda.counts_in_bits ? "bits" : "bytes"),
                &speeds, "on the card alone", cuda.counts_in_bits ? in_bits : in_bytes);
    free(rows.columns);
    free(matrix.counts);
}

/* ---- copies --------------------------------------------------------------- */

static void measure_copy(const char *what, void *to, const void *from, size_t bytes,
                         uint64_t repeats)
{
    struct bench_series speeds = {.value_ct = 0};

    for (uint64_t repeat = 0; repeat < repeats; repeat++) {
        double start = bench_now();

        check(module->copy(to, from, bytes, stream), "a copy");
        check(module->finish(stream), "a copy");
        bench_add(&speeds, 1e-9 * (double)bytes / (bench_now() - start));
    }
    bench_print_row(&(struct bench_row){.what = what,
                                        .size = bench_text("%zu MiB", bytes >> 20),
                                        .series = &speeds,
                                        .unit = "GB/s"});
}

/* To the card and from it at the same time. */
static void measure_both_ways(void *one, void *other, void *to_card, void *from_card, size_t bytes,
                              uint64_t repeats)
{
    struct bench_series speeds = {.value_ct = 0};
    dms_cuda_stream *back;

    check(module->create_stream(&back), "a stream");
    for (uint64_t repeat = 0; repeat < repeats; repeat++) {
        double start = bench_now();

        check(module->copy(one, to_card, bytes, stream), "a copy");
        check(module->copy(from_card, other, bytes, back), "a copy");
        check(module->finish(stream), "a copy");
        check(module->finish(back), "a copy");
        bench_add(&speeds, 2e-9 * (double)bytes / (bench_now() - start));
    }
    module->destroy_stream(back);
    bench_print_row(&(struct bench_row){.what = "card, copies both ways at once",
                                        .size = bench_text("2 x %zu MiB", bytes >> 20),
                                        .series = &speeds,
                                        .unit = "GB/s"});
}

static void measure_copies(size_t bytes, uint64_t repeats)
{
    void *one = device_alloc(bytes), *other = device_alloc(bytes), *to_card, *from_card;

    check(module->allocate_pinned(bytes, &to_card), "pinned memory");
    check(module->allocate_pinned(bytes, &from_card), "pinned memory");
    memset(to_card, 1, bytes);
    memset(from_card, 1, bytes);
    measure_copy("card, copy from pinned memory", one, to_card, bytes, repeats);
    measure_copy("card, copy to pinned memory", from_card, one, bytes, repeats);
    measure_both_ways(one, other, to_card, from_card, bytes, repeats);
    measure_copy("card, copy on the card (moves twice that)", other, one, bytes, repeats);
    module->release(one);
    module->release(other);
    module->release_pinned(to_card);
    module->release_pinned(from_card);
}

/* NULL, or why there is no device. */
static const char *open_device(void)
{
    static struct dms_cuda_status status;
    const char *given = getenv("DMSTORE_TEST_MODULE");
    struct dms_device_info info;

    if (given) {
        setenv("DMSTORE_CUDA_MODULE", given, 1);
    }
    dms_cuda_probe(&status);
    if (status.device_ct == 0) {
        return status.reason;
    }
    bench_check(dms_cuda_module_load(&module), "the CUDA module");
    bench_check(dms_cuda_device(0, &info), "the card");
    check(module->select(0), "the card");
    check(module->create_stream(&stream), "a stream");
    printf("card: %s, compute capability %d.%d, %s\n", info.name, info.capability_major,
           info.capability_minor, status.runtime);
    return NULL;
}

int main(int argc, char **argv)
{
    uint64_t row_ct = 4096, column_ct = 50000, target_ct = 4096, repeats = 11, copy_mib = 1024;
    uint64_t pair_rows = 262144, pair_examples = 8192, block_ct = 16384, step_ct = 4096;
    bool is_full = false; /* the usual sizes are those of a batch of a published run already */
    const char *directory = ".", *reason;
    const struct bench_flag flags[] = {
        {.name = "full", .is_set = &is_full},
        {.name = "rows", .number = &row_ct},
        {.name = "columns", .number = &column_ct},
        {.name = "targets", .number = &target_ct},
        {.name = "copy-mib", .number = &copy_mib},
        {.name = "repeats", .number = &repeats},
        {.name = "pair-rows", .number = &pair_rows},
        {.name = "pair-examples", .number = &pair_examples},
        {.name = "blocks", .number = &block_ct},
        {.name = "steps", .number = &step_ct},
        {.name = "directory", .text = &directory},
    };
    struct problem problem;

    bench_read_flags(argc, argv, flags, sizeof flags / sizeof *flags);
    reason = open_device();
    if (reason) {
        printf("SKIP: %s\n", reason);
        return 0;
    }
    bench_print_head(directory);
    for (size_t unit = 0; unit < sizeof units / sizeof *units; unit++) {
        measure_ceiling((enum dms_cuda_unit)unit, block_ct, step_ct, repeats);
    }
    measure_copies((size_t)copy_mib << 20, repeats);
    problem = make_problem((uint32_t)row_ct, (uint32_t)column_ct, (uint32_t)target_ct);
    for (int in_halves = 1; in_halves >= 0; in_halves--) {
        measure_product(&problem, false, in_halves, repeats);
        measure_product(&problem, true, in_halves, repeats);
    }
    free_problem(&problem);
    measure_pairs(pair_rows, pair_examples, repeats);
    module->destroy_stream(stream);
    return 0;
}
