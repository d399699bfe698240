/*
 * The subset generator: the definition in <dmstore/sample.h>, step by step. What it draws is stored
 * as (generator, subset size, seed), so not one bit of it may ever change.
 */
#include "format/sample.h"

#include "base/error.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define PHILOX_ROUNDS 10
#define MAX_FRACTION_DIGITS 18 /* 10^18 fits in 64 bits */

__extension__ typedef unsigned __int128 uint128;

void dms_philox_start(struct dms_philox *stream, uint64_t seed, uint64_t id)
{
    *stream = (struct dms_philox){.key = {seed, id}, .used_ct = 4};
}

/* Moves on to the next counter and computes its four words. */
static void next_block(struct dms_philox *stream)
{
    uint64_t *counter = stream->counter;
    uint64_t key[2] = {stream->key[0], stream->key[1]};
    uint64_t words[4];

    for (int i = 0; i < 4 && ++counter[i] == 0; i++)
        ; /* carry into the next word */
    memcpy(words, counter, sizeof(words));
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint128 product0 = (uint128)UINT64_C(0xd2e7470ee14c6c93) * words[0];
        uint128 product2 = (uint128)UINT64_C(0xca5a826395121157) * words[2];

        words[0] = (uint64_t)(product2 >> 64) ^ words[1] ^ key[0];
        words[1] = (uint64_t)product2;
        words[2] = (uint64_t)(product0 >> 64) ^ words[3] ^ key[1];
        words[3] = (uint64_t)product0;
        key[0] += UINT64_C(0x9e3779b97f4a7c15);
        key[1] += UINT64_C(0xbb67ae8584caa73b);
    }
    memcpy(stream->words, words, sizeof(words));
    stream->used_ct = 0;
}

uint64_t dms_philox_next(struct dms_philox *stream)
{
    if (stream->used_ct == 4)
        next_block(stream);
    return stream->words[stream->used_ct++];
}

uint64_t dms_philox_below(struct dms_philox *stream, uint64_t limit)
{
    uint128 product = (uint128)dms_philox_next(stream) * limit;

    /* 2^64 mod limit is below limit: the division is rarely needed. */
    if ((uint64_t)product < limit) {
        uint64_t threshold = (0 - limit) % limit;

        while ((uint64_t)product < threshold)
            product = (uint128)dms_philox_next(stream) * limit;
    }
    return (uint64_t)(product >> 64);
}

int dms_sample_mask(uint64_t example_ct, uint64_t subset_size, uint64_t seed, uint64_t id,
                    uint8_t *mask)
{
    struct dms_philox stream;

    if (subset_size > example_ct)
        return dms_fail(DMS_ERR_INVALID,
                        "cannot draw a subset of %" PRIu64 " out of %" PRIu64 " examples",
                        subset_size, example_ct);
    memset(mask, 0, (size_t)(example_ct / 8 + (example_ct % 8 != 0)));
    dms_philox_start(&stream, seed, id);
    for (uint64_t j = example_ct - subset_size; j < example_ct; j++) {
        uint64_t chosen = dms_philox_below(&stream, j + 1);
        uint64_t taken = mask[chosen >> 3] >> (chosen & 7) & 1;

        /* If taken, j instead: without a branch, because nobody could predict it. */
        chosen ^= (chosen ^ j) & (0 - taken);
        mask[chosen >> 3] |= (uint8_t)(1 << (chosen & 7));
    }
    return DMS_OK;
}

static bool is_digit(char character)
{
    return character >= '0' && character <= '9';
}

int dms_alpha_parse(const char *text, uint64_t example_ct, uint64_t *subset_size)
{
    const char *next = text;
    uint64_t numerator = 0;
    uint64_t denominator = 1;
    int fraction_digit_ct = 0;

    /* Before the point: nothing, 0 or 1. */
    if (is_digit(*next))
        numerator = (uint64_t)(*next++ - '0');
    if (*next == '.') {
        for (next++; is_digit(*next) && fraction_digit_ct < MAX_FRACTION_DIGITS; next++) {
            /* At most 10^19 - 1, which 64 bits hold. */
            numerator = numerator * 10 + (uint64_t)(*next - '0');
            denominator *= 10;
            fraction_digit_ct++;
        }
        if (fraction_digit_ct == 0)
            next = text;
    }
    if (next == text || *next != '\0' || numerator > denominator)
        return dms_fail(DMS_ERR_INVALID,
                        "'%s' is not a fraction of the training set: give a decimal number from 0 "
                        "to 1 with at most %d digits after the point, such as 0.5",
                        text, MAX_FRACTION_DIGITS);
    *subset_size = (uint64_t)((uint128)numerator * example_ct / denominator);
    return DMS_OK;
}
