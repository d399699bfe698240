/*
 * Columns and codecs as people write them on a command line ("test_logits:10000x10:f16",
 * "alpha:f64", "zstd:3"), turned into the structures of dmstore/schema.h; and the names of the
 * dtypes.
 */
#include "format/schema.h"

#include "base/error.h"

#include <inttypes.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t bits; /* of a value in the store; 0: a column says */
} dtypes[] = {
    [DMS_BOOL] = {"bool", 1}, [DMS_U8] = {"u8", 8},    [DMS_F16] = {"f16", 16},
    [DMS_F32] = {"f32", 32},  [DMS_F64] = {"f64", 64}, [DMS_I32] = {"i32", 32},
    [DMS_U32] = {"u32", 32},  [DMS_I64] = {"i64", 64}, [DMS_U64] = {"u64", 64},
    [DMS_TEXT] = {"text", 0},
};

const char *dms_dtype_name(enum dms_dtype dtype)
{
    return dtype >= DMS_BOOL && dtype <= DMS_TEXT ? dtypes[dtype].name : "unknown";
}

uint32_t dms_dtype_bits(enum dms_dtype dtype)
{
    return dtype >= DMS_BOOL && dtype <= DMS_TEXT ? dtypes[dtype].bits : 0;
}

/* Reads a whole number of decimal digits at *text and moves *text behind it; false: none there, or
 * above `largest`. */
static bool take_number(const char **text, uint64_t largest, uint64_t *number)
{
    const char *digit = *text;

    *number = 0;
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        if (*number > (largest - (uint64_t)(*digit - '0')) / 10)
            return false;
        *number = *number * 10 + (uint64_t)(*digit - '0');
    }
    if (digit == *text)
        return false;
    *text = digit;
    return true;
}

/* Reads the part before the first ':' into column->name and moves *text behind that ':'. */
static int take_name(const char **text, const char *form, struct dms_column *column)
{
    const char *colon = strchr(*text, ':');

    if (colon == NULL || colon == *text)
        return dms_fail(DMS_ERR_INVALID, "'%s' is not of the form %s", *text, form);
    if ((size_t)(colon - *text) >= DMS_NAME_BYTES)
        return dms_fail(DMS_ERR_INVALID, "'%s': the name is too long (at most %d bytes)", *text,
                        DMS_NAME_BYTES - 1);
    memcpy(column->name, *text, (size_t)(colon - *text));
    *text = colon + 1;
    return dms_column_name_check(column->name);
}

/* A dtype by its name, or sN for a text. */
static bool parse_dtype(const char *text, struct dms_column *column)
{
    const char *digits = text + 1;
    uint64_t text_bytes;

    for (int dtype = DMS_BOOL; dtype < DMS_TEXT; dtype++) {
        if (strcmp(text, dtypes[dtype].name) == 0) {
            column->dtype = (enum dms_dtype)dtype;
            return true;
        }
    }
    if (text[0] != 's' || !take_number(&digits, 255, &text_bytes) || *digits != '\0' ||
        text_bytes == 0)
        return false;
    column->dtype = DMS_TEXT;
    column->element_bits = (uint32_t)text_bytes * 8;
    return true;
}

/* "AxBxC" up to the end of the text or a ':', onto which *text moves. */
static bool take_shape(const char **text, struct dms_column *column)
{
    for (;;) {
        if (column->dimension_ct == DMS_DIMENSION_MAX ||
            !take_number(text, UINT64_MAX, &column->dimensions[column->dimension_ct]))
            return false;
        column->dimension_ct++;
        if (**text == '\0' || **text == ':')
            return true;
        if (**text != 'x')
            return false;
        (*text)++;
    }
}

int dms_output_parse(const char *text, struct dms_column *column)
{
    struct dms_column parsed = {.kind = DMS_COLUMN_OUTPUT, .dtype = DMS_F16};
    const char *rest = text;
    int result = take_name(&rest, "NAME:SHAPE[:DTYPE]", &parsed);

    if (result < 0)
        return result;
    if (!take_shape(&rest, &parsed))
        return dms_fail(
            DMS_ERR_INVALID,
            "'%s': the shape must be 1 to %d numbers with 'x' between them, as in 10000x10", text,
            DMS_DIMENSION_MAX);
    if (*rest == ':' && !parse_dtype(rest + 1, &parsed))
        return dms_fail(DMS_ERR_INVALID, "'%s': unknown dtype '%s' (choose f16, f32, u8 or bool)",
                        text, rest + 1);
    if (parsed.dtype != DMS_BOOL && parsed.dtype != DMS_U8 && parsed.dtype != DMS_F16 &&
        parsed.dtype != DMS_F32)
        return dms_fail(DMS_ERR_INVALID,
                        "'%s': an output cannot be %s (choose f16, f32, u8 or bool)", text,
                        rest + 1);
    result = dms_column_derive(&parsed);
    if (result < 0)
        return result;
    *column = parsed;
    return DMS_OK;
}

int dms_scalar_parse(const char *text, struct dms_column *column)
{
    struct dms_column parsed = {.kind = DMS_COLUMN_SCALAR};
    const char *rest = text;
    int result = take_name(&rest, "NAME:DTYPE", &parsed);

    if (result < 0)
        return result;
    if (!parse_dtype(rest, &parsed))
        return dms_fail(DMS_ERR_INVALID,
                        "'%s': unknown dtype '%s' (choose bool, u8, f16, f32, f64, i32, u32, i64, "
                        "u64 or s1 .. s255)",
                        text, rest);
    result = dms_column_derive(&parsed);
    if (result < 0)
        return result;
    *column = parsed;
    return DMS_OK;
}

int dms_codec_parse(const char *text, struct dms_codec *codec)
{
    const char *level_text = text + strlen("zstd:");
    uint64_t level = 1;

    if (strcmp(text, "none") == 0) {
        *codec = (struct dms_codec){.kind = DMS_CODEC_NONE, .level = 0};
        return DMS_OK;
    }
    if (strcmp(text, "auto") == 0) {
        *codec = (struct dms_codec){.kind = DMS_CODEC_AUTO, .level = 1};
        return DMS_OK;
    }
    if (strncmp(text, "zstd:", strlen("zstd:")) == 0) {
        if (!take_number(&level_text, DMS_ZSTD_LEVEL_MAX, &level) || *level_text != '\0' ||
            level == 0)
            return dms_fail(DMS_ERR_INVALID, "'%s': the zstd level must be in 1 .. %d", text,
                            DMS_ZSTD_LEVEL_MAX);
    } else if (strcmp(text, "zstd") != 0) {
        return dms_fail(DMS_ERR_INVALID,
                        "unknown codec '%s' (choose none, auto, zstd or zstd:LEVEL)", text);
    }
    *codec = (struct dms_codec){.kind = DMS_CODEC_ZSTD, .level = (int)level};
    return DMS_OK;
}
