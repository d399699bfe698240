/*
 * Starting threads of the library's own, and how many are of use.
 */
#ifndef DMS_BASE_THREAD_H
#define DMS_BASE_THREAD_H

#include <pthread.h>

/* Processors that this process may use, at least 1. */
unsigned dms_processor_ct(void);

/* Starts a thread that blocks all signals except those that a fault of its own raises: signals to
 * the process are the business of the caller's threads. */
int dms_thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

#endif
