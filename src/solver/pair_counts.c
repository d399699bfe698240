/*
 * Counts of pairs: made in memory, and read from there or from a file; see pair_counts.h.
 */
#include "solver/pair_counts.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/thread.h"
#include "solver/pair_build.h"
#include "solver/pair_counts_parts.h"

/* Cells that are read at a time. */
#define CELLS_AHEAD 32

/* The sums of a band in memory: as much as there is to gain from larger ones is little. */
#define BAND_BYTES ((uint64_t)256 << 20)

/* Rows of which random subsets need two bytes a pair: from here on six standard deviations,
 * alpha (1 - alpha) sqrt(m) at most sqrt(m) / 4 each, are more than 127. */
#define TWO_BYTE_ROWS 7168

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
    dms_pair_map_close(counts->file);
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

int dms_pair_counts_create(size_t example_ct, uint64_t row_ct, struct dms_pair_counts **counts)
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

int dms_pair_counts_build(const struct dms_pair_build *plan, struct dms_pair_counts **counts)
{
    struct dms_pair_build build = *plan;
    const struct dms_pair_counts *base = plan->base;
    uint64_t row_ct = plan->source->row_ct + (base ? dms_pair_counts_row_ct(base) : 0);
    struct dms_pair_counts *made = NULL;
    int rc = dms_pair_counts_create(plan->source->example_ct, row_ct, &made);

    if (rc < 0)
        return rc;
    build.begin = begin;
    build.keep = keep;
    build.context = made;
    rc = dms_pair_build_run(&build);
    if (rc < 0)
        dms_pair_counts_free(made);
    else
        *counts = made;
    return rc;
}

int dms_pair_counts_compute(struct dms_pool *pool, const struct dms_packed_rows *rows,
                            struct dms_pair_counts **counts)
{
    struct dms_pair_source source = dms_pair_source_of_rows(rows);
    struct dms_pair_build build = {.pool = pool, .source = &source, .memory_bytes = BAND_BYTES};

    return dms_pair_counts_build(&build, counts);
}

uint64_t dms_pair_counts_bytes(size_t example_ct, uint64_t row_ct)
{
    unsigned thread_ct = dms_processor_ct();
    size_t end = dms_pair_band_choose(example_ct, 0, row_ct, thread_ct, BAND_BYTES);

    return dms_pair_counts_tile_bytes(example_ct, row_ct) +
           dms_pair_band_bytes(example_ct, 0, end, row_ct, thread_ct);
}

uint64_t dms_pair_counts_tile_bytes(size_t example_ct, uint64_t row_ct)
{
    uint64_t tile_bytes = (row_ct < TWO_BYTE_ROWS ? 1 : 2) * (uint64_t)DMS_PAIR_TILE_CELLS;

    return dms_pair_tile_ct(example_ct) * (tile_bytes + 1 + sizeof(uint8_t *)) +
           2 * sizeof(uint32_t) * (uint64_t)example_ct;
}

/* ---- reading ---- */

/* What a reading is about: it runs guarded where tiles are in a file. */
struct reading {
    const struct dms_pair_counts *counts;
    size_t tile_a, tile_b; /* of a tile */
    size_t a, size;        /* of single counts */
    const uint32_t *examples;
    uint32_t *cells;
};

/* Runs `read` where a page that is gone raises no signal. */
static int read_guarded(struct reading *reading, void (*read)(void *context))
{
    const struct dms_pair_counts *counts = reading->counts;

    if (counts->file)
        return dms_pair_map_run(counts->file, read, reading);
    read(reading);
    return DMS_OK;
}

static int check_example(const struct dms_pair_counts *counts, size_t example)
{
    return example < counts->example_ct
               ? DMS_OK
               : dms_fail(DMS_ERR_INVALID, "there is no example %zu: counts are of %zu", example,
                          counts->example_ct);
}

static int check_tile(const struct dms_pair_counts *counts, size_t index)
{
    return counts->file ? dms_pair_map_check(counts->file, index) : DMS_OK;
}

static void read_tile(void *context)
{
    const struct reading *reading = context;
    const struct dms_pair_counts *counts = reading->counts;
    size_t index = dms_pair_tile_index(counts->side, reading->tile_a, reading->tile_b);
    struct dms_pair_place place =
        dms_pair_place_of(counts->example_ct, counts->singles, counts->offsets, counts->center,
                          reading->tile_a, reading->tile_b);

    dms_pair_tile_decode(&place, counts->widths[index], counts->tiles[index], reading->cells);
}

int dms_pair_counts_tile(const struct dms_pair_counts *counts, size_t tile_a, size_t tile_b,
                         uint32_t *cells)
{
    struct reading reading = {.counts = counts, .tile_a = tile_a, .tile_b = tile_b, .cells = cells};
    int rc;

    if (tile_a > tile_b || tile_b >= counts->side)
        return dms_fail(DMS_ERR_INVALID, "there is no tile %zu, %zu of pairs", tile_a, tile_b);
    rc = check_tile(counts, dms_pair_tile_index(counts->side, tile_a, tile_b));
    return rc < 0 ? rc : read_guarded(&reading, read_tile);
}

/* The tile of two examples; *cell: which of its cells is theirs. */
static size_t tile_of(const struct dms_pair_counts *counts, size_t a, size_t b, size_t *cell)
{
    size_t low = a < b ? a : b, high = a < b ? b : a;

    *cell = low % DMS_PAIR_TILE * DMS_PAIR_TILE + high % DMS_PAIR_TILE;
    return dms_pair_tile_index(counts->side, low / DMS_PAIR_TILE, high / DMS_PAIR_TILE);
}

/* Each cell is on a page of its own: their way into the cache is begun before the first is read. */
static void read_some_cells(const struct reading *reading, size_t first, size_t count)
{
    const struct dms_pair_counts *counts = reading->counts;
    const uint32_t *examples = reading->examples + first;
    size_t a = reading->a, tiles[CELLS_AHEAD], cells[CELLS_AHEAD];

    for (size_t k = 0; k < count; k++) {
        tiles[k] = tile_of(counts, a, examples[k], &cells[k]);
        __builtin_prefetch(counts->tiles[tiles[k]] + cells[k] * counts->widths[tiles[k]]);
    }
    for (size_t k = 0; k < count; k++) {
        size_t b = examples[k];

        reading->cells[first + k] = a == b
                                        ? counts->singles[a]
                                        : counts->offsets[a] + counts->offsets[b] - counts->center +
                                              dms_pair_deviation(counts->widths[tiles[k]],
                                                                 counts->tiles[tiles[k]], cells[k]);
    }
}

static void read_cells(void *context)
{
    const struct reading *reading = context;

    for (size_t k = 0; k < reading->size; k += CELLS_AHEAD) {
        size_t left = reading->size - k;

        read_some_cells(reading, k, left < CELLS_AHEAD ? left : CELLS_AHEAD);
    }
}

int dms_pair_counts_gather(const struct dms_pair_counts *counts, size_t a, size_t size,
                           const uint32_t *examples, uint32_t *cells)
{
    struct reading reading = {
        .counts = counts, .a = a, .size = size, .examples = examples, .cells = cells};
    int rc = check_example(counts, a);

    for (size_t k = 0; rc == DMS_OK && k < size; k++) {
        size_t cell;

        rc = check_example(counts, examples[k]);
        if (rc == DMS_OK)
            rc = check_tile(counts, tile_of(counts, a, examples[k], &cell));
    }
    return rc < 0 ? rc : read_guarded(&reading, read_cells);
}
