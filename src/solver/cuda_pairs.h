/*
 * Counts of pairs on a CUDA device: rows that have both of two examples, for all pairs of two
 * ranges of examples, from packed columns in memory of the host. Exact.
 *
 * The examples are divided into panels, of which the device keeps as many as it has memory for, the
 * least recently used giving way. The memory of the device bounds nothing but the speed.
 */
#ifndef DMS_SOLVER_CUDA_PAIRS_H
#define DMS_SOLVER_CUDA_PAIRS_H

#include <stddef.h>
#include <stdint.h>

struct dms_cuda_pair_counter;
struct dms_pair_rectangle; /* solver/pair_band.h */

/*
 * Opens the first device to count pairs of so many examples in row_ct rows at most; it has no rows
 * yet. device_bytes: of the device, to be used at most; 0: what is free when it is opened, but for
 * a reserve.
 *
 * UNSUPPORTED: no device; INVALID: 2^31 rows or more; NO_MEMORY: not even two columns fit, or
 * others have taken the memory meanwhile.
 */
int dms_cuda_pairs_open(size_t example_ct, uint64_t row_ct, uint64_t device_bytes,
                        struct dms_cuda_pair_counter **counter);

/* Bytes of the host that a counter takes at most, in pinned buffers: up to 160 MiB, more if two
 * columns do not fit in 32 MiB. */
uint64_t dms_cuda_pairs_host_bytes(size_t example_ct, uint64_t row_ct);

/* The name of the device, the counter's. */
const char *dms_cuda_pairs_device_name(const struct dms_cuda_pair_counter *counter);

/* Examples of a panel. Ranges that begin and end at multiples of it, and hold many, are the
 * fastest.
 */
size_t dms_cuda_pairs_panel_size(const struct dms_cuda_pair_counter *counter);

/*
 * Counts these rows from now on, and no others. columns: word_ct words for each example,
 * stride_words apart, bit i & 63 of word i >> 6 being row i; bits beyond the rows are zero. They
 * stay the caller's, and unchanged until other rows are set or the counter is closed. INVALID: more
 * rows than it was opened for.
 */
int dms_cuda_pairs_set_rows(struct dms_cuda_pair_counter *counter, const uint64_t *columns,
                            size_t word_ct, size_t stride_words);

/*
 * Counts the rows that have both a and b, for a in first_a .. end_a - 1 and b in first_b .. end_b -
 * 1, and calls `take` with rectangles that make up these pairs, in any order, while the device goes
 * on; their counts are valid during the call only. By one thread at a time. Ends early with what
 * `take` failed with. INVALID: a range beyond the examples; NO_MEMORY and IO as the device has it.
 * After any failure but the first the counter is good for nothing but closing.
 */
int dms_cuda_pairs_count(struct dms_cuda_pair_counter *counter, size_t first_a, size_t end_a,
                         size_t first_b, size_t end_b, void *taker,
                         int (*take)(void *taker, const struct dms_pair_rectangle *rectangle));

void dms_cuda_pairs_close(struct dms_cuda_pair_counter *counter);

#endif
