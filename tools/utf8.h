/*
 * UTF-8 (RFC 3629) in text that comes from outside.
 */
#ifndef DMSTORE_TOOLS_UTF8_H
#define DMSTORE_TOOLS_UTF8_H

#include <stddef.h>

/* Bytes of the UTF-8 character at `text` (1 .. 4), or 0 when it is none: overlong forms, halves of
 * surrogate pairs and code points after U+10FFFF are none. `left` >= 1 bytes are there. */
size_t utf8_character_bytes(const unsigned char *text, size_t left);

#endif
