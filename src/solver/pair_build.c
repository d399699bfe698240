/*
 * Counts pairs band by band; see pair_build.h. The offsets of the tiles need the singles of all
 * examples, which the visit of the first band counts, too.
 */
#include "solver/pair_build.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "solver/column_bits.h"
#include "solver/cuda_pairs.h"

struct run {
    const struct dms_pair_build *build;
    size_t example_ct, side;
    struct dms_pair_band band;
    uint32_t *singles, *offsets;
    uint32_t center;
    bool counts_singles;
    const struct dms_pair_block *block; /* that is being taken in */
};

/* ---- a block ---- */

#define SINGLES_PER_TASK 4096

static int count_singles(void *context, size_t index)
{
    struct run *run = context;
    const struct dms_pair_block *block = run->block;
    size_t first = index * SINGLES_PER_TASK, left = run->example_ct - first;
    size_t end = first + (left < SINGLES_PER_TASK ? left : SINGLES_PER_TASK);

    for (size_t k = first; k < end; k++)
        run->singles[k] +=
            (uint32_t)dms_count_bits(block->columns + k * block->stride_words, block->word_ct);
    return DMS_OK;
}

static int take_rectangle(void *taker, const struct dms_pair_rectangle *rectangle)
{
    struct run *run = taker;

    return dms_pair_band_add_rectangle(run->build->pool, &run->band, rectangle);
}

/* Adds the counts of a block that a device makes, panel by panel of it: for each a those of b in
 * its tile and later ones. */
static int add_on_device(struct run *run, const struct dms_pair_block *block)
{
    struct dms_cuda_pair_counter *counter = run->build->counter;
    size_t panel = dms_cuda_pairs_panel_size(counter);
    size_t a = run->band.first_tile * DMS_PAIR_TILE, end_a = run->band.end_tile * DMS_PAIR_TILE;
    int rc = dms_cuda_pairs_set_rows(counter, block->columns, block->word_ct, block->stride_words);

    if (end_a > run->example_ct)
        end_a = run->example_ct;
    for (size_t end; rc == DMS_OK && a < end_a; a = end) {
        end = (a / panel + 1) * panel;
        if (end > end_a)
            end = end_a;
        rc = dms_cuda_pairs_count(counter, a, end, a / DMS_PAIR_TILE * DMS_PAIR_TILE,
                                  run->example_ct, run, take_rectangle);
    }
    return rc < 0 ? dms_fail_prefix(rc, "no counts were kept; the processor can make them") : rc;
}

static int take_block(void *taker, const struct dms_pair_block *block)
{
    struct run *run = taker;
    size_t task_ct = (run->example_ct + SINGLES_PER_TASK - 1) / SINGLES_PER_TASK;
    int rc = DMS_OK;

    run->block = block;
    if (run->counts_singles)
        rc = dms_pool_run(run->build->pool, task_ct, count_singles, run);
    if (rc == DMS_OK && run->build->counter)
        return add_on_device(run, block);
    return rc < 0 ? rc : dms_pair_band_add(run->build->pool, &run->band, block);
}

/* ---- tiles ---- */

/* The tiles of a band while they are encoded. */
struct encoding {
    const struct run *run;
    size_t first, tile_ct;
    uint8_t *widths;
    uint64_t *starts;
    uint8_t *bytes;
};

/* Tile number `tile` of the upper triangle, as a and b. */
static void find_tile(const struct run *run, size_t tile, size_t *tile_a, size_t *tile_b)
{
    size_t a = run->band.first_tile;

    while (dms_pair_tile_index(run->side, a, run->side - 1) < tile)
        a++;
    *tile_a = a;
    *tile_b = a + (tile - dms_pair_tile_index(run->side, a, a));
}

/* Adds the tile of other rows to that of the band. Only the task of this tile touches it. */
static int add_base(const struct run *run, size_t tile_a, size_t tile_b)
{
    size_t a = tile_a * DMS_PAIR_TILE, b = tile_b * DMS_PAIR_TILE;
    uint32_t *cells = dms_alloc(DMS_PAIR_TILE_CELLS, sizeof *cells);
    int rc =
        cells ? dms_pair_counts_tile(run->build->base, tile_a, tile_b, cells) : DMS_ERR_NO_MEMORY;

    for (size_t i = 0; rc == DMS_OK && i < DMS_PAIR_TILE; i++) {
        uint32_t *sums = dms_pair_band_sums(&run->band, a + i, b);

        for (size_t j = 0; j < DMS_PAIR_TILE; j++)
            sums[j] += cells[i * DMS_PAIR_TILE + j];
    }
    free(cells);
    return rc;
}

static struct dms_pair_place place_of(const struct run *run, size_t tile_a, size_t tile_b)
{
    return dms_pair_place_of(run->example_ct, run->singles, run->offsets, run->center, tile_a,
                             tile_b);
}

static int measure_tile(void *context, size_t index)
{
    struct encoding *encoding = context;
    const struct run *run = encoding->run;
    size_t tile_a, tile_b;
    struct dms_pair_place place;
    int rc = DMS_OK;

    find_tile(run, encoding->first + index, &tile_a, &tile_b);
    if (run->build->base)
        rc = add_base(run, tile_a, tile_b);
    place = place_of(run, tile_a, tile_b);
    encoding->widths[index] = (uint8_t)dms_pair_tile_width(
        &place, dms_pair_band_sums(&run->band, tile_a * DMS_PAIR_TILE, tile_b * DMS_PAIR_TILE),
        DMS_PANEL_COLUMNS);
    return rc;
}

static int encode_tile(void *context, size_t index)
{
    struct encoding *encoding = context;
    const struct run *run = encoding->run;
    size_t tile_a, tile_b;
    struct dms_pair_place place;

    find_tile(run, encoding->first + index, &tile_a, &tile_b);
    place = place_of(run, tile_a, tile_b);
    dms_pair_tile_encode(
        &place, encoding->widths[index],
        dms_pair_band_sums(&run->band, tile_a * DMS_PAIR_TILE, tile_b * DMS_PAIR_TILE),
        DMS_PANEL_COLUMNS, encoding->bytes + encoding->starts[index]);
    return DMS_OK;
}

static int keep_tiles(struct run *run)
{
    const struct dms_pair_build *build = run->build;
    size_t first = dms_pair_tile_index(run->side, run->band.first_tile, run->band.first_tile);
    size_t last = dms_pair_tile_index(run->side, run->band.end_tile - 1, run->side - 1);
    struct encoding encoding = {.run = run, .first = first, .tile_ct = last + 1 - first};
    struct dms_pair_tiles tiles = {.first = first, .tile_ct = encoding.tile_ct};
    int rc;

    encoding.widths = dms_alloc(encoding.tile_ct, sizeof *encoding.widths);
    encoding.starts = dms_alloc(encoding.tile_ct + 1, sizeof *encoding.starts);
    rc = encoding.widths && encoding.starts ? DMS_OK : DMS_ERR_NO_MEMORY;
    if (rc == DMS_OK)
        rc = dms_pool_run(build->pool, encoding.tile_ct, measure_tile, &encoding);
    if (rc < 0)
        goto out;
    for (size_t k = 0; k < encoding.tile_ct; k++)
        encoding.starts[k + 1] = encoding.starts[k] + encoding.widths[k] * DMS_PAIR_TILE_CELLS;
    encoding.bytes = dms_alloc_aligned(64, (size_t)encoding.starts[encoding.tile_ct]);
    rc = encoding.bytes ? dms_pool_run(build->pool, encoding.tile_ct, encode_tile, &encoding)
                        : DMS_ERR_NO_MEMORY;
    tiles.widths = encoding.widths;
    tiles.starts = encoding.starts;
    tiles.bytes = encoding.bytes;
    if (rc == DMS_OK)
        rc = build->keep(build->context, &tiles);
    free(tiles.bytes);
out:
    free(encoding.starts);
    free(encoding.widths);
    return rc;
}

/* ---- bands ---- */

static int begin_tiles(struct run *run)
{
    const struct dms_pair_build *build = run->build;
    const struct dms_pair_counts *base = build->base;
    uint64_t row_ct = build->source->row_ct + (base ? dms_pair_counts_row_ct(base) : 0);
    uint32_t *singles = run->singles;

    run->counts_singles = false;
    for (size_t k = 0; base && k < run->example_ct; k++)
        singles[k] += dms_pair_counts_singles(base)[k];
    run->center = dms_pair_offsets_make(run->example_ct, row_ct, singles, run->offsets);
    return build->begin(build->context, singles);
}

/* Of the blocks that a band takes itself: on a device it gets rectangles. */
static uint64_t band_rows(const struct dms_pair_build *build)
{
    return build->counter ? 0 : build->source->row_ct;
}

static int build_band(struct run *run, size_t first_tile, size_t end_tile)
{
    const struct dms_pair_source *source = run->build->source;
    int rc = dms_pair_band_create(run->example_ct, first_tile, end_tile, band_rows(run->build),
                                  &run->band);

    if (rc == DMS_OK)
        rc = source->visit(source->context, run, take_block);
    if (rc == DMS_OK && first_tile == 0)
        rc = begin_tiles(run);
    if (rc == DMS_OK)
        rc = keep_tiles(run);
    dms_pair_band_free(&run->band);
    return rc;
}

int dms_pair_build_run(const struct dms_pair_build *build)
{
    size_t example_ct = build->source->example_ct;
    struct run run = {
        .build = build,
        .example_ct = example_ct,
        .side = dms_pair_side(example_ct),
        .counts_singles = true,
    };
    int rc;

    run.singles = dms_alloc(run.example_ct, sizeof *run.singles);
    run.offsets = dms_alloc(run.example_ct, sizeof *run.offsets);
    rc = run.singles && run.offsets ? DMS_OK : DMS_ERR_NO_MEMORY;
    for (size_t first = 0, end; rc == DMS_OK && first < run.side; first = end) {
        end = dms_pair_band_choose(run.example_ct, first, band_rows(build),
                                   dms_pool_threads(build->pool), build->memory_bytes);
        rc = build_band(&run, first, end);
    }
    free(run.singles);
    free(run.offsets);
    return rc;
}

/* ---- packed columns ---- */

static int visit_rows(void *context, void *taker,
                      int (*take)(void *taker, const struct dms_pair_block *block))
{
    return dms_packed_rows_visit(context, NULL, NULL, taker, take);
}

struct dms_pair_source dms_pair_source_of_rows(const struct dms_packed_rows *rows)
{
    return (struct dms_pair_source){
        .example_ct = rows->example_ct,
        .row_ct = rows->row_ct,
        .visit = visit_rows,
        .context = (void *)(uintptr_t)rows,
    };
}
