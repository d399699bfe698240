/*
 * How `dmstore fit` tells of its work: one line on a terminal while it runs, a log of JSON lines,
 * and a summary of all targets in the end.
 */
#ifndef DMSTORE_TOOLS_FIT_REPORT_H
#define DMSTORE_TOOLS_FIT_REPORT_H

#include <stdio.h>

#include <dmstore.h>

#include "progress.h"

/* Starts as {0} with the first four fields set. */
struct fit_report {
    const struct dms_fit_header *header;
    uint64_t first_target, end_target;
    double tolerance;
    FILE *log; /* NULL: none */
    struct progress *progress;
    double start_seconds; /* monotonic clock; set by fit_report_begin */
    uint64_t epoch_ct;    /* passes of this run */
    /* Set by fit_report_placement; 0 and "" where nothing was left to do. */
    enum dms_device device;
    enum dms_solver solver;
    char device_name[128]; /* of a card */

    /* Of the targets that were added. */
    uint64_t target_ct;
    uint64_t certified_ct, constant_ct, path_ended_ct, last_lambda_ct;
    uint64_t pair_ct, certified_pair_ct; /* (target, lambda) whose gap was computed */
    double worst_gap;
    uint64_t worst_target;
    uint64_t *weight_cts; /* one a target; ended by fit_report_free */
    size_t weight_capacity;
};

void fit_report_begin(struct fit_report *report);
void fit_report_free(struct fit_report *report);

/* Seconds since it began. */
double fit_report_seconds(const struct fit_report *report);

/* Where the work is done and how it is divided, before the first pass: printed, unless it is
 * `quiet`, and logged. */
void fit_report_placement(struct fit_report *report, const struct dms_fit_placement *placement,
                          bool quiet);

/* After every pass: draws, logs. Returns non-zero once a signal came. */
int fit_report_pass(struct fit_report *report, const struct dms_fit_progress *progress);

/* Counts a finished target and logs it. Returns 0 or DMS_ERR_NO_MEMORY. */
int fit_report_target(struct fit_report *report, const struct dms_fitted_target *target);

/* What was asked for, before the work; ridge: what it takes, NULL for LASSO. */
void fit_report_print_plan(const struct fit_report *report, const struct dms_ridge_cost *ridge);

/* What came of it. stored: where the result is, NULL when it was not kept; added_ct: targets that
 * are new there. */
void fit_report_print(struct fit_report *report, const char *stored, uint64_t added_ct);
void fit_report_print_json(struct fit_report *report, const char *stored, uint64_t added_ct);

#endif
