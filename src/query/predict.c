/*
 * Predictions in one of two ways: few weights are looked up in the mask one by one; of many, a
 * dense tile is made for the lane kernel, which takes 8 examples in one addition. See predict.h.
 */
#include "query/predict.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* What looking up one weight costs, in columns that the kernel takes for all lanes in that time. */
#define LOOKUP_COST 14

struct dms_predictor {
    size_t example_ct;
    const struct dms_lane_kernels *kernels;
    float *weights;     /* example_ct x DMS_LANES */
    float *predictions; /* batch_rows x DMS_LANES */
    void *workspace;
};

int dms_predictor_create(size_t example_ct, size_t batch_rows, struct dms_predictor **predictor)
{
    struct dms_predictor *made = dms_alloc(1, sizeof(*made));
    size_t weight_bytes, prediction_bytes;

    if (!made)
        return DMS_ERR_NO_MEMORY;
    made->example_ct = example_ct;
    made->kernels = dms_lane_variant_get()->f32;
    weight_bytes = example_ct * DMS_LANES * sizeof(float);
    prediction_bytes = batch_rows * DMS_LANES * sizeof(float);
    made->weights = dms_alloc_aligned(64, weight_bytes);
    made->predictions = dms_alloc_aligned(64, prediction_bytes);
    made->workspace = dms_alloc_aligned(64, made->kernels->workspace_bytes + 64);
    if (!made->weights || !made->predictions || !made->workspace) {
        dms_predictor_free(made);
        return DMS_ERR_NO_MEMORY;
    }
    *predictor = made;
    return 0;
}

void dms_predictor_free(struct dms_predictor *predictor)
{
    if (!predictor)
        return;
    free(predictor->weights);
    free(predictor->predictions);
    free(predictor->workspace);
    free(predictor);
}

size_t dms_predictor_bytes(size_t example_ct, size_t batch_rows)
{
    return (example_ct + batch_rows) * DMS_LANES * sizeof(float) +
           dms_lane_variant_get()->f32->workspace_bytes;
}

double dms_prediction_unit(const struct dms_fitted_target *target)
{
    double largest = 0;

    for (size_t i = 0; i < target->weight_ct; i++) {
        double size = fabs(target->weights[i]);

        largest = size > largest ? size : largest;
    }
    if (!(largest > 0))
        return 1;
    return largest < DBL_MIN ? DBL_MIN : ldexp(1, ilogb(largest));
}

/* One addition a weight and row. */
static void look_up(const struct dms_fitted_target *target, const uint8_t *masks,
                    size_t mask_stride_bytes, size_t row_ct, float *predictions)
{
    double factor = 1 / dms_prediction_unit(target); /* exact */

    for (size_t row = 0; row < row_ct; row++) {
        const uint8_t *mask = masks + row * mask_stride_bytes;
        double sum = 0;

        for (size_t i = 0; i < target->weight_ct; i++) {
            uint32_t example = target->examples[i];
            double either[2] = {0, target->weights[i] * factor};

            sum += either[mask[example >> 3] >> (example & 7) & 1];
        }
        predictions[row * DMS_LANES] = (float)sum;
    }
}

static void multiply(struct dms_predictor *predictor, const struct dms_fitted_target *targets,
                     size_t target_ct, const uint8_t *masks, size_t mask_stride_bytes,
                     size_t row_ct)
{
    memset(predictor->weights, 0, predictor->example_ct * DMS_LANES * sizeof(float));
    for (size_t t = 0; t < target_ct; t++) {
        double factor = 1 / dms_prediction_unit(&targets[t]);

        for (size_t i = 0; i < targets[t].weight_ct; i++)
            predictor->weights[(size_t)targets[t].examples[i] * DMS_LANES + t] =
                (float)(targets[t].weights[i] * factor);
    }
    predictor->kernels->multiply(masks, row_ct, mask_stride_bytes, predictor->example_ct,
                                 predictor->weights, predictor->predictions, predictor->workspace);
}

const float *dms_predict(struct dms_predictor *predictor, const struct dms_fitted_target *targets,
                         size_t target_ct, const uint8_t *masks, size_t mask_stride_bytes,
                         size_t row_ct)
{
    size_t weight_ct = 0;

    for (size_t t = 0; t < target_ct; t++)
        weight_ct += targets[t].weight_ct;
    if (weight_ct * LOOKUP_COST > predictor->example_ct) {
        multiply(predictor, targets, target_ct, masks, mask_stride_bytes, row_ct);
    } else {
        for (size_t t = 0; t < target_ct; t++)
            look_up(&targets[t], masks, mask_stride_bytes, row_ct, predictor->predictions + t);
    }
    return predictor->predictions;
}
