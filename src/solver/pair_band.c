/*
 * Counts a band of pairs; see pair_band.h. The columns of a block are turned into panels of rows
 * once; then each tile of 128 columns a lists its rows once and adds up every panel with them.
 */
#include "solver/pair_band.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/pool.h"
#include "kernels/lanes.h"

#define TILES_PER_PANEL (DMS_PANEL_COLUMNS / DMS_PAIR_TILE)
#define MAX_WORDS (DMS_PANEL_ROWS / 64)

static size_t rows_of_block(uint64_t row_ct)
{
    return row_ct < DMS_PANEL_ROWS ? ((size_t)row_ct + 63) / 64 * 64 : DMS_PANEL_ROWS;
}

static size_t panels_of(size_t size)
{
    return (size + DMS_PANEL_COLUMNS - 1) / DMS_PANEL_COLUMNS;
}

/* Of the sums of a tile of a. */
static size_t sum_ct(size_t panel_ct, size_t tile)
{
    return (panel_ct - tile / TILES_PER_PANEL) * DMS_PAIR_TILE * DMS_PANEL_COLUMNS;
}

static size_t panel_words(size_t row_room)
{
    return (row_room + 1) * DMS_PANEL_WORDS;
}

/* ---- memory ---- */

uint64_t dms_pair_band_bytes(size_t size, size_t first_tile, size_t end_tile, uint64_t row_ct,
                             unsigned thread_ct)
{
    size_t panel_ct = panels_of(size), row_room = rows_of_block(row_ct);
    uint64_t list_bytes = DMS_PAIR_TILE * DMS_PANEL_LIST_ROOM(row_room) * sizeof(uint16_t);
    uint64_t bytes =
        (panel_ct - first_tile / TILES_PER_PANEL) * panel_words(row_room) * sizeof(uint64_t);

    for (size_t tile = first_tile; tile < end_tile; tile++)
        bytes += sum_ct(panel_ct, tile) * sizeof(uint32_t);
    return bytes + thread_ct * list_bytes;
}

size_t dms_pair_band_choose(size_t size, size_t first_tile, uint64_t row_ct, unsigned thread_ct,
                            uint64_t bytes)
{
    size_t tile_ct = (size + DMS_PAIR_TILE - 1) / DMS_PAIR_TILE, end = first_tile + 1;
    uint64_t taken = dms_pair_band_bytes(size, first_tile, end, row_ct, thread_ct);

    while (end < tile_ct) {
        taken += sum_ct(panels_of(size), end) * sizeof(uint32_t);
        if (taken > bytes)
            break;
        end++;
    }
    return end;
}

int dms_pair_band_create(size_t size, size_t first_tile, size_t end_tile, uint64_t row_ct,
                         struct dms_pair_band *band)
{
    struct dms_pair_band made = {
        .size = size,
        .first_tile = first_tile,
        .end_tile = end_tile,
        .panel_ct = panels_of(size),
        .row_room = rows_of_block(row_ct),
    };
    size_t own_panels = made.panel_ct - first_tile / TILES_PER_PANEL;
    size_t panel_bytes = panel_words(made.row_room) * sizeof *made.panels;
    bool complete;

    made.sums = dms_alloc(end_tile - first_tile, sizeof(uint32_t *));
    made.panels = dms_alloc_aligned(64, own_panels * panel_bytes);
    complete = made.sums && made.panels;
    for (size_t tile = first_tile; complete && tile < end_tile; tile++) {
        made.sums[tile - first_tile] = dms_alloc(sum_ct(made.panel_ct, tile), sizeof(uint32_t));
        complete = made.sums[tile - first_tile] != NULL;
    }
    if (!complete) {
        dms_pair_band_free(&made);
        return DMS_ERR_NO_MEMORY;
    }
    *band = made;
    return DMS_OK;
}

void dms_pair_band_free(struct dms_pair_band *band)
{
    for (size_t i = 0; band->sums && i < band->end_tile - band->first_tile; i++)
        free(band->sums[i]);
    free(band->sums);
    free(band->panels);
    *band = (struct dms_pair_band){0};
}

/* ---- a block ---- */

struct block_pass {
    struct dms_pair_band *band;
    const struct dms_pair_block *block;
    size_t row_ct; /* of the block */
};

static const uint64_t *column_of(const struct dms_pair_block *block, size_t k)
{
    size_t column = block->examples ? block->examples[k] : k;

    return block->columns + column * block->stride_words;
}

/* What a panel is made with. */
struct panel_scratch {
    uint8_t columns[64][MAX_WORDS * sizeof(uint64_t)]; /* little-endian */
    uint64_t rows[DMS_PANEL_ROWS];
};

/* Word `word` of all rows of a panel: the columns from `first` on, zero beyond the last one. */
static void fill_words(const struct block_pass *pass, size_t first, size_t word, uint64_t *panel,
                       struct panel_scratch *scratch)
{
    const struct dms_pair_block *block = pass->block;
    size_t stride_bytes = block->word_ct * sizeof(uint64_t);
    uint8_t *bytes = scratch->columns[0];

    for (size_t k = 0; k < 64; k++) {
        const uint64_t *column = first + k < pass->band->size ? column_of(block, first + k) : NULL;

        for (size_t w = 0; w < block->word_ct; w++, bytes += sizeof(uint64_t))
            dms_store_u64(bytes, column ? column[w] : 0);
    }
    dms_lane_variant_get()->transpose_bits(scratch->columns[0], 64, stride_bytes, pass->row_ct,
                                           scratch->rows, pass->row_ct);
    for (size_t i = 0; i < pass->row_ct; i++)
        panel[(i + 1) * DMS_PANEL_WORDS + word] = scratch->rows[i];
}

static int fill_panel(void *context, size_t index)
{
    const struct block_pass *pass = context;
    const struct dms_pair_band *band = pass->band;
    uint64_t *panel = band->panels + index * panel_words(band->row_room);
    size_t first = (band->first_tile / TILES_PER_PANEL + index) * DMS_PANEL_COLUMNS;
    struct panel_scratch *scratch = dms_alloc_aligned(64, sizeof *scratch);

    if (!scratch)
        return DMS_ERR_NO_MEMORY;
    memset(panel, 0, DMS_PANEL_WORDS * sizeof *panel);
    for (size_t word = 0; word < DMS_PANEL_WORDS; word++)
        fill_words(pass, first + 64 * word, word, panel, scratch);
    free(scratch);
    return DMS_OK;
}

/* The rows that count and have column a, in the form of dms_pair_kernels. */
static size_t list_rows(const struct dms_pair_block *block, size_t a, uint16_t *rows)
{
    const uint64_t *column = column_of(block, a);
    uint64_t counting[MAX_WORDS];

    for (size_t w = 0; block->row_words && w < block->word_ct; w++)
        counting[w] = column[w] & block->row_words[w];
    return dms_pair_kernels_get()->list_rows(block->row_words ? counting : column, block->word_ct,
                                             rows);
}

static int count_tile(void *context, size_t index)
{
    const struct block_pass *pass = context;
    const struct dms_pair_band *band = pass->band;
    const struct dms_pair_kernels *kernels = dms_pair_kernels_get();
    size_t tile = band->first_tile + index, first = tile * DMS_PAIR_TILE;
    size_t column_ct = band->size - first < DMS_PAIR_TILE ? band->size - first : DMS_PAIR_TILE;
    size_t first_panel = tile / TILES_PER_PANEL - band->first_tile / TILES_PER_PANEL;
    size_t own_panels = band->panel_ct - tile / TILES_PER_PANEL;
    size_t room = DMS_PANEL_LIST_ROOM(pass->row_ct), row_cts[DMS_PAIR_TILE];
    uint16_t *rows = dms_alloc_aligned(64, column_ct * room * sizeof *rows);

    if (!rows)
        return DMS_ERR_NO_MEMORY;
    for (size_t k = 0; k < column_ct; k++)
        row_cts[k] = list_rows(pass->block, first + k, rows + k * room);
    for (size_t p = 0; p < own_panels; p++) {
        const uint64_t *panel = band->panels + (first_panel + p) * panel_words(band->row_room);
        uint32_t *sums = band->sums[index] + p * DMS_PAIR_TILE * DMS_PANEL_COLUMNS;

        for (size_t k = 0; k < column_ct; k++)
            kernels->count_rows(panel, rows + k * room, row_cts[k], sums + k * DMS_PANEL_COLUMNS);
    }
    free(rows);
    return DMS_OK;
}

int dms_pair_band_add(struct dms_pool *pool, struct dms_pair_band *band,
                      const struct dms_pair_block *block)
{
    struct block_pass pass = {.band = band, .block = block, .row_ct = block->word_ct * 64};
    int rc;

    if (pass.row_ct > band->row_room)
        return dms_fail(DMS_ERR_INVALID, "a block of %zu rows is more than the %zu of the band",
                        pass.row_ct, band->row_room);
    rc = dms_pool_run(pool, band->panel_ct - band->first_tile / TILES_PER_PANEL, fill_panel, &pass);
    if (rc == DMS_OK)
        rc = dms_pool_run(pool, band->end_tile - band->first_tile, count_tile, &pass);
    return rc;
}

/* ---- counts of others ---- */

/* Rows of a rectangle that a task adds. */
#define ROWS_PER_TASK 32

struct rectangle_pass {
    struct dms_pair_band *band;
    const struct dms_pair_rectangle *rectangle;
};

/* The sums of a lie panel by panel. */
static void add_row(const struct rectangle_pass *pass, size_t a)
{
    const struct dms_pair_rectangle *rectangle = pass->rectangle;
    const uint32_t *counts =
        rectangle->counts + (a - rectangle->first_a) * (rectangle->end_b - rectangle->first_b);
    size_t own = a / DMS_PAIR_TILE * DMS_PAIR_TILE, end;

    for (size_t b = own > rectangle->first_b ? own : rectangle->first_b; b < rectangle->end_b;
         b = end) {
        uint32_t *sums = dms_pair_band_sums(pass->band, a, b);

        end = (b / DMS_PANEL_COLUMNS + 1) * DMS_PANEL_COLUMNS;
        if (end > rectangle->end_b)
            end = rectangle->end_b;
        for (size_t j = b; j < end; j++)
            sums[j - b] += counts[j - rectangle->first_b];
    }
}

static int add_rows(void *context, size_t index)
{
    const struct rectangle_pass *pass = context;
    size_t first = pass->rectangle->first_a + index * ROWS_PER_TASK;
    size_t left = pass->rectangle->end_a - first;

    for (size_t i = 0; i < left && i < ROWS_PER_TASK; i++)
        add_row(pass, first + i);
    return DMS_OK;
}

int dms_pair_band_add_rectangle(struct dms_pool *pool, struct dms_pair_band *band,
                                const struct dms_pair_rectangle *rectangle)
{
    struct rectangle_pass pass = {.band = band, .rectangle = rectangle};
    size_t row_ct = rectangle->end_a - rectangle->first_a;

    return dms_pool_run(pool, (row_ct + ROWS_PER_TASK - 1) / ROWS_PER_TASK, add_rows, &pass);
}
