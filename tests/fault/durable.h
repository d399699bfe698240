/*
 * What a disk holds after a power failure, at worst: names and contents as they were when they were
 * last synced, and nothing else. Used by inject.c, which tells what the program syncs; it all
 * happens below one directory.
 */
#ifndef DMS_TESTS_FAULT_DURABLE_H
#define DMS_TESTS_FAULT_DURABLE_H

#include <stddef.h>
#include <sys/types.h>

/* Everything below `directory` is on the disk as it is now. */
void durable_begin(const char *directory);

/* fsync or fdatasync of an open file, or fsync of an open directory: its names. */
void durable_sync(int descriptor);

/* A write through a descriptor that syncs by itself (O_DSYNC) has moved `size` bytes. */
void durable_write(int descriptor, const void *data, size_t size, off_t offset);

/* The power fails: makes the directory what the disk holds. */
void durable_restore(void);

#endif
