/*
 * What all commands that ask a fit begin with: STORE and FIT opened, the targets that are meant,
 * and what indices mean. See HACKING.md, "A query".
 *
 *     struct fit_query query = {.targets = "all"};
 *     const struct tool_option options[] = {
 *         FIT_QUERY_TARGET_OPTION(&query),
 *         FIT_QUERY_NAME_OPTIONS(&query),
 *         OPTION_END,
 *     };
 *     ...
 *     status = fit_query_parse(&query, &usage, argc, argv);
 *     ...
 *     code = fit_query_open(&query);
 *     ...
 *     fit_query_close(&query);
 *
 * The other functions return 0 or a negative enum dms_error with the message set (see report.h).
 */
#ifndef DMSTORE_TOOLS_FIT_QUERY_H
#define DMSTORE_TOOLS_FIT_QUERY_H

#include <dmstore.h>

#include "index_names.h"
#include "options.h"

struct fit_query {
    /* The command line. */
    const char *store; /* a store or a manifest */
    const char *fit_name;
    const char *targets; /* J, A:B, "all" or @FILE; NULL: no targets are chosen */
    const char *names, *labels, *target_names, *target_labels; /* files, or NULL */

    /* Set by fit_query_open. */
    dms_snapshot *snapshot;
    dms_fit *fit;
    const struct dms_fit_header *header; /* the fit's */
    size_t position_ct;                  /* targets that are meant ... */
    size_t *positions;                   /* ... as positions in the fit, in the order given */
    struct index_names examples_are;     /* names and labels of training examples */
    struct index_names targets_are;      /* of targets */
};

#define FIT_QUERY_TARGET_OPTION(query)               \
    OPTION_TEXT("target", 0, "J", &(query)->targets, \
                "target J, targets A:B, 'all', or those that @FILE lists")

#define FIT_QUERY_TARGET_NAME_OPTIONS(query)                                                \
    OPTION_TEXT("target-names", 0, "FILE", &(query)->target_names, "names of the targets"), \
        OPTION_TEXT("target-labels", 0, "FILE", &(query)->target_labels,                    \
                    ".npy of the targets' classes")

#define FIT_QUERY_NAME_OPTIONS(query)                                 \
    OPTION_TEXT("names", 0, "FILE", &(query)->names,                  \
                "names of the training examples: text, a line each"), \
        OPTION_TEXT("labels", 0, "FILE", &(query)->labels,            \
                    ".npy of the training examples' classes"),        \
        FIT_QUERY_TARGET_NAME_OPTIONS(query)

/* Parses a command line whose arguments are STORE and FIT, whatever usage says of their number.
 * Returns what tool_options_parse returns. */
int fit_query_parse(struct fit_query *query, const struct tool_usage *usage, int argc, char **argv);

/* Opens everything; fit_query_close ends it, also after a failure. Of a range, or of "all", those
 * targets are meant that the fit has (NOT_FOUND: none); each target that is named by its number
 * must be there. */
int fit_query_open(struct fit_query *query);
void fit_query_close(struct fit_query *query);

/* INVALID: the fit predicts no outputs, because it holds principal components of datamodels. */
int fit_query_check_outputs(const struct fit_query *query);

/* The positions in another fit of the targets that are meant in `query`, for commands that compare
 * fits: one each. NOT_FOUND: the fit does not have one of them. The caller frees *positions. */
int fit_query_positions_in(const struct fit_query *query, const dms_fit *fit, size_t **positions);

/* The target at a chosen place 0 .. position_ct - 1. */
int fit_query_target(const struct fit_query *query, size_t place, struct dms_fitted_target *target);

#endif
