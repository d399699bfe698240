/*
 * Writes the chunks of a PNG file (ISO/IEC 15948) around a zlib stream of stored blocks (RFC 1950,
 * RFC 1951); see png.h.
 */
#include "png.h"

#include <stdlib.h>
#include <string.h>

#include <dmstore/store.h>

/* The most that a stored block holds. */
#define BLOCK_BYTES_MAX 65535u

static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

static uint8_t *put_u32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        *to++ = (uint8_t)(value >> (24 - 8 * i));
    return to;
}

static uint8_t *put_u16_little(uint8_t *to, uint32_t value)
{
    *to++ = (uint8_t)value;
    *to++ = (uint8_t)(value >> 8);
    return to;
}

static uint32_t crc32(const uint8_t *bytes, size_t byte_ct)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < byte_ct; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return ~crc;
}

static uint32_t adler32(const uint8_t *bytes, size_t byte_ct)
{
    uint32_t a = 1, b = 0;

    for (size_t i = 0; i < byte_ct; i++) {
        a = (a + bytes[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

/* Room for the length and the type; the chunk's data follow. */
static uint8_t *begin_chunk(uint8_t *to, const char *type)
{
    memcpy(to + 4, type, 4);
    return to + 8;
}

/* Fills in the length of the chunk at `chunk` whose data end at `end`, and ends it. */
static uint8_t *end_chunk(uint8_t *chunk, uint8_t *end)
{
    put_u32(chunk, (uint32_t)(end - chunk - 8));
    return put_u32(end, crc32(chunk + 4, (size_t)(end - chunk - 4)));
}

static uint8_t *put_header(uint8_t *to, uint32_t width, uint32_t height, uint32_t channel_ct)
{
    uint8_t *next = begin_chunk(to, "IHDR");

    next = put_u32(next, width);
    next = put_u32(next, height);
    *next++ = 8;                       /* bits a channel */
    *next++ = channel_ct == 3 ? 2 : 0; /* true colour or grey */
    memset(next, 0, 3);                /* deflate, the only filter method, not interlaced */
    return end_chunk(to, next + 3);
}

/* The zlib stream. */
static uint8_t *put_data(uint8_t *to, const uint8_t *lines, size_t line_bytes)
{
    uint8_t *next = begin_chunk(to, "IDAT");

    *next++ = 0x78; /* deflate with a window of 32 KiB */
    *next++ = 0x01;
    for (size_t done = 0; done < line_bytes;) {
        size_t left = line_bytes - done;
        uint32_t bytes = left < BLOCK_BYTES_MAX ? (uint32_t)left : BLOCK_BYTES_MAX;

        *next++ = bytes == left; /* the last block? */
        next = put_u16_little(next, bytes);
        next = put_u16_little(next, ~bytes);
        memcpy(next, lines + done, bytes);
        next += bytes;
        done += bytes;
    }
    return end_chunk(to, put_u32(next, adler32(lines, line_bytes)));
}

int png_encode(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channel_ct,
               uint8_t **png, size_t *png_bytes)
{
    size_t row_bytes = (size_t)width * channel_ct, line_bytes = (row_bytes + 1) * height;
    uint8_t *lines = malloc(line_bytes);
    uint8_t *made = malloc(line_bytes + 5 * (line_bytes / BLOCK_BYTES_MAX + 1) + 128);
    uint8_t *next = made;

    if (!lines || !made) {
        free(lines);
        free(made);
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for a picture");
    }
    for (uint32_t row = 0; row < height; row++) {
        lines[row * (row_bytes + 1)] = 0; /* no filter */
        memcpy(lines + row * (row_bytes + 1) + 1, pixels + row * row_bytes, row_bytes);
    }
    memcpy(next, signature, sizeof(signature));
    next = put_header(next + sizeof(signature), width, height, channel_ct);
    next = put_data(next, lines, line_bytes);
    next = end_chunk(next, begin_chunk(next, "IEND"));
    free(lines);
    *png = made;
    *png_bytes = (size_t)(next - made);
    return 0;
}
