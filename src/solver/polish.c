/*
 * Counts the pairs of the examples that matter to one target, and solves the problem on them.
 */
#include "solver/polish.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "solver/column_bits.h"
#include "solver/working_set.h"

/* Rounds of sweeps before the first Newton step. */
#define SWEEP_ROUNDS 1
/* 64-row words of each example that are counted at once. */
#define WORDS 16

uint64_t dms_polish_bytes(size_t example_ct)
{
    uint64_t count = example_ct;
    uint64_t lists = sizeof(uint32_t) + 3 * sizeof(double) + WORDS * sizeof(uint64_t);

    return sizeof(struct dms_polish) + count * count * sizeof(uint64_t) + count * lists +
           dms_working_set_bytes(example_ct);
}

int dms_polish_create(size_t example_ct, struct dms_polish **polish)
{
    struct dms_polish *made = dms_alloc(1, sizeof *made);

    if (!made)
        return DMS_ERR_NO_MEMORY;
    made->example_ct = example_ct;
    made->examples = dms_alloc(example_ct, sizeof *made->examples);
    made->gradients = dms_alloc(example_ct, sizeof *made->gradients);
    made->weights = dms_alloc(example_ct, sizeof *made->weights);
    made->scales = dms_alloc(example_ct, sizeof *made->scales);
    made->columns = dms_alloc(example_ct * WORDS, sizeof *made->columns);
    made->pair_cts = dms_alloc(example_ct * example_ct, sizeof *made->pair_cts);
    if (!made->examples || !made->gradients || !made->weights || !made->scales || !made->columns ||
        !made->pair_cts) {
        dms_polish_free(made);
        return DMS_ERR_NO_MEMORY;
    }
    *polish = made;
    return DMS_OK;
}

void dms_polish_free(struct dms_polish *polish)
{
    if (!polish)
        return;
    free(polish->examples);
    free(polish->gradients);
    free(polish->weights);
    free(polish->scales);
    free(polish->columns);
    free(polish->pair_cts);
    free(polish);
}

/* Adds the pairs in word_ct <= WORDS words, which are made to lie one after the other for each
 * example. */
static void count_words(struct dms_polish *polish, const uint64_t *words, size_t stride,
                        size_t word_ct, const uint64_t *row_words)
{
    dms_gather_columns(words, stride, word_ct, row_words, polish->example_ct, polish->examples,
                       polish->columns, WORDS);
    for (size_t a = 0; a < polish->example_ct; a++)
        for (size_t b = a; b < polish->example_ct; b++)
            polish->pair_cts[a * polish->example_ct + b] +=
                dms_count_both(polish->columns + a * WORDS, polish->columns + b * WORDS, word_ct);
}

void dms_polish_count(struct dms_polish *polish, const uint64_t *words, size_t stride,
                      size_t word_ct, const uint64_t *row_words)
{
    for (size_t w = 0; w < word_ct; w += WORDS)
        count_words(polish, words + w * stride, stride, word_ct - w < WORDS ? word_ct - w : WORDS,
                    row_words ? row_words + w : NULL);
}

/* The covariance matrix of the masks: (n_ab - n_a n_b / W) / W, from exact counts. */
static void find_covariances(const struct dms_polish *polish, double *matrix)
{
    size_t n = polish->example_ct;

    for (size_t a = 0; a < n; a++)
        for (size_t b = a; b < n; b++) {
            double both = (double)polish->pair_cts[a * n + b];
            double first = (double)polish->pair_cts[a * n + a];
            double second = (double)polish->pair_cts[b * n + b];
            double value = (both - first * second / polish->row_weight) / polish->row_weight;

            matrix[a * n + b] = matrix[b * n + a] = value;
        }
}

int dms_polish_solve(struct dms_polish *polish)
{
    size_t bytes = polish->example_ct * sizeof(double);
    struct dms_working_set set = {
        .lambda = polish->lambda, .enough = polish->enough, .patience = SWEEP_ROUNDS};
    int rc = dms_working_set_reserve(&set, polish->example_ct);

    if (rc == DMS_OK) {
        find_covariances(polish, set.matrix);
        memcpy(set.gradients, polish->gradients, bytes);
        memcpy(set.weights, polish->weights, bytes);
        memcpy(set.scales, polish->scales, bytes);
        rc = dms_working_set_solve(&set);
    }
    if (rc == DMS_OK) {
        memcpy(polish->gradients, set.gradients, bytes);
        memcpy(polish->weights, set.weights, bytes);
    }
    dms_working_set_free(&set);
    return rc;
}
