/*
 * What happens row by row between the products: which rows count in a lane, moments of the outputs,
 * residuals, the table, and their sums. A thread has one lane and every ROWS_Y-th row of its part;
 * a row of the table belongs to one row of the batch, so that no two threads touch the same value.
 */
#include "kernels/cuda/sums.h"

struct rows_work {
    struct dms_cuda_panel panel;
    struct dms_cuda_batch batch;
};

/* The output of row i in the lane, as it is. */
DMS_DEVICE double stored_output(const struct dms_cuda_batch *batch,
                                const struct dms_cuda_lane *lane, uint32_t i)
{
    size_t at = i * batch->output_stride + lane->column;

    return batch->half_outputs ? (double)dms_half_value(((const uint16_t *)batch->outputs)[at])
                               : (double)((const float *)batch->outputs)[at];
}

/* The output of row i in the lane; *counts: whether the row has weight there. A row without weight
 * has output 0, since a NaN would survive the product with 0. */
DMS_DEVICE double read_output(const struct dms_cuda_batch *batch, const struct dms_cuda_lane *lane,
                              uint32_t i, int *counts)
{
    double y = stored_output(batch, lane, i);
    int excluded = lane->self >= 0 &&
                   (batch->masks[(size_t)i * batch->mask_words + (size_t)(lane->self / 64)] >>
                        (lane->self % 64) &
                    1);

    *counts = lane->used && !excluded && isfinite(y);
    return *counts ? y : 0;
}

/* The first output with weight, from which moments are taken. */
DMS_KERNEL(pivot_kernel, rows_work)
{
    uint32_t l = blockIdx.x * blockDim.x + threadIdx.x;
    const struct dms_cuda_panel *panel = &work.panel;

    if (l >= panel->stride || FIELD(panel, DMS_CUDA_HAS_PIVOT, l) > 0)
        return;
    for (uint32_t i = 0; i < work.batch.row_ct && panel->lanes[l].used; i++) {
        int counts;
        double y = read_output(&work.batch, &panel->lanes[l], i, &counts);

        if (!counts)
            continue;
        FIELD(panel, DMS_CUDA_PIVOT, l) = y;
        FIELD(panel, DMS_CUDA_HAS_PIVOT, l) = 1;
        return;
    }
}

DMS_KERNEL(moments_kernel, rows_work)
{
    const struct dms_cuda_panel *panel = &work.panel;
    uint32_t l = blockIdx.x * LANES_X + threadIdx.x;
    const struct dms_cuda_lane lane = panel->lanes[l];
    double pivot = FIELD(panel, DMS_CUDA_PIVOT, l);
    struct part part = part_of(work.batch.row_ct);
    double sums[4] = {0}; /* weight, first and second moment, outputs that are not finite */

    for (uint32_t i = part.first + threadIdx.y; i < part.end; i += ROWS_Y) {
        int counts;
        double y = read_output(&work.batch, &lane, i, &counts);

        if (lane.used && !isfinite(stored_output(&work.batch, &lane, i)))
            sums[3] += 1;
        if (!counts)
            continue;
        sums[0] += 1;
        sums[1] += y - pivot;
        sums[2] += (y - pivot) * (y - pivot);
    }
    finish_part(panel, sums, 4, 0);
}

/* The sums of moments, where the fields have them. */
DMS_KERNEL(add_moments_kernel, rows_work)
{
    const struct dms_cuda_panel *panel = &work.panel;
    uint32_t l = blockIdx.x * blockDim.x + threadIdx.x;
    uint32_t part_ct = DMS_CUDA_PART_CT(work.batch.row_ct);
    double sums[4] = {0};

    if (l >= panel->stride)
        return;
    for (uint32_t f = 0; f < 4; f++)
        for (uint32_t part = 0; part < part_ct; part++)
            sums[f] += panel->partial[((size_t)f * DMS_CUDA_PARTS + part) * panel->stride + l];
    FIELD(panel, DMS_CUDA_SUM_ROWS, l) += sums[0];
    FIELD(panel, DMS_CUDA_MOMENT_1, l) += sums[1];
    FIELD(panel, DMS_CUDA_MOMENT_2, l) += sums[2];
    FIELD(panel, DMS_CUDA_NONFINITE, l) += sums[3];
}

DMS_KERNEL(weigh_kernel, rows_work)
{
    const struct dms_cuda_panel *panel = &work.panel;
    uint32_t l = blockIdx.x * LANES_X + threadIdx.x;
    struct part part = part_of(work.batch.row_ct);

    for (uint32_t i = part.first + threadIdx.y; i < part.end; i += ROWS_Y) {
        int counts;

        read_output(&work.batch, &panel->lanes[l], i, &counts);
        panel->residuals[(size_t)i * panel->stride + l] = counts;
    }
}

DMS_KERNEL(residuals_kernel, rows_work)
{
    const struct dms_cuda_panel *panel = &work.panel;
    uint32_t l = blockIdx.x * LANES_X + threadIdx.x;
    const struct dms_cuda_lane lane = panel->lanes[l];
    double bias = FIELD(panel, DMS_CUDA_CENTRE, l) - FIELD(panel, DMS_CUDA_SHIFT, l);
    double mean = FIELD(panel, DMS_CUDA_MEAN, l);
    struct part part = part_of(work.batch.row_ct);
    double sums[5] = {0}; /* residual, its square, with the output, weight, correction */

    for (uint32_t i = part.first + threadIdx.y; i < part.end; i += ROWS_Y) {
        size_t at = (size_t)i * panel->stride + l;
        int counts;
        double y = read_output(&work.batch, &lane, i, &counts);
        double e = 0;

        if (lane.mode != DMS_CUDA_MODE_NONE && counts) {
            e = panel->products[at] + (bias - y);
            sums[3] += 1;
        }
        sums[0] += e;
        sums[1] += e * e;
        sums[2] += e * (y - mean);
        if (panel->table && lane.mode != DMS_CUDA_MODE_VALIDATE &&
            lane.mode != DMS_CUDA_MODE_NONE) {
            float *old = &panel->table[work.batch.ranks[i] * panel->stride + l];
            double kept = (double)*old;

            *old = (float)e;
            if (lane.mode == DMS_CUDA_MODE_SAGA)
                e = (double)(float)e - kept;
        }
        sums[4] += e;
        if (panel->residuals)
            panel->residuals[at] = e;
    }
    finish_part(panel, sums, 5, 0);
}

/* The sums of residuals; that of the corrections is of this batch alone. */
DMS_KERNEL(add_residuals_kernel, rows_work)
{
    const struct dms_cuda_panel *panel = &work.panel;
    uint32_t l = blockIdx.x * blockDim.x + threadIdx.x;
    uint32_t part_ct = DMS_CUDA_PART_CT(work.batch.row_ct);
    double sums[5] = {0};

    if (l >= panel->stride)
        return;
    for (uint32_t f = 0; f < 5; f++)
        for (uint32_t part = 0; part < part_ct; part++)
            sums[f] += panel->partial[((size_t)f * DMS_CUDA_PARTS + part) * panel->stride + l];
    FIELD(panel, DMS_CUDA_SUM_RESIDUAL, l) += sums[0];
    FIELD(panel, DMS_CUDA_SUM_SQUARE, l) += sums[1];
    FIELD(panel, DMS_CUDA_SUM_OUTPUT, l) += sums[2];
    FIELD(panel, DMS_CUDA_SUM_ROWS, l) += sums[3];
    FIELD(panel, DMS_CUDA_CORRECTION, l) = sums[4];
}

/* A thread makes one word. */
struct mark_work {
    struct rows_work rows;
    uint32_t lane;
    uint64_t *words;
};

DMS_KERNEL(mark_kernel, mark_work)
{
    const struct dms_cuda_batch *batch = &work.rows.batch;
    const struct dms_cuda_lane lane = work.rows.panel.lanes[work.lane];
    uint32_t w = blockIdx.x * blockDim.x + threadIdx.x;
    uint64_t word = 0;

    if (w >= (batch->row_ct + 63) / 64)
        return;
    for (uint32_t i = 64 * w; i < batch->row_ct && i < 64 * w + 64; i++) {
        int counts;

        read_output(batch, &lane, i, &counts);
        word |= (uint64_t)counts << (i % 64);
    }
    work.words[w] = word;
}

DMS_C_API int dms_cuda_mark_rows(const struct dms_cuda_panel *panel,
                                 const struct dms_cuda_batch *batch, uint32_t lane,
                                 uint64_t *words, dms_cuda_stream *stream)
{
    struct mark_work work = {{*panel, *batch}, lane, words};

    if (batch->row_ct == 0)
        return 0;
    return DMS_LAUNCH(mark_kernel, DMS_BLOCKS(batch->row_ct, 64 * 32), 1, 32, 1, stream, &work);
}

DMS_C_API int dms_cuda_add_moments(const struct dms_cuda_panel *panel,
                                   const struct dms_cuda_batch *batch, dms_cuda_stream *stream)
{
    struct rows_work work = {*panel, *batch};
    unsigned parts = DMS_CUDA_PART_CT(batch->row_ct), lane_blocks = DMS_BLOCKS(panel->stride, 64);
    int code;

    if (batch->row_ct == 0 || panel->stride == 0)
        return 0;
    code = DMS_LAUNCH(pivot_kernel, lane_blocks, 1, 64, 1, stream, &work);
    if (code == 0)
        code = DMS_LAUNCH(moments_kernel, panel->stride / LANES_X, parts, LANES_X, ROWS_Y, stream,
                          &work);
    if (code == 0)
        code = DMS_LAUNCH(add_moments_kernel, lane_blocks, 1, 64, 1, stream, &work);
    return code;
}

DMS_C_API int dms_cuda_weigh_rows(const struct dms_cuda_panel *panel,
                                  const struct dms_cuda_batch *batch, dms_cuda_stream *stream)
{
    struct rows_work work = {*panel, *batch};

    if (batch->row_ct == 0 || panel->stride == 0)
        return 0;
    return DMS_LAUNCH(weigh_kernel, panel->stride / LANES_X, DMS_CUDA_PART_CT(batch->row_ct),
                      LANES_X, ROWS_Y, stream, &work);
}

DMS_C_API int dms_cuda_find_residuals(const struct dms_cuda_panel *panel,
                                      const struct dms_cuda_batch *batch, dms_cuda_stream *stream)
{
    struct rows_work work = {*panel, *batch};
    int code;

    if (batch->row_ct == 0 || panel->stride == 0)
        return 0;
    code = DMS_LAUNCH(residuals_kernel, panel->stride / LANES_X, DMS_CUDA_PART_CT(batch->row_ct),
                      LANES_X, ROWS_Y, stream, &work);
    if (code == 0)
        code = DMS_LAUNCH(add_residuals_kernel, DMS_BLOCKS(panel->stride, 64), 1, 64, 1, stream,
                          &work);
    return code;
}
