/*
 * Warming a compressed store: its chunks are decoded once into a cache file in the store's
 * directory, `warm.cache`, which the readers of all processes map and so share, as they share raw
 * chunks. The cache can be made again at any time and is never needed: a chunk that it does not
 * have, or no longer rightly has, is decoded as before.
 */
#ifndef DMSTORE_WARM_H
#define DMSTORE_WARM_H

#include "dmstore/snapshot.h"
#include "dmstore/store.h"

DMS_BEGIN_DECLS

struct dms_warm_options {
    const char *output;    /* name of an output column; NULL: masks only */
    uint64_t first_target; /* the slice of its targets; whole chunks are decoded */
    uint64_t target_ct;    /* 0: all from first_target on */
    uint64_t limit_bytes;  /* of the cache file; 0: none */
    unsigned thread_ct;    /* 0: one a processor */
    dms_progress progress; /* counts chunks */
    void *progress_context;
};

struct dms_warm_result {
    uint64_t chunk_ct;    /* in the cache now */
    uint64_t raw_ct;      /* chunks that need no cache: they are used in place */
    uint64_t left_out_ct; /* that did not fit the limit: masks come first, then the output */
    uint64_t file_bytes;  /* of the cache; 0: there is none, since nothing needed one */
};

/* Makes the cache of the snapshot's store anew (temporary name, rename; processes that have the old
 * one go on with it). options and result may be NULL. Errors: BUSY when another process is at it,
 * NO_SPACE, INTERRUPTED ...; what was there before then stays. */
DMS_API int dms_snapshot_warm(dms_snapshot *snapshot, const struct dms_warm_options *options,
                              struct dms_warm_result *result);

/* Removes the cache; that there is none is no failure. *removed_bytes (may be NULL): its length. */
DMS_API int dms_snapshot_warm_remove(dms_snapshot *snapshot, uint64_t *removed_bytes);

DMS_END_DECLS

#endif
