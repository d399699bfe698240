/*
 * The random words behind <dmstore/sample.h>, where the algorithms are defined.
 */
#ifndef DMS_FORMAT_SAMPLE_H
#define DMS_FORMAT_SAMPLE_H

#include <dmstore/sample.h>

/* A stream of random words: Philox4x64-10. Plain data: copy it to go back to a position. */
struct dms_philox {
    uint64_t key[2];
    uint64_t counter[4]; /* of the block in `words`; little-endian words of a 256-bit number */
    uint64_t words[4];
    unsigned used_ct; /* words of the block that were handed out */
};

/* The start of the stream with key (seed, id). */
void dms_philox_start(struct dms_philox *stream, uint64_t seed, uint64_t id);

/* The next word. */
uint64_t dms_philox_next(struct dms_philox *stream);

/* A number in [0, limit), each equally likely; limit > 0. Takes as many words as it needs. */
uint64_t dms_philox_below(struct dms_philox *stream, uint64_t limit);

#endif
