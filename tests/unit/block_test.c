/*
 * Block headers and segment payloads: every field stands where SPEC.md section 2 says, and a header
 * in which anything else stands is refused.
 */
#include "tap.h"

#include "base/endian.h"
#include "base/error.h"
#include "dmstore/snapshot.h"
#include "format/block.h"

enum { SEGMENT = 3, OFFSET = 0x1240 };

/* A field of a header: its place, size in bytes and value. */
struct field {
    size_t offset;
    size_t bytes;
    uint64_t value;
};

static uint64_t load_field(const uint8_t *header, const struct field *field)
{
    uint64_t value = 0;

    for (size_t i = 0; i < field->bytes; i++)
        value |= (uint64_t)header[field->offset + i] << 8 * i;
    return value;
}

/* Whether exactly the common fields and these have those values, and all other bytes are zero. */
static bool header_has(const uint8_t *header, const struct dms_block *block,
                       const struct field *fields, size_t field_ct)
{
    uint8_t wanted[DMS_BLOCK_HEADER_BYTES] = {0};

    memcpy(wanted,
           block->type == DMS_BLOCK_SEGMENT ? "\x89"
                                              "DMS\r\n\x1a\n"
                                            : "dmsBlock",
           8);
    wanted[8] = (uint8_t)block->type;
    wanted[9] = 1;
    wanted[10] = 128;
    dms_store_u64(wanted + 16, block->segment);
    dms_store_u64(wanted + 24, block->offset);
    dms_store_u64(wanted + 32, block->payload_bytes);
    dms_store_u64(wanted + 40, block->payload_hash);
    for (size_t i = 0; i < field_ct; i++) {
        if (load_field(header, &fields[i]) != fields[i].value)
            return false;
        memcpy(wanted + fields[i].offset, header + fields[i].offset, fields[i].bytes);
    }
    dms_store_u64(wanted + 120, dms_hash64(wanted, 120));
    return memcmp(header, wanted, sizeof(wanted)) == 0;
}

/* Encodes a block, holds the header against the fields, decodes it and encodes that again. */
static void round_trip(const char *what, struct dms_block block, const struct field *fields,
                       size_t field_ct)
{
    uint8_t header[DMS_BLOCK_HEADER_BYTES], again[DMS_BLOCK_HEADER_BYTES];
    struct dms_block decoded;

    block.segment = SEGMENT;
    block.offset = block.type == DMS_BLOCK_SEGMENT ? 0 : OFFSET;
    block.payload_bytes = 77;
    block.payload_hash = UINT64_C(0x1122334455667788);
    dms_block_encode(&block, header);
    ok(header_has(header, &block, fields, field_ct), "%s: every field is in its place", what);
    if (!ok(dms_block_decode(header, SEGMENT, block.offset, &decoded) == 0, "%s: decoded", what)) {
        diag("%s", dms_error_message());
        return;
    }
    dms_block_encode(&decoded, again);
    ok(memcmp(header, again, sizeof(header)) == 0, "%s: and encoded to the same bytes", what);
    is_int(decoded.header_hash, dms_load_u64(header + 120), "the header hash is known");
}

static void test_chunk(void)
{
    static const struct field fields[] = {{48, 8, 0x0102030405060708},
                                          {56, 4, 9},
                                          {60, 4, 1024},
                                          {64, 8, 512},
                                          {72, 4, 256},
                                          {76, 1, 1},
                                          {77, 1, 1},
                                          {78, 1, 3},
                                          {80, 4, 640},
                                          {88, 8, 999},
                                          {96, 8, 11},
                                          {104, 8, 22},
                                          {112, 8, 888}};

    round_trip("chunk",
               (struct dms_block){.type = DMS_BLOCK_CHUNK,
                                  .chunk = {.group = 0x0102030405060708,
                                            .column_id = 9,
                                            .row_ct = 1024,
                                            .first_target = 512,
                                            .target_ct = 256,
                                            .encoding = DMS_ENCODING_BYTE_PLANES,
                                            .codec = DMS_CODEC_ZSTD,
                                            .dtype = DMS_F16,
                                            .row_stride = 640,
                                            .decoded_bytes = 999,
                                            .content_hash = {11, 22},
                                            .encoded_bytes = 888}},
               fields, sizeof(fields) / sizeof(fields[0]));
}

static void test_other_types(void)
{
    static const struct field directory[] = {{48, 8, 5},  {56, 4, 2},  {60, 4, 64},
                                             {64, 4, 20}, {68, 4, 60}, {72, 4, 512}};
    static const struct field rows[] = {{48, 8, 8}, {56, 4, 3}, {60, 4, 4096}, {64, 4, 7}};
    static const struct field state[] = {{48, 8, 41}};
    static const struct field commit[] = {{48, 8, 41},  {56, 8, 42}, {64, 8, 43}, {72, 8, 44},
                                          {80, 4, 45},  {84, 4, 46}, {88, 8, 47}, {96, 8, 48},
                                          {104, 8, 49}, {112, 8, 50}};

    round_trip("segment", (struct dms_block){.type = DMS_BLOCK_SEGMENT}, NULL, 0);
    round_trip(
        "directory",
        (struct dms_block){.type = DMS_BLOCK_DIRECTORY, .directory = {5, 2, 64, 20, 60, 512}},
        directory, 6);
    round_trip("rows", (struct dms_block){.type = DMS_BLOCK_ROWS, .rows = {8, 3, 4096, 7}}, rows,
               4);
    round_trip("state", (struct dms_block){.type = DMS_BLOCK_STATE, .state_sequence = 41}, state,
               1);
    round_trip("commit",
               (struct dms_block){.type = DMS_BLOCK_COMMIT,
                                  .commit = {41, 42, 43, 44, 45, 46, 47, 48, 49, 50}},
               commit, 10);
}

/* Changes bytes of a valid header, puts the right header hash in, and decodes it. */
static void refused(const char *what, int code, size_t offset, uint8_t value)
{
    struct dms_block block = {.type = DMS_BLOCK_DIRECTORY, .segment = SEGMENT, .offset = OFFSET};
    uint8_t header[DMS_BLOCK_HEADER_BYTES];

    dms_block_encode(&block, header);
    header[offset] = value;
    dms_store_u64(header + 120, dms_hash64(header, 120));
    ok(dms_block_decode(header, SEGMENT, OFFSET, &block) == code, "refused: %s", what);
}

static void test_refused(void)
{
    struct dms_block block = {.type = DMS_BLOCK_DIRECTORY, .segment = SEGMENT, .offset = OFFSET};
    uint8_t header[DMS_BLOCK_HEADER_BYTES];
    unsigned accepted = 0;

    refused("another magic", DMS_ERR_CORRUPT, 0, 'x');
    refused("a type of the future", DMS_ERR_VERSION, 8, 9);
    refused("type 0", DMS_ERR_VERSION, 8, 0);
    refused("a segment block in the middle", DMS_ERR_CORRUPT, 8, DMS_BLOCK_SEGMENT);
    refused("a header version of the future", DMS_ERR_VERSION, 9, 2);
    refused("a header of another length", DMS_ERR_VERSION, 10, 64);
    refused("bytes 12 .. 15 not zero", DMS_ERR_CORRUPT, 13, 1);
    refused("a block of another segment", DMS_ERR_CORRUPT, 16, 4);
    refused("a block of another place", DMS_ERR_CORRUPT, 24, 0x80);
    refused("a payload larger than a segment", DMS_ERR_CORRUPT, 37, 1);
    refused("unnamed bytes not zero", DMS_ERR_CORRUPT, 119, 1);
    dms_block_encode(&block, header);
    for (size_t bit = 0; bit < 8 * sizeof(header); bit++) {
        header[bit / 8] ^= (uint8_t)(1u << bit % 8);
        accepted += dms_block_decode(header, SEGMENT, OFFSET, &block) >= 0;
        header[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    is_int(accepted, 0, "a flip of any one bit is noticed");
    is_int(dms_block_decode(header, SEGMENT, OFFSET, &block), 0,
           "and without one the header is good");
}

static void test_append(void)
{
    struct dms_block block = {
        .type = DMS_BLOCK_STATE, .segment = SEGMENT, .offset = OFFSET, .state_sequence = 1};
    struct dms_buffer buffer = {0};

    ok(dms_block_append(&buffer, &block, "payload", 7) == 0 && buffer.size == 192 &&
           dms_block_extent(&block) == 192,
       "a block takes a multiple of 64 bytes");
    ok(memcmp(buffer.data + 128, "payload\0\0\0\0\0\0\0\0\0", 16) == 0,
       "the payload follows the header, zero bytes follow it");
    ok(dms_load_u64(buffer.data + 32) == 7 &&
           dms_load_u64(buffer.data + 40) == dms_hash64("payload", 7),
       "the header has its length and hash");
    dms_buffer_free(&buffer);
}

/* ---- the payload of a segment block ---- */

static void test_segment_fields(void)
{
    const uint8_t schema[] = "not looked at here";
    struct dms_segment_fields fields = {
        .store_uuid = {1},
        .segment_uuid = {2},
        .number = 9,
        .major = 1,
        .minor = 7,
        .features_compatible = 1,
        .created_ns = 5,
        .kind = DMS_SEGMENT_BULK,
        .schema = schema,
        .schema_bytes = sizeof(schema),
    };
    struct dms_segment_fields decoded;
    struct dms_buffer buffer = {0};
    unsigned accepted = 0;

    is_int(dms_segment_fields_encode(&fields, &buffer), 0, "a segment payload is encoded");
    is_int(buffer.size, 88 + 24, "the schema is padded to 8");
    ok(dms_load_u64(buffer.data + 32) == 9 && dms_load_u32(buffer.data + 80) == DMS_SEGMENT_BULK &&
           dms_load_u32(buffer.data + 84) == sizeof(schema),
       "number, kind and length are in their places");
    ok(dms_segment_fields_decode(buffer.data, buffer.size, &decoded) == 0 && decoded.number == 9 &&
           decoded.minor == 7 && decoded.schema_bytes == sizeof(schema) &&
           memcmp(decoded.schema, schema, sizeof(schema)) == 0,
       "a higher minor version and unknown compatible features are readable");
    for (size_t bytes = 0; bytes < buffer.size; bytes++)
        accepted += dms_segment_fields_decode(buffer.data, bytes, &decoded) >= 0;
    is_int(accepted, 0, "every shorter payload is refused");
    buffer.data[buffer.size - 1] = 1;
    is_int(dms_segment_fields_decode(buffer.data, buffer.size, &decoded), DMS_ERR_CORRUPT,
           "so is padding that is not zero");
    buffer.data[buffer.size - 1] = 0;
    buffer.data[80] = 6;
    is_int(dms_segment_fields_decode(buffer.data, buffer.size, &decoded), DMS_ERR_CORRUPT,
           "and an unknown kind");
    buffer.data[64] = 2;
    is_int(dms_segment_fields_decode(buffer.data, buffer.size, &decoded), DMS_ERR_VERSION,
           "an incompatible feature: update");
    buffer.data[64] = 0;
    buffer.data[40] = 2;
    is_int(dms_segment_fields_decode(buffer.data, buffer.size, &decoded), DMS_ERR_VERSION,
           "a higher major version: update");
    contains(dms_error_message(), "update dmstore", "the message says so");
    dms_buffer_free(&buffer);
}

int main(void)
{
    test_chunk();
    test_other_types();
    test_refused();
    test_append();
    test_segment_fields();
    return tap_done();
}
