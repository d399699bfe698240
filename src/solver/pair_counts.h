/*
 * How often every two training examples are in the mask of a model together, over one set of rows:
 * exact counts, from which the Gram matrix of any problem on these rows follows. They are counted
 * from packed columns, or read in place from a file of the store.
 */
#ifndef DMS_SOLVER_PAIR_COUNTS_H
#define DMS_SOLVER_PAIR_COUNTS_H

#include "dmstore/fit.h"
#include "format/pair_counts.h"
#include "solver/packed_rows.h"

struct dms_pool;
struct dms_pair_counts;

size_t dms_pair_counts_example_ct(const struct dms_pair_counts *counts);
uint64_t dms_pair_counts_row_ct(const struct dms_pair_counts *counts);

/* n_a: the rows that have example a, for every example. */
const uint32_t *dms_pair_counts_singles(const struct dms_pair_counts *counts);

/* Counts all pairs of packed columns of fewer than 2^32 rows, in memory. The caller ends *counts
 * with dms_pair_counts_free, which accepts NULL. */
int dms_pair_counts_compute(struct dms_pool *pool, const struct dms_packed_rows *rows,
                            struct dms_pair_counts **counts);
void dms_pair_counts_free(struct dms_pair_counts *counts);

/*
 * Opens the file of counts at `path`, which stays mapped: any number of processes share its pages,
 * and it may be removed meanwhile. Tiles are checked when they are first read. `store_uuid` is that
 * of the store it must be of, or NULL. NOT_FOUND: no such file. CORRUPT: its head or lists are
 * damaged, it is cut off, or is no regular file. INVALID: it is of another store.
 */
int dms_pair_counts_open(const char *path, const uint8_t *store_uuid,
                         struct dms_pair_counts **counts);

/* The models that were counted; NULL: the counts are in memory. It belongs to the counts. */
const struct dms_row_set *dms_pair_counts_rows(const struct dms_pair_counts *counts);

/*
 * n_ab of a tile: counts[i * DMS_PAIR_TILE + j] is that of examples tile_a * DMS_PAIR_TILE + i and
 * tile_b * DMS_PAIR_TILE + j (n_aa where they are the same), 0 where one is beyond the last
 * example. tile_a <= tile_b < dms_pair_side(example_ct). May be called from several threads at
 * once. CORRUPT: the tile is damaged in its file, or cut off.
 */
int dms_pair_counts_tile(const struct dms_pair_counts *counts, size_t tile_a, size_t tile_b,
                         uint32_t *cells);

/* cells[k] = n of a and examples[k], for k < size, in any order; n_aa for a itself. As
 * dms_pair_counts_tile otherwise. */
int dms_pair_counts_gather(const struct dms_pair_counts *counts, size_t a, size_t size,
                           const uint32_t *examples, uint32_t *cells);

/* Memory that counting pairs of packed columns takes, the counts themselves included, for masks
 * that are random subsets. Where some examples are in much more often than others, tiles can take
 * up to four times what they take then. */
uint64_t dms_pair_counts_bytes(size_t example_ct, uint64_t row_ct);

/* Memory of the counts alone, in the same way. */
uint64_t dms_pair_counts_tile_bytes(size_t example_ct, uint64_t row_ct);

#endif
