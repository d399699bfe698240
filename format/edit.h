/*
 * Edits: what a commit changes in the catalog of a store (SPEC.md section 4). A commit block's
 * payload is a list of them; the index and the catalog in memory are brought forward by applying
 * the same edits.
 */
#ifndef DMS_FORMAT_EDIT_H
#define DMS_FORMAT_EDIT_H

#include "base/buffer.h"
#include "format/layout.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One edit. Pointers of a decoded edit point into the payload; those of an edit to be encoded are
 * the caller's. */
struct dms_edit {
    enum dms_edit_type type;
    union {
        struct {
            uint64_t group;
            uint32_t row_ct;
            uint32_t run_bytes;
            const uint8_t *runs; /* encoded ids, format/ids.h */
        } add_group;
        struct {
            uint64_t group;
            uint32_t column_id;
            uint32_t present_ct;
            uint64_t offset; /* of the directory, in the commit's segment */
            uint64_t header_hash;
            uint64_t stored_bytes;
        } set_column;
        struct {
            uint64_t batch;
            uint32_t row_ct;
            uint32_t run_bytes;
            uint64_t offset; /* of the rows block, in the commit's segment */
            uint64_t header_hash;
            uint32_t column_ct;
            const uint8_t *runs;
        } add_batch;
        struct {
            uint64_t group;
        } drop_group;
        struct {
            uint64_t first;
            uint64_t count;
        } drop_batches;
        struct {
            bool staged; /* `container` is a batch, else a group */
            uint32_t row_ct;
            uint64_t container;
            const uint8_t *rows; /* row_ct little-endian u32 */
        } remove_rows;
        struct {
            uint64_t schema_bytes;
            const uint8_t *schema;
        } set_schema;
        struct {
            uint64_t segment;
        } drop_segment;
        struct {
            uint64_t offset; /* of the state block, in the commit's segment */
            uint64_t header_hash;
        } state;
        struct {
            uint64_t fit;
            uint64_t offset; /* of the fit block, in the commit's segment */
            uint64_t header_hash;
            uint64_t stored_bytes;
            uint64_t time_ns;
            uint32_t name_bytes;
            const uint8_t *name; /* not terminated */
        } set_fit;
        struct {
            uint64_t fit;
            uint64_t part;
            uint64_t offset; /* of the part block, in the commit's segment */
            uint64_t header_hash;
            uint64_t stored_bytes;
            uint64_t sequence; /* of the commit that added the part */
            uint64_t time_ns;
            uint32_t target_ct;
            uint32_t run_bytes;
            const uint8_t *runs; /* encoded targets, format/ids.h */
        } set_fit_part;
        struct {
            uint64_t fit;
        } remove_fit;
    };
};

/* Appends the edit's code. */
int dms_edit_encode(const struct dms_edit *edit, struct dms_buffer *buffer);

/* Decodes the edit at *at of a commit's payload and moves *at past it. Returns 1 with *edit, 0 at
 * the end, DMS_ERR_CORRUPT or DMS_ERR_VERSION (an edit of a newer format). */
int dms_edit_next(const uint8_t *payload, size_t bytes, size_t *at, struct dms_edit *edit);

#endif
