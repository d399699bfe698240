/*
 * Numbers drawn one after another from a state, for what the benchmarks make up.
 */
#ifndef DMSTORE_TESTS_BENCH_RANDOM_H
#define DMSTORE_TESTS_BENCH_RANDOM_H

#include "base/mix.h"

#include <stdint.h>

/* Uniform in 0 .. 1. */
static inline double bench_draw_share(uint64_t *state)
{
    return (double)(dms_mix_next(state) >> 11) * 0x1p-53;
}

/* About normal: the sum of four uniform numbers, with variance 1. */
static inline double bench_draw_normal(uint64_t *state)
{
    double sum = 0;
    for (int k = 0; k < 4; k++) {
        sum += bench_draw_share(state);
    }
    return (sum - 2) * 1.7320508075688772;
}

#endif
