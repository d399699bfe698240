/*
 * Counts all pairs of examples over a set of rows, band by band, and encodes the tiles; where the
 * rows come from and where the tiles go is the caller's.
 */
#ifndef DMS_SOLVER_PAIR_BUILD_H
#define DMS_SOLVER_PAIR_BUILD_H

#include "solver/pair_band.h"
#include "solver/pair_counts.h"

struct dms_cuda_pair_counter; /* solver/cuda_pairs.h */

/* The rows that are counted, fewer than 2^32. */
struct dms_pair_source {
    size_t example_ct;
    uint64_t row_ct;
    /* Calls `take` for all rows, in blocks (for a device of any size); called once for each band.
     * Ends early with what `take` failed with. */
    int (*visit)(void *context, void *taker,
                 int (*take)(void *taker, const struct dms_pair_block *block));
    void *context;
};

/* Tiles of whole rows of the upper triangle, encoded. */
struct dms_pair_tiles {
    size_t first, tile_ct;  /* by number (dms_pair_tile_index) */
    const uint8_t *widths;  /* tile_ct */
    uint8_t *bytes;         /* one tile behind the other; who takes them sets NULL */
    const uint64_t *starts; /* tile_ct + 1: where each begins */
};

struct dms_pair_build {
    struct dms_pool *pool;
    /* The device that counts, with room for the rows of a block; NULL: the processor does. */
    struct dms_cuda_pair_counter *counter;
    const struct dms_pair_source *source;
    const struct dms_pair_counts *base; /* of other rows, to be added; NULL: none */
    uint64_t memory_bytes;              /* for a band; one tile high it is at least */
    /* Called with the singles of all examples before the first tiles. */
    int (*begin)(void *context, const uint32_t *singles);
    /* Called with the tiles of every band, in order. */
    int (*keep)(void *context, struct dms_pair_tiles *tiles);
    void *context;
};

int dms_pair_build_run(const struct dms_pair_build *build);

/* A source over packed columns, which must outlive it. */
struct dms_pair_source dms_pair_source_of_rows(const struct dms_packed_rows *rows);

#endif
