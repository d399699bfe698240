/*
 * Tiles of co-occurrence counts: see pair_counts.h. All arithmetic is on whole numbers, mod 2^32
 * where it is on counts.
 */
#include "format/pair_counts.h"

#include "base/endian.h"

#include <stdbool.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

uint32_t dms_pair_offsets_make(size_t example_ct, uint64_t row_ct, const uint32_t *singles,
                               uint32_t *offsets)
{
    wide cells = (wide)example_ct * row_ct;
    uint64_t sum = 0;

    for (size_t a = 0; a < example_ct; a++)
        sum += singles[a];
    for (size_t a = 0; a < example_ct; a++)
        offsets[a] = row_ct > 0 ? (uint32_t)((wide)sum * singles[a] / cells) : 0;
    return row_ct > 0 ? (uint32_t)((wide)sum * sum / (cells * example_ct)) : 0;
}

struct dms_pair_place dms_pair_place_of(size_t example_ct, const uint32_t *singles,
                                        const uint32_t *offsets, uint32_t center, size_t tile_a,
                                        size_t tile_b)
{
    size_t a = tile_a * DMS_PAIR_TILE, b = tile_b * DMS_PAIR_TILE;

    return (struct dms_pair_place){
        .row_ct = example_ct - a < DMS_PAIR_TILE ? example_ct - a : DMS_PAIR_TILE,
        .column_ct = example_ct - b < DMS_PAIR_TILE ? example_ct - b : DMS_PAIR_TILE,
        .row_offsets = offsets + a,
        .column_offsets = offsets + b,
        .center = center,
        .singles = tile_a == tile_b ? singles + a : NULL,
    };
}

/* Of row i: count of column j is expected to be this and column_offsets[j]. */
static uint32_t row_offset(const struct dms_pair_place *place, size_t i)
{
    return place->row_offsets[i] - place->center;
}

unsigned dms_pair_tile_width(const struct dms_pair_place *place, const uint32_t *counts,
                             size_t stride)
{
    int32_t least = 0, greatest = 0;

    for (size_t i = 0; i < place->row_ct; i++) {
        uint32_t offset = row_offset(place, i);

        for (size_t j = 0; j < place->column_ct; j++) {
            int32_t deviation =
                (int32_t)(counts[i * stride + j] - offset - place->column_offsets[j]);

            if (place->singles && i == j)
                continue;
            least = deviation < least ? deviation : least;
            greatest = deviation > greatest ? deviation : greatest;
        }
    }
    if (least >= INT8_MIN && greatest <= INT8_MAX)
        return 1;
    return least >= INT16_MIN && greatest <= INT16_MAX ? 2 : 4;
}

void dms_pair_tile_encode(const struct dms_pair_place *place, unsigned width,
                          const uint32_t *counts, size_t stride, uint8_t *bytes)
{
    memset(bytes, 0, width * DMS_PAIR_TILE_CELLS);
    for (size_t i = 0; i < place->row_ct; i++) {
        uint32_t offset = row_offset(place, i);
        uint8_t *row = bytes + i * width * DMS_PAIR_TILE;

        for (size_t j = 0; j < place->column_ct; j++) {
            uint32_t deviation = counts[i * stride + j] - offset - place->column_offsets[j];

            if (place->singles && i == j)
                continue;
            if (width == 1)
                row[j] = (uint8_t)deviation;
            else if (width == 2)
                dms_store_u16(row + 2 * j, (uint16_t)deviation);
            else
                dms_store_u32(row + 4 * j, deviation);
        }
    }
}

/* One row; a loop for each width, so that a compiler can make vectors of it. */
static void decode_row(unsigned width, const uint8_t *bytes, uint32_t offset,
                       const uint32_t *column_offsets, size_t column_ct, uint32_t *counts)
{
    if (width == 1) {
        for (size_t j = 0; j < column_ct; j++)
            counts[j] = offset + column_offsets[j] + dms_pair_deviation(1, bytes, j);
    } else if (width == 2) {
        for (size_t j = 0; j < column_ct; j++)
            counts[j] = offset + column_offsets[j] + dms_pair_deviation(2, bytes, j);
    } else {
        for (size_t j = 0; j < column_ct; j++)
            counts[j] = offset + column_offsets[j] + dms_pair_deviation(4, bytes, j);
    }
}

void dms_pair_tile_decode(const struct dms_pair_place *place, unsigned width, const uint8_t *bytes,
                          uint32_t *counts)
{
    if (place->row_ct < DMS_PAIR_TILE || place->column_ct < DMS_PAIR_TILE)
        memset(counts, 0, DMS_PAIR_TILE_CELLS * sizeof *counts);
    for (size_t i = 0; i < place->row_ct; i++) {
        uint32_t *row = counts + i * DMS_PAIR_TILE;

        decode_row(width, bytes + i * width * DMS_PAIR_TILE, row_offset(place, i),
                   place->column_offsets, place->column_ct, row);
        if (place->singles)
            row[i] = place->singles[i];
    }
}
