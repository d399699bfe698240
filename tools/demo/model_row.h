/*
 * What a trained model leaves in a store: the values of those columns of the store that the
 * demonstration knows by name,
 *
 *   test_margins   targets, f16 or f32: score of the right class less the largest other one
 *   train_margins  training images: the same for the images that subsets are drawn from
 *   test_logits    targets x 10, train_logits: the scores themselves
 *   accuracy       f16 or f32: part of the targets whose margin is above 0
 *
 * Other columns stay without a value.
 */
#ifndef DMSTORE_DEMO_MODEL_ROW_H
#define DMSTORE_DEMO_MODEL_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include <dmstore/schema.h>

#include "images.h"
#include "row_batch.h"

enum known_kind { KNOWN_MARGINS, KNOWN_SCORES, KNOWN_ACCURACY };

struct known_column {
    enum known_kind kind;
    bool of_training; /* about the training images; else about the targets */
    uint32_t value;   /* number among the output and scalar columns of the schema */
    enum dms_dtype dtype;
    uint64_t value_ct;
};

#define KNOWN_COLUMN_MAX 5

struct row_layout {
    struct known_column columns[KNOWN_COLUMN_MAX];
    unsigned column_ct;
    bool of_training; /* a column is about the training images */
    uint64_t mask_bytes;
    uint64_t payload_bytes; /* of a row: the mask and all values */
};

/* Finds the known columns in a schema. INVALID: the store is about another training set, a column
 * has another shape or type, or none of them is there. */
int row_layout_make(const struct dms_schema *schema, const struct digits *digits,
                    struct row_layout *layout);

/* Adds model `id` to the batch. scores: CLASS_CT for each target, then (layout->of_training) for
 * each training image. `sampling` may be NULL and must outlive the batch. */
int row_layout_add(const struct row_layout *layout, const struct digits *digits, uint64_t id,
                   const uint8_t *mask, const float *scores, const struct dms_sampling *sampling,
                   struct row_batch *batch);

#endif
