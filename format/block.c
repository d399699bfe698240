/*
 * Block headers: see block.h. The layout is one table in SPEC.md; the offsets below are those of
 * the table.
 */
#include "format/block.h"

#include "base/endian.h"
#include "base/error.h"
#include "format/cursor.h"

#include <inttypes.h>
#include <string.h>

static const uint8_t segment_magic[8] = {0x89, 'D', 'M', 'S', 0x0D, 0x0A, 0x1A, 0x0A};
static const uint8_t block_magic[8] = {'d', 'm', 's', 'B', 'l', 'o', 'c', 'k'};

enum { FIELDS = 48, HEADER_HASH = DMS_BLOCK_HEADER_BYTES - 8 };

static void chunk_encode(const struct dms_chunk_fields *chunk, uint8_t *header)
{
    dms_store_u64(header + 48, chunk->group);
    dms_store_u32(header + 56, chunk->column_id);
    dms_store_u32(header + 60, chunk->row_ct);
    dms_store_u64(header + 64, chunk->first_target);
    dms_store_u32(header + 72, chunk->target_ct);
    header[76] = chunk->encoding;
    header[77] = chunk->codec;
    header[78] = chunk->dtype;
    dms_store_u32(header + 80, chunk->row_stride);
    dms_store_u64(header + 88, chunk->decoded_bytes);
    dms_store_u64(header + 96, chunk->content_hash.low);
    dms_store_u64(header + 104, chunk->content_hash.high);
    dms_store_u64(header + 112, chunk->encoded_bytes);
}

static void chunk_decode(const uint8_t *header, struct dms_chunk_fields *chunk)
{
    chunk->group = dms_load_u64(header + 48);
    chunk->column_id = dms_load_u32(header + 56);
    chunk->row_ct = dms_load_u32(header + 60);
    chunk->first_target = dms_load_u64(header + 64);
    chunk->target_ct = dms_load_u32(header + 72);
    chunk->encoding = header[76];
    chunk->codec = header[77];
    chunk->dtype = header[78];
    chunk->row_stride = dms_load_u32(header + 80);
    chunk->decoded_bytes = dms_load_u64(header + 88);
    chunk->content_hash.low = dms_load_u64(header + 96);
    chunk->content_hash.high = dms_load_u64(header + 104);
    chunk->encoded_bytes = dms_load_u64(header + 112);
}

static void directory_encode(const struct dms_directory_fields *directory, uint8_t *header)
{
    dms_store_u64(header + 48, directory->group);
    dms_store_u32(header + 56, directory->column_id);
    dms_store_u32(header + 60, directory->row_ct);
    dms_store_u32(header + 64, directory->tile_ct);
    dms_store_u32(header + 68, directory->present_ct);
    dms_store_u32(header + 72, directory->tile_targets);
}

static void directory_decode(const uint8_t *header, struct dms_directory_fields *directory)
{
    directory->group = dms_load_u64(header + 48);
    directory->column_id = dms_load_u32(header + 56);
    directory->row_ct = dms_load_u32(header + 60);
    directory->tile_ct = dms_load_u32(header + 64);
    directory->present_ct = dms_load_u32(header + 68);
    directory->tile_targets = dms_load_u32(header + 72);
}

static void rows_encode(const struct dms_rows_fields *rows, uint8_t *header)
{
    dms_store_u64(header + 48, rows->batch);
    dms_store_u32(header + 56, rows->row_ct);
    dms_store_u32(header + 60, rows->row_bytes);
    dms_store_u32(header + 64, rows->column_ct);
}

static void rows_decode(const uint8_t *header, struct dms_rows_fields *rows)
{
    rows->batch = dms_load_u64(header + 48);
    rows->row_ct = dms_load_u32(header + 56);
    rows->row_bytes = dms_load_u32(header + 60);
    rows->column_ct = dms_load_u32(header + 64);
}

static void commit_encode(const struct dms_commit_fields *commit, uint8_t *header)
{
    dms_store_u64(header + 48, commit->sequence);
    dms_store_u64(header + 56, commit->previous_hash);
    dms_store_u64(header + 64, commit->begin);
    dms_store_u64(header + 72, commit->time_ns);
    dms_store_u32(header + 80, commit->edit_ct);
    dms_store_u32(header + 84, commit->schema_version);
    dms_store_u64(header + 88, commit->blocks_hash);
    dms_store_u64(header + 96, commit->next_group);
    dms_store_u64(header + 104, commit->next_batch);
    dms_store_u64(header + 112, commit->next_segment);
}

static void commit_decode(const uint8_t *header, struct dms_commit_fields *commit)
{
    commit->sequence = dms_load_u64(header + 48);
    commit->previous_hash = dms_load_u64(header + 56);
    commit->begin = dms_load_u64(header + 64);
    commit->time_ns = dms_load_u64(header + 72);
    commit->edit_ct = dms_load_u32(header + 80);
    commit->schema_version = dms_load_u32(header + 84);
    commit->blocks_hash = dms_load_u64(header + 88);
    commit->next_group = dms_load_u64(header + 96);
    commit->next_batch = dms_load_u64(header + 104);
    commit->next_segment = dms_load_u64(header + 112);
}

static void fit_part_encode(const struct dms_fit_part_fields *part, uint8_t *header)
{
    dms_store_u64(header + 48, part->fit);
    dms_store_u64(header + 56, part->part);
    dms_store_u64(header + 64, part->target_ct);
    dms_store_u64(header + 72, part->first_target);
    dms_store_u64(header + 80, part->last_target);
}

static void fit_part_decode(const uint8_t *header, struct dms_fit_part_fields *part)
{
    part->fit = dms_load_u64(header + 48);
    part->part = dms_load_u64(header + 56);
    part->target_ct = dms_load_u64(header + 64);
    part->first_target = dms_load_u64(header + 72);
    part->last_target = dms_load_u64(header + 80);
}

static void fields_encode(const struct dms_block *block, uint8_t *header)
{
    switch (block->type) {
    case DMS_BLOCK_SEGMENT:
        break;
    case DMS_BLOCK_CHUNK:
        chunk_encode(&block->chunk, header);
        break;
    case DMS_BLOCK_DIRECTORY:
        directory_encode(&block->directory, header);
        break;
    case DMS_BLOCK_ROWS:
        rows_encode(&block->rows, header);
        break;
    case DMS_BLOCK_STATE:
        dms_store_u64(header + FIELDS, block->state_sequence);
        break;
    case DMS_BLOCK_COMMIT:
        commit_encode(&block->commit, header);
        break;
    case DMS_BLOCK_FIT:
        dms_store_u64(header + FIELDS, block->fit);
        break;
    case DMS_BLOCK_FIT_PART:
        fit_part_encode(&block->fit_part, header);
        break;
    }
}

static int fields_decode(const uint8_t *header, struct dms_block *block)
{
    switch (block->type) {
    case DMS_BLOCK_SEGMENT:
        return 0;
    case DMS_BLOCK_CHUNK:
        chunk_decode(header, &block->chunk);
        return 0;
    case DMS_BLOCK_DIRECTORY:
        directory_decode(header, &block->directory);
        return 0;
    case DMS_BLOCK_ROWS:
        rows_decode(header, &block->rows);
        return 0;
    case DMS_BLOCK_STATE:
        block->state_sequence = dms_load_u64(header + FIELDS);
        return 0;
    case DMS_BLOCK_COMMIT:
        commit_decode(header, &block->commit);
        return 0;
    case DMS_BLOCK_FIT:
        block->fit = dms_load_u64(header + FIELDS);
        return 0;
    case DMS_BLOCK_FIT_PART:
        fit_part_decode(header, &block->fit_part);
        return 0;
    }
    return dms_fail(DMS_ERR_VERSION, "block type %u is of a newer format version: update dmstore",
                    (unsigned)block->type);
}

void dms_block_encode(struct dms_block *block, uint8_t header[DMS_BLOCK_HEADER_BYTES])
{
    memset(header, 0, DMS_BLOCK_HEADER_BYTES);
    memcpy(header, block->type == DMS_BLOCK_SEGMENT ? segment_magic : block_magic, 8);
    header[8] = (uint8_t)block->type;
    header[9] = DMS_BLOCK_HEADER_VERSION;
    dms_store_u16(header + 10, DMS_BLOCK_HEADER_BYTES);
    dms_store_u64(header + 16, block->segment);
    dms_store_u64(header + 24, block->offset);
    dms_store_u64(header + 32, block->payload_bytes);
    dms_store_u64(header + 40, block->payload_hash);
    fields_encode(block, header);
    block->header_hash = dms_hash64(header, HEADER_HASH);
    dms_store_u64(header + HEADER_HASH, block->header_hash);
}

bool dms_block_looks_like(const uint8_t *header)
{
    return memcmp(header, block_magic, 8) == 0 || memcmp(header, segment_magic, 8) == 0;
}

/* Whether the bytes that no field names are zero: encoding the fields gives the same header then.
 */
static int zeros_check(const uint8_t *header, const struct dms_block *decoded)
{
    struct dms_block block = *decoded;
    uint8_t again[DMS_BLOCK_HEADER_BYTES];
    dms_block_encode(&block, again);
    if (memcmp(header, again, DMS_BLOCK_HEADER_BYTES) != 0) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "block header at offset 0x%" PRIx64 ": bytes that must be zero are not",
                        decoded->offset);
    }
    return 0;
}

int dms_block_decode(const uint8_t header[DMS_BLOCK_HEADER_BYTES], uint64_t segment,
                     uint64_t offset, struct dms_block *block)
{
    if (!dms_block_looks_like(header)) {
        return dms_fail(DMS_ERR_CORRUPT, "no block at offset 0x%" PRIx64, offset);
    }
    struct dms_block decoded = {.header_hash = dms_load_u64(header + HEADER_HASH)};
    if (decoded.header_hash != dms_hash64(header, HEADER_HASH)) {
        return dms_fail(DMS_ERR_CORRUPT, "block header checksum mismatch at offset 0x%" PRIx64,
                        offset);
    }
    if (header[9] != DMS_BLOCK_HEADER_VERSION ||
        dms_load_u16(header + 10) != DMS_BLOCK_HEADER_BYTES) {
        return dms_fail(DMS_ERR_VERSION,
                        "block at offset 0x%" PRIx64
                        " has header version %u, this dmstore knows %u: update dmstore",
                        offset, header[9], DMS_BLOCK_HEADER_VERSION);
    }
    decoded.type = header[8];
    decoded.segment = dms_load_u64(header + 16);
    decoded.offset = dms_load_u64(header + 24);
    decoded.payload_bytes = dms_load_u64(header + 32);
    decoded.payload_hash = dms_load_u64(header + 40);
    if (decoded.segment != segment || decoded.offset != offset) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "block at offset 0x%" PRIx64 " was written for segment %" PRIu64
                        " offset 0x%" PRIx64,
                        offset, decoded.segment, decoded.offset);
    }
    bool is_segment_magic = memcmp(header, segment_magic, 8) == 0;
    if (is_segment_magic != (decoded.type == DMS_BLOCK_SEGMENT) ||
        is_segment_magic != (offset == 0)) {
        return dms_fail(DMS_ERR_CORRUPT, "block of type %u at offset 0x%" PRIx64 " is out of place",
                        (unsigned)decoded.type, offset);
    }
    if (decoded.payload_bytes > DMS_SEGMENT_BYTES_MAX) {
        return dms_fail(DMS_ERR_CORRUPT, "block at offset 0x%" PRIx64 " claims %" PRIu64 " bytes",
                        offset, decoded.payload_bytes);
    }
    int status = fields_decode(header, &decoded);
    if (status == 0) {
        status = zeros_check(header, &decoded);
    }
    if (status == 0) {
        *block = decoded;
    }
    return status;
}

int dms_segment_fields_encode(const struct dms_segment_fields *fields, struct dms_buffer *buffer)
{
    struct dms_encoder encoder = dms_encoder_begin(buffer);
    dms_encode_bytes(&encoder, fields->store_uuid, DMS_UUID_BYTES);
    dms_encode_bytes(&encoder, fields->segment_uuid, DMS_UUID_BYTES);
    dms_encode_u64(&encoder, fields->number);
    dms_encode_u32(&encoder, fields->major);
    dms_encode_u32(&encoder, fields->minor);
    dms_encode_u64(&encoder, fields->features_compatible);
    dms_encode_u64(&encoder, fields->features_read_only);
    dms_encode_u64(&encoder, fields->features_incompatible);
    dms_encode_u64(&encoder, fields->created_ns);
    dms_encode_u32(&encoder, (uint32_t)fields->kind);
    dms_encode_u32(&encoder, fields->schema_bytes);
    dms_encode_padded(&encoder, fields->schema, fields->schema_bytes);
    return encoder.status;
}

int dms_segment_fields_decode(const uint8_t *payload, size_t bytes,
                              struct dms_segment_fields *fields)
{
    struct dms_cursor cursor = dms_cursor_begin(payload, bytes);
    struct dms_segment_fields decoded = {0};
    const uint8_t *store_uuid = dms_cursor_bytes(&cursor, DMS_UUID_BYTES);
    const uint8_t *segment_uuid = dms_cursor_bytes(&cursor, DMS_UUID_BYTES);
    decoded.number = dms_cursor_u64(&cursor);
    decoded.major = dms_cursor_u32(&cursor);
    decoded.minor = dms_cursor_u32(&cursor);
    decoded.features_compatible = dms_cursor_u64(&cursor);
    decoded.features_read_only = dms_cursor_u64(&cursor);
    decoded.features_incompatible = dms_cursor_u64(&cursor);
    decoded.created_ns = dms_cursor_u64(&cursor);
    if (cursor.bad) {
        return dms_fail(DMS_ERR_CORRUPT, "segment header is too short");
    }
    if (decoded.major != DMS_FORMAT_MAJOR ||
        (decoded.features_incompatible & ~DMS_FEATURES_INCOMPATIBLE) != 0) {
        return dms_fail(DMS_ERR_VERSION,
                        "format version %" PRIu32 ".%" PRIu32 " (features 0x%" PRIx64
                        ") is newer than this dmstore reads (%d.%d): update dmstore",
                        decoded.major, decoded.minor, decoded.features_incompatible,
                        DMS_FORMAT_MAJOR, DMS_FORMAT_MINOR);
    }
    decoded.kind = dms_cursor_u32(&cursor);
    decoded.schema_bytes = dms_cursor_u32(&cursor);
    decoded.schema = dms_cursor_padded(&cursor, decoded.schema_bytes);
    if (!dms_cursor_ended_well(&cursor) || decoded.kind < DMS_SEGMENT_LOG ||
        decoded.kind > DMS_SEGMENT_FIT_PART) {
        return dms_fail(DMS_ERR_CORRUPT, "segment header is malformed");
    }
    memcpy(decoded.store_uuid, store_uuid, DMS_UUID_BYTES);
    memcpy(decoded.segment_uuid, segment_uuid, DMS_UUID_BYTES);
    *fields = decoded;
    return 0;
}

int dms_block_append(struct dms_buffer *buffer, struct dms_block *block, const void *payload,
                     size_t payload_bytes)
{
    block->payload_bytes = payload_bytes;
    block->payload_hash = dms_hash64(payload, payload_bytes);
    uint8_t header[DMS_BLOCK_HEADER_BYTES];
    dms_block_encode(block, header);
    size_t padding = dms_block_extent(block) - DMS_BLOCK_HEADER_BYTES - payload_bytes;
    int status = dms_buffer_append(buffer, header, sizeof header);
    if (status == 0 && payload_bytes > 0) {
        status = dms_buffer_append(buffer, payload, payload_bytes);
    }
    return status ? status : dms_buffer_append_zeros(buffer, padding);
}
