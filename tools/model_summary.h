/*
 * The summary of one model that `dmstore get` prints when no column is asked for.
 */
#ifndef DMSTORE_TOOLS_MODEL_SUMMARY_H
#define DMSTORE_TOOLS_MODEL_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>

#include <dmstore.h>

/* Prints place, subset size, scalars, and the range of each output of the model on stdout. */
int model_summary_print(dms_snapshot *snapshot, uint64_t id, const struct dms_position *position,
                        bool as_json);

#endif
