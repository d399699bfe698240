/*
 * Chooses between saga and gram by what the latter needs; see choose.h.
 */
#include "solver/choose.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/thread.h"
#include "solver/gram_solver.h"

void dms_solver_choose(const struct dms_problem *problem, const struct dms_fit_options *options,
                       struct dms_solver_choice *choice)
{
    unsigned thread_ct = options->thread_ct > 0 ? options->thread_ct : dms_processor_ct();
    uint64_t least = dms_gram_least_bytes(problem, options->memory_bytes);
    bool fits = least <= options->memory_bytes;

    *choice = (struct dms_solver_choice){.solver = options->solver};
    snprintf(choice->reason, sizeof choice->reason, "asked for");
    if (options->solver == DMS_SOLVER_AUTO && options->device == DMS_DEVICE_CUDA) {
        choice->solver = DMS_SOLVER_SAGA;
        snprintf(choice->reason, sizeof choice->reason, "gram runs on the processor only");
    } else if (options->solver == DMS_SOLVER_AUTO &&
               problem->row_ct[DMS_ROLE_REFIT] > DMS_GRAM_ROWS_MAX) {
        choice->solver = DMS_SOLVER_SAGA;
        snprintf(choice->reason, sizeof choice->reason, "gram takes %d models at most",
                 DMS_GRAM_ROWS_MAX);
    } else if (options->solver == DMS_SOLVER_AUTO && !fits) {
        choice->solver = DMS_SOLVER_SAGA;
        snprintf(choice->reason, sizeof choice->reason,
                 "gram needs %" PRIu64 " MiB, and %" PRIu64 " MiB are allowed", least / 1048576 + 1,
                 options->memory_bytes / 1048576);
    } else if (options->solver == DMS_SOLVER_AUTO) {
        choice->solver = DMS_SOLVER_GRAM;
        snprintf(choice->reason, sizeof choice->reason, "the Gram matrix fits the memory");
    }
    if (choice->solver == DMS_SOLVER_GRAM)
        choice->memory_bytes = dms_gram_most_bytes(problem, options->memory_bytes, thread_ct);
}
