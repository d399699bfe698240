/*
 * Checking and rebuilding a store: verify reads every byte of every segment file and holds the
 * index against it, recover makes a new index from the segment files alone.
 */
#ifndef DMSTORE_VERIFY_H
#define DMSTORE_VERIFY_H

#include "dmstore/error.h"
#include "dmstore/schema.h"

DMS_BEGIN_DECLS

/* One place that is damaged. Pointers are valid during the callback only. */
struct dms_damage {
    const char *path; /* of the file */
    uint64_t offset;  /* first bad byte or block */
    uint64_t bytes;   /* extent that cannot be trusted */
    const char *what; /* e.g. "chunk 812 of column test_margins: checksum mismatch" */
    bool has_group;
    uint64_t group;     /* permanent number */
    const char *column; /* name, or NULL */
    /* Live models that have lost content through it and must be trained again, in increasing order.
     */
    const uint64_t *lost_ids;
    size_t lost_id_ct;
    /* The fit that has lost targets through it, or NULL, and which, in increasing order. A place
     * that costs several fits something is told once for each. */
    const char *fit;
    const uint64_t *lost_targets;
    size_t lost_target_ct;
};

struct dms_verify_options {
    bool quick; /* headers, hashes of stored bytes and the index; compressed chunks are not decoded
                 */
    void (*on_damage)(void *context, const struct dms_damage *damage);
    void *damage_context;
    int (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes);
    void *progress_context;
};

struct dms_verify_report {
    uint64_t segment_ct;
    uint64_t checked_bytes;
    uint64_t chunk_ct; /* chunks, batches of staged rows and parts of fits that were checked */
    uint64_t commit_ct;
    uint64_t damage_ct;
    uint64_t lost_id_ct;
    uint64_t lost_target_ct; /* targets of fits */
    uint64_t orphan_bytes;   /* uncommitted tails that a crash left: no damage */
};

/* Checks the store directory `path`. Returns 0 when the check ran to its end, with
 * report->damage_ct the verdict; an error when it could not run. options may be NULL. */
DMS_API int dms_verify(const char *path, const struct dms_verify_options *options,
                       struct dms_verify_report *report);

struct dms_recover_options {
    /* Keep models that lost output columns (those columns are then absent); otherwise a model that
     * lost any part is dropped, so that `missing` names it and it can be appended again. */
    bool keep_partial;
    void (*on_damage)(void *context, const struct dms_damage *damage);
    void *damage_context;
    int (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes);
    void *progress_context;
};

struct dms_recover_report {
    uint64_t segment_ct;
    uint64_t group_ct;
    uint64_t model_ct;       /* rows brought back */
    uint64_t damage_ct;      /* places that were damaged */
    uint64_t salvaged_ct;    /* rows brought back without their commit record */
    uint64_t fit_ct;         /* fits brought back */
    uint64_t lost_target_ct; /* fitted targets that were lost; on_damage names them */
    uint64_t lost_id_ct;
    uint64_t *lost_ids; /* in increasing order; NULL when none; the caller ends it with free() */
};

/* Rebuilds the index of the store directory `path`, which no other process may have open
 * (DMS_ERR_BUSY). Segment files are not touched. The old index is kept as `lmdb.old`. options may
 * be NULL. */
DMS_API int dms_recover(const char *path, const struct dms_recover_options *options,
                        struct dms_recover_report *report);

DMS_END_DECLS

#endif
