/*
 * The table of the portable kernels.
 */
#include "kernels/variants.h"

const struct dms_kernels dms_kernels_ref = {
    .name = "ref",
    .pack_bits = dms_ref_pack_bits,
    .unpack_bits = dms_ref_unpack_bits,
    .popcount = dms_ref_popcount,
    .count_columns = dms_ref_count_columns,
    .split_bytes = dms_ref_split_bytes,
    .merge_bytes = dms_ref_merge_bytes,
    .f32_to_f16 = dms_ref_f32_to_f16,
    .f16_to_f32 = dms_ref_f16_to_f32,
    .sum_f16 = dms_ref_sum_f16,
};
