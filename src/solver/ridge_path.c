/*
 * Validation errors of all lambdas from one eigendecomposition; see ridge_path.h.
 *
 * The weights at lambda are V q(lambda), q_i = (V'c)_i / (eigenvalue_i + lambda): with P = Z V, the
 * standardised validation rows times the eigenvectors, the predictions of a target at all lambdas
 * are one product P Q.
 */
#include "solver/ridge_path.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/linear_algebra.h"

/* Validation rows in work at a time: whole words. */
#define BLOCK_WORDS 4
#define BLOCK_ROWS (64 * BLOCK_WORDS)

int dms_ridge_path_init(struct dms_ridge_path *path, uint32_t lambda_ct)
{
    *path = (struct dms_ridge_path){
        .lambda_ct = lambda_ct,
        .lambdas = dms_alloc(lambda_ct, sizeof *path->lambdas),
        .errors = dms_alloc(lambda_ct, sizeof *path->errors),
    };
    return path->lambdas && path->errors ? DMS_OK : DMS_ERR_NO_MEMORY;
}

void dms_ridge_path_free(struct dms_ridge_path *path)
{
    free(path->lambdas);
    free(path->errors);
    *path = (struct dms_ridge_path){0};
}

uint64_t dms_ridge_path_bytes(size_t example_ct, size_t target_ct, uint32_t lambda_ct)
{
    uint64_t value_ct = 2 * BLOCK_ROWS * (uint64_t)example_ct + BLOCK_ROWS * (uint64_t)lambda_ct +
                        (uint64_t)example_ct * (lambda_ct + target_ct);

    return value_ct * sizeof(double);
}

/* ---- lambdas ---- */

static double mean_eigenvalue(const struct dms_ridge_system *system)
{
    double sum = 0;

    for (size_t k = 0; k < system->size; k++)
        sum += system->means[k] * (1 - system->means[k]) / (system->scales[k] * system->scales[k]);
    return system->size > 0 ? sum / (double)system->size : 1;
}

static void set_lambdas(const struct dms_problem *problem, double largest,
                        struct dms_ridge_path *path)
{
    double last = problem->lambda_ct > 1 ? (double)(problem->lambda_ct - 1) : 1;

    for (uint32_t i = 0; i < problem->lambda_ct; i++)
        path->lambdas[i] = problem->lambdas
                               ? problem->lambdas[i]
                               : largest * pow(problem->lambda_min_ratio, (double)i / last);
}

/* ---- errors ---- */

struct scoring {
    const struct dms_ridge_system *system;
    const struct dms_ridge_validation *validation;
    uint32_t lambda_ct;
    double *masks;       /* Z: BLOCK_ROWS x size, column-major as all of these */
    double *rows;        /* P: BLOCK_ROWS x size */
    double *weights;     /* Q: size x lambda_ct */
    double *predictions; /* BLOCK_ROWS x lambda_ct */
    double *rotated;     /* V'c: size x targets */
};

static const double one = 1, zero = 0;

static void standardise_masks(const struct scoring *scoring, size_t first_word, size_t row_ct)
{
    const struct dms_ridge_system *system = scoring->system;
    const struct dms_packed_rows *rows = scoring->validation->rows;

    for (size_t k = 0; k < system->size; k++) {
        const uint64_t *column = rows->columns + system->examples[k] * rows->word_ct + first_word;

        for (size_t i = 0; i < row_ct; i++)
            scoring->masks[i + BLOCK_ROWS * k] =
                ((double)(column[i / 64] >> (i & 63) & 1) - system->means[k]) / system->scales[k];
    }
}

/* Adds the squared errors of some rows to those of one target. */
static void score_target(const struct scoring *scoring, size_t first_row, size_t row_ct,
                         size_t member, const double *rotated, double mean,
                         struct dms_ridge_path *path)
{
    const struct dms_ridge_system *system = scoring->system;
    const struct dms_target_outputs *targets = scoring->validation->targets;
    const uint64_t *row_words = targets->row_words + member * targets->word_ct;
    int n = (int)system->size, rows = (int)row_ct, lambdas = (int)scoring->lambda_ct;
    int stride = BLOCK_ROWS;

    for (uint32_t j = 0; j < scoring->lambda_ct; j++)
        for (size_t k = 0; k < system->size; k++)
            scoring->weights[k + system->size * j] =
                rotated[k] * dms_ridge_system_inverse(system, k, path->lambdas[j]);
    if (system->size > 0)
        system->lapack->dgemm("N", "N", &rows, &lambdas, &n, &one, scoring->rows, &stride,
                              scoring->weights, &n, &zero, scoring->predictions, &stride, 1, 1);
    for (size_t i = 0; i < row_ct; i++) {
        size_t row = first_row + i;
        double y;

        if (!(row_words[row / 64] >> (row & 63) & 1))
            continue;
        y = (double)targets->outputs[row * targets->target_ct + member] - mean;
        for (uint32_t j = 0; j < scoring->lambda_ct; j++) {
            double error = y - scoring->predictions[i + BLOCK_ROWS * j];

            path->errors[j] += error * error;
        }
    }
}

static int allocate(struct scoring *scoring, size_t target_ct)
{
    size_t size = scoring->system->size, lambda_ct = scoring->lambda_ct;

    scoring->masks = dms_alloc(BLOCK_ROWS * size, sizeof(double));
    scoring->rows = dms_alloc(BLOCK_ROWS * size, sizeof(double));
    scoring->weights = dms_alloc(size * lambda_ct, sizeof(double));
    scoring->predictions = dms_alloc(BLOCK_ROWS * lambda_ct, sizeof(double));
    scoring->rotated = dms_alloc(size * target_ct, sizeof(double));
    return scoring->masks && scoring->rows && scoring->weights && scoring->predictions &&
                   scoring->rotated
               ? DMS_OK
               : DMS_ERR_NO_MEMORY;
}

static void free_scoring(struct scoring *scoring)
{
    free(scoring->masks);
    free(scoring->rows);
    free(scoring->weights);
    free(scoring->predictions);
    free(scoring->rotated);
}

/* From sums of squares to the choice. */
static void finish_path(const struct dms_output_moments *moments, struct dms_ridge_path *path)
{
    path->chosen = 0;
    for (uint32_t j = 0; j < path->lambda_ct; j++) {
        path->errors[j] =
            moments->row_weight > 0 ? path->errors[j] / moments->row_weight : (double)NAN;
        if (isnan(path->errors[j]) || path->errors[j] < path->errors[path->chosen])
            path->chosen = j;
    }
}

int dms_ridge_path_choose(const struct dms_problem *problem, const struct dms_ridge_system *system,
                          const struct dms_ridge_validation *validation, size_t target_ct,
                          const size_t *members, const double *products, const double *means,
                          struct dms_ridge_path *paths)
{
    struct scoring scoring = {
        .system = system, .validation = validation, .lambda_ct = problem->lambda_ct};
    const struct dms_packed_rows *rows = validation->rows;
    int n = (int)system->size, stride = BLOCK_ROWS, rc = allocate(&scoring, target_ct);
    double largest = DMS_RIDGE_LARGEST_LAMBDA * mean_eigenvalue(system);

    if (rc < 0)
        goto out;
    for (size_t t = 0; t < target_ct; t++)
        set_lambdas(problem, largest, &paths[members[t]]);
    dms_ridge_system_rotate(system, target_ct, products, scoring.rotated);
    for (size_t row = 0; row < rows->row_ct; row += BLOCK_ROWS) {
        size_t row_ct = rows->row_ct - row < BLOCK_ROWS ? rows->row_ct - row : BLOCK_ROWS;
        int used = (int)row_ct;

        standardise_masks(&scoring, row / 64, row_ct);
        if (system->size > 0)
            system->lapack->dgemm("N", "N", &used, &n, &n, &one, scoring.masks, &stride,
                                  system->vectors, &n, &zero, scoring.rows, &stride, 1, 1);
        for (size_t t = 0; t < target_ct; t++)
            score_target(&scoring, row, row_ct, members[t], scoring.rotated + system->size * t,
                         means[members[t]], &paths[members[t]]);
    }
    for (size_t t = 0; t < target_ct; t++)
        finish_path(&validation->targets->moments[members[t]], &paths[members[t]]);
out:
    free_scoring(&scoring);
    return rc;
}
