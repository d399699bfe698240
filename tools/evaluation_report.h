/*
 * How `dmstore eval` tells what it found: as a table for people, as JSON, and as a CSV file with
 * one line a target and fit.
 */
#ifndef DMSTORE_TOOLS_EVALUATION_REPORT_H
#define DMSTORE_TOOLS_EVALUATION_REPORT_H

#include <dmstore.h>

/* Prints the table; 0 or DMS_ERR_NO_MEMORY. */
int evaluation_print(const struct dms_evaluation *evaluation,
                     const struct dms_evaluate_options *options);

/* Prints the JSON object. */
void evaluation_print_json(const struct dms_evaluation *evaluation,
                           const struct dms_evaluate_options *options, const char *store);

/* Writes the CSV file `path`, "-" for standard output. Returns 0 or a negative enum dms_error with
 * the message set. */
int evaluation_write_csv(const struct dms_evaluation *evaluation, const char *path);

/* Sizes of the subsets that the fits were trained on. */
struct dms_subset_sizes evaluation_training_sizes(const struct dms_evaluation *evaluation);

#endif
