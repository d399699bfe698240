/*
 * Byte planes in portable C: the same byte of all values together, because the exponent bytes of
 * floating-point numbers compress well once they are next to each other.
 */
#include "kernels/variants.h"

void dms_ref_split_range(const uint8_t *values, size_t first, size_t value_ct, size_t value_size,
                         uint8_t *planes)
{
    for (size_t plane = 0; plane < value_size; plane++)
        for (size_t i = first; i < value_ct; i++)
            planes[plane * value_ct + i] = values[i * value_size + plane];
}

void dms_ref_merge_range(const uint8_t *planes, size_t first, size_t value_ct, size_t value_size,
                         uint8_t *values)
{
    for (size_t plane = 0; plane < value_size; plane++)
        for (size_t i = first; i < value_ct; i++)
            values[i * value_size + plane] = planes[plane * value_ct + i];
}

void dms_ref_split_bytes(const uint8_t *values, size_t value_ct, size_t value_size, uint8_t *planes)
{
    dms_ref_split_range(values, 0, value_ct, value_size, planes);
}

void dms_ref_merge_bytes(const uint8_t *planes, size_t value_ct, size_t value_size, uint8_t *values)
{
    dms_ref_merge_range(planes, 0, value_ct, value_size, values);
}
