/*
 * The JSON writer and the pull parser; see json.h. Neither allocates memory. The parser believes
 * nothing about its input but the zero byte at the end, and never reads past it.
 */
#include "json.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

/* ---- UTF-8 ---- */

static char *utf8_put(char *out, uint32_t code_point)
{
    if (code_point < 0x80) {
        *out++ = (char)code_point;
    } else if (code_point < 0x800) {
        *out++ = (char)(0xc0 | code_point >> 6);
        *out++ = (char)(0x80 | (code_point & 0x3f));
    } else if (code_point < 0x10000) {
        *out++ = (char)(0xe0 | code_point >> 12);
        *out++ = (char)(0x80 | (code_point >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code_point & 0x3f));
    } else {
        *out++ = (char)(0xf0 | code_point >> 18);
        *out++ = (char)(0x80 | (code_point >> 12 & 0x3f));
        *out++ = (char)(0x80 | (code_point >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code_point & 0x3f));
    }
    return out;
}

/* ---- writer ---- */

static void write_text(FILE *file, const char *text)
{
    const unsigned char *next = (const unsigned char *)text;
    size_t left = strlen(text);

    fputc('"', file);
    while (left > 0) {
        size_t bytes = utf8_character_bytes(next, left);

        if (bytes == 0)
            fputs("\\ufffd", file);
        else if (*next == '"' || *next == '\\')
            fprintf(file, "\\%c", *next);
        else if (*next == '\n')
            fputs("\\n", file);
        else if (*next == '\t')
            fputs("\\t", file);
        else if (*next < 0x20 || *next == 0x7f)
            fprintf(file, "\\u%04x", *next);
        else
            fwrite(next, 1, bytes, file);
        bytes += bytes == 0;
        next += bytes;
        left -= bytes;
    }
    fputc('"', file);
}

static void write_indent(const struct json_writer *json)
{
    if (!json->on_one_line)
        fprintf(json->file, "\n%*s", (int)(2 * json->depth), "");
}

/* Writes what stands before a value: comma, newline or blank, indent and key. */
static void write_lead(struct json_writer *json, const char *key)
{
    if (json->depth == 0)
        return;
    if (json->has_members[json->depth])
        fputs(json->on_one_line ? ", " : ",", json->file);
    json->has_members[json->depth] = true;
    write_indent(json);
    if (key) {
        write_text(json->file, key);
        fputs(": ", json->file);
    }
}

void json_begin(struct json_writer *json, FILE *file)
{
    *json = (struct json_writer){.file = file};
}

void json_begin_line(struct json_writer *json, FILE *file)
{
    *json = (struct json_writer){.file = file, .on_one_line = true};
}

void json_end(struct json_writer *json)
{
    assert(json->depth == 0);
    fputc('\n', json->file);
}

static void write_open(struct json_writer *json, const char *key, char bracket)
{
    assert(json->depth < JSON_DEPTH_MAX);
    write_lead(json, key);
    fputc(bracket, json->file);
    json->has_members[++json->depth] = false;
}

static void write_close(struct json_writer *json, char bracket)
{
    bool has_members = json->has_members[json->depth];

    assert(json->depth > 0);
    json->depth--;
    if (has_members)
        write_indent(json);
    fputc(bracket, json->file);
}

void json_object_open(struct json_writer *json, const char *key)
{
    write_open(json, key, '{');
}

void json_object_close(struct json_writer *json)
{
    write_close(json, '}');
}

void json_array_open(struct json_writer *json, const char *key)
{
    write_open(json, key, '[');
}

void json_array_close(struct json_writer *json)
{
    write_close(json, ']');
}

void json_text(struct json_writer *json, const char *key, const char *text)
{
    if (!text) {
        json_null(json, key);
        return;
    }
    write_lead(json, key);
    write_text(json->file, text);
}

void json_u64(struct json_writer *json, const char *key, uint64_t value)
{
    write_lead(json, key);
    fprintf(json->file, "%" PRIu64, value);
}

void json_i64(struct json_writer *json, const char *key, int64_t value)
{
    write_lead(json, key);
    fprintf(json->file, "%" PRId64, value);
}

void json_double(struct json_writer *json, const char *key, double value)
{
    char text[40];

    if (!isfinite(value)) {
        json_null(json, key);
        return;
    }
    /* The fewest digits that come back as the same number: 0.1 and not 0.10000000000000001. */
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    write_lead(json, key);
    fputs(text, json->file);
}

void json_bool(struct json_writer *json, const char *key, bool value)
{
    write_lead(json, key);
    fputs(value ? "true" : "false", json->file);
}

void json_null(struct json_writer *json, const char *key)
{
    write_lead(json, key);
    fputs("null", json->file);
}

/* ---- parser ---- */

/* What may come next. */
enum reader_state {
    WANT_VALUE,          /* the outermost value, one after a key or one after a comma */
    WANT_VALUE_OR_CLOSE, /* just after '[' */
    WANT_KEY,            /* after a comma in an object */
    WANT_KEY_OR_CLOSE,   /* just after '{' */
    WANT_COMMA_OR_CLOSE, /* after a value in an object or array */
    WANT_END,            /* after the outermost value */
    FAILED,
};

void json_reader_begin(struct json_reader *reader, char *data, size_t bytes)
{
    assert(data[bytes] == '\0');
    *reader =
        (struct json_reader){.start = data, .next = data, .end = data + bytes, .state = WANT_VALUE};
}

static enum json_token fail_at(struct json_reader *reader, const char *position, const char *error)
{
    reader->error = error;
    reader->error_offset = (size_t)(position - reader->start);
    reader->state = FAILED;
    return JSON_ERROR;
}

static enum json_token fail(struct json_reader *reader, const char *error)
{
    if (reader->next == reader->end)
        error = "the text ends too early";
    return fail_at(reader, reader->next, error);
}

static void skip_space(struct json_reader *reader)
{
    reader->next += strspn(reader->next, " \t\r\n");
}

static void value_is_complete(struct json_reader *reader)
{
    reader->state = reader->depth > 0 ? WANT_COMMA_OR_CLOSE : WANT_END;
}

/* Reads 4 hexadecimal digits; returns -1 when they are not. The zero byte at the end stops it. */
static int32_t read_hex4(const char *text)
{
    int32_t value = 0;

    for (int i = 0; i < 4; i++) {
        char letter = text[i];
        int digit = letter >= '0' && letter <= '9'   ? letter - '0'
                    : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10
                    : letter >= 'A' && letter <= 'F' ? letter - 'A' + 10
                                                     : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* Decodes \uXXXX, or a surrogate pair of them, at `next` (after the backslash and the u); returns
 * the bytes read, or 0 when it is no character. */
static size_t read_unicode_escape(const char *next, uint32_t *code_point)
{
    int32_t high = read_hex4(next), low;

    if (high <= 0 || (high >= 0xdc00 && high <= 0xdfff))
        return 0;
    *code_point = (uint32_t)high;
    if (high < 0xd800 || high > 0xdfff)
        return 4;
    if (next[4] != '\\' || next[5] != 'u')
        return 0;
    low = read_hex4(next + 6);
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *code_point = 0x10000 + (((uint32_t)high & 0x3ff) << 10 | ((uint32_t)low & 0x3ff));
    return 10;
}

/* Decodes the escape after a backslash at `next`; returns the bytes read, 0 when it is none. */
static size_t read_escape(const char *next, uint32_t *code_point)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    const char *letter;
    size_t bytes;

    if (*next == 'u') {
        bytes = read_unicode_escape(next + 1, code_point);
        return bytes ? bytes + 1 : 0;
    }
    letter = *next ? strchr(letters, *next) : NULL;
    if (!letter)
        return 0;
    *code_point = (unsigned char)meanings[letter - letters];
    return 1;
}

/* Reads a string, `next` standing after its opening quote, and unescapes it in place: the result is
 * never longer than the source. */
static bool read_string(struct json_reader *reader)
{
    char *next = reader->next, *out = reader->next;

    reader->text = out;
    while (*next != '"') {
        size_t bytes;
        uint32_t code_point;

        if (next == reader->end) {
            fail_at(reader, next, "the text ends inside a string");
            return false;
        }
        if (*next == '\\') {
            bytes = read_escape(next + 1, &code_point);
            if (bytes == 0) {
                fail_at(reader, next, "this escape is not one of JSON");
                return false;
            }
            out = utf8_put(out, code_point);
            next += 1 + bytes;
            continue;
        }
        if ((unsigned char)*next < 0x20) {
            fail_at(reader, next, "a control character stands in a string");
            return false;
        }
        bytes = utf8_character_bytes((const unsigned char *)next, (size_t)(reader->end - next));
        if (bytes == 0) {
            fail_at(reader, next, "a string is not UTF-8");
            return false;
        }
        memmove(out, next, bytes);
        out += bytes;
        next += bytes;
    }
    reader->text_bytes = (size_t)(out - reader->text);
    reader->next = next + 1;
    *out = '\0'; /* at the closing quote at the latest */
    return true;
}

static const char *skip_digits(const char *text)
{
    return text + strspn(text, "0123456789");
}

/* The end of the number at `text`, or NULL when its grammar is broken. */
static const char *number_end(const char *text)
{
    const char *next = text + (*text == '-'), *digits = next;

    if (strncmp(next, "Infinity", 8) == 0)
        return next + 8;
    next = skip_digits(next);
    if (next == digits || (*digits == '0' && next > digits + 1))
        return NULL;
    if (*next == '.') {
        digits = next + 1;
        next = skip_digits(digits);
        if (next == digits)
            return NULL;
    }
    if (*next == 'e' || *next == 'E') {
        next += next[1] == '+' || next[1] == '-' ? 2 : 1;
        digits = next;
        next = skip_digits(digits);
        if (next == digits)
            return NULL;
    }
    return next;
}

static enum json_token read_number(struct json_reader *reader)
{
    const char *end =
        strncmp(reader->next, "NaN", 3) == 0 ? reader->next + 3 : number_end(reader->next);

    if (!end || (*end && !strchr(" \t\r\n,]}", *end)))
        return fail(reader, "this is not a number of JSON");
    reader->text = reader->next;
    reader->text_bytes = (size_t)(end - reader->next);
    reader->next += reader->text_bytes;
    value_is_complete(reader);
    return JSON_NUMBER;
}

static enum json_token read_word(struct json_reader *reader, const char *word,
                                 enum json_token token)
{
    if (strncmp(reader->next, word, strlen(word)) != 0)
        return fail(reader, "a value is missing or misspelt");
    reader->next += strlen(word);
    value_is_complete(reader);
    return token;
}

static enum json_token open_level(struct json_reader *reader, bool is_object)
{
    if (reader->depth == JSON_DEPTH_MAX)
        return fail(reader, "too many levels of brackets");
    reader->next++;
    reader->in_object[++reader->depth] = is_object;
    reader->state = is_object ? WANT_KEY_OR_CLOSE : WANT_VALUE_OR_CLOSE;
    return is_object ? JSON_OBJECT_OPEN : JSON_ARRAY_OPEN;
}

static enum json_token close_level(struct json_reader *reader)
{
    bool is_object = reader->in_object[reader->depth];

    reader->next++;
    reader->depth--;
    value_is_complete(reader);
    return is_object ? JSON_OBJECT_CLOSE : JSON_ARRAY_CLOSE;
}

static enum json_token read_value(struct json_reader *reader)
{
    switch (*reader->next) {
    case '{':
        return open_level(reader, true);
    case '[':
        return open_level(reader, false);
    case '"':
        reader->next++;
        if (!read_string(reader))
            return JSON_ERROR;
        value_is_complete(reader);
        return JSON_TEXT;
    case 't':
        return read_word(reader, "true", JSON_TRUE);
    case 'f':
        return read_word(reader, "false", JSON_FALSE);
    case 'n':
        return read_word(reader, "null", JSON_NULL);
    case '\0':
        return fail(reader, "a zero byte stands in the text");
    default:
        return read_number(reader);
    }
}

static enum json_token read_key(struct json_reader *reader)
{
    if (*reader->next != '"')
        return fail(reader, "the name of a member is missing");
    reader->next++;
    if (!read_string(reader))
        return JSON_ERROR;
    skip_space(reader);
    if (*reader->next != ':')
        return fail(reader, "':' is missing after the name of a member");
    reader->next++;
    reader->state = WANT_VALUE;
    return JSON_KEY;
}

enum json_token json_next(struct json_reader *reader)
{
    char closing = reader->in_object[reader->depth] ? '}' : ']';

    if (reader->state == FAILED)
        return JSON_ERROR;
    skip_space(reader);
    if (reader->state == WANT_END) {
        if (reader->next != reader->end)
            return fail(reader, "something follows the value");
        return JSON_END;
    }
    if (reader->state != WANT_VALUE && reader->state != WANT_KEY && *reader->next == closing)
        return close_level(reader);
    if (reader->state == WANT_COMMA_OR_CLOSE) {
        if (*reader->next != ',')
            return fail(reader, "',' or a closing bracket is missing");
        reader->next++;
        skip_space(reader);
        reader->state = reader->in_object[reader->depth] ? WANT_KEY : WANT_VALUE;
    }
    if (reader->state == WANT_KEY || reader->state == WANT_KEY_OR_CLOSE)
        return read_key(reader);
    return read_value(reader);
}

bool json_skip(struct json_reader *reader, enum json_token token)
{
    unsigned levels = 0;

    for (;; token = json_next(reader)) {
        if (token == JSON_OBJECT_OPEN || token == JSON_ARRAY_OPEN)
            levels++;
        else if (token == JSON_OBJECT_CLOSE || token == JSON_ARRAY_CLOSE)
            levels--;
        else if (token == JSON_ERROR || token == JSON_END)
            return false;
        if (levels == 0)
            return true;
    }
}

bool json_number_u64(const struct json_reader *reader, uint64_t *value)
{
    uint64_t number = 0;

    for (size_t i = 0; i < reader->text_bytes; i++) {
        char letter = reader->text[i];
        unsigned digit = (unsigned)(letter - '0');

        if (letter < '0' || letter > '9' || number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *value = number;
    return true;
}

bool json_number_i64(const struct json_reader *reader, int64_t *value)
{
    struct json_reader magnitude_reader = *reader;
    bool negative = reader->text[0] == '-';
    uint64_t magnitude;

    magnitude_reader.text += negative;
    magnitude_reader.text_bytes -= negative;
    if (!json_number_u64(&magnitude_reader, &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + negative)
        return false;
    *value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

bool json_number_double(const struct json_reader *reader, double *value)
{
    /* strtod stops where the number's grammar does: the text ends in a delimiter or a zero byte. */
    double number = strtod(reader->text, NULL);
    bool names_infinity = memchr(reader->text, 'I', reader->text_bytes) != NULL;

    if (isinf(number) && !names_infinity)
        return false;
    *value = number;
    return true;
}
