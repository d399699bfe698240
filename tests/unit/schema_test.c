/*
 * Schemas: what the command line forms mean, what dms_schema_prepare chooses, the golden bytes of
 * an encoded schema, what the decoder refuses, and when two stores can be merged.
 */
#include "tap.h"

#include "base/endian.h"
#include "base/error.h"
#include "format/schema.h"

#include <stdlib.h>

static struct dms_column output(const char *text)
{
    struct dms_column column = {0};

    if (dms_output_parse(text, &column) != 0)
        diag("%s: %s", text, dms_error_message());
    return column;
}

static struct dms_column scalar(const char *text)
{
    struct dms_column column = {0};

    if (dms_scalar_parse(text, &column) != 0)
        diag("%s: %s", text, dms_error_message());
    return column;
}

/* ---- the forms of the command line ---- */

static void test_output_forms(void)
{
    static const char *const refused[] = {
        "",
        "margins",
        "margins:",
        ":10",
        "margins:0",
        "margins:10x0",
        "m:1073741824:f16",
        "margins:x",
        "margins:10x",
        "margins:10:f64",
        "margins:10:",
        "margins:10:s8",
        "margins:1x1x1x1x1",
        "m:-1",
        "a/b:5",
        "a b:5",
        "9a:5",
        "-a:5",
        "m:10:f16:f16",
        "m:4294967296:u8",
        "m: 10",
        "m:18446744073709551616",
        "m:65536x65536:f16",
        "m:4294967295x4294967295x4294967295",
    };
    struct dms_column column = output("test_logits:10000x10:f32");

    is_text(column.name, "test_logits", "an output has its name");
    ok(column.kind == DMS_COLUMN_OUTPUT && column.dtype == DMS_F32 && column.element_bits == 32,
       "and its dtype");
    ok(column.dimension_ct == 2 && column.target_ct == 10000 && column.values_per_target == 10,
       "and its shape");
    is_int(dms_column_value_ct(&column), 100000, "values of a row");
    is_int(dms_column_packed_bytes(&column, 3), 120, "bytes of three targets");
    column = output("margins:7");
    is_int(column.dtype, DMS_F16, "f16 is the dtype when none is given");
    column = output("hits:3x3:bool");
    is_int(dms_column_packed_bytes(&column, 3), 2, "nine bools take two bytes in the store");
    is_int(dms_column_value_bytes(&column), 1, "and one byte each in memory");
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        is_int(dms_output_parse(refused[i], &column), DMS_ERR_INVALID, refused[i]);
}

static void test_scalar_and_codec_forms(void)
{
    static const char *const refused_scalars[] = {"alpha",      "alpha:",     "alpha:s0",
                                                  "alpha:s256", "alpha:text", "a:f64:f64"};
    static const char *const refused_codecs[] = {"",        "zst",     "zstd:", "zstd:0",
                                                 "zstd:20", "zstd:1x", "none:1"};
    struct dms_column column = scalar("host:s255");
    struct dms_codec codec;

    ok(column.kind == DMS_COLUMN_SCALAR && column.dtype == DMS_TEXT &&
           column.element_bits == 255 * 8,
       "a text scalar");
    is_int(dms_column_value_bytes(&column), 255, "has its bytes in memory");
    column = scalar("alpha:f64");
    ok(column.dtype == DMS_F64 && column.dimension_ct == 0 && column.target_ct == 1,
       "a number has no dimensions");
    is_text(dms_dtype_name(column.dtype), "f64", "a dtype has a name");
    for (size_t i = 0; i < sizeof(refused_scalars) / sizeof(refused_scalars[0]); i++)
        is_int(dms_scalar_parse(refused_scalars[i], &column), DMS_ERR_INVALID, refused_scalars[i]);

    ok(dms_codec_parse("none", &codec) == 0 && codec.kind == DMS_CODEC_NONE, "codec none");
    ok(dms_codec_parse("zstd", &codec) == 0 && codec.kind == DMS_CODEC_ZSTD && codec.level == 1,
       "codec zstd is level 1");
    ok(dms_codec_parse("zstd:19", &codec) == 0 && codec.level == 19, "codec zstd:19");
    ok(dms_codec_parse("auto", &codec) == 0 && codec.kind == DMS_CODEC_AUTO, "codec auto");
    for (size_t i = 0; i < sizeof(refused_codecs) / sizeof(refused_codecs[0]); i++)
        is_int(dms_codec_parse(refused_codecs[i], &codec), DMS_ERR_INVALID, refused_codecs[i]);
}

/* ---- making schemas ---- */

/* A store's schema, or NULL with the failure said. */
static struct dms_schema *prepare(uint64_t example_ct, struct dms_column *columns,
                                  uint32_t column_ct)
{
    struct dms_schema request = {
        .example_ct = example_ct, .columns = columns, .column_ct = column_ct};
    struct dms_schema *schema = NULL;

    if (dms_schema_prepare(&request, &schema) != 0)
        diag("%s", dms_error_message());
    return schema;
}

static void test_prepare(void)
{
    struct dms_column columns[] = {output("test_margins:10000:f16"),
                                   output("test_logits:10000x10:f16"), output("few:3:u8"),
                                   scalar("alpha:f64"), output("wide:100x100000:f32")};
    struct dms_schema *schema = prepare(50000, columns, 5);

    if (!ok(schema != NULL, "a request becomes a schema"))
        return;
    is_int(schema->version, 1, "it is version 1");
    is_int(schema->column_ct, 7, "with mask and model id");
    ok(strcmp(schema->columns[0].name, "mask") == 0 && schema->columns[0].target_ct == 50000,
       "the mask is first");
    ok(strcmp(schema->columns[1].name, "id") == 0 && schema->columns[1].dtype == DMS_U64,
       "the model id is second");
    is_int(schema->chunk_rows, 1024, "1,024 masks of 50,000 bits take about 6 MiB");
    is_int(schema->columns[2].tile_targets, 512, "512 halves of 1,024 rows are a tile of 1 MiB");
    is_int(schema->columns[3].tile_targets, 64, "a tile has at least 64 targets");
    is_int(schema->columns[4].tile_targets, 3, "and no more than there are");
    is_int(schema->columns[5].tile_targets, 1, "a scalar is one target");
    ok(dms_column_packed_bytes(&schema->columns[6], schema->columns[6].tile_targets) * 1024 <=
           UINT32_MAX,
       "a tile of very wide targets stays below 4 GiB");
    ok(schema->columns[2].id == 2 && schema->columns[6].id == 6 && schema->next_column_id == 7,
       "column ids count up");
    dms_schema_free(schema);

    schema = prepare(64, columns, 1);
    ok(schema != NULL && schema->chunk_rows == 16384, "small masks: the largest group");
    dms_schema_free(schema);
    schema = prepare(10000000, columns, 1);
    ok(schema != NULL && schema->chunk_rows == 64, "huge masks: the smallest group");
    dms_schema_free(schema);
}

static void refuse(struct dms_schema request, int code, const char *part, const char *name)
{
    struct dms_schema *schema = NULL;

    is_int(dms_schema_prepare(&request, &schema), code, name);
    contains(dms_error_message(), part, "the message says it");
    dms_schema_free(schema);
}

static void test_refusals(void)
{
    struct dms_column same[] = {output("a:5"), output("a:6")};
    struct dms_column reserved = output("mask:5");
    struct dms_column bad_name = output("ab:5");
    struct dms_column long_row = {.kind = DMS_COLUMN_OUTPUT,
                                  .dtype = DMS_F16,
                                  .name = "long",
                                  .dimension_ct = 1,
                                  .dimensions = {1073741824},
                                  .target_ct = 1073741824,
                                  .values_per_target = 1,
                                  .element_bits = 16};
    struct dms_metadata twice[] = {{"k", "1"}, {"k", "2"}};
    struct dms_metadata latin = {"k", "\xe9t\xe9"};
    struct dms_metadata surrogate = {"k", "\xed\xa0\x80"};
    struct dms_metadata overlong = {"k", "\xc0\xaf"};

    bad_name.name[1] = ' ';
    refuse((struct dms_schema){.example_ct = 0}, DMS_ERR_INVALID, "0 training examples",
           "no examples");
    refuse((struct dms_schema){.example_ct = UINT64_C(1) << 32}, DMS_ERR_INVALID, "4294967296",
           "too many examples");
    refuse((struct dms_schema){.example_ct = 10, .chunk_rows = 100}, DMS_ERR_INVALID,
           "power of two", "100 rows a chunk");
    refuse((struct dms_schema){.example_ct = 10, .chunk_rows = 32}, DMS_ERR_INVALID, "64 .. 16384",
           "32 rows a chunk");
    refuse((struct dms_schema){.example_ct = 10, .chunk_rows = 32768}, DMS_ERR_INVALID, "16384",
           "32768 rows a chunk");
    refuse((struct dms_schema){.example_ct = 4000000, .chunk_rows = 16384}, DMS_ERR_INVALID,
           "column mask", "a mask chunk beyond 4 GiB");
    refuse((struct dms_schema){.example_ct = 10, .codec = {DMS_CODEC_ZSTD, 20}}, DMS_ERR_INVALID,
           "level 20", "level 20");
    refuse((struct dms_schema){.example_ct = 10, .digest_bytes = 65}, DMS_ERR_INVALID, "65 bytes",
           "a long digest");
    refuse((struct dms_schema){.example_ct = 10, .columns = same, .column_ct = 2}, DMS_ERR_EXISTS,
           "column a", "two columns of one name");
    refuse((struct dms_schema){.example_ct = 10, .columns = &reserved, .column_ct = 1},
           DMS_ERR_EXISTS, "column mask", "a column that is called mask");
    refuse((struct dms_schema){.example_ct = 10, .columns = &bad_name, .column_ct = 1},
           DMS_ERR_INVALID, "'a '", "a name with a space");
    refuse((struct dms_schema){.example_ct = 10, .columns = &long_row, .column_ct = 1},
           DMS_ERR_INVALID, "long", "a row of 2 GiB");
    refuse((struct dms_schema){.example_ct = 10, .metadata = twice, .metadata_ct = 2},
           DMS_ERR_INVALID, "metadata k", "a metadata key twice");
    refuse((struct dms_schema){.example_ct = 10, .metadata = &latin, .metadata_ct = 1},
           DMS_ERR_INVALID, "UTF-8", "metadata in Latin-1");
    refuse((struct dms_schema){.example_ct = 10, .metadata = &surrogate, .metadata_ct = 1},
           DMS_ERR_INVALID, "UTF-8", "metadata with a surrogate");
    refuse((struct dms_schema){.example_ct = 10, .metadata = &overlong, .metadata_ct = 1},
           DMS_ERR_INVALID, "UTF-8", "metadata in an overlong form");
}

/* ---- coding ---- */

/* A schema of every part: digest, two columns, metadata. */
static struct dms_schema *example_schema(void)
{
    struct dms_column columns[] = {output("margins:300x2:f16"), scalar("host:s9")};
    struct dms_metadata metadata[] = {{"architecture", "resnet-9"}, {"note", "\xc3\xa9t\xc3\xa9"}};
    struct dms_schema request = {
        .example_ct = 1001,
        .chunk_rows = 128,
        .codec = {DMS_CODEC_ZSTD, 3},
        .digest_bytes = 3,
        .digest = {0xab, 0xcd, 0xef},
        .columns = columns,
        .column_ct = 2,
        .metadata = metadata,
        .metadata_ct = 2,
    };
    struct dms_schema *schema = NULL;

    dms_schema_prepare(&request, &schema);
    return schema;
}

/* The bytes of example_schema(), written out from SPEC.md by hand. */
static const uint8_t golden[] =
    {
        1,    0,    0,    0,    4,   0,    0,    0,   0xe9, 3,   0,   0,   0,   0,
        0,    0,    128,  0,    0,   0,    1,    3,   0,    0, /* version .. level, zero */
        3,    0,    0,    0,    2,   0,    0,    0,   4,    0,   0,   0,   0,   0,
        0,    0,                                    /* lengths, next column id */
        0xab, 0xcd, 0xef, 0,    0,   0,    0,    0, /* digest */
        0,    0,    0,    0,    1,   1,    1,    4,   0xe9, 3,   0,   0,   1,   0,
        0,    0,    0xe9, 3,    0,   0,    0,    0,   0,    0, /* mask: one dimension, 1,001 */
        'm',  'a',  's',  'k',  0,   0,    0,    0,            /* its name */
        1,    0,    0,    0,    2,   9,    0,    2,   1,    0,   0,   0,   64,  0,
        0,    0,    'i',  'd',  0,   0,    0,    0,   0,    0, /* model id: u64 */
        2,    0,    0,    0,    3,   3,    2,    7,   44,   1,   0,   0,   16,  0,
        0,    0, /* margins: f16, 300 targets a tile */
        44,   1,    0,    0,    0,   0,    0,    0,   2,    0,   0,   0,   0,   0,
        0,    0,    'm',  'a',  'r', 'g',  'i',  'n', 's',  0, /* 300 x 2 */
        3,    0,    0,    0,    4,   10,   0,    4,   1,    0,   0,   0,   72,  0,
        0,    0,    'h',  'o',  's', 't',  0,    0,   0,    0, /* host: text of 9 bytes */
        12,   0,    0,    0,    8,   0,    0,    0,   'a',  'r', 'c', 'h', 'i', 't',
        'e',  'c',  't',  'u',  'r', 'e',  'r',  'e', 's',  'n', 'e', 't', '-', '9',
        0,    0,    0,    0,    4,   0,    0,    0,   5,    0,   0,   0,   'n', 'o',
        't',  'e',  0xc3, 0xa9, 't', 0xc3, 0xa9, 0,   0,    0,   0,   0,   0,   0,
};

static void test_golden_bytes(void)
{
    struct dms_schema *schema = example_schema();
    struct dms_schema *decoded = NULL;
    struct dms_buffer buffer = {0}, again = {0};

    is_int(dms_schema_encode(schema, &buffer), 0, "a schema is encoded");
    ok(buffer.size == sizeof(golden) && memcmp(buffer.data, golden, sizeof(golden)) == 0,
       "to the bytes of SPEC.md");
    is_int(dms_schema_decode(golden, sizeof(golden), &decoded), 0, "and decoded");
    if (decoded == NULL)
        return;
    ok(decoded->digest_bytes == 3 && decoded->codec.level == 3 && decoded->chunk_rows == 128,
       "with its fixed part");
    is_text(decoded->columns[2].name, "margins", "its columns");
    ok(decoded->columns[2].target_ct == 300 && decoded->columns[2].values_per_target == 2,
       "their shapes");
    is_text(decoded->metadata[1].value, "\xc3\xa9t\xc3\xa9", "and its metadata");
    ok(dms_schema_encode(decoded, &again) == 0 && again.size == buffer.size &&
           memcmp(again.data, buffer.data, buffer.size) == 0,
       "encoding what was decoded gives the same bytes");
    dms_schema_free(schema);
    dms_schema_free(decoded);
    dms_buffer_free(&buffer);
    dms_buffer_free(&again);
}

/* Decodes the golden bytes with one field changed, and says whether that was refused. */
static bool change_is_refused(size_t offset, uint32_t value)
{
    uint8_t changed[sizeof(golden)];
    struct dms_schema *schema = NULL;
    int result;

    memcpy(changed, golden, sizeof(golden));
    dms_store_u32(changed + offset, value);
    result = dms_schema_decode(changed, sizeof(changed), &schema);
    dms_schema_free(schema);
    return result == DMS_ERR_CORRUPT;
}

static void test_decoder_refusals(void)
{
    static const struct {
        size_t offset;
        uint32_t value;
        const char *what;
    } changes[] = {
        {0, 0, "version 0"},
        {4, 0xffffffff, "four billion columns"},
        {4, 3, "a column less than there are"},
        {4, 1, "no model id"},
        {8, 1000, "another number of examples than the mask has"},
        {16, 129, "129 rows a group"},
        {20, 0x0309, "an unknown codec"},
        {20, 0x1401, "zstd level 20"},
        {20, 0x010301, "a zero byte that is not"},
        {24, 0xffffffff, "a digest of 4 GiB"},
        {28, 0xffffffff, "four billion metadata pairs"},
        {32, 3, "a next column id that is taken"},
        {36, 1, "other zero bytes"},
        {43, 1, "padding of the digest"},
        {104, 1, "a column id twice"},
        {108, 0x07010303, "a dimension less"},
        {108, 0x07020903, "an output of u64"},
        {108, 0x07020003, "dtype 0"},
        {108, 0x07020305, "an unknown kind"},
        {108, 0x07ff0303, "255 dimensions"},
        {108, 0x08020303, "a name with a zero byte in it"},
        {112, 301, "more targets a tile than there are"},
        {112, 0, "no targets a tile"},
        {116, 17, "halves of 17 bits"},
        {120, 0, "no targets"},
        {124, 1, "four billion targets"},
        {156, 71, "a text of 71 bits"},
        {156, 0, "a text of no bytes"},
        {160, 0x6b73616d, "two columns called mask"},
        {160, 0x74736f2f, "a name with a slash"},
        {168, 0x10000, "a metadata key of 64 KiB"},
        {168, 0, "an empty metadata key"},
        {172, 7, "a metadata value that is shorter than said"},
    };
    struct dms_schema *schema = NULL;
    unsigned accepted = 0;

    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
        ok(change_is_refused(changes[i].offset, changes[i].value), "%s: refused", changes[i].what);
    ok(!change_is_refused(0, 2), "version 2: accepted");
    for (size_t bytes = 0; bytes < sizeof(golden); bytes++)
        accepted += dms_schema_decode(golden, bytes, &schema) != DMS_ERR_CORRUPT;
    is_int(accepted, 0, "every shorter schema is refused");
}

/* ---- changing and comparing ---- */

static void test_add_column(void)
{
    struct dms_schema *schema = example_schema();
    struct dms_schema *changed = NULL;
    struct dms_column added = output("late:1000:f32");
    struct dms_column taken = scalar("margins:f64");

    is_int(dms_schema_add_column(schema, &added, &changed), 0, "a column is added");
    if (changed == NULL)
        return;
    ok(changed->version == 2 && changed->column_ct == 5 && changed->columns[4].id == 4,
       "as version 2, with the next id");
    ok(schema->version == 1 && schema->column_ct == 4, "and the schema before is as it was");
    is_text(changed->metadata[0].value, "resnet-9", "metadata stay");
    dms_schema_free(changed);
    changed = NULL;
    is_int(dms_schema_add_column(schema, &taken, &changed), DMS_ERR_EXISTS,
           "a name that is taken is refused");
    ok(changed == NULL, "and nothing is made");
    dms_schema_free(schema);
}

static void test_mergeable(void)
{
    struct dms_column columns[] = {output("a:10:f16"), output("b:10x2:f16")};
    struct dms_column swapped[] = {columns[1], columns[0]};
    struct dms_column other_dtype[] = {columns[0], output("b:10x2:f32")};
    struct dms_column other_shape[] = {columns[0], output("b:20:f16")};
    struct dms_schema *schema = prepare(100, columns, 2);
    struct dms_schema *others[] = {prepare(100, swapped, 2),     prepare(101, columns, 2),
                                   prepare(100, columns, 1),     prepare(100, other_dtype, 2),
                                   prepare(100, other_shape, 2), prepare(100, columns, 2)};
    static const char *const wanted[] = {
        "",       "training examples",  "column b is not in the source", "dtypes",
        "shapes", "the source has none"};

    schema->digest_bytes = others[0]->digest_bytes = 0;
    is_int(dms_schema_check_mergeable(schema, others[0]), 0,
           "the order of columns does not matter");
    for (int i = 1; i < 6; i++) {
        if (i == 5)
            schema->digest_bytes = 4;
        is_int(dms_schema_check_mergeable(schema, others[i]), DMS_ERR_INVALID,
               "a difference is refused");
        contains(dms_error_message(), wanted[i], "and named");
    }
    is_int(dms_schema_check_mergeable(others[2], others[5]), DMS_ERR_INVALID,
           "a column that only the source has, too");
    contains(dms_error_message(), "column b is not in the destination", "and named");
    for (int i = 0; i < 6; i++)
        dms_schema_free(others[i]);
    dms_schema_free(schema);
}

static void test_find(void)
{
    struct dms_schema *schema = example_schema();
    uint32_t column = 0;

    ok(dms_schema_find(schema, "host", &column) == 0 && column == 3,
       "a column is found by its name");
    is_int(dms_schema_find(schema, "Host", &column), DMS_ERR_NOT_FOUND, "case matters");
    contains(dms_error_message(), "mask id margins host", "the message lists what there is");
    dms_schema_free(schema);
}

int main(void)
{
    test_output_forms();
    test_scalar_and_codec_forms();
    test_prepare();
    test_refusals();
    test_golden_bytes();
    test_decoder_refusals();
    test_add_column();
    test_mergeable();
    test_find();
    return tap_done();
}
