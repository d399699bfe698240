/*
 * The order of an epoch: a pure function from (rows, order, seed, epoch, position) to a row, that
 * needs no list of rows. An epoch is cut into windows of blocks (dms_row_block), read one after the
 * other: a window of one block for sequential order, some shuffled blocks for quasi-random order,
 * all blocks for random order. Within a window rows are shuffled by a keyed permutation that is
 * computed, not stored, so that any position can be worked out at once, by any thread.
 */
#ifndef DMS_READER_ORDER_H
#define DMS_READER_ORDER_H

#include "reader/row_table.h"

/* A permutation of 0 .. count - 1 chosen by a key: a Feistel network on pairs (x, y), x < width,
 * y < height, whose results beyond count are put in again (Black, Rogaway 2002). */
struct dms_permutation {
    uint64_t count;
    uint64_t width, height; /* width x height >= count */
    uint64_t key;
};
struct dms_permutation dms_permutation_make(uint64_t count, uint64_t key);
uint64_t dms_permutation_at(const struct dms_permutation *permutation, uint64_t index);

struct dms_epoch_order {
    const struct dms_row_table *table;
    enum dms_order kind;
    uint64_t seed;
    size_t window_blocks; /* blocks of a window, the last one of an epoch has fewer */
};

/* A part of an epoch: positions first .. first + row_ct - 1. */
struct dms_order_window {
    uint64_t epoch;
    uint64_t number; /* in the epoch */
    uint64_t first;
    uint64_t row_ct;
    size_t block_ct;
    const size_t *blocks;   /* of the table; NULL: 0 .. block_ct - 1 */
    const uint64_t *starts; /* block_ct + 1: rows of the window before each block */
    bool shuffled;
    struct dms_permutation rows;
};

/* What windows of one order need to be filled in: window_blocks and window_blocks + 1 numbers. Not
 * used for random order. */
struct dms_window_space {
    size_t *blocks;
    uint64_t *starts;
};

/* The window that has `position` of `epoch`; position < rows of the table. */
void dms_order_find(const struct dms_epoch_order *order, uint64_t epoch, uint64_t position,
                    struct dms_window_space space, struct dms_order_window *window);

/* The window after `before`: of the next epoch, when that was the last one. */
void dms_order_next(const struct dms_epoch_order *order, const struct dms_order_window *before,
                    struct dms_window_space space, struct dms_order_window *window);

/* The row at a position of the window: *block of the window, and the how-manieth of the rows asked
 * for in that block it is. */
void dms_order_row(const struct dms_order_window *window, uint64_t position, size_t *block,
                   uint32_t *kept);

static inline size_t dms_window_block(const struct dms_order_window *window, size_t block)
{
    return window->blocks ? window->blocks[block] : block;
}

#endif
