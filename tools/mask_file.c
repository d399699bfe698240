/*
 * Reads masks from .npy files; see mask_file.h. The files are read in blocks of BLOCK_BYTES, which
 * stay in the processor's cache between the read and the packing.
 */
#include "mask_file.h"

#include <inttypes.h>

#include <dmstore.h>

/* On the stack of whichever thread reads. A multiple of 8, so that a mask that is longer than a
 * block is cut between bytes of its packed form. */
#define BLOCK_BYTES (128u << 10)

/* ---- opening ---- */

static bool is_type(const struct dms_npy *npy, char kind)
{
    return npy->kind == kind && npy->item_bytes == 1;
}

/* What a user who gave the wrong kind of masks file should do. */
static const char *hint(const struct mask_file *masks, enum mask_packing packing)
{
    const struct dms_npy *npy = &masks->file.npy;
    uint64_t width = npy->dimension_ct == 2 ? npy->dimensions[1] : 0;

    if (packing == MASKS_UNPACKED && is_type(npy, 'u') && width == (masks->example_ct + 7) / 8)
        return ": are they packed? then add --packed-masks";
    if (packing == MASKS_PACKED && width == masks->example_ct)
        return ": they are not packed: leave --packed-masks out";
    if (npy->dimension_ct == 2 && width != masks->example_ct && packing != MASKS_PACKED)
        return ": these are masks of another training set";
    return "";
}

int mask_file_open(struct mask_file *masks, const char *path, uint64_t example_ct,
                   enum mask_packing packing)
{
    char description[NPY_DESCRIPTION_BYTES];
    const struct dms_npy *npy = &masks->file.npy;
    int code = npy_file_open(&masks->file, path);
    uint64_t width;

    if (code < 0)
        return code;
    masks->example_ct = example_ct;
    masks->packed = packing == MASKS_PACKED ||
                    (packing == MASKS_EITHER && npy->dimension_ct == 2 && is_type(npy, 'u') &&
                     npy->dimensions[1] == (example_ct + 7) / 8 && example_ct > 1);
    width = masks->packed ? (example_ct + 7) / 8 : example_ct;
    if (npy->dimension_ct == 2 && npy->dimensions[1] == width &&
        (is_type(npy, 'u') || (!masks->packed && is_type(npy, 'b'))))
        return 0;
    return dms_source_fail(
        DMS_ERR_INVALID,
        "'%s' is %s; wanted %s of shape (rows, %" PRIu64 ")%s for the %" PRIu64
        " training examples of the store%s",
        path, npy_describe(npy, description), masks->packed ? "uint8" : "bool or uint8", width,
        masks->packed ? ", packed in little bit order," : "", example_ct, hint(masks, packing));
}

void mask_file_close(struct mask_file *masks)
{
    npy_file_close(&masks->file);
}

/* ---- reading ---- */

static int fail_mask_byte(const struct npy_file *file, uint64_t row, uint64_t column, uint8_t byte)
{
    return dms_source_fail(DMS_ERR_INVALID,
                           "'%s', row %" PRIu64 ", column %" PRIu64
                           ": %u is not a mask value: wanted 0 or 1",
                           file->path, row, column, byte);
}

/* Packs `ct` examples of one row that start at example `column`. */
static int pack_examples(const struct npy_file *file, uint64_t row, uint64_t column,
                         const uint8_t *bytes, uint64_t ct, uint8_t *bits)
{
    if (dms_pack_mask(bytes, ct, bits) <= 1)
        return 0;
    for (uint64_t i = 0; i < ct; i++) {
        if (bytes[i] > 1)
            return fail_mask_byte(file, row, column + i, bytes[i]);
    }
    return 0;
}

/* Rows longer than a block, piece by piece. */
static int pack_long_rows(const struct npy_file *file, uint64_t row, uint64_t row_ct,
                          uint64_t mask_bytes, uint8_t *masks)
{
    uint8_t block[BLOCK_BYTES];

    for (uint64_t i = 0; i < row_ct; i++, masks += mask_bytes) {
        for (uint64_t column = 0; column < file->row_bytes; column += BLOCK_BYTES) {
            uint64_t left = file->row_bytes - column;
            uint64_t part = left < BLOCK_BYTES ? left : BLOCK_BYTES;
            int code = npy_file_read(file, row + i, 1, column, part, block);

            if (code == 0)
                code = pack_examples(file, row + i, column, block, part, masks + column / 8);
            if (code < 0)
                return code;
        }
    }
    return 0;
}

/* Rows of which at least one fits into a block. */
static int pack_short_rows(const struct npy_file *file, uint64_t row, uint64_t row_ct,
                           uint64_t mask_bytes, uint8_t *masks)
{
    uint8_t block[BLOCK_BYTES];
    uint64_t block_rows = BLOCK_BYTES / file->row_bytes;

    for (uint64_t done = 0; done < row_ct; done += block_rows) {
        uint64_t part = row_ct - done < block_rows ? row_ct - done : block_rows;
        int code = npy_file_read(file, row + done, part, 0, file->row_bytes, block);

        for (uint64_t i = 0; i < part && code == 0; i++, masks += mask_bytes)
            code = pack_examples(file, row + done + i, 0, block + i * file->row_bytes,
                                 file->row_bytes, masks);
        if (code < 0)
            return code;
    }
    return 0;
}

static int read_packed_rows(const struct mask_file *masks, uint64_t row, uint64_t row_ct,
                            uint8_t *out)
{
    const struct npy_file *file = &masks->file;
    unsigned last_bits = (unsigned)(masks->example_ct % 8);
    int code = npy_file_read(file, row, row_ct, 0, file->row_bytes, out);

    for (uint64_t i = 0; i < row_ct && code == 0 && last_bits > 0; i++) {
        if (out[(i + 1) * file->row_bytes - 1] >> last_bits)
            code = dms_source_fail(DMS_ERR_INVALID,
                                   "'%s', row %" PRIu64 ": a bit after the last of the %" PRIu64
                                   " training examples is set: is it in little bit order?",
                                   file->path, row + i, masks->example_ct);
    }
    return code;
}

int mask_file_read(const struct mask_file *masks, uint64_t row, uint64_t row_ct, uint8_t *out)
{
    const struct npy_file *file = &masks->file;
    uint64_t mask_bytes = (masks->example_ct + 7) / 8;

    if (masks->packed)
        return read_packed_rows(masks, row, row_ct, out);
    if (file->row_bytes > BLOCK_BYTES)
        return pack_long_rows(file, row, row_ct, mask_bytes, out);
    return pack_short_rows(file, row, row_ct, mask_bytes, out);
}
