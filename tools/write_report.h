/*
 * What the commands that take rows in have in common: the --sampled claim and the report of what a
 * write did.
 */
#ifndef DMSTORE_TOOLS_WRITE_REPORT_H
#define DMSTORE_TOOLS_WRITE_REPORT_H

#include <stdbool.h>

#include <dmstore/store.h>

/* Parses "ALPHA:SEED" of --sampled for a training set of example_ct examples. Returns 0 or
 * DMS_ERR_INVALID with the message set. */
int sampling_parse(const char *text, uint64_t example_ct, struct dms_sampling *sampling);

/* Adds the counts of `part` to `sum`. */
void write_result_add(struct dms_write_result *sum, const struct dms_write_result *part);

/* Prints to stdout what became of the rows that came in within that many seconds: one line of text,
 * or an object of JSON. */
void write_result_print(const struct dms_write_result *result, double seconds, bool as_json);

/* Seconds of the monotonic clock, for the difference of two of them. */
double monotonic_seconds(void);

#endif
