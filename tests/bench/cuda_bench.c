/*
 * The products of the solver on a graphics card, X W and X^T R, as tensor cores and as doubles take
 * them, and copies: from pinned memory of the host to the card, and on the card.
 *
 *   cuda_bench [--rows M] [--columns D] [--targets N] [--copy-mib N] [--repeats N]
 *
 * A multiply-add is counted for every row, column and target, whether the bit is set or not, and
 * once for both halves. The module is that of the library (dmstore-devices(1)), or the file of the
 * environment variable DMSTORE_TEST_MODULE. Without a device, it prints SKIP and why.
 */
#include "solver/cuda_module.h"
#include "tests/bench/bench.h"

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
    });
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

static void measure_copies(size_t bytes, uint64_t repeats)
{
    void *one = device_alloc(bytes), *other = device_alloc(bytes), *pinned;

    check(module->allocate_pinned(bytes, &pinned), "pinned memory");
    memset(pinned, 1, bytes);
    measure_copy("card, copy from pinned memory", one, pinned, bytes, repeats);
    measure_copy("card, copy on the card (moves twice that)", other, one, bytes, repeats);
    module->release(one);
    module->release(other);
    module->release_pinned(pinned);
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
    bool is_full = false; /* the usual sizes are those of a batch of a published run already */
    const char *directory = ".", *reason;
    const struct bench_flag flags[] = {
        {.name = "full", .is_set = &is_full},      {.name = "rows", .number = &row_ct},
        {.name = "columns", .number = &column_ct}, {.name = "targets", .number = &target_ct},
        {.name = "copy-mib", .number = &copy_mib}, {.name = "repeats", .number = &repeats},
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
    problem = make_problem((uint32_t)row_ct, (uint32_t)column_ct, (uint32_t)target_ct);
    for (int in_halves = 1; in_halves >= 0; in_halves--) {
        measure_product(&problem, false, in_halves, repeats);
        measure_product(&problem, true, in_halves, repeats);
    }
    free_problem(&problem);
    measure_copies((size_t)copy_mib << 20, repeats);
    module->destroy_stream(stream);
    return 0;
}
