/*
 * Checking the content of blocks: payload hashes, decoded content, layouts, and the agreement of
 * live blocks with the catalog; and adding up the totals of live rows on the way.
 */
#ifndef DMS_STORE_CHECK_H
#define DMS_STORE_CHECK_H

#include "store/references.h"
#include "store/totals.h"

#include <stdbool.h>
#include <stdint.h>

struct dms_check {
    struct dms_survey *survey;               /* walked; what is found is noted there */
    const struct dms_catalog *catalog;       /* what is live */
    const struct dms_references *references; /* to its blocks */
    bool decode;               /* chunks and rows, to check their content; else hashes only */
    bool live_only;            /* leave out what is not referred to */
    struct dms_totals *totals; /* NULL, or where live sealed rows are added (with decode) */
    uint64_t chunk_ct;         /* chunks, rows blocks and parts of fits that were checked */

    /* Of the group whose ids were last needed. */
    uint64_t *ids;
    uint64_t ids_group;
    uint32_t ids_row_ct;
};

/* Checks the blocks of all files. Damage is noted; failures are those of memory, of a newer format,
 * and INTERRUPTED. */
int dms_check_run(struct dms_check *check);

#endif
