/*
 * Margins and correctness of a batch of rows; see transform.h.
 */
#include "solver/transform.h"

#include <math.h>
#include <string.h>

/* Correct-class logit minus the largest other one; NaN when any of them is. */
static float margin_of(const float *logits, size_t class_ct, size_t label)
{
    float largest = -INFINITY;

    for (size_t c = 0; c < class_ct; c++) {
        if (isnan(logits[c]))
            return NAN;
        if (c != label && logits[c] > largest)
            largest = logits[c];
    }
    return logits[label] - largest;
}

static float correctness_of(float margin, double threshold)
{
    return isnan(margin) ? NAN : (float)(margin > threshold);
}

void dms_transform_apply(enum dms_transform transform, double threshold,
                         const struct dms_transform_shape *shape, const int64_t *labels,
                         const float *from, float *to)
{
    for (size_t i = 0; i < shape->row_ct; i++) {
        const float *row = from + i * shape->from_stride;
        float *out = to + i * shape->to_stride;

        for (size_t t = 0; t < shape->target_ct; t++) {
            const float *values = row + t * shape->class_ct;
            float margin = shape->class_ct > 1
                               ? margin_of(values, shape->class_ct, (size_t)labels[t])
                               : values[0];

            out[t] =
                transform == DMS_TRANSFORM_CORRECT ? correctness_of(margin, threshold) : margin;
        }
        memset(out + shape->target_ct, 0, (shape->to_stride - shape->target_ct) * sizeof(*out));
    }
}
