/*
 * transpose_bits for any vector width: included by each x86 variant after it has defined
 *   bytes_vector: 32 or 64 bytes, one for each row;
 *   load_words(rows, offset): of every 16 rows the first two_words(rows, offset);
 *   shuffle(vector, order): bytes within each 16, by the same order for all;
 *   interleave_low_16, .._high_16, .._low_32, ...: unpacks as of the instruction set;
 *   sign_bits(vector): the highest bit of every byte;
 *   add_bytes(a, b).
 *
 * The words of 64 rows are regrouped until a vector holds the same byte of all rows. The highest
 * bits of those bytes are a word of a column; doubling the bytes brings up the next one.
 */
#ifndef DMS_KERNELS_X86_TRANSPOSE_BITS_H
#define DMS_KERNELS_X86_TRANSPOSE_BITS_H

#include "base/endian.h"

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define ROWS_PER_VECTOR sizeof(bytes_vector)
#define VECTORS_PER_BLOCK (64 / ROWS_PER_VECTOR)

/* The words of two rows at `offset`. */
static inline __m128i two_words(const uint8_t *const *rows, size_t offset)
{
    return _mm_set_epi64x((int64_t)dms_load_u64(rows[1] + offset),
                          (int64_t)dms_load_u64(rows[0] + offset));
}

/* bytes[j]: byte j of the words at `offset` of as many rows as a vector has bytes, in order. */
static inline void collect_bytes(const uint8_t *const *rows, size_t offset, bytes_vector bytes[8])
{
    const __m128i by_pairs = _mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
    bytes_vector pairs[8]; /* bytes 0 to 7 of two rows (in each 16 bytes) */
    bytes_vector fours[8]; /* even: bytes 0 to 3 of four rows; odd: bytes 4 to 7 */

#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        pairs[i] = shuffle(load_words(rows + 2 * i, offset), by_pairs);
#pragma GCC unroll 4
    for (size_t i = 0; i < 8; i += 2) {
        fours[i] = interleave_low_16(pairs[i], pairs[i + 1]);
        fours[i + 1] = interleave_high_16(pairs[i], pairs[i + 1]);
    }
#pragma GCC unroll 2
    for (size_t half = 0; half < 2; half++) {
        /* Two bytes each of rows 0 to 7, and of rows 8 to 15. */
        bytes_vector low[2] = {interleave_low_32(fours[half], fours[2 + half]),
                               interleave_low_32(fours[4 + half], fours[6 + half])};
        bytes_vector high[2] = {interleave_high_32(fours[half], fours[2 + half]),
                                interleave_high_32(fours[4 + half], fours[6 + half])};

        bytes[4 * half] = interleave_low_64(low[0], low[1]);
        bytes[4 * half + 1] = interleave_high_64(low[0], low[1]);
        bytes[4 * half + 2] = interleave_low_64(high[0], high[1]);
        bytes[4 * half + 3] = interleave_high_64(high[0], high[1]);
    }
}

/* columns[k]: bit k of the words at `offset` of 64 rows. */
static inline void transpose_block(const uint8_t *const rows[64], size_t offset,
                                   uint64_t columns[64])
{
    bytes_vector bytes[VECTORS_PER_BLOCK][8];

    for (size_t v = 0; v < VECTORS_PER_BLOCK; v++)
        collect_bytes(rows + v * ROWS_PER_VECTOR, offset, bytes[v]);
    for (size_t j = 0; j < 8; j++)
#pragma GCC unroll 8
        for (size_t bit = 8; bit-- > 0;) {
            uint64_t column = 0;

            for (size_t v = 0; v < VECTORS_PER_BLOCK; v++) {
                column |= (uint64_t)sign_bits(bytes[v][j]) << v * ROWS_PER_VECTOR;
                bytes[v][j] = add_bytes(bytes[v][j], bytes[v][j]);
            }
            columns[8 * j + bit] = column;
        }
}

static void transpose_bits(const uint8_t *masks, size_t row_ct, size_t row_stride_bytes,
                           size_t column_ct, uint64_t *columns, size_t column_stride)
{
    for (size_t row = 0; row < row_ct; row += 64, columns += column_stride) {
        size_t block_rows = row_ct - row < 64 ? row_ct - row : 64;
        uint64_t present = UINT64_MAX >> (64 - block_rows);
        const uint8_t *rows[64];
        size_t k;

        /* The last row stands in for rows that there are not, and is taken out again. */
        for (size_t i = 0; i < 64; i++)
            rows[i] = masks + (row + (i < block_rows ? i : block_rows - 1)) * row_stride_bytes;
        for (k = 0; k + 64 <= column_ct; k += 64)
            transpose_block(rows, k / 8, columns + k);
        if (k < column_ct) {
            uint64_t last[64];

            transpose_block(rows, k / 8, last);
            for (size_t i = 0; k + i < column_ct; i++)
                columns[k + i] = last[i];
        }
        for (k = 0; block_rows < 64 && k < column_ct; k++)
            columns[k] &= present;
    }
}

#endif
