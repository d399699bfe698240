/*
 * Opens a source, reads it from beginning to end, closes it; see pass.h.
 */
#include "solver/pass.h"

int dms_problem_visit(const struct dms_problem *problem, enum dms_role role, size_t target,
                      size_t target_ct, int (*visit)(void *context, const struct dms_batch *batch),
                      void *context)
{
    const struct dms_batch *batch;
    struct dms_batch_source source;
    int rc =
        problem->open(problem->context, role, false, target, target_ct, DMS_PASS_ROWS, &source);

    if (rc < 0)
        return rc;
    rc = source.seek(source.context, 0);
    while (rc == DMS_OK && (rc = source.next(source.context, &batch)) == DMS_OK) {
        rc = visit(context, batch);
        source.release(source.context, batch);
    }
    source.close(source.context);
    return rc == DMS_END ? DMS_OK : rc;
}
