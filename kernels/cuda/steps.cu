/*
 * What happens example by example: averages of the gradient, sums for the certificate, steps of SAGA
 * and proximal steps with and without momentum (src/solver/tile.c has the same on the processor). A
 * thread has one lane and every ROWS_Y-th example of its part, and every value belongs to one
 * thread.
 */
#include "kernels/cuda/sums.h"

/* A penalty that keeps a weight at zero (DMS_PENALTY_BLOCKED of kernels/lane_updates.h). */
#define BLOCKED 1e30

struct steps_work {
    struct dms_cuda_panel panel;
    uint32_t batch_rows, is_first;
};

DMS_DEVICE double scale_of(const struct dms_cuda_panel *panel, double mean)
{
    double variance = mean * (1 - mean);

    if (!(variance > 0))
        return 0;
    return panel->standardize ? sqrt(variance) : 1;
}

/* The mean of example k over the rows of lane l. */
DMS_DEVICE double lane_mean(const struct dms_cuda_panel *panel, uint32_t k, uint32_t l,
                            double row_weight)
{
    if (!panel->counts)
        return panel->means[k];
    return row_weight > 0 ? panel->counts[(size_t)k * panel->stride + l] / row_weight : 0;
}

/* s_k in lane l; 0 where it is constant there or in all models. */
DMS_DEVICE double lane_scale(const struct dms_cuda_panel *panel, uint32_t k, uint32_t l,
                             double row_weight)
{
    return panel->inverse_variances[k] > 0
               ? scale_of(panel, lane_mean(panel, k, l, row_weight))
               : 0;
}

DMS_DEVICE double lane_gradient(const struct dms_cuda_panel *panel, uint32_t k, uint32_t l,
                                double row_weight)
{
    double gradient = panel->averages[(size_t)k * panel->stride + l];

    if (panel->counts)
        gradient += FIELD(panel, DMS_CUDA_RESIDUAL_MEAN, l) *
                    (panel->means[k] - lane_mean(panel, k, l, row_weight));
    return gradient;
}

DMS_DEVICE double soften(double value, double threshold)
{
    return value > threshold ? value - threshold : value < -threshold ? value + threshold : 0;
}

/* Penalty of example k in lane l in the metric of the inverse variances. */
DMS_DEVICE double lane_penalty(const struct dms_cuda_panel *panel, uint32_t k, uint32_t l,
                               double row_weight)
{
    double scale = scale_of(panel, lane_mean(panel, k, l, row_weight));

    if (panel->counts && !(scale > 0))
        return BLOCKED;
    return scale * panel->inverse_variances[k];
}

/* ---- evaluations ---- */

DMS_KERNEL(end_evaluation_kernel, steps_work)
{
    const struct dms_cuda_panel *panel = &work.panel;
    uint32_t l = blockIdx.x * LANES_X + threadIdx.x;
    double row_weight = FIELD(panel, DMS_CUDA_ROW_WEIGHT, l);
    double centre_average = FIELD(panel, DMS_CUDA_CENTRE_AVERAGE, l);
    double scale = row_weight > 0 ? 1 / row_weight : 0;
    struct part part = part_of(panel->example_ct);
    double sums[3] = {0}; /* norm, largest gradient, weights */

    if (panel->lanes[l].mode != DMS_CUDA_MODE_EVALUATE)
        part.end = part.first;
    for (uint32_t k = part.first + threadIdx.y; k < part.end; k += ROWS_Y) {
        size_t at = (size_t)k * panel->stride + l;
        double s = lane_scale(panel, k, l, row_weight), weight = panel->weights[at];

        panel->averages[at] = panel->averages[at] * scale - panel->means[k] * centre_average;
        if (s == 0)
            continue;
        sums[0] += s * fabs(weight);
        sums[1] = fmax(sums[1], fabs(lane_gradient(panel, k, l, row_weight)) / s);
        sums[2] += weight != 0;
    }
    finish_part(panel, sums, 3, 1u << 1);
}

DMS_C_API int dms_cuda_end_evaluation(const struct dms_cuda_panel *panel, dms_cuda_stream *stream)
{
    struct steps_work work = {*panel, 0, 0};
    int code;

    if (panel->stride == 0)
        return 0;
    code = DMS_LAUNCH(end_evaluation_kernel, panel->stride / LANES_X,
                      DMS_CUDA_PART_CT(panel->example_ct), LANES_X, ROWS_Y, stream, &work);
    return code == 0
               ? fold_parts(panel, panel->example_ct, DMS_CUDA_NORM, 3, 1u << 1, 0, stream)
               : code;
}

/* ---- SAGA ---- */

/* Moves the centres, which have no penalty. */
DMS_KERNEL(centre_kernel, steps_work)
{
    const struct dms_cuda_panel *panel = &work.panel;
    uint32_t l = blockIdx.x * blockDim.x + threadIdx.x;
    double row_weight, change;

    if (l >= panel->stride || panel->lanes[l].mode != DMS_CUDA_MODE_SAGA)
        return;
    row_weight = FIELD(panel, DMS_CUDA_ROW_WEIGHT, l);
    change = row_weight > 0 ? FIELD(panel, DMS_CUDA_CORRECTION, l) / row_weight : 0;
    FIELD(panel, DMS_CUDA_CENTRE, l) -=
        FIELD(panel, DMS_CUDA_STEP, l) *
        (change * (double)panel->row_ct / work.batch_rows + FIELD(panel, DMS_CUDA_CENTRE_AVERAGE, l));
    FIELD(panel, DMS_CUDA_CENTRE_AVERAGE, l) += change;
}

DMS_KERNEL(saga_kernel, steps_work)
{
    const struct dms_cuda_panel *panel = &work.panel;
    uint32_t l = blockIdx.x * LANES_X + threadIdx.x;
    uint8_t mode = panel->lanes[l].mode;
    double row_weight = FIELD(panel, DMS_CUDA_ROW_WEIGHT, l);
    double share = row_weight > 0 ? 1 / row_weight : 0;
    double rows = (double)panel->row_ct / work.batch_rows;
    double step = FIELD(panel, DMS_CUDA_STEP, l), lambda = FIELD(panel, DMS_CUDA_LAMBDA, l);
    double correction = FIELD(panel, DMS_CUDA_CORRECTION, l);
    struct part part = part_of(panel->example_ct);
    double shift = 0;

    for (uint32_t k = part.first + threadIdx.y; k < part.end; k += ROWS_Y) {
        size_t at = (size_t)k * panel->stride + l;

        if (mode == DMS_CUDA_MODE_SAGA) {
            double change = (panel->sums[at] - panel->means[k] * correction) * share;
            double gradient = change * rows + panel->averages[at];

            panel->averages[at] += change;
            panel->weights[at] =
                soften(panel->weights[at] - step * panel->inverse_variances[k] * gradient,
                       step * lambda * lane_penalty(panel, k, l, row_weight));
        } else if (mode == DMS_CUDA_MODE_EVALUATE) {
            panel->averages[at] =
                work.is_first ? panel->sums[at] : panel->averages[at] + panel->sums[at];
        }
        shift += panel->means[k] * panel->weights[at];
    }
    finish_part(panel, &shift, 1, 0);
}

DMS_C_API int dms_cuda_take_saga_step(const struct dms_cuda_panel *panel, uint32_t batch_rows,
                                      uint32_t is_first, dms_cuda_stream *stream)
{
    struct steps_work work = {*panel, batch_rows, is_first};
    int code;

    if (panel->stride == 0 || batch_rows == 0)
        return 0;
    code = DMS_LAUNCH(centre_kernel, DMS_BLOCKS(panel->stride, 64), 1, 64, 1, stream, &work);
    if (code == 0)
        code = DMS_LAUNCH(saga_kernel, panel->stride / LANES_X,
                          DMS_CUDA_PART_CT(panel->example_ct), LANES_X, ROWS_Y, stream, &work);
    return code == 0 ? fold_parts(panel, panel->example_ct, DMS_CUDA_SHIFT, 1, 0, 0, stream) : code;
}

/* ---- proximal steps ---- */

/* Row weights only scale the curvature up: DMS_CUDA_STEP has it. */
DMS_DEVICE double proximal_point(const struct dms_cuda_panel *panel, uint32_t k, uint32_t l,
                                 double row_weight)
{
    double point = panel->weights[(size_t)k * panel->stride + l];
    double step = FIELD(panel, DMS_CUDA_STEP, l);

    if (!panel->lanes[l].moving || panel->lanes[l].mode != DMS_CUDA_MODE_EVALUATE ||
        !(row_weight > 0))
        return point;
    return soften(point - step * panel->inverse_variances[k] *
                              lane_gradient(panel, k, l, row_weight),
                  step * FIELD(panel, DMS_CUDA_LAMBDA, l) *
                      lane_penalty(panel, k, l, row_weight));
}

DMS_KERNEL(points_kernel, steps_work)
{
    const struct dms_cuda_panel *panel = &work.panel;
    uint32_t l = blockIdx.x * LANES_X + threadIdx.x;
    double row_weight = FIELD(panel, DMS_CUDA_ROW_WEIGHT, l);
    struct part part = part_of(panel->example_ct);
    double restart = 0;

    if (panel->lanes[l].mode != DMS_CUDA_MODE_EVALUATE)
        part.end = part.first;
    for (uint32_t k = part.first + threadIdx.y; k < part.end; k += ROWS_Y) {
        size_t at = (size_t)k * panel->stride + l;
        double point = panel->weights[at];
        double last = panel->lanes[l].restart ? point : panel->previous[at];
        double next = proximal_point(panel, k, l, row_weight);

        if (panel->inverse_variances[k] > 0)
            restart += (point - next) * (next - last) / panel->inverse_variances[k];
        panel->averages[at] = last;
        panel->previous[at] = next;
    }
    finish_part(panel, &restart, 1, 0);
}

DMS_C_API int dms_cuda_find_points(const struct dms_cuda_panel *panel, dms_cuda_stream *stream)
{
    struct steps_work work = {*panel, 0, 0};
    int code;

    if (panel->stride == 0)
        return 0;
    code = DMS_LAUNCH(points_kernel, panel->stride / LANES_X, DMS_CUDA_PART_CT(panel->example_ct),
                      LANES_X, ROWS_Y, stream, &work);
    return code == 0 ? fold_parts(panel, panel->example_ct, DMS_CUDA_RESTART, 1, 0, 0, stream)
                     : code;
}

enum shift_kind { SHIFT_ONLY, SHIFT_PUSH, SHIFT_DESCEND };

struct shift_work {
    struct dms_cuda_panel panel;
    uint32_t kind;
};

/* New weights, or those that are there, and their shift: sum of mean_k w_k. */
DMS_KERNEL(shift_kernel, shift_work)
{
    const struct dms_cuda_panel *panel = &work.panel;
    uint32_t l = blockIdx.x * LANES_X + threadIdx.x;
    double row_weight = FIELD(panel, DMS_CUDA_ROW_WEIGHT, l);
    int moves = panel->lanes[l].moving && panel->lanes[l].mode == DMS_CUDA_MODE_EVALUATE;
    double push = FIELD(panel, DMS_CUDA_PUSH, l);
    struct part part = part_of(panel->example_ct);
    double shift = 0;

    for (uint32_t k = part.first + threadIdx.y; k < part.end; k += ROWS_Y) {
        size_t at = (size_t)k * panel->stride + l;

        if (moves && work.kind == SHIFT_PUSH) {
            double next = panel->previous[at];

            panel->weights[at] = push == 0 ? next : next + push * (next - panel->averages[at]);
        } else if (moves && work.kind == SHIFT_DESCEND) {
            panel->weights[at] = proximal_point(panel, k, l, row_weight);
        }
        shift += panel->means[k] * panel->weights[at];
    }
    finish_part(panel, &shift, 1, 0);
}

static int launch_shift(const struct dms_cuda_panel *panel, uint32_t kind,
                        dms_cuda_stream *stream)
{
    struct shift_work work = {*panel, kind};
    int code;

    if (panel->stride == 0)
        return 0;
    code = DMS_LAUNCH(shift_kernel, panel->stride / LANES_X, DMS_CUDA_PART_CT(panel->example_ct),
                      LANES_X, ROWS_Y, stream, &work);
    return code == 0 ? fold_parts(panel, panel->example_ct, DMS_CUDA_SHIFT, 1, 0, 0, stream) : code;
}

DMS_C_API int dms_cuda_push_points(const struct dms_cuda_panel *panel, dms_cuda_stream *stream)
{
    return launch_shift(panel, SHIFT_PUSH, stream);
}

DMS_C_API int dms_cuda_descend(const struct dms_cuda_panel *panel, dms_cuda_stream *stream)
{
    return launch_shift(panel, SHIFT_DESCEND, stream);
}

DMS_C_API int dms_cuda_find_shifts(const struct dms_cuda_panel *panel, dms_cuda_stream *stream)
{
    return launch_shift(panel, SHIFT_ONLY, stream);
}

/* ---- one lane, for polishing ---- */

struct view_work {
    struct dms_cuda_panel panel;
    uint32_t lane;
    double *seen;
};

DMS_KERNEL(view_kernel, view_work)
{
    const struct dms_cuda_panel *panel = &work.panel;
    uint32_t k = blockIdx.x * blockDim.x + threadIdx.x;
    double row_weight = FIELD(panel, DMS_CUDA_ROW_WEIGHT, work.lane);

    if (k >= panel->example_ct)
        return;
    work.seen[k] = panel->weights[(size_t)k * panel->stride + work.lane];
    work.seen[(size_t)panel->example_ct + k] = lane_gradient(panel, k, work.lane, row_weight);
    work.seen[2 * (size_t)panel->example_ct + k] = lane_scale(panel, k, work.lane, row_weight);
}

DMS_C_API int dms_cuda_view(const struct dms_cuda_panel *panel, uint32_t lane, double *seen,
                            dms_cuda_stream *stream)
{
    struct view_work work = {*panel, lane, seen};

    return DMS_LAUNCH(view_kernel, DMS_BLOCKS(panel->example_ct, 128), 1, 128, 1, stream, &work);
}
