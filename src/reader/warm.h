/*
 * The cache of decoded chunks as a reader uses it: mapped, each chunk's rows checked when they are
 * first asked for.
 */
#ifndef DMS_READER_WARM_H
#define DMS_READER_WARM_H

#include "dmstore/snapshot.h"
#include "format/warm.h"

#include <stdbool.h>

struct dms_warm;

/* The path of a store's own cache, in new memory. */
char *dms_warm_path(const dms_snapshot *snapshot);

/* Opens the cache at `path`, or the store's own when NULL: *warm is NULL when there is none, or it
 * cannot be used. Errors, for a path: NOT_FOUND, CORRUPT, INVALID (of another store). The snapshot
 * must outlive it. */
int dms_warm_open(dms_snapshot *snapshot, const char *path, struct dms_warm **warm);
void dms_warm_close(struct dms_warm *warm);

/* Whether the cache has the rows of a chunk as it is in the snapshot; they are not read for that,
 * so that they may still turn out to be damaged. */
int dms_warm_has(const struct dms_warm *warm, size_t group, uint32_t column, uint32_t tile,
                 bool *has);

/* The rows of a chunk: 0, or DMS_END when the cache does not have them as they are in the snapshot.
 * Row r is at *rows + r x *stride. May be called from several threads at once. */
int dms_warm_rows(struct dms_warm *warm, size_t group, uint32_t column, uint32_t tile,
                  const uint8_t **rows, size_t *stride);

/* CORRUPT when the file was cut short since it was opened. */
int dms_warm_check_length(const struct dms_warm *warm);

#endif
