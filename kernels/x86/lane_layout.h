/*
 * How the x86 variants of the lane kernels cut a word of 64 bits into fields, each of which has a
 * table of subset sums, and into what blocks they cut their work.
 *
 * A layout is a list of FIELD(part, entry, position, width): the table of the field of `width` bits
 * at `position` begins at entry `entry` of the tables; its sum goes to part sum `part` (two chains
 * of additions, so that none waits for the one before).
 */
#ifndef DMS_KERNELS_X86_LANE_LAYOUT_H
#define DMS_KERNELS_X86_LANE_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

/* 12 additions a word, 512 sums. */
#define NARROW_LAYOUT(FIELD) \
    FIELD(0, 0, 0, 6)        \
    FIELD(1, 64, 6, 6)       \
    FIELD(0, 128, 12, 6)     \
    FIELD(1, 192, 18, 6)     \
    FIELD(0, 256, 24, 5)     \
    FIELD(1, 288, 29, 5)     \
    FIELD(0, 320, 34, 5)     \
    FIELD(1, 352, 39, 5)     \
    FIELD(0, 384, 44, 5)     \
    FIELD(1, 416, 49, 5)     \
    FIELD(0, 448, 54, 5)     \
    FIELD(1, 480, 59, 5)

/* 10 additions a word, 896 sums. */
#define WIDE_LAYOUT(FIELD) \
    FIELD(0, 0, 0, 7)      \
    FIELD(1, 128, 7, 7)    \
    FIELD(0, 256, 14, 7)   \
    FIELD(1, 384, 21, 7)   \
    FIELD(0, 512, 28, 6)   \
    FIELD(1, 576, 34, 6)   \
    FIELD(0, 640, 40, 6)   \
    FIELD(1, 704, 46, 6)   \
    FIELD(0, 768, 52, 6)   \
    FIELD(1, 832, 58, 6)

enum {
    ENTRY_CT_MAX = 896, /* of the tables of a layout */
    WORDS_PER_LINE = 8, /* of a row: what one cache line holds */
    PREFETCHED_ROWS = 32,
    ROWS_PER_BLOCK = 2048, /* their products and the words of a line stay in L2 */
};

/* The bytes from the first entry of a field's table to the one for `word`. */
static inline size_t field_offset(uint64_t word, unsigned position, unsigned width,
                                  size_t entry_bytes)
{
    uint64_t mask = ((UINT64_C(1) << width) - 1) * entry_bytes;
    unsigned rotation = position - (unsigned)__builtin_ctzll(entry_bytes);

    /* One instruction with a constant count: the field moves to where it counts whole entries. */
    return (word >> (rotation & 63) | word << (-rotation & 63)) & mask;
}

static inline size_t at_most(size_t count, size_t limit)
{
    return count < limit ? count : limit;
}

#endif
