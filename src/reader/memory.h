/*
 * Memory for the buffers of batches that comes from the caller of a reader: a graphics card copies
 * faster out of memory that is pinned.
 */
#ifndef DMS_READER_MEMORY_H
#define DMS_READER_MEMORY_H

#include "dmstore/reader.h"

struct dms_batch_memory {
    /* `bytes` bytes, not zeroed, at a multiple of 64; NULL after a failure. */
    void *(*allocate)(void *context, size_t bytes);
    void (*release)(void *context, void *memory);
    void *context;
};

/* As dms_reader_open, with masks, ranks and outputs of batches always in `memory`, never in place
 * in a file. *memory is copied; its context must outlive the reader. Both functions are called in
 * the threads that open and close it. */
int dms_reader_open_in(dms_snapshot *snapshot, const struct dms_reader_options *options,
                       const struct dms_batch_memory *memory, dms_reader **reader);

#endif
