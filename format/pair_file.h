/*
 * Files of co-occurrence counts, `gram/DIGEST.pairs` (SPEC.md, the section on them): the lists
 * behind their head, encoded, decoded and validated. No I/O.
 */
#ifndef DMS_FORMAT_PAIR_FILE_H
#define DMS_FORMAT_PAIR_FILE_H

#include "format/gram_file.h"
#include "format/pair_counts.h"

enum {
    DMS_PAIR_ENTRY_BYTES = 16,
    DMS_PAIR_ALIGNMENT = 64, /* of the first tile, and so of all */
};

/* A tile of the file. */
struct dms_pair_entry {
    uint64_t offset; /* follows from the widths of those before it */
    uint64_t hash;   /* XXH3-64 of its bytes */
    uint8_t width;
};

/* CORRUPT when this is no head of such a file or its lengths do not fit, VERSION when of a newer
 * one. */
int dms_pair_head_decode(const uint8_t bytes[DMS_GRAM_HEAD_BYTES], struct dms_gram_head *head);

/* Bytes of the lists behind a head with this many examples and ranges, up to the first tile. */
uint64_t dms_pair_lists_bytes(uint64_t example_ct, uint64_t range_ct);

/* Where the first tile is. */
uint64_t dms_pair_tiles_offset(uint64_t example_ct, uint64_t range_ct);

/* Appends the lists: ranges of the row set, singles, one entry a tile. */
int dms_pair_lists_encode(const struct dms_row_set *rows, size_t example_ct,
                          const uint32_t *singles, const struct dms_pair_entry *entries,
                          struct dms_buffer *buffer);

/* Decodes dms_pair_lists_bytes bytes into head->range_ct ranges, head->example_ct singles and
 * dms_pair_tile_ct entries. CORRUPT unless their hash is right, the ranges are a row set of
 * head->row_ct models, no single is above that, and the tiles end where the file ends. */
int dms_pair_lists_decode(const struct dms_gram_head *head, const uint8_t *bytes,
                          struct dms_id_range *ranges, uint32_t *singles,
                          struct dms_pair_entry *entries);

#endif
