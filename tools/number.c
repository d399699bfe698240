/*
 * Loads numbers from .npy values and stores them as column values; see number.h.
 */
#include "number.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <dmstore/convert.h>

#define TWO_TO_63 0x1p63
#define TWO_TO_64 0x1p64

/* ---- loading ---- */

static struct number load_integer(const struct dms_npy *npy, const uint8_t *value)
{
    unsigned bits = 8 * npy->item_bytes;
    uint64_t integer = 0;

    for (uint32_t i = 0; i < npy->item_bytes; i++)
        integer |= (uint64_t)value[i] << 8 * i;
    if (npy->kind == 'i' && integer >> (bits - 1)) {
        uint64_t sign_bits = bits < 64 ? UINT64_MAX << bits : 0;

        return (struct number){.kind = NUMBER_NEGATIVE,
                               .value.negative = (int64_t)(integer | sign_bits)};
    }
    return (struct number){.kind = NUMBER_UNSIGNED, .value.positive = integer};
}

struct number number_load(const struct dms_npy *npy, const uint8_t *value)
{
    struct number number = {.kind = NUMBER_REAL};
    uint16_t half;
    float single;

    if (npy->kind != 'f')
        return load_integer(npy, value);
    if (npy->item_bytes == sizeof(double)) {
        memcpy(&number.value.real, value, sizeof(double));
        return number;
    }
    if (npy->item_bytes == sizeof(float)) {
        memcpy(&single, value, sizeof(float));
    } else {
        memcpy(&half, value, sizeof(half));
        dms_f16_to_f32(&half, 1, &single);
    }
    number.value.real = single;
    return number;
}

/* ---- storing ---- */

/* The number as an integer: positive or negative in place of a real that is whole. Returns false
 * when it is none or needs more than 64 bits. */
static bool make_integer(struct number *number)
{
    double real = number->value.real;

    if (number->kind != NUMBER_REAL)
        return true;
    if (!isfinite(real) || real != trunc(real) || real >= TWO_TO_64 || real < -TWO_TO_63)
        return false;
    if (real < 0)
        *number = (struct number){.kind = NUMBER_NEGATIVE, .value.negative = (int64_t)real};
    else
        *number = (struct number){.kind = NUMBER_UNSIGNED, .value.positive = (uint64_t)real};
    return true;
}

/* Stores a whole number into `bytes` bytes if it lies in lowest .. highest. */
static enum number_fit store_integer(struct number number, int64_t lowest, uint64_t highest,
                                     size_t bytes, void *value)
{
    uint64_t bits;

    if (!make_integer(&number))
        return NUMBER_UNFIT;
    if (number.kind == NUMBER_NEGATIVE ? number.value.negative < lowest
                                       : number.value.positive > highest)
        return NUMBER_UNFIT;
    bits = number.kind == NUMBER_NEGATIVE ? (uint64_t)number.value.negative : number.value.positive;
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)value)[i] = (uint8_t)(bits >> 8 * i);
    return NUMBER_EXACT;
}

/* The nearest double; *exact tells whether it is the number itself. */
static double nearest_double(const struct number *number, bool *exact)
{
    double real;

    switch (number->kind) {
    case NUMBER_UNSIGNED:
        real = (double)number->value.positive;
        *exact = real < TWO_TO_64 && (uint64_t)real == number->value.positive;
        return real;
    case NUMBER_NEGATIVE:
        real = (double)number->value.negative;
        *exact = (int64_t)real == number->value.negative;
        return real;
    default:
        *exact = true;
        return number->value.real;
    }
}

static enum number_fit store_f32(const struct number *number, void *value)
{
    bool exact;
    double real = nearest_double(number, &exact);
    float single = number->kind == NUMBER_UNSIGNED   ? (float)number->value.positive
                   : number->kind == NUMBER_NEGATIVE ? (float)number->value.negative
                                                     : (float)real;

    if (isinf(single) && !isinf(real))
        return NUMBER_UNFIT;
    memcpy(value, &single, sizeof(single));
    return exact && (isnan(real) || (double)single == real) ? NUMBER_EXACT : NUMBER_ROUNDED;
}

/* The float32 next to `real` on the side of zero, its last bit set if it is not `real` itself:
 * rounding that to a shorter type gives what rounding `real` once would have given. */
static float round_to_odd(double real)
{
    float single = (float)real;
    uint32_t bits;

    if (isnan(real) || (double)single == real)
        return single;
    memcpy(&bits, &single, sizeof(bits));
    if (fabs((double)single) > fabs(real))
        bits--;
    bits |= 1;
    memcpy(&single, &bits, sizeof(bits));
    return single;
}

static enum number_fit store_f16(const struct number *number, void *value)
{
    bool exact;
    double real = nearest_double(number, &exact);
    float single = round_to_odd(real), back;
    uint16_t half;

    if (dms_f32_to_f16(&single, 1, &half) == 0)
        return NUMBER_UNFIT;
    memcpy(value, &half, sizeof(half));
    dms_f16_to_f32(&half, 1, &back);
    return exact && (isnan(real) || (double)back == real) ? NUMBER_EXACT : NUMBER_ROUNDED;
}

enum number_fit number_store(const struct number *number, enum dms_dtype dtype, void *value)
{
    bool exact;
    double real;

    switch (dtype) {
    case DMS_BOOL:
        return store_integer(*number, 0, 1, 1, value);
    case DMS_U8:
        return store_integer(*number, 0, UINT8_MAX, sizeof(uint8_t), value);
    case DMS_U32:
        return store_integer(*number, 0, UINT32_MAX, sizeof(uint32_t), value);
    case DMS_U64:
        return store_integer(*number, 0, UINT64_MAX, sizeof(uint64_t), value);
    case DMS_I32:
        return store_integer(*number, INT32_MIN, INT32_MAX, sizeof(int32_t), value);
    case DMS_I64:
        return store_integer(*number, INT64_MIN, INT64_MAX, sizeof(int64_t), value);
    case DMS_F16:
        return store_f16(number, value);
    case DMS_F32:
        return store_f32(number, value);
    case DMS_F64:
        real = nearest_double(number, &exact);
        memcpy(value, &real, sizeof(real));
        return exact ? NUMBER_EXACT : NUMBER_ROUNDED;
    case DMS_TEXT:
        break;
    }
    return NUMBER_UNFIT;
}

char *number_describe(const struct number *number, char text[NUMBER_TEXT_BYTES])
{
    if (number->kind == NUMBER_UNSIGNED)
        snprintf(text, NUMBER_TEXT_BYTES, "%" PRIu64, number->value.positive);
    else if (number->kind == NUMBER_NEGATIVE)
        snprintf(text, NUMBER_TEXT_BYTES, "%" PRId64, number->value.negative);
    else
        snprintf(text, NUMBER_TEXT_BYTES, "%.9g", number->value.real);
    return text;
}
