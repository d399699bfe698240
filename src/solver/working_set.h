/*
 * The LASSO on a few examples whose covariances are known: coordinate descent (Friedman, Hastie,
 * Tibshirani 2010, sec. 2.2, covariance updates) finds which weights are not zero, and Newton steps
 * on those end where conditioning would keep any first-order method busy for thousands of sweeps:
 * few models, duplicated masks, lambdas near interpolation.
 */
#ifndef DMS_SOLVER_WORKING_SET_H
#define DMS_SOLVER_WORKING_SET_H

#include <stddef.h>
#include <stdint.h>

/* The problem; zero-initialised, it grows by dms_working_set_reserve and can be used again. Arrays
 * of `size` values but for the matrix. */
struct dms_working_set {
    size_t size;
    double *matrix;    /* size x size: covariances of the masks; symmetric */
    double *gradients; /* of the smooth part at `weights`; moves with them */
    double *weights;
    double *scales; /* s_k; 0: the weight stays */
    double lambda;
    /* How far the optimality conditions may be from holding, over lambda s_k. The relative gap is
     * at most about twice that. */
    double enough;
    /* Rounds of sweeps before the first Newton step. */
    unsigned patience;

    size_t capacity, system_capacity;
    double *system; /* of a Newton step, like the next four */
    double *step, *old_weights, *old_gradients;
    size_t *support;
};

/* Bytes that a set of `size` examples takes, Newton steps included. */
uint64_t dms_working_set_bytes(size_t size);

/* Room for `size` examples, whose number is set; arrays are to be filled in. NO_MEMORY. */
int dms_working_set_reserve(struct dms_working_set *set, size_t size);
void dms_working_set_free(struct dms_working_set *set);

/* Solves the problem from `weights` and `gradients` on, in place, as far as it comes in some
 * hundred sweeps. The only error is NO_MEMORY. */
int dms_working_set_solve(struct dms_working_set *set);

#endif
