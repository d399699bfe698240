/*
 * The file that keeps the work of an unfinished fit: which job it is of, the targets that are
 * done, and the state of the solver, which only the solver understands.
 *
 * It is written whole under a temporary name, synced and renamed, and hashed from end to end: what
 * is read back is what was written, or an error. Its layout may change with every version; a file
 * of another version is refused.
 */
#ifndef DMS_SOLVER_CHECKPOINT_H
#define DMS_SOLVER_CHECKPOINT_H

#include "base/buffer.h"
#include "dmstore/fit.h"

#include <stdbool.h>

struct dms_checkpoint {
    /* Lines "key = value\n" that tell jobs apart; ends in a zero byte that is not stored. */
    struct dms_buffer identity;
    struct dms_buffer results; /* encoded, in the order they came */
    uint64_t result_ct;
    struct dms_buffer state; /* as read; dms_checkpoint_write does not use it */
    bool has_state;          /* false: the fit is done */
};

void dms_checkpoint_free(struct dms_checkpoint *checkpoint);

/* Adds a pair to the identity. */
int dms_checkpoint_identify(struct dms_checkpoint *checkpoint, const char *key, const char *value);

/* Adds a result. */
int dms_checkpoint_add(struct dms_checkpoint *checkpoint, const struct dms_fitted_target *target);

/* Calls `function` with every result in the order they came, until it fails. */
int dms_checkpoint_each(const struct dms_checkpoint *checkpoint,
                        int (*function)(void *context, const struct dms_fitted_target *target),
                        void *context);

/* Replaces the file at `path`. state NULL: the fit is done. */
int dms_checkpoint_write(const struct dms_checkpoint *checkpoint, const char *path,
                         const void *state, size_t state_bytes);

/* Reads results and state of the file into *checkpoint, whose identity is set and whose rest is
 * empty. NOT_FOUND: there is no file. CONFLICT: it is of another job, and in what they differ. */
int dms_checkpoint_read(struct dms_checkpoint *checkpoint, const char *path);

#endif
