/*
 * Training masks in a .npy file: bool or uint8 (rows, examples), or packed uint8 (rows,
 * examples / 8) in little bit order.
 *
 * Functions return 0 or a negative enum dms_error with the message set (see report.h); messages
 * name the file, and row and column of a value that is no bit of a mask.
 */
#ifndef DMSTORE_TOOLS_MASK_FILE_H
#define DMSTORE_TOOLS_MASK_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "npy_file.h"

struct mask_file {
    struct npy_file file; /* path NULL: none */
    uint64_t example_ct;
    bool packed;
};

enum mask_packing {
    MASKS_UNPACKED,
    MASKS_PACKED,
    MASKS_EITHER, /* as the shape says */
};

/* Opens the masks of example_ct examples. INVALID: another type or shape. End it with
 * mask_file_close, also after a failure; a zeroed one may be closed. */
int mask_file_open(struct mask_file *masks, const char *path, uint64_t example_ct,
                   enum mask_packing packing);
void mask_file_close(struct mask_file *masks);

/* Reads rows row .. row + row_ct - 1, packed, (example_ct + 7) / 8 bytes each. May be called by
 * several threads at once. */
int mask_file_read(const struct mask_file *masks, uint64_t row, uint64_t row_ct, uint8_t *out);

#endif
