/*
 * What fits have in common that are estimated without a regression: their problem in words, and
 * sums over the models that are not held out.
 */
#ifndef DMS_QUERY_ESTIMATE_H
#define DMS_QUERY_ESTIMATE_H

#include "dmstore/import.h"
#include "solver/plan.h"

/* The words of an estimate: those of a regression that say which models and which number, and
 * method = `method`, which must live as long as *text. */
void dms_estimate_describe(const struct dms_fit_options *options, const char *method,
                           struct dms_problem_text *text);

/* The sums of one target over the rows that count for it; y is the output less `shift`, one of the
 * outputs, so that the sums of a constant are exactly 0. */
struct dms_target_sums {
    uint64_t target;
    uint64_t row_ct;
    double shift;
    double sum, square_sum; /* of y and of y^2 */
    /* NULL, or of each example k at k * DMS_LANES: the sum of y, and the number of rows, of models
     * that have it. */
    const double *example_sums;
    const uint32_t *example_row_cts;
};

/* Mean and null deviance. */
void dms_target_sums_moments(const struct dms_target_sums *sums,
                             struct dms_output_moments *moments);

struct dms_sums_job {
    dms_snapshot *snapshot;
    const struct dms_fit_header *header;
    const struct dms_fit_options *options; /* which number, targets, threads, memory */
    bool by_example;
    dms_progress progress; /* may be NULL: targets that are done, and all */
    void *progress_context;
    /* Called with every target, in increasing order, in the caller's thread. */
    int (*result)(void *context, const struct dms_target_sums *sums);
    void *context;
};

/* Sums over the training and validation models of the header, in blocks of targets that fit the
 * memory. Sums are the same bytes for any number of threads and any memory. INVALID: the memory is
 * too small. */
int dms_sums_run(const struct dms_sums_job *job);

#endif
