/*
 * One number on its way from a file or a text into a column of another type: kept so that neither
 * 64-bit integers nor doubles lose anything, and stored with a verdict on what the column's type
 * made of it.
 */
#ifndef DMSTORE_TOOLS_NUMBER_H
#define DMSTORE_TOOLS_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include <dmstore/npy.h>
#include <dmstore/schema.h>

enum number_kind {
    NUMBER_UNSIGNED, /* 0 .. 2^64 - 1 */
    NUMBER_NEGATIVE, /* -2^63 .. -1 */
    NUMBER_REAL,
};

struct number {
    enum number_kind kind;
    union {
        uint64_t positive;
        int64_t negative;
        double real;
    } value;
};

enum number_fit {
    NUMBER_EXACT,
    NUMBER_ROUNDED, /* to the nearest, ties to even; floating-point types only */
    NUMBER_UNFIT,   /* too large for the type, or no whole number for an integer: nothing stored */
};

/* Reads one value of a .npy file of kind 'b', 'u', 'i' or 'f'. */
struct number number_load(const struct dms_npy *npy, const uint8_t *value);

/* Stores the number as one value of any dtype but DMS_TEXT, as in memory (which is little-endian,
 * as .npy files are, on every machine that this is built for). */
enum number_fit number_store(const struct number *number, enum dms_dtype dtype, void *value);

#define NUMBER_TEXT_BYTES 32

/* Writes the number for people into `text`; returns it. */
char *number_describe(const struct number *number, char text[NUMBER_TEXT_BYTES]);

#endif
