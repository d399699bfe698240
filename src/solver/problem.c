/*
 * Whether a problem makes sense.
 */
#include "solver/problem.h"

#include <inttypes.h>
#include <math.h>

#include "base/error.h"

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
