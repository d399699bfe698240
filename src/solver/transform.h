/*
 * What is fitted, computed from what is stored: margins from logits, correctness from margins or
 * logits (Ilyas et al. 2022, section 2 and Table K.1).
 */
#ifndef DMS_SOLVER_TRANSFORM_H
#define DMS_SOLVER_TRANSFORM_H

#include "dmstore/solve.h"

#include <stddef.h>

/* Values of row i, target t, class c are at from[i * from_stride + t * class_ct + c]; class_ct 1:
 * margins. The result goes to to[i * to_stride + t], and the values from target_ct to to_stride are
 * set to zero. threshold: of DMS_TRANSFORM_CORRECT. labels: the correct class of each of the
 * target_ct targets (class_ct > 1). A value that depends on a NaN is NaN. The two arrays do not
 * overlap. */
struct dms_transform_shape {
    size_t row_ct, target_ct, class_ct;
    size_t from_stride, to_stride;
};
void dms_transform_apply(enum dms_transform transform, double threshold,
                         const struct dms_transform_shape *shape, const int64_t *labels,
                         const float *from, float *to);

#endif
