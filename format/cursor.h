/*
 * Reading and writing records field by field: a cursor that never leaves its bytes, and an encoder
 * that remembers its first failure, so that a record is coded as a plain list of its fields and
 * checked once at the end.
 */
#ifndef DMS_FORMAT_CURSOR_H
#define DMS_FORMAT_CURSOR_H

#include "base/buffer.h"
#include "base/endian.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes still to be read. `bad` is set by the first read past the end or by padding that is not
 * zero; reads then yield zero. */
struct dms_cursor {
    const uint8_t *data;
    size_t size;
    size_t at;
    bool bad;
};

static inline struct dms_cursor dms_cursor_begin(const uint8_t *data, size_t size)
{
    return (struct dms_cursor){.data = data, .size = size};
}

/* The next `count` bytes, in place; NULL (and bad) when there are not as many. */
static inline const uint8_t *dms_cursor_bytes(struct dms_cursor *cursor, uint64_t count)
{
    if (cursor->bad || count > cursor->size - cursor->at) {
        cursor->bad = true;
        return NULL;
    }
    const uint8_t *bytes = cursor->data + cursor->at;
    cursor->at += (size_t)count;
    return bytes;
}

static inline uint8_t dms_cursor_u8(struct dms_cursor *cursor)
{
    const uint8_t *bytes = dms_cursor_bytes(cursor, 1);
    return bytes ? bytes[0] : 0;
}

static inline uint32_t dms_cursor_u32(struct dms_cursor *cursor)
{
    const uint8_t *bytes = dms_cursor_bytes(cursor, 4);
    return bytes ? dms_load_u32(bytes) : 0;
}

static inline uint64_t dms_cursor_u64(struct dms_cursor *cursor)
{
    const uint8_t *bytes = dms_cursor_bytes(cursor, 8);
    return bytes ? dms_load_u64(bytes) : 0;
}

/* Skips zero bytes up to the next multiple of 8. */
static inline void dms_cursor_pad(struct dms_cursor *cursor)
{
    while (cursor->at % 8 != 0 && !cursor->bad) {
        if (dms_cursor_u8(cursor) != 0) {
            cursor->bad = true;
        }
    }
}

/* `count` bytes and their padding to a multiple of 8. */
static inline const uint8_t *dms_cursor_padded(struct dms_cursor *cursor, uint64_t count)
{
    const uint8_t *bytes = dms_cursor_bytes(cursor, count);
    dms_cursor_pad(cursor);
    return cursor->bad ? NULL : bytes;
}

/* Whether everything was read and nothing was wrong. */
static inline bool dms_cursor_ended_well(const struct dms_cursor *cursor)
{
    return !cursor->bad && cursor->at == cursor->size;
}

/* Appends fields to a buffer; `base` is where the record begins, from which padding counts. */
struct dms_encoder {
    struct dms_buffer *buffer;
    size_t base;
    int status; /* 0, or the first failure */
};

static inline struct dms_encoder dms_encoder_begin(struct dms_buffer *buffer)
{
    return (struct dms_encoder){.buffer = buffer, .base = buffer->size};
}

static inline void dms_encode_bytes(struct dms_encoder *encoder, const void *bytes, size_t count)
{
    if (encoder->status == 0 && count > 0) {
        encoder->status = dms_buffer_append(encoder->buffer, bytes, count);
    }
}

static inline void dms_encode_u8(struct dms_encoder *encoder, uint8_t value)
{
    dms_encode_bytes(encoder, &value, 1);
}

static inline void dms_encode_u32(struct dms_encoder *encoder, uint32_t value)
{
    uint8_t bytes[4];
    dms_store_u32(bytes, value);
    dms_encode_bytes(encoder, bytes, sizeof bytes);
}

static inline void dms_encode_u64(struct dms_encoder *encoder, uint64_t value)
{
    uint8_t bytes[8];
    dms_store_u64(bytes, value);
    dms_encode_bytes(encoder, bytes, sizeof bytes);
}

/* Zero bytes up to the next multiple of 8 from the record's beginning. */
static inline void dms_encode_pad(struct dms_encoder *encoder)
{
    if (encoder->status == 0) {
        size_t used = encoder->buffer->size - encoder->base;
        encoder->status = dms_buffer_append_zeros(encoder->buffer, (8 - used % 8) % 8);
    }
}

static inline void dms_encode_padded(struct dms_encoder *encoder, const void *bytes, size_t count)
{
    dms_encode_bytes(encoder, bytes, count);
    dms_encode_pad(encoder);
}

#endif
