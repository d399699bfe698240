/*
 * The LASSO solvers on matrices in memory, held against coordinate descent on dense columns in
 * double precision, which shares nothing with it: objective, weights, certificate, selection; row
 * weights, constants and hard cases; the same bytes from any number of threads and from a
 * checkpoint.
 */
#include <math.h>
#include <stdlib.h>

#include "dmstore/error.h"
#include "matrix_source.h"
#include "solver/choose.h"
#include "tap.h"

/* Which solver is under test. */
struct solver {
    const char *name;
    int (*solve)(const struct dms_problem *problem, const struct dms_solve_control *control);
};
static const struct solver solvers[] = {{"saga", dms_saga_solve}, {"gram", dms_gram_solve}};
static const struct solver *solver;

/* ---- data ---- */

struct data {
    size_t row_ct, example_ct, target_ct;
    uint8_t *masks; /* rows x examples, bytes */
    float *outputs; /* rows x targets */
    uint8_t *packed;
    struct matrix matrix;
};

static uint64_t random_state = 12345;

static double uniform(void)
{
    return matrix_uniform(&random_state);
}

static double normal(void)
{
    return sqrt(-2 * log(uniform() + 1e-300)) * cos(6.283185307179586 * uniform());
}

/* Each example in a row with probability alpha; outputs of five planted weights and noise. */
static void make_data(struct data *data, size_t training_ct, size_t validation_ct,
                      size_t example_ct, size_t target_ct, double alpha)
{
    size_t row_ct = training_ct + validation_ct;

    *data = (struct data){.row_ct = row_ct, .example_ct = example_ct, .target_ct = target_ct};
    data->masks = calloc(row_ct * example_ct, 1);
    data->outputs = calloc(row_ct * target_ct, sizeof *data->outputs);
    for (size_t i = 0; i < row_ct * example_ct; i++)
        data->masks[i] = uniform() < alpha;
    for (size_t j = 0; j < target_ct; j++) {
        size_t planted[5];
        double weights[5];

        for (size_t p = 0; p < 5; p++) {
            planted[p] = (size_t)(uniform() * (double)example_ct);
            weights[p] = normal();
        }
        for (size_t i = 0; i < row_ct; i++) {
            double y = 3 + 0.5 * normal();

            for (size_t p = 0; p < 5; p++)
                y += weights[p] * data->masks[i * example_ct + planted[p]];
            data->outputs[i * target_ct + j] = (float)y;
        }
    }
    data->matrix = (struct matrix){.example_ct = example_ct,
                                   .target_ct = target_ct,
                                   .row_ct = {training_ct, validation_ct, row_ct},
                                   .outputs = data->outputs,
                                   .seed = 7};
}

static void pack(struct data *data)
{
    free(data->packed);
    data->packed = matrix_pack(data->masks, data->row_ct, data->example_ct);
    data->matrix.masks = data->packed;
}

static void free_data(struct data *data)
{
    free(data->masks);
    free(data->outputs);
    free(data->packed);
}

/* ---- what the solver hands out ---- */

#define TARGET_MAX 40
#define EXAMPLE_MAX 256
#define LAMBDA_MAX 100

struct answer {
    struct dms_fitted_target target;
    double weights[EXAMPLE_MAX]; /* dense */
    double lambdas[LAMBDA_MAX], errors[LAMBDA_MAX], gaps[LAMBDA_MAX];
};

struct answers {
    struct matrix_stop stop; /* first: see matrix_source.h */
    size_t count;
    struct answer of[TARGET_MAX];
};

static int take_result(void *context, const struct dms_fitted_target *target)
{
    struct answers *answers = context;
    struct answer *answer = &answers->of[target->target];

    answers->count++;
    answer->target = *target;
    memset(answer->weights, 0, sizeof answer->weights);
    for (size_t i = 0; i < target->weight_ct; i++)
        answer->weights[target->examples[i]] = target->weights[i];
    for (size_t i = 0; i < target->path_ct; i++) {
        answer->lambdas[i] = target->path_lambdas[i];
        answer->errors[i] = target->path_errors[i];
        answer->gaps[i] = target->path_gaps[i];
    }
    return DMS_OK;
}

static int solve(const struct dms_problem *problem, unsigned thread_ct, struct answers *answers)
{
    struct dms_solve_control control = {.thread_ct = thread_ct,
                                        .memory_bytes = UINT64_C(1) << 30,
                                        .max_epochs = 100000,
                                        .progress = matrix_count_call,
                                        .result = take_result,
                                        .save = matrix_keep_state,
                                        .context = answers};

    return solver->solve(problem, &control);
}

/* ---- an independent solution ---- */

struct reference {
    size_t row_ct, example_ct;
    double row_weight, mean_y, null_deviance;
    double *columns; /* centred, over the rows with weight: examples x rows */
    double *scales;  /* s_k */
    double *y;       /* centred */
    double *weights, *residuals;
};

/* Rows first .. first + row_ct - 1 of target j, without those that have example `self`. */
static void make_reference(const struct data *data, size_t row_ct, size_t j, int64_t self,
                           bool standardize, struct reference *reference)
{
    size_t d = data->example_ct, n = 0;
    size_t *rows = malloc(row_ct * sizeof *rows);

    for (size_t i = 0; i < row_ct; i++)
        if (isfinite(data->outputs[i * data->target_ct + j]) &&
            !(self >= 0 && data->masks[i * d + (size_t)self]))
            rows[n++] = i;
    *reference = (struct reference){.row_ct = n, .example_ct = d, .row_weight = (double)n};
    reference->columns = calloc(d * n, sizeof(double));
    reference->scales = calloc(d, sizeof(double));
    reference->y = calloc(n, sizeof(double));
    reference->residuals = calloc(n, sizeof(double));
    reference->weights = calloc(d, sizeof(double));
    for (size_t i = 0; i < n; i++)
        reference->mean_y += (double)data->outputs[rows[i] * data->target_ct + j] / (double)n;
    for (size_t i = 0; i < n; i++) {
        reference->y[i] = (double)data->outputs[rows[i] * data->target_ct + j] - reference->mean_y;
        reference->residuals[i] = reference->y[i];
        reference->null_deviance += reference->y[i] * reference->y[i] / (2 * (double)n);
    }
    for (size_t k = 0; k < d; k++) {
        double mean = 0, variance;

        for (size_t i = 0; i < n; i++)
            mean += data->masks[rows[i] * d + k] / (double)n;
        variance = mean * (1 - mean);
        reference->scales[k] = variance > 1e-12 ? standardize ? sqrt(variance) : 1 : 0;
        for (size_t i = 0; i < n; i++)
            reference->columns[k * n + i] = data->masks[rows[i] * d + k] - mean;
    }
    free(rows);
}

static void free_reference(struct reference *reference)
{
    free(reference->columns);
    free(reference->scales);
    free(reference->y);
    free(reference->residuals);
    free(reference->weights);
}

static double gradient(const struct reference *reference, size_t k)
{
    double sum = 0;

    for (size_t i = 0; i < reference->row_ct; i++)
        sum += reference->columns[k * reference->row_ct + i] * reference->residuals[i];
    return sum / reference->row_weight;
}

static double largest_lambda(const struct reference *reference)
{
    double largest = 0;

    for (size_t k = 0; k < reference->example_ct; k++)
        if (reference->scales[k] > 0)
            largest = fmax(largest, fabs(gradient(reference, k)) / reference->scales[k]);
    return largest;
}

/* Cyclic coordinate descent until nothing moves. */
static void descend(struct reference *reference, double lambda)
{
    size_t n = reference->row_ct;

    for (int sweep = 0; sweep < 20000; sweep++) {
        double moved = 0;

        for (size_t k = 0; k < reference->example_ct; k++) {
            const double *column = reference->columns + k * n;
            double variance = 0, pull, weight, change;

            if (reference->scales[k] == 0)
                continue;
            for (size_t i = 0; i < n; i++)
                variance += column[i] * column[i] / (double)n;
            pull = gradient(reference, k) + variance * reference->weights[k];
            weight = fmax(fabs(pull) - lambda * reference->scales[k], 0) / variance;
            weight = pull < 0 ? -weight : weight;
            change = weight - reference->weights[k];
            reference->weights[k] = weight;
            moved = fmax(moved, fabs(change));
            for (size_t i = 0; i < n && change != 0; i++)
                reference->residuals[i] -= column[i] * change;
        }
        if (moved < 1e-13)
            return;
    }
}

/* The objective of given weights with their best bias. */
static double objective(const struct reference *reference, const double *weights, double lambda)
{
    double sum = 0, norm = 0;

    for (size_t i = 0; i < reference->row_ct; i++) {
        double residual = reference->y[i];

        for (size_t k = 0; k < reference->example_ct; k++)
            if (weights[k] != 0)
                residual -= reference->columns[k * reference->row_ct + i] * weights[k];
        sum += residual * residual;
    }
    for (size_t k = 0; k < reference->example_ct; k++)
        norm += reference->scales[k] * fabs(weights[k]);
    return sum / (2 * reference->row_weight) + lambda * norm;
}

/* Holds an answer against the reference solution at its lambda. */
static void compare(const struct data *data, size_t row_ct, size_t j, int64_t self,
                    bool standardize, bool unique, const struct answer *answer, const char *name)
{
    struct reference reference;
    double ours, best, worst = 0, largest = 0, excess;

    make_reference(data, row_ct, j, self, standardize, &reference);
    descend(&reference, answer->target.lambda);
    ours = objective(&reference, answer->weights, answer->target.lambda);
    best = objective(&reference, reference.weights, answer->target.lambda);
    excess = (ours - best) / reference.null_deviance;
    ok(excess < 1e-6 * best / reference.null_deviance + 1e-12, "%s, target %zu: objective", name,
       j);
    ok(excess <= answer->target.gap + 1e-12, "%s, target %zu: excess %.1e within the gap %.1e",
       name, j, excess, answer->target.gap);
    for (size_t k = 0; k < data->example_ct; k++) {
        worst = fmax(worst, fabs(answer->weights[k] - reference.weights[k]));
        largest = fmax(largest, fabs(reference.weights[k]));
    }
    if (unique)
        ok(worst <= 1e-3 * largest, "%s, target %zu: weights differ by %.1e of %.1e", name, j,
           worst, largest);
    free_reference(&reference);
}

/* ---- tests ---- */

static void test_case(const char *name, size_t training_ct, size_t validation_ct, size_t example_ct,
                      double alpha, bool standardize, bool unique)
{
    struct data data;
    struct dms_problem problem;
    struct answers *answers = calloc(1, sizeof *answers);
    struct reference reference;

    make_data(&data, training_ct, validation_ct, example_ct, 3, alpha);
    pack(&data);
    matrix_problem(&data.matrix, &problem);
    problem.tolerance = 1e-9;
    problem.standardize = standardize;
    problem.full_path = true;
    if (ok(solve(&problem, 2, answers) == DMS_OK, "%s: solved", name) == false)
        diag("%s", dms_error_message());
    ok(answers->count == 3, "%s: every target has its result", name);
    for (size_t j = 0; j < 3; j++) {
        const struct answer *answer = &answers->of[j];
        size_t best = 0;

        ok(answer->target.gap <= 1e-9 && !(answer->target.flags & DMS_FITTED_UNCERTIFIED),
           "%s, target %zu: certified, %.1e", name, j, answer->target.gap);
        compare(&data, data.row_ct, j, -1, standardize, unique, answer, name);
        make_reference(&data, training_ct, j, -1, standardize, &reference);
        ok(fabs(answer->lambdas[0] / largest_lambda(&reference) - 1) < 1e-9,
           "%s, target %zu: the path begins at the largest lambda", name, j);
        free_reference(&reference);
        for (size_t i = 1; i < answer->target.path_ct; i++)
            if (answer->errors[i] < answer->errors[best])
                best = i;
        ok(answer->target.path_ct == 100 && answer->target.chosen == best &&
               answer->target.lambda == answer->lambdas[best],
           "%s, target %zu: the smallest validation error is chosen", name, j);
    }
    free(answers->stop.state);
    free(answers);
    free_data(&data);
}

/* Rows that have the target's own example, and those without an output, do not count. */
static void test_row_weights(void)
{
    struct data data;
    struct dms_problem problem;
    struct answers *answers = calloc(1, sizeof *answers);
    int64_t self[20];

    make_data(&data, 300, 60, 40, 20, 0.5);
    for (size_t j = 0; j < 20; j++)
        self[j] = j % 3 == 2 ? -1 : (int64_t)j;
    for (size_t i = 0; i < data.row_ct; i += 7)
        data.outputs[i * 20 + 4] = NAN;
    pack(&data);
    matrix_problem(&data.matrix, &problem);
    problem.tolerance = 1e-9;
    problem.self = self;
    ok(solve(&problem, 2, answers) == DMS_OK, "row weights: solved");
    for (size_t j = 0; j < 20; j++) {
        compare(&data, data.row_ct, j, self[j], true, true, &answers->of[j], "row weights");
        if (self[j] >= 0)
            ok(answers->of[j].weights[self[j]] == 0, "target %zu gives itself no weight", j);
    }
    free(answers->stop.state);
    free(answers);
    free_data(&data);
}

static void test_constants(void)
{
    struct data data;
    struct dms_problem problem;
    struct answers *answers = calloc(1, sizeof *answers);

    make_data(&data, 200, 40, 20, 3, 0.5);
    for (size_t i = 0; i < data.row_ct; i++) {
        data.outputs[i * 3 + 1] = 1.5F;
        data.outputs[i * 3 + 2] = NAN;
        data.masks[i * 20 + 3] = 1;
        data.masks[i * 20 + 5] = 0;
    }
    pack(&data);
    matrix_problem(&data.matrix, &problem);
    problem.tolerance = 1e-9;
    ok(solve(&problem, 1, answers) == DMS_OK, "constants: solved");
    compare(&data, data.row_ct, 0, -1, true, true, &answers->of[0], "constant examples");
    ok(answers->of[0].weights[3] == 0 && answers->of[0].weights[5] == 0,
       "examples in all and in no models have no weight");
    ok(answers->of[1].target.weight_ct == 0 && answers->of[1].target.bias == 1.5 &&
           answers->of[1].target.flags & DMS_FITTED_CONSTANT && answers->of[1].target.gap == 0,
       "a constant target has its mean and no weights");
    ok(answers->of[2].target.weight_ct == 0 && answers->of[2].target.bias == 0 &&
           answers->of[2].target.row_ct == 0,
       "a target without outputs has no rows and no weights");
    free(answers->stop.state);
    free(answers);
    free_data(&data);
}

static void test_two_models(void)
{
    struct data data;
    struct dms_problem problem;
    struct answers *answers = calloc(1, sizeof *answers);

    make_data(&data, 2, 0, 6, 2, 0.5);
    for (size_t k = 0; k < 6; k++) {
        data.masks[k] = k < 3;
        data.masks[6 + k] = k >= 2;
    }
    pack(&data);
    matrix_problem(&data.matrix, &problem);
    problem.tolerance = 1e-9;
    ok(solve(&problem, 1, answers) == DMS_OK, "two models: solved");
    for (size_t j = 0; j < 2; j++) {
        compare(&data, 2, j, -1, true, false, &answers->of[j], "two models");
        ok(answers->of[j].target.chosen == 99 && answers->of[j].target.lambda > 0,
           "without validation models the last lambda is taken");
    }
    free(answers->stop.state);
    free(answers);
    free_data(&data);
}

static bool same_answers(const struct answers *a, const struct answers *b, size_t target_ct)
{
    for (size_t j = 0; j < target_ct; j++) {
        const struct dms_fitted_target *one = &a->of[j].target, *other = &b->of[j].target;

        if (memcmp(a->of[j].weights, b->of[j].weights, sizeof a->of[j].weights) != 0 ||
            memcmp(a->of[j].gaps, b->of[j].gaps, sizeof a->of[j].gaps) != 0 ||
            one->bias != other->bias || one->gap != other->gap || one->lambda != other->lambda)
            return false;
    }
    return true;
}

/* The same bytes whatever the threads, and whenever a fit was stopped and resumed. */
static void test_determinism(double tolerance)
{
    struct data data;
    struct dms_problem problem;
    struct answers *whole = calloc(1, sizeof *whole);
    uint64_t stops[] = {1, 24, 25, 30, 60, 90, 150};

    make_data(&data, 500, 100, 60, TARGET_MAX, 0.4);
    pack(&data);
    matrix_problem(&data.matrix, &problem);
    problem.tolerance = tolerance;
    ok(solve(&problem, 1, whole) == DMS_OK, "tolerance %g: solved in %" PRIu64 " passes", tolerance,
       whole->stop.call_ct);
    for (unsigned thread_ct = 2; thread_ct <= 5; thread_ct += 3) {
        struct answers *again = calloc(1, sizeof *again);

        ok(solve(&problem, thread_ct, again) == DMS_OK && same_answers(whole, again, TARGET_MAX),
           "the same bytes from %u threads", thread_ct);
        free(again->stop.state);
        free(again);
    }
    for (size_t i = 0; i < sizeof stops / sizeof *stops && stops[i] < whole->stop.call_ct; i++) {
        struct answers *part = calloc(1, sizeof *part);
        struct dms_solve_control control = {.thread_ct = 2,
                                            .memory_bytes = UINT64_C(1) << 30,
                                            .max_epochs = 100000,
                                            .result = take_result,
                                            .context = part};

        part->stop.stop_after = stops[i];
        ok(solve(&problem, 2, part) == DMS_ERR_INTERRUPTED, "stopped after pass %" PRIu64,
           stops[i]);
        control.state = part->stop.state;
        control.state_bytes = part->stop.state_bytes;
        ok(solver->solve(&problem, &control) == DMS_OK && same_answers(whole, part, TARGET_MAX),
           "the same bytes when it goes on");
        free(part->stop.state);
        free(part);
    }
    free(whole->stop.state);
    free(whole);
    free_data(&data);
}

/* ---- threads and memory ---- */

/* What a fit is stopped for, and how it was divided until then. */
struct division {
    struct matrix_stop stop; /* first: see matrix_source.h */
    struct dms_fit_placement placement;
};

static void take_division(void *context, const struct dms_fit_placement *placement)
{
    struct division *division = context;

    division->placement = *placement;
}

/* The blocks of a fit; 0: the memory does not suffice. */
static struct dms_fit_placement divide(const struct dms_problem *problem, uint64_t memory_bytes,
                                       unsigned thread_ct)
{
    struct division division = {.stop.stop_after = 1};
    struct dms_solve_control control = {.thread_ct = thread_ct,
                                        .memory_bytes = memory_bytes,
                                        .max_epochs = 1,
                                        .progress = matrix_count_call,
                                        .divided = take_division,
                                        .context = &division};

    (void)solver->solve(problem, &control);
    return division.placement;
}

/* Solves within a memory until so many calls (0: to the end), from the state that is there. */
static int solve_within(const struct dms_problem *problem, uint64_t memory_bytes,
                        unsigned thread_ct, uint64_t stop_after, struct answers *answers)
{
    struct dms_solve_control control = {.thread_ct = thread_ct,
                                        .memory_bytes = memory_bytes,
                                        .max_epochs = 100000,
                                        .progress = matrix_count_call,
                                        .result = take_result,
                                        /* Not over the state that it goes on from. */
                                        .save = answers->stop.state ? NULL : matrix_keep_state,
                                        .context = answers,
                                        .state = answers->stop.state,
                                        .state_bytes = answers->stop.state_bytes};

    answers->stop.call_ct = 0;
    answers->stop.stop_after = stop_after;
    return solver->solve(problem, &control);
}

/* Stops a fit of several blocks and goes on with another number of threads. */
static void resume_with(const struct dms_problem *problem, uint64_t memory_bytes, unsigned before,
                        unsigned after)
{
    struct answers *whole = calloc(1, sizeof *whole);
    int rc = solve_within(problem, memory_bytes, before, 0, whole);

    ok(rc == DMS_OK, "%" PRIu64 " bytes, %u thread%s: %" PRIu64 " passes", memory_bytes, before,
       before == 1 ? "" : "s", whole->stop.call_ct);
    for (size_t part = 1; part < 8; part += 2) {
        struct answers *again = calloc(1, sizeof *again);

        (void)solve_within(problem, memory_bytes, before, 1 + whole->stop.call_ct * part / 8,
                           again);
        ok(solve_within(problem, memory_bytes, after, 0, again) == DMS_OK &&
               same_answers(whole, again, TARGET_MAX),
           "stopped after %zu of 8 parts, it goes on with %u thread%s", part, after,
           after == 1 ? "" : "s");
        free(again->stop.state);
        free(again);
    }
    free(whole->stop.state);
    free(whole);
}

/* A fit that goes on elsewhere, with a memory for several blocks that other threads may divide
 * otherwise; the table of SAGA, on which its steps depend, they may not. Some targets have outputs
 * that are not finite. */
static void test_other_threads(void)
{
    struct data data;
    struct dms_problem problem;
    size_t found = 0, differ = 0;

    make_data(&data, 500, 100, 60, TARGET_MAX, 0.4);
    pack(&data);
    for (size_t j = 0; j < TARGET_MAX; j += 3)
        data.outputs[j * TARGET_MAX + j] = (float)NAN;
    matrix_problem(&data.matrix, &problem);
    for (uint64_t memory_bytes = 100000; memory_bytes < 6000000; memory_bytes += 50000) {
        struct dms_fit_placement one = divide(&problem, memory_bytes, 1);
        struct dms_fit_placement eight = divide(&problem, memory_bytes, 8);

        differ += (one.block_ct > 0) != (eight.block_ct > 0) ||
                  (one.block_ct > 0 && strcmp(one.table, eight.table) != 0);
        if (one.block_ct == eight.block_ct || found == 2)
            continue;
        found++;
        resume_with(&problem, memory_bytes, 1, 8);
        if (eight.block_ct > 0)
            resume_with(&problem, memory_bytes, 8, 1);
    }
    ok(differ == 0, "what one thread does, eight do, too");
    free_data(&data);
}

/* Nor does the choice of a solver depend on the threads. */
static void test_choice(void)
{
    struct data data;
    struct dms_problem problem;
    size_t gram_ct = 0, saga_ct = 0, differ = 0;

    make_data(&data, 500, 100, 60, TARGET_MAX, 0.4);
    matrix_problem(&data.matrix, &problem);
    for (uint64_t memory_bytes = 100000; memory_bytes < 6000000; memory_bytes += 10000) {
        struct dms_fit_options options;
        struct dms_solver_choice one, eight;

        dms_fit_options_init(&options);
        options.memory_bytes = memory_bytes;
        options.thread_ct = 1;
        dms_solver_choose(&problem, &options, &one);
        options.thread_ct = 8;
        dms_solver_choose(&problem, &options, &eight);
        differ += one.solver != eight.solver;
        gram_ct += one.solver == DMS_SOLVER_GRAM;
        saga_ct += one.solver == DMS_SOLVER_SAGA;
    }
    ok(differ == 0 && gram_ct > 0 && saga_ct > 0,
       "with less memory saga, with more gram, for any number of threads");
    free_data(&data);
}

/* Polishing in as many turns as a small memory asks for gives the very same bytes. */
static void test_polishing_memory(void)
{
    struct data data;
    struct dms_problem problem;
    struct answers *much = calloc(1, sizeof *much), *little = calloc(1, sizeof *little);
    struct dms_solve_control control = {.thread_ct = 1,
                                        .memory_bytes = UINT64_C(4) << 20,
                                        .max_epochs = 100000,
                                        .progress = matrix_count_call,
                                        .result = take_result,
                                        .context = little};

    /* Fewer models than examples: no accelerated steps end that. */
    make_data(&data, 60, 0, 100, TARGET_MAX, 0.5);
    pack(&data);
    matrix_problem(&data.matrix, &problem);
    problem.tolerance = 1e-9;
    ok(solve(&problem, 1, much) == DMS_OK, "with much memory");
    ok(solver->solve(&problem, &control) == DMS_OK, "with little");
    ok(same_answers(much, little, TARGET_MAX), "the same bytes");
    free(much->stop.state);
    free(much);
    free(little);
    free_data(&data);
}

/* Damaged and foreign checkpoints are refused. */
static void test_bad_checkpoints(void)
{
    struct data data;
    struct dms_problem problem;
    struct answers *answers = calloc(1, sizeof *answers);
    struct dms_solve_control control = {.thread_ct = 1,
                                        .memory_bytes = UINT64_C(1) << 30,
                                        .max_epochs = 100000,
                                        .result = take_result,
                                        .context = answers};

    make_data(&data, 200, 40, 20, 3, 0.5);
    pack(&data);
    matrix_problem(&data.matrix, &problem);
    answers->stop.stop_after = 30;
    (void)solve(&problem, 1, answers);
    control.state = answers->stop.state;
    for (size_t bytes = 0; bytes < answers->stop.state_bytes; bytes += 13) {
        control.state_bytes = bytes;
        if (solver->solve(&problem, &control) >= 0)
            ok(false, "a checkpoint cut to %zu bytes was taken", bytes);
    }
    problem.target_ct = 2;
    control.state_bytes = answers->stop.state_bytes;
    ok(solver->solve(&problem, &control) == DMS_ERR_CONFLICT,
       "a checkpoint of other targets is refused: %s", dms_error_message());
    free(answers->stop.state);
    free(answers);
    free_data(&data);
}

/* Too few passes: every target still gets a result, and none passes for solved. */
static void test_uncertified(void)
{
    struct data data;
    struct dms_problem problem;
    struct answers *answers = calloc(1, sizeof *answers);
    struct dms_solve_control control = {.thread_ct = 1,
                                        .memory_bytes = UINT64_C(1) << 30,
                                        .max_epochs = 4,
                                        .result = take_result,
                                        .context = answers};

    make_data(&data, 300, 60, 100, 3, 0.5);
    pack(&data);
    matrix_problem(&data.matrix, &problem);
    problem.tolerance = 1e-8;
    ok(solver->solve(&problem, &control) == DMS_OK && answers->count == 3, "four passes: an end");
    for (size_t j = 0; j < 3; j++) {
        struct reference reference;
        const struct answer *answer = &answers->of[j];
        double excess;

        ok(answer->target.flags & DMS_FITTED_UNCERTIFIED, "target %zu is marked", j);
        make_reference(&data, data.row_ct, j, -1, true, &reference);
        descend(&reference, answer->target.lambda);
        excess = (objective(&reference, answer->weights, answer->target.lambda) -
                  objective(&reference, reference.weights, answer->target.lambda)) /
                 reference.null_deviance;
        ok(excess <= answer->target.gap + 1e-12, "and its gap %.1e is true (excess %.1e)",
           answer->target.gap, excess);
        free_reference(&reference);
    }
    free(answers);
    free_data(&data);
}

/* A lambda that rounding leaves out of reach ends the path, but not the refit at the one before. */
static void test_refit_after_abandoned_path(void)
{
    struct data data;
    struct dms_problem problem;
    struct answers *answers = calloc(1, sizeof *answers);
    double lambdas[] = {0.05, 1e-25};

    make_data(&data, 300, 60, 30, 3, 0.5);
    pack(&data);
    matrix_problem(&data.matrix, &problem);
    problem.tolerance = 1e-9;
    problem.lambda_ct = 2;
    problem.lambdas = lambdas;
    ok(solve(&problem, 1, answers) == DMS_OK, "a lambda out of reach: an end");
    for (size_t j = 0; j < 3; j++) {
        ok(answers->of[j].target.flags & DMS_FITTED_UNCERTIFIED &&
               answers->of[j].target.lambda == lambdas[0],
           "target %zu is marked, and has the lambda before", j);
        ok(answers->of[j].target.gap <= problem.tolerance, "its refit is solved: %.1e",
           answers->of[j].target.gap);
    }
    free(answers->stop.state);
    free(answers);
    free_data(&data);
}

static void test_refusals(void)
{
    struct data data;
    struct dms_problem problem;
    struct answers *answers = calloc(1, sizeof *answers);
    double rising[] = {0.1, 0.2}, zero[] = {0.1, 0};
    struct dms_solve_control control = {
        .thread_ct = 1, .memory_bytes = 1000, .max_epochs = 10, .result = take_result};

    make_data(&data, 20, 0, 10, 1, 0.5);
    pack(&data);
    matrix_problem(&data.matrix, &problem);
    ok(solver->solve(&problem, &control) == DMS_ERR_INVALID, "too little memory: %s",
       dms_error_message());
    problem.lambda_ct = 2;
    problem.lambdas = rising;
    ok(solve(&problem, 1, answers) == DMS_ERR_INVALID, "rising lambdas: %s", dms_error_message());
    problem.lambdas = zero;
    ok(solve(&problem, 1, answers) == DMS_ERR_INVALID, "lambda 0: %s", dms_error_message());
    free(answers->stop.state);
    free(answers);
    free_data(&data);
}

static void test_solver(void)
{
    diag("%s", solver->name);
    test_case("many models", 400, 80, 40, 0.5, true, true);
    test_case("without standardisation", 400, 80, 40, 0.3, false, true);
    test_case("small subsets", 500, 100, 60, 0.1, true, true);
    test_case("large subsets", 500, 100, 60, 0.75, true, true);
    test_case("few models", 50, 20, 80, 0.5, true, false);
    test_row_weights();
    test_constants();
    test_two_models();
    test_determinism(1e-4);
    test_determinism(1e-8);
    test_other_threads();
    test_bad_checkpoints();
    test_uncertified();
    test_refusals();
}

int main(void)
{
    for (size_t i = 0; i < sizeof solvers / sizeof *solvers; i++) {
        solver = &solvers[i];
        test_solver();
    }
    solver = &solvers[0];
    test_polishing_memory();
    test_choice();
    solver = &solvers[1];
    test_refit_after_abandoned_path();
    return tap_done();
}
