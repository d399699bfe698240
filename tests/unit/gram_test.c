/*
 * The parts of the gram solver: every variant of its kernels that this machine can run against
 * naive loops; the Gram matrix against counting, for masks of any kind, in rows that int16 holds
 * and in those it does not; problems that need more than one working set, and working sets that are
 * too small, against saga.
 */
#include "base/mix.h"
#include "base/pool.h"
#include "dmstore/error.h"
#include "kernels/gram.h"
#include "solver/gram_matrix.h"
#include "tests/unit/matrix_source.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const variant_names[] = {"ref", "avx2", "avx512"};

static uint64_t random_state = 1;

static double uniform(void)
{
    return matrix_uniform(&random_state);
}

/* ---- kernels ---- */

#define VALUE_MAX 200
#define GUARD 12345.0

/* Whether sums of some terms are what a naive loop finds, and nothing behind them was touched. */
static bool close_to(const double *sums, const double *wanted, const double *sizes, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (!(fabs(sums[k] - wanted[k]) <= 1e-14 * sizes[k]))
            return false;
    return sums[n] == GUARD;
}

struct sums {
    double found[VALUE_MAX + 1], wanted[VALUE_MAX], sizes[VALUE_MAX];
};

static void begin_sums(struct sums *sums, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        sums->found[k] = sums->wanted[k] = uniform() - 0.5;
        sums->sizes[k] = fabs(sums->wanted[k]);
    }
    sums->found[n] = GUARD;
}

static void add_wanted(struct sums *sums, size_t k, double term)
{
    sums->wanted[k] += term;
    sums->sizes[k] += fabs(term);
}

static bool adds_rows(const struct dms_gram_kernels *kernels, size_t row_ct, size_t n)
{
    static int16_t values[DMS_GRAM_ROWS][VALUE_MAX + DMS_GRAM_ROWS];
    const int16_t *rows[DMS_GRAM_ROWS] = {NULL};
    double weights[DMS_GRAM_ROWS] = {0};
    struct sums sums;

    begin_sums(&sums, n);
    for (size_t r = 0; r < row_ct; r++) {
        rows[r] = values[r] + r; /* at any alignment */
        weights[r] = uniform() - 0.5;
        for (size_t k = 0; k < n; k++) {
            values[r][r + k] = (int16_t)(uniform() * 65535 - 32768);
            add_wanted(&sums, k, weights[r] * values[r][r + k]);
        }
    }
    kernels->add_rows(row_ct, rows, weights, n, sums.found);
    return close_to(sums.found, sums.wanted, sums.sizes, n);
}

static bool adds_wide_row(const struct dms_gram_kernels *kernels, size_t n)
{
    int32_t row[VALUE_MAX] = {0};
    struct sums sums;

    begin_sums(&sums, n);
    for (size_t k = 0; k < n; k++) {
        row[k] = (int32_t)(uniform() * 4e9 - 2e9);
        add_wanted(&sums, k, 0.3 * row[k]);
    }
    kernels->add_wide_row(row, 0.3, n, sums.found);
    return close_to(sums.found, sums.wanted, sums.sizes, n);
}

/* The largest products in every row of the first column: their sum is near 2^31. */
static bool adds_multiples(const struct dms_gram_kernels *kernels, size_t n)
{
    int16_t values[DMS_GRAM_MULTIPLES][VALUE_MAX], factors[DMS_GRAM_MULTIPLES];
    const int16_t *rows[DMS_GRAM_MULTIPLES];
    struct sums sums;

    begin_sums(&sums, n);
    for (size_t r = 0; r < DMS_GRAM_MULTIPLES; r++) {
        rows[r] = values[r];
        factors[r] = r % 3 == 2 ? (int16_t)(5 - (int)r) : -DMS_GRAM_LARGEST_FACTOR;
        for (size_t k = 0; k < n; k++) {
            values[r][k] = k == 0 ? INT16_MIN : (int16_t)(dms_mix_next(&random_state) >> 48);
            add_wanted(&sums, k, 0.125 * factors[r] * values[r][k]);
        }
    }
    kernels->add_multiples(rows, factors, 0.125, n, sums.found);
    return close_to(sums.found, sums.wanted, sums.sizes, n);
}

static bool adds_scaled(const struct dms_gram_kernels *kernels, size_t n)
{
    double values[VALUE_MAX] = {0};
    struct sums sums;

    begin_sums(&sums, n);
    for (size_t k = 0; k < n; k++) {
        values[k] = uniform() - 0.5;
        add_wanted(&sums, k, -1.7 * values[k]);
    }
    kernels->add_scaled(n, -1.7, values, sums.found);
    return close_to(sums.found, sums.wanted, sums.sizes, n);
}

static bool adds_where(const struct dms_gram_kernels *kernels, size_t stride, size_t n)
{
    uint64_t words[(VALUE_MAX / 64 + 1) * 3];
    struct sums sums;

    begin_sums(&sums, n);
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
        words[w] = dms_mix_next(&random_state);
    for (size_t i = 0; i < n; i++)
        if (words[i / 64 * stride] >> (i & 63) & 1)
            add_wanted(&sums, i, 0.7);
    kernels->add_where(words, stride, n, 0.7, sums.found);
    return close_to(sums.found, sums.wanted, sums.sizes, n);
}

/* Every fifth scale is 0, where gradients do not count, and every third weight. */
static bool sums_up(const struct dms_gram_kernels *kernels, size_t n)
{
    double weights[VALUE_MAX], gradients[VALUE_MAX], products[VALUE_MAX], scales[VALUE_MAX];
    struct dms_gram_sums found, wanted = {0};

    for (size_t k = 0; k < n; k++) {
        weights[k] = k % 3 == 0 || k % 5 == 2 ? 0 : uniform() - 0.5;
        gradients[k] = uniform() - 0.5;
        products[k] = uniform() - 0.5;
        scales[k] = k % 5 == 2 ? 0 : uniform();
        wanted.product += weights[k] * products[k];
        wanted.slope += weights[k] * gradients[k];
        wanted.norm += scales[k] * fabs(weights[k]);
        if (scales[k] > 0)
            wanted.largest_gradient = fmax(wanted.largest_gradient, fabs(gradients[k]) / scales[k]);
        wanted.weight_ct += weights[k] != 0;
    }
    kernels->sum_up(n, weights, gradients, products, scales, &found);
    return fabs(found.product - wanted.product) <= 1e-14 * (double)n &&
           fabs(found.slope - wanted.slope) <= 1e-14 * (double)n &&
           fabs(found.norm - wanted.norm) <= 1e-14 * (double)n &&
           found.largest_gradient == wanted.largest_gradient && found.weight_ct == wanted.weight_ct;
}

static bool sums_pairs(const struct dms_gram_kernels *kernels, size_t n)
{
    double weights[VALUE_MAX], singles[VALUE_MAX], wanted = 0, size = 0;
    uint32_t counts[VALUE_MAX];

    for (size_t k = 0; k < n; k++) {
        double term;

        weights[k] = uniform() - 0.5;
        singles[k] = floor(uniform() * INT32_MAX);
        counts[k] = k == 0 ? INT32_MAX : (uint32_t)(uniform() * singles[k]);
        term = weights[k] * (counts[k] - 0.25 * singles[k]);
        wanted += term;
        size += fabs(term);
    }
    return fabs(kernels->sum_pairs(n, counts, singles, weights, 0.25) - wanted) <= 1e-14 * size;
}

static void test_kernels(const char *name)
{
    const struct dms_gram_kernels *kernels = dms_gram_kernels_by_name(name);
    bool rows = true, multiples = true, wide = true, scaled = true, where = true, sums = true;
    bool pairs = true;

    if (!kernels) {
        diag("this machine cannot run %s", name);
        return;
    }
    for (size_t n = 0; n <= VALUE_MAX; n += n < 70 ? 1 : 13) {
        for (size_t row_ct = 0; row_ct <= DMS_GRAM_ROWS; row_ct++)
            rows = rows && adds_rows(kernels, row_ct, n);
        multiples = multiples && adds_multiples(kernels, n);
        wide = wide && adds_wide_row(kernels, n);
        scaled = scaled && adds_scaled(kernels, n);
        sums = sums && sums_up(kernels, n);
        pairs = pairs && sums_pairs(kernels, n);
        where = where && adds_where(kernels, 1, n) && adds_where(kernels, 3, n);
    }
    ok(rows, "%s: rows are added up", name);
    ok(multiples, "%s: and multiples of rows", name);
    ok(wide, "%s: and rows of 32 bits", name);
    ok(scaled, "%s: and vectors", name);
    ok(where, "%s: and values where a bit is set", name);
    ok(pairs, "%s: and pairs in deviations", name);
    ok(sums, "%s: what a certificate takes is summed up", name);
}

/* ---- the matrix ---- */

/* Packed columns of random masks, each example in the share of the rows that `rate` tells; example
 * 1 has the mask of example 0. */
static struct dms_packed_rows random_rows(size_t row_ct, size_t example_ct,
                                          double (*rate)(size_t example))
{
    struct dms_packed_rows rows = {
        .example_ct = example_ct, .row_ct = row_ct, .word_ct = (row_ct + 63) / 64};

    rows.columns = calloc(rows.word_ct * example_ct, sizeof *rows.columns);
    for (size_t k = 0; k < example_ct; k++)
        for (size_t i = 0; i < row_ct; i++) {
            bool in = k == 1 ? rows.columns[i / 64] >> (i & 63) & 1 : uniform() < rate(k);

            rows.columns[k * rows.word_ct + i / 64] |= (uint64_t)in << (i & 63);
        }
    return rows;
}

/* Of several sets of rows together. */
static double covariance(const struct dms_packed_rows *parts, size_t part_ct, size_t a, size_t b)
{
    double rows = 0, both = 0, first = 0, second = 0;

    for (size_t p = 0; p < part_ct; p++) {
        const struct dms_packed_rows *part = &parts[p];
        const uint64_t *of_a = part->columns + a * part->word_ct;
        const uint64_t *of_b = part->columns + b * part->word_ct;

        rows += (double)part->row_ct;
        for (size_t w = 0; w < part->word_ct; w++) {
            both += __builtin_popcountll(of_a[w] & of_b[w]);
            first += __builtin_popcountll(of_a[w]);
            second += __builtin_popcountll(of_b[w]);
        }
    }
    return (both - first * second / rows) / rows;
}

static double equal_rates(size_t example)
{
    (void)example;
    return 0.5;
}

static double mixed_rates(size_t example)
{
    return example % 5 == 4 ? 0.97 : example % 7 == 3 ? 0 : 0.04;
}

static double extreme_rates(size_t example)
{
    return example % 2 ? 0.99 : 0.01;
}

static bool matrix_agrees(const struct dms_gram_matrix *matrix, const struct dms_packed_rows *parts,
                          size_t part_ct)
{
    size_t d = matrix->example_ct;
    double *sums = calloc(d, sizeof *sums), *wanted = calloc(d, sizeof *wanted), worst = 0;
    uint32_t *examples = calloc(d, sizeof *examples);
    double *changes = calloc(d, sizeof *changes), *some = calloc(d * d, sizeof *some);
    struct dms_weight_changes change = {0, examples, changes};

    for (size_t b = 0; b < d; b += 2) {
        examples[change.change_ct] = (uint32_t)b;
        changes[change.change_ct++] = uniform() - 0.5;
    }
    dms_gram_matrix_covariances(matrix, change.change_ct, examples, some);
    for (size_t k = 0; k < d; k++)
        for (size_t i = 0; i < change.change_ct; i++) {
            double value = covariance(parts, part_ct, k, examples[i]);

            wanted[k] += changes[i] * value;
            if (k % 2 == 0)
                worst = fmax(worst, fabs(some[k / 2 * change.change_ct + i] - value));
        }
    /* In ranges of columns, as the solver does it. */
    dms_gram_matrix_add(matrix, &change, 0, d / 3, sums);
    dms_gram_matrix_add(matrix, &change, d / 3, d, sums);
    for (size_t k = 0; k < d; k++)
        worst = fmax(worst, fabs(sums[k] - wanted[k]));
    free(sums);
    free(wanted);
    free(examples);
    free(changes);
    free(some);
    return ok(worst < 1e-13, "covariances and their sums: within %.1e", worst);
}

/* Changes that come one by one, some of them multiples of the unit, are seen at once and all added
 * at the end; against the sums of all of them. */
static bool updates_agree(const struct dms_gram_matrix *matrix)
{
    size_t d = matrix->example_ct;
    double *found = calloc(d, sizeof *found), *wanted = calloc(d, sizeof *wanted), worst = 0;
    struct dms_gram_update update = dms_gram_update_begin(matrix, 0.5, found);

    for (size_t i = 0; i < 3 * d; i++) {
        double change = (uniform() - 0.5) * (i % 11 == 5 ? 10 : 1);
        uint32_t k = (uint32_t)(i * 7 % d);
        struct dms_weight_changes alone = {1, &k, &change};

        if (i % 4 != 3)
            change = dms_gram_update_round(&update, change);
        dms_gram_update_add(&update, k, change);
        dms_gram_matrix_add(matrix, &alone, 0, d, wanted);
        for (size_t j = 0; j < d; j++)
            worst = fmax(worst, fabs(dms_gram_update_gradient(&update, j) - wanted[j]));
    }
    dms_gram_update_end(&update);
    for (size_t j = 0; j < d; j++)
        worst = fmax(worst, fabs(found[j] - wanted[j]));
    free(found);
    free(wanted);
    return ok(worst < 1e-13, "changes one by one: within %.1e", worst);
}

static void test_matrix(const char *name, size_t row_ct, size_t example_ct,
                        double (*rate)(size_t example), size_t least_wide)
{
    struct dms_packed_rows parts[2] = {random_rows(row_ct, example_ct, rate),
                                       random_rows(row_ct / 7, example_ct, rate)};
    struct dms_pair_counts *counts[2] = {NULL};
    struct dms_gram_matrix *matrix = NULL;
    struct dms_pool *pool = NULL;
    uint64_t wide_bytes = 0;
    size_t wide_ct = 0;

    ok(dms_pool_create(2, &pool) == DMS_OK &&
           dms_pair_counts_compute(pool, &parts[0], &counts[0]) == DMS_OK &&
           dms_pair_counts_compute(pool, &parts[1], &counts[1]) == DMS_OK,
       "%s: counted", name);
    for (size_t part_ct = 1; part_ct <= 2; part_ct++) {
        const struct dms_pair_counts *const some[2] = {counts[0], counts[1]};

        if (!ok(dms_gram_matrix_create(pool, part_ct, some, &matrix) == DMS_OK,
                "%s: a matrix of %zu parts", name, part_ct))
            break;
        matrix_agrees(matrix, parts, part_ct);
        updates_agree(matrix);
        wide_ct = 0;
        for (size_t a = 0; a < example_ct; a++)
            wide_ct += matrix->wide_rows[a] != NULL;
        ok(wide_ct >= least_wide && (least_wide > 0 || wide_ct == 0),
           "%s: %zu rows do not fit int16", name, wide_ct);
        ok(dms_gram_matrix_wide_bytes(pool, part_ct, some, &wide_bytes) == DMS_OK &&
               wide_bytes == wide_ct * example_ct * sizeof(int32_t),
           "%s: which is known before it is made", name);
        dms_gram_matrix_free(matrix);
    }
    dms_pair_counts_free(counts[0]);
    dms_pair_counts_free(counts[1]);
    dms_pool_free(pool);
    free(parts[0].columns);
    free(parts[1].columns);
}

/* ---- large problems in little memory ---- */

#define EXAMPLES 300
#define TARGETS 3

struct found {
    double weights[TARGETS][EXAMPLES];
    double gaps[TARGETS];
};

static int take(void *context, const struct dms_fitted_target *target)
{
    struct found *found = context;

    found->gaps[target->target] = target->gap;
    for (size_t i = 0; i < target->weight_ct; i++)
        found->weights[target->target][target->examples[i]] = target->weights[i];
    return DMS_OK;
}

static double distance(const struct found *a, const struct found *b)
{
    double worst = 0;

    for (size_t j = 0; j < TARGETS; j++)
        for (size_t k = 0; k < EXAMPLES; k++)
            worst = fmax(worst, fabs(a->weights[j][k] - b->weights[j][k]));
    return worst;
}

/* Half of all examples have a weight in the end, so that shared targets sweep over whole rows:
 * more than a working set of little memory holds, where others take the most urgent examples in
 * turns. */
static void test_small_sets(bool own)
{
    size_t row_ct = 900;
    uint8_t *masks = calloc(row_ct * EXAMPLES, 1);
    float *outputs = calloc(row_ct * TARGETS, sizeof *outputs);
    int64_t self[TARGETS] = {4, 5, 6};
    struct matrix matrix = {.example_ct = EXAMPLES,
                            .target_ct = TARGETS,
                            .row_ct = {row_ct, 0, row_ct},
                            .outputs = outputs};
    struct found much = {0}, alone = {0}, little = {0}, saga = {0};
    struct dms_problem problem;
    struct dms_solve_control control = {
        .thread_ct = 2, .memory_bytes = UINT64_C(1) << 30, .max_epochs = 100000, .result = take};

    for (size_t i = 0; i < row_ct * EXAMPLES; i++)
        masks[i] = uniform() < 0.5;
    for (size_t j = 0; j < TARGETS; j++)
        for (size_t i = 0; i < row_ct; i++) {
            double y = uniform();

            for (size_t k = j; k < EXAMPLES; k += 2)
                y += (double)(k % 5 + 1) * masks[i * EXAMPLES + k];
            outputs[i * TARGETS + j] = (float)y;
        }
    matrix.masks = matrix_pack(masks, row_ct, EXAMPLES);
    matrix_problem(&matrix, &problem);
    problem.tolerance = 1e-7;
    problem.lambda_ct = 20;
    problem.lambda_min_ratio = 1e-3;
    problem.self = own ? self : NULL;
    control.context = &much;
    ok(dms_gram_solve(&problem, &control) == DMS_OK, "with much memory");
    control.context = &alone;
    control.thread_ct = 1;
    ok(dms_gram_solve(&problem, &control) == DMS_OK, "with one thread");
    ok(memcmp(&much, &alone, sizeof much) == 0, "the same bits");
    control.thread_ct = 2;
    control.context = &saga;
    ok(dms_saga_solve(&problem, &control) == DMS_OK, "by SAGA");
    control.context = &little;
    control.memory_bytes = own ? UINT64_C(11) << 20 : UINT64_C(5) << 20;
    if (!ok(dms_gram_solve(&problem, &control) == DMS_OK, "with little"))
        diag("%s", dms_error_message());
    for (size_t j = 0; j < TARGETS; j++)
        ok(much.gaps[j] <= 1e-7 && little.gaps[j] <= 1e-7, "target %zu is certified", j);
    ok(distance(&much, &little) < 1e-3, "the same weights, within %.1e of 5",
       distance(&much, &little));
    ok(distance(&much, &saga) < 1e-3, "and SAGA's, within %.1e", distance(&much, &saga));
    free((void *)matrix.masks);
    free(masks);
    free(outputs);
}

int main(void)
{
    for (size_t i = 0; i < sizeof variant_names / sizeof *variant_names; i++)
        test_kernels(variant_names[i]);
    test_matrix("subsets", 1000, 130, equal_rates, 0);
    test_matrix("one example", 100, 1, equal_rates, 0);
    test_matrix("mixed rates", 3000, 60, mixed_rates, 0);
    test_matrix("duplicates in many rows", 200000, 4, equal_rates, 2);
    test_matrix("extreme rates in many rows", 140000, 30, extreme_rates, 30);
    test_small_sets(false);
    test_small_sets(true);
    return tap_done();
}
