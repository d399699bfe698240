/*
 * How often the examples of a list are in together, two by two, on one set of models: counts that
 * one target needs again and again, kept from one lambda to the next. The list grows by what is
 * asked for, and is begun anew when it is full.
 */
#ifndef DMS_SOLVER_KEPT_PAIRS_H
#define DMS_SOLVER_KEPT_PAIRS_H

#include <stddef.h>
#include <stdint.h>

struct dms_kept_pairs {
    size_t size, capacity;
    uint32_t *examples; /* in the order they came */
    uint32_t *places;   /* example_ct: 1 + place in the list; 0: not there */
    uint32_t *counts;   /* capacity x capacity, lower triangle with the diagonal */
};

/* How many examples there is room for, and what that takes. */
size_t dms_kept_pairs_capacity(uint64_t memory_bytes, size_t example_ct);
uint64_t dms_kept_pairs_bytes(size_t example_ct, size_t capacity);

/* The caller ends *pairs with dms_kept_pairs_free, which accepts what is all zero. */
int dms_kept_pairs_create(size_t example_ct, size_t capacity, struct dms_kept_pairs *pairs);
void dms_kept_pairs_free(struct dms_kept_pairs *pairs);

/* Forgets all examples. */
void dms_kept_pairs_clear(struct dms_kept_pairs *pairs);

/* Puts examples that are not there, of `size` <= capacity, behind those that are; when there is no
 * room, these are all. How many are new: the caller counts the rows of the last so many places. */
size_t dms_kept_pairs_add(struct dms_kept_pairs *pairs, size_t size, const uint32_t *examples);

/* Place of an example that is there. */
static inline size_t dms_kept_pairs_place(const struct dms_kept_pairs *pairs, uint32_t example)
{
    return pairs->places[example] - 1;
}

/* Count of the examples in two places. */
static inline uint32_t dms_kept_pairs_count(const struct dms_kept_pairs *pairs, size_t a, size_t b)
{
    return pairs->counts[a > b ? a * pairs->capacity + b : b * pairs->capacity + a];
}

#endif
