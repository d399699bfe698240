/*
 * The public conversions of dmstore/convert.h: each is one kernel of the table for this machine.
 */
#include <dmstore/convert.h>

#include "kernels/kernels.h"

uint8_t dms_pack_mask(const uint8_t *bytes, uint64_t example_ct, uint8_t *mask)
{
    return dms_kernels_get()->pack_bits(bytes, (size_t)example_ct, mask);
}

void dms_unpack_mask(const uint8_t *mask, uint64_t example_ct, uint8_t *bytes)
{
    dms_kernels_get()->unpack_bits(mask, (size_t)example_ct, bytes);
}

size_t dms_f32_to_f16(const float *from, size_t value_ct, uint16_t *to)
{
    return dms_kernels_get()->f32_to_f16(from, value_ct, to);
}

void dms_f16_to_f32(const uint16_t *from, size_t value_ct, float *to)
{
    dms_kernels_get()->f16_to_f32(from, value_ct, to);
}
