/*
 * Choosing training examples with datamodels: the subset whose mean predicted output over some
 * targets is smallest or largest.
 *
 * The prediction for target j is b_j + sum over i in S of theta_ji, so that its mean over targets,
 * weighted by u_j >= 0, is
 *
 *     b + sum over i in S of w_i,  b = sum_j u_j b_j / sum_j u_j,  w_i = sum_j u_j theta_ji / sum_j
 * u_j
 *
 * and the best subset of K examples is the K smallest or largest w_i (Engstrom, Feldmann, Madry
 * 2024, "DsDm: Model-Aware Dataset Selection with Datamodels", section 2). Whether that is the
 * best data depends on the output: of losses the smallest is wanted, of margins the largest. The
 * other end of the order is the data that does most harm.
 */
#ifndef DMSTORE_SELECT_H
#define DMSTORE_SELECT_H

#include "dmstore/error.h"
#include "dmstore/fit.h"

DMS_BEGIN_DECLS

enum dms_select_direction {
    DMS_SELECT_MINIMIZE,
    DMS_SELECT_MAXIMIZE,
};

struct dms_select_options {
    enum dms_select_direction direction;
    size_t example_ct;            /* K: how many to choose, at least 1 */
    const double *target_weights; /* u, one a position; finite, >= 0, not all 0. NULL: all 1 */
    const uint64_t *excluded;     /* examples that may not be chosen, in any order */
    size_t excluded_ct;
    /* The class of each of the d training examples; NULL: they are not told apart. K is divided
     * over all classes there are: each gets K / classes, rounded down, and the rest goes one by one
     * to the classes whose next example is best (equal ones: the one of the lower index). */
    const int64_t *classes;
};
DMS_API void dms_select_options_init(struct dms_select_options *options);

/* What was chosen. Of equal w_i the lower index is chosen first; examples that no target has a
 * weight for are w_i = 0 like any other. */
struct dms_selection {
    size_t example_ct;
    uint64_t *examples;     /* best first */
    double *weights;        /* w_i of each */
    uint64_t available_ct;  /* examples that were not excluded */
    double bias;            /* b; NaN when a target's level is not known (DMS_FITTED_NO_BIAS) */
    double weight_sum;      /* of the chosen: the mean predicted output is bias + weight_sum */
    double full_weight_sum; /* of all d examples */
    /* Expected sum of a random subset, uniform over those of the same size without excluded
     * examples; with classes, of those with as many of each class as were chosen. */
    double random_weight_sum;
};

/*
 * Chooses examples for the targets at `positions` of the fit. The caller ends *selection with
 * dms_selection_free. INVALID: no targets, too few examples are left (in a class), a weight that is
 * negative or not finite, an excluded example that does not exist.
 */
DMS_API int dms_select(const dms_fit *fit, const size_t *positions, size_t position_ct,
                       const struct dms_select_options *options, struct dms_selection **selection);
DMS_API void dms_selection_free(struct dms_selection *selection);

DMS_END_DECLS

#endif
