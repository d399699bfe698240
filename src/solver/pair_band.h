/*
 * Counts how often every two columns of 0/1 matrices are set together, for a band of the pairs: so
 * many that their sums fit the memory, over blocks of rows that are added one after the other.
 */
#ifndef DMS_SOLVER_PAIR_BAND_H
#define DMS_SOLVER_PAIR_BAND_H

#include "format/pair_counts.h"
#include "kernels/pairs.h"

struct dms_pool;

/* Rows of the matrix, as packed columns: bit i & 63 of word i >> 6 of a column is row i. */
struct dms_pair_block {
    size_t word_ct; /* of a column: DMS_PANEL_ROWS / 64 at most; bits beyond the rows are zero */
    const uint64_t *columns;
    size_t stride_words;       /* from one column to the next */
    const uint32_t *examples;  /* which of them column k of the band is; NULL: k */
    const uint64_t *row_words; /* word_ct words with the bits of the rows that count; NULL: all */
};

/* Counts of a in first_a .. end_a - 1 with b in first_b .. end_b - 1. */
struct dms_pair_rectangle {
    size_t first_a, end_a, first_b, end_b;
    const uint32_t *counts; /* (end_a - first_a) x (end_b - first_b), row-major */
};

/* The pairs (a, b) with a in tiles first_tile .. end_tile - 1 of DMS_PAIR_TILE columns and b in the
 * tile of a or a later one. */
struct dms_pair_band {
    size_t size;                 /* columns of the matrix */
    size_t first_tile, end_tile; /* of a */
    size_t panel_ct;             /* of all columns */
    size_t row_room;             /* of a block */
    uint32_t **sums;             /* for each tile of a: see dms_pair_band_sums */
    uint64_t *panels;            /* from the panel of the first tile on: row_room + 1 rows each */
};

/* Bytes of such a band while blocks of row_ct rows are added by thread_ct threads. */
uint64_t dms_pair_band_bytes(size_t size, size_t first_tile, size_t end_tile, uint64_t row_ct,
                             unsigned thread_ct);

/* The end of the largest band from first_tile on that takes no more than so many bytes; one tile at
 * least. */
size_t dms_pair_band_choose(size_t size, size_t first_tile, uint64_t row_ct, unsigned thread_ct,
                            uint64_t bytes);

/* A band with all sums 0, for blocks of row_ct rows at most (more than DMS_PANEL_ROWS count as so
 * many; 0: for rectangles only, here and above). The caller ends it with dms_pair_band_free, which
 * accepts what is all zero. */
int dms_pair_band_create(size_t size, size_t first_tile, size_t end_tile, uint64_t row_ct,
                         struct dms_pair_band *band);
void dms_pair_band_free(struct dms_pair_band *band);

/* Adds the counts of a block; sums wrap at 2^32. */
int dms_pair_band_add(struct dms_pool *pool, struct dms_pair_band *band,
                      const struct dms_pair_block *block);

/* Adds counts that were made elsewhere, of a in the band; b before the tile of its a are left
 * out. */
int dms_pair_band_add_rectangle(struct dms_pool *pool, struct dms_pair_band *band,
                                const struct dms_pair_rectangle *rectangle);

/* The sums of a and columns b, b + 1 ... to the end of the tile of b, which is that of a or a later
 * one: row by row DMS_PANEL_COLUMNS apart. */
static inline uint32_t *dms_pair_band_sums(const struct dms_pair_band *band, size_t a, size_t b)
{
    size_t tile = a / DMS_PAIR_TILE;
    size_t panel = b / DMS_PANEL_COLUMNS - tile * DMS_PAIR_TILE / DMS_PANEL_COLUMNS;
    size_t row = panel * DMS_PAIR_TILE + a % DMS_PAIR_TILE;

    return band->sums[tile - band->first_tile] + row * DMS_PANEL_COLUMNS + b % DMS_PANEL_COLUMNS;
}

#endif
