/*
 * Copying a range of bits out of each of many rows, in memory and from a file. Everything that a
 * snapshot reads of uncompressed rows goes through here; values of whole bytes are ranges of bits
 * that begin and end at bytes.
 */
#include "store/snapshot_parts.h"

#include "base/alloc.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>

enum {
    /* Rows further apart than this are read one by one, closer ones together with what lies between
       them. */
    GAP_BYTES_MAX = 4096,
    /* Rows longer than this go straight to where they belong. */
    GATHERED_BYTES_MAX = 32 * 1024,
};

/* Where bits begin and end at bytes: copies the whole bytes, and of the last the bits that belong.
 */
static void copy_aligned(uint8_t *to, const uint8_t *from, size_t bit_ct)
{
    memcpy(to, from, bit_ct / 8);
    if (bit_ct % 8 != 0) {
        to[bit_ct / 8] |= (uint8_t)(from[bit_ct / 8] & ((1u << bit_ct % 8) - 1));
    }
}

static void copy_bits(uint8_t *to, size_t to_bit, const uint8_t *from, size_t from_bit,
                      size_t bit_ct)
{
    if (to_bit % 8 == 0 && from_bit % 8 == 0) {
        copy_aligned(to + to_bit / 8, from + from_bit / 8, bit_ct);
        return;
    }
    for (size_t done = 0; done < bit_ct;) {
        size_t to_at = to_bit + done;
        size_t from_at = from_bit + done;
        size_t shift = from_at % 8;
        size_t take = 8 - to_at % 8;
        take = take < bit_ct - done ? take : bit_ct - done;
        unsigned bits = (unsigned)from[from_at / 8] >> shift;
        if (shift + take > 8) {
            bits |= (unsigned)from[from_at / 8 + 1] << (8 - shift);
        }
        to[to_at / 8] |= (uint8_t)((bits & ((1u << take) - 1)) << to_at % 8);
        done += take;
    }
}

void dms_rows_copy(struct dms_rows_in_memory to, struct dms_rows_in_memory from,
                   struct dms_row_bits bits)
{
    for (uint32_t row = 0; row < bits.row_ct; row++) {
        copy_bits(to.data + row * to.stride, to.bit, from.data + row * from.stride, from.bit,
                  bits.bit_ct);
    }
}

/* Reads rows in pieces of several, and copies out what was asked for. */
static int gather(const struct dms_snapshot_file *file, uint64_t offset, size_t stride, size_t bit,
                  struct dms_row_bits bits, uint32_t piece_rows, struct dms_rows_in_memory to)
{
    size_t row_bytes = (bit + bits.bit_ct + 7) / 8;
    piece_rows = piece_rows < bits.row_ct ? piece_rows : bits.row_ct;
    uint8_t *piece = dms_alloc_aligned(64, (piece_rows - 1) * stride + row_bytes);
    if (!piece) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = 0;
    for (uint32_t row = 0; status == 0 && row < bits.row_ct; row += piece_rows) {
        uint32_t row_ct = bits.row_ct - row < piece_rows ? bits.row_ct - row : piece_rows;
        size_t bytes = (row_ct - 1) * stride + row_bytes;
        status = dms_pread_full(file->descriptor, file->path, piece, bytes,
                                offset + (uint64_t)row * stride);
        if (status == 0) {
            struct dms_rows_in_memory into = {to.data + row * to.stride, to.stride, to.bit};
            struct dms_rows_in_memory from = {piece, stride, bit};
            dms_rows_copy(into, from, (struct dms_row_bits){row_ct, bits.bit_ct});
        }
    }
    free(piece);
    return status;
}

int dms_rows_read(const struct dms_snapshot_file *file, uint64_t offset, size_t stride, size_t bit,
                  struct dms_row_bits bits, struct dms_rows_in_memory to)
{
    if (bits.row_ct == 0 || bits.bit_ct == 0) {
        return 0;
    }
    offset += bit / 8;
    bit %= 8;
    size_t bytes = (bit + bits.bit_ct + 7) / 8;
    bool is_whole_bytes = bit == 0 && bits.bit_ct % 8 == 0 && to.bit % 8 == 0;
    uint8_t *data = to.data + to.bit / 8;
    if (is_whole_bytes && (bits.row_ct == 1 || (bytes == stride && bytes == to.stride))) {
        return dms_pread_full(file->descriptor, file->path, data, bytes * bits.row_ct, offset);
    }
    bool one_by_one = stride - bytes > GAP_BYTES_MAX || bytes > GATHERED_BYTES_MAX;
    if (!one_by_one || !is_whole_bytes) {
        uint32_t piece_rows = one_by_one ? 1 : (uint32_t)(DMS_PIECE_BYTES / stride);
        return gather(file, offset, stride, bit, bits, piece_rows, to);
    }
    int status = 0;
    for (uint32_t row = 0; status == 0 && row < bits.row_ct; row++) {
        status = dms_pread_full(file->descriptor, file->path, data + row * to.stride, bytes,
                                offset + (uint64_t)row * stride);
    }
    return status;
}
