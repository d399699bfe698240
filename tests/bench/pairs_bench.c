/*
 * Counting pairs of training examples: the kernels of each variant on one core, against
 * intersecting two columns and counting bits with the fastest popcount there is; and all pairs of a
 * matrix of packed columns with all threads, as for a fit.
 *
 *   pairs_bench [--full] [--columns D] [--rows M] [--percent P] [--threads N] [--repeats N]
 *
 * A pair of bits is counted for every row and two columns, whether bits are set or not; P percent
 * of them are (50). --full: D is 21,404 and M 150,000, else 4,000 and 20,000. The kernels are timed
 * by the processor's clock, the whole by that on the wall; DMS_KERNELS says which variant it has.
 */
#include "base/mix.h"
#include "base/pool.h"
#include "kernels/kernels.h"
#include "kernels/pairs.h"
#include "solver/pair_counts.h"
#include "tests/bench/bench.h"

#include <stdlib.h>
#include <string.h>

enum { VARIANT_CT = 3, COLUMN_CT = 128, WORD_CT = DMS_PANEL_ROWS / 64, PIECE_WORDS = 128 };

static const double min_seconds = 0.05;
static const char *const variant_names[VARIANT_CT] = {"ref", "avx2", "avx512"};

static uint64_t random_state = 1;

/* Bits of which `percent` in a hundred are set. */
static uint64_t random_word(uint64_t percent)
{
    uint64_t word = 0;

    if (percent == 50)
        return dms_mix_next(&random_state);
    for (size_t bit = 0; bit < 64; bit++)
        word |= (uint64_t)(dms_mix_next(&random_state) % 100 < percent) << bit;
    return word;
}

/* COLUMN_CT columns against a panel. */
struct kernel_data {
    uint64_t *columns; /* COLUMN_CT x WORD_CT, of the panel's rows */
    uint64_t *panel;
    uint16_t *rows;
    uint32_t *counts; /* COLUMN_CT x DMS_PANEL_COLUMNS */
};

static void count_by_rows(const struct dms_pair_kernels *kernels, const struct kernel_data *data)
{
    for (size_t k = 0; k < COLUMN_CT; k++) {
        size_t row_ct = kernels->list_rows(data->columns + k * WORD_CT, WORD_CT, data->rows);

        kernels->count_rows(data->panel, data->rows, row_ct, data->counts + k * DMS_PANEL_COLUMNS);
    }
}

/* As many pairs, in a tile of 128 x 128 columns, four times. */
static void count_by_intersection(const struct kernel_data *data)
{
    const struct dms_kernels *kernels = dms_kernels_get();
    uint64_t both[PIECE_WORDS];

    for (size_t a = 0; a < COLUMN_CT; a++)
        for (size_t b = 0; b < DMS_PANEL_COLUMNS; b++) {
            const uint64_t *left = data->columns + a * WORD_CT;
            const uint64_t *right = data->columns + b % COLUMN_CT * WORD_CT;

            for (size_t w = 0; w < WORD_CT; w++)
                both[w] = left[w] & right[w];
            data->counts[a * DMS_PANEL_COLUMNS + b] +=
                (uint32_t)kernels->popcount((const uint8_t *)both, sizeof both);
        }
}

/* Adds the pairs of bits per second of one measurement; kernels NULL: by intersection. */
static void measure(const struct dms_pair_kernels *kernels, const struct kernel_data *data,
                    struct bench_series *speed)
{
    double start = bench_processor_now(), elapsed;
    double pairs = (double)DMS_PANEL_ROWS * COLUMN_CT * DMS_PANEL_COLUMNS;
    size_t call_ct = 0;

    do {
        if (kernels)
            count_by_rows(kernels, data);
        else
            count_by_intersection(data);
        call_ct++;
        elapsed = bench_processor_now() - start;
    } while (elapsed < min_seconds);
    bench_add(speed, pairs * (double)call_ct / elapsed);
}

static struct kernel_data make_kernel_data(uint64_t percent)
{
    size_t panel_words = (DMS_PANEL_ROWS + 1) * (size_t)DMS_PANEL_WORDS;
    struct kernel_data data = {
        .columns = bench_alloc(COLUMN_CT * WORD_CT * sizeof(uint64_t)),
        .panel = bench_alloc(panel_words * sizeof(uint64_t)),
        .rows = bench_alloc(DMS_PANEL_LIST_ROOM(DMS_PANEL_ROWS) * sizeof(uint16_t)),
        .counts = bench_alloc((size_t)COLUMN_CT * DMS_PANEL_COLUMNS * sizeof(uint32_t)),
    };

    for (size_t w = 0; w < COLUMN_CT * WORD_CT; w++)
        data.columns[w] = random_word(percent);
    for (size_t w = DMS_PANEL_WORDS; w < panel_words; w++)
        data.panel[w] = random_word(percent);
    return data;
}

static void measure_kernels(uint64_t percent, uint64_t repeats)
{
    struct bench_series speeds[VARIANT_CT] = {{.value_ct = 0}}, intersection = {.value_ct = 0};
    struct kernel_data data = make_kernel_data(percent);

    for (uint64_t repeat = 0; repeat < repeats; repeat++) {
        for (size_t v = 0; v < VARIANT_CT; v++)
            if (dms_pair_kernels_by_name(variant_names[v]))
                measure(dms_pair_kernels_by_name(variant_names[v]), &data, &speeds[v]);
        measure(NULL, &data, &intersection);
    }
    for (size_t v = 0; v < VARIANT_CT; v++)
        if (speeds[v].value_ct > 0)
            bench_print_row(&(struct bench_row){
                .what = bench_text("pairs of columns, %s, a core", variant_names[v]),
                .size = bench_text("%d x %d columns, %d rows, %u%%", COLUMN_CT, DMS_PANEL_COLUMNS,
                                   DMS_PANEL_ROWS, (unsigned)percent),
                .series = &speeds[v],
                .unit = "pairs/s",
                .reference_name = bench_text("intersecting, %s", dms_kernels_get()->name),
                .reference = &intersection,
            });
    free(data.columns);
    free(data.panel);
    free(data.rows);
    free(data.counts);
}

static void measure_matrix(size_t column_ct, uint64_t row_ct, uint64_t percent, uint64_t threads,
                           uint64_t repeats)
{
    struct dms_packed_rows rows = {
        .example_ct = column_ct, .row_ct = row_ct, .word_ct = (size_t)((row_ct + 63) / 64)};
    struct bench_series speed = {.value_ct = 0};
    double pairs = (double)row_ct * (double)column_ct * (double)(column_ct + 1) / 2;
    struct dms_pool *pool = NULL;

    rows.columns = bench_alloc(column_ct * rows.word_ct * sizeof(uint64_t));
    for (size_t w = 0; w < column_ct * rows.word_ct; w++)
        if ((w + 1) % rows.word_ct != 0) /* the last one may have bits beyond the rows */
            rows.columns[w] = random_word(percent);
    bench_check(dms_pool_create((unsigned)threads, &pool), "threads");
    for (uint64_t repeat = 0; repeat < repeats; repeat++) {
        struct dms_pair_counts *counts = NULL;
        double start = bench_now();

        bench_check(dms_pair_counts_compute(pool, &rows, &counts), "counting");
        bench_add(&speed, pairs / (bench_now() - start));
        dms_pair_counts_free(counts);
    }
    bench_print_row(&(struct bench_row){
        .what = bench_text("all pairs, %s, %u threads", dms_pair_kernels_get()->name,
                           dms_pool_threads(pool)),
        .size = bench_text("d %zu, m %zu, %u%%", column_ct, (size_t)row_ct, (unsigned)percent),
        .series = &speed,
        .unit = "pairs/s",
        .goal = BENCH_AT_LEAST,
        .limit = 6e11,
    });
    dms_pool_free(pool);
    free(rows.columns);
}

int main(int argc, char **argv)
{
    uint64_t column_ct = 0, row_ct = 0, percent = 0, threads = 0, repeats = 0;
    bool is_full = false;
    const char *directory = ".";
    const struct bench_flag flags[] = {
        {.name = "full", .is_set = &is_full},      {.name = "columns", .number = &column_ct},
        {.name = "rows", .number = &row_ct},       {.name = "percent", .number = &percent},
        {.name = "threads", .number = &threads},   {.name = "repeats", .number = &repeats},
        {.name = "directory", .text = &directory},
    };

    bench_read_flags(argc, argv, flags, sizeof flags / sizeof *flags);
    bench_set_default(&column_ct, is_full ? 21404 : 4000);
    bench_set_default(&row_ct, is_full ? 150000 : 20000);
    bench_set_default(&percent, 50);
    bench_set_default(&repeats, is_full ? 3 : 7);
    bench_print_head(directory);
    measure_kernels(percent, repeats);
    measure_matrix((size_t)column_ct, row_ct, percent, threads, repeats);
    return 0;
}
