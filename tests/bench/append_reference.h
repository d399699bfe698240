/*
 * What a durable append costs at least with these means: under one lock write a row to the end of a
 * file, fdatasync, and commit an entry with its place and the new end of the file to LMDB. The
 * reference of append_bench; the store itself is not involved.
 */
#ifndef DMSTORE_TESTS_BENCH_APPEND_REFERENCE_H
#define DMSTORE_TESTS_BENCH_APPEND_REFERENCE_H

#include <stddef.h>
#include <stdint.h>

struct append_reference;

/* Opens the file and the LMDB environment in `directory`, making them when they are not there; one
 * process may have them open once. Failures end the program. */
struct append_reference *append_reference_open(const char *directory);
void append_reference_close(struct append_reference *reference);

/* Appends `size` bytes durably as entry `id`. */
void append_reference_append(struct append_reference *reference, uint64_t id, const void *bytes,
                             size_t size);

#endif
