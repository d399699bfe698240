/*
 * The list of examples, and room for their counts; see kept_pairs.h.
 */
#include "solver/kept_pairs.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"

/* Counts take this part of the memory at most. */
#define SHARE 1024

size_t dms_kept_pairs_capacity(uint64_t memory_bytes, size_t example_ct)
{
    size_t capacity = (size_t)sqrt((double)memory_bytes / SHARE / sizeof(uint32_t));

    return capacity < example_ct ? capacity : example_ct;
}

uint64_t dms_kept_pairs_bytes(size_t example_ct, size_t capacity)
{
    return ((uint64_t)capacity * capacity + capacity + example_ct) * sizeof(uint32_t);
}

int dms_kept_pairs_create(size_t example_ct, size_t capacity, struct dms_kept_pairs *pairs)
{
    *pairs = (struct dms_kept_pairs){
        .capacity = capacity,
        .examples = dms_alloc(capacity, sizeof *pairs->examples),
        .places = dms_alloc(example_ct, sizeof *pairs->places),
        .counts = dms_alloc(capacity * capacity, sizeof *pairs->counts),
    };
    if (pairs->examples && pairs->places && pairs->counts)
        return DMS_OK;
    dms_kept_pairs_free(pairs);
    return DMS_ERR_NO_MEMORY;
}

void dms_kept_pairs_free(struct dms_kept_pairs *pairs)
{
    free(pairs->examples);
    free(pairs->places);
    free(pairs->counts);
    *pairs = (struct dms_kept_pairs){0};
}

void dms_kept_pairs_clear(struct dms_kept_pairs *pairs)
{
    for (size_t i = 0; i < pairs->size; i++)
        pairs->places[pairs->examples[i]] = 0;
    pairs->size = 0;
}

size_t dms_kept_pairs_add(struct dms_kept_pairs *pairs, size_t size, const uint32_t *examples)
{
    size_t new_ct = 0;

    for (size_t i = 0; i < size; i++)
        new_ct += pairs->places[examples[i]] == 0;
    if (pairs->size + new_ct > pairs->capacity) {
        dms_kept_pairs_clear(pairs);
        new_ct = size;
    }
    for (size_t i = 0; i < size; i++)
        if (pairs->places[examples[i]] == 0) {
            pairs->examples[pairs->size++] = examples[i];
            pairs->places[examples[i]] = (uint32_t)pairs->size;
        }
    return new_ct;
}
