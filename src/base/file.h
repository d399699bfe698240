/*
 * Files: whole reads and writes at an offset, durable syncs and atomic replacement. Every function
 * retries when a signal interrupts it, continues short transfers, and names the path when it fails.
 * `path` beside an open descriptor serves the message only.
 */
#ifndef DMS_BASE_FILE_H
#define DMS_BASE_FILE_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Opens with O_CLOEXEC added. Returns the descriptor (>= 0) or an error code (< 0). */
int dms_open(const char *path, int flags, mode_t mode);

/* Closes a descriptor; does nothing for a negative one. Data must have been synced before. */
void dms_close(int descriptor);

/* Reads exactly `size` bytes at `offset`. A file that ends before is DMS_ERR_CORRUPT. */
int dms_pread_full(int descriptor, const char *path, void *data, size_t size, uint64_t offset);

/* Writes exactly `size` bytes at `offset`. */
int dms_pwrite_full(int descriptor, const char *path, const void *data, size_t size,
                    uint64_t offset);

/* *size = the length of the file in bytes. */
int dms_file_size(int descriptor, const char *path, uint64_t *size);

/* CORRUPT: it is a directory, a pipe or the like, which has no length. */
int dms_file_check_regular(int descriptor, const char *path);

/* Cuts or extends the file to `size` bytes. */
int dms_file_truncate(int descriptor, const char *path, uint64_t size);

/*
 * Opens an empty file for writing, under a temporary name that all its possible writers share, and
 * locks it (flock) until it is closed: the writer that has it renames it in the end. DMS_ERR_BUSY:
 * another process has it. Returns the descriptor (>= 0) or an error code (< 0).
 */
int dms_open_temporary(const char *path);

/* Removes such a file, unless a writer has it (DMS_ERR_BUSY): it keeps it from new writers
 * meanwhile. One that is not there is no failure. */
int dms_remove_temporary(const char *path);

/* Waits until data and length are on the disk (fdatasync). After a failure nothing is known about
 * what the disk holds: do not write on, do not try again. */
int dms_file_sync(int descriptor, const char *path);

/* Waits until the names in a directory are on the disk. */
int dms_directory_sync(const char *path);

/* Renames, replacing `to`. Durable only after dms_directory_sync(). */
int dms_file_rename(const char *from, const char *to);

/* INVALID: what is at `path` is no regular file, as a device; renaming would put one in its place.
 */
int dms_file_check_replaceable(const char *path);

/* Exchanges two names at once. UNSUPPORTED where the file system cannot. */
int dms_file_exchange(const char *one, const char *other);

/* Removes a file; one that is not there is no failure. */
int dms_file_remove(const char *path);

/* *exists = whether there is something at `path`. */
int dms_file_exists(const char *path, bool *exists);

/*
 * Replaces the file at `path` with `size` bytes so that a crash leaves either the old or the new
 * content: writes a file with a temporary name beside it, syncs, renames, syncs the directory.
 */
int dms_write_file_atomic(const char *path, const void *data, size_t size);

/* Appends the whole file to `buffer`; DMS_ERR_INVALID when it is longer than `limit_bytes`. */
int dms_read_file(const char *path, size_t limit_bytes, struct dms_buffer *buffer);

/*
 * Maps the first `size` bytes (> 0) of a file for reading, shared. The map outlives the descriptor.
 * Release it with dms_file_unmap(); that accepts NULL.
 */
int dms_file_map(int descriptor, const char *path, size_t size, const uint8_t **map);
void dms_file_unmap(const uint8_t *map, size_t size);

/* "directory/name" in new memory, NULL (DMS_ERR_NO_MEMORY set) when there is none. */
char *dms_path_join(const char *directory, const char *name);

/* The directory part of a path ("." when it has none) in new memory, NULL when there is none. */
char *dms_path_parent(const char *path);

#endif
