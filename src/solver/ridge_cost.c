/*
 * What a fit by ridge regression takes, from its sizes alone.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/linear_algebra.h"
#include "kernels/lanes.h"
#include "solver/ridge.h"
#include "solver/ridge_system.h"

static int compare_examples(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

/* Targets with the same rows share a matrix: with exclude_self, those that are the same example. */
static int count_matrices(const struct dms_fit_options *options, uint64_t first, uint64_t end,
                          uint64_t *matrix_ct)
{
    size_t target_ct = (size_t)(end - first);
    int64_t *examples;

    *matrix_ct = options->exclude_self ? target_ct : 1;
    if (!options->exclude_self || !options->self)
        return 0;
    examples = dms_alloc(target_ct, sizeof *examples);
    if (!examples)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < target_ct; i++)
        examples[i] = options->self[first + i];
    qsort(examples, target_ct, sizeof *examples, compare_examples);
    for (size_t i = 1; i < target_ct; i++)
        *matrix_ct -= examples[i] == examples[i - 1];
    free(examples);
    return 0;
}

int dms_ridge_cost(const struct dms_fit_header *header, const struct dms_fit_options *options,
                   struct dms_ridge_cost *cost)
{
    uint64_t end = options->end_target > 0 ? options->end_target : header->target_ct;
    const struct dms_problem problem = {
        .example_ct = (size_t)header->example_ct,
        .row_ct = {header->training.row_ct, header->validation.row_ct,
                   header->training.row_ct + header->validation.row_ct},
        .lambda_ct = options->lambda_ct,
        .refit = options->refit,
        .ridge_lambda = options->ridge_lambda,
    };
    bool with_vectors = dms_ridge_needs_vectors(&problem);
    struct dms_ridge_cost found = {.has_eigenvectors = with_vectors};
    const struct dms_lapack *lapack;
    int code = dms_lapack_get(&lapack);

    if (code == 0 && (options->first_target >= end || end > header->target_ct))
        code = dms_fail(DMS_ERR_INVALID,
                        "targets %" PRIu64 ":%" PRIu64 " are not a part of 0:%" PRIu64,
                        options->first_target, end, header->target_ct);
    if (code == 0)
        code = count_matrices(options, options->first_target, end, &found.matrix_ct);
    if (code < 0)
        return code;
    if (dms_ridge_chooses(&problem) && dms_ridge_role(&problem) == DMS_ROLE_REFIT)
        found.matrix_ct *= 2;
    found.memory_bytes = dms_ridge_bytes(&problem, DMS_LANES);
    found.operations =
        (double)found.matrix_ct * dms_ridge_system_operations(problem.example_ct, with_vectors);
    *cost = found;
    if (found.memory_bytes > options->memory_bytes)
        return dms_fail(
            DMS_ERR_INVALID,
            "%s of %" PRIu64 " x %" PRIu64 " numbers and what else ridge regression "
            "keeps take %" PRIu64 " MiB of memory, and %" PRIu64 " MiB are allowed: allow more",
            with_vectors ? "three matrices" : "a matrix", header->example_ct, header->example_ct,
            found.memory_bytes / 1048576 + 1, options->memory_bytes / 1048576);
    return 0;
}
