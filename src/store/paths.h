/*
 * The names inside a store directory (SPEC.md section 1).
 */
#ifndef DMS_STORE_PATHS_H
#define DMS_STORE_PATHS_H

#include <stdbool.h>
#include <stdint.h>

/* Each returns new memory that the caller frees, or NULL with DMS_ERR_NO_MEMORY set. */
char *dms_path_segments(const char *store_path);
char *dms_path_segment(const char *store_path, uint64_t number);
char *dms_path_index(const char *store_path);
char *dms_path_lock(const char *store_path);

/* A name beside `path` that nobody else uses. */
char *dms_path_temporary(const char *path);

/* Whether a file name of segments/ is that of a segment; *number is its number then. */
bool dms_segment_name_parse(const char *name, uint64_t *number);

/* Calls visit(context, number) for every segment file, in increasing order of number. */
int dms_segments_list(const char *store_path, int (*visit)(void *context, uint64_t number),
                      void *context);

/* DMS_ERR_UNSUPPORTED when `path` lies on a network file system, where LMDB's locks and maps do not
 * work. */
int dms_refuse_network(const char *path);

#endif
