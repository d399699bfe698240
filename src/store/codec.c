/*
 * Chunk encodings and codecs: see codec.h.
 */
#include "store/codec.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "base/error.h"
#include "dmstore/sample.h"
#include "dmstore/snapshot.h"
#include "format/ids.h"
#include "kernels/kernels.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
    /* libzstd before 1.5.5 can corrupt data at levels 16 and up (rare; fixed upstream in 1.5.5). */
    ZSTD_SAFE_LEVEL = 15,
    ZSTD_VERSION_SAFE = 10505,
};

size_t dms_row_stride(const struct dms_column *column, size_t row_bytes)
{
    if (column->kind != DMS_COLUMN_MASK) {
        return row_bytes;
    }
    for (size_t alignment = 64; alignment > 8; alignment /= 2) {
        size_t stride = (size_t)dms_align(row_bytes, alignment);
        if (stride - row_bytes <= row_bytes / 128) {
            return stride;
        }
    }
    return (size_t)dms_align(row_bytes, 8);
}

void dms_sampled_entry_store(uint8_t *entry, uint64_t seed, uint32_t subset_size)
{
    dms_store_u64(entry, seed);
    dms_store_u32(entry + 8, subset_size);
    dms_store_u32(entry + 12, DMS_SAMPLE_PHILOX_FLOYD);
}

/* ---- encoding ---- */

static int safe_level(int level)
{
    return ZSTD_versionNumber() < ZSTD_VERSION_SAFE && level > ZSTD_SAFE_LEVEL ? ZSTD_SAFE_LEVEL
                                                                               : level;
}

/* ZSTD_decompress; where zstd finds no memory of its own, that is no damage of the frame. *got:
 * bytes, or an error of zstd's. */
static int decompress(uint8_t *to, size_t bytes, const uint8_t *frame, size_t frame_bytes,
                      size_t *got)
{
    *got = ZSTD_decompress(to, bytes, frame, frame_bytes);
    return ZSTD_isError(*got) && ZSTD_getErrorCode(*got) == ZSTD_error_memory_allocation
               ? dms_fail(DMS_ERR_NO_MEMORY, "no memory to decompress %zu bytes", bytes)
               : 0;
}

/* Whether a Zstandard frame really yields `bytes` bytes at data. */
static int check_frame(const uint8_t *frame, size_t frame_bytes, const uint8_t *data, size_t bytes)
{
    uint8_t *back = dms_alloc_aligned(64, bytes);
    if (!back) {
        return DMS_ERR_NO_MEMORY;
    }
    size_t got;
    int status = decompress(back, bytes, frame, frame_bytes, &got);
    if (status == 0 && (got != bytes || memcmp(back, data, bytes) != 0)) {
        status = dms_fail(DMS_ERR_IO, "zstd %s did not reproduce a chunk: refusing to store it",
                          ZSTD_versionString());
    }
    free(back);
    return status;
}

/* The encoded bytes of a tile before the codec: the rows themselves, or new memory in *owned. */
static int encode_values(const struct dms_tile *tile, size_t row_bytes, bool compressed,
                         struct dms_chunk_fields *fields, const uint8_t **data, uint8_t **owned)
{
    size_t bytes = tile->row_ct * row_bytes;
    size_t value_bytes = tile->column->element_bits / 8;
    fields->encoding = DMS_ENCODING_PLAIN;
    *data = tile->rows;
    *owned = NULL;
    if (tile->sampled) {
        fields->encoding = DMS_ENCODING_SAMPLED;
        fields->encoded_bytes = (uint64_t)tile->row_ct * DMS_SAMPLED_ENTRY_BYTES;
        *data = tile->sampled;
    } else if (tile->runs) {
        fields->encoding = DMS_ENCODING_ID_RUNS;
        fields->encoded_bytes = tile->run_bytes;
        *data = tile->runs;
    } else {
        fields->encoded_bytes = bytes;
        if (compressed && (tile->column->dtype == DMS_F16 || tile->column->dtype == DMS_F32)) {
            *owned = dms_alloc_aligned(64, bytes);
            if (!*owned) {
                return DMS_ERR_NO_MEMORY;
            }
            dms_kernels_get()->split_bytes(tile->rows, bytes / value_bytes, value_bytes, *owned);
            fields->encoding = DMS_ENCODING_BYTE_PLANES;
            *data = *owned;
        }
    }
    return 0;
}

/* Memory for a framed payload of up to `bytes` bytes. */
static uint8_t *framed_alloc(size_t bytes)
{
    return dms_alloc_aligned(DMS_BLOCK_ALIGNMENT,
                             DMS_BLOCK_HEADER_BYTES +
                                 (size_t)dms_align(bytes + 1, DMS_BLOCK_ALIGNMENT));
}

/* Compresses into *framed when that gets below limit_bytes; *framed stays NULL otherwise. */
static int compress_values(const uint8_t *data, size_t bytes, size_t limit_bytes, int level,
                           uint8_t **framed, size_t *payload_bytes)
{
    size_t bound = ZSTD_compressBound(bytes);
    uint8_t *made = framed_alloc(bound);
    if (!made) {
        return DMS_ERR_NO_MEMORY;
    }
    size_t got =
        ZSTD_compress(made + DMS_BLOCK_HEADER_BYTES, bound, data, bytes, safe_level(level));
    int status = 0;
    if (ZSTD_isError(got)) {
        status =
            dms_fail(DMS_ERR_NO_MEMORY, "zstd cannot compress a chunk: %s", ZSTD_getErrorName(got));
    } else if (got < limit_bytes) {
        status = check_frame(made + DMS_BLOCK_HEADER_BYTES, got, data, bytes);
        if (status == 0) {
            *framed = made;
            *payload_bytes = got;
            return 0;
        }
    }
    free(made);
    return status;
}

/* The rows with a stride, uncompressed. */
static int lay_out_rows(const struct dms_tile *tile, size_t row_bytes,
                        struct dms_chunk_fields *fields, uint8_t **framed, size_t *payload_bytes)
{
    size_t stride = dms_row_stride(tile->column, row_bytes);
    uint8_t *made = framed_alloc(stride * tile->row_ct);
    if (!made) {
        return DMS_ERR_NO_MEMORY;
    }
    uint8_t *to = made + DMS_BLOCK_HEADER_BYTES;
    if (stride == row_bytes) {
        memcpy(to, tile->rows, stride * tile->row_ct);
    } else {
        for (uint32_t row = 0; row < tile->row_ct; row++) {
            memcpy(to + row * stride, tile->rows + row * row_bytes, row_bytes);
            memset(to + row * stride + row_bytes, 0, stride - row_bytes);
        }
    }
    fields->encoding = DMS_ENCODING_PLAIN;
    fields->row_stride = (uint32_t)stride;
    fields->encoded_bytes = (uint64_t)stride * tile->row_ct;
    *framed = made;
    *payload_bytes = stride * tile->row_ct;
    return 0;
}

static int store_as_is(const uint8_t *data, size_t bytes, uint8_t **framed, size_t *payload_bytes)
{
    uint8_t *made = framed_alloc(bytes);
    if (!made) {
        return DMS_ERR_NO_MEMORY;
    }
    memcpy(made + DMS_BLOCK_HEADER_BYTES, data, bytes);
    *framed = made;
    *payload_bytes = bytes;
    return 0;
}

int dms_chunk_encode(const struct dms_tile *tile, const struct dms_codec *codec,
                     struct dms_encoded_chunk *chunk)
{
    size_t row_bytes = (size_t)dms_column_packed_bytes(tile->column, tile->target_ct);
    size_t decoded_bytes = tile->row_ct * row_bytes;
    struct dms_chunk_fields fields = {
        .group = tile->group,
        .column_id = tile->column->id,
        .row_ct = tile->row_ct,
        .first_target = tile->first_target,
        .target_ct = (uint32_t)tile->target_ct,
        .dtype = (uint8_t)tile->column->dtype,
        .decoded_bytes = decoded_bytes,
        .content_hash = dms_hash128(tile->rows, decoded_bytes),
    };
    const uint8_t *data;
    uint8_t *owned;
    uint8_t *framed = NULL;
    size_t payload_bytes = 0;
    bool compress = codec->kind != DMS_CODEC_NONE;
    int status = encode_values(tile, row_bytes, compress, &fields, &data, &owned);
    if (status != 0) {
        return status;
    }
    bool is_small = tile->sampled || tile->runs;
    if (compress) {
        /* Without the padding of raw rows: to save only that is not worth losing rows that can be
         * used in place. */
        size_t bytes = (size_t)fields.encoded_bytes;
        size_t limit = codec->kind == DMS_CODEC_AUTO && !is_small ? bytes / 4 * 3 : bytes;
        status = compress_values(data, bytes, limit, codec->level, &framed, &payload_bytes);
    }
    if (status == 0 && framed) {
        fields.codec = DMS_CODEC_ZSTD;
    } else if (status == 0 && is_small) {
        status = store_as_is(data, (size_t)fields.encoded_bytes, &framed, &payload_bytes);
    } else if (status == 0) {
        status = lay_out_rows(tile, row_bytes, &fields, &framed, &payload_bytes);
    }
    if (status == 0) {
        chunk->framed = framed;
        chunk->block = (struct dms_block){
            .type = DMS_BLOCK_CHUNK,
            .payload_bytes = payload_bytes,
            .payload_hash = dms_hash64(framed + DMS_BLOCK_HEADER_BYTES, payload_bytes),
            .chunk = fields,
        };
    }
    free(owned);
    return status;
}

/* ---- decoding ---- */

static int check_sizes(const struct dms_block *block, const struct dms_column *column,
                       uint64_t row_bytes)
{
    const struct dms_chunk_fields *chunk = &block->chunk;
    bool stored_as_is = chunk->codec == DMS_CODEC_NONE;
    bool is_plain_raw = stored_as_is && chunk->encoding == DMS_ENCODING_PLAIN;
    uint64_t expected = chunk->decoded_bytes;
    bool fits = true;
    switch (chunk->encoding) {
    case DMS_ENCODING_PLAIN:
        if (is_plain_raw) {
            fits = chunk->row_stride >= row_bytes;
            expected = (uint64_t)chunk->row_stride * chunk->row_ct;
        }
        break;
    case DMS_ENCODING_BYTE_PLANES:
        fits = column->element_bits == 16 || column->element_bits == 32;
        break;
    case DMS_ENCODING_ID_RUNS:
        fits = column->kind == DMS_COLUMN_ID;
        expected = chunk->encoded_bytes;
        fits &= chunk->encoded_bytes <= (uint64_t)chunk->row_ct * 20;
        break;
    case DMS_ENCODING_SAMPLED:
        fits = column->kind == DMS_COLUMN_MASK;
        expected = (uint64_t)chunk->row_ct * DMS_SAMPLED_ENTRY_BYTES;
        break;
    default:
        return dms_fail(DMS_ERR_VERSION,
                        "chunk encoding %u is of a newer format version: update dmstore",
                        chunk->encoding);
    }
    fits &= is_plain_raw || chunk->row_stride == 0;
    fits &= chunk->encoded_bytes == expected;
    fits &= !stored_as_is || block->payload_bytes == chunk->encoded_bytes;
    return fits ? 0 : dms_fail(DMS_ERR_CORRUPT, "sizes in the header of a chunk do not fit");
}

int dms_chunk_check(const struct dms_schema *schema, const struct dms_column *column,
                    const struct dms_block *block)
{
    const struct dms_chunk_fields *chunk = &block->chunk;
    if (block->type != DMS_BLOCK_CHUNK || chunk->column_id != column->id ||
        chunk->dtype != (uint8_t)column->dtype) {
        return dms_fail(DMS_ERR_CORRUPT, "block at offset 0x%" PRIx64 " is no chunk of column %s",
                        block->offset, column->name);
    }
    if (chunk->codec != DMS_CODEC_NONE && chunk->codec != DMS_CODEC_ZSTD) {
        return dms_fail(DMS_ERR_VERSION,
                        "chunk codec %u is of a newer format version: update dmstore",
                        chunk->codec);
    }
    uint64_t row_limit =
        schema->chunk_rows > DMS_GROUP_ROWS_MAX ? schema->chunk_rows : DMS_GROUP_ROWS_MAX;
    uint64_t target_end = chunk->first_target + chunk->target_ct;
    if (chunk->row_ct == 0 || chunk->row_ct > row_limit || chunk->target_ct == 0 ||
        target_end < chunk->first_target || target_end > column->target_ct ||
        chunk->first_target % column->tile_targets != 0 ||
        (chunk->target_ct != column->tile_targets && target_end != column->target_ct)) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "rows or targets of the chunk at offset 0x%" PRIx64 " do not fit column %s",
                        block->offset, column->name);
    }
    uint64_t row_bytes = dms_column_packed_bytes(column, chunk->target_ct);
    if (chunk->decoded_bytes != row_bytes * chunk->row_ct) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "decoded length of the chunk at offset 0x%" PRIx64
                        " does not fit column %s",
                        block->offset, column->name);
    }
    return check_sizes(block, column, row_bytes);
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        if (bytes[k] != 0) {
            return false;
        }
    }
    return true;
}

static int decode_plain(const struct dms_chunk_fields *chunk, const uint8_t *data,
                        bool check_content, uint8_t *rows)
{
    size_t row_bytes = (size_t)(chunk->decoded_bytes / chunk->row_ct);
    size_t stride = chunk->row_stride ? chunk->row_stride : row_bytes;
    if (stride == row_bytes) {
        memcpy(rows, data, (size_t)chunk->decoded_bytes);
        return 0;
    }
    for (uint32_t row = 0; row < chunk->row_ct; row++) {
        const uint8_t *from = data + row * stride;
        memcpy(rows + row * row_bytes, from, row_bytes);
        if (check_content && !is_zero(from + row_bytes, stride - row_bytes)) {
            return dms_fail(DMS_ERR_CORRUPT, "padding of row %" PRIu32 " is not zero", row);
        }
    }
    return 0;
}

static int decode_ids(const struct dms_chunk_fields *chunk, const uint8_t *data, uint8_t *rows)
{
    uint64_t *ids = dms_alloc(chunk->row_ct, sizeof *ids);
    if (!ids) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = dms_ids_decode(data, (size_t)chunk->encoded_bytes, chunk->row_ct, ids);
    for (uint32_t row = 0; status == 0 && row < chunk->row_ct; row++) {
        dms_store_u64(rows + (size_t)row * 8, ids[row]);
    }
    free(ids);
    return status;
}

static int decode_sampled(const struct dms_column *column, const struct dms_chunk_fields *chunk,
                          const uint8_t *data, const uint64_t *ids, uint8_t *rows)
{
    size_t row_bytes = (size_t)(chunk->decoded_bytes / chunk->row_ct);
    if (!ids) {
        return dms_fail(DMS_ERR_CORRUPT, "model ids of sampled masks are not known");
    }
    for (uint32_t row = 0; row < chunk->row_ct; row++) {
        const uint8_t *entry = data + (size_t)row * DMS_SAMPLED_ENTRY_BYTES;
        uint32_t subset_size = dms_load_u32(entry + 8);
        if (dms_load_u32(entry + 12) != DMS_SAMPLE_PHILOX_FLOYD ||
            subset_size > column->target_ct) {
            return dms_fail(DMS_ERR_CORRUPT,
                            "mask generator %" PRIu32 " of row %" PRIu32 " is not known",
                            dms_load_u32(entry + 12), row);
        }
        int status = dms_sample_mask(column->target_ct, subset_size, dms_load_u64(entry), ids[row],
                                     rows + row * row_bytes);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

static int decode_values(const struct dms_column *column, const struct dms_chunk_fields *chunk,
                         const uint8_t *data, const uint64_t *ids, bool check_content,
                         uint8_t *rows)
{
    size_t value_bytes = column->element_bits / 8;
    switch (chunk->encoding) {
    case DMS_ENCODING_BYTE_PLANES:
        dms_kernels_get()->merge_bytes(data, (size_t)chunk->decoded_bytes / value_bytes,
                                       value_bytes, rows);
        return 0;
    case DMS_ENCODING_ID_RUNS:
        return decode_ids(chunk, data, rows);
    case DMS_ENCODING_SAMPLED:
        return decode_sampled(column, chunk, data, ids, rows);
    default:
        return decode_plain(chunk, data, check_content, rows);
    }
}

int dms_chunk_decode(const struct dms_column *column, const struct dms_block *block,
                     const uint8_t *payload, const uint64_t *ids, bool check_content, uint8_t *rows)
{
    const struct dms_chunk_fields *chunk = &block->chunk;
    const uint8_t *data = payload;
    uint8_t *owned = NULL;
    int status = 0;
    if (chunk->codec == DMS_CODEC_ZSTD) {
        size_t bytes = (size_t)chunk->encoded_bytes;
        uint8_t *target = rows;
        if (chunk->encoding != DMS_ENCODING_PLAIN) {
            owned = dms_alloc_aligned(64, bytes);
            if (!owned) {
                return DMS_ERR_NO_MEMORY;
            }
            target = owned;
        }
        size_t got;
        status = decompress(target, bytes, payload, (size_t)block->payload_bytes, &got);
        if (status != 0) {
            goto out;
        }
        if (ZSTD_isError(got) || got != bytes) {
            status = dms_fail(
                DMS_ERR_CORRUPT, "zstd frame at offset 0x%" PRIx64 " does not decode: %s",
                block->offset, ZSTD_isError(got) ? ZSTD_getErrorName(got) : "wrong length");
            goto out;
        }
        data = target;
    }
    if (data != rows) {
        status = decode_values(column, chunk, data, ids, check_content, rows);
    }
    if (status == 0 && check_content) {
        struct dms_hash128 hash = dms_hash128(rows, (size_t)chunk->decoded_bytes);
        if (hash.low != chunk->content_hash.low || hash.high != chunk->content_hash.high) {
            status =
                dms_fail(DMS_ERR_CORRUPT, "content hash mismatch of the chunk at offset 0x%" PRIx64,
                         block->offset);
        }
    }
out:
    free(owned);
    return status;
}
