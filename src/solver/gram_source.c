/*
 * The masks of models of a snapshot as blocks of packed columns: batches of a reader, put together
 * until a block is full.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "dmstore/reader.h"
#include "solver/gram.h"
#include "solver/pair_build.h"
#include "solver/pass.h"

#define BATCH_WORDS (DMS_PASS_ROWS / 64)

/* Batches that the reader prepares ahead, and what it keeps of a model. */
#define SLOT_CT 3
#define ROW_TABLE_BYTES 64

/* A pass. */
struct pass {
    struct dms_gram_source *rows;
    void *taker;
    int (*take)(void *taker, const struct dms_pair_block *block);
    size_t example_ct, word_ct; /* of the block so far */
};

uint64_t dms_gram_source_bytes(dms_snapshot *snapshot, uint64_t row_ct)
{
    const struct dms_schema *schema = dms_snapshot_schema(snapshot);
    uint64_t mask_bytes = schema->example_ct / 8 + 64;
    uint64_t batch_bytes = SLOT_CT * DMS_PASS_ROWS * 2 * mask_bytes;

    return batch_bytes + 2 * schema->chunk_rows * mask_bytes + ROW_TABLE_BYTES * row_ct;
}

/* Hands over the block, if there is one. */
static int hand_over(struct pass *pass)
{
    struct dms_gram_source *rows = pass->rows;
    struct dms_pair_block block = {
        .word_ct = pass->word_ct, .columns = rows->columns, .stride_words = rows->block_words};

    pass->word_ct = 0;
    if (rows->holds_rows && block.word_ct > 0)
        rows->held_words = block.word_ct;
    return block.word_ct > 0 ? pass->take(pass->taker, &block) : DMS_OK;
}

/* Eight words of a column fill a cache line: as many are written one after the other. */
static void copy_columns(const struct dms_batch *batch, const struct pass *pass, size_t word_ct)
{
    size_t example_ct = pass->example_ct, stride_words = pass->rows->block_words;
    uint64_t *columns = pass->rows->columns + pass->word_ct;

    for (size_t k = 0; k < example_ct; k++)
        for (size_t w = 0; w < word_ct; w++)
            columns[k * stride_words + w] = batch->mask_columns[w * example_ct + k];
}

static int report(const struct dms_gram_source *rows)
{
    if (rows->progress &&
        rows->progress(rows->progress_context, rows->done_ct, rows->row_ct * rows->visit_ct))
        return dms_fail(DMS_ERR_INTERRUPTED, "interrupted: no counts were kept");
    return DMS_OK;
}

static int take_batch(struct pass *pass, const struct dms_batch *batch)
{
    struct dms_gram_source *rows = pass->rows;
    size_t word_ct = ((size_t)batch->row_ct + 63) / 64;
    int rc = DMS_OK;

    copy_columns(batch, pass, word_ct);
    pass->word_ct += word_ct;
    rows->done_ct += batch->row_ct;
    if (pass->word_ct + BATCH_WORDS > rows->block_words)
        rc = hand_over(pass);
    return rc < 0 ? rc : report(rows);
}

/* Hands over the rows that are held. */
static int visit_held(struct pass *pass)
{
    int rc;

    pass->word_ct = pass->rows->held_words;
    pass->rows->done_ct += pass->rows->row_ct;
    rc = hand_over(pass);
    return rc < 0 ? rc : report(pass->rows);
}

static int open_reader(const struct dms_gram_source *rows, dms_reader **reader)
{
    struct dms_reader_options options;

    dms_reader_options_init(&options);
    options.ids = rows->ranges;
    options.id_range_ct = rows->range_ct;
    options.batch_rows = DMS_PASS_ROWS;
    options.masks = false;
    options.mask_columns = true;
    options.slot_ct = SLOT_CT;
    return dms_reader_open(rows->snapshot, &options, reader);
}

static int visit(void *context, void *taker,
                 int (*take)(void *taker, const struct dms_pair_block *block))
{
    struct dms_gram_source *rows = context;
    struct pass pass = {.rows = rows, .taker = taker, .take = take};
    const struct dms_batch *batch;
    dms_reader *reader = NULL;
    int rc = DMS_OK;

    if (rows->row_ct == 0)
        return DMS_OK;
    if (rows->held_words > 0)
        return visit_held(&pass);
    pass.example_ct = (size_t)dms_snapshot_schema(rows->snapshot)->example_ct;
    rc = open_reader(rows, &reader);
    while (rc == DMS_OK && (rc = dms_reader_next(reader, &batch)) == DMS_OK) {
        rc = take_batch(&pass, batch);
        dms_reader_release(reader, batch);
    }
    dms_reader_close(reader);
    return rc == DMS_END ? hand_over(&pass) : rc;
}

int dms_gram_source_begin(struct dms_gram_source *rows, struct dms_pair_source *source)
{
    size_t example_ct = (size_t)dms_snapshot_schema(rows->snapshot)->example_ct, bytes;

    if (dms_mul_overflow(example_ct, rows->block_words * sizeof(uint64_t), &bytes))
        return dms_fail(DMS_ERR_NO_MEMORY, "a block of %zu columns is too large", example_ct);
    rows->columns = dms_alloc_aligned(64, bytes);
    if (!rows->columns)
        return DMS_ERR_NO_MEMORY;
    *source = (struct dms_pair_source){
        .example_ct = example_ct, .row_ct = rows->row_ct, .visit = visit, .context = rows};
    return DMS_OK;
}

void dms_gram_source_end(struct dms_gram_source *rows)
{
    free(rows->columns);
    rows->columns = NULL;
    rows->held_words = 0;
}
