/*
 * How the x86 variants of the lane kernels cut a word of 64 bits into fields, each of which has a
 * table of subset sums, and into what blocks they cut their work.
 */
#ifndef DMS_KERNELS_X86_LANE_LAYOUT_H
#define DMS_KERNELS_X86_LANE_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

/* Bits position .. position + width - 1 of a word. */
struct field {
    unsigned position, width;
};

struct layout {
    size_t field_ct;
    struct field fields[12];
};

/* 512 sums and 12 additions a word; 1,024 sums and 10 additions a word. */
static const struct layout narrow = {
    12,
    {{0, 6},
     {6, 6},
     {12, 6},
     {18, 6},
     {24, 5},
     {29, 5},
     {34, 5},
     {39, 5},
     {44, 5},
     {49, 5},
     {54, 5},
     {59, 5}},
};
static const struct layout wide = {
    10,
    {{0, 8}, {8, 8}, {16, 6}, {22, 6}, {28, 6}, {34, 6}, {40, 6}, {46, 6}, {52, 6}, {58, 6}},
};

enum {
    ENTRY_CT_MAX = 1024,      /* of the tables of a layout */
    WIDE_WORD_CT = 1024,      /* from so many words on, the wide layout is worth its sums */
    WORDS_PER_LINE = 8,       /* of a row: what one cache line holds */
    ROWS_PER_BLOCK = 2048,    /* their products and the words of a line stay in L2 */
    COLUMNS_PER_BLOCK = 4096, /* their sums stay in L2 */
};

/* The bytes from the first entry of the field's table to the one for `word`. */
static inline size_t field_offset(uint64_t word, struct field field, size_t entry_bytes)
{
    uint64_t mask = ((UINT64_C(1) << field.width) - 1) * entry_bytes;
    unsigned rotation = field.position - (unsigned)__builtin_ctzll(entry_bytes);

    /* One instruction with a constant count: the field moves to where it counts whole entries. */
    return (word >> (rotation & 63) | word << (-rotation & 63)) & mask;
}

static inline size_t at_most(size_t count, size_t limit)
{
    return count < limit ? count : limit;
}

#endif
