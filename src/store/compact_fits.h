/*
 * Fits in a compaction: their blocks are copied out of segments that are mostly dead, so that those
 * can be dropped.
 */
#ifndef DMS_STORE_COMPACT_FITS_H
#define DMS_STORE_COMPACT_FITS_H

#include "format/block.h"
#include "format/state.h"
#include "store/transaction.h"

#include <stdbool.h>
#include <stddef.h>

struct dms_snapshot;

/* A fit block, or a part block of a fit, and where it is copied to. */
struct dms_fit_move {
    const struct dms_fit_record *fit;
    const struct dms_fit_part_record *part; /* NULL: the fit block */
    struct dms_block block;                 /* the copy, once it is written */
};

struct dms_fit_moves {
    struct dms_fit_move *moves;
    size_t move_ct, capacity;
};

/* Lists the blocks of fits in segments that are to be left: leave[k] for catalog->segments[k]. The
 * records stay the catalog's. dms_fit_moves_clear releases the list. */
int dms_fit_moves_choose(const struct dms_catalog *catalog, const bool *leave,
                         struct dms_fit_moves *moves);
void dms_fit_moves_clear(struct dms_fit_moves *moves);

/* Copies them to the end of a segment, with their hashes checked. */
int dms_fit_moves_write(const struct dms_snapshot *snapshot, struct dms_fit_moves *moves,
                        struct dms_segment_writer *writer);

/* Makes the copies count. DMS_END when a fit is not what the snapshot says any more. */
int dms_fit_moves_commit(const struct dms_fit_moves *moves, struct dms_commit *commit);

#endif
