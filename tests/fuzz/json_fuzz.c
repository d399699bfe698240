/*
 * Fuzz target: the JSON parser that reads the lines of `dmstore append --format jsonl`. The first
 * byte says whether values are read token by token or skipped.
 */
#include "fuzz.h"

#include "tools/json.h"

#include <string.h>

/* Reads everything that a token gives. */
static void use_token(const struct json_reader *reader, enum json_token token)
{
    uint64_t unsigned_value;
    int64_t signed_value;
    double number;

    if (token == JSON_KEY || token == JSON_TEXT) {
        require(strlen(reader->text) == reader->text_bytes);
    } else if (token == JSON_NUMBER) {
        bool is_u64 = json_number_u64(reader, &unsigned_value);
        bool is_i64 = json_number_i64(reader, &signed_value);

        require(!is_u64 || !is_i64 || (uint64_t)signed_value == unsigned_value);
        json_number_double(reader, &number);
    } else if (token == JSON_ERROR) {
        require(reader->error != NULL &&
                reader->error_offset <= (size_t)(reader->end - reader->start));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_reader reader;
    enum json_token token;
    char *text;

    if (size == 0)
        return 0;
    text = malloc(size);
    require(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    json_reader_begin(&reader, text, size - 1);
    do {
        token = json_next(&reader);
        use_token(&reader, token);
        if ((data[0] & 1) != 0 && token == JSON_KEY) {
            token = json_next(&reader);
            if (token != JSON_ERROR)
                json_skip(&reader, token);
        }
    } while (token != JSON_END && token != JSON_ERROR);
    require(json_next(&reader) == token);
    free(text);
    return 0;
}
