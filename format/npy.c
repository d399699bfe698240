/*
 * The header of .npy files: a magic, a version, a length, and a Python dictionary with the dtype,
 * the order and the shape of the array. The parser reads that dictionary as NumPy and its relatives
 * write it, and nothing more of Python; the printer writes the very bytes that numpy.save does.
 */
#include <dmstore/npy.h>

#include "base/endian.h"
#include "base/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MAGIC_BYTES = 6,
    LENGTH_OFFSET = 8, /* behind the magic and two version bytes */
    VERSION_1_PREFIX_BYTES = 10,
    NPY_ALIGNMENT = 64,
    ROOM_FOR_ROWS =
        21, /* characters that NumPy keeps for the first dimension, so that it can grow in place */
};

static const uint8_t magic[MAGIC_BYTES] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

/* ---- parsing ---- */

int dms_npy_header_bytes(const uint8_t *data, size_t bytes, size_t *header_bytes)
{
    if (bytes < VERSION_1_PREFIX_BYTES || memcmp(data, magic, MAGIC_BYTES) != 0)
        return dms_fail(DMS_ERR_INVALID, "not a .npy file (it does not begin with \\x93NUMPY)");
    if (data[6] < 1 || data[6] > 3)
        return dms_fail(DMS_ERR_INVALID, ".npy version %u.%u is not known (1.0 to 3.0 are)",
                        data[6], data[7]);
    if (data[6] == 1) {
        *header_bytes = VERSION_1_PREFIX_BYTES + (size_t)dms_load_u16(data + LENGTH_OFFSET);
        return DMS_OK;
    }
    if (bytes < DMS_NPY_PREFIX_BYTES)
        return dms_fail(DMS_ERR_INVALID, "the .npy header is cut short");
    *header_bytes = DMS_NPY_PREFIX_BYTES + (size_t)dms_load_u32(data + LENGTH_OFFSET);
    return DMS_OK;
}

/* What is left of the text of the dictionary. */
struct dictionary {
    const char *at;
    const char *end;
};

static void skip_space(struct dictionary *text)
{
    while (text->at < text->end &&
           (*text->at == ' ' || *text->at == '\t' || *text->at == '\n' || *text->at == '\r'))
        text->at++;
}

/* Takes the character `wanted`, after spaces, if it is next. */
static bool take_character(struct dictionary *text, char wanted)
{
    skip_space(text);
    if (text->at == text->end || *text->at != wanted)
        return false;
    text->at++;
    return true;
}

static bool take_word(struct dictionary *text, const char *word)
{
    size_t length = strlen(word);

    skip_space(text);
    if ((size_t)(text->end - text->at) < length || memcmp(text->at, word, length) != 0)
        return false;
    text->at += length;
    return true;
}

/* A quoted string without escapes, shorter than `room`. */
static bool take_string(struct dictionary *text, char *string, size_t room)
{
    char quote;
    size_t length = 0;

    if (take_character(text, '\''))
        quote = '\'';
    else if (take_character(text, '"'))
        quote = '"';
    else
        return false;
    while (text->at < text->end && *text->at != quote) {
        if (length + 1 == room || *text->at == '\\')
            return false;
        string[length++] = *text->at++;
    }
    string[length] = '\0';
    return take_character(text, quote);
}

/* Decimal digits at the front of `text`; 0: none there, or more than 64 bits hold. */
static size_t read_number(const char *text, const char *end, uint64_t *number)
{
    const char *digit = text;

    *number = 0;
    for (; digit < end && *digit >= '0' && *digit <= '9'; digit++) {
        if (__builtin_mul_overflow(*number, UINT64_C(10), number) ||
            __builtin_add_overflow(*number, (uint64_t)(*digit - '0'), number))
            return 0;
    }
    return (size_t)(digit - text);
}

/* The value of 'descr', such as '<f2': byte order, kind, and bytes of a value. */
static int parse_descr(struct dictionary *text, struct dms_npy *npy)
{
    char descr[32];
    uint64_t item_bytes = 0;
    bool known;

    if (take_character(text, '['))
        return dms_fail(
            DMS_ERR_INVALID,
            "the array has a structured dtype (save each field as an array of its own)");
    if (!take_string(text, descr, sizeof(descr)))
        return dms_fail(DMS_ERR_INVALID, "the .npy header has no dtype that can be read");
    if (strlen(descr) < 3 ||
        read_number(descr + 2, descr + strlen(descr), &item_bytes) != strlen(descr + 2))
        return dms_fail(DMS_ERR_INVALID, "dtype '%s' is not supported", descr);
    switch (descr[1]) {
    case 'b':
        known = item_bytes == 1;
        break;
    case 'u':
    case 'i':
        known = item_bytes == 1 || item_bytes == 2 || item_bytes == 4 || item_bytes == 8;
        break;
    case 'f':
        known = item_bytes == 2 || item_bytes == 4 || item_bytes == 8;
        break;
    case 'S':
        known = item_bytes >= 1 && item_bytes <= INT32_MAX;
        break;
    default:
        known = false;
    }
    if (!known || strchr("<>|=", descr[0]) == NULL)
        return dms_fail(DMS_ERR_INVALID,
                        "dtype '%s' is not supported (bool, integers, f16, f32, f64 and bytes are)",
                        descr);
    if (descr[0] == '>' && item_bytes > 1 && descr[1] != 'S')
        return dms_fail(DMS_ERR_INVALID, "dtype '%s' is big-endian (save the array as '<%s')",
                        descr, descr + 1);
    npy->kind = descr[1];
    npy->item_bytes = (uint32_t)item_bytes;
    return DMS_OK;
}

/* The value of 'shape': a tuple of numbers, each perhaps with the L of Python 2. */
static int parse_shape(struct dictionary *text, struct dms_npy *npy)
{
    npy->dimension_ct = 0;
    if (!take_character(text, '('))
        return dms_fail(DMS_ERR_INVALID, "the .npy header has no shape that can be read");
    while (!take_character(text, ')')) {
        size_t digits;

        if (npy->dimension_ct == DMS_NPY_DIMENSION_MAX)
            return dms_fail(DMS_ERR_INVALID, "the array has more than %d dimensions",
                            DMS_NPY_DIMENSION_MAX);
        skip_space(text);
        digits = read_number(text->at, text->end, &npy->dimensions[npy->dimension_ct]);
        text->at += digits;
        npy->dimension_ct++;
        take_character(text, 'L');
        if (digits == 0 ||
            (!take_character(text, ',') && (text->at == text->end || *text->at != ')')))
            return dms_fail(DMS_ERR_INVALID,
                            "dimension %" PRIu32 " of the .npy shape cannot be read",
                            npy->dimension_ct);
    }
    return DMS_OK;
}

/* The three keys of the dictionary, in any order, each once. */
static int parse_dictionary(struct dictionary *text, struct dms_npy *npy, bool *fortran_order)
{
    enum { DESCR = 1, FORTRAN_ORDER = 2, SHAPE = 4 };
    unsigned seen = 0;
    unsigned key;
    int result = DMS_OK;

    if (!take_character(text, '{'))
        return dms_fail(DMS_ERR_INVALID, "the .npy header is not a dictionary");
    while (!take_character(text, '}')) {
        char name[16];

        if (!take_string(text, name, sizeof(name)) || !take_character(text, ':'))
            return dms_fail(DMS_ERR_INVALID, "the .npy header is malformed");
        key = strcmp(name, "descr") == 0           ? DESCR
              : strcmp(name, "fortran_order") == 0 ? FORTRAN_ORDER
              : strcmp(name, "shape") == 0         ? SHAPE
                                                   : 0;
        if (key == 0 || (seen & key) != 0)
            return dms_fail(DMS_ERR_INVALID, "the .npy header has an unknown or repeated key '%s'",
                            name);
        seen |= key;
        if (key == DESCR)
            result = parse_descr(text, npy);
        else if (key == SHAPE)
            result = parse_shape(text, npy);
        else if (take_word(text, "True"))
            *fortran_order = true;
        else if (!take_word(text, "False"))
            return dms_fail(DMS_ERR_INVALID,
                            "fortran_order in the .npy header is neither True nor False");
        if (result < 0)
            return result;
        if (!take_character(text, ',') && (text->at == text->end || *text->at != '}'))
            return dms_fail(DMS_ERR_INVALID, "the .npy header is malformed");
    }
    skip_space(text);
    if (seen != (DESCR | FORTRAN_ORDER | SHAPE) || text->at != text->end)
        return dms_fail(DMS_ERR_INVALID, "the .npy header is malformed");
    return DMS_OK;
}

/* data_bytes from shape and item size; the data must end at an offset that a file can have. */
static int derive_data_bytes(struct dms_npy *npy)
{
    uint64_t end;

    npy->data_bytes = npy->item_bytes;
    for (uint32_t i = 0; i < npy->dimension_ct; i++) {
        if (__builtin_mul_overflow(npy->data_bytes, npy->dimensions[i], &npy->data_bytes))
            return dms_fail(DMS_ERR_INVALID,
                            "the .npy shape says that the array is larger than any file");
    }
    if (__builtin_add_overflow(npy->data_bytes, npy->data_offset, &end) || end > INT64_MAX)
        return dms_fail(DMS_ERR_INVALID,
                        "the .npy shape says that the array is larger than any file");
    return DMS_OK;
}

int dms_npy_parse(const uint8_t *data, size_t bytes, struct dms_npy *npy)
{
    struct dms_npy parsed = {0};
    bool fortran_order = false;
    struct dictionary text;
    size_t header_bytes, prefix_bytes;
    int result = dms_npy_header_bytes(data, bytes, &header_bytes);

    if (result < 0)
        return result;
    if (header_bytes > bytes)
        return dms_fail(DMS_ERR_INVALID, "the .npy header is cut short");
    prefix_bytes = data[6] == 1 ? VERSION_1_PREFIX_BYTES : DMS_NPY_PREFIX_BYTES;
    text =
        (struct dictionary){(const char *)data + prefix_bytes, (const char *)data + header_bytes};
    result = parse_dictionary(&text, &parsed, &fortran_order);
    if (result < 0)
        return result;
    if (fortran_order && parsed.dimension_ct > 1)
        return dms_fail(
            DMS_ERR_INVALID,
            "the array is in Fortran order (save numpy.ascontiguousarray(array) instead)");
    parsed.data_offset = header_bytes;
    result = derive_data_bytes(&parsed);
    if (result < 0)
        return result;
    *npy = parsed;
    return DMS_OK;
}

/* ---- printing ---- */

/* The shape as a tuple; the room is enough for any. */
static void print_shape(const struct dms_npy *npy, char *shape, size_t room)
{
    size_t used = 0;

    shape[0] = '\0';
    for (uint32_t i = 0; i < npy->dimension_ct; i++)
        used += (size_t)snprintf(shape + used, room - used, "%s%" PRIu64, i > 0 ? ", " : "",
                                 npy->dimensions[i]);
    if (npy->dimension_ct == 1)
        snprintf(shape + used, room - used, ",");
}

int dms_npy_print(struct dms_npy *npy, uint8_t *header)
{
    char shape[DMS_NPY_DIMENSION_MAX * 22 + 1];
    char *text = (char *)header + VERSION_1_PREFIX_BYTES;
    size_t room = DMS_NPY_HEADER_BYTES - VERSION_1_PREFIX_BYTES;
    size_t length;
    int result;

    if (npy->dimension_ct > DMS_NPY_DIMENSION_MAX)
        return dms_fail(DMS_ERR_INVALID, "a .npy array of %" PRIu32 " dimensions (at most %d)",
                        npy->dimension_ct, DMS_NPY_DIMENSION_MAX);
    print_shape(npy, shape, sizeof(shape));
    memset(header, 0, DMS_NPY_HEADER_BYTES);
    length = (size_t)snprintf(
        text, room, "{'descr': '%c%c%" PRIu32 "', 'fortran_order': False, 'shape': (%s), }",
        npy->item_bytes == 1 || npy->kind == 'S' ? '|' : '<', npy->kind, npy->item_bytes, shape);
    npy->data_offset = VERSION_1_PREFIX_BYTES + length + 1;
    if (npy->dimension_ct > 0)
        npy->data_offset += ROOM_FOR_ROWS - strcspn(shape, ",");
    npy->data_offset += NPY_ALIGNMENT - npy->data_offset % NPY_ALIGNMENT;
    if (length >= room || npy->data_offset > DMS_NPY_HEADER_BYTES)
        return dms_fail(DMS_ERR_INVALID, "the shape (%s) does not fit in a .npy header", shape);
    result = derive_data_bytes(npy);
    if (result < 0)
        return result;
    memcpy(header, magic, MAGIC_BYTES);
    header[MAGIC_BYTES] = 1;
    dms_store_u16(header + LENGTH_OFFSET, (uint16_t)(npy->data_offset - VERSION_1_PREFIX_BYTES));
    memset(text + length, ' ', npy->data_offset - VERSION_1_PREFIX_BYTES - length);
    header[npy->data_offset - 1] = '\n';
    return DMS_OK;
}
