/*
 * The checksums of the format: XXH3 with 64 bits for headers and stored bytes, and with 128 bits
 * for decoded content. Seed 0, default secret.
 */
#ifndef DMS_BASE_HASH_H
#define DMS_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* XXH3-128 as two numbers; stored as `low`, then `high`, both little-endian. */
struct dms_hash128 {
    uint64_t low;
    uint64_t high;
};

/* Their order, as qsort asks for it. */
static inline int dms_hash128_compare(const struct dms_hash128 *a, const struct dms_hash128 *b)
{
    if (a->high != b->high)
        return a->high < b->high ? -1 : 1;
    return (a->low > b->low) - (a->low < b->low);
}

uint64_t dms_hash64(const void *data, size_t size);
struct dms_hash128 dms_hash128(const void *data, size_t size);

/*
 * A hash of data that arrives in pieces: create (or reset), add the pieces in order, then ask for
 * either width, or both. Asking does not end the stream. Gives what the functions above give for
 * the concatenated pieces.
 */
struct dms_hash_stream;

/* A new, empty stream; NULL with DMS_ERR_NO_MEMORY set when there is no memory. */
struct dms_hash_stream *dms_hash_stream_create(void);
void dms_hash_stream_reset(struct dms_hash_stream *stream);
void dms_hash_stream_add(struct dms_hash_stream *stream, const void *data, size_t size);
uint64_t dms_hash_stream_hash64(const struct dms_hash_stream *stream);
struct dms_hash128 dms_hash_stream_hash128(const struct dms_hash_stream *stream);
void dms_hash_stream_free(struct dms_hash_stream *stream);

#endif
