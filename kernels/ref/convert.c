/*
 * float32 <-> float16 (IEEE 754 binary32 and binary16) by integer arithmetic on their bits.
 */
#include "kernels/variants.h"

#include <string.h>

#define F32_INFINITY UINT32_C(0x7f800000)
#define F32_OVERFLOW UINT32_C(0x477ff000)   /* 65520: halfway from the largest float16 to 2^16 */
#define F32_MIN_NORMAL UINT32_C(0x38800000) /* 2^-14: the smallest normal float16 */
#define F16_INFINITY 0x7c00
#define F16_QUIET_NAN 0x7e00
#define DROPPED_BITS 13                 /* 23 fraction bits become 10 */
#define EXPONENT_BIAS_GAP UINT32_C(112) /* 127 - 15 */

/* value / 2^shift, rounded to nearest, ties to even; shift >= 1. */
static uint32_t shift_rounded(uint32_t value, unsigned shift)
{
    uint32_t half = UINT32_C(1) << (shift - 1);

    return (value + half - 1 + (value >> shift & 1)) >> shift;
}

static uint16_t magnitude_to_f16(uint32_t magnitude)
{
    uint32_t exponent = magnitude >> 23;
    uint32_t significand = (magnitude & 0x7fffff) | 0x800000;

    if (magnitude > F32_INFINITY)
        return (uint16_t)(F16_QUIET_NAN | (magnitude >> DROPPED_BITS & 0x1ff));
    if (magnitude >= F32_OVERFLOW)
        return F16_INFINITY;
    /* A carry out of the fraction moves on into the exponent, which is just right. */
    if (magnitude >= F32_MIN_NORMAL)
        return (uint16_t)(shift_rounded(magnitude, DROPPED_BITS) - (EXPONENT_BIAS_GAP << 10));
    /* Subnormal: units of 2^-24. Below 2^-25 there is nothing left to round up. */
    if (exponent < 102)
        return 0;
    return (uint16_t)shift_rounded(significand, 126 - exponent);
}

size_t dms_ref_f32_to_f16(const float *from, size_t n, uint16_t *to)
{
    size_t first_overflow = n;

    for (size_t i = n; i-- > 0;) {
        uint32_t bits;
        uint32_t magnitude;
        uint16_t half;

        memcpy(&bits, (const uint8_t *)from + i * sizeof(bits), sizeof(bits));
        magnitude = bits & 0x7fffffff;
        if (magnitude >= F32_OVERFLOW && magnitude < F32_INFINITY)
            first_overflow = i;
        half = (uint16_t)(magnitude_to_f16(magnitude) | (bits >> 16 & 0x8000));
        memcpy((uint8_t *)to + i * sizeof(half), &half, sizeof(half));
    }
    return first_overflow;
}

static uint32_t magnitude_to_f32(uint16_t magnitude)
{
    uint32_t wide = (uint32_t)magnitude << DROPPED_BITS;
    unsigned shift;

    if (magnitude > F16_INFINITY)
        return F32_INFINITY | 0x400000 | wide;
    if (magnitude == F16_INFINITY)
        return F32_INFINITY;
    if (magnitude >= 0x400)
        return wide + (EXPONENT_BIAS_GAP << 23);
    if (magnitude == 0)
        return 0;
    /*
     * Subnormal, in units of 2^-24: moving the leading one from bit p up to bit 23 makes it the
     * implicit one, which adds 1 to the exponent field; p - 24 + 127 is what that field must be.
     */
    shift = (unsigned)__builtin_clz(magnitude) - 8; /* 23 - p */
    return ((uint32_t)magnitude << shift) + ((UINT32_C(125) - shift) << 23);
}

void dms_ref_f16_to_f32(const uint16_t *from, size_t n, float *to)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        uint32_t bits;

        memcpy(&half, (const uint8_t *)from + i * sizeof(half), sizeof(half));
        bits = magnitude_to_f32(half & 0x7fff) | (uint32_t)(half & 0x8000) << 16;
        memcpy((uint8_t *)to + i * sizeof(bits), &bits, sizeof(bits));
    }
}
