/*
 * Rows of bits turned into words of 64 rows each, in portable C.
 */
#include "base/endian.h"
#include "kernels/lane_variants.h"

/* Transposes 64 x 64 bits: bit i of words[k] is exchanged with bit k of words[i], by exchanging
 * blocks of 32 x 32 bits, then those of 16 x 16 within each, and so on. */
static void transpose_words(uint64_t words[64])
{
    uint64_t low_halves = UINT64_C(0x00000000ffffffff); /* the lower half of each block's bits */

    for (unsigned size = 32; size > 0; size /= 2, low_halves ^= low_halves << size)
        for (unsigned i = 0; i < 64; i = (i + size + 1) & ~size) {
            uint64_t exchanged = (words[i] >> size ^ words[i + size]) & low_halves;

            words[i] ^= exchanged << size;
            words[i + size] ^= exchanged;
        }
}

void dms_ref_transpose_bits(const uint8_t *masks, size_t row_ct, size_t row_stride_bytes,
                            size_t column_ct, uint64_t *columns, size_t column_stride)
{
    for (size_t row = 0; row < row_ct; row += 64, columns += column_stride) {
        size_t block_rows = row_ct - row < 64 ? row_ct - row : 64;
        const uint8_t *block = masks + row * row_stride_bytes;

        for (size_t k = 0; k < column_ct; k += 64) {
            size_t block_columns = column_ct - k < 64 ? column_ct - k : 64;
            uint64_t words[64];

            for (size_t i = 0; i < 64; i++)
                words[i] = i < block_rows ? dms_load_u64(block + i * row_stride_bytes + k / 8) : 0;
            transpose_words(words);
            for (size_t j = 0; j < block_columns; j++)
                columns[k + j] = words[j];
        }
    }
}
