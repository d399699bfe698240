/*
 * The solver with the CUDA engine, on matrices in memory: the same problems on the processor and on
 * the device under test must have the same lambdas, both certified, and weights that agree to what
 * the tolerance leaves open. Path, validation, refit and certificate; SAGA and accelerated steps;
 * rows without weight; doubles; polishing; checkpoints; too little memory.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dmstore/error.h"
#include "solver/cuda_module.h"
#include "solver/cuda_panel.h"
#include "unit/matrix_source.h"
#include "unit/tap.h"

#define TARGET_MAX 24
#define EXAMPLE_MAX 128
#define LAMBDA_MAX 30

static uint64_t random_state = 4242;

static double uniform(void)
{
    return matrix_uniform(&random_state);
}

/* ---- data ---- */

struct data {
    uint8_t *packed;
    float *outputs;
    struct matrix matrix;
};

/* Masks of half the examples; outputs of four planted weights and noise. */
static void make_data(struct data *data, size_t training_ct, size_t validation_ct,
                      size_t example_ct, size_t target_ct)
{
    size_t row_ct = training_ct + validation_ct;
    uint8_t *masks = calloc(row_ct * example_ct, 1);

    data->outputs = calloc(row_ct * target_ct, sizeof *data->outputs);
    for (size_t i = 0; i < row_ct * example_ct; i++)
        masks[i] = uniform() < 0.5;
    for (size_t i = 0; i < row_ct; i++)
        for (size_t j = 0; j < target_ct; j++) {
            double y = 2 + 0.4 * (uniform() + uniform() + uniform() - 1.5);

            for (size_t p = 0; p < 4; p++)
                y += (p + 1) * 0.3 * masks[i * example_ct + (j * 13 + p * 7) % example_ct];
            data->outputs[i * target_ct + j] = (float)y;
        }
    data->packed = matrix_pack(masks, row_ct, example_ct);
    data->matrix = (struct matrix){.example_ct = example_ct,
                                   .target_ct = target_ct,
                                   .row_ct = {training_ct, validation_ct, row_ct},
                                   .masks = data->packed,
                                   .outputs = data->outputs,
                                   .seed = 3};
    free(masks);
}

static void free_data(struct data *data)
{
    free(data->packed);
    free(data->outputs);
}

/* ---- solving ---- */

struct answers {
    struct matrix_stop stop; /* first: see matrix_source.h */
    size_t count;
    struct dms_fitted_target of[TARGET_MAX];
    double weights[TARGET_MAX][EXAMPLE_MAX], lambdas[TARGET_MAX][LAMBDA_MAX];
    struct dms_fit_placement placement;
};

static int take_result(void *context, const struct dms_fitted_target *target)
{
    struct answers *answers = context;
    size_t j = target->target;

    answers->count++;
    answers->of[j] = *target;
    for (size_t i = 0; i < target->weight_ct; i++)
        answers->weights[j][target->examples[i]] = target->weights[i];
    for (size_t i = 0; i < target->path_ct; i++)
        answers->lambdas[j][i] = target->path_lambdas[i];
    return DMS_OK;
}

static void note_placement(void *context, const struct dms_fit_placement *placement)
{
    ((struct answers *)context)->placement = *placement;
}

/* From the state that `answers` has, if it has one. */
static int solve(const struct dms_problem *problem, const struct dms_engine *engine,
                 struct answers *answers)
{
    struct dms_solve_control control = {.engine = engine,
                                        .thread_ct = 2,
                                        .memory_bytes = UINT64_C(256) << 20,
                                        .max_epochs = 5000,
                                        .progress = matrix_count_call,
                                        .result = take_result,
                                        .divided = note_placement,
                                        .save = matrix_keep_state,
                                        .context = answers,
                                        .state_bytes = answers->stop.state_bytes};
    void *state = malloc(answers->stop.state_bytes + 1);
    int rc;

    if (answers->stop.state) {
        memcpy(state, answers->stop.state, answers->stop.state_bytes);
        control.state = state;
    }
    rc = dms_saga_solve(problem, &control);
    free(state);
    return rc;
}

/* Weights of two solutions that are both within the gap differ by no more than its square root, in
 * the scale of the outputs; the problems here are well conditioned. */
static void compare(const struct dms_problem *problem, const struct answers *cpu,
                    const struct answers *cuda, const char *what)
{
    double difference = 0, worst = 0, lambdas = 0;
    size_t certified_ct = 0;

    for (size_t j = 0; j < problem->target_ct; j++) {
        const struct dms_fitted_target *a = &cpu->of[j], *b = &cuda->of[j];

        certified_ct += !(b->flags & DMS_FITTED_UNCERTIFIED) && b->gap <= problem->tolerance;
        worst = fmax(worst, b->gap);
        for (size_t i = 0; i < a->path_ct && i < b->path_ct; i++)
            lambdas = fmax(lambdas, fabs(cpu->lambdas[j][i] / cuda->lambdas[j][i] - 1));
        for (size_t k = 0; k < problem->example_ct; k++)
            difference = fmax(difference, fabs(cpu->weights[j][k] - cuda->weights[j][k]));
    }
    ok(cuda->count == problem->target_ct && certified_ct == cuda->count,
       "%s: all targets are certified", what);
    diag("largest gap %g, of lambdas %g, of weights %g, %" PRIu64 " and %" PRIu64 " passes", worst,
         lambdas, difference, cpu->stop.call_ct, cuda->stop.call_ct);
    ok(lambdas < 1e-5, "%s: the paths have the same lambdas", what);
    ok(difference < 4 * sqrt(problem->tolerance), "%s: the weights agree", what);
}

static void test_problem(const struct dms_engine *engine, const struct dms_problem *problem,
                         const char *what)
{
    struct answers *cpu = calloc(1, sizeof *cpu), *cuda = calloc(1, sizeof *cuda);

    ok(solve(problem, NULL, cpu) == DMS_OK, "%s: on the processor", what);
    if (ok(solve(problem, engine, cuda) == DMS_OK, "%s: on the device", what))
        compare(problem, cpu, cuda, what);
    else
        diag("%s", dms_error_message());
    free(cpu->stop.state);
    free(cuda->stop.state);
    free(cpu);
    free(cuda);
}

/* ---- problems ---- */

static void test_plain(const struct dms_engine *engine)
{
    struct dms_problem problem;
    struct data data;

    make_data(&data, 331, 67, 70, 19);
    matrix_problem(&data.matrix, &problem);
    problem.lambda_ct = 12;
    problem.lambda_min_ratio = 0.05;
    test_problem(engine, &problem, "plain");
    problem.standardize = false;
    problem.refit = false;
    problem.tolerance = 1e-3;
    test_problem(engine, &problem, "not standardized, no refit");
    free_data(&data);
}

/* Rows that do not count: of targets that are in the mask, and outputs that are not finite. */
static void test_weighted(const struct dms_engine *engine)
{
    int64_t self[18];
    struct dms_problem problem;
    struct data data;

    make_data(&data, 300, 50, 65, 18);
    for (size_t j = 0; j < 18; j++)
        self[j] = j % 4 == 3 ? -1 : (int64_t)j * 3;
    for (size_t i = 0; i < 350; i += 9)
        data.outputs[i * 18 + i % 3] = i % 2 ? NAN : INFINITY;
    matrix_problem(&data.matrix, &problem);
    problem.self = self;
    problem.lambda_ct = 10;
    problem.lambda_min_ratio = 0.1;
    test_problem(engine, &problem, "rows without weight");
    free_data(&data);
}

static void test_doubles(const struct dms_engine *engine)
{
    struct dms_problem problem;
    struct data data;

    make_data(&data, 200, 40, 33, 3);
    matrix_problem(&data.matrix, &problem);
    problem.lambda_ct = 6;
    problem.lambda_min_ratio = 0.1;
    problem.tolerance = 1e-9;
    test_problem(engine, &problem, "a tolerance beyond floats");
    free_data(&data);
}

/* Fewer rows than examples: slow enough to be polished; one target's rows are weighted. */
static void test_polish(const struct dms_engine *engine)
{
    int64_t self[2] = {-1, 5};
    struct dms_problem problem;
    struct data data;

    make_data(&data, 60, 0, 100, 2);
    matrix_problem(&data.matrix, &problem);
    problem.self = self;
    problem.lambda_ct = 8;
    problem.lambda_min_ratio = 0.01;
    problem.full_path = true;
    test_problem(engine, &problem, "polishing");
    free_data(&data);
}

/* ---- going on ---- */

static bool same_answers(const struct answers *a, const struct answers *b)
{
    return a->count == b->count && memcmp(a->weights, b->weights, sizeof a->weights) == 0 &&
           memcmp(a->lambdas, b->lambdas, sizeof a->lambdas) == 0;
}

static void test_resume(const struct dms_engine *engine)
{
    struct answers *whole = calloc(1, sizeof *whole), *parts = calloc(1, sizeof *parts);
    struct dms_problem problem;
    struct data data;

    make_data(&data, 260, 40, 50, 17);
    matrix_problem(&data.matrix, &problem);
    problem.lambda_ct = 20;
    ok(solve(&problem, engine, whole) == DMS_OK, "a fit in one go");
    parts->stop.stop_after = whole->stop.call_ct / 2;
    ok(solve(&problem, engine, parts) == DMS_ERR_INTERRUPTED, "stopped half way");
    parts->stop.stop_after = 0;
    ok(solve(&problem, engine, parts) == DMS_OK, "and gone on with");
    ok(same_answers(whole, parts), "the result has the same bytes");
    free(whole->stop.state);
    free(parts->stop.state);
    free(whole);
    free(parts);
    free_data(&data);
}

/* ---- memory ---- */

/* Blocks as small as the card's memory, and none where not even one fits. */
static void test_memory(struct dms_engine *engine)
{
    struct dms_cuda *cuda = engine->context;
    uint64_t before = cuda->free_bytes;
    struct answers *answers = calloc(1, sizeof *answers);
    struct dms_problem problem;
    struct data data;

    make_data(&data, 300, 50, 60, 24);
    matrix_problem(&data.matrix, &problem);
    problem.lambda_ct = 5;
    problem.lambda_min_ratio = 0.2;
    cuda->free_bytes = UINT64_C(12) << 20;
    ok(solve(&problem, engine, answers) == DMS_OK && answers->count == 24,
       "a card of little memory");
    diag("%" PRIu64 " blocks of %" PRIu64 " targets, table: %s", answers->placement.block_ct,
         answers->placement.block_targets, answers->placement.table);
    cuda->free_bytes = UINT64_C(1) << 20;
    ok(solve(&problem, engine, answers) == DMS_ERR_INVALID, "a card of too little memory");
    contains(dms_error_message(), "of CUDA device 0", "the message says whose memory");
    cuda->free_bytes = before;
    free(answers->stop.state);
    free(answers);
    free_data(&data);
}

int main(void)
{
    const char *build_dir = getenv("DMSTORE_BUILD_DIR"), *given = getenv("DMSTORE_TEST_MODULE");
    struct dms_cuda_status status;
    struct dms_engine engine;
    char path[1024];

    snprintf(path, sizeof path, "%s/tests/cuda/stand_in.so", build_dir ? build_dir : ".");
    setenv("DMSTORE_CUDA_MODULE", given ? given : path, 1);
    setenv("DMSTORE_STAND_IN", "plain=1", 0);
    dms_cuda_probe(&status);
    if (status.device_ct == 0) {
        printf("1..0 # SKIP %s\n", status.reason);
        return 0;
    }
    if (!ok(dms_cuda_engine_open(&engine) == DMS_OK, "the device is opened"))
        return tap_done();
    test_plain(&engine);
    test_weighted(&engine);
    test_doubles(&engine);
    test_polish(&engine);
    /* As on a card without binary tensor cores. */
    ((struct dms_cuda *)engine.context)->counts_in_bits = false;
    test_polish(&engine);
    test_resume(&engine);
    test_memory(&engine);
    dms_cuda_engine_close(&engine);
    return tap_done();
}
