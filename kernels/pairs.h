/*
 * Kernels for counting how often two columns of a 0/1 matrix are set together.
 *
 * The count of columns a and b is the count of b over the rows that have a. So the rows that have a
 * are listed once, and the bits of these rows are added up for a panel of 512 columns b at a time,
 * in counters that lie across the words: bit j of plane p is bit p of the counter of column j. A
 * carry-save adder takes three words of one weight to two (Harley and Seal; Warren, Hacker's
 * Delight, 2nd ed., section 5-1): 5 operations a row, 2 with a three-input instruction, and rows
 * without a cost nothing. Intersecting columns and counting bits takes 6 to 9 for every row.
 *
 * All variants give the same numbers, exactly. No state: any number of threads may call them.
 */
#ifndef DMS_KERNELS_PAIRS_H
#define DMS_KERNELS_PAIRS_H

#include <stddef.h>
#include <stdint.h>

#define DMS_PANEL_COLUMNS 512
#define DMS_PANEL_WORDS (DMS_PANEL_COLUMNS / 64) /* of a row */

/* Rows that one call may list: a panel of as many stays in the second-level cache. */
#define DMS_PANEL_ROWS 8192

/* The room that a list of so many rows needs. */
#define DMS_PANEL_LIST_ROOM(row_ct) ((row_ct) + 24)

struct dms_pair_kernels {
    const char *name; /* "ref", "avx2" or "avx512" */

    /*
     * Lists the bits that are set in word_ct words, bit i & 63 of word i >> 6 as i + 1, in
     * increasing order, and then 0 until their number is a multiple of 16; returns that number.
     * word_ct is DMS_PANEL_ROWS / 64 at most; `rows` has DMS_PANEL_LIST_ROOM(64 word_ct) elements,
     * of which those behind the list become anything.
     */
    size_t (*list_rows)(const uint64_t *words, size_t word_ct, uint16_t *rows);

    /*
     * counts[j] += the number of listed rows whose bit j is set, for j < DMS_PANEL_COLUMNS. Row r
     * is the DMS_PANEL_WORDS words at panel + r DMS_PANEL_WORDS, 64-byte aligned, bit j & 63 of
     * word j >> 6; row 0 is zero. row_ct is a multiple of 16, DMS_PANEL_ROWS + 15 at most. Rows
     * may repeat; sums wrap at 2^32.
     */
    void (*count_rows)(const uint64_t *panel, const uint16_t *rows, size_t row_ct,
                       uint32_t *counts);
};

/* For this machine, or as DMS_KERNELS says; see dms_kernels_get. */
const struct dms_pair_kernels *dms_pair_kernels_get(void);
const struct dms_pair_kernels *dms_pair_kernels_by_name(const char *name);

#endif
