/*
 * The binary framing in which `dmstore append` reads rows from a pipe; specified in format/SPEC.md
 * ("Row frames").
 */
#ifndef DMSTORE_FRAME_H
#define DMSTORE_FRAME_H

#include "dmstore/error.h"
#include "dmstore/schema.h"

DMS_BEGIN_DECLS

#define DMS_FRAME_HEADER_BYTES 24

struct dms_frame {
    uint64_t id;
    uint64_t columns; /* bit i: the i-th output or scalar column of the schema (mask and id not
                         counted) is there */
    uint64_t payload_bytes;
};

/* Decodes the header of a frame and holds its payload length against the schema. INVALID: what is
 * wrong. */
DMS_API int dms_frame_header_decode(const struct dms_schema *schema,
                                    const uint8_t header[DMS_FRAME_HEADER_BYTES],
                                    struct dms_frame *frame);

/* Points into a payload: *mask, and values[i] for the i-th output or scalar column (NULL: not
 * there). `values` has column_ct - 2 entries, which are not aligned. INVALID: bits set after the
 * last example, bool values other than 0 and 1. */
DMS_API int dms_frame_payload_decode(const struct dms_schema *schema, const struct dms_frame *frame,
                                     const uint8_t *payload, const uint8_t **mask,
                                     const void **values);

/* Writes the header of a frame for a row with these columns. */
DMS_API int dms_frame_header_encode(const struct dms_schema *schema, uint64_t id, uint64_t columns,
                                    uint8_t header[DMS_FRAME_HEADER_BYTES]);

DMS_END_DECLS

#endif
