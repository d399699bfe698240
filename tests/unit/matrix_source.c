/*
 * Batches from a matrix in memory; see matrix_source.h.
 */
#include "matrix_source.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "kernels/kernels.h"
#include "kernels/lanes.h"

size_t matrix_mask_stride(size_t example_ct)
{
    return (example_ct + 63) / 64 * 8;
}

uint8_t *matrix_pack(const uint8_t *bytes, size_t row_ct, size_t example_ct)
{
    size_t stride = matrix_mask_stride(example_ct);
    uint8_t *masks = dms_alloc(row_ct, stride);

    for (size_t i = 0; masks && i < row_ct; i++)
        dms_kernels_get()->pack_bits(bytes + i * example_ct, example_ct, masks + i * stride);
    return masks;
}

struct stream {
    const struct matrix *matrix;
    uint64_t first_row, row_ct;
    bool shuffled;
    size_t first_target, target_ct;
    uint32_t batch_rows;
    uint64_t *order; /* row_ct */
    uint64_t at;
    struct dms_batch batch;
    uint64_t *ids, *ranks;
    uint8_t *masks;
    uint64_t *columns;
    float *outputs;
};

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static int stream_seek(void *context, uint64_t epoch)
{
    struct stream *stream = context;
    uint64_t state = stream->matrix->seed * 1000003 + epoch;

    for (uint64_t i = 0; i < stream->row_ct; i++)
        stream->order[i] = i;
    for (uint64_t i = stream->row_ct; stream->shuffled && i > 1; i--) {
        uint64_t other = next_random(&state) % i;
        uint64_t swap = stream->order[i - 1];

        stream->order[i - 1] = stream->order[other];
        stream->order[other] = swap;
    }
    stream->at = 0;
    stream->batch.epoch = epoch;
    return DMS_OK;
}

static void fill_row(struct stream *stream, size_t i, uint64_t rank)
{
    const struct matrix *matrix = stream->matrix;
    uint64_t row = stream->first_row + rank;
    uint8_t *mask = stream->masks + i * stream->batch.mask_stride_bytes;

    stream->ids[i] = row;
    stream->ranks[i] = rank;
    memcpy(mask, matrix->masks + row * stream->batch.mask_stride_bytes,
           stream->batch.mask_stride_bytes);
    memcpy(stream->outputs + i * stream->batch.output_stride_values,
           matrix->outputs + row * matrix->target_ct + stream->first_target,
           stream->target_ct * sizeof(float));
}

static int stream_next(void *context, const struct dms_batch **batch)
{
    struct stream *stream = context;
    uint64_t left = stream->row_ct - stream->at;
    uint32_t row_ct = left < stream->batch_rows ? (uint32_t)left : stream->batch_rows;

    if (row_ct == 0)
        return DMS_END;
    stream->batch.position = stream->at;
    stream->batch.row_ct = row_ct;
    for (uint32_t i = 0; i < row_ct; i++)
        fill_row(stream, i, stream->order[stream->at + i]);
    dms_lane_variant_get()->transpose_bits(stream->masks, row_ct, stream->batch.mask_stride_bytes,
                                           stream->matrix->example_ct, stream->columns,
                                           stream->matrix->example_ct);
    stream->at += row_ct;
    *batch = &stream->batch;
    return DMS_OK;
}

static void stream_release(void *context, const struct dms_batch *batch)
{
    (void)context;
    (void)batch;
}

static void stream_close(void *context)
{
    struct stream *stream = context;

    free(stream->order);
    free(stream->ids);
    free(stream->ranks);
    free(stream->masks);
    free(stream->columns);
    free(stream->outputs);
    free(stream);
}

static int stream_open(void *context, enum dms_role role, bool shuffled, size_t target,
                       size_t target_ct, uint32_t batch_rows, struct dms_batch_source *source)
{
    const struct matrix *matrix = context;
    struct stream *stream = dms_alloc(1, sizeof *stream);
    size_t stride = (target_ct + DMS_LANES - 1) / DMS_LANES * DMS_LANES;

    if (!stream)
        return DMS_ERR_NO_MEMORY;
    *stream = (struct stream){.matrix = matrix,
                              .row_ct = matrix->row_ct[role],
                              .shuffled = shuffled,
                              .first_target = target,
                              .target_ct = target_ct,
                              .batch_rows = batch_rows};
    if (role == DMS_ROLE_VALIDATION)
        stream->first_row = matrix->row_ct[DMS_ROLE_TRAINING];
    stream->batch.mask_stride_bytes = matrix_mask_stride(matrix->example_ct);
    stream->batch.output_stride_values = stride;
    stream->order = dms_alloc(stream->row_ct, sizeof *stream->order);
    stream->ids = dms_alloc(batch_rows, sizeof *stream->ids);
    stream->ranks = dms_alloc(batch_rows, sizeof *stream->ranks);
    stream->masks = dms_alloc(batch_rows, stream->batch.mask_stride_bytes);
    stream->columns =
        dms_alloc((batch_rows + 63) / 64 * matrix->example_ct, sizeof *stream->columns);
    stream->outputs = dms_alloc(batch_rows * stride, sizeof *stream->outputs);
    *source = (struct dms_batch_source){.context = stream,
                                        .seek = stream_seek,
                                        .next = stream_next,
                                        .release = stream_release,
                                        .close = stream_close};
    if (!stream->order || !stream->ids || !stream->ranks || !stream->masks || !stream->columns ||
        !stream->outputs) {
        stream_close(stream);
        return DMS_ERR_NO_MEMORY;
    }
    stream->batch.ids = stream->ids;
    stream->batch.ranks = stream->ranks;
    stream->batch.masks = stream->masks;
    stream->batch.mask_columns = stream->columns;
    stream->batch.outputs = stream->outputs;
    return DMS_OK;
}

void matrix_problem(const struct matrix *matrix, struct dms_problem *problem)
{
    *problem = (struct dms_problem){.example_ct = matrix->example_ct,
                                    .target_ct = matrix->target_ct,
                                    .lambda_ct = 100,
                                    .lambda_min_ratio = 0.01,
                                    .tolerance = 1e-4,
                                    .standardize = true,
                                    .refit = true,
                                    .context = (void *)(uintptr_t)matrix,
                                    .open = stream_open};
    memcpy(problem->row_ct, matrix->row_ct, sizeof problem->row_ct);
}

double matrix_uniform(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (double)(*state >> 11) / 9007199254740992.0;
}

int matrix_count_call(void *context, const struct dms_fit_progress *progress)
{
    struct matrix_stop *stop = context;

    (void)progress;
    return ++stop->call_ct == stop->stop_after;
}

int matrix_keep_state(void *context, const void *state, size_t state_bytes)
{
    struct matrix_stop *stop = context;
    void *kept = realloc(stop->state, state_bytes);

    if (!kept)
        return DMS_ERR_NO_MEMORY;
    memcpy(kept, state, state_bytes);
    stop->state = kept;
    stop->state_bytes = state_bytes;
    return DMS_OK;
}
