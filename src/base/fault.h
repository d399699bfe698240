/*
 * Reading mapped files whose pages may not be there: a file that is cut short under its map, or a
 * disk that cannot give a page, raises SIGBUS at the access. Code that copies out of maps runs
 * guarded, and the signal becomes a return value.
 */
#ifndef DMS_BASE_FAULT_H
#define DMS_BASE_FAULT_H

#include <stdbool.h>

/*
 * Runs task(context). Returns true when it came to its end, false when a SIGBUS in this thread
 * ended it; *address is then the place that could not be read. The task must hold nothing (locks,
 * memory) where it reads the map. Guarded runs may not be nested.
 *
 * The first call installs a handler for SIGBUS in the process. Signals that no guarded run has
 * raised go on to the action that was there before.
 */
bool dms_fault_run(void (*task)(void *context), void *context, const void **address);

#endif
