/*
 * The catalog: everything that is live in a store after a commit, in memory, and its code (SPEC.md
 * section 5). The same records make up state blocks, manifests and the values of the index.
 */
#ifndef DMS_FORMAT_STATE_H
#define DMS_FORMAT_STATE_H

#include "base/buffer.h"
#include "dmstore/schema.h"
#include "format/cursor.h"
#include "format/edit.h"
#include "format/fit_record.h"
#include "format/layout.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dms_segment_record {
    uint64_t number;
    uint8_t uuid[DMS_UUID_BYTES];
    uint64_t committed_bytes;
    enum dms_segment_kind kind;
};

struct dms_group_column {
    uint32_t column_id;
    uint32_t present_ct;
    uint64_t segment;
    uint64_t offset; /* of the directory */
    uint64_t header_hash;
    uint64_t stored_bytes;
};

struct dms_group_record {
    uint64_t number;
    uint32_t row_ct;
    uint32_t live_ct;
    uint32_t run_bytes;
    uint8_t *runs;    /* encoded ids, owned */
    uint8_t *removed; /* (row_ct + 7) / 8 bytes, owned; NULL when nothing was removed */
    uint32_t column_ct;
    struct dms_group_column *columns; /* by column id, owned */
};

struct dms_batch_record {
    uint64_t number;
    uint64_t segment;
    uint64_t offset; /* of the rows block */
    uint64_t header_hash;
    uint32_t row_ct;
    uint32_t live_ct;
    uint32_t column_ct;
    uint32_t run_bytes;
    uint8_t *runs;    /* owned */
    uint8_t *removed; /* owned, or NULL */
};

struct dms_catalog {
    uint64_t sequence;
    uint64_t commit_hash; /* header hash of the commit with that sequence number */
    uint64_t next_group, next_batch, next_segment;
    struct dms_schema *schema; /* owned */
    struct dms_segment_record *segments;
    size_t segment_ct, segment_capacity;
    struct dms_group_record *groups;
    size_t group_ct, group_capacity;
    struct dms_batch_record *batches;
    size_t batch_ct, batch_capacity;
    struct dms_fit_record *fits;
    size_t fit_ct, fit_capacity;
};

/* Records: encode appends; decode reads one from the cursor and owns what it points to (CORRUPT
 * when malformed); clear releases what the record owns. */
int dms_segment_record_encode(const struct dms_segment_record *record, struct dms_buffer *buffer);
int dms_segment_record_decode(struct dms_cursor *cursor, struct dms_segment_record *record);
int dms_group_record_encode(const struct dms_group_record *record, struct dms_buffer *buffer);
int dms_group_record_decode(struct dms_cursor *cursor, struct dms_group_record *record);
void dms_group_record_clear(struct dms_group_record *record);
int dms_batch_record_encode(const struct dms_batch_record *record, struct dms_buffer *buffer);
int dms_batch_record_decode(struct dms_cursor *cursor, struct dms_batch_record *record);
void dms_batch_record_clear(struct dms_batch_record *record);

/* What an add edit makes: a record that owns its lists. CORRUPT when the ids are malformed. */
int dms_group_record_from_edit(const struct dms_edit *edit, struct dms_group_record *record);
int dms_batch_record_from_edit(const struct dms_edit *edit, uint64_t segment,
                               struct dms_batch_record *record);
/* Applies a set-column edit of a commit in `segment`. */
int dms_group_record_set_column(struct dms_group_record *record, const struct dms_edit *edit,
                                uint64_t segment);
/* Marks rows as removed in a bitmap; *removed_ct counts those that were not removed before. */
int dms_rows_remove(uint8_t **removed, uint32_t row_ct, uint32_t *live_ct,
                    const struct dms_edit *edit);

static inline bool dms_row_is_removed(const uint8_t *removed, uint32_t row)
{
    return removed && (removed[row >> 3] >> (row & 7) & 1);
}

/* The entry of a column, or NULL. */
const struct dms_group_column *dms_group_record_column(const struct dms_group_record *record,
                                                       uint32_t column_id);

/* By number, or NULL. */
struct dms_segment_record *dms_catalog_segment(const struct dms_catalog *catalog, uint64_t number);
struct dms_group_record *dms_catalog_group(const struct dms_catalog *catalog, uint64_t number);
struct dms_batch_record *dms_catalog_batch(const struct dms_catalog *catalog, uint64_t number);
struct dms_fit_record *dms_catalog_fit(const struct dms_catalog *catalog, uint64_t number);

/* By name, or NULL. */
struct dms_fit_record *dms_catalog_fit_named(const struct dms_catalog *catalog, const char *name);

/* The one with the name that a set-fit edit says, or NULL. */
struct dms_fit_record *dms_catalog_fit_of_edit(const struct dms_catalog *catalog,
                                               const struct dms_edit *edit);

/* The feature bits that a store with this catalog needs. */
uint64_t dms_catalog_features(const struct dms_catalog *catalog);

/* Adds a record (whose lists the catalog then owns) in order; its number must not be there. */
int dms_catalog_add_segment(struct dms_catalog *catalog, const struct dms_segment_record *record);
int dms_catalog_add_group(struct dms_catalog *catalog, struct dms_group_record *record);
int dms_catalog_add_batch(struct dms_catalog *catalog, struct dms_batch_record *record);
int dms_catalog_add_fit(struct dms_catalog *catalog, struct dms_fit_record *record);

/* Applies one edit of a commit in `segment` (a state edit changes nothing here). CORRUPT when it
 * does not fit. */
int dms_catalog_apply(struct dms_catalog *catalog, const struct dms_edit *edit, uint64_t segment);

/* Appends the state payload. `path`: of the store directory for a manifest, else NULL. */
int dms_catalog_encode(const struct dms_catalog *catalog, uint64_t commit_hash, const char *path,
                       struct dms_buffer *buffer);

/* Decodes a state payload into an empty catalog; *path (may be NULL) is the manifest's path, owned
 * by the caller. */
int dms_catalog_decode(const uint8_t *payload, size_t bytes, struct dms_catalog *catalog,
                       char **path);

/* Releases all that the catalog owns and empties it. */
void dms_catalog_clear(struct dms_catalog *catalog);

#endif
