/*
 * Ridge regression on matrices in memory: counts of pairs against counting one by one, certificates
 * of weights that are no solutions against the objectives themselves, normal equations, the same
 * bytes from any number of threads and from a checkpoint, what is refused.
 */
#include <math.h>
#include <stdlib.h>

#include "base/linear_algebra.h"
#include "base/pool.h"
#include "dmstore/error.h"
#include "matrix_source.h"
#include "solver/ridge_system.h"
#include "tap.h"

/* ---- data ---- */

struct data {
    size_t row_ct, example_ct, target_ct;
    uint8_t *masks; /* rows x examples, bytes */
    float *outputs; /* rows x targets */
    uint8_t *packed;
    struct matrix matrix;
    struct dms_problem problem;
};

static uint64_t random_state = 99;

static double uniform(void)
{
    return matrix_uniform(&random_state);
}

static void make_data(struct data *data, size_t training_ct, size_t validation_ct,
                      size_t example_ct, size_t target_ct)
{
    size_t row_ct = training_ct + validation_ct;

    *data = (struct data){.row_ct = row_ct, .example_ct = example_ct, .target_ct = target_ct};
    data->masks = calloc(row_ct * example_ct, 1);
    data->outputs = calloc(row_ct * target_ct, sizeof *data->outputs);
    for (size_t i = 0; i < row_ct * example_ct; i++)
        data->masks[i] = uniform() < 0.4;
    for (size_t i = 0; i < row_ct; i++)
        for (size_t j = 0; j < target_ct; j++)
            data->outputs[i * target_ct + j] =
                (float)(uniform() + data->masks[i * example_ct + j % example_ct]);
    data->packed = matrix_pack(data->masks, row_ct, example_ct);
    data->matrix = (struct matrix){.example_ct = example_ct,
                                   .target_ct = target_ct,
                                   .row_ct = {training_ct, validation_ct, row_ct},
                                   .masks = data->packed,
                                   .outputs = data->outputs};
    matrix_problem(&data->matrix, &data->problem);
    data->problem.tolerance = 1e-12;
}

static void free_data(struct data *data)
{
    free(data->masks);
    free(data->outputs);
    free(data->packed);
}

/* ---- counts ---- */

static double count_pair(const struct data *data, const uint64_t *row_words, size_t a, size_t b)
{
    double count = 0;

    for (size_t i = 0; i < data->row_ct; i++)
        count += (!row_words || (row_words[i / 64] >> (i & 63) & 1)) &&
                 data->masks[i * data->example_ct + a] && data->masks[i * data->example_ct + b];
    return count;
}

/* More words and more examples than are counted at a time. */
static void test_counts(struct dms_pool *pool)
{
    struct data data;
    struct dms_packed_rows rows;
    uint64_t *row_words;

    make_data(&data, 8500, 0, 150, 1);
    if (!ok(dms_packed_rows_read(&data.problem, DMS_ROLE_TRAINING, &rows) == DMS_OK, "masks read"))
        return;
    row_words = calloc(rows.word_ct, sizeof *row_words);
    for (size_t i = 0; i < data.row_ct; i++)
        row_words[i / 64] |= (uint64_t)(uniform() < 0.7) << (i & 63);
    for (int part = 0; part < 2; part++) {
        const uint64_t *words = part ? row_words : NULL;
        double counts[150], scales[150], weight = 0;
        double *matrix = calloc(150 * 150, sizeof *matrix);
        uint32_t examples[140];
        struct dms_covariance covariance = {.rows = &rows,
                                            .row_words = words,
                                            .size = 140,
                                            .examples = examples,
                                            .counts = counts,
                                            .scales = scales};
        bool right = true;

        for (size_t i = 0; i < data.row_ct; i++)
            weight += !words || (words[i / 64] >> (i & 63) & 1);
        dms_packed_rows_count(&rows, words, counts);
        for (size_t k = 0; k < 150; k++)
            right &= counts[k] == count_pair(&data, words, k, k);
        ok(right, "examples are counted, %s", words ? "some rows" : "all rows");
        for (size_t a = 0; a < 140; a++) {
            examples[a] = (uint32_t)(a + 10);
            counts[a] = counts[a + 10];
            scales[a] = 1 + (double)a;
        }
        covariance.row_weight = weight;
        ok(dms_packed_rows_covariance(pool, &covariance, matrix) == DMS_OK, "pairs are counted");
        for (size_t a = 0; a < 140; a += 3)
            for (size_t b = 0; b < 140; b++) {
                double pair = count_pair(&data, words, a + 10, b + 10);
                double value = (pair / weight - counts[a] / weight * counts[b] / weight) /
                               (scales[a] * scales[b]);

                right &= fabs(matrix[a + 140 * b] - value) < 1e-15;
            }
        ok(right, "their covariances are right");
        free(matrix);
    }
    free(row_words);
    dms_packed_rows_free(&rows);
    free_data(&data);
}

/* ---- certificates ---- */

/* v'Av/2 - c.v + lambda v'v/2 with v = s w, from the masks. */
static double objective(const struct data *data, const struct dms_ridge_system *system,
                        const double *products, const double *weights, double lambda)
{
    double value = 0;

    for (size_t i = 0; i < data->row_ct; i++) {
        double product = 0;

        for (size_t k = 0; k < system->size; k++)
            product +=
                (data->masks[i * data->example_ct + system->examples[k]] - system->means[k]) *
                weights[k];
        value += product * product / (2 * (double)data->row_ct);
    }
    for (size_t k = 0; k < system->size; k++) {
        double v = weights[k] * system->scales[k];

        value += lambda * v * v / 2 - products[k] * v;
    }
    return value;
}

/* How far weights that are no solution are from the minimum is what their gap says. */
static void test_gaps(const struct dms_lapack *lapack, struct dms_pool *pool, bool standardize,
                      bool with_vectors, double lambda)
{
    struct data data;
    struct dms_packed_rows rows;
    struct dms_ridge_system *system = NULL;
    struct dms_ridge_setting setting = {.pool = pool,
                                        .lapack = lapack,
                                        .standardize = standardize,
                                        .lambda = with_vectors ? -1 : lambda};
    double products[3 * 30], weights[3 * 30], gaps[3], lambdas[3] = {lambda, lambda, lambda};
    double least[3];

    make_data(&data, 200, 0, 30, 1);
    for (size_t i = 0; i < data.row_ct; i++) {
        data.masks[i * 30 + 7] = 1; /* constant */
        data.masks[i * 30 + 9] = data.masks[i * 30 + 8];
    }
    free(data.packed);
    data.matrix.masks = data.packed = matrix_pack(data.masks, data.row_ct, 30);
    if (!ok(dms_packed_rows_read(&data.problem, DMS_ROLE_TRAINING, &rows) == DMS_OK &&
                dms_ridge_system_create(&setting, &rows, NULL, 200, &system) == DMS_OK,
            "a system with lambda %g, %s", lambda, with_vectors ? "eigenvectors" : "Cholesky"))
        return;
    ok(system->size == 29 && system->examples[7] == 8, "without the constant example");
    /* In the range of A, as products of outputs are. */
    for (size_t t = 0; t < 3; t++)
        for (size_t k = 0; k < 29; k++) {
            double product = k == 8 ? products[29 * t + 7] * system->scales[7] / system->scales[8]
                                    : uniform() - 0.5;

            products[29 * t + k] = product;
        }
    ok(dms_ridge_system_solve(system, 3, lambdas, products, weights, gaps) == DMS_OK &&
           gaps[0] < 1e-20 && gaps[1] < 1e-20 && gaps[2] < 1e-20,
       "solutions: gaps %.1e %.1e %.1e", gaps[0], gaps[1], gaps[2]);
    for (size_t t = 0; t < 3; t++)
        least[t] = objective(&data, system, products + 29 * t, weights + 29 * t, lambda);
    for (size_t k = 0; k < 3 * 29; k++)
        weights[k] += 0.01 * uniform();
    ok(dms_ridge_system_gaps(system, 3, lambdas, products, weights, gaps) == DMS_OK,
       "other weights");
    for (size_t t = 0; t < 3; t++) {
        double excess =
            objective(&data, system, products + 29 * t, weights + 29 * t, lambda) - least[t];

        ok(excess > 1e-5 && fabs(gaps[t] - excess) < 1e-9 * excess,
           "their gap %.12g is the distance %.12g", gaps[t], excess);
    }
    dms_ridge_system_free(system);
    dms_packed_rows_free(&rows);
    free_data(&data);
}

/* ---- whole fits ---- */

#define TARGET_MAX 80
#define EXAMPLE_MAX 80

struct answers {
    struct matrix_stop stop; /* first: see matrix_source.h */
    size_t count;
    struct {
        double bias, lambda, gap, null_deviance;
        uint64_t row_ct, flags, path_ct;
        double weights[EXAMPLE_MAX];
    } of[TARGET_MAX];
};

static int take_result(void *context, const struct dms_fitted_target *target)
{
    struct answers *answers = context;

    answers->count++;
    answers->of[target->target].bias = target->bias;
    answers->of[target->target].lambda = target->lambda;
    answers->of[target->target].gap = target->gap;
    answers->of[target->target].null_deviance = target->null_deviance;
    answers->of[target->target].row_ct = target->row_ct;
    answers->of[target->target].flags = target->flags;
    answers->of[target->target].path_ct = target->path_ct;
    for (size_t i = 0; i < target->weight_ct; i++)
        answers->of[target->target].weights[target->examples[i]] = target->weights[i];
    return DMS_OK;
}

static int solve(const struct dms_problem *problem, unsigned thread_ct, struct answers *answers)
{
    struct dms_solve_control control = {.thread_ct = thread_ct,
                                        .memory_bytes = UINT64_C(1) << 30,
                                        .progress = matrix_count_call,
                                        .result = take_result,
                                        .save = matrix_keep_state,
                                        .context = answers};

    if (answers->stop.state_bytes > 0) {
        control.state = answers->stop.state;
        control.state_bytes = answers->stop.state_bytes;
    }
    return dms_ridge_solve(problem, &control);
}

/* At the solution the gradient is 0: sum_i r_i (x_ik - mean_k) e_i / W = lambda s_k^2 w_k. */
static void test_normal_equations(void)
{
    struct data data;
    struct answers *answers = calloc(1, sizeof *answers);
    int64_t self[3] = {-1, 1, 1};
    double worst = 0;

    make_data(&data, 300, 60, 40, 3);
    data.outputs[5 * 3] = NAN;
    data.problem.self = self;
    data.problem.ridge_lambda = 0.2;
    ok(solve(&data.problem, 2, answers) == DMS_OK && answers->count == 3, "three targets");
    for (size_t j = 0; j < 3; j++) {
        double weight = 0;

        for (size_t k = 0; k < 40; k++) {
            double ones = 0, gradient = 0, mean;

            weight = 0;
            for (int pass = 0; pass < 2; pass++) {
                mean = weight > 0 ? ones / weight : 0;
                for (size_t i = 0; i < data.row_ct; i++) {
                    const uint8_t *mask = data.masks + i * 40;
                    double residual = answers->of[j].bias - (double)data.outputs[i * 3 + j];

                    if (isnan(residual) || (self[j] >= 0 && mask[self[j]]))
                        continue;
                    for (size_t a = 0; a < 40; a++)
                        residual += mask[a] * answers->of[j].weights[a];
                    if (pass == 0) {
                        weight += 1;
                        ones += mask[k];
                    } else {
                        gradient += (mask[k] - mean) * residual / weight;
                    }
                }
            }
            gradient += 0.2 * mean * (1 - mean) * answers->of[j].weights[k];
            worst = fmax(worst, fabs(gradient));
        }
        ok(answers->of[j].row_ct == (uint64_t)weight && answers->of[j].path_ct == 0 &&
               answers->of[j].flags == DMS_FITTED_REFITTED,
           "target %zu has the rows of training and validation, and no path", j);
    }
    ok(worst < 1e-14, "the gradient is 0 (%.1e)", worst);
    ok(answers->of[1].weights[1] == 0 && answers->of[0].weights[1] != 0,
       "a target's own example has no weight");
    free(answers->stop.state);
    free(answers);
    free_data(&data);
}

static void test_same_bytes(double lambda)
{
    struct data data;
    struct answers *answers = calloc(3, sizeof *answers);
    int64_t self[TARGET_MAX];

    make_data(&data, 150, 40, 50, TARGET_MAX);
    for (size_t j = 0; j < TARGET_MAX; j++)
        self[j] = j % 3 == 2 ? -1 : (int64_t)(j % 50);
    data.outputs[7 * TARGET_MAX + 4] = NAN;
    data.problem.self = self;
    data.problem.ridge_lambda = lambda;
    data.problem.lambda_ct = 10;
    ok(solve(&data.problem, 1, &answers[0]) == DMS_OK && answers[0].count == TARGET_MAX,
       "lambda %g with one thread", lambda);
    ok(solve(&data.problem, 3, &answers[1]) == DMS_OK &&
           memcmp(answers[0].of, answers[1].of, sizeof answers[0].of) == 0,
       "the same bytes with three");
    answers[2].stop.stop_after = answers[0].stop.call_ct - 1;
    ok(solve(&data.problem, 2, &answers[2]) == DMS_ERR_INTERRUPTED &&
           answers[2].stop.state_bytes == 8,
       "stopped in the last block: %s", dms_error_message());
    answers[2].stop.stop_after = 0;
    answers[2].count = 0;
    ok(solve(&data.problem, 2, &answers[2]) == DMS_OK &&
           memcmp(answers[0].of, answers[2].of, sizeof answers[0].of) == 0,
       "going on gives the same");
    ok(answers[2].count == TARGET_MAX - 64, "and solves the last block only");
    answers[2].stop.state_bytes = 5;
    ok(solve(&data.problem, 2, &answers[2]) == DMS_ERR_CONFLICT, "a state that is none: %s",
       dms_error_message());
    for (size_t i = 0; i < 3; i++)
        free(answers[i].stop.state);
    free(answers);
    free_data(&data);
}

static void test_refusals(void)
{
    struct data data;
    struct answers *answers = calloc(1, sizeof *answers);
    struct dms_solve_control control = {
        .thread_ct = 1, .memory_bytes = 10000, .result = take_result, .context = answers};

    make_data(&data, 20, 0, 60, 1);
    data.problem.ridge_lambda = 1;
    ok(dms_ridge_solve(&data.problem, &control) == DMS_ERR_INVALID &&
           strstr(dms_error_message(), "a matrix of 60 x 60"),
       "too little memory: %s", dms_error_message());
    data.problem.ridge_lambda = -1;
    ok(solve(&data.problem, 1, answers) == DMS_ERR_INVALID, "nothing to choose lambda on: %s",
       dms_error_message());
    data.problem.ridge_lambda = NAN;
    ok(solve(&data.problem, 1, answers) == DMS_ERR_INVALID, "no number: %s", dms_error_message());
    data.problem.ridge_lambda = 1e-300;
    ok(solve(&data.problem, 1, answers) == DMS_ERR_INVALID, "not positive definite: %s",
       dms_error_message());
    ok(answers->count == 0, "no results of any");
    free(answers->stop.state);
    free(answers);
    free_data(&data);
}

int main(void)
{
    const struct dms_lapack *lapack;
    struct dms_pool *pool;

    if (dms_lapack_get(&lapack) < 0) {
        printf("1..0 # SKIP %s\n", dms_error_message());
        return 0;
    }
    if (!ok(dms_pool_create(3, &pool) == DMS_OK, "a pool"))
        return tap_done();
    test_counts(pool);
    for (int standardize = 0; standardize < 2; standardize++) {
        test_gaps(lapack, pool, standardize, false, 0.05);
        test_gaps(lapack, pool, standardize, true, 0.05);
    }
    test_gaps(lapack, pool, false, true, 0);
    dms_pool_free(pool);
    test_normal_equations();
    test_same_bytes(0);
    test_same_bytes(0.1);
    test_same_bytes(DMS_RIDGE_CHOOSE);
    test_refusals();
    return tap_done();
}
