/*
 * Data for the benchmarks: masks and margins of models that nobody trained, the same for the same
 * seed, any row and target by itself, so that files, row sources and processes can make what they
 * need where they need it.
 */
#ifndef DMSTORE_TESTS_BENCH_DATA_H
#define DMSTORE_TESTS_BENCH_DATA_H

#include "dmstore/store.h"

#include <stdint.h>

struct bench_planted;

struct bench_data {
    uint64_t row_ct;
    uint64_t example_ct;
    uint64_t target_ct;   /* of the one output column, "margins" f16; 0: there is none */
    uint64_t subset_size; /* of every mask, drawn by dms_sample_mask; 0: a fair coin for each bit */
    /* What moves the margins of these target_ct targets (see planted.h); NULL: noise alone. */
    const struct bench_planted *planted;
    uint64_t seed;
};

/* Packed masks of rows row .. row + row_ct - 1: (example_ct + 7) / 8 bytes each. */
void bench_masks(const struct bench_data *data, uint64_t row, uint64_t row_ct, uint8_t *masks);

/* Mean and standard deviation of the margins of a target: normal (mean 4, standard deviation 3:
 * what easy and hard examples do), and uniform in 0.5 .. 2. */
void bench_target(const struct bench_data *data, uint64_t target, float *mean, float *deviation);

/* float16 margins of those rows at targets target .. target + target_ct - 1, row-major: normal with
 * the mean and deviation of their target, all of it noise unless something is planted. Rows are
 * best asked for many at a time. */
void bench_margins(const struct bench_data *data, uint64_t row, uint64_t row_ct, uint64_t target,
                   uint64_t target_ct, uint16_t *margins);

/* Writes NumPy files: masks as bool (row_ct x example_ct) or, when is_packed, as uint8
 * (row_ct x (example_ct + 7) / 8); margins as float16 (row_ct x target_ct); for each row a bool,
 * true, that tells that the row is complete. All processors work. */
void bench_write_masks(const struct bench_data *data, bool is_packed, const char *path);
void bench_write_margins(const struct bench_data *data, const char *path);
void bench_write_completed(const struct bench_data *data, const char *path);

/* Creates a store for such rows. codec: as dms_codec_parse reads it. chunk_rows 0: the store's
 * choice. */
void bench_create(const struct bench_data *data, const char *path, const char *codec,
                  uint32_t chunk_rows);

enum bench_ids { BENCH_IDS_IN_ORDER, BENCH_IDS_SHUFFLED };

/* Writes all rows into it in bulk, with ids from 0 (in order, or in no order). is_claimed: the
 * masks are said to be sampled, so that the store keeps 16 bytes of each. */
void bench_fill(const struct bench_data *data, const char *path, enum bench_ids order,
                bool is_claimed);

#endif
