/*
 * Lists of model ids as runs (SPEC.md section 2.2.1): how the ids of a group or batch are stored.
 */
#ifndef DMS_FORMAT_IDS_H
#define DMS_FORMAT_IDS_H

#include "base/buffer.h"
#include "dmstore/reader.h"

#include <stddef.h>
#include <stdint.h>

/* A run of ids first, first + 1, ..., first + count - 1 at consecutive rows. */
struct dms_id_span {
    uint64_t first;
    uint32_t row; /* of the first id */
    uint32_t count;
};

/* Appends the code of row_ct ids (row_ct >= 1) to the buffer; *run_bytes is its length without
 * padding. */
int dms_ids_encode(const uint64_t *ids, uint32_t row_ct, struct dms_buffer *buffer,
                   uint32_t *run_bytes);

/* The same for increasing ranges that do not touch. */
int dms_id_ranges_encode(const struct dms_id_range *ranges, size_t range_ct,
                         struct dms_buffer *buffer, uint32_t *run_bytes);

/* Steps through encoded runs: at = {runs, run_bytes} before the first. Returns 1 with *span, 0 at
 * the end, DMS_ERR_CORRUPT when the code is malformed or exceeds row_ct rows. */
struct dms_ids_iterator {
    const uint8_t *runs;
    size_t run_bytes;
    uint32_t row_ct;
    size_t at;
    uint32_t row;
    uint64_t last;
};
static inline struct dms_ids_iterator dms_ids_begin(const uint8_t *runs, size_t run_bytes,
                                                    uint32_t row_ct)
{
    return (struct dms_ids_iterator){.runs = runs, .run_bytes = run_bytes, .row_ct = row_ct};
}
int dms_ids_next(struct dms_ids_iterator *iterator, struct dms_id_span *span);

/* Decodes all of it: ids has row_ct entries. CORRUPT unless exactly row_ct ids are coded. */
int dms_ids_decode(const uint8_t *runs, size_t run_bytes, uint32_t row_ct, uint64_t *ids);

#endif
