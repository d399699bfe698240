/*
 * What a part of a fit in memory is inside, for the files that save it and take it into a store.
 */
#ifndef DMS_STORE_FIT_PART_H
#define DMS_STORE_FIT_PART_H

#include "dmstore/fit.h"
#include "format/fit.h"
#include "store/segment.h"

#include <stddef.h>

struct dms_fit_part {
    struct dms_fit_header *header;
    struct dms_metadata *provenance;
    size_t provenance_ct;
    struct dms_fitted_target **targets; /* by target, each with its arrays in one block of memory */
    size_t target_ct, target_capacity;
};

/* A part ready to be written: the payload of its fit's block, and its own with room for a block's
 * header and padding around it. Zero-initialise it. */
struct dms_coded_part {
    struct dms_buffer header;
    uint8_t *framed; /* the payload stands at framed + DMS_BLOCK_HEADER_BYTES */
    struct dms_block block;
};

/* Encodes a part that has targets; dms_coded_part_clear releases it. */
int dms_fit_part_code(const dms_fit_part *part, struct dms_coded_part *coded);
void dms_coded_part_clear(struct dms_coded_part *coded);

#endif
