/*
 * Id runs: see ids.h.
 */
#include "format/ids.h"

#include "base/error.h"

#include <stdbool.h>

enum { VARINT_BYTES_MAX = 10 };

static size_t varint_encode(uint64_t value, uint8_t *out)
{
    size_t bytes = 0;
    while (value >= 0x80) {
        out[bytes++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[bytes++] = (uint8_t)value;
    return bytes;
}

/* Returns the bytes read, or 0 when the code is cut short, longer than needed, or exceeds 64 bits.
 */
static size_t varint_decode(const uint8_t *data, size_t size, uint64_t *value)
{
    uint64_t result = 0;
    for (size_t k = 0; k < size && k < VARINT_BYTES_MAX; k++) {
        uint64_t part = data[k] & 0x7F;
        if (k == VARINT_BYTES_MAX - 1 && part > 1) {
            return 0;
        }
        result |= part << (7 * k);
        if ((data[k] & 0x80) == 0) {
            *value = result;
            return k > 0 && data[k] == 0 ? 0 : k + 1;
        }
    }
    return 0;
}

static uint64_t zigzag(uint64_t difference)
{
    return (difference << 1) ^ (0 - (difference >> 63));
}

static uint64_t unzigzag(uint64_t code)
{
    return (code >> 1) ^ (0 - (code & 1));
}

/* Appends one run; *last is the last id of the run before. */
static int run_encode(uint64_t first, uint64_t count, uint64_t *last, struct dms_buffer *buffer)
{
    uint8_t code[2 * VARINT_BYTES_MAX];
    size_t bytes = varint_encode(zigzag(first - *last), code);
    bytes += varint_encode(count, code + bytes);
    *last = first + (count - 1);
    return dms_buffer_append(buffer, code, bytes);
}

int dms_ids_encode(const uint64_t *ids, uint32_t row_ct, struct dms_buffer *buffer,
                   uint32_t *run_bytes)
{
    size_t before = buffer->size;
    uint64_t last = 0;
    for (uint32_t row = 0; row < row_ct;) {
        uint32_t count = 1;
        while (row + count < row_ct && ids[row + count] == ids[row] + count &&
               ids[row + count] > ids[row]) {
            count++;
        }
        int status = run_encode(ids[row], count, &last, buffer);
        if (status != 0) {
            return status;
        }
        row += count;
    }
    *run_bytes = (uint32_t)(buffer->size - before);
    return 0;
}

int dms_id_ranges_encode(const struct dms_id_range *ranges, size_t range_ct,
                         struct dms_buffer *buffer, uint32_t *run_bytes)
{
    size_t before = buffer->size;
    uint64_t last = 0;
    for (size_t k = 0; k < range_ct; k++) {
        int status = run_encode(ranges[k].first_id, ranges[k].id_ct, &last, buffer);
        if (status != 0) {
            return status;
        }
    }
    *run_bytes = (uint32_t)(buffer->size - before);
    return 0;
}

int dms_ids_next(struct dms_ids_iterator *iterator, struct dms_id_span *span)
{
    if (iterator->at == iterator->run_bytes) {
        return 0;
    }
    uint64_t difference = 0;
    uint64_t count = 0;
    size_t used = varint_decode(iterator->runs + iterator->at, iterator->run_bytes - iterator->at,
                                &difference);
    iterator->at += used;
    size_t used_count = used ? varint_decode(iterator->runs + iterator->at,
                                             iterator->run_bytes - iterator->at, &count)
                             : 0;
    iterator->at += used_count;
    uint64_t first = iterator->last + unzigzag(difference);
    bool continues = iterator->row > 0 && difference == zigzag(1) && first > iterator->last;
    if (used_count == 0 || count == 0 || count > iterator->row_ct - iterator->row ||
        first + (count - 1) < first || continues) {
        return dms_fail(DMS_ERR_CORRUPT, "list of model ids is malformed");
    }
    *span = (struct dms_id_span){.first = first, .row = iterator->row, .count = (uint32_t)count};
    iterator->row += (uint32_t)count;
    iterator->last = first + (count - 1);
    return 1;
}

int dms_ids_decode(const uint8_t *runs, size_t run_bytes, uint32_t row_ct, uint64_t *ids)
{
    struct dms_ids_iterator iterator = dms_ids_begin(runs, run_bytes, row_ct);
    struct dms_id_span span;
    int status;
    while ((status = dms_ids_next(&iterator, &span)) > 0) {
        for (uint32_t k = 0; k < span.count; k++) {
            ids[span.row + k] = span.first + k;
        }
    }
    if (status == 0 && iterator.row != row_ct) {
        return dms_fail(DMS_ERR_CORRUPT, "list of model ids names %u of %u rows",
                        (unsigned)iterator.row, (unsigned)row_ct);
    }
    return status;
}
