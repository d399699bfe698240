/*
 * The inner loops: pure functions on pointers and sizes, in one table per instruction set.
 *
 * kernels/ref defines what each does, in portable C; every other variant gives the same bytes and
 * the same numbers, exactly (no tolerance). For all of them: any size, zero included; any alignment
 * of bits and values (float16 and float32 ones too), natural alignment of counts and sums; only
 * what the contract names is read and written; inputs and outputs do not overlap; no state, so any
 * number of threads may call them. Bit k of packed bits is bit k & 7 of byte k >> 3. Values of more
 * than one byte are in the machine's own byte order.
 */
#ifndef DMS_KERNELS_KERNELS_H
#define DMS_KERNELS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

__extension__ typedef __int128 dms_int128;
__extension__ typedef unsigned __int128 dms_uint128;

/*
 * Sums of float16 values without rounding: each finite float16 is a multiple of 2^-24 below 2^16,
 * so the fields hold more than 2^46 of them.
 */
struct dms_exact_sum {
    dms_int128 sum;         /* of the finite values, in units of 2^-24 */
    dms_uint128 square_sum; /* of the squares of the finite values, in units of 2^-48 */
    uint64_t finite_ct;
    uint64_t nonfinite_ct; /* infinities and NaNs: counted and otherwise ignored */
};

struct dms_kernels {
    /* "ref", "avx2" or "avx512" */
    const char *name;

    /*
     * Sets bit k of `bits` to (bytes[k] != 0). bytes: bit_ct; bits: (bit_ct + 7) / 8 bytes, unused
     * bits of the last one zero. Returns the OR of all input bytes: <= 1 if they were 0 and 1 only.
     */
    uint8_t (*pack_bits)(const uint8_t *bytes, size_t bit_ct, uint8_t *bits);

    /* The inverse: bytes[k] = bit k, as 0 or 1, for k < bit_ct. */
    void (*unpack_bits)(const uint8_t *bits, size_t bit_ct, uint8_t *bytes);

    /* The number of ones in byte_ct bytes. */
    uint64_t (*popcount)(const uint8_t *bits, size_t byte_ct);

    /*
     * counts[k] += the number of rows whose bit k is set, for k < bit_ct. Row i is the (bit_ct + 7)
     * / 8 bytes at bits + i * row_stride (in bytes). The sums must stay below 2^32.
     */
    void (*count_columns)(const uint8_t *bits, size_t row_ct, size_t row_stride, size_t bit_ct,
                          uint32_t *counts);

    /*
     * Byte-plane split: planes[p * value_ct + i] = byte p (in memory order) of value i. value_size
     * is 2 or 4; both sides have value_ct * value_size bytes.
     */
    void (*split_bytes)(const uint8_t *values, size_t value_ct, size_t value_size, uint8_t *planes);

    /* The inverse of split_bytes. */
    void (*merge_bytes)(const uint8_t *planes, size_t value_ct, size_t value_size, uint8_t *values);

    /*
     * Rounds to the nearest float16, ties to even; subnormals, zeros' signs and infinities as in
     * IEEE 754; a NaN becomes a quiet NaN with the sign and the upper bits of the payload. Converts
     * all n values and returns the index of the first finite one that became an infinity, n if none
     * did.
     */
    size_t (*f32_to_f16)(const float *from, size_t n, uint16_t *to);

    /* Exact; signalling NaNs become quiet. */
    void (*f16_to_f32)(const uint16_t *from, size_t n, float *to);

    /*
     * Adds column_ct columns of float16 values to sums[0 .. column_ct-1], exactly. Row i starts at
     * values + i * row_stride_values; row_ct * column_ct < 2^46.
     */
    void (*sum_f16)(const uint16_t *values, size_t row_ct, size_t row_stride_values,
                    size_t column_ct, struct dms_exact_sum *sums);
};

/*
 * The table for this machine: the widest variant it supports, or the one that the environment
 * variable DMS_KERNELS names if that exists and is supported (`name` tells which it became). Chosen
 * at the first call and the same ever after.
 */
const struct dms_kernels *dms_kernels_get(void);

/* The variant called `name`; NULL when there is none or this machine cannot run it. */
const struct dms_kernels *dms_kernels_by_name(const char *name);

/*
 * Adds one row of column_ct values to the sums (sign 1) or takes one away that was added before
 * (sign -1): what sum_f16 does, for the rows that come and go one by one.
 */
void dms_sum_f16_row(const uint16_t *values, size_t column_ct, int sign,
                     struct dms_exact_sum *sums);

#endif
