/*
 * References: which blocks the live groups, batches and fits of a catalog are made of. By them a
 * damaged place is known to cost something, and what.
 */
#ifndef DMS_STORE_REFERENCES_H
#define DMS_STORE_REFERENCES_H

#include "format/state.h"
#include "store/survey.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dms_reference_kind {
    DMS_REFERENCE_TILE,
    DMS_REFERENCE_DIRECTORY,
    DMS_REFERENCE_ROWS,
    DMS_REFERENCE_FIT,
    DMS_REFERENCE_FIT_PART,
};

struct dms_reference {
    size_t file; /* of the survey */
    uint64_t offset;
    uint64_t header_hash;
    enum dms_reference_kind kind;
    uint32_t column_id; /* of a tile or directory */
    size_t container;   /* position in catalog->groups, ->batches or ->fits, as the kind says */
    size_t part;        /* of a part block: position in the parts of the fit */
};

struct dms_references {
    struct dms_reference *items; /* by file and offset */
    size_t item_ct, capacity;
};

/* Adds to the survey, as missing, the segments that the catalog has or refers to and the survey
 * does not have. */
int dms_references_add_files(struct dms_survey *survey, const struct dms_catalog *catalog);

static inline bool dms_reference_is_of_fit(const struct dms_reference *reference)
{
    return reference->kind >= DMS_REFERENCE_FIT;
}

/* Lists all live blocks; reads the directories for that. What does not fit together is noted in the
 * survey. The caller ends it with dms_references_free. */
int dms_references_make(struct dms_survey *survey, const struct dms_catalog *catalog,
                        struct dms_references *references);
void dms_references_free(struct dms_references *references);

/* The references to blocks at offsets begin .. end - 1 of a file: *first and how many. */
size_t dms_references_find(const struct dms_references *references, size_t file, uint64_t begin,
                           uint64_t end, const struct dms_reference **first);

/* Whether the block that is referred to is there and nothing is known against it. */
bool dms_reference_holds(const struct dms_survey *survey, const struct dms_reference *reference);

/* Notes a place for every reference that does not hold without one. */
int dms_references_note(struct dms_survey *survey, const struct dms_references *references);

#endif
