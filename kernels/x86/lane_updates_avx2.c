/*
 * The solver's elementwise kernels compiled for AVX2.
 */
#include "kernels/lane_update_variants.h"

#define LANE_REAL float
#define LANE_NAME(name) name##_f32
#include "kernels/ref/lane_updates_body.h"

#define LANE_REAL double
#define LANE_NAME(name) name##_f64
#include "kernels/ref/lane_updates_body.h"

const struct dms_lane_updates *const dms_lane_updates_avx2[2] = {&updates_f32, &updates_f64};
