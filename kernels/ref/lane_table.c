/*
 * The tables of the portable lane kernels.
 */
#include "kernels/lane_variants.h"

static const struct dms_lane_kernels f32 = {
    .name = "ref",
    .real_bytes = sizeof(float),
    .workspace_bytes = 0,
    .multiply = dms_ref_lane_multiply_f32,
    .multiply_transposed = dms_ref_lane_multiply_transposed_f32,
};

static const struct dms_lane_kernels f64 = {
    .name = "ref",
    .real_bytes = sizeof(double),
    .workspace_bytes = 0,
    .multiply = dms_ref_lane_multiply_f64,
    .multiply_transposed = dms_ref_lane_multiply_transposed_f64,
};

const struct dms_lane_variant dms_lane_variant_ref = {
    .name = "ref",
    .f32 = &f32,
    .f64 = &f64,
    .transpose_bits = dms_ref_transpose_bits,
};
