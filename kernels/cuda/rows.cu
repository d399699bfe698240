/*
 * What happens row by row between the products: which rows count in a lane, moments of the outputs,
 * residuals, the table, and their sums. A thread has one lane and every ROWS_Y-th row of its part;
 * a row of the table belongs to one row of the batch, so that no two threads touch the same value.
 */
#include "kernels/cuda/sums.h"

/* Sums of all batches of a pass; that of the corrections is of one batch. */
#define ALL_ADDED ~0u
#define CORRECTION_ADDED (1u << (DMS_CUDA_CORRECTION - DMS_CUDA_SUM_RESIDUAL))

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
    double sums[5] = {0}; /* residual, its square, with the output, correction, weight */

    for (uint32_t i = part.first + threadIdx.y; i < part.end; i += ROWS_Y) {
        size_t at = (size_t)i * panel->stride + l;
        int counts;
        double y = read_output(&work.batch, &lane, i, &counts);
        double e = 0;

        if (lane.mode != DMS_CUDA_MODE_NONE && counts) {
            e = panel->products[at] + (bias - y);
            sums[4] += 1;
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
        sums[3] += e;
        if (panel->residuals)
            panel->residuals[at] = e;
    }
    finish_part(panel, sums, 5, 0);
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
    int code;

    if (batch->row_ct == 0 || panel->stride == 0)
        return 0;
    code = DMS_LAUNCH(pivot_kernel, DMS_BLOCKS(panel->stride, 64), 1, 64, 1, stream, &work);
    if (code == 0)
        code = DMS_LAUNCH(moments_kernel, panel->stride / LANES_X, DMS_CUDA_PART_CT(batch->row_ct),
                          LANES_X, ROWS_Y, stream, &work);
    return code == 0 ? fold_parts(panel, batch->row_ct, DMS_CUDA_SUM_ROWS, 4, 0, ALL_ADDED, stream)
                     : code;
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
    return code == 0 ? fold_parts(panel, batch->row_ct, DMS_CUDA_SUM_RESIDUAL, 5, 0,
                                  ALL_ADDED & ~CORRECTION_ADDED, stream)
                     : code;
}
