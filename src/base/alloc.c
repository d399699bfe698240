/*
 * The only place where the library asks for memory, so that every size is checked for overflow and
 * every refusal carries a message with the number of bytes.
 */
#include "base/alloc.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail_no_memory(size_t count, size_t size)
{
    dms_fail(DMS_ERR_NO_MEMORY, "cannot allocate %zu x %zu bytes of memory", count, size);
}

void *dms_alloc(size_t count, size_t size)
{
    void *memory = NULL;
    size_t bytes;

    if (!dms_mul_overflow(count, size, &bytes))
        memory = calloc(bytes == 0 ? 1 : bytes, 1);
    if (memory == NULL)
        fail_no_memory(count, size);
    return memory;
}

void *dms_realloc_array(void *array, size_t count, size_t size)
{
    void *memory = NULL;
    size_t bytes;

    /* realloc(array, 0) may free the array and return NULL: ask for one byte. */
    if (!dms_mul_overflow(count, size, &bytes))
        memory = realloc(array, bytes == 0 ? 1 : bytes);
    if (memory == NULL)
        fail_no_memory(count, size);
    return memory;
}

void *dms_alloc_aligned(size_t alignment, size_t bytes)
{
    void *memory = NULL;

    if (posix_memalign(&memory, alignment, bytes == 0 ? 1 : bytes) != 0) {
        dms_fail(DMS_ERR_NO_MEMORY, "cannot allocate %zu bytes of memory aligned to %zu", bytes,
                 alignment);
        return NULL;
    }
    return memory;
}

int dms_grow(void **array, size_t *capacity, size_t needed, size_t size)
{
    size_t new_capacity;
    void *memory;

    if (needed <= *capacity)
        return DMS_OK;
    if (dms_add_overflow(*capacity, *capacity / 2, &new_capacity) || new_capacity < needed)
        new_capacity = needed;
    if (new_capacity < 16 && needed <= 16)
        new_capacity = 16;
    memory = dms_realloc_array(*array, new_capacity, size);
    if (memory == NULL)
        return DMS_ERR_NO_MEMORY;
    *array = memory;
    *capacity = new_capacity;
    return DMS_OK;
}

char *dms_strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = dms_alloc(bytes, 1);

    if (copy != NULL)
        memcpy(copy, text, bytes);
    return copy;
}

char *dms_format(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0) {
        dms_fail(DMS_ERR_NO_MEMORY, "cannot format a text");
        return NULL;
    }
    text = dms_alloc((size_t)length + 1, 1);
    if (text == NULL)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}
