/*
 * Growing byte buffers. A failed call leaves the buffer as it was.
 */
#include "base/buffer.h"

#include "base/alloc.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

int dms_buffer_reserve(struct dms_buffer *buffer, size_t extra_bytes)
{
    void *data = buffer->data;
    size_t needed;
    int result;

    if (dms_add_overflow(buffer->size, extra_bytes, &needed))
        return dms_fail(DMS_ERR_NO_MEMORY, "a buffer of %zu bytes cannot grow by %zu", buffer->size,
                        extra_bytes);
    result = dms_grow(&data, &buffer->capacity, needed, 1);
    buffer->data = data;
    return result;
}

int dms_buffer_append(struct dms_buffer *buffer, const void *data, size_t size)
{
    int result = dms_buffer_reserve(buffer, size);

    if (result < 0)
        return result;
    if (size > 0)
        memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    return DMS_OK;
}

int dms_buffer_append_zeros(struct dms_buffer *buffer, size_t size)
{
    int result = dms_buffer_reserve(buffer, size);

    if (result < 0)
        return result;
    if (size > 0)
        memset(buffer->data + buffer->size, 0, size);
    buffer->size += size;
    return DMS_OK;
}

int dms_buffer_align(struct dms_buffer *buffer, size_t alignment)
{
    return dms_buffer_append_zeros(buffer, (alignment - buffer->size % alignment) % alignment);
}

void dms_buffer_clear(struct dms_buffer *buffer)
{
    buffer->size = 0;
}

void dms_buffer_free(struct dms_buffer *buffer)
{
    if (buffer == NULL)
        return;
    free(buffer->data);
    *buffer = (struct dms_buffer){0};
}
