/*
 * Turns the scores of a model into the values of a store's columns; see model_row.h.
 */
#include "model_row.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <dmstore/convert.h>
#include <dmstore/store.h>

static const struct {
    const char *name;
    enum known_kind kind;
    bool of_training;
} known_names[KNOWN_COLUMN_MAX] = {
    {"test_margins", KNOWN_MARGINS, false}, {"test_logits", KNOWN_SCORES, false},
    {"train_margins", KNOWN_MARGINS, true}, {"train_logits", KNOWN_SCORES, true},
    {"accuracy", KNOWN_ACCURACY, false},
};

/* ---- layout ---- */

static size_t value_bytes(enum dms_dtype dtype)
{
    return dtype == DMS_F16 ? sizeof(uint16_t) : sizeof(float);
}

/* Adds the column if it is one of the known ones. */
static int add_column(struct row_layout *layout, const struct dms_column *column, uint32_t value,
                      const struct digits *digits)
{
    for (unsigned i = 0; i < KNOWN_COLUMN_MAX; i++) {
        struct known_column known = {known_names[i].kind, known_names[i].of_training, value,
                                     column->dtype, 1};
        uint64_t image_ct = known.of_training ? digits->training_ct : digits->target_ct;

        if (strcmp(column->name, known_names[i].name) != 0)
            continue;
        if (known.kind != KNOWN_ACCURACY)
            known.value_ct = image_ct * (known.kind == KNOWN_SCORES ? CLASS_CT : 1);
        if (dms_column_value_ct(column) != known.value_ct ||
            (column->dtype != DMS_F16 && column->dtype != DMS_F32))
            return dms_source_fail(DMS_ERR_INVALID,
                                   "column %s of the store: expected %" PRIu64
                                   " values of f16 or f32 a model",
                                   column->name, known.value_ct);
        layout->columns[layout->column_ct++] = known;
        layout->of_training |= known.of_training;
        layout->payload_bytes += known.value_ct * value_bytes(known.dtype);
        return 0;
    }
    return 0;
}

int row_layout_make(const struct dms_schema *schema, const struct digits *digits,
                    struct row_layout *layout)
{
    *layout = (struct row_layout){.mask_bytes = (digits->training_ct + 7) / 8};
    if (schema->example_ct != digits->training_ct)
        return dms_source_fail(DMS_ERR_INVALID,
                               "the store is about %" PRIu64
                               " training examples, and there are %zu training images: "
                               "create it with --examples %zu",
                               schema->example_ct, digits->training_ct, digits->training_ct);
    /* Floats are aligned behind it. */
    layout->payload_bytes = (layout->mask_bytes + 3) / 4 * 4;
    for (uint32_t i = 2; i < schema->column_ct; i++) {
        int code = add_column(layout, &schema->columns[i], i - 2, digits);

        if (code < 0)
            return code;
    }
    if (layout->column_ct == 0)
        return dms_source_fail(DMS_ERR_INVALID,
                               "the store has no column that a model could fill: create it with "
                               "--output test_margins:%zu:f16",
                               digits->target_ct);
    return 0;
}

/* ---- rows ---- */

static float margin_of(const struct image *image, const float *scores)
{
    float best_other = -INFINITY;

    for (unsigned class = 0; class < CLASS_CT; class ++) {
        if (class != image->label && scores[class] > best_other)
            best_other = scores[class];
    }
    return scores[image->label] - best_other;
}

static float accuracy_of(const struct digits *digits, const float *scores)
{
    size_t right_ct = 0;

    for (size_t i = 0; i < digits->target_ct; i++)
        right_ct += margin_of(&digits->targets[i], scores + i * CLASS_CT) > 0;
    return (float)right_ct / (float)digits->target_ct;
}

static float value_of(const struct known_column *column, const struct digits *digits,
                      const float *scores, uint64_t index)
{
    const struct image *images = column->of_training ? digits->training : digits->targets;

    if (column->of_training)
        scores += digits->target_ct * CLASS_CT;
    switch (column->kind) {
    case KNOWN_MARGINS:
        return margin_of(&images[index], scores + index * CLASS_CT);
    case KNOWN_SCORES:
        return scores[index];
    case KNOWN_ACCURACY:
        break;
    }
    return accuracy_of(digits, scores);
}

static void print_values(const struct known_column *column, const struct digits *digits,
                         const float *scores, uint8_t *out)
{
    for (uint64_t i = 0; i < column->value_ct; i++) {
        float value = value_of(column, digits, scores, i);
        uint16_t half;

        if (column->dtype == DMS_F16) {
            dms_f32_to_f16(&value, 1, &half);
            memcpy(out + i * sizeof(half), &half, sizeof(half));
        } else {
            memcpy(out + i * sizeof(value), &value, sizeof(value));
        }
    }
}

int row_layout_add(const struct row_layout *layout, const struct digits *digits, uint64_t id,
                   const uint8_t *mask, const float *scores, const struct dms_sampling *sampling,
                   struct row_batch *batch)
{
    uint8_t *payload, *next;
    int code = row_batch_begin(batch, layout->payload_bytes, &payload);

    if (code < 0)
        return code;
    memcpy(payload, mask, layout->mask_bytes);
    next = payload + (layout->mask_bytes + 3) / 4 * 4;
    for (unsigned i = 0; i < layout->column_ct; i++) {
        const struct known_column *column = &layout->columns[i];

        print_values(column, digits, scores, next);
        row_batch_set(batch, column->value, next);
        next += column->value_ct * value_bytes(column->dtype);
    }
    row_batch_end(batch, id, payload, sampling);
    return 0;
}
