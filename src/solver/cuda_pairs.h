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
struct dms_packed_rows;

/*
 * Opens the first device for `rows`, which stay the caller's and unchanged until
 * dms_cuda_pairs_close. device_bytes: of the device, to be used at most; 0: what is free when it is
 * opened, but for a reserve. On the host, pinned buffers of up to 160 MiB (more if two columns do
 * not fit in 32 MiB).
 *
 * UNSUPPORTED: no device; INVALID: 2^31 rows or more; NO_MEMORY: not even two columns fit, or
 * others have taken the memory meanwhile.
 */
int dms_cuda_pairs_open(const struct dms_packed_rows *rows, uint64_t device_bytes,
                        struct dms_cuda_pair_counter **counter);

/* Examples of a panel. Ranges that begin and end at multiples of it, and hold many, are the
 * fastest.
 */
size_t dms_cuda_pairs_panel_size(const struct dms_cuda_pair_counter *counter);

/*
 * counts[(a - first_a) * (end_b - first_b) + b - first_b] = rows that have both a and b, for a in
 * first_a .. end_a - 1 and b in first_b .. end_b - 1; what counts has is not read. By one thread
 * at a time. INVALID: a range beyond the examples; NO_MEMORY and IO as the device has it: *counts
 * is undefined then, and the counter is good for nothing but closing.
 */
int dms_cuda_pairs_count(struct dms_cuda_pair_counter *counter, size_t first_a, size_t end_a,
                         size_t first_b, size_t end_b, uint32_t *counts);

void dms_cuda_pairs_close(struct dms_cuda_pair_counter *counter);

#endif
