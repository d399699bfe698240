/*
 * With all in deviations from means over the validation models, and w the weights, the mean of
 * (y - x.w)^2 is var(y) - 2 w.cov(x, y) + w.cov(x).w; besides there is the square of how far the
 * mean prediction is from the mean output. Covariances of the examples with a weight stay from
 * lambda to lambda: single counts come from another page of the file each.
 */
#include "solver/gram_validation.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "kernels/gram.h"
#include "solver/gram_path.h"
#include "solver/kept_pairs.h"

/* What one thread has at hand: example_ct each. */
struct scratch {
    uint32_t *support; /* the examples with a weight */
    uint32_t *row;     /* counts of one of them and all before it */
    /* By place among the kept pairs. */
    double *weights, *singles;
};

struct dms_gram_validation {
    const struct dms_gram_block *block;
    const struct dms_pair_counts *counts;
    struct dms_kept_pairs pairs[DMS_GRAM_BATCH]; /* of the target in each place */
    struct scratch *scratch;
    size_t scratch_ct;
};

uint64_t dms_gram_validation_bytes(const struct dms_problem *problem, uint64_t memory_bytes,
                                   size_t set_ct)
{
    size_t example_ct = problem->example_ct;
    size_t capacity = dms_kept_pairs_capacity(memory_bytes, example_ct);

    if (problem->row_ct[DMS_ROLE_VALIDATION] == 0)
        return 0;
    return DMS_GRAM_BATCH * dms_kept_pairs_bytes(example_ct, capacity) +
           2 * (sizeof(uint32_t) + sizeof(double)) * (uint64_t)set_ct * example_ct;
}

static int create_scratch(size_t example_ct, struct scratch *scratch)
{
    scratch->support = dms_alloc(example_ct, sizeof *scratch->support);
    scratch->row = dms_alloc(example_ct, sizeof *scratch->row);
    scratch->weights = dms_alloc(example_ct, sizeof *scratch->weights);
    scratch->singles = dms_alloc(example_ct, sizeof *scratch->singles);
    return scratch->support && scratch->row && scratch->weights && scratch->singles
               ? DMS_OK
               : DMS_ERR_NO_MEMORY;
}

int dms_gram_validation_create(const struct dms_gram_block *block,
                               struct dms_gram_validation **validation)
{
    const struct dms_gram_run *run = block->run;
    size_t example_ct = run->problem->example_ct;
    size_t capacity = dms_kept_pairs_capacity(run->control->memory_bytes, example_ct);
    struct dms_gram_validation *made = dms_alloc(1, sizeof *made);
    int rc = made ? DMS_OK : DMS_ERR_NO_MEMORY;

    if (rc < 0)
        return rc;
    made->block = block;
    made->counts = run->counts[DMS_ROLE_VALIDATION];
    made->scratch = dms_alloc(run->set_ct, sizeof *made->scratch);
    if (!made->scratch)
        rc = DMS_ERR_NO_MEMORY;
    for (; rc == DMS_OK && made->scratch_ct < run->set_ct; made->scratch_ct++)
        rc = create_scratch(example_ct, &made->scratch[made->scratch_ct]);
    for (size_t i = 0; rc == DMS_OK && i < DMS_GRAM_BATCH; i++)
        rc = dms_kept_pairs_create(example_ct, capacity, &made->pairs[i]);
    if (rc < 0)
        dms_gram_validation_free(made);
    else
        *validation = made;
    return rc;
}

void dms_gram_validation_free(struct dms_gram_validation *validation)
{
    if (!validation)
        return;
    for (size_t i = 0; i < DMS_GRAM_BATCH; i++)
        dms_kept_pairs_free(&validation->pairs[i]);
    for (size_t i = 0; i < validation->scratch_ct; i++) {
        free(validation->scratch[i].support);
        free(validation->scratch[i].row);
        free(validation->scratch[i].weights);
        free(validation->scratch[i].singles);
    }
    free(validation->scratch);
    free(validation);
}

void dms_gram_validation_begin(struct dms_gram_validation *validation, size_t place)
{
    dms_kept_pairs_clear(&validation->pairs[place]);
}

/* ---- sums over pairs ---- */

/* The pairs of one target's weights. */
struct weighted_pairs {
    const struct dms_pair_counts *counts;
    struct dms_kept_pairs *kept; /* NULL: there are more examples than it has room for */
    const struct scratch *scratch;
    size_t support_ct;
};

/* Counts what is not kept yet, and lays weights out by place. */
static int prepare_pairs(struct weighted_pairs *pairs, const struct dms_gram_target *target)
{
    struct dms_kept_pairs *kept = pairs->kept;
    const struct scratch *scratch = pairs->scratch;
    const uint32_t *singles = dms_pair_counts_singles(pairs->counts);
    size_t new_ct;
    int rc = DMS_OK;

    if (pairs->support_ct > kept->capacity) {
        pairs->kept = NULL;
        return DMS_OK;
    }
    new_ct = dms_kept_pairs_add(kept, pairs->support_ct, scratch->support);
    for (size_t i = kept->size - new_ct; rc == DMS_OK && i < kept->size; i++)
        rc = dms_pair_counts_gather(pairs->counts, kept->examples[i], i + 1, kept->examples,
                                    kept->counts + i * kept->capacity);
    for (size_t i = 0; i < kept->size; i++) {
        scratch->weights[i] = target->now.weights[kept->examples[i]];
        scratch->singles[i] = singles[kept->examples[i]];
    }
    return rc;
}

/* The sum over b of w_b (n_ab - mean n_b) for the example of the i-th weight: once for itself,
 * twice for those before it, so that all weights together have every pair twice. */
static int sum_pairs(const struct weighted_pairs *pairs, const struct dms_gram_target *target,
                     size_t i, double mean, double *sum)
{
    const struct scratch *scratch = pairs->scratch;
    const struct dms_kept_pairs *kept = pairs->kept;
    const uint32_t *support = scratch->support, *row = scratch->row;
    const uint32_t *singles = dms_pair_counts_singles(pairs->counts);
    uint32_t a = support[i];
    int rc = DMS_OK;

    *sum = 0;
    if (kept) {
        size_t place = dms_kept_pairs_place(kept, a);

        row = kept->counts + place * kept->capacity;
        *sum = 2 * dms_gram_kernels_get()->sum_pairs(place, row, scratch->singles, scratch->weights,
                                                     mean);
        *sum += target->now.weights[a] * (row[place] - mean * singles[a]);
        return DMS_OK;
    }
    rc = dms_pair_counts_gather(pairs->counts, a, i + 1, support, scratch->row);
    for (size_t j = 0; rc == DMS_OK && j <= i; j++)
        *sum += (j < i ? 2 : 1) * target->now.weights[support[j]] *
                (row[j] - mean * singles[support[j]]);
    return rc;
}

int dms_gram_validation_error(struct dms_gram_validation *validation, size_t place, size_t thread,
                              const struct dms_gram_target *target, double *error)
{
    const struct dms_gram_block *block = validation->block;
    const struct scratch *scratch = &validation->scratch[thread];
    struct weighted_pairs pairs = {validation->counts, &validation->pairs[place], scratch, 0};
    const uint32_t *singles = dms_pair_counts_singles(validation->counts);
    const struct dms_output_moments *moments =
        &block->moments[DMS_ROLE_VALIDATION].moments[target->path->column];
    double weight = moments->row_weight, sum = 2 * dms_output_null_deviance(moments);
    double level = dms_output_mean(moments) - dms_gram_path_bias(target), product;
    int rc;

    for (size_t k = 0; k < target->example_ct; k++)
        if (target->now.weights[k] != 0)
            scratch->support[pairs.support_ct++] = (uint32_t)k;
    rc = prepare_pairs(&pairs, target);
    for (size_t i = 0; rc == DMS_OK && i < pairs.support_ct; i++) {
        uint32_t a = scratch->support[i];
        double mean = singles[a] / weight;

        rc = sum_pairs(&pairs, target, i, mean, &product);
        product -= 2 * dms_gram_sum_products(block, DMS_ROLE_VALIDATION, target->path->column, a,
                                             moments->sum / weight);
        sum += target->now.weights[a] * product / weight;
        level -= mean * target->now.weights[a];
    }
    *error = sum + level * level;
    return rc;
}
