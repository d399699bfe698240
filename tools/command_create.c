/*
 * dmstore create: makes an empty store from the columns that the command line names.
 */
#include <stdlib.h>
#include <string.h>

#include <dmstore/schema.h>
#include <dmstore/store.h>

#include "commands.h"
#include "options.h"

static const char name[] = "create";

/* What the command line says, before it becomes a schema. */
struct request {
    uint64_t example_ct;
    uint64_t chunk_rows;
    bool chunk_rows_given;
    const char *codec;
    const char *digest;
    struct tool_list outputs;
    struct tool_list scalars;
    struct tool_list metadata;
};

static int hexadecimal_digit(char letter)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *digit = letter ? strchr(digits, letter) : NULL;

    if (!digit)
        return -1;
    return digit - digits < 16 ? (int)(digit - digits) : (int)(digit - digits) - 6;
}

static int set_digest(struct dms_schema *schema, const char *text)
{
    size_t bytes = strlen(text) / 2;

    if (strlen(text) % 2 != 0 || bytes == 0 || bytes > DMS_DIGEST_BYTES)
        return tool_fail_usage(name,
                               "--dataset-digest: wanted 2 to %d hexadecimal digits, an even "
                               "number of them",
                               2 * DMS_DIGEST_BYTES);
    for (size_t i = 0; i < bytes; i++) {
        int high = hexadecimal_digit(text[2 * i]), low = hexadecimal_digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return tool_fail_usage(name, "--dataset-digest: '%s' is not hexadecimal", text);
        schema->digest[i] = (uint8_t)(high << 4 | low);
    }
    schema->digest_bytes = bytes;
    return TOOL_CONTINUE;
}

/* Makes room for the columns and metadata of the request; out of memory is reported. */
static int allocate_schema(const struct request *request, struct dms_schema *schema)
{
    schema->columns =
        calloc(request->outputs.item_ct + request->scalars.item_ct + 1, sizeof(*schema->columns));
    schema->metadata = calloc(request->metadata.item_ct + 1, sizeof(*schema->metadata));
    if (!schema->columns || !schema->metadata)
        return tool_fail(name, "out of memory");
    return TOOL_CONTINUE;
}

static int set_columns(const struct request *request, struct dms_schema *schema)
{
    for (size_t i = 0; i < request->outputs.item_ct; i++) {
        if (dms_output_parse(request->outputs.items[i], &schema->columns[schema->column_ct++]) < 0)
            return tool_fail_usage(name, "--output: %s", dms_error_message());
    }
    for (size_t i = 0; i < request->scalars.item_ct; i++) {
        if (dms_scalar_parse(request->scalars.items[i], &schema->columns[schema->column_ct++]) < 0)
            return tool_fail_usage(name, "--scalar: %s", dms_error_message());
    }
    return TOOL_CONTINUE;
}

/* Splits the K=V texts in place: argv is ours to change. */
static int set_metadata(const struct request *request, struct dms_schema *schema)
{
    for (size_t i = 0; i < request->metadata.item_ct; i++) {
        char *text = (char *)request->metadata.items[i];
        char *equals = strchr(text, '=');

        if (!equals || equals == text)
            return tool_fail_usage(name, "--meta: '%s' is not KEY=VALUE", text);
        *equals = '\0';
        schema->metadata[schema->metadata_ct++] =
            (struct dms_metadata){.key = text, .value = equals + 1};
    }
    return TOOL_CONTINUE;
}

static int make_schema(const struct request *request, struct dms_schema *schema)
{
    int status;

    if (request->example_ct == 0)
        return tool_fail_usage(name, "--examples D is needed: the size of the training set");
    if (request->chunk_rows > UINT32_MAX || (request->chunk_rows_given && request->chunk_rows == 0))
        return tool_fail_usage(name, "--chunk-rows: wanted a power of two from 64 to 16384");
    schema->example_ct = request->example_ct;
    schema->chunk_rows = (uint32_t)request->chunk_rows;
    if (dms_codec_parse(request->codec, &schema->codec) < 0)
        return tool_fail_usage(name, "--codec: %s", dms_error_message());
    if (request->digest) {
        status = set_digest(schema, request->digest);
        if (status != TOOL_CONTINUE)
            return status;
    }
    status = allocate_schema(request, schema);
    if (status == TOOL_CONTINUE)
        status = set_columns(request, schema);
    if (status == TOOL_CONTINUE)
        status = set_metadata(request, schema);
    return status;
}

int command_create(int argc, char **argv)
{
    struct request request = {.codec = "none"};
    struct dms_schema schema = {0};
    char **positionals;
    const struct tool_option options[] = {
        OPTION_COUNT("examples", 0, "D", &request.example_ct, NULL,
                     "number of training examples, the bits of a mask (needed)"),
        OPTION_LIST("output", 0, "NAME:SHAPE[:DTYPE]", &request.outputs,
                    "an output column, e.g. test_margins:10000:f16 or test_logits:10000x10; its "
                    "first dimension is the targets; f16 (default), f32, u8 or bool; may be "
                    "repeated"),
        OPTION_LIST("scalar", 0, "NAME:DTYPE", &request.scalars,
                    "a column of one value a model: bool, u8, f16, f32, f64, i32, u32, i64, u64, "
                    "or sN for text of up to N bytes; may be repeated"),
        OPTION_COUNT("chunk-rows", 0, "R", &request.chunk_rows, &request.chunk_rows_given,
                     "models in a chunk: a power of two from 64 to 16384 (default: as many as "
                     "make a mask chunk of 4 to 16 MiB)"),
        OPTION_TEXT("codec", 0, "none|zstd[:LEVEL]|auto", &request.codec,
                    "how chunks are compressed: not at all (default), with zstd wherever that "
                    "makes a chunk smaller, or only where it saves a quarter"),
        OPTION_TEXT("dataset-digest", 0, "HEX", &request.digest,
                    "digest of the training set; stores of different ones are never merged"),
        OPTION_LIST("meta", 0, "KEY=VALUE", &request.metadata,
                    "a note that is kept with the store; may be repeated"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE --examples D [--output NAME:SHAPE[:DTYPE] ...] [options]",
        .description =
            "Makes the directory STORE with an empty store in it. Nothing is overwritten.\n"
            "Numbers may end in K, M or G (powers of 1000).\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    int status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status != TOOL_CONTINUE)
        goto out;
    status = make_schema(&request, &schema);
    if (status != TOOL_CONTINUE)
        goto out;
    status = dms_store_create(positionals[0], &schema) < 0 ? tool_fail_library(name) : TOOL_OK;
out:
    free(schema.columns);
    free(schema.metadata);
    tool_list_free(&request.outputs);
    tool_list_free(&request.scalars);
    tool_list_free(&request.metadata);
    return status;
}
