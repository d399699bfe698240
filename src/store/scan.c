/*
 * Walking a segment file: see scan.h.
 */
#include "store/scan.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* A read that follows the one before asks for twice as much, up to the most; one after a jump
     * over a large payload for the least. */
    WINDOW_LEAST_BYTES = 4096,
    WINDOW_MOST_BYTES = 1 << 20,
    PIECE_BYTES = 1 << 20,
};

int dms_scan_begin(struct dms_scan *scan, int descriptor, const char *path, uint64_t segment,
                   uint64_t limit)
{
    *scan = (struct dms_scan){
        .descriptor = descriptor,
        .path = path,
        .segment = segment,
        .limit = limit,
        .read_bytes = WINDOW_LEAST_BYTES,
    };
    scan->window = dms_alloc_aligned(DMS_BLOCK_ALIGNMENT, WINDOW_MOST_BYTES);
    return scan->window ? 0 : DMS_ERR_NO_MEMORY;
}

void dms_scan_end(struct dms_scan *scan)
{
    free(scan->window);
    scan->window = NULL;
}

/* The header at `offset`, which ends within the limit. What the disk does not give counts as zeros:
 * no block is found there. */
static const uint8_t *header_at(struct dms_scan *scan, uint64_t offset)
{
    uint64_t window_end = scan->window_offset + scan->window_bytes;
    if (offset < scan->window_offset || offset + DMS_BLOCK_HEADER_BYTES > window_end) {
        bool is_near = offset >= scan->window_offset && offset <= window_end;
        scan->read_bytes = is_near ? scan->read_bytes * 2 : WINDOW_LEAST_BYTES;
        if (scan->read_bytes > WINDOW_MOST_BYTES) {
            scan->read_bytes = WINDOW_MOST_BYTES;
        }
        uint64_t rest = scan->limit - offset;
        size_t bytes = rest < scan->read_bytes ? (size_t)rest : scan->read_bytes;
        int status = dms_pread_full(scan->descriptor, scan->path, scan->window, bytes, offset);
        if (status != 0 && bytes > WINDOW_LEAST_BYTES) {
            /* One bad sector shall not hide a whole window. */
            bytes = WINDOW_LEAST_BYTES;
            scan->read_bytes = WINDOW_LEAST_BYTES;
            status = dms_pread_full(scan->descriptor, scan->path, scan->window, bytes, offset);
        }
        if (status != 0) {
            memset(scan->window, 0, bytes);
        }
        scan->window_offset = offset;
        scan->window_bytes = bytes;
    }
    return scan->window + (offset - scan->window_offset);
}

/* Whether every byte of a header is what encoding its fields gives: what is not named is zero. */
static bool is_canonical(const struct dms_block *block, const uint8_t *header)
{
    struct dms_block copy = *block;
    uint8_t encoded[DMS_BLOCK_HEADER_BYTES];
    dms_block_encode(&copy, encoded);
    return memcmp(encoded, header, sizeof encoded) == 0;
}

/* The block at `offset`: 0, CORRUPT when there is none that lies within the limit, VERSION. */
static int block_at(struct dms_scan *scan, uint64_t offset, struct dms_block *block)
{
    if (scan->limit - offset < DMS_BLOCK_HEADER_BYTES) {
        return dms_fail(DMS_ERR_CORRUPT, "a block is cut short at offset 0x%" PRIx64, offset);
    }
    const uint8_t *header = header_at(scan, offset);
    int status = dms_block_decode(header, scan->segment, offset, block);
    if (status != 0) {
        return status;
    }
    if (!is_canonical(block, header)) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "bytes that must be zero are not in the block header at offset 0x%" PRIx64,
                        offset);
    }
    if (dms_block_extent(block) > scan->limit - offset) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "the block at offset 0x%" PRIx64 " is cut short: it takes %" PRIu64
                        " bytes, %" PRIu64 " are there",
                        offset, dms_block_extent(block), scan->limit - offset);
    }
    return 0;
}

/* Where the next valid header after damage is, or the limit. */
static int find_block(struct dms_scan *scan, uint64_t offset, uint64_t *found)
{
    for (; scan->limit - offset >= DMS_BLOCK_HEADER_BYTES; offset += DMS_BLOCK_ALIGNMENT) {
        struct dms_block block;
        if (!dms_block_looks_like(header_at(scan, offset))) {
            continue;
        }
        int status = block_at(scan, offset, &block);
        if (status != DMS_ERR_CORRUPT) {
            *found = offset;
            return status;
        }
    }
    *found = scan->limit;
    return 0;
}

int dms_scan_next(struct dms_scan *scan, struct dms_scan_item *item)
{
    if (scan->at >= scan->limit) {
        return 0;
    }
    struct dms_scan_item found = {.offset = scan->at};
    int status = block_at(scan, scan->at, &found.block);
    if (status == 0) {
        found.bytes = dms_block_extent(&found.block);
    } else if (status == DMS_ERR_CORRUPT) {
        struct dms_error_state reason;
        dms_error_save(&reason);
        uint64_t next = scan->limit;
        status = 0;
        if (scan->limit - scan->at > DMS_BLOCK_ALIGNMENT) {
            status = find_block(scan, scan->at + DMS_BLOCK_ALIGNMENT, &next);
        }
        if (status == 0) {
            found.is_damaged = true;
            found.bytes = next - scan->at;
            dms_error_restore(&reason);
        }
    }
    if (status != 0) {
        return dms_fail_prefix(status, "segment '%s'", scan->path);
    }
    scan->at += found.bytes;
    *item = found;
    return 1;
}

static int hash_fail(const struct dms_block *block)
{
    return dms_fail(DMS_ERR_CORRUPT, "checksum mismatch at offset 0x%" PRIx64,
                    block->offset + DMS_BLOCK_HEADER_BYTES);
}

/* The zero bytes between a payload and the next block. */
static int check_padding(const struct dms_block *block, const uint8_t *padding)
{
    size_t bytes =
        (size_t)(dms_block_extent(block) - DMS_BLOCK_HEADER_BYTES - block->payload_bytes);
    for (size_t k = 0; k < bytes; k++) {
        if (padding[k] != 0) {
            return dms_fail(DMS_ERR_CORRUPT, "the padding at offset 0x%" PRIx64 " is not zero",
                            block->offset + DMS_BLOCK_HEADER_BYTES + block->payload_bytes + k);
        }
    }
    return 0;
}

int dms_scan_read_payload(int descriptor, const char *path, const struct dms_block *block,
                          uint8_t *payload)
{
    size_t bytes = (size_t)(dms_block_extent(block) - DMS_BLOCK_HEADER_BYTES);
    int status =
        dms_pread_full(descriptor, path, payload, bytes, block->offset + DMS_BLOCK_HEADER_BYTES);
    if (status == 0 && dms_hash64(payload, (size_t)block->payload_bytes) != block->payload_hash) {
        status = hash_fail(block);
    }
    return status ? status : check_padding(block, payload + block->payload_bytes);
}

int dms_scan_check_payload(int descriptor, const char *path, const struct dms_block *block)
{
    uint8_t padding[DMS_BLOCK_ALIGNMENT];
    uint8_t *piece = NULL;
    int status = 0;
    struct dms_hash_stream *stream = dms_hash_stream_create();
    uint64_t at = block->offset + DMS_BLOCK_HEADER_BYTES;
    uint64_t end = at + block->payload_bytes;
    size_t piece_bytes =
        block->payload_bytes < PIECE_BYTES ? (size_t)block->payload_bytes : PIECE_BYTES;
    piece = stream ? dms_alloc_aligned(64, piece_bytes + 1) : NULL;
    if (!piece) {
        status = DMS_ERR_NO_MEMORY;
        goto out;
    }
    while (status == 0 && at < end) {
        size_t bytes = end - at < PIECE_BYTES ? (size_t)(end - at) : PIECE_BYTES;
        status = dms_pread_full(descriptor, path, piece, bytes, at);
        if (status == 0) {
            dms_hash_stream_add(stream, piece, bytes);
            at += bytes;
        }
    }
    if (status == 0 && dms_hash_stream_hash64(stream) != block->payload_hash) {
        status = hash_fail(block);
    }
    if (status == 0) {
        size_t bytes = (size_t)(block->offset + dms_block_extent(block) - end);
        status = dms_pread_full(descriptor, path, padding, bytes, end);
        status = status ? status : check_padding(block, padding);
    }
out:
    free(piece);
    dms_hash_stream_free(stream);
    return status;
}
