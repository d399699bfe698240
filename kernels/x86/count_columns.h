/*
 * count_columns for any vector width: included by each x86 variant after it has defined
 *   vector, zero_vector(), all_bytes(value), load(from), store(to, vector);
 *   take_two(&digit, a, b): bit by bit, *digit + a + b = 2 * (the result) + (the new *digit);
 *   add_where(counters, bits, amount): adds `amount` (bytes) to byte i where bit i of `bits` is
 * set.
 *
 * A carry-save adder takes 16 rows at once: for each column the low four digits of the count so far
 * are kept bit-sliced (one vector of bits per digit), and only what carries out of them, worth 16
 * rows, is spread out and added to one byte per column. Before those bytes can overflow all goes to
 * `counts`.
 */
#ifndef DMS_KERNELS_X86_COUNT_COLUMNS_H
#define DMS_KERNELS_X86_COUNT_COLUMNS_H

#include <immintrin.h>
#include <string.h>

#define VECTOR_BYTES sizeof(vector)
#define VECTOR_BITS (8 * VECTOR_BYTES)
#define BLOCK_ROWS 16
#define MAX_BLOCKS 255 /* a counter takes one from each */

/* Bytes of a row that are counted together: 16 rows of them and their counters stay in L1. */
#define STRIP_BYTES 512
#define STRIP_VECTORS (STRIP_BYTES / VECTOR_BYTES)

/* The counts of VECTOR_BITS columns: 16 * counters + the number that the digits are. */
struct column_counter {
    vector digits[4];   /* bit k of digits[i]: digit i of column k */
    vector counters[8]; /* byte i of counters[j]: column VECTOR_BYTES * j + i */
};

static inline void count_block(struct column_counter *counter,
                               const uint8_t *const rows[BLOCK_ROWS], size_t offset)
{
    vector twos[2];
    vector fours[2];
    vector eights[2];
    uint8_t sixteens[VECTOR_BYTES];

#pragma GCC unroll 2 /* or the vectors go through memory */
    for (int i = 0; i < 2; i++) {
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            const uint8_t *const *four_rows = rows + 8 * i + 4 * j;

            twos[0] = take_two(&counter->digits[0], load(four_rows[0] + offset),
                               load(four_rows[1] + offset));
            twos[1] = take_two(&counter->digits[0], load(four_rows[2] + offset),
                               load(four_rows[3] + offset));
            fours[j] = take_two(&counter->digits[1], twos[0], twos[1]);
        }
        eights[i] = take_two(&counter->digits[2], fours[0], fours[1]);
    }
    store(sixteens, take_two(&counter->digits[3], eights[0], eights[1]));
#pragma GCC unroll 8
    for (size_t j = 0; j < 8; j++)
        counter->counters[j] =
            add_where(counter->counters[j], sixteens + j * (VECTOR_BYTES / 8), all_bytes(1));
}

/* Adds what was counted to counts[0 .. VECTOR_BITS-1]. */
static void flush_counter(const struct column_counter *counter, uint32_t *counts)
{
    uint8_t digits[4][VECTOR_BYTES];

    for (int i = 0; i < 4; i++)
        store(digits[i], counter->digits[i]);
    for (size_t j = 0; j < 8; j++) {
        uint8_t sixteens[VECTOR_BYTES];
        uint8_t units[VECTOR_BYTES];
        vector low = zero_vector();

        for (int i = 0; i < 4; i++)
            low = add_where(low, digits[i] + j * (VECTOR_BYTES / 8), all_bytes((uint8_t)(1 << i)));
        store(sixteens, counter->counters[j]);
        store(units, low);
        for (size_t k = 0; k < VECTOR_BYTES; k += 8) {
            __m256i *eight_counts = (__m256i *)(void *)(counts + j * VECTOR_BYTES + k);
            __m256i high =
                _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(void *)(sixteens + k)));
            __m256i sum = _mm256_add_epi32(
                _mm256_slli_epi32(high, 4),
                _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(void *)(units + k))));

            _mm256_storeu_si256(eight_counts,
                                _mm256_add_epi32(_mm256_loadu_si256(eight_counts), sum));
        }
    }
}

/* Counts up to MAX_BLOCKS * BLOCK_ROWS rows of vector_ct <= STRIP_VECTORS whole vectors. */
static void count_strip(const uint8_t *bits, size_t row_ct, size_t row_stride, size_t vector_ct,
                        uint32_t *counts)
{
    static const uint8_t zeros[STRIP_BYTES]; /* stands in for the rows that the last block lacks */
    struct column_counter counters[STRIP_VECTORS];

    memset(counters, 0, vector_ct * sizeof(counters[0]));
    for (size_t row = 0; row < row_ct; row += BLOCK_ROWS) {
        const uint8_t *rows[BLOCK_ROWS];

        for (size_t i = 0; i < BLOCK_ROWS; i++)
            rows[i] = row + i < row_ct ? bits + (row + i) * row_stride : zeros;
        for (size_t v = 0; v < vector_ct; v++)
            count_block(&counters[v], rows, v * VECTOR_BYTES);
    }
    for (size_t v = 0; v < vector_ct; v++)
        flush_counter(&counters[v], counts + v * VECTOR_BITS);
}

/* The same for fewer columns than fill a vector: works on padded copies of the rows. */
static void count_rest(const uint8_t *bits, size_t row_ct, size_t row_stride, size_t bit_ct,
                       uint32_t *counts)
{
    uint8_t padded[BLOCK_ROWS][VECTOR_BYTES] = {{0}};
    uint32_t padded_counts[VECTOR_BITS] = {0};
    const uint8_t *rows[BLOCK_ROWS];
    struct column_counter counter;

    memset(&counter, 0, sizeof(counter));
    for (size_t i = 0; i < BLOCK_ROWS; i++)
        rows[i] = padded[i];
    for (size_t row = 0; row < row_ct; row += BLOCK_ROWS) {
        size_t block_rows = row_ct - row < BLOCK_ROWS ? row_ct - row : BLOCK_ROWS;

        for (size_t i = 0; i < block_rows; i++)
            memcpy(padded[i], bits + (row + i) * row_stride, (bit_ct + 7) / 8);
        if (block_rows < BLOCK_ROWS)
            memset(padded[block_rows], 0, (BLOCK_ROWS - block_rows) * VECTOR_BYTES);
        count_block(&counter, rows, 0);
    }
    flush_counter(&counter, padded_counts);
    for (size_t k = 0; k < bit_ct; k++)
        counts[k] += padded_counts[k];
}

static void count_columns(const uint8_t *bits, size_t row_ct, size_t row_stride, size_t bit_ct,
                          uint32_t *counts)
{
    const size_t max_rows = MAX_BLOCKS * BLOCK_ROWS;
    size_t vector_ct = bit_ct / VECTOR_BITS;
    size_t counted_bits = vector_ct * VECTOR_BITS;

    for (size_t first = 0; first < row_ct; first += max_rows) {
        size_t part_rows = row_ct - first < max_rows ? row_ct - first : max_rows;
        const uint8_t *part = bits + first * row_stride;

        for (size_t v = 0; v < vector_ct; v += STRIP_VECTORS) {
            size_t strip_vectors = vector_ct - v < STRIP_VECTORS ? vector_ct - v : STRIP_VECTORS;

            count_strip(part + v * VECTOR_BYTES, part_rows, row_stride, strip_vectors,
                        counts + v * VECTOR_BITS);
        }
        if (counted_bits < bit_ct)
            count_rest(part + counted_bits / 8, part_rows, row_stride, bit_ct - counted_bits,
                       counts + counted_bits);
    }
}

#endif
