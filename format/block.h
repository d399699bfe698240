/*
 * The header that every block of a segment file begins with (SPEC.md section 2): its common fields,
 * and the fields of each block type, encoded, decoded and validated. No I/O.
 */
#ifndef DMS_FORMAT_BLOCK_H
#define DMS_FORMAT_BLOCK_H

#include "base/buffer.h"
#include "base/hash.h"
#include "format/layout.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dms_segment_fields {
    uint8_t store_uuid[DMS_UUID_BYTES];
    uint8_t segment_uuid[DMS_UUID_BYTES];
    uint64_t number;
    uint32_t major, minor;
    uint64_t features_compatible, features_read_only, features_incompatible;
    uint64_t created_ns;
    enum dms_segment_kind kind;
    const uint8_t *schema; /* encoded; points into the payload */
    uint32_t schema_bytes;
};

struct dms_chunk_fields {
    uint64_t group;
    uint32_t column_id;
    uint32_t row_ct;
    uint64_t first_target;
    uint32_t target_ct;
    uint8_t encoding; /* enum dms_encoding */
    uint8_t codec;    /* enum dms_codec_kind, NONE or ZSTD */
    uint8_t dtype;
    uint32_t row_stride;
    uint64_t decoded_bytes;
    struct dms_hash128 content_hash;
    uint64_t encoded_bytes;
};

struct dms_directory_fields {
    uint64_t group;
    uint32_t column_id;
    uint32_t row_ct;
    uint32_t tile_ct;
    uint32_t present_ct;
    uint32_t tile_targets;
};

struct dms_rows_fields {
    uint64_t batch;
    uint32_t row_ct;
    uint32_t row_bytes;
    uint32_t column_ct; /* the first columns of the schema, mask and id included */
};

struct dms_commit_fields {
    uint64_t sequence;
    uint64_t previous_hash; /* header hash of the commit before */
    uint64_t begin;         /* offset of the first block of the transaction */
    uint64_t time_ns;
    uint32_t edit_ct;
    uint32_t schema_version;
    uint64_t blocks_hash; /* over the header hashes of the blocks in [begin, this commit) */
    uint64_t next_group, next_batch, next_segment;
};

struct dms_fit_part_fields {
    uint64_t fit; /* number of the fit, 0 in a part file, as is the next */
    uint64_t part;
    uint64_t target_ct;
    uint64_t first_target, last_target;
};

/* One decoded header. */
struct dms_block {
    enum dms_block_type type;
    uint64_t segment;
    uint64_t offset;
    uint64_t payload_bytes;
    uint64_t payload_hash;
    uint64_t header_hash;
    union {
        struct dms_chunk_fields chunk;
        struct dms_directory_fields directory;
        struct dms_rows_fields rows;
        uint64_t state_sequence;
        struct dms_commit_fields commit;
        uint64_t fit; /* number of the fit, 0 in a part file */
        struct dms_fit_part_fields fit_part;
    };
};

/* Encodes a header; sets block->header_hash. payload_bytes and payload_hash must be set already. */
void dms_block_encode(struct dms_block *block, uint8_t header[DMS_BLOCK_HEADER_BYTES]);

/* Decodes and validates a header that was read at (segment, offset). DMS_ERR_CORRUPT with what is
 * wrong; DMS_ERR_VERSION for a header version or type of the future whose hash is right. The file
 * is not named. */
int dms_block_decode(const uint8_t header[DMS_BLOCK_HEADER_BYTES], uint64_t segment,
                     uint64_t offset, struct dms_block *block);

/* Whether a header begins like a block of any kind (for the search after damage). */
bool dms_block_looks_like(const uint8_t *header);

/* Bytes from the block's header to the next block. */
static inline uint64_t dms_block_extent(const struct dms_block *block)
{
    return dms_align(DMS_BLOCK_HEADER_BYTES + block->payload_bytes, DMS_BLOCK_ALIGNMENT);
}

/* Appends the payload of a segment block. */
int dms_segment_fields_encode(const struct dms_segment_fields *fields, struct dms_buffer *buffer);

/* Decodes the payload of a segment block. VERSION: written by a newer dmstore that this one cannot
 * read; CORRUPT: damaged. The schema is not decoded. */
int dms_segment_fields_decode(const uint8_t *payload, size_t bytes,
                              struct dms_segment_fields *fields);

/* Appends a whole block (header, payload, zero padding) at the end of `buffer`, which will be
 * written at block->offset; payload_bytes and payload_hash are set here, and header_hash. */
int dms_block_append(struct dms_buffer *buffer, struct dms_block *block, const void *payload,
                     size_t payload_bytes);

#endif
