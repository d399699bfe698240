/*
 * The options of a fit: checked against the column they are about, and as the key=value pairs that
 * say which problem is solved. Jobs whose pairs are equal find the same datamodels.
 */
#ifndef DMS_SOLVER_OPTIONS_H
#define DMS_SOLVER_OPTIONS_H

#include "dmstore/solve.h"

/* Checks everything that can be without reading the store. *column: position of the output column.
 * NOT_FOUND lists the output columns there are; INVALID says which option is wrong and why. */
int dms_fit_options_check(const struct dms_fit_options *options, const struct dms_schema *schema,
                          uint32_t *column);

/* First target after those that are fitted: end_target, or all of the column's. */
uint64_t dms_fit_options_end(const struct dms_fit_options *options,
                             const struct dms_column *column);

/* The problem as text, sorted by key. */
#define DMS_PROBLEM_PAIR_MAX 16
#define DMS_PROBLEM_VALUE_BYTES 40
struct dms_problem_text {
    size_t pair_ct;
    struct dms_metadata pairs[DMS_PROBLEM_PAIR_MAX]; /* values point into `values` */
    char values[DMS_PROBLEM_PAIR_MAX][DMS_PROBLEM_VALUE_BYTES];
};

/* Fills *text, whose address may not change afterwards. held_out_ct and validation_ct must be
 * numbers. */
void dms_problem_describe(const struct dms_fit_options *options, struct dms_problem_text *text);

/* The value of `key`, or NULL. */
const char *dms_problem_value(const struct dms_metadata *pairs, size_t pair_ct, const char *key);

#endif
