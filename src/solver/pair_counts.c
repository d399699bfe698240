/*
 * Counts of pairs, held in memory; see pair_counts.h.
 */
#include "solver/pair_counts.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/thread.h"
#include "solver/pair_build.h"

/* The sums of a band in memory: as much as there is to gain from larger ones is little. */
#define BAND_BYTES ((uint64_t)256 << 20)

/* Rows of which random subsets need two bytes a pair: from here on six standard deviations,
 * alpha (1 - alpha) sqrt(m) at most sqrt(m) / 4 each, are more than 127. */
#define TWO_BYTE_ROWS 7168

struct dms_pair_counts {
    size_t example_ct, side;
    uint64_t row_ct;
    uint32_t *singles, *offsets;
    uint32_t center;
    uint8_t *widths;       /* of each tile */
    const uint8_t **tiles; /* where each is */
    uint8_t **bands;       /* the memory that they are in */
    size_t band_ct, band_capacity;
};

size_t dms_pair_counts_example_ct(const struct dms_pair_counts *counts)
{
    return counts->example_ct;
}

uint64_t dms_pair_counts_row_ct(const struct dms_pair_counts *counts)
{
    return counts->row_ct;
}

const uint32_t *dms_pair_counts_singles(const struct dms_pair_counts *counts)
{
    return counts->singles;
}

void dms_pair_counts_free(struct dms_pair_counts *counts)
{
    if (!counts)
        return;
    for (size_t i = 0; i < counts->band_ct; i++)
        free(counts->bands[i]);
    free(counts->bands);
    free(counts->tiles);
    free(counts->widths);
    free(counts->offsets);
    free(counts->singles);
    free(counts);
}

/* ---- counting ---- */

static int begin(void *context, const uint32_t *singles)
{
    struct dms_pair_counts *counts = context;

    memcpy(counts->singles, singles, counts->example_ct * sizeof *singles);
    counts->center =
        dms_pair_offsets_make(counts->example_ct, counts->row_ct, counts->singles, counts->offsets);
    return DMS_OK;
}

static int keep(void *context, struct dms_pair_tiles *tiles)
{
    struct dms_pair_counts *counts = context;
    int rc = dms_grow((void **)&counts->bands, &counts->band_capacity, counts->band_ct + 1,
                      sizeof *counts->bands);

    if (rc < 0)
        return rc;
    for (size_t k = 0; k < tiles->tile_ct; k++) {
        counts->widths[tiles->first + k] = tiles->widths[k];
        counts->tiles[tiles->first + k] = tiles->bytes + tiles->starts[k];
    }
    counts->bands[counts->band_ct++] = tiles->bytes;
    tiles->bytes = NULL;
    return DMS_OK;
}

static int create(size_t example_ct, uint64_t row_ct, struct dms_pair_counts **counts)
{
    size_t tile_ct = dms_pair_tile_ct(example_ct);
    struct dms_pair_counts *made;

    if (row_ct > UINT32_MAX)
        return dms_fail(DMS_ERR_INVALID, "pairs are counted over 2^32 - 1 models at most");
    made = dms_alloc(1, sizeof *made);
    if (!made)
        return DMS_ERR_NO_MEMORY;
    *made = (struct dms_pair_counts){
        .example_ct = example_ct,
        .side = dms_pair_side(example_ct),
        .row_ct = row_ct,
        .singles = dms_alloc(example_ct, sizeof *made->singles),
        .offsets = dms_alloc(example_ct, sizeof *made->offsets),
        .widths = dms_alloc(tile_ct, sizeof *made->widths),
        .tiles = dms_alloc(tile_ct, sizeof(uint8_t *)),
    };
    if (!made->singles || !made->offsets || !made->widths || !made->tiles) {
        dms_pair_counts_free(made);
        return DMS_ERR_NO_MEMORY;
    }
    *counts = made;
    return DMS_OK;
}

int dms_pair_counts_compute(struct dms_pool *pool, const struct dms_packed_rows *rows,
                            struct dms_pair_counts **counts)
{
    struct dms_pair_source source = dms_pair_source_of_rows(rows);
    struct dms_pair_build build = {
        .pool = pool,
        .source = &source,
        .memory_bytes = BAND_BYTES,
        .begin = begin,
        .keep = keep,
    };
    struct dms_pair_counts *made = NULL;
    int rc = create(rows->example_ct, rows->row_ct, &made);

    if (rc < 0)
        return rc;
    build.context = made;
    rc = dms_pair_build_run(&build);
    if (rc < 0)
        dms_pair_counts_free(made);
    else
        *counts = made;
    return rc;
}

uint64_t dms_pair_counts_bytes(size_t example_ct, uint64_t row_ct)
{
    unsigned thread_ct = dms_processor_ct();
    size_t end = dms_pair_band_choose(example_ct, 0, row_ct, thread_ct, BAND_BYTES);
    uint64_t tile_bytes = (row_ct < TWO_BYTE_ROWS ? 1 : 2) * (uint64_t)DMS_PAIR_TILE_CELLS;

    return dms_pair_tile_ct(example_ct) * (tile_bytes + 1 + sizeof(uint8_t *)) +
           2 * sizeof(uint32_t) * (uint64_t)example_ct +
           dms_pair_band_bytes(example_ct, 0, end, row_ct, thread_ct);
}

/* ---- reading ---- */

static struct dms_pair_place place_of(const struct dms_pair_counts *counts, size_t tile_a,
                                      size_t tile_b)
{
    return dms_pair_place_of(counts->example_ct, counts->singles, counts->offsets, counts->center,
                             tile_a, tile_b);
}

static int check_example(const struct dms_pair_counts *counts, size_t example)
{
    return example < counts->example_ct
               ? DMS_OK
               : dms_fail(DMS_ERR_INVALID, "example %zu of %zu", example, counts->example_ct);
}

int dms_pair_counts_tile(const struct dms_pair_counts *counts, size_t tile_a, size_t tile_b,
                         uint32_t *cells)
{
    size_t index = dms_pair_tile_index(counts->side, tile_a, tile_b);
    struct dms_pair_place place;

    if (tile_a > tile_b || tile_b >= counts->side)
        return dms_fail(DMS_ERR_INVALID, "there is no tile %zu, %zu of pairs", tile_a, tile_b);
    place = place_of(counts, tile_a, tile_b);
    dms_pair_tile_decode(&place, counts->widths[index], counts->tiles[index], cells);
    return DMS_OK;
}

/* n of two examples. */
static uint32_t count_of(const struct dms_pair_counts *counts, size_t a, size_t b)
{
    size_t low = a < b ? a : b, high = a < b ? b : a;
    size_t index = dms_pair_tile_index(counts->side, low / DMS_PAIR_TILE, high / DMS_PAIR_TILE);
    size_t cell = low % DMS_PAIR_TILE * DMS_PAIR_TILE + high % DMS_PAIR_TILE;

    if (a == b)
        return counts->singles[a];
    return counts->offsets[a] + counts->offsets[b] - counts->center +
           dms_pair_deviation(counts->widths[index], counts->tiles[index], cell);
}

int dms_pair_counts_gather(const struct dms_pair_counts *counts, size_t a, size_t size,
                           const uint32_t *examples, uint32_t *cells)
{
    int rc = check_example(counts, a);

    for (size_t k = 0; rc == DMS_OK && k < size; k++) {
        rc = check_example(counts, examples[k]);
        if (rc == DMS_OK)
            cells[k] = count_of(counts, a, examples[k]);
    }
    return rc;
}
