/*
 * The SplitMix64 generator (Steele, Lea, Flood 2014): random numbers for orders and resamples that
 * must be the same on every machine.
 */
#ifndef DMS_BASE_MIX_H
#define DMS_BASE_MIX_H

#include <stdint.h>

#define DMS_MIX_STEP UINT64_C(0x9e3779b97f4a7c15)

/* Its finaliser: a bijection that leaves no trace of how inputs are alike. */
static inline uint64_t dms_mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* The next number of the sequence; any *state will do to begin with. */
static inline uint64_t dms_mix_next(uint64_t *state)
{
    return dms_mix(*state += DMS_MIX_STEP);
}

#endif
