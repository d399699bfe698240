/*
 * Reads the values of one model from a snapshot, one column at a time.
 */
#ifndef DMSTORE_TOOLS_MODEL_VALUES_H
#define DMSTORE_TOOLS_MODEL_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include <dmstore.h>

/* Part of one column of one model. Starts as {0}; ended with model_values_free. */
struct model_values {
    const struct dms_column *column; /* the snapshot's */
    uint64_t target, target_ct;      /* of an output; 0, 1 for a scalar */
    bool present;                    /* false: the model has no value here, and values is NULL */
    void *values; /* target_ct x values_per_target as in memory; of the mask, its packed bytes */
};

/* Reads targets target .. target + target_ct - 1 of column `column` (a position in the schema) of
 * the model at `position`. For the mask the range must be all examples. */
int model_values_read(dms_snapshot *snapshot, const struct dms_position *position, uint32_t column,
                      uint64_t target, uint64_t target_ct, struct model_values *values);

void model_values_free(struct model_values *values);

/* How many values were read. */
uint64_t model_values_count(const struct model_values *values);

/* How many examples a packed mask has. */
uint64_t mask_count(const uint8_t *mask, uint64_t example_ct);

#endif
