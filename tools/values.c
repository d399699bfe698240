/*
 * Prints values of columns; see values.h.
 */
#include "values.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 48 }; /* of a number with its terminating zero byte */

static double value_of_f16(uint16_t bits)
{
    float value;

    dms_f16_to_f32(&bits, 1, &value);
    return value;
}

/* Value `index` of an array of `type`, which need not be aligned. */
#define LOAD(type, values, index)                                                                 \
    ({                                                                                            \
        type loaded_;                                                                             \
        memcpy(&loaded_, (const uint8_t *)(values) + (index) * sizeof(loaded_), sizeof(loaded_)); \
        loaded_;                                                                                  \
    })

double value_as_double(const struct dms_column *column, const void *values, uint64_t index)
{
    switch (column->dtype) {
    case DMS_BOOL:
    case DMS_U8:
        return LOAD(uint8_t, values, index);
    case DMS_F16:
        return value_of_f16(LOAD(uint16_t, values, index));
    case DMS_F32:
        return LOAD(float, values, index);
    case DMS_F64:
        return LOAD(double, values, index);
    case DMS_I32:
        return LOAD(int32_t, values, index);
    case DMS_U32:
        return LOAD(uint32_t, values, index);
    case DMS_I64:
        return (double)LOAD(int64_t, values, index);
    case DMS_U64:
        return (double)LOAD(uint64_t, values, index);
    case DMS_TEXT:
        break;
    }
    return NAN;
}

/*
 * Prints a f16 as "%.*g" does, but several times as fast: a model has tens of thousands. Leaves out
 * what needs an exponent, and returns false then. All steps are exact: a f16 has 11 bits, the
 * powers of ten up to 1e8 have 19 beside their factors of two. *read is what the text reads as.
 */
static bool print_f16(double value, int digit_ct, char text[TEXT_BYTES], double *read)
{
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8};
    double size = fabs(value);
    int decimal_ct = digit_ct - 1; /* digits after the point */
    char *at = text + TEXT_BYTES;
    uint32_t digits;

    if (size < 1e-4 || size >= powers[digit_ct])
        return false;
    for (double limit = 10; size >= limit; limit *= 10)
        decimal_ct--;
    for (double scaled = size; scaled < 1; scaled *= 10)
        decimal_ct++;
    digits = (uint32_t)nearbyint(size * powers[decimal_ct]);
    if (digits == powers[digit_ct] && decimal_ct == 0)
        return false;
    *read = copysign(digits / powers[decimal_ct], value);
    for (; decimal_ct > 0 && digits % 10 == 0; decimal_ct--)
        digits /= 10;
    *--at = '\0';
    for (int k = 0; k < decimal_ct; k++, digits /= 10)
        *--at = (char)('0' + digits % 10);
    if (decimal_ct > 0)
        *--at = '.';
    do
        *--at = (char)('0' + digits % 10);
    while ((digits /= 10) > 0);
    if (signbit(value))
        *--at = '-';
    memmove(text, at, (size_t)(text + TEXT_BYTES - at));
    return true;
}

/* Whether what a text reads as is the f16 with these bits: it is nearer to it than to its
 * neighbours. */
static bool reads_back_as_f16(double read, uint16_t bits)
{
    double value = value_of_f16(bits);
    double error = fabs(read - value);

    /* Infinity is no neighbour: what is above the largest f16 must not be read as larger. */
    double above = value_of_f16((uint16_t)(bits + 1));
    double below = bits & 0x7fff ? value_of_f16((uint16_t)(bits - 1)) : -above;

    if (isinf(above))
        return error == 0;
    return error < fabs(read - above) && error < fabs(read - below);
}

/* Prints the value with so many digits; whether that reads back as the same value. */
static bool print_digits(const struct dms_column *column, double value, uint16_t f16_bits,
                         int digit_ct, char text[TEXT_BYTES])
{
    double read;

    if (column->dtype == DMS_F16 && print_f16(value, digit_ct, text, &read))
        return reads_back_as_f16(read, f16_bits);
    snprintf(text, TEXT_BYTES, "%.*g", digit_ct, value);
    switch (column->dtype) {
    case DMS_F16:
        return reads_back_as_f16(strtod(text, NULL), f16_bits);
    case DMS_F32:
        return strtof(text, NULL) == (float)value;
    default:
        return strtod(text, NULL) == value;
    }
}

/* Prints a number of a floating-point column. */
static void print_float(const struct dms_column *column, const void *values, uint64_t index,
                        FILE *file)
{
    double value = value_as_double(column, values, index);
    uint16_t f16_bits = column->dtype == DMS_F16 ? LOAD(uint16_t, values, index) : 0;
    int digit_ct = column->dtype == DMS_F16 ? 3 : 6; /* fewer are seldom enough */
    int digit_max = column->dtype == DMS_F16 ? 5 : column->dtype == DMS_F32 ? 9 : 17;
    double integer_limit = column->dtype == DMS_F16 ? 1e5 : column->dtype == DMS_F32 ? 1e9 : 1e15;
    char text[TEXT_BYTES];

    if (!isfinite(value)) {
        fputs(isnan(value) ? "nan" : value > 0 ? "inf" : "-inf", file);
        return;
    }
    if (value == trunc(value) && fabs(value) < integer_limit)
        digit_ct = digit_max; /* 2049, not 2.05e+03; %g drops zeros */
    while (!print_digits(column, value, f16_bits, digit_ct, text) && digit_ct < digit_max)
        digit_ct++;
    fputs(text, file);
}

static int text_bytes(const struct dms_column *column, const void *values, uint64_t index)
{
    size_t width = dms_column_value_bytes(column);

    return (int)strnlen((const char *)values + index * width, width);
}

void value_print(const struct dms_column *column, const void *values, uint64_t index, FILE *file)
{
    switch (column->dtype) {
    case DMS_BOOL:
    case DMS_U8:
        fprintf(file, "%u", LOAD(uint8_t, values, index));
        break;
    case DMS_F16:
    case DMS_F32:
    case DMS_F64:
        print_float(column, values, index, file);
        break;
    case DMS_I32:
        fprintf(file, "%" PRId32, LOAD(int32_t, values, index));
        break;
    case DMS_U32:
        fprintf(file, "%" PRIu32, LOAD(uint32_t, values, index));
        break;
    case DMS_I64:
        fprintf(file, "%" PRId64, LOAD(int64_t, values, index));
        break;
    case DMS_U64:
        fprintf(file, "%" PRIu64, LOAD(uint64_t, values, index));
        break;
    case DMS_TEXT:
        fwrite((const char *)values + index * dms_column_value_bytes(column), 1,
               (size_t)text_bytes(column, values, index), file);
        break;
    }
}

static void json_text_value(struct json_writer *json, const char *key,
                            const struct dms_column *column, const void *values, uint64_t index)
{
    char text[256]; /* text columns have at most 255 bytes */

    snprintf(text, sizeof(text), "%.*s", text_bytes(column, values, index),
             (const char *)values + index * dms_column_value_bytes(column));
    json_text(json, key, text);
}

void value_json(struct json_writer *json, const char *key, const struct dms_column *column,
                const void *values, uint64_t index)
{
    double value;

    switch (column->dtype) {
    case DMS_BOOL:
        json_bool(json, key, LOAD(uint8_t, values, index) != 0);
        return;
    case DMS_I64:
        json_i64(json, key, LOAD(int64_t, values, index));
        return;
    case DMS_U64:
        json_u64(json, key, LOAD(uint64_t, values, index));
        return;
    case DMS_TEXT:
        json_text_value(json, key, column, values, index);
        return;
    default:
        break;
    }
    value = value_as_double(column, values, index);
    if (isnan(value))
        json_null(json, key);
    else if (isinf(value))
        json_text(json, key, value > 0 ? "Infinity" : "-Infinity");
    else
        json_double(json, key, value);
}
