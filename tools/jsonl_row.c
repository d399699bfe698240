/*
 * Parses rows in JSON; see jsonl_row.h. Strict: unknown and repeated members, wrong counts and
 * numbers that do not fit are errors, because a row that is wrong is stored for years.
 */
#include "jsonl_row.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <dmstore/sample.h>

#include "json.h"
#include "number.h"

/* The row being parsed. */
struct row_parser {
    struct json_reader reader;
    struct row_batch *batch;
    const struct dms_schema *schema;
    uint64_t mask_bytes;
    uint8_t *mask;       /* the start of the payload */
    uint8_t *next_value; /* where the next column's values go */
    uint64_t id;
    bool has_id, has_mask;
};

/* The column whose values are being parsed. */
struct value_parser {
    struct row_parser *row;
    const struct dms_column *column;
    uint8_t *values;
    uint64_t filled; /* values so far */
};

/* The message for a token that does not belong where it is. */
static int fail_token(const struct row_parser *parser, enum json_token token, const char *where,
                      const char *wanted)
{
    if (token == JSON_ERROR)
        return dms_source_fail(DMS_ERR_INVALID, "no JSON at byte %zu: %s",
                               parser->reader.error_offset, parser->reader.error);
    return dms_source_fail(DMS_ERR_INVALID, "%s: wanted %s at byte %zu", where, wanted,
                           (size_t)(parser->reader.next - parser->reader.start));
}

/* ---- the mask ---- */

static int hexadecimal_digit(char letter)
{
    return letter >= '0' && letter <= '9'   ? letter - '0'
           : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10
           : letter >= 'A' && letter <= 'F' ? letter - 'A' + 10
                                            : -1;
}

static int parse_mask_hex(struct row_parser *parser)
{
    const char *text = parser->reader.text;
    unsigned last_bits = (unsigned)(parser->schema->example_ct % 8);

    if (parser->reader.text_bytes != 2 * parser->mask_bytes)
        return dms_source_fail(
            DMS_ERR_INVALID,
            "mask: %zu hexadecimal digits, but %" PRIu64 " training examples take %" PRIu64,
            parser->reader.text_bytes, parser->schema->example_ct, 2 * parser->mask_bytes);
    for (uint64_t i = 0; i < parser->mask_bytes; i++) {
        int high = hexadecimal_digit(text[2 * i]), low = hexadecimal_digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return dms_source_fail(DMS_ERR_INVALID, "mask: no hexadecimal digits at place %" PRIu64,
                                   2 * i);
        parser->mask[i] = (uint8_t)(high << 4 | low);
    }
    if (last_bits > 0 && parser->mask[parser->mask_bytes - 1] >> last_bits)
        return dms_source_fail(DMS_ERR_INVALID,
                               "mask: a bit after the last of the %" PRIu64
                               " training examples is set",
                               parser->schema->example_ct);
    return 0;
}

static int parse_mask_indices(struct row_parser *parser)
{
    enum json_token token;

    memset(parser->mask, 0, parser->mask_bytes);
    while ((token = json_next(&parser->reader)) != JSON_ARRAY_CLOSE) {
        uint64_t index;
        uint8_t bit;

        if (token != JSON_NUMBER || !json_number_u64(&parser->reader, &index))
            return fail_token(parser, token, "mask", "the number of a training example");
        if (index >= parser->schema->example_ct)
            return dms_source_fail(DMS_ERR_INVALID,
                                   "mask: there is no training example %" PRIu64 " (0 to %" PRIu64
                                   " are)",
                                   index, parser->schema->example_ct - 1);
        bit = (uint8_t)(1u << (index & 7));
        if (parser->mask[index >> 3] & bit)
            return dms_source_fail(DMS_ERR_INVALID,
                                   "mask: training example %" PRIu64 " is listed twice", index);
        parser->mask[index >> 3] |= bit;
    }
    return 0;
}

static int parse_mask(struct row_parser *parser)
{
    enum json_token token = json_next(&parser->reader);

    if (parser->has_mask)
        return dms_source_fail(DMS_ERR_INVALID, "\"mask\" is there twice");
    parser->has_mask = true;
    if (token == JSON_TEXT)
        return parse_mask_hex(parser);
    if (token == JSON_ARRAY_OPEN)
        return parse_mask_indices(parser);
    return fail_token(parser, token, "mask", "hexadecimal digits or a list of example numbers");
}

/* ---- values ---- */

static int fail_value(const struct value_parser *parser, const char *what)
{
    return dms_source_fail(DMS_ERR_INVALID, "column %s, value %" PRIu64 ": %s",
                           parser->column->name, parser->filled, what);
}

static bool is_floating(enum dms_dtype dtype)
{
    return dtype == DMS_F16 || dtype == DMS_F32 || dtype == DMS_F64;
}

/* The number that a token stands for; false when it is none for this dtype. The texts are what
 * `dmstore get --json` prints. */
static bool number_of_token(const struct json_reader *reader, enum json_token token,
                            enum dms_dtype dtype, struct number *number)
{
    *number = (struct number){.kind = NUMBER_REAL};
    if (token == JSON_TRUE || token == JSON_FALSE) {
        *number = (struct number){.kind = NUMBER_UNSIGNED, .value.positive = token == JSON_TRUE};
        return dtype == DMS_BOOL || dtype == DMS_U8;
    }
    if (token == JSON_NUMBER) {
        if (json_number_u64(reader, &number->value.positive))
            number->kind = NUMBER_UNSIGNED;
        else if (json_number_i64(reader, &number->value.negative) && number->value.negative != 0)
            number->kind = NUMBER_NEGATIVE;
        else
            return json_number_double(reader, &number->value.real);
        return true;
    }
    if (!is_floating(dtype))
        return false;
    number->value.real = NAN;
    if (token == JSON_NULL || (token == JSON_TEXT && strcmp(reader->text, "NaN") == 0))
        return true;
    number->value.real = token == JSON_TEXT && reader->text[0] == '-' ? -INFINITY : INFINITY;
    return token == JSON_TEXT &&
           (strcmp(reader->text, "Infinity") == 0 || strcmp(reader->text, "-Infinity") == 0);
}

static int parse_text(struct value_parser *parser, enum json_token token)
{
    const struct json_reader *reader = &parser->row->reader;
    size_t room = dms_column_value_bytes(parser->column);

    if (token != JSON_TEXT)
        return fail_token(parser->row, token, parser->column->name, "a text");
    if (reader->text_bytes > room)
        return fail_value(parser, "the text is too long");
    memset(parser->values, 0, room);
    memcpy(parser->values, reader->text, reader->text_bytes);
    parser->filled++;
    return 0;
}

static int parse_number(struct value_parser *parser, enum json_token token)
{
    const struct dms_column *column = parser->column;
    const struct json_reader *reader = &parser->row->reader;
    uint8_t *value = parser->values + parser->filled * dms_column_value_bytes(column);
    struct number number;
    enum number_fit fit;

    if (token == JSON_ERROR)
        return fail_token(parser->row, token, column->name, "a number");
    if (parser->filled == dms_column_value_ct(column))
        return fail_value(parser, "one more than the column has");
    if (!number_of_token(reader, token, column->dtype, &number))
        return fail_value(parser, is_floating(column->dtype) ? "wanted a number, or null for NaN"
                                                             : "wanted a number");
    fit = number_store(&number, column->dtype, value);
    if (fit == NUMBER_UNFIT) {
        char text[NUMBER_TEXT_BYTES];

        return dms_source_fail(
            DMS_ERR_INVALID, "column %s, value %" PRIu64 ": %s does not fit into %s%s",
            column->name, parser->filled, number_describe(&number, text),
            dms_dtype_name(column->dtype), column->dtype == DMS_F16 ? " (largest: 65504)" : "");
    }
    parser->filled++;
    return 0;
}

/* Values in one whole element of the shape's level `level`. */
static uint64_t values_below(const struct dms_column *column, uint32_t level)
{
    uint64_t value_ct = 1;

    for (uint32_t i = level; i < column->dimension_ct; i++)
        value_ct *= column->dimensions[i];
    return value_ct;
}

/* Parses an array, its bracket already read: all numbers from level `level` of the shape on, flat
 * or as arrays of the next level. */
static int parse_array(struct value_parser *parser, uint32_t level)
{
    const struct dms_column *column = parser->column;
    uint64_t first = parser->filled, wanted = values_below(column, level);
    bool has_numbers = false, has_arrays = false;
    enum json_token token;
    int code = 0;

    while (code == 0 && (token = json_next(&parser->row->reader)) != JSON_ARRAY_CLOSE) {
        if (token == JSON_ARRAY_OPEN) {
            has_arrays = true;
            if (level + 1 >= column->dimension_ct)
                return fail_value(parser, "more levels of brackets than the column's shape has");
            code = parse_array(parser, level + 1);
        } else {
            has_numbers = true;
            code = parse_number(parser, token);
        }
        if (code == 0 && has_numbers && has_arrays)
            return fail_value(parser, "numbers and arrays stand side by side");
    }
    if (code == 0 && parser->filled - first != wanted)
        return dms_source_fail(DMS_ERR_INVALID,
                               "column %s: %" PRIu64 " values where the shape has %" PRIu64,
                               column->name, parser->filled - first, wanted);
    return code;
}

static int parse_column(struct row_parser *row, uint32_t position)
{
    struct value_parser parser = {
        .row = row,
        .column = &row->schema->columns[position],
        .values = row->next_value,
    };
    enum json_token token = json_next(&row->reader);
    int code;

    if (row_batch_has(row->batch, position - 2))
        return dms_source_fail(DMS_ERR_INVALID, "column %s is there twice", parser.column->name);
    if (parser.column->dtype == DMS_TEXT)
        code = parse_text(&parser, token);
    else if (token == JSON_ARRAY_OPEN && parser.column->kind == DMS_COLUMN_OUTPUT)
        code = parse_array(&parser, 0);
    else if (dms_column_value_ct(parser.column) == 1)
        code = parse_number(&parser, token);
    else
        code = fail_token(row, token, parser.column->name, "a list of numbers");
    if (code < 0)
        return code;
    row_batch_set(row->batch, position - 2, parser.values);
    row->next_value += dms_column_value_ct(parser.column) * dms_column_value_bytes(parser.column);
    return 0;
}

/* Parses the object of "outputs" or "scalars". */
static int parse_columns(struct row_parser *parser, enum dms_column_kind kind)
{
    const char *where = kind == DMS_COLUMN_OUTPUT ? "outputs" : "scalars";
    enum json_token token = json_next(&parser->reader);

    if (token != JSON_OBJECT_OPEN)
        return fail_token(parser, token, where, "an object of columns");
    while ((token = json_next(&parser->reader)) != JSON_OBJECT_CLOSE) {
        uint32_t position;
        int code;

        if (token != JSON_KEY)
            return fail_token(parser, token, where, "the name of a column");
        code = dms_schema_find(parser->schema, parser->reader.text, &position);
        if (code < 0)
            return code;
        if (parser->schema->columns[position].kind != kind)
            return dms_source_fail(DMS_ERR_INVALID, "column %s is not one of the %s",
                                   parser->schema->columns[position].name, where);
        code = parse_column(parser, position);
        if (code < 0)
            return code;
    }
    return 0;
}

/* ---- the row ---- */

static int parse_id(struct row_parser *parser)
{
    enum json_token token = json_next(&parser->reader);

    if (parser->has_id)
        return dms_source_fail(DMS_ERR_INVALID, "\"id\" is there twice");
    parser->has_id = true;
    if (token != JSON_NUMBER || !json_number_u64(&parser->reader, &parser->id))
        return fail_token(parser, token, "id", "a whole number from 0 to 2^64 - 1");
    return 0;
}

static int parse_member(struct row_parser *parser)
{
    const char *key = parser->reader.text;

    if (strcmp(key, "id") == 0)
        return parse_id(parser);
    if (strcmp(key, "mask") == 0)
        return parse_mask(parser);
    if (strcmp(key, "outputs") == 0)
        return parse_columns(parser, DMS_COLUMN_OUTPUT);
    if (strcmp(key, "scalars") == 0)
        return parse_columns(parser, DMS_COLUMN_SCALAR);
    return dms_source_fail(DMS_ERR_INVALID,
                           "member \"%.64s\" is unknown (id, mask, outputs and scalars are)", key);
}

static int parse_members(struct row_parser *parser)
{
    enum json_token token = json_next(&parser->reader);

    if (token != JSON_OBJECT_OPEN)
        return fail_token(parser, token, "row", "an object");
    while ((token = json_next(&parser->reader)) != JSON_OBJECT_CLOSE) {
        int code =
            token == JSON_KEY ? parse_member(parser) : fail_token(parser, token, "row", "a member");

        if (code < 0)
            return code;
    }
    token = json_next(&parser->reader);
    return token == JSON_END ? 0 : fail_token(parser, token, "row", "the end of the line");
}

/* Holds what was parsed against what a row needs, and draws a mask that was left out. */
static int complete_row(struct row_parser *parser, const struct dms_sampling *sampling)
{
    if (!parser->has_id)
        return dms_source_fail(DMS_ERR_INVALID, "\"id\" is missing");
    if (parser->has_mask)
        return 0;
    if (!sampling)
        return dms_source_fail(DMS_ERR_INVALID,
                               "\"mask\" is missing (it may be with --sampled only)");
    return dms_sample_mask(parser->schema->example_ct, sampling->subset_size, sampling->seed,
                           parser->id, parser->mask);
}

/* Bytes of a row with values in every column. */
static uint64_t payload_bytes_max(const struct dms_schema *schema)
{
    uint64_t bytes = (schema->example_ct + 7) / 8;

    for (uint32_t i = 2; i < schema->column_ct; i++)
        bytes +=
            dms_column_value_ct(&schema->columns[i]) * dms_column_value_bytes(&schema->columns[i]);
    return bytes;
}

int jsonl_row_parse(char *line, size_t bytes, const struct dms_sampling *sampling,
                    struct row_batch *batch)
{
    struct row_parser parser = {
        .batch = batch,
        .schema = batch->schema,
        .mask_bytes = (batch->schema->example_ct + 7) / 8,
    };
    int code = row_batch_begin(batch, payload_bytes_max(batch->schema), &parser.mask);

    if (code < 0)
        return code;
    parser.next_value = parser.mask + parser.mask_bytes;
    json_reader_begin(&parser.reader, line, bytes);
    code = parse_members(&parser);
    if (code == 0)
        code = complete_row(&parser, sampling);
    if (code < 0)
        return code;
    row_batch_end(batch, parser.id, parser.mask, sampling);
    return 0;
}

size_t jsonl_line_bytes_max(const struct dms_schema *schema)
{
    /* An example number and its comma take at most 21 bytes, a value with brackets and spaces
     * hardly 64; a text of N bytes at most 6 N. */
    uint64_t bytes = (1u << 20) + 24 * schema->example_ct;

    for (uint32_t i = 2; i < schema->column_ct; i++)
        bytes += 64 * dms_column_value_ct(&schema->columns[i]) +
                 6 * dms_column_value_bytes(&schema->columns[i]);
    return bytes < SIZE_MAX / 2 ? (size_t)bytes : SIZE_MAX / 2;
}
