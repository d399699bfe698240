/*
 * What the gram solver takes, known before it begins; dms_gram_solve itself is in problem.h.
 */
#ifndef DMS_SOLVER_GRAM_H
#define DMS_SOLVER_GRAM_H

#include "solver/problem.h"

/* Bytes that blocks of target_ct targets take, with the sources' buffers. */
uint64_t dms_gram_bytes(const struct dms_problem *problem, size_t target_ct, uint64_t memory_bytes,
                        unsigned thread_ct);

#endif
