/*
 * A growing run of bytes, in which records are assembled before they are written. Zero-initialise
 * one
 * (`struct dms_buffer buffer = {0};`) and release it with dms_buffer_free().
 */
#ifndef DMS_BASE_BUFFER_H
#define DMS_BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

struct dms_buffer {
    uint8_t *data; /* NULL until something was added */
    size_t size;   /* bytes in use */
    size_t capacity;
};

/* Makes room for `extra_bytes` more. Pointers into `data` are no longer valid afterwards. */
int dms_buffer_reserve(struct dms_buffer *buffer, size_t extra_bytes);

/* Adds a copy of `size` bytes, which may not lie inside the buffer itself. */
int dms_buffer_append(struct dms_buffer *buffer, const void *data, size_t size);

/* Adds `size` zero bytes. */
int dms_buffer_append_zeros(struct dms_buffer *buffer, size_t size);

/* Adds zero bytes until the size is a multiple of `alignment` (a power of two). */
int dms_buffer_align(struct dms_buffer *buffer, size_t alignment);

/* Forgets the content and keeps the memory. */
void dms_buffer_clear(struct dms_buffer *buffer);

/* Releases the memory; the buffer is empty and may be used again. Accepts NULL. */
void dms_buffer_free(struct dms_buffer *buffer);

#endif
