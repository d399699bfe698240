/*
 * What the gram solver takes, known before it begins; dms_gram_solve itself is in problem.h.
 */
#ifndef DMS_SOLVER_GRAM_SOLVER_H
#define DMS_SOLVER_GRAM_SOLVER_H

#include "solver/problem.h"

/* Models that train and validate: kernels take counts of pairs for signed numbers of 32 bits. */
#define DMS_GRAM_ROWS_MAX INT32_MAX

/* Bytes that one thread takes with the smallest blocks of targets, and so many threads with the
 * largest that fit, with the sources' buffers. The former do not depend on the machine. */
uint64_t dms_gram_least_bytes(const struct dms_problem *problem, uint64_t memory_bytes);
uint64_t dms_gram_most_bytes(const struct dms_problem *problem, uint64_t memory_bytes,
                             unsigned thread_ct);

#endif
