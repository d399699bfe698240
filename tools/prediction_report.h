/*
 * How `dmstore predict` tells what it found: for one subset a table of the targets, for many a
 * summary; as JSON; and as a .npy or CSV file.
 *
 * Functions return 0 or a negative enum dms_error with the message set (see report.h).
 */
#ifndef DMSTORE_TOOLS_PREDICTION_REPORT_H
#define DMSTORE_TOOLS_PREDICTION_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "fit_query.h"
#include "npy_file.h"

/* Set the first members, zero the others. */
struct prediction_report {
    const struct fit_query *query;
    const char *path; /* of the file, "-": CSV instead of the report; NULL: none */
    bool as_json;
    /* Some target has no bias: values are changes against the full training set, and predictions
     * are not told. */
    bool changes_only;

    uint64_t mask_ct;
    struct npy_writer npy;
    struct output_file csv;
    FILE *stream; /* of csv */
    struct json_writer json;
    uint64_t value_ct;
    double value_sum, smallest, largest; /* over all values */
};

/* The sizes of the subsets, and whether predictions for them extrapolate. */
struct predicted_subsets {
    uint64_t smallest, largest;
    bool extrapolate;
};

/* One subset. predictions, changes: one for each target of the query. */
int prediction_report_subset(struct prediction_report *report,
                             const struct predicted_subsets *subsets, const double *predictions,
                             const double *changes);

/* Many: begin, all masks in order in as many pieces as it takes (values: mask_ct x targets), end.
 * `code` is what the caller came to; a failure drops the file and is returned. */
int prediction_report_begin(struct prediction_report *report, uint64_t mask_ct);
int prediction_report_masks(struct prediction_report *report, uint64_t first_mask, uint64_t mask_ct,
                            const double *values);
int prediction_report_end(struct prediction_report *report, const struct predicted_subsets *subsets,
                          int code);

#endif
