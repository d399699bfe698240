/*
 * Little-endian integers at any address: the only way in which numbers enter and leave stored
 * bytes.
 */
#ifndef DMS_BASE_ENDIAN_H
#define DMS_BASE_ENDIAN_H

#include <stdint.h>

/* Compilers turn each of these into a single move where the machine is little-endian. */

static inline uint16_t dms_load_u16(const void *from)
{
    const uint8_t *bytes = from;

    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline uint32_t dms_load_u32(const void *from)
{
    const uint8_t *bytes = from;

    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static inline uint64_t dms_load_u64(const void *from)
{
    const uint8_t *bytes = from;

    return (uint64_t)dms_load_u32(bytes) | (uint64_t)dms_load_u32(bytes + 4) << 32;
}

static inline void dms_store_u16(void *to, uint16_t value)
{
    uint8_t *bytes = to;

    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

static inline void dms_store_u32(void *to, uint32_t value)
{
    uint8_t *bytes = to;

    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
    bytes[2] = (uint8_t)(value >> 16);
    bytes[3] = (uint8_t)(value >> 24);
}

static inline void dms_store_u64(void *to, uint64_t value)
{
    uint8_t *bytes = to;

    dms_store_u32(bytes, (uint32_t)value);
    dms_store_u32(bytes + 4, (uint32_t)(value >> 32));
}

#endif
