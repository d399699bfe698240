/*
 * The kernels' launchers, as both modules put them in their table; see kernels/cuda/module.h.
 */
#ifndef DMS_KERNELS_CUDA_LAUNCHERS_H
#define DMS_KERNELS_CUDA_LAUNCHERS_H

#include "kernels/cuda/module.h"

int dms_cuda_transpose_bits(const struct dms_cuda_batch *batch, uint32_t example_ct,
                            uint64_t *columns, dms_cuda_stream *stream);
int dms_cuda_multiply(const struct dms_cuda_product *product, dms_cuda_stream *stream);
int dms_cuda_split_halves(const struct dms_cuda_split *split, dms_cuda_stream *stream);
int dms_cuda_multiply_halves(const struct dms_cuda_product *product, dms_cuda_stream *stream);
int dms_cuda_add_moments(const struct dms_cuda_panel *panel, const struct dms_cuda_batch *batch,
                         dms_cuda_stream *stream);
int dms_cuda_weigh_rows(const struct dms_cuda_panel *panel, const struct dms_cuda_batch *batch,
                        dms_cuda_stream *stream);
int dms_cuda_find_residuals(const struct dms_cuda_panel *panel, const struct dms_cuda_batch *batch,
                            dms_cuda_stream *stream);
int dms_cuda_take_saga_step(const struct dms_cuda_panel *panel, uint32_t batch_rows,
                            uint32_t is_first, dms_cuda_stream *stream);
int dms_cuda_end_evaluation(const struct dms_cuda_panel *panel, dms_cuda_stream *stream);
int dms_cuda_find_points(const struct dms_cuda_panel *panel, dms_cuda_stream *stream);
int dms_cuda_push_points(const struct dms_cuda_panel *panel, dms_cuda_stream *stream);
int dms_cuda_descend(const struct dms_cuda_panel *panel, dms_cuda_stream *stream);
int dms_cuda_set_weights(const struct dms_cuda_panel *panel, const struct dms_cuda_weight *list,
                         size_t weight_ct, dms_cuda_stream *stream);
int dms_cuda_clear_lane(const struct dms_cuda_panel *panel, uint32_t lane, dms_cuda_stream *stream);
int dms_cuda_find_shifts(const struct dms_cuda_panel *panel, dms_cuda_stream *stream);
int dms_cuda_extract(const struct dms_cuda_panel *panel, uint32_t first, uint32_t lane_ct,
                     uint32_t *examples, double *values, uint32_t *weight_cts,
                     dms_cuda_stream *stream);
int dms_cuda_view(const struct dms_cuda_panel *panel, uint32_t lane, double *seen,
                  dms_cuda_stream *stream);
int dms_cuda_mark_rows(const struct dms_cuda_panel *panel, const struct dms_cuda_batch *batch,
                       uint32_t lane, uint64_t *words, dms_cuda_stream *stream);
int dms_cuda_count_pairs(const struct dms_cuda_pairs *pairs, dms_cuda_stream *stream);
int dms_cuda_count_pairs_mma(const struct dms_cuda_pairs *pairs, dms_cuda_stream *stream);
int dms_cuda_count_columns_b1(const struct dms_cuda_column_pairs *pairs, dms_cuda_stream *stream);
int dms_cuda_count_columns_s8(const struct dms_cuda_column_pairs *pairs, dms_cuda_stream *stream);
int dms_cuda_run_ceiling(const struct dms_cuda_ceiling *ceiling, dms_cuda_stream *stream);

/* All of them in a table. */
#define DMS_CUDA_LAUNCHERS                                                                       \
    dms_cuda_transpose_bits, dms_cuda_multiply, dms_cuda_split_halves, dms_cuda_multiply_halves, \
        dms_cuda_add_moments, dms_cuda_weigh_rows, dms_cuda_find_residuals,                      \
        dms_cuda_take_saga_step, dms_cuda_end_evaluation, dms_cuda_find_points,                  \
        dms_cuda_push_points, dms_cuda_descend, dms_cuda_set_weights, dms_cuda_clear_lane,       \
        dms_cuda_find_shifts, dms_cuda_extract, dms_cuda_view, dms_cuda_mark_rows,               \
        dms_cuda_count_pairs, dms_cuda_count_pairs_mma, dms_cuda_count_columns_b1,               \
        dms_cuda_count_columns_s8, dms_cuda_run_ceiling

#endif
