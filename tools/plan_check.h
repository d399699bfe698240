/*
 * Whether models that are found by their ids are those that a plan says: trained on its masks, and
 * not models of something else that have the same ids.
 *
 * Functions return 0 or a negative enum dms_error with the message set (see report.h).
 */
#ifndef DMSTORE_TOOLS_PLAN_CHECK_H
#define DMSTORE_TOOLS_PLAN_CHECK_H

#include <dmstore.h>

#include "removal_plan.h"

/* Holds the masks of the plan's models on the targets that are listed (increasing), controls
 * included, against directory/masks.npy. Where that file is not there any more, `command` warns
 * that they are taken for what the plan says. CONFLICT: a model has another mask. NOT_FOUND: there
 * is no such model. */
int plan_check_masks(const char *command, const char *directory, const struct removal_plan *plan,
                     const uint64_t *targets, size_t target_ct, const dms_retrained *retrained,
                     uint64_t example_ct);

#endif
