/*
 * A pool of threads that runs independent tasks, numbered 0 .. task_ct-1, to completion.
 */
#ifndef DMS_BASE_POOL_H
#define DMS_BASE_POOL_H

#include <stddef.h>

struct dms_pool;

/*
 * Creates a pool in which `threads` threads work, the caller of dms_pool_run() among them: 1 starts
 * no thread at all, 0 stands for the number of processors that this process may use. Workers block
 * all signals except those that a fault of their own raises.
 */
int dms_pool_create(unsigned threads, struct dms_pool **pool);

/* How many tasks may run at once. */
unsigned dms_pool_threads(const struct dms_pool *pool);

/*
 * Runs task(context, 0) .. task(context, task_ct - 1) in any order and returns when all have ended.
 * The caller works too. A task returns DMS_OK or, after dms_fail(), a code < 0; the first failure
 * (in time) ends up as this function's result and message, and tasks not yet begun are skipped.
 * May be called from several threads at once, and from within a task. In a forked child it fails
 * with DMS_ERR_FORKED.
 */
int dms_pool_run(struct dms_pool *pool, size_t task_ct, int (*task)(void *context, size_t index),
                 void *context);

/* Ends the threads and releases the pool; no run may be under way. Accepts NULL. */
void dms_pool_free(struct dms_pool *pool);

#endif
