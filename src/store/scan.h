/*
 * Walking one segment file from block to block, past damage too: what `verify` and `recover` see of
 * a file. Reads with pread only, never maps.
 */
#ifndef DMS_STORE_SCAN_H
#define DMS_STORE_SCAN_H

#include "format/block.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One thing that the walk came by. */
struct dms_scan_item {
    bool is_damaged; /* no valid block begins at `offset`, nor in the `bytes` bytes from there */
    uint64_t offset;
    uint64_t bytes;         /* the extent of the block, or of the damage */
    struct dms_block block; /* unless damaged: a header that is right in every byte */
};

struct dms_scan {
    int descriptor;
    const char *path; /* the caller's */
    uint64_t segment;
    uint64_t limit; /* the walk ends here */
    uint64_t at;
    uint8_t *window; /* bytes of the file from window_offset on */
    uint64_t window_offset;
    size_t window_bytes;
    size_t read_bytes; /* how much the next read asks for */
};

/* Begins a walk over the first `limit` bytes of an open file; dms_scan_end releases it. */
int dms_scan_begin(struct dms_scan *scan, int descriptor, const char *path, uint64_t segment,
                   uint64_t limit);
void dms_scan_end(struct dms_scan *scan);

/* The next block or damaged range; together they cover the file without gaps. Only headers are
 * looked at. Returns 1, 0 at the end, NO_MEMORY, or VERSION for a block of a newer format. For a
 * damaged range, dms_error_message() says what was wrong at its beginning. */
int dms_scan_next(struct dms_scan *scan, struct dms_scan_item *item);

/* Reads a block's payload into memory of dms_block_extent(block) - DMS_BLOCK_HEADER_BYTES bytes.
 * CORRUPT when its hash is wrong or the padding behind it is not zero. */
int dms_scan_read_payload(int descriptor, const char *path, const struct dms_block *block,
                          uint8_t *payload);

/* The same checks in bounded memory. */
int dms_scan_check_payload(int descriptor, const char *path, const struct dms_block *block);

#endif
