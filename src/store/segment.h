/*
 * Segment files: writing blocks to the end of one, and reading a block of one with all its checks.
 * Who may write, and what makes blocks count, is the business of transaction.h.
 */
#ifndef DMS_STORE_SEGMENT_H
#define DMS_STORE_SEGMENT_H

#include "base/buffer.h"
#include "dmstore/schema.h"
#include "format/block.h"
#include "format/state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The end of a segment that this process may append to. */
struct dms_segment_writer {
    uint64_t number;
    uint8_t uuid[DMS_UUID_BYTES];
    enum dms_segment_kind kind;
    char *path;
    int descriptor;
    bool is_new;               /* its name is not yet durable */
    uint64_t committed;        /* end of the last commit (of the segment block, before the first) */
    uint64_t written;          /* end of what was handed to the file */
    struct dms_buffer pending; /* blocks that follow `written` */
    struct dms_buffer header_hashes; /* of the blocks since `committed`, 8 bytes each */
};

/* Creates segment `number` (the file must not exist) with its segment block pending. features: the
 * bits of what the store has by now (0, or DMS_FEATURE_FITS). A bulk segment is flock'ed for as
 * long as it is open, so that others can tell it from what a crash left behind. */
int dms_segment_create(const char *store_path, const uint8_t store_uuid[DMS_UUID_BYTES],
                       uint64_t number, enum dms_segment_kind kind, const struct dms_schema *schema,
                       uint64_t features, struct dms_segment_writer *writer);

/* The same for a file anywhere (spool files, manifests, parts of fits: number 0). schema may be
 * NULL for a part of a fit. */
int dms_segment_create_at(const char *path, const uint8_t store_uuid[DMS_UUID_BYTES],
                          uint64_t number, enum dms_segment_kind kind,
                          const struct dms_schema *schema, uint64_t features,
                          struct dms_segment_writer *writer);

/* Opens an existing segment to append after `committed` bytes. A longer file has the tail of a
 * crashed transaction, which is cut
 * (*orphan_bytes of it); a shorter one is corrupt. */
int dms_segment_reopen(const char *store_path, const struct dms_segment_record *record,
                       struct dms_segment_writer *writer, uint64_t *orphan_bytes);

/* Releases the writer; what is pending is forgotten. Accepts a zeroed writer. */
void dms_segment_writer_close(struct dms_segment_writer *writer);

static inline uint64_t dms_segment_end(const struct dms_segment_writer *writer)
{
    return writer->written + writer->pending.size;
}

/* Adds a block; sets its segment, offset and hashes. The payload is copied. */
int dms_segment_add(struct dms_segment_writer *writer, struct dms_block *block, const void *payload,
                    size_t payload_bytes);

/* Adds a block whose payload stands at framed + DMS_BLOCK_HEADER_BYTES, with room for padding to a
 * multiple of 64 behind it, and whose payload_bytes and payload_hash are set; writes it without a
 * copy. */
int dms_segment_add_framed(struct dms_segment_writer *writer, struct dms_block *block,
                           uint8_t *framed);

/* Hands what is pending to the file. */
int dms_segment_flush(struct dms_segment_writer *writer);

/* A place to go back to. */
struct dms_segment_mark {
    uint64_t end;
    size_t hash_bytes;
};
struct dms_segment_mark dms_segment_mark(const struct dms_segment_writer *writer);

/* Takes back what was added since the mark, in memory and (as far as that works) in the file. Keeps
 * the last failure's message. */
void dms_segment_rollback(struct dms_segment_writer *writer, struct dms_segment_mark mark);

/* Opens a segment file for reading, raising the number of files that this process may have open
 * when that is not enough. Returns the descriptor, or an error code (< 0) with errno set. */
int dms_segment_open(const char *path);

/* Reads the header of the block at `offset` of an open segment file, which must end within `limit`.
 * CORRUPT names the file. */
int dms_block_read_header(int descriptor, const char *path, uint64_t segment, uint64_t offset,
                          uint64_t limit, struct dms_block *block);

/* Reads a payload into memory of block->payload_bytes and checks its hash. */
int dms_block_read_payload(int descriptor, const char *path, const struct dms_block *block,
                           uint8_t *payload);

/* Reads the segment block of an open segment file (number 0: of a spool file or manifest); the
 * schema inside *fields points into *payload. */
int dms_segment_read_fields(int descriptor, const char *path, uint64_t number,
                            struct dms_buffer *payload, struct dms_segment_fields *fields,
                            uint64_t *extent);

/* 16 random bytes. */
int dms_uuid_make(uint8_t uuid[DMS_UUID_BYTES]);

/* Nanoseconds since 1970 UTC. */
uint64_t dms_now_ns(void);

#endif
