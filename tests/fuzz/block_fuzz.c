/*
 * Fuzz target: a block header and its payload. The hashes of the input are made right before it is
 * decoded, as they would otherwise stop every mutation. Segment payloads and chunks of columns of
 * every encoding are decoded to the end.
 *
 * Input: one byte that chooses the column, a header (128 bytes), the payload.
 */
#include "fuzz.h"

#include "base/endian.h"
#include "base/hash.h"
#include "format/block.h"
#include "format/schema.h"
#include "store/codec.h"

#include <string.h>

enum {
    DECODED_BYTES_MAX = 1 << 22, /* larger chunks are valid, but only cost time here */
    PAYLOAD_LENGTH_OFFSET = 32,
    PAYLOAD_HASH_OFFSET = 40,
    CONTENT_HASH_OFFSET = 96,
    HEADER_HASH_OFFSET = 120,
};

static struct dms_schema *make_schema(void)
{
    static const char *const outputs[] = {"margins:130:f16", "logits:70x3:f32", "hits:67:bool",
                                          "levels:5:u8"};
    static const char *const scalars[] = {"alpha:f64", "host:s11"};
    struct dms_column columns[6];
    struct dms_schema request = {
        .example_ct = 77, .chunk_rows = 16384, .columns = columns, .column_ct = 6};
    struct dms_schema *schema = NULL;

    for (int i = 0; i < 4; i++)
        require(dms_output_parse(outputs[i], &columns[i]) == 0);
    for (int i = 0; i < 2; i++)
        require(dms_scalar_parse(scalars[i], &columns[4 + i]) == 0);
    require(dms_schema_prepare(&request, &schema) == 0);
    return schema;
}

/* Makes payload length, payload hash and header hash of the header right. */
static void fix_hashes(uint8_t *header, const uint8_t *payload, size_t payload_bytes)
{
    dms_store_u64(header + PAYLOAD_LENGTH_OFFSET, payload_bytes);
    dms_store_u64(header + PAYLOAD_HASH_OFFSET, dms_hash64(payload, payload_bytes));
    dms_store_u64(header + HEADER_HASH_OFFSET, dms_hash64(header, HEADER_HASH_OFFSET));
}

/* Decodes a chunk without the content hash, then puts the right one in: it must decode to the same
 * again, unless the padding of a row is not zero. */
static void fuzz_chunk(const struct dms_schema *schema, const struct dms_column *column,
                       struct dms_block *block, const uint8_t *payload)
{
    uint64_t ids[DMS_GROUP_ROWS_MAX];
    uint64_t bytes = block->chunk.decoded_bytes;
    uint8_t *rows, *again;

    if (dms_chunk_check(schema, column, block) != 0 || bytes > DECODED_BYTES_MAX ||
        block->chunk.encoded_bytes > DECODED_BYTES_MAX)
        return;
    require(block->chunk.row_ct <= DMS_GROUP_ROWS_MAX);
    for (uint32_t row = 0; row < block->chunk.row_ct; row++)
        ids[row] = row * UINT64_C(0x9e3779b97f4a7c15);
    rows = malloc(bytes);
    again = malloc(bytes);
    require(rows != NULL && again != NULL);
    if (dms_chunk_decode(column, block, payload, ids, false, rows) == 0) {
        block->chunk.content_hash = dms_hash128(rows, bytes);
        if (dms_chunk_decode(column, block, payload, ids, true, again) == 0)
            require(memcmp(rows, again, bytes) == 0);
    }
    free(rows);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dms_schema *schema;
    uint8_t header[DMS_BLOCK_HEADER_BYTES], again[DMS_BLOCK_HEADER_BYTES];
    struct dms_segment_fields segment;
    struct dms_block block;
    const uint8_t *payload;
    size_t payload_bytes;

    if (schema == NULL)
        schema = make_schema();
    if (size < 1 + DMS_BLOCK_HEADER_BYTES)
        return 0;
    memcpy(header, data + 1, sizeof(header));
    payload = data + 1 + sizeof(header);
    payload_bytes = size - 1 - sizeof(header);
    fix_hashes(header, payload, payload_bytes);
    if (dms_block_decode(header, dms_load_u64(header + 16), dms_load_u64(header + 24), &block) != 0)
        return 0;
    dms_block_encode(&block, again);
    require(memcmp(again, header, sizeof(header)) == 0);
    if (block.type == DMS_BLOCK_SEGMENT &&
        dms_segment_fields_decode(payload, payload_bytes, &segment) == 0)
        require(segment.schema >= payload &&
                segment.schema + segment.schema_bytes <= payload + payload_bytes);
    if (block.type == DMS_BLOCK_CHUNK)
        fuzz_chunk(schema, &schema->columns[data[0] % schema->column_ct], &block, payload);
    return 0;
}
