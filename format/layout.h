/*
 * The numbers of the on-disk format: magics, block types, sizes and limits, as specified in
 * SPEC.md. Everything that reads or writes bytes of a store takes them from here.
 */
#ifndef DMS_FORMAT_LAYOUT_H
#define DMS_FORMAT_LAYOUT_H

#include <stdint.h>

enum {
    DMS_FORMAT_MAJOR = 1,
    DMS_FORMAT_MINOR = 1,
    DMS_BLOCK_ALIGNMENT = 64,
    DMS_BLOCK_HEADER_BYTES = 128,
    DMS_BLOCK_HEADER_VERSION = 1,
    DMS_UUID_BYTES = 16,
    DMS_DIRECTORY_ENTRY_BYTES = 32,
    DMS_SAMPLED_ENTRY_BYTES = 16,
    DMS_ROW_FIXED_BYTES = 24, /* id, seed, subset size, generator */
    DMS_GROUP_ROWS_MIN = 64,
    DMS_GROUP_ROWS_MAX = 16384,
};

#define DMS_SEGMENT_BYTES_MAX (UINT64_C(16) << 30)
#define DMS_EXAMPLE_CT_MAX UINT32_MAX

/* The feature bit of stores that have fits: read-only compatible in segments, incompatible in
 * manifests, whose state has what older programs do not expect. */
#define DMS_FEATURE_FITS UINT64_C(1)

/* Feature bits that this version knows, of the three kinds of SPEC.md section 2.1. */
#define DMS_FEATURES_READ_ONLY DMS_FEATURE_FITS
#define DMS_FEATURES_INCOMPATIBLE DMS_FEATURE_FITS

enum dms_block_type {
    DMS_BLOCK_SEGMENT = 1,
    DMS_BLOCK_CHUNK = 2,
    DMS_BLOCK_DIRECTORY = 3,
    DMS_BLOCK_ROWS = 4,
    DMS_BLOCK_STATE = 5,
    DMS_BLOCK_COMMIT = 6,
    DMS_BLOCK_FIT = 7,
    DMS_BLOCK_FIT_PART = 8,
};

enum dms_segment_kind {
    DMS_SEGMENT_LOG = 1,
    DMS_SEGMENT_BULK = 2,
    DMS_SEGMENT_SPOOL = 3,
    DMS_SEGMENT_MANIFEST = 4,
    DMS_SEGMENT_FIT_PART = 5, /* a part of a fit as a file */
};

enum dms_edit_type {
    DMS_EDIT_ADD_GROUP = 1,
    DMS_EDIT_SET_COLUMN = 2,
    DMS_EDIT_ADD_BATCH = 3,
    DMS_EDIT_DROP_GROUP = 4,
    DMS_EDIT_DROP_BATCHES = 5,
    DMS_EDIT_REMOVE_ROWS = 6,
    DMS_EDIT_SET_SCHEMA = 7,
    DMS_EDIT_DROP_SEGMENT = 8,
    DMS_EDIT_STATE = 9,
    DMS_EDIT_SET_FIT = 16,
    DMS_EDIT_SET_FIT_PART = 17,
    DMS_EDIT_REMOVE_FIT = 18,
};

static inline uint64_t dms_align(uint64_t bytes, uint64_t alignment)
{
    return (bytes + alignment - 1) / alignment * alignment;
}

#endif
