/*
 * Counting pairs: every variant of the kernels that this machine can run against naive loops, bands
 * of pairs over gathered columns and weighted rows, and counts of whole matrices in their tiles,
 * for masks of any kind: random subsets, duplicates, constant columns, very unequal rates.
 */
#include "base/mix.h"
#include "base/pool.h"
#include "dmstore/error.h"
#include "format/pair_file.h"
#include "kernels/pairs.h"
#include "solver/gram.h"
#include "solver/gram_rows.h"
#include "solver/pair_build.h"
#include "solver/pair_counts.h"
#include "tests/unit/flip.h"
#include "tests/unit/tap.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const variant_names[] = {"ref", "avx2", "avx512"};

static uint64_t random_state = 1;

static uint64_t random_u64(void)
{
    return dms_mix_next(&random_state);
}

static void *must_alloc(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);

    if (!memory) {
        printf("Bail out! no memory for a test\n");
        exit(1);
    }
    memset(memory, 0, bytes);
    return memory;
}

/* ---- kernels ---- */

/* Lists of 64 word_ct rows, of which about `density` in 256 are set, against a loop over bits. */
static bool lists_rows(const struct dms_pair_kernels *kernels, size_t word_ct, unsigned density)
{
    uint64_t *words = must_alloc(word_ct * sizeof *words);
    size_t room = DMS_PANEL_LIST_ROOM(64 * word_ct), row_ct, at = 0;
    uint16_t *rows = must_alloc((room + 1) * sizeof *rows);
    bool right = true;

    for (size_t i = 0; i < 64 * word_ct; i++)
        words[i / 64] |= (uint64_t)(random_u64() % 256 < density) << i % 64;
    rows[room] = 0xa5a5;
    row_ct = kernels->list_rows(words, word_ct, rows);
    for (size_t i = 0; right && i < 64 * word_ct; i++)
        if (words[i / 64] >> i % 64 & 1)
            right = at < row_ct && rows[at++] == i + 1;
    right = right && row_ct == (at + 15) / 16 * 16 && rows[room] == 0xa5a5;
    for (; at < row_ct; at++)
        right &= rows[at] == 0;
    free(rows);
    free(words);
    return right;
}

/* Counts of listed rows, some of them twice, on top of counts that are near 2^32. */
static bool counts_rows(const struct dms_pair_kernels *kernels, size_t row_ct, unsigned density)
{
    uint64_t *panel = must_alloc((DMS_PANEL_ROWS + 1) * DMS_PANEL_WORDS * sizeof *panel);
    uint16_t *rows = must_alloc((row_ct + 1) * sizeof *rows);
    uint32_t *wanted = must_alloc(DMS_PANEL_COLUMNS * sizeof *wanted);
    uint32_t *counts = must_alloc((DMS_PANEL_COLUMNS + 1) * sizeof *counts);
    bool right;

    for (size_t i = DMS_PANEL_WORDS; i < (DMS_PANEL_ROWS + 1) * DMS_PANEL_WORDS; i++)
        for (size_t bit = 0; bit < 64; bit++)
            panel[i] |= (uint64_t)(random_u64() % 256 < density) << bit;
    for (size_t i = 0; i < row_ct; i++)
        rows[i] = (uint16_t)(random_u64() % (DMS_PANEL_ROWS + 1));
    for (size_t j = 0; j < DMS_PANEL_COLUMNS; j++)
        wanted[j] = counts[j] = (uint32_t)random_u64() | 0xfffff000;
    counts[DMS_PANEL_COLUMNS] = 77;
    for (size_t i = 0; i < row_ct; i++)
        for (size_t j = 0; j < DMS_PANEL_COLUMNS; j++)
            wanted[j] += panel[rows[i] * DMS_PANEL_WORDS + j / 64] >> j % 64 & 1;
    kernels->count_rows(panel, rows, row_ct, counts);
    right = memcmp(counts, wanted, DMS_PANEL_COLUMNS * sizeof *counts) == 0 &&
            counts[DMS_PANEL_COLUMNS] == 77;
    free(counts);
    free(wanted);
    free(rows);
    free(panel);
    return right;
}

static void test_variant(const struct dms_pair_kernels *kernels)
{
    static const size_t word_cts[] = {0, 1, 2, 5, 16, 127, 128};
    static const size_t row_cts[] = {0, 16, 32, 48, 240, 256, 272, 1024, 4080, 8176, 8192};
    static const unsigned densities[] = {0, 1, 25, 128, 255, 256};
    bool lists = true, counts = true;

    for (size_t d = 0; d < sizeof(densities) / sizeof(densities[0]); d++) {
        for (size_t k = 0; k < sizeof(word_cts) / sizeof(word_cts[0]); k++)
            lists &= lists_rows(kernels, word_cts[k], densities[d]);
        for (size_t k = 0; k < sizeof(row_cts) / sizeof(row_cts[0]); k++)
            counts &= counts_rows(kernels, row_cts[k], densities[d]);
    }
    ok(lists, "%s: rows with a bit set are listed in order, and zeros behind them", kernels->name);
    ok(counts, "%s: bits of listed rows are counted, and nothing else is written", kernels->name);
}

static void test_kernels(void)
{
    for (size_t v = 0; v < sizeof(variant_names) / sizeof(variant_names[0]); v++) {
        const struct dms_pair_kernels *kernels = dms_pair_kernels_by_name(variant_names[v]);

        if (kernels)
            test_variant(kernels);
        else
            skip(variant_names[v], "this machine cannot run it");
    }
    ok(dms_pair_kernels_by_name("none") == NULL, "there is no variant 'none'");
}

/* ---- matrices ---- */

enum kind { SUBSETS, SPARSE, UNEQUAL, DUPLICATES, CONSTANTS, KIND_CT };
static const char *const kind_names[KIND_CT] = {"random subsets", "few of many", "unequal rates",
                                                "duplicates", "constant columns"};

static bool draw_bit(enum kind kind, size_t row, size_t column, const struct dms_packed_rows *rows)
{
    uint64_t draw = random_u64() % 1000;

    switch (kind) {
    case SPARSE:
        return draw < 20;
    case UNEQUAL:
        return draw < (column % 3 == 0 ? 990u : column % 3 == 1 ? 10u : 400u);
    case DUPLICATES:
        return column % 4 == 0
                   ? draw < 500
                   : rows->columns[(column / 4 * 4) * rows->word_ct + row / 64] >> row % 64 & 1;
    case CONSTANTS:
        return column % 5 == 0 || (column % 5 != 1 && draw < 300);
    default:
        return draw < 500;
    }
}

static struct dms_packed_rows draw_rows(enum kind kind, size_t example_ct, size_t row_ct)
{
    struct dms_packed_rows rows = {
        .example_ct = example_ct, .row_ct = row_ct, .word_ct = (row_ct + 63) / 64};

    rows.columns = must_alloc(example_ct * rows.word_ct * sizeof *rows.columns);
    for (size_t k = 0; k < example_ct; k++)
        for (size_t i = 0; i < row_ct; i++)
            rows.columns[k * rows.word_ct + i / 64] |= (uint64_t)draw_bit(kind, i, k, &rows)
                                                       << i % 64;
    return rows;
}

static uint32_t pairs_of(const struct dms_packed_rows *rows, const uint64_t *row_words, size_t a,
                         size_t b)
{
    uint32_t count = 0;

    for (size_t w = 0; w < rows->word_ct; w++)
        count += (uint32_t)__builtin_popcountll(rows->columns[a * rows->word_ct + w] &
                                                rows->columns[b * rows->word_ct + w] &
                                                (row_words ? row_words[w] : UINT64_MAX));
    return count;
}

/* A band in the middle, of some of the columns, over rows of which some do not count, added in
 * blocks of several sizes. */
static void test_band(struct dms_pool *pool, size_t size, size_t first_tile, size_t end_tile)
{
    enum { EXAMPLE_CT = 1500, ROW_CT = 9000 };
    struct dms_packed_rows rows = draw_rows(SUBSETS, EXAMPLE_CT, ROW_CT);
    uint64_t *row_words = must_alloc(rows.word_ct * sizeof *row_words);
    uint32_t *examples = must_alloc(size * sizeof *examples);
    struct dms_pair_band band;
    bool right = true;
    int rc;

    for (size_t w = 0; w < rows.word_ct; w++)
        row_words[w] = random_u64() | random_u64();
    for (size_t k = 0; k < size; k++)
        examples[k] = (uint32_t)(random_u64() % EXAMPLE_CT);
    rc = dms_pair_band_create(size, first_tile, end_tile, ROW_CT, &band);
    for (size_t w = 0, word_ct = 1; rc == DMS_OK && w < rows.word_ct; w += word_ct, word_ct = 128) {
        struct dms_pair_block block = {.columns = rows.columns + w,
                                       .stride_words = rows.word_ct,
                                       .examples = examples,
                                       .row_words = row_words + w};

        word_ct = rows.word_ct - w < word_ct ? rows.word_ct - w : word_ct;
        block.word_ct = word_ct;
        rc = dms_pair_band_add(pool, &band, &block);
    }
    for (size_t a = first_tile * DMS_PAIR_TILE; a < size && a < end_tile * DMS_PAIR_TILE; a++)
        for (size_t b = a / DMS_PAIR_TILE * DMS_PAIR_TILE; b < size; b++)
            right &= *dms_pair_band_sums(&band, a, b) ==
                     pairs_of(&rows, row_words, examples[a], examples[b]);
    ok(rc == DMS_OK && right, "tiles %zu to %zu of %zu columns are counted over weighted rows",
       first_tile, end_tile, size);
    dms_pair_band_free(&band);
    free(examples);
    free(row_words);
    free(rows.columns);
}

/* A band of counts that were made elsewhere, of rectangles that end anywhere: element (a, b) of all
 * of them is a + 1000 b. */
static int add_rectangle(struct dms_pool *pool, struct dms_pair_band *band, const size_t range[4])
{
    size_t b_ct = range[3] - range[2];
    uint32_t *counts = must_alloc((range[1] - range[0]) * b_ct * sizeof *counts);
    struct dms_pair_rectangle rectangle = {range[0], range[1], range[2], range[3], counts};
    int rc;

    for (size_t a = range[0]; a < range[1]; a++)
        for (size_t b = range[2]; b < range[3]; b++)
            counts[(a - range[0]) * b_ct + b - range[2]] = (uint32_t)(a + 1000 * b);
    rc = dms_pair_band_add_rectangle(pool, band, &rectangle);
    free(counts);
    return rc;
}

static void test_rectangles(struct dms_pool *pool)
{
    enum { SIZE = 1100, FIRST_TILE = 3, END_TILE = 7 };
    static const size_t ranges[][4] = {
        {384, 500, 384, 1100}, {500, 896, 100, 620}, {500, 896, 620, 621}, {500, 896, 621, 1100}};
    struct dms_pair_band band;
    bool right = true;
    int rc = dms_pair_band_create(SIZE, FIRST_TILE, END_TILE, 0, &band);

    for (size_t i = 0; rc == DMS_OK && i < 2 * sizeof(ranges) / sizeof(ranges[0]); i++)
        rc = add_rectangle(pool, &band, ranges[i / 2]);
    for (size_t a = FIRST_TILE * DMS_PAIR_TILE; rc == DMS_OK && a < END_TILE * DMS_PAIR_TILE; a++)
        for (size_t b = a / DMS_PAIR_TILE * DMS_PAIR_TILE; b < SIZE; b++)
            right &= *dms_pair_band_sums(&band, a, b) == 2 * (a + 1000 * b);
    ok(rc == DMS_OK && right, "counts that were made elsewhere are added twice");
    dms_pair_band_free(&band);
}

static bool tile_is_right(const struct dms_pair_counts *counts, const struct dms_packed_rows *rows,
                          size_t tile_a, size_t tile_b)
{
    uint32_t *cells = must_alloc(DMS_PAIR_TILE_CELLS * sizeof *cells);
    bool right = dms_pair_counts_tile(counts, tile_a, tile_b, cells) == DMS_OK;

    for (size_t i = 0; i < DMS_PAIR_TILE; i++)
        for (size_t j = 0; j < DMS_PAIR_TILE; j++) {
            size_t a = tile_a * DMS_PAIR_TILE + i, b = tile_b * DMS_PAIR_TILE + j;
            bool inside = a < rows->example_ct && b < rows->example_ct;

            right &= cells[i * DMS_PAIR_TILE + j] == (inside ? pairs_of(rows, NULL, a, b) : 0);
        }
    free(cells);
    return right;
}

static bool gathers(const struct dms_pair_counts *counts, const struct dms_packed_rows *rows)
{
    enum { SIZE = 50 };
    uint32_t examples[SIZE], cells[SIZE];
    size_t a = random_u64() % rows->example_ct;
    bool right;

    for (size_t k = 0; k < SIZE; k++)
        examples[k] = (uint32_t)(random_u64() % rows->example_ct);
    examples[SIZE / 2] = (uint32_t)a;
    right = dms_pair_counts_gather(counts, a, SIZE, examples, cells) == DMS_OK;
    for (size_t k = 0; k < SIZE; k++)
        right &= cells[k] == pairs_of(rows, NULL, a, examples[k]);
    return right;
}

static void test_counts(struct dms_pool *pool, enum kind kind, size_t example_ct, size_t row_ct)
{
    struct dms_packed_rows rows = draw_rows(kind, example_ct, row_ct);
    struct dms_pair_counts *counts = NULL;
    size_t side = dms_pair_side(example_ct), examples_right = 0;
    bool right = true, gathered = true;

    if (!ok(dms_pair_counts_compute(pool, &rows, &counts) == DMS_OK, "%s: %zu of %zu are counted",
            kind_names[kind], row_ct, example_ct))
        diag("%s", dms_error_message());
    else {
        for (size_t a = 0; a < example_ct; a++)
            examples_right += dms_pair_counts_singles(counts)[a] == pairs_of(&rows, NULL, a, a);
        for (size_t a = 0; a < side; a++)
            for (size_t b = a; b < side; b++)
                right &= tile_is_right(counts, &rows, a, b);
        for (size_t k = 0; k < 20; k++)
            gathered &= gathers(counts, &rows);
        ok(right && examples_right == example_ct && dms_pair_counts_row_ct(counts) == row_ct &&
               dms_pair_counts_example_ct(counts) == example_ct,
           "%s: all tiles and singles are exact", kind_names[kind]);
        ok(gathered, "%s: counts are gathered in any order", kind_names[kind]);
    }
    dms_pair_counts_free(counts);
    free(rows.columns);
}

static void test_refusals(struct dms_pool *pool)
{
    struct dms_packed_rows rows = draw_rows(SUBSETS, 130, 64);
    struct dms_packed_rows many = {.example_ct = 1, .row_ct = UINT64_C(1) << 32};
    uint32_t *cells = must_alloc(DMS_PAIR_TILE_CELLS * sizeof *cells), beyond = 130;
    struct dms_pair_counts *counts = NULL;

    is_int(dms_pair_counts_compute(pool, &many, &counts), DMS_ERR_INVALID,
           "2^32 rows are too many");
    if (dms_pair_counts_compute(pool, &rows, &counts) == DMS_OK) {
        is_int(dms_pair_counts_tile(counts, 1, 0, cells), DMS_ERR_INVALID, "no tile is below");
        is_int(dms_pair_counts_tile(counts, 0, 2, cells), DMS_ERR_INVALID, "nor to the right");
        is_int(dms_pair_counts_gather(counts, 0, 1, &beyond, cells), DMS_ERR_INVALID,
               "there is no example 130 of 130");
    }
    dms_pair_counts_free(counts);
    free(cells);
    free(rows.columns);
}

/* ---- tiles ---- */

/* Deviations at the edges of each width, and counts that are as large as there are. */
static void test_widths(void)
{
    static const struct {
        uint32_t deviation;
        unsigned width;
    } cases[] = {{0, 1},
                 {127, 1},
                 {(uint32_t)-128, 1},
                 {128, 2},
                 {(uint32_t)-129, 2},
                 {32767, 2},
                 {32768, 4},
                 {(uint32_t)-32768, 2},
                 {(uint32_t)-32769, 4},
                 {1u << 31, 4}};
    uint32_t singles[2] = {4000000000u, 10}, offsets[2] = {3000000000u, 10};
    struct dms_pair_place place = {.row_ct = 2,
                                   .column_ct = 2,
                                   .row_offsets = offsets,
                                   .column_offsets = offsets,
                                   .center = 1000,
                                   .singles = singles};
    uint32_t *cells = must_alloc(DMS_PAIR_TILE_CELLS * sizeof *cells);
    uint32_t *back = must_alloc(DMS_PAIR_TILE_CELLS * sizeof *cells);
    uint8_t *bytes = must_alloc(DMS_PAIR_TILE_CELLS * DMS_PAIR_WIDTH_MAX);
    bool right = true;

    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        unsigned width;

        cells[0] = singles[0];
        cells[1] = cells[DMS_PAIR_TILE] = 3000000000u + 10 - 1000 + cases[k].deviation;
        cells[DMS_PAIR_TILE + 1] = singles[1];
        width = dms_pair_tile_width(&place, cells, DMS_PAIR_TILE);
        memset(bytes, 0xff, DMS_PAIR_TILE_CELLS * DMS_PAIR_WIDTH_MAX);
        memset(back, 0xff, DMS_PAIR_TILE_CELLS * sizeof *back);
        dms_pair_tile_encode(&place, width, cells, DMS_PAIR_TILE, bytes);
        dms_pair_tile_decode(&place, width, bytes, back);
        right &= width == cases[k].width &&
                 memcmp(cells, back, DMS_PAIR_TILE_CELLS * sizeof *cells) == 0;
    }
    ok(right, "each tile has the least width that holds it, and comes back");
    free(bytes);
    free(back);
    free(cells);
}

static void test_numbers(void)
{
    static const size_t example_cts[] = {1, 128, 129, 500, 21404};
    bool right = true;

    for (size_t k = 0; k < sizeof(example_cts) / sizeof(example_cts[0]); k++) {
        size_t side = dms_pair_side(example_cts[k]), number = 0;

        for (size_t a = 0; a < side; a++)
            for (size_t b = a; b < side; b++)
                right &= dms_pair_tile_index(side, a, b) == number++;
        right &= number == dms_pair_tile_ct(example_cts[k]);
    }
    ok(right, "tiles are numbered row by row in the upper triangle");
}

/* ---- row sets ---- */

enum { ID_CT = 40 };

/* The row set of the ids that are set. */
static struct dms_row_set row_set_of(const bool *ids, struct dms_id_range *ranges)
{
    struct dms_row_set set = {.ranges = ranges};

    for (uint64_t id = 0; id < ID_CT; id++) {
        if (!ids[id])
            continue;
        set.row_ct++;
        if (id > 0 && ids[id - 1])
            ranges[set.range_ct - 1].id_ct++;
        else
            ranges[set.range_ct++] = (struct dms_id_range){id, 1};
    }
    return set;
}

static bool subtracts(const struct dms_row_set *set, const struct dms_row_set *part,
                      const bool *wanted)
{
    struct dms_id_range *ranges = NULL;
    size_t range_ct = 0;
    bool left[ID_CT] = {false}, right;

    right = dms_row_set_subtract(set, part, &ranges, &range_ct) == DMS_OK;
    for (size_t r = 0; r < range_ct; r++) {
        right &= ranges[r].id_ct > 0;
        for (uint64_t k = 0; right && k < ranges[r].id_ct; k++)
            left[ranges[r].first_id + k] = true;
    }
    free(ranges);
    return right && memcmp(left, wanted, sizeof left) == 0;
}

static void test_row_sets(void)
{
    bool contained = true, subtracted = true;

    for (size_t trial = 0; trial < 2000; trial++) {
        bool ids[ID_CT], some[ID_CT], others[ID_CT], is_part = true;
        struct dms_id_range ranges[2][ID_CT];
        struct dms_row_set set, part;

        for (size_t id = 0; id < ID_CT; id++) {
            ids[id] = random_u64() % 4 != 0;
            some[id] = random_u64() % 3 == 0 && (ids[id] || random_u64() % 8 == 0);
            others[id] = ids[id] && !some[id];
            is_part &= ids[id] || !some[id];
        }
        set = row_set_of(ids, ranges[0]);
        part = row_set_of(some, ranges[1]);
        contained &= dms_row_set_contains(&set, &part) == is_part;
        if (is_part)
            subtracted &= subtracts(&set, &part, others);
    }
    ok(contained, "whether a row set contains another is seen");
    ok(subtracted, "the ids that are left are found");
}

/* ---- files ---- */

static const char path[] = "pairs_test.pairs";
static const uint8_t uuid[16] = "a store's uuid.";

static int write_counts(struct dms_pool *pool, const struct dms_packed_rows *rows)
{
    struct dms_pair_source source = dms_pair_source_of_rows(rows);
    struct dms_pair_build build = {.pool = pool, .source = &source};
    struct dms_id_range ranges[2] = {{7, rows->row_ct - 1}, {9999, 1}};
    struct dms_row_set set = {
        .range_ct = 2, .ranges = ranges, .row_ct = rows->row_ct, .digest = {11, 12}};
    struct dms_gram_description description = {
        .sequence = 5, .example_ct = rows->example_ct, .rows = &set};
    struct dms_gram_writer *writer = NULL;
    int rc = dms_gram_writer_create(path, &writer);

    memcpy(description.store_uuid, uuid, sizeof uuid);
    if (rc == DMS_OK)
        rc = dms_pairs_write(writer, &description, &build);
    dms_gram_writer_free(writer);
    return rc;
}

/* Opens the file and reads all of it; *right: what was read is right. */
static int read_counts(const struct dms_packed_rows *rows, bool *right)
{
    uint32_t *cells = must_alloc(DMS_PAIR_TILE_CELLS * sizeof *cells);
    size_t side = dms_pair_side(rows->example_ct);
    struct dms_pair_counts *counts = NULL;
    int rc = dms_pair_counts_open(path, uuid, &counts);

    for (size_t a = 0; rc == DMS_OK && a < side; a++)
        for (size_t b = a; rc == DMS_OK && b < side; b++)
            rc = dms_pair_counts_tile(counts, a, b, cells);
    *right = rc == DMS_OK;
    for (size_t a = 0; *right && a < side; a++)
        for (size_t b = a; *right && b < side; b++)
            *right = tile_is_right(counts, rows, a, b);
    *right =
        *right && gathers(counts, rows) && dms_pair_counts_rows(counts)->row_ct == rows->row_ct;
    dms_pair_counts_free(counts);
    free(cells);
    return rc;
}

/* Every byte of head and lists, and some of each tile. */
static void test_damage(const struct dms_packed_rows *rows, uint64_t file_bytes)
{
    uint64_t tiles_at = dms_pair_tiles_offset(rows->example_ct, 2);
    bool noticed = true, right;

    for (uint64_t at = 0; noticed && at < file_bytes; at += at < tiles_at ? 1 : 997) {
        int rc;

        noticed = flip(path, (long)at);
        rc = read_counts(rows, &right);
        noticed &= rc == DMS_ERR_CORRUPT || rc == DMS_ERR_VERSION || rc == DMS_ERR_INVALID;
        noticed &= strstr(dms_error_message(), path) != NULL && flip(path, (long)at);
        if (!noticed)
            diag("byte %" PRIu64 ": %d", at, rc);
    }
    ok(noticed, "damage at any byte is noticed, and the file is named");
    ok(read_counts(rows, &right) == DMS_OK && right, "without it all is good again");
}

/* Cut before it is opened, and while it is mapped: by a page, which only the access shows. */
static void test_cuts(const struct dms_packed_rows *rows, uint64_t file_bytes)
{
    static const uint64_t lengths[] = {0, 1, 127, 128, 1000, 20000};
    struct dms_pair_counts *counts = NULL;
    uint32_t *cells = must_alloc(DMS_PAIR_TILE_CELLS * sizeof *cells), last[2] = {299, 0};
    bool noticed = true, right;
    int rc = dms_pair_counts_open(path, uuid, &counts);

    ok(rc == DMS_OK && dms_pair_counts_tile(counts, 0, 0, cells) == DMS_OK &&
           dms_pair_counts_gather(counts, 3, 2, last, cells) == DMS_OK,
       "a file is opened and read");
    ok(truncate(path, 4096) == 0, "it is cut short");
    is_int(dms_pair_counts_tile(counts, 1, 2, cells), DMS_ERR_CORRUPT, "a tile that is gone");
    contains(dms_error_message(), "were cut off", "is told of");
    is_int(dms_pair_counts_tile(counts, 0, 0, cells), DMS_ERR_CORRUPT, "one that was checked, too");
    is_int(dms_pair_counts_gather(counts, 3, 2, last, cells), DMS_ERR_CORRUPT, "and single counts");
    dms_pair_counts_free(counts);
    for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++)
        noticed &=
            truncate(path, (off_t)lengths[k]) == 0 && read_counts(rows, &right) == DMS_ERR_CORRUPT;
    ok(noticed && truncate(path, (off_t)file_bytes) == 0, "no shorter file is taken");
    free(cells);
}

static void test_file(struct dms_pool *pool)
{
    struct dms_packed_rows rows = draw_rows(UNEQUAL, 300, 700);
    uint8_t other[16] = "another store's";
    struct dms_pair_counts *counts = NULL;
    struct dms_gram_writer *first = NULL, *second = NULL;
    struct stat file;
    bool right;

    if (!ok(write_counts(pool, &rows) == DMS_OK && stat(path, &file) == 0, "counts are written")) {
        diag("%s", dms_error_message());
        return;
    }
    ok(read_counts(&rows, &right) == DMS_OK && right, "they come back");
    is_int(dms_pair_counts_open(path, other, &counts), DMS_ERR_INVALID, "to no other store");
    is_int(dms_pair_counts_open("nowhere.pairs", uuid, &counts), DMS_ERR_NOT_FOUND,
           "nor from none");
    test_damage(&rows, (uint64_t)file.st_size);
    test_cuts(&rows, (uint64_t)file.st_size);
    is_int(dms_gram_writer_create(path, &first), DMS_OK, "somebody writes the file");
    is_int(dms_gram_writer_create(path, &second), DMS_ERR_BUSY, "somebody else has to wait");
    dms_gram_writer_free(first);
    ok(access("pairs_test.pairs.tmp", F_OK) != 0, "an unfinished file is taken away");
    remove(path);
    free(rows.columns);
}

int main(void)
{
    struct dms_pool *pool = NULL;

    test_kernels();
    test_widths();
    test_numbers();
    if (!ok(dms_pool_create(3, &pool) == DMS_OK, "threads"))
        return tap_done();
    test_rectangles(pool);
    test_band(pool, 1300, 0, 11);
    test_band(pool, 1300, 3, 6);
    test_band(pool, 100, 0, 1);
    for (int kind = 0; kind < KIND_CT; kind++)
        test_counts(pool, kind, 300, 700);
    test_counts(pool, SUBSETS, 640, 17000);
    test_counts(pool, UNEQUAL, 513, 40000);
    test_counts(pool, SUBSETS, 1, 1);
    test_counts(pool, SUBSETS, 2, 0);
    test_counts(pool, SUBSETS, 129, 65);
    test_refusals(pool);
    test_row_sets();
    test_file(pool);
    dms_pool_free(pool);
    return tap_done();
}
