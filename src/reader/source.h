/*
 * Where the rows of a block are: in place in a segment file, in place in a cache of decoded chunks,
 * or in memory after decoding. What a reader reads of a block is cut in parts, one a chunk: the
 * masks, and each tile of the output that has targets asked for.
 */
#ifndef DMS_READER_SOURCE_H
#define DMS_READER_SOURCE_H

#include "base/buffer.h"
#include "reader/row_table.h"
#include "reader/warm.h"
#include "store/snapshot_tiles.h"

/* One chunk's worth of a row. */
struct dms_part {
    uint32_t column;
    uint32_t tile;
    uint64_t tile_first, tile_targets; /* all targets of the tile */
    size_t row_bytes;                  /* of a decoded row of the tile, packed */
    size_t first_bit;                  /* in that row: of the first value asked for ... */
    size_t used_bytes;                 /* ... from whose byte on so many are asked for */
    size_t value_ct;                   /* values asked for, in a row; bits for the masks */
    size_t first_value;                /* where they belong in a delivered row */
};

struct dms_source {
    dms_snapshot *snapshot;
    const struct dms_column *output; /* NULL: masks only */
    bool has_masks;                  /* part 0 is the masks */
    struct dms_part *parts;
    size_t part_ct;
    struct dms_warm *warm; /* owned; NULL: none */
};

/* Targets first .. first + count - 1 of an output (count 0: all from `first` on): *target_ct of
 * them. INVALID when the column is no output or does not have them. */
int dms_source_check_targets(const struct dms_column *column, uint64_t first, uint64_t count,
                             uint64_t *target_ct);

/* Fills in the parts, without a cache. column: of the output, 0 for none; its targets first_target
 * .. + target_ct - 1 are there. The snapshot must outlive *source. */
int dms_source_open(dms_snapshot *snapshot, bool has_masks, uint32_t column, uint64_t first_target,
                    uint64_t target_ct, struct dms_source *source);
void dms_source_clear(struct dms_source *source);

/* Row r of a block is at rows + r x stride. */
struct dms_row_view {
    const uint8_t *rows;
    size_t stride;
    bool outlives_window; /* it is a part of a file, not of memory that is used again */
};

/* *bytes: memory that a part of a block takes once decoded; 0: none, it is read in place, unless
 * the cache of decoded chunks turns out to be damaged there. */
int dms_source_decoded_bytes(const struct dms_source *source, const struct dms_row_block *block,
                             size_t part, size_t *bytes);

/* The rows of a part in place, or DMS_END when they have to be decoded. */
int dms_source_map(const struct dms_source *source, const struct dms_row_block *block, size_t part,
                   struct dms_row_view *view);

/* The rows of all parts of the output in place, or DMS_END when one of them has to be decoded. */
int dms_source_map_outputs(const struct dms_source *source, const struct dms_row_block *block,
                           struct dms_mapped_rows *rows);

/* Fails: random order wants a part that has to be decoded. */
int dms_source_refuse_random(const struct dms_source *source, const struct dms_row_block *block,
                             size_t part);

/* Decodes a part of a block into `rows`, which is grown as needed. scratch: for what is stored. */
int dms_source_decode(const struct dms_source *source, const struct dms_row_block *block,
                      size_t part, struct dms_buffer *scratch, struct dms_buffer *rows,
                      struct dms_row_view *view);

/* CORRUPT, with chunk and offset, when a file that has this part in place was cut short. */
int dms_source_check_length(const struct dms_source *source, const struct dms_row_block *block,
                            size_t part);

/* The same for all files that are mapped: when this returns 0, whatever was read in place before
 * was there. */
int dms_source_check_maps(const struct dms_source *source);

#endif
