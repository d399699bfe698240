/*
 * Sets of model ids as ranges, in the form that people type and a SLURM array takes: "0-4,7,9-12".
 * Ranges stand in increasing order and neither overlap nor touch.
 */
#ifndef DMSTORE_TOOLS_ID_RANGES_H
#define DMSTORE_TOOLS_ID_RANGES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* first .. last, both included, so that the largest id can be named. */
struct id_range {
    uint64_t first;
    uint64_t last;
};

/* Starts as {0}; ended with id_ranges_free. */
struct id_ranges {
    struct id_range *items;
    size_t item_ct;
    size_t capacity;
};

void id_ranges_free(struct id_ranges *ranges);

/* Adds first .. last, which lie above all ids that are there (or repeat the last of them). Returns
 * 0 or DMS_ERR_NO_MEMORY. */
int id_ranges_append(struct id_ranges *ranges, uint64_t first, uint64_t last);

/* Adds ids in any order, also such that are there already. */
int id_ranges_add_ids(struct id_ranges *ranges, const uint64_t *ids, size_t id_ct);

/* Parses a list such as "3,5,10-20" in any order into an empty set. DMS_ERR_INVALID names the part
 * that is no range. */
int id_ranges_parse(const char *text, struct id_ranges *ranges);

/* How many ids are in the set (2^64 of them count as 2^64 - 1). */
uint64_t id_ranges_count(const struct id_ranges *ranges);

/* Prints the ranges without a newline. */
void id_ranges_print(const struct id_ranges *ranges, FILE *file);

/* The ranges as text; the caller ends it with free(). NULL when out of memory, message set. */
char *id_ranges_text(const struct id_ranges *ranges);

#endif
