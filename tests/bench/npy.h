/*
 * NumPy files that the benchmarks write: whole arrays, and matrices of which several threads write
 * rows in any order.
 */
#ifndef DMSTORE_TESTS_BENCH_NPY_H
#define DMSTORE_TESTS_BENCH_NPY_H

#include <stddef.h>
#include <stdint.h>

/* A file that is being written. */
struct bench_npy {
    const char *path; /* the caller's */
    int descriptor;
    uint64_t data_offset;
    size_t row_bytes;
};

/* Creates the file of row_ct x column_ct values (column_ct 0: row_ct values, one dimension), of
 * NumPy's kind 'b', 'u', 'i' or 'f' and item_bytes each, at its full length, all holes: as
 * numpy.lib.format.open_memmap does for those who fill it row by row. */
struct bench_npy bench_npy_create(const char *path, char kind, uint32_t item_bytes, uint64_t row_ct,
                                  uint64_t column_ct);

/* Writes rows row .. row + row_ct - 1, which stand in `bytes` without gaps. */
void bench_npy_write(const struct bench_npy *file, uint64_t row, uint64_t row_ct,
                     const void *bytes);

void bench_npy_close(struct bench_npy *file);

/* Writes an array of one dimension. */
void bench_npy_save(const char *path, char kind, uint32_t item_bytes, uint64_t value_ct,
                    const void *values);

#endif
