/*
 * Drawing the training subsets of a run: for each model id a subset of K of the d training
 * examples, uniformly among all subsets of that size, computable from (d, K, seed, id) alone, by
 * any program.
 *
 * The generator is fixed for ever. Number 1, DMS_SAMPLE_PHILOX_FLOYD, is:
 *
 *   1. Random words: Philox4x64-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as
 *      1, 2, 3; SC 2011) with the key (seed, id). The 256-bit counter starts at 1 and grows by one
 * per block; the words of a block are used in order 0 .. 3. This is the stream of
 *      numpy.random.Philox(key=[seed, id]).random_raw().
 *   2. A number below s: take the next word x and the 128-bit product m = x * s; while the lower
 * half of m is below 2^64 mod s, take another word. The number is the upper half of m (Lemire: Fast
 *      random integer generation in an interval; ACM TOMACS 2019).
 *   3. The subset, empty at first: for j = d-K, d-K+1, .. d-1 draw t below j + 1; add t to the
 * subset, or j if t is in it already (Floyd's algorithm; Bentley: Programming pearls; CACM 1987).
 */
#ifndef DMSTORE_SAMPLE_H
#define DMSTORE_SAMPLE_H

#include <stdint.h>

#include <dmstore/export.h>

DMS_BEGIN_DECLS

/* How a subset was drawn, as stored with it. */
enum dms_sample_generator { DMS_SAMPLE_PHILOX_FLOYD = 1 };

/*
 * The subset size that a fraction of the training set means: *subset_size = floor(alpha *
 * example_ct), computed in integers from the decimal digits, so that "0.29" of 50,000 is 14,500 (in
 * floating point it would be 14,499). `text` is a plain decimal number from 0 to 1 with at most 18
 * digits after the point: "0.29", ".5", "1", "1.000". Fails with DMS_ERR_INVALID for anything else.
 */
DMS_API int dms_alpha_parse(const char *text, uint64_t example_ct, uint64_t *subset_size);

/*
 * Draws the subset of model `id` with generator DMS_SAMPLE_PHILOX_FLOYD. `mask` receives
 * (example_ct + 7) / 8 bytes: example k is in the subset if bit k & 7 of byte k >> 3 is set; unused
 * bits of the last byte are zero. Fails with DMS_ERR_INVALID if subset_size > example_ct.
 */
DMS_API int dms_sample_mask(uint64_t example_ct, uint64_t subset_size, uint64_t seed, uint64_t id,
                            uint8_t *mask);

DMS_END_DECLS

#endif
