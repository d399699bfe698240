/*
 * The elementwise kernels of the solver, for DMS_LANES targets at a time: what happens between the
 * products of kernels/lanes.h. Values lie as there; `real` is float or double, as the table says.
 * Variants may contract multiplications and additions: they agree to rounding.
 */
#ifndef DMS_KERNELS_LANE_UPDATES_H
#define DMS_KERNELS_LANE_UPDATES_H

#include "kernels/lanes.h"

/* Sums over rows, lane by lane. */
struct dms_lane_sums {
    double residual[DMS_LANES]; /* e */
    double square[DMS_LANES];   /* e^2 */
    double output[DMS_LANES];   /* (y - mean) e */
};

/* One proximal step of DMS_LANES targets. */
struct dms_lane_step {
    double correction_sum[DMS_LANES]; /* sum over the batch of new minus old residual */
    double batch_scale[DMS_LANES];    /* from a sum over the batch to the estimate of the average */
    double average_scale[DMS_LANES];  /* 1 / W: from a sum over all rows to the average */
    double step[DMS_LANES];           /* 0: the lane stands still */
    double threshold[DMS_LANES];      /* step x lambda */
};

/* A penalty that keeps a weight at zero. Finite, so that a lane with threshold 0 gets no NaN. */
#define DMS_PENALTY_BLOCKED 1e30

struct dms_lane_updates {
    /*
     * residuals[i, l] = row_weights[i, l] x (products[i, l] + bias[l] - outputs[i, l]), added to
     * *sums. All: row_ct x DMS_LANES real; row_weights NULL: all 1. mean: DMS_LANES.
     */
    void (*residuals)(size_t row_ct, const void *products, const void *outputs,
                      const void *row_weights, const double *bias, const double *mean,
                      void *residuals, struct dms_lane_sums *sums);

    /*
     * corrections[i, l] = residuals[i, l] - table[ranks[i], l], which becomes residuals[i, l];
     * correction_sum[l] = their sum. corrections may be residuals.
     */
    void (*exchange)(size_t row_ct, const uint64_t *ranks, const void *residuals, void *table,
                     void *corrections, double *correction_sum);

    /*
     * One step of SAGA (Defazio, Bach, Lacoste-Julien 2014, eq. 1 and 2, with a diagonal metric).
     * With change = sums[k, l] - means[k] x correction_sum[l]: weights[k, l] = soft(weights[k, l] -
     * step x inverse_variances[k] x (change x batch_scale + averages[k, l]), threshold x
     * penalties[k, l]) averages[k, l] += change x average_scale and shift[l] += means[k] x
     * weights[k, l]. sums, penalties, weights: example_ct x DMS_LANES real; averages: as many
     * doubles.
     */
    void (*step)(size_t example_ct, const struct dms_lane_step *lanes, const void *sums,
                 const double *means, const double *inverse_variances, const void *penalties,
                 double *averages, void *weights, double *shift);

    /* totals[i] += values[i], for value_ct real values. */
    void (*accumulate)(size_t value_ct, const void *values, double *totals);
};

/* For values of real_bytes bytes (4 or 8), in the variant that dms_lane_variant_get gives. */
const struct dms_lane_updates *dms_lane_updates_get(size_t real_bytes);

/* The same of the variant called `name`; NULL when there is none or the machine cannot run it. */
const struct dms_lane_updates *dms_lane_updates_by_name(const char *name, size_t real_bytes);

#endif
