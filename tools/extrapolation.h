/*
 * The warning that predictions are for subsets of another size than those that a fit was trained
 * on; see dmstore/predict.h for why that matters.
 */
#ifndef DMSTORE_TOOLS_EXTRAPOLATION_H
#define DMSTORE_TOOLS_EXTRAPOLATION_H

#include <stdbool.h>
#include <stdint.h>

#include <dmstore.h>

#include "report.h"

#define EXTRAPOLATION_RANGE_BYTES (2 * TOOL_HUMAN_BYTES + 8)

/* "5", or "5 to 7". Returns `text`. */
const char *extrapolation_range(uint64_t smallest, uint64_t largest,
                                char text[EXTRAPOLATION_RANGE_BYTES]);

/* Warns on stderr if subsets of `smallest` to `largest` examples leave the sizes of training;
 * returns whether they do. `subject` begins the sentence, e.g. "the held-out masks have". */
bool extrapolation_warn(const char *command, const char *subject, uint64_t smallest,
                        uint64_t largest, const struct dms_subset_sizes *training);

#endif
