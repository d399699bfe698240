/*
 * The solver's elementwise kernels, written once for both types and every instruction set: the
 * including file defines LANE_REAL (float or double) and LANE_NAME(name) and is compiled for one
 * instruction set. The compiler's vector types make the operations on DMS_LANES values vector
 * instructions of whatever width there is. kernels/lane_updates.h says what the functions do. No
 * include guard: a file includes this once for each type.
 */
#include <string.h>

#include "kernels/lane_updates.h"

typedef LANE_REAL LANE_NAME(lanes)
    __attribute__((vector_size(DMS_LANES * sizeof(LANE_REAL)), aligned(64), may_alias));
typedef double LANE_NAME(wide)
    __attribute__((vector_size(DMS_LANES * sizeof(double)), aligned(8), may_alias));

#define LANES LANE_NAME(lanes)
#define WIDE LANE_NAME(wide)
#define TO_WIDE(lanes) __builtin_convertvector(lanes, WIDE)
#define TO_LANES(wide) __builtin_convertvector(wide, LANES)
/* The value in the lanes where the comparison holds (all bits set there), else 0. */
#define KEEP_WHERE(comparison, value) ((LANES)((comparison) & (__typeof__(comparison))(value)))

static void LANE_NAME(residuals)(size_t row_ct, const void *products, const void *outputs,
                                 const void *row_weights, const double *bias, const double *mean,
                                 void *residuals, struct dms_lane_sums *sums)
{
    const LANES *product = products;
    const LANES *output = outputs;
    const LANES *weight = row_weights;
    LANES *residual = residuals;
    WIDE *total = (WIDE *)sums->residual;
    WIDE *square = (WIDE *)sums->square;
    WIDE *output_product = (WIDE *)sums->output;

    for (size_t i = 0; i < row_ct; i++) {
        WIDE y = TO_WIDE(output[i]);
        LANES e = product[i] + TO_LANES(*(const WIDE *)bias - y);
        WIDE wide;

        if (weight)
            e *= weight[i];
        residual[i] = e;
        wide = TO_WIDE(e);
        *total += wide;
        *square += wide * wide;
        *output_product += wide * (y - *(const WIDE *)mean);
    }
}

static void LANE_NAME(exchange)(size_t row_ct, const uint64_t *ranks, const void *residuals,
                                void *table, void *corrections, double *correction_sum)
{
    const LANES *residual = residuals;
    LANES *correction = corrections;
    WIDE sum = {0};

    for (size_t i = 0; i < row_ct; i++) {
        LANES *old = (LANES *)table + ranks[i];
        LANES difference = residual[i] - *old;

        *old = residual[i];
        correction[i] = difference;
        sum += TO_WIDE(difference);
    }
    *(WIDE *)correction_sum = sum;
}

static void LANE_NAME(step)(size_t example_ct, const struct dms_lane_step *lanes, const void *sums,
                            const double *means, const double *inverse_variances,
                            const void *penalties, double *averages, void *weights, double *shift)
{
    const LANES *sum = sums;
    const LANES *penalty = penalties;
    LANES *weight = weights;
    WIDE *average = (WIDE *)averages;
    LANES correction = TO_LANES(*(const WIDE *)lanes->correction_sum);
    LANES scale = TO_LANES(*(const WIDE *)lanes->batch_scale);
    LANES share = TO_LANES(*(const WIDE *)lanes->average_scale);
    LANES step = TO_LANES(*(const WIDE *)lanes->step);
    LANES threshold = TO_LANES(*(const WIDE *)lanes->threshold);
    WIDE total = *(WIDE *)shift;

    for (size_t k = 0; k < example_ct; k++) {
        LANES change = sum[k] - (LANE_REAL)means[k] * correction;
        LANES gradient = change * scale + TO_LANES(average[k]);
        LANES moved = weight[k] - (LANE_REAL)inverse_variances[k] * step * gradient;
        LANES limit = threshold * penalty[k];
        LANES above = moved - limit;
        LANES below = moved + limit;

        average[k] += TO_WIDE(change * share);
        moved = KEEP_WHERE(above > 0, above) + KEEP_WHERE(below < 0, below);
        weight[k] = moved;
        total += means[k] * TO_WIDE(moved);
    }
    *(WIDE *)shift = total;
}

static void LANE_NAME(accumulate)(size_t value_ct, const void *values, double *totals)
{
    const LANE_REAL *value = values;

    for (size_t i = 0; i < value_ct; i++)
        totals[i] += (double)value[i];
}

static const struct dms_lane_updates LANE_NAME(updates) = {
    .residuals = LANE_NAME(residuals),
    .exchange = LANE_NAME(exchange),
    .step = LANE_NAME(step),
    .accumulate = LANE_NAME(accumulate),
};

#undef LANES
#undef WIDE
#undef TO_WIDE
#undef TO_LANES
#undef KEEP_WHERE
#undef LANE_REAL
#undef LANE_NAME
