/*
 * Values of columns as people read them: text that reads back as the same number, JSON, and
 * doubles for summaries. Values are laid out in memory as the library gives them
 * (dmstore/schema.h).
 */
#ifndef DMSTORE_TOOLS_VALUES_H
#define DMSTORE_TOOLS_VALUES_H

#include <stdint.h>
#include <stdio.h>

#include <dmstore.h>

#include "json.h"

/* Value `index` of an array of the column's values as a number; not for text. Integers beyond
 * 2^53 are rounded. */
double value_as_double(const struct dms_column *column, const void *values, uint64_t index);

/* Prints value `index` with no more digits than it takes to read back the same value; text without
 * its padding, bool as 0 or 1. */
void value_print(const struct dms_column *column, const void *values, uint64_t index, FILE *file);

/* Writes value `index`. JSON has no numbers for NaN, which becomes null as in `dmstore append`, and
 * for the infinities, which become texts. */
void value_json(struct json_writer *json, const char *key, const struct dms_column *column,
                const void *values, uint64_t index);

#endif
