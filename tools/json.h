/*
 * JSON for the tools: a writer for reports (--json) and a strict pull parser for the lines that
 * `dmstore append --format jsonl` reads.
 */
#ifndef DMSTORE_TOOLS_JSON_H
#define DMSTORE_TOOLS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX 32

/* ---- writer ---- */

/*
 * Writes one value, indented. `key` is the name in an object and NULL in an array or for the
 * outermost value. Errors of the file are left to ferror (tool_finish_output).
 *
 *     struct json_writer json;
 *     json_begin(&json, stdout);
 *     json_object_open(&json, NULL);
 *     json_u64(&json, "models", 5);
 *     json_object_close(&json);
 *     json_end(&json);
 */
struct json_writer {
    FILE *file;
    unsigned depth;
    bool on_one_line;
    bool has_members[JSON_DEPTH_MAX + 1]; /* of the object or array open at each depth */
};

void json_begin(struct json_writer *json, FILE *file);
/* For JSON lines: the value is written without line breaks. */
void json_begin_line(struct json_writer *json, FILE *file);
void json_end(struct json_writer *json); /* the newline after the outermost value */
void json_object_open(struct json_writer *json, const char *key);
void json_object_close(struct json_writer *json);
void json_array_open(struct json_writer *json, const char *key);
void json_array_close(struct json_writer *json);
/* What is not UTF-8 in `text` is written as U+FFFD. NULL is written as null. */
void json_text(struct json_writer *json, const char *key, const char *text);
void json_u64(struct json_writer *json, const char *key, uint64_t value);
void json_i64(struct json_writer *json, const char *key, int64_t value);
/* As many digits as it takes to read the same double back; NaN and infinities are null. */
void json_double(struct json_writer *json, const char *key, double value);
void json_bool(struct json_writer *json, const char *key, bool value);
void json_null(struct json_writer *json, const char *key);

/* ---- parser ---- */

enum json_token {
    JSON_END, /* after the outermost value; only white space followed */
    JSON_OBJECT_OPEN,
    JSON_OBJECT_CLOSE,
    JSON_ARRAY_OPEN,
    JSON_ARRAY_CLOSE,
    JSON_KEY, /* the name of a member; its value is the next token */
    JSON_TEXT,
    JSON_NUMBER, /* kept as text, so that 64-bit integers are exact */
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
    JSON_ERROR, /* `error` and `error_offset` say what and where; every later token is JSON_ERROR */
};

/*
 * Takes tokens from one JSON value in memory. Strings are unescaped in place, so the text is
 * changed as it is read. Strict: RFC 8259, UTF-8, no NUL characters in strings, at most
 * JSON_DEPTH_MAX levels; one exception is made for what Python's json module prints: the words
 * NaN, Infinity and -Infinity are numbers.
 */
struct json_reader {
    char *start, *next, *end;
    const char *text; /* of a key, text or number; ends in a zero byte unless it is a number */
    size_t text_bytes;
    const char *error;
    size_t error_offset; /* in bytes from the start of the text */
    unsigned depth;
    bool in_object[JSON_DEPTH_MAX + 1];
    int state;
};

/* Starts on data[0 .. bytes - 1]; data[bytes] must be a zero byte that the reader may rely on. */
void json_reader_begin(struct json_reader *reader, char *data, size_t bytes);

/* The next token. */
enum json_token json_next(struct json_reader *reader);

/* Reads over the rest of a value whose first token was `token`. Returns false after an error. */
bool json_skip(struct json_reader *reader, enum json_token token);

/* The number just read as an integer: false when it has a sign, a fraction or an exponent or is
 * larger than 2^64 - 1. */
bool json_number_u64(const struct json_reader *reader, uint64_t *value);

/* The same with a sign, -2^63 .. 2^63 - 1. */
bool json_number_i64(const struct json_reader *reader, int64_t *value);

/* The number just read, rounded to the nearest double; false when it is too large for one. */
bool json_number_double(const struct json_reader *reader, double *value);

#endif
