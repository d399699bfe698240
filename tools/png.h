/*
 * Encodes small pictures as PNG files in memory: 8 bits a channel, without compression (the pixels
 * lie in "stored" blocks of the zlib stream), which needs no library.
 */
#ifndef DMSTORE_TOOLS_PNG_H
#define DMSTORE_TOOLS_PNG_H

#include <stddef.h>
#include <stdint.h>

/* pixels: height x width x channel_ct bytes, channel_ct 1 (grey) or 3 (red, green, blue); width and
 * height 1 .. 4096. The caller frees *png, which has *png_bytes bytes. Returns 0 or
 * DMS_ERR_NO_MEMORY with the message set. */
int png_encode(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channel_ct,
               uint8_t **png, size_t *png_bytes);

#endif
