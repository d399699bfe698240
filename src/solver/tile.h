/*
 * A tile: DMS_LANES targets that are solved side by side on the same minibatches. It holds their
 * weights, the SAGA table (one residual for every row and target) and the average gradient, and
 * does the arithmetic of a pass over the rows; what comes next for a target is decided by its
 * caller (src/solver/stage.c). Tiles share nothing that is written, so that any number of threads
 * may work on different tiles and the results do not depend on how many there are.
 *
 * Every array of a tile lies example by example or row by row, DMS_LANES values each. Weights are
 * on the 0/1 scale; the residual of row i is e_i = r_i (b + x_i . w - y_i), with b = centre -
 * shift, where shift = sum of mean_k w_k: the masks are centred by the means of the design.
 */
#ifndef DMS_SOLVER_TILE_H
#define DMS_SOLVER_TILE_H

#include "kernels/lane_updates.h"
#include "kernels/lanes.h"
#include "solver/certificate.h"
#include "solver/design.h"
#include "solver/polish.h"

/* What a pass over the rows does in a tile. */
enum dms_pass {
    DMS_PASS_NONE,
    DMS_PASS_MOMENTS,  /* rows with weight, mean and null deviance of the outputs */
    DMS_PASS_COUNTS,   /* weighted tiles: rows with weight that have each example */
    DMS_PASS_SAGA,     /* an epoch of minibatch SAGA; weights, table and average gradient change */
    DMS_PASS_EVALUATE, /* residuals, gradient and gap at the weights, which stay as they are */
    DMS_PASS_VALIDATE, /* squared error at the weights */
    DMS_PASS_PAIRS,    /* pairs of examples of the lanes that are polished */
};

/* What dms_tile_step does: a proximal gradient step of all moving lanes from the gradient that
 * DMS_PASS_EVALUATE found. */
enum dms_step {
    DMS_STEP_NONE,
    DMS_STEP_DESCEND, /* a plain one; the table and its average stay as they are */
    /* With momentum (Beck and Teboulle 2009, with the restart of O'Donoghue and Candes 2015,
     * sec. 3.2). A lane with `settle` gets the plain proximal point, without momentum. */
    DMS_STEP_ACCELERATE,
};

/* What a lane is about, and what the last pass found. */
struct dms_lane {
    bool used;
    bool moving;   /* it takes steps; others stand still */
    size_t column; /* of its target in the outputs of a batch */
    int64_t self;  /* training example that excludes a row, -1: none */
    double lambda;
    /* from DMS_PASS_MOMENTS */
    double row_weight, mean, null_deviance;
    bool nonfinite; /* some output is not finite */
    bool diverged;  /* DMS_PASS_SAGA: its residuals are not finite any more */
    /* from DMS_PASS_EVALUATE */
    double gap;
    double bias;
    double largest_gradient;
    size_t weight_ct; /* not 0 */
    /* from DMS_PASS_VALIDATE: sum of squared errors / rows with weight; NaN: no such row */
    double squared_error;
    /* of the accelerated steps (dms_tile_accelerate) */
    double momentum;
    bool pure; /* the weights are what a proximal step gave, without momentum added */
};

struct dms_tile {
    const struct dms_design *design;
    const struct dms_lane_kernels *kernels;
    const struct dms_lane_updates *updates;
    struct dms_lane lanes[DMS_LANES];
    bool weighted; /* some row has weight 0 for some lane: see counts */
    enum dms_pass pass;
    enum dms_step step;
    bool settle[DMS_LANES];
    double step_scale; /* eta of SAGA in the metric of the inverse variances */
    double eigenvalue; /* bound on the curvature for accelerated steps */

    /* Arrays of the processor's own; another engine has them elsewhere. */
    void *weights;    /* examples x lanes, real */
    double *averages; /* examples x lanes: gradient average of the table, centred */
    void *table;      /* rows x lanes, real; NULL: the tile is not for SAGA */
    void *previous; /* examples x lanes, real: the last proximal point; NULL: no acceleration yet */
    double *counts; /* weighted tiles: rows with weight that have the example, else NULL */
    void *penalties; /* of a weighted tile; others take the design's */
    const void *used_penalties;

    double centre[DMS_LANES];
    double centre_average[DMS_LANES]; /* average of the table */
    double residual_mean[DMS_LANES];  /* of the last evaluation */
    double shift[DMS_LANES];
    struct dms_polish *polish[DMS_LANES]; /* of lanes that are being polished, else NULL */
    struct dms_lane_sums sums;            /* of the pass */
    double first[DMS_LANES];              /* first output seen, from which moments are taken */
    double moment[2][DMS_LANES];
    double row_ct[DMS_LANES];
};

/* Rows of a batch at most, and as many where steps do not depend on it. Tables of subset sums pay
 * from some hundred rows on; of 4,096 rows the outputs of many targets are in more pages than the
 * processor keeps at hand, which took three times as long with 640 targets of 500 examples. */
#define DMS_LARGEST_BATCH 1024
/* Rows of a batch on any device. */
#define DMS_BATCH_ROWS_MAX 4096

/* What one thread needs to work on a batch. */
struct dms_tile_scratch {
    void *outputs, *row_weights, *products, *residuals; /* batch rows x lanes */
    void *sums;                                         /* examples x lanes */
    void *workspace;
};
int dms_tile_scratch_create(size_t example_ct, size_t batch_rows, struct dms_tile_scratch *scratch);
void dms_tile_scratch_free(struct dms_tile_scratch *scratch);

/* A tile of zero weights for values of real_bytes bytes, with a table if `with_table`. The caller
 * fills in the lanes. The design must outlive it. */
int dms_tile_create(struct dms_design *design, size_t real_bytes, bool with_table,
                    struct dms_tile **tile);
void dms_tile_free(struct dms_tile *tile);

/* Bytes of a tile, for dividing memory: with or without what SAGA and acceleration need. */
uint64_t dms_tile_bytes(size_t example_ct, uint64_t row_ct, size_t real_bytes, bool with_table);

/* Begins the pass that `pass` says; then every batch of it goes to dms_tile_batch; then it is
 * ended.
 */
int dms_tile_begin(struct dms_tile *tile);
void dms_tile_batch(struct dms_tile *tile, const struct dms_batch *batch,
                    struct dms_tile_scratch *scratch);
int dms_tile_end(struct dms_tile *tile);

/* Does what `step` says, and sets it to DMS_STEP_NONE. */
int dms_tile_step(struct dms_tile *tile);

/* What a batch of DMS_PASS_PAIRS does; row_weights as gathered, for weighted tiles. */
void dms_tile_count_pairs(struct dms_tile *tile, const struct dms_batch *batch,
                          const void *row_weights);

/* s_k of example k in lane l; 0 where it is constant. */
double dms_tile_scale(const struct dms_tile *tile, size_t k, size_t l);

/* Gradient by the weight of example k in lane l after DMS_PASS_EVALUATE, with the best bias. */
double dms_tile_gradient(const struct dms_tile *tile, size_t k, size_t l);

/* The lane begins anew from its weights: without momentum. */
void dms_tile_restart(struct dms_tile *tile, size_t lane);

/* Weight of example k in lane l. */
double dms_tile_weight(const struct dms_tile *tile, size_t example, size_t lane);
void dms_tile_set_weight(struct dms_tile *tile, size_t example, size_t lane, double weight);

/* To be called after dms_tile_set_weight: centre such that the bias is `bias`. */
void dms_tile_set_bias(struct dms_tile *tile, size_t lane, double bias);

/* ---- the numbers of lanes (tile_lanes.c): what follows from sums over rows and examples, wherever
 * they were taken ---- */

/* Lanes without targets, of a tile without arrays. */
void dms_tile_init_lanes(struct dms_tile *tile, const struct dms_design *design);

/* The sums of a pass become 0. */
void dms_tile_clear_sums(struct dms_tile *tile);

/* Of DMS_PASS_MOMENTS: weights, means and deviances from row_ct, first and moment. */
void dms_tile_end_moments(struct dms_tile *tile);

/* Of DMS_PASS_SAGA and DMS_PASS_VALIDATE, from the sums. */
void dms_tile_find_divergence(struct dms_tile *tile);
void dms_tile_end_validation(struct dms_tile *tile);

/* Of DMS_PASS_EVALUATE: the means of the residuals, as the average gradient needs them. */
void dms_tile_find_residual_means(struct dms_tile *tile);
/* Then the gaps, from the weighted norms, the largest gradients and the numbers of weights ... */
void dms_tile_find_gaps(struct dms_tile *tile, const double *norm, const double *largest,
                        const size_t *weight_ct);
/* ... and the best bias, which leaves the table, and with it its average, as they are. */
void dms_tile_take_best_bias(struct dms_tile *tile);

/* Fills in what a step of SAGA of a batch needs, and moves the centres: they have no penalty. */
void dms_tile_prepare_step(struct dms_tile *tile, size_t batch_rows, struct dms_lane_step *step);

/* The momentum of lane l for a step: what the change of the proximal points is multiplied by.
 * restart: above 0, momentum went too far. */
double dms_tile_push(struct dms_tile *tile, size_t l, double restart);

#endif
