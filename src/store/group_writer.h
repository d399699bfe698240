/*
 * Writing a group: pulls the rows from a source, cuts every column into tiles, encodes them in
 * parallel and adds the chunks and directories to a segment; the edits that make them part of the
 * store are gathered for the commit.
 */
#ifndef DMS_STORE_GROUP_WRITER_H
#define DMS_STORE_GROUP_WRITER_H

#include "base/pool.h"
#include "dmstore/store.h"
#include "format/edit.h"
#include "store/segment.h"
#include "store/totals.h"

#include <stdbool.h>
#include <stdint.h>

/* Edits for a commit to come, with the memory that they point to. */
struct dms_edit_list {
    struct dms_edit *edits;
    size_t edit_ct, capacity;
    void **owned; /* freed with the list */
    size_t owned_ct, owned_capacity;
};

/* Adds an edit; `memory` (may be NULL) is then the list's, also when this fails. */
int dms_edit_list_add(struct dms_edit_list *list, const struct dms_edit *edit, void *memory);
void dms_edit_list_clear(struct dms_edit_list *list);

/* A row source, with what only stored rows can tell. */
struct dms_bulk_source {
    const struct dms_row_source *rows;
    bool by_tile; /* it decodes whole tiles: ask it for one tile of many rows at a time, not for
                     wide rows */
    /* Which rows have values in rows->columns[column_index]: bits in `present`, zero before. NULL:
     * all have. */
    int (*read_presence)(void *context, uint32_t column_index, const uint64_t *source_rows,
                         uint32_t row_ct, uint8_t *present);
    /* Sampled entries (16 bytes) of the rows, when all are known to be sampled. NULL:
     * rows->sampling decides. */
    int (*read_sampling)(void *context, const uint64_t *source_rows, uint32_t row_ct,
                         uint8_t *entries, bool *all_sampled);
};

/* Rows of one group (or, for a fill, columns of it), from a source. */
struct dms_group_plan {
    const struct dms_schema *schema;
    const struct dms_codec *codec;
    uint64_t group;
    const struct dms_bulk_source *source;
    const uint64_t *source_rows; /* row_ct positions in the source */
    const uint64_t *ids;         /* row_ct; NULL for a fill, which writes no mask and no ids */
    uint32_t row_ct;
};

/* Writes the group's blocks to the segment and its edits to the list; totals (may be NULL) gain its
 * rows. */
int dms_group_write(const struct dms_group_plan *plan, struct dms_pool *pool,
                    struct dms_segment_writer *writer, struct dms_edit_list *edits,
                    struct dms_totals *totals);

#endif
