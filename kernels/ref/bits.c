/*
 * Packed bits in portable C: packing, unpacking, counting. Eight bytes at a time travel in a 64-bit
 * integer, loaded little-endian so that byte k of memory is byte k of the integer everywhere.
 */
#include "base/endian.h"
#include "kernels/variants.h"

#define LOWEST_BITS UINT64_C(0x0101010101010101)  /* bit 0 of each byte */
#define HIGHEST_BITS UINT64_C(0x8080808080808080) /* bit 7 of each byte */
#define DIAGONAL UINT64_C(0x8040201008040201)     /* bit k of byte k */

/* Rows that can be counted in one byte per column. */
#define BYTE_COUNTER_ROWS 255

/* Bytes of a row that are counted together: the counters take 8 times as much, and stay in L1. */
#define STRIP_BYTES 512

/* Byte k of the result is bit k of `byte`, as 0 or 1. */
static uint64_t spread_bits(uint8_t byte)
{
    uint64_t diagonal = byte * LOWEST_BITS & DIAGONAL;

    return ((diagonal + ~HIGHEST_BITS) & HIGHEST_BITS) >> 7;
}

/* Bit k of the result is set if byte k of `bytes` is not zero. */
static uint8_t gather_bits(uint64_t bytes)
{
    uint64_t nonzero = ((((bytes & ~HIGHEST_BITS) + ~HIGHEST_BITS) | bytes) & HIGHEST_BITS) >> 7;

    /* The product moves bit 8k to bit 56 + k. */
    return (uint8_t)(nonzero * UINT64_C(0x0102040810204080) >> 56);
}

uint8_t dms_ref_pack_bits(const uint8_t *bytes, size_t bit_ct, uint8_t *bits)
{
    uint64_t seen = 0;
    uint8_t last = 0;
    uint8_t last_seen = 0;
    size_t k;

    for (k = 0; k + 8 <= bit_ct; k += 8) {
        uint64_t eight = dms_load_u64(bytes + k);

        seen |= eight;
        bits[k >> 3] = gather_bits(eight);
    }
    for (size_t tail = k; tail < bit_ct; tail++) {
        last_seen |= bytes[tail];
        last |= (uint8_t)((bytes[tail] != 0) << (tail & 7));
    }
    if (k < bit_ct)
        bits[k >> 3] = last;
    seen |= seen >> 32;
    seen |= seen >> 16;
    seen |= seen >> 8;
    return (uint8_t)(seen | last_seen);
}

void dms_ref_unpack_bits(const uint8_t *bits, size_t bit_ct, uint8_t *bytes)
{
    size_t k;

    for (k = 0; k + 8 <= bit_ct; k += 8)
        dms_store_u64(bytes + k, spread_bits(bits[k >> 3]));
    for (; k < bit_ct; k++)
        bytes[k] = bits[k >> 3] >> (k & 7) & 1;
}

uint64_t dms_ref_popcount(const uint8_t *bits, size_t byte_ct)
{
    uint64_t count = 0;
    size_t i;

    for (i = 0; i + 8 <= byte_ct; i += 8)
        count += (uint64_t)__builtin_popcountll(dms_load_u64(bits + i));
    for (; i < byte_ct; i++)
        count += (uint64_t)__builtin_popcount(bits[i]);
    return count;
}

void dms_ref_count_columns(const uint8_t *bits, size_t row_ct, size_t row_stride, size_t bit_ct,
                           uint32_t *counts)
{
    size_t byte_ct = bit_ct / 8 + (bit_ct % 8 != 0);

    for (size_t start = 0; start < byte_ct; start += STRIP_BYTES) {
        size_t strip_bytes = byte_ct - start < STRIP_BYTES ? byte_ct - start : STRIP_BYTES;
        size_t row = 0;

        while (row < row_ct) {
            size_t end = row_ct - row < BYTE_COUNTER_ROWS ? row_ct : row + BYTE_COUNTER_ROWS;
            uint64_t counters[STRIP_BYTES] = {0}; /* byte k of [i]: column 8 (start + i) + k */

            for (; row < end; row++)
                for (size_t i = 0; i < strip_bytes; i++)
                    counters[i] += spread_bits(bits[row * row_stride + start + i]);
            for (size_t k = 0; k < strip_bytes * 8 && start * 8 + k < bit_ct; k++)
                counts[start * 8 + k] += (uint8_t)(counters[k >> 3] >> (k & 7) * 8);
        }
    }
}
