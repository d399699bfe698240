/*
 * Which class the training examples of a target get when they are to be mislabelled.
 *
 * Functions return 0 or a negative enum dms_error with the message set (see report.h).
 */
#ifndef DMSTORE_TOOLS_SUPPORT_CLASSES_H
#define DMSTORE_TOOLS_SUPPORT_CLASSES_H

#include "fit_query.h"

/* Reads the text of --relabel: one class, a .npy file with a class for each target of the output
 * column, or "auto" (see dms_support_wrong_classes). The caller frees *classes, one a target of the
 * query. INVALID: a class that there is not, or that is the target's own. */
int support_classes_find(const struct fit_query *query, const struct dms_support_options *options,
                         const char *text, int64_t **classes);

/* A fit that was made with labels keeps a digest of them only: INVALID where they are not given
 * again, to do `what`. */
int support_classes_check_labels(const struct fit_query *query, const char *what);

#endif
