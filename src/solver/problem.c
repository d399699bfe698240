/*
 * What solvers share: whether a problem makes sense, the state of a fit that may be stopped, and
 * how much fits the memory.
 */
#include "solver/problem.h"

#include <inttypes.h>
#include <math.h>

#include "base/error.h"
#include "format/cursor.h"
#include "kernels/lanes.h"

int dms_problem_check(const struct dms_problem *problem)
{
    if (problem->target_ct == 0 || problem->example_ct == 0)
        return dms_fail(DMS_ERR_INVALID, "there is nothing to fit: %zu targets, %zu examples",
                        problem->target_ct, problem->example_ct);
    if (problem->row_ct[DMS_ROLE_TRAINING] < 1)
        return dms_fail(DMS_ERR_INVALID, "there is no model to train on");
    if (!(problem->tolerance > 0))
        return dms_fail(DMS_ERR_INVALID, "the tolerance must be above 0, not %g",
                        problem->tolerance);
    if (problem->lambda_ct == 0)
        return dms_fail(DMS_ERR_INVALID, "a path needs at least one lambda");
    for (uint32_t i = 0; problem->lambdas && i < problem->lambda_ct; i++) {
        if (!(problem->lambdas[i] > 0) || !isfinite(problem->lambdas[i]))
            return dms_fail(DMS_ERR_INVALID, "lambda %" PRIu32 " is %g: it must be above 0", i,
                            problem->lambdas[i]);
        if (i > 0 && !(problem->lambdas[i] < problem->lambdas[i - 1]))
            return dms_fail(DMS_ERR_INVALID, "lambda %" PRIu32 " is not below the one before it",
                            i);
    }
    if (!problem->lambdas && !(problem->lambda_min_ratio > 0 && problem->lambda_min_ratio < 1))
        return dms_fail(DMS_ERR_INVALID,
                        "the ratio of the smallest lambda must be between 0 and 1,"
                        " not %g",
                        problem->lambda_min_ratio);
    return DMS_OK;
}

int dms_solve_save(const struct dms_solve_control *control,
                   void (*encode)(const void *context, struct dms_encoder *encoder),
                   const void *context)
{
    struct dms_buffer buffer = {0};
    struct dms_encoder encoder = dms_encoder_begin(&buffer);
    int rc;

    if (!control->save)
        return DMS_OK;
    encode(context, &encoder);
    rc = encoder.status;
    if (rc == DMS_OK)
        rc = control->save(control->context, buffer.data, buffer.size);
    dms_buffer_free(&buffer);
    return rc;
}

uint64_t dms_solve_saved_tiles(const struct dms_solve_control *control)
{
    struct dms_cursor cursor = dms_cursor_begin(control->state, control->state_bytes);
    uint64_t index = dms_cursor_u64(&cursor), first = dms_cursor_u64(&cursor);
    uint64_t target_ct = dms_cursor_u64(&cursor);

    /* The last block may be smaller than those before it. */
    if (index > 0)
        target_ct = first / index;
    return cursor.bad ? 0 : target_ct / DMS_LANES + (target_ct % DMS_LANES > 0);
}

int dms_solve_first_block(const struct dms_solve_control *control, uint64_t block_ct,
                          uint64_t *index)
{
    struct dms_cursor cursor = dms_cursor_begin(control->state, control->state_bytes);
    uint64_t saved = control->state ? dms_cursor_u64(&cursor) : 0;

    if (cursor.bad || saved >= block_ct)
        return dms_fail(DMS_ERR_CONFLICT, "the checkpoint is of another division into blocks: "
                                          "resume with the same memory");
    *index = saved;
    return DMS_OK;
}

uint64_t dms_largest_fitting(uint64_t most, bool (*fits)(const void *context, uint64_t number),
                             const void *context)
{
    uint64_t low = 0, high = most;

    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;

        if (fits(context, middle))
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}
