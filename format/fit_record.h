/*
 * Records of fits in the catalog (SPEC.md section 5): which fits a store has, where their header
 * blocks and parts are, and which targets each part has. What they say comes from edits; it goes to
 * state blocks, manifests and the index.
 */
#ifndef DMS_FORMAT_FIT_RECORD_H
#define DMS_FORMAT_FIT_RECORD_H

#include "base/buffer.h"
#include "format/cursor.h"
#include "format/edit.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dms_fit_part_record {
    uint64_t number; /* random: never used again */
    uint64_t segment;
    uint64_t offset; /* of the part block */
    uint64_t header_hash;
    uint64_t stored_bytes; /* the block with its header and padding */
    uint64_t sequence;     /* of the commit that added it */
    uint64_t time_ns;      /* when that was */
    uint32_t target_ct;
    uint32_t run_bytes;
    uint8_t *runs; /* the targets, increasing, as format/ids.h encodes ids; owned */
};

struct dms_fit_record {
    uint64_t number; /* random: never used again */
    uint64_t segment;
    uint64_t offset; /* of the fit block */
    uint64_t header_hash;
    uint64_t stored_bytes;
    uint64_t time_ns;                  /* when it was begun */
    char *name;                        /* owned */
    struct dms_fit_part_record *parts; /* by number, owned */
    size_t part_ct, part_capacity;
};

/* Encode appends; decode reads one from the cursor and owns what it points to (CORRUPT when
 * malformed); clear releases what the record owns. */
int dms_fit_record_encode(const struct dms_fit_record *record, struct dms_buffer *buffer);
int dms_fit_record_decode(struct dms_cursor *cursor, struct dms_fit_record *record);
void dms_fit_record_clear(struct dms_fit_record *record);
void dms_fit_part_record_clear(struct dms_fit_part_record *part);

/* What a set-fit edit of a commit in `segment` makes: a record without parts. */
int dms_fit_record_from_edit(const struct dms_edit *edit, uint64_t segment,
                             struct dms_fit_record *record);

/* Applies a set-fit edit to the record of that fit, whose block then is where the edit says. */
void dms_fit_record_move(struct dms_fit_record *record, const struct dms_edit *edit,
                         uint64_t segment);

/* Applies a set-fit-part edit: adds the part, or puts it where the edit says. CORRUPT when another
 * part has one of its targets. */
int dms_fit_record_set_part(struct dms_fit_record *record, const struct dms_edit *edit,
                            uint64_t segment);

/* Drops the parts, but for the edit's own, that have a target of a set-fit-part edit. */
void dms_fit_record_drop_overlapping(struct dms_fit_record *record, const struct dms_edit *edit);

/* The edits that say of a record, or of one of its parts, what it says itself. */
struct dms_edit dms_fit_record_edit(const struct dms_fit_record *record);
struct dms_edit dms_fit_part_record_edit(const struct dms_fit_record *record,
                                         const struct dms_fit_part_record *part);

/* By number, or NULL. */
struct dms_fit_part_record *dms_fit_record_part(const struct dms_fit_record *record,
                                                uint64_t number);

/* Targets of all parts together. */
uint64_t dms_fit_record_target_ct(const struct dms_fit_record *record);

/* Whether two increasing lists of targets, as runs, have one in common: *target. */
bool dms_target_runs_overlap(const uint8_t *a, uint32_t a_bytes, uint32_t a_ct, const uint8_t *b,
                             uint32_t b_bytes, uint32_t b_ct, uint64_t *target);

#endif
