/*
 * Co-occurrence counts of training examples as they are kept, in memory and in files (SPEC.md, the
 * section on files of pairs): tiles of deviations from what is expected of random subsets. No I/O.
 *
 * n_ab, the number of rows that have both examples a and b, is near n_a n_b / m for random subsets,
 * within a few times alpha (1 - alpha) sqrt(m). That product is replaced by its tangent plane at
 * the mean of all n: n_ab = u_a + u_b - u_0 + deviation, with whole numbers u. It is as near where
 * all n are about equal, as for random subsets of one size; the offsets are additive, so that a
 * tile is read with two integer additions a pair and summed with none; and no rounding has to be
 * agreed on. Each tile has the least width that holds all of its deviations, so that counts of any
 * masks are exact, duplicates and very unequal rates too.
 */
#ifndef DMS_FORMAT_PAIR_COUNTS_H
#define DMS_FORMAT_PAIR_COUNTS_H

#include <stddef.h>
#include <stdint.h>

#define DMS_PAIR_TILE 128
#define DMS_PAIR_TILE_CELLS ((size_t)DMS_PAIR_TILE * DMS_PAIR_TILE)

/* Bytes of a deviation: signed numbers of one or two bytes, or any of four, mod 2^32. */
enum { DMS_PAIR_WIDTH_MAX = 4 };

/* Tiles on a side. */
static inline size_t dms_pair_side(size_t example_ct)
{
    return example_ct / DMS_PAIR_TILE + (example_ct % DMS_PAIR_TILE > 0);
}

/* Number of tile (tile_a, tile_b), tile_a <= tile_b, in the upper triangle, row by row. */
static inline size_t dms_pair_tile_index(size_t side, size_t tile_a, size_t tile_b)
{
    return tile_a * (2 * side + 1 - tile_a) / 2 + (tile_b - tile_a);
}

static inline size_t dms_pair_tile_ct(size_t example_ct)
{
    size_t side = dms_pair_side(example_ct);

    return side % 2 == 0 ? side / 2 * (side + 1) : (side + 1) / 2 * side;
}

/*
 * The offsets that follow from the singles, n_a of each example: with S their sum over d examples
 * and m rows, offsets[a] = floor(S n_a / (d m)) and the returned u_0 = floor(S^2 / (d^2 m)). Both
 * are 0 when m is 0. example_ct > 0; no single is above row_ct < 2^32.
 */
uint32_t dms_pair_offsets_make(size_t example_ct, uint64_t row_ct, const uint32_t *singles,
                               uint32_t *offsets);

/* One tile's place: rows are examples a, columns examples b. */
struct dms_pair_place {
    size_t row_ct, column_ct; /* DMS_PAIR_TILE, or fewer at the end */
    const uint32_t *row_offsets, *column_offsets;
    uint32_t center;         /* u_0 */
    const uint32_t *singles; /* of the rows, where rows and columns are the same examples: cells
                              * (i, i) are theirs then, and have deviation 0; else NULL */
};

/* The place of tile (tile_a, tile_b). */
struct dms_pair_place dms_pair_place_of(size_t example_ct, const uint32_t *singles,
                                        const uint32_t *offsets, uint32_t center, size_t tile_a,
                                        size_t tile_b);

/* The least width that holds a tile. counts: rows of DMS_PAIR_TILE cells, `stride` apart; those
 * beyond the place are not looked at. */
unsigned dms_pair_tile_width(const struct dms_pair_place *place, const uint32_t *counts,
                             size_t stride);

/* bytes: width x DMS_PAIR_TILE_CELLS, little-endian, row by row; 0 beyond the place. */
void dms_pair_tile_encode(const struct dms_pair_place *place, unsigned width,
                          const uint32_t *counts, size_t stride, uint8_t *bytes);

/* The inverse, into rows of DMS_PAIR_TILE cells; 0 beyond the place. */
void dms_pair_tile_decode(const struct dms_pair_place *place, unsigned width, const uint8_t *bytes,
                          uint32_t *counts);

/* The deviation of one cell, mod 2^32. */
static inline uint32_t dms_pair_deviation(unsigned width, const uint8_t *bytes, size_t cell)
{
    const uint8_t *at = bytes + cell * width;

    if (width == 1)
        return (uint32_t)(int8_t)at[0];
    if (width == 2)
        return (uint32_t)(int16_t)(at[0] | at[1] << 8);
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

#endif
