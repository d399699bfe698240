/*
 * What the models of one role have in common for all targets: how often each training example is
 * in, and the scales that follow from it.
 */
#ifndef DMS_SOLVER_DESIGN_H
#define DMS_SOLVER_DESIGN_H

#include "solver/problem.h"

struct dms_pool;

struct dms_design {
    size_t example_ct;
    uint64_t row_ct;
    bool standardize;
    double *counts;            /* in how many models each example is */
    double *means;             /* counts / rows */
    double *inverse_variances; /* 1 / (mean (1 - mean)); 0: in all models or in none, weight 0 */
    /* Penalty of each weight in the metric of inverse_variances, s_k / variance: example_ct x
     * DMS_LANES floats and doubles (all lanes alike), made when first asked for. */
    float *penalties_f32;
    double *penalties_f64;
    /* Of the centred, standardised masks: the largest eigenvalue of their Gram matrix / rows, and
     * the largest squared norm of a row. 0 until dms_design_measure. */
    double largest_eigenvalue;
    double largest_row_norm;
};

/* Counts the examples in one pass over the models of `role`. */
int dms_design_create(const struct dms_problem *problem, enum dms_role role,
                      struct dms_design **design);
void dms_design_free(struct dms_design *design);

/* Penalties for values of real_bytes bytes; they belong to the design. NULL and a message: no
 * memory. */
const void *dms_design_penalties(struct dms_design *design, size_t real_bytes);

/* Fills largest_eigenvalue (by power iteration on DMS_LANES vectors at once; a few percent above
 * what it found) and largest_row_norm. */
int dms_design_measure(struct dms_design *design, const struct dms_problem *problem,
                       enum dms_role role);

/* The penalised standard deviation of an example with mean `mean` over the rows: sqrt(mean (1 -
 * mean)), or 1 without standardisation; 0 where the example is constant. */
double dms_design_scale(bool standardize, double mean);

#endif
