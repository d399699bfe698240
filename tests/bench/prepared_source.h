/*
 * Batches that were all made before and are handed out at no cost: the source that no reader can
 * beat. Each pass has the same batches, in another order when it is shuffled.
 */
#ifndef DMSTORE_TESTS_BENCH_PREPARED_SOURCE_H
#define DMSTORE_TESTS_BENCH_PREPARED_SOURCE_H

#include "solver/problem.h"

struct prepared;

/* Gives `problem` sources that copy the batches of the first pass of its own sources when they are
 * first opened in some way, and hand those out ever after. Solve it once before measuring. What
 * `problem` had as its context must outlive *prepared. */
struct prepared *prepared_create(struct dms_problem *problem);
void prepared_free(struct prepared *prepared);

#endif
