/*
 * The Gram matrix of the masks, for coordinate descent: how often every two training examples are
 * in together, as whole rows of small integers from which sums are exact up to double rounding.
 *
 * With n_ab the rows that have both a and b, n_a those that have a: n_ab = u_a + u_b - u + D_ab.
 * The offset u_a = round(n n_a / W), with n the mean of the n_a, is separable, so that sums over
 * rows of D need two additions for it; for random subsets of one size it is as near as n_a n_b / W,
 * and D has the standard deviation alpha (1 - alpha) sqrt(W). D is int16; rows in which it does not
 * fit (duplicated masks, examples of very different rates) are int32 beside.
 */
#ifndef DMS_SOLVER_GRAM_MATRIX_H
#define DMS_SOLVER_GRAM_MATRIX_H

#include "kernels/gram.h"
#include "solver/pair_counts.h"

struct dms_gram_matrix {
    size_t example_ct;
    double row_weight;   /* W */
    size_t stride;       /* values of a row */
    int16_t *rows;       /* example_ct x stride: D, 0 on the diagonal */
    int32_t **wide_rows; /* example_ct: NULL, or the row that int16 does not hold */
    double *singles;     /* n_a */
    double *offsets;     /* u_a */
    double centre;       /* u */
};

/* Bytes of a matrix without wide rows. */
uint64_t dms_gram_matrix_bytes(size_t example_ct);

/* The matrix of the rows of all part_ct parts together. The caller ends *matrix with
 * dms_gram_matrix_free, which accepts NULL. NO_MEMORY; CORRUPT: the counts are damaged. */
int dms_gram_matrix_create(struct dms_pool *pool, size_t part_ct,
                           const struct dms_pair_counts *const *parts,
                           struct dms_gram_matrix **matrix);
void dms_gram_matrix_free(struct dms_gram_matrix *matrix);

/* Bytes of its wide rows, which the counts alone tell. Errors as dms_gram_matrix_create. */
int dms_gram_matrix_wide_bytes(struct dms_pool *pool, size_t part_ct,
                               const struct dms_pair_counts *const *parts, uint64_t *bytes);

/* What changes of weights add to the gradient of k besides deviations:
 * u_k sum + offset_sum - n_k single_sum. */
struct dms_gram_separable {
    double sum, offset_sum, single_sum;
};

/* Changes of some weights. */
struct dms_weight_changes {
    size_t change_ct;
    const uint32_t *examples; /* increasing */
    const double *changes;
};

/* gradients[k] += sum over i of changes[i] cov(x_k, x_examples[i]), for first <= k < end. */
void dms_gram_matrix_add(const struct dms_gram_matrix *matrix,
                         const struct dms_weight_changes *changes, size_t first, size_t end,
                         double *gradients);

/* The same for changes that come one by one, of all examples: each is seen by those after it,
 * while rows are added up some at a time. Changes that are small multiples of a unit take integer
 * arithmetic, which is exact and several times as fast. */
struct dms_gram_update {
    const struct dms_gram_matrix *matrix;
    double *gradients;
    double unit;
    /* What still is to be added: rows of these, and separable terms. */
    size_t change_ct;
    uint32_t examples[DMS_GRAM_MULTIPLES];
    int16_t factors[DMS_GRAM_MULTIPLES];
    struct dms_gram_separable separable;
};
/* With a unit that suits changes up to about `largest`. */
struct dms_gram_update dms_gram_update_begin(const struct dms_gram_matrix *matrix, double largest,
                                             double *gradients);
/* The multiple of the unit that is nearest to a change, unless it is too large. */
double dms_gram_update_round(const struct dms_gram_update *update, double change);
/* The gradient of example k with all changes. */
double dms_gram_update_gradient(const struct dms_gram_update *update, size_t k);
void dms_gram_update_add(struct dms_gram_update *update, size_t k, double change);
/* Only then gradients are complete. */
void dms_gram_update_end(struct dms_gram_update *update);

/* covariances[i * size + j] = cov(x_examples[i], x_examples[j]); population covariances. */
void dms_gram_matrix_covariances(const struct dms_gram_matrix *matrix, size_t size,
                                 const uint32_t *examples, double *covariances);

#endif
