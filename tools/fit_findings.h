/*
 * What `dmstore report` tells of a fit, gathered before any of it is written.
 *
 * Functions return 0 or a negative enum dms_error with the message set (see report.h).
 */
#ifndef DMSTORE_TOOLS_FIT_FINDINGS_H
#define DMSTORE_TOOLS_FIT_FINDINGS_H

#include <dmstore.h>

#include "fit_query.h"
#include "fit_summary.h"

/* Targets that are told of one by one: at most, so that a page stays a page. */
#define SHOWN_TARGET_MAX 24

/* What to gather. */
struct fit_findings_options {
    const int64_t *self; /* for fits that were made with a map of targets to examples */
    size_t self_ct;
    unsigned thread_ct;
    uint64_t memory_bytes;
    size_t example_ct; /* training examples of each sign for a target */
    dms_progress progress;
    void *progress_context;
};

struct shown_target {
    size_t position;
    struct dms_fitted_target fitted;
    struct dms_target_models *models;         /* NULL: there are no scores */
    struct dms_weighted_example *examples[2]; /* by enum dms_weight_sign */
    size_t example_cts[2];
};

/* Validation errors over the paths of all targets: of the i-th lambda, relative to that of the
 * first one of the path, averaged over the target_cts[i] targets whose path went so far. */
struct mean_path {
    size_t point_ct; /* 0: there are no paths, or they are not alike */
    double *ratios;  /* lambda over the first lambda of the path */
    double *errors;
    double *target_cts;
    uint64_t path_ct; /* targets with a path */
};

struct fit_findings {
    const struct fit_query *query;
    struct fit_summary summary;
    size_t target_ct;
    size_t *positions;  /* all, 0 .. target_ct - 1 */
    double *weight_cts; /* one a target */
    struct dms_subset_sizes sizes;
    struct dms_evaluation *evaluation; /* NULL: there are no scores ... */
    char *score_reason;                /* ... and why */
    struct mean_path path;
    struct dms_support *supports; /* one a target; NULL: there is no estimate ... */
    char *support_reason;         /* ... and why */
    struct shown_target *shown;
    size_t shown_ct;
};

/* `query` is open, and must outlive the findings; the targets chosen in it are shown, or, when none
 * are, those at the quartiles of LDS (of the number of weights, where there are no scores).
 * INVALID: the fit has no targets, or more than SHOWN_TARGET_MAX are to be shown. End them with
 * fit_findings_free, also after a failure. */
int fit_findings_gather(const struct fit_query *query, const struct fit_findings_options *options,
                        struct fit_findings *findings);
void fit_findings_free(struct fit_findings *findings);

/* The score of target number `place` of the fit, NaN where it has none. */
double fit_findings_score(const struct fit_findings *findings, size_t place, enum dms_score score);

#endif
