/*
 * One target of the gram solver, from step to step: which examples may have a weight at its lambda,
 * the solution on them, whether that is a solution of the whole problem, and the next lambda. What
 * its rows are, and how the gradient follows a step, is the caller's business.
 */
#ifndef DMS_SOLVER_GRAM_TARGET_H
#define DMS_SOLVER_GRAM_TARGET_H

#include "solver/target_path.h"
#include "solver/working_set.h"

/* What describes the masks of the rows with weight: example_ct values each. */
struct dms_gram_masks {
    const double *means;
    const double *deviations; /* standard deviations */
    const double *scales;     /* s_k of the penalty; 0: the weight is 0 */
};

/* Weights, and the gradient of the smooth part that goes with them: example_ct each. */
struct dms_gram_point {
    double lambda; /* that they solve, or are to */
    double *weights, *gradients;
};

struct dms_gram_target {
    struct dms_target_path *path; /* with the moments of the stage's rows */
    size_t example_ct;
    struct dms_gram_masks masks;
    bool refit;       /* one lambda, from a model on; else the path, from no weights on */
    double *products; /* example_ct: covariances of masks and outputs; -gradient without weights */
    struct dms_gram_point now;
    /* Solutions on either side of the path's next lambda: the last one that was solved and taken,
     * and one that was solved further down; or the one before the last, until there is such a one.
     */
    struct dms_gram_point start, end;
    uint32_t index;       /* on the path, of now's lambda */
    uint32_t end_index;   /* of the solution further down; passed: there is none */
    uint32_t stride;      /* lambdas from start to end, where the path has as many */
    bool interpolated;    /* now lies between start and end */
    double worst_between; /* gap of what does */
    /* What the last step changed: the caller adds the products of these with the covariances to the
     * gradients before the next one. */
    size_t change_ct;
    uint32_t *examples; /* increasing; room for example_ct */
    double *changes;
    bool at_lambda; /* not the first step at this lambda */
    uint64_t step_ct;
    uint32_t sweep_ct; /* over whole rows, at this lambda; path->pass_ct counts its other steps */
    double gap;        /* as last seen, like the number of weights */
    size_t weight_ct;
};

/* The rows of one target. */
struct dms_gram_rows {
    void *context;
    /* matrix[i * size + j] = population covariance of the masks of examples i and j. */
    int (*covariances)(void *context, size_t size, const uint32_t *examples, double *matrix);
    /* The mean squared error of the target's weights on its validation rows; NaN: it has none. */
    int (*validate)(void *context, const struct dms_gram_target *target, double *error);
    /* One sweep of coordinate descent over dms_gram_candidates, gradients moving with the
     * weights; for targets with more weights than dense_from. NULL: there is none. */
    void (*sweep)(void *context, struct dms_gram_target *target);
    size_t dense_from;
};

/* Room for a target. The caller ends it with dms_gram_target_free. */
int dms_gram_target_create(size_t example_ct, struct dms_gram_target *target);
void dms_gram_target_free(struct dms_gram_target *target);
uint64_t dms_gram_target_bytes(size_t example_ct);

/* Begins a stage: path (with its moments), masks, refit and products are set. A refit begins with
 * the path's model, as a change. */
void dms_gram_target_begin(struct dms_gram_target *target, const struct dms_problem *problem);

/* Judges the weights by their gradient and, unless the target is finished with that, takes a step.
 * `set`: scratch, for at most `limit` examples. */
int dms_gram_target_step(struct dms_gram_target *target, const struct dms_problem *problem,
                         const struct dms_gram_rows *rows, struct dms_working_set *set,
                         size_t limit, uint64_t max_steps);

#endif
