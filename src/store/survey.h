/*
 * A survey of segment files: which blocks stand where, and which places are damaged. It is what
 * replay, verify and recover work on; the payloads stay in the files.
 */
#ifndef DMS_STORE_SURVEY_H
#define DMS_STORE_SURVEY_H

#include "dmstore/error.h"
#include "dmstore/schema.h"
#include "format/block.h"
#include "format/state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A block whose header is right. */
struct dms_found_block {
    uint64_t offset;
    uint64_t payload_bytes;
    uint64_t payload_hash;
    uint64_t header_hash;
    uint64_t number;    /* of the group, batch, state, commit, fit or part of a fit */
    uint32_t column_id; /* of chunks and directories */
    uint8_t type;       /* enum dms_block_type */
    bool is_good;       /* nothing is known against it */
};

static inline uint64_t dms_found_block_extent(const struct dms_found_block *block)
{
    return dms_align(DMS_BLOCK_HEADER_BYTES + block->payload_bytes, DMS_BLOCK_ALIGNMENT);
}

struct dms_survey_file {
    uint64_t number;
    char *path;     /* owned */
    int descriptor; /* < 0: the file is missing or cannot be opened */
    uint64_t size;
    uint64_t limit;                   /* bytes that count: what was committed, or the whole file */
    uint64_t block_limit;             /* the part of them that is there */
    bool is_foreign;                  /* not a file of this store */
    struct dms_segment_record record; /* uuid zero and kind LOG while the segment block is unread */
    uint8_t store_uuid[DMS_UUID_BYTES];
    struct dms_schema *schema;      /* owned; of the segment block, NULL when that is damaged */
    struct dms_found_block *blocks; /* owned; by offset */
    size_t block_ct, block_capacity;
};

/* A range of a file that cannot be trusted. */
struct dms_bad_place {
    size_t file; /* position in the survey, or DMS_NO_FILE */
    uint64_t offset, bytes;
    char *what; /* owned */
};
#define DMS_NO_FILE SIZE_MAX

/* A commit whose header and payload are right. */
struct dms_found_commit {
    size_t file;
    struct dms_block block;
};

struct dms_survey {
    char *store_path;              /* owned */
    char *directory;               /* owned: of the segment files */
    struct dms_survey_file *files; /* in the order in which they were added */
    size_t file_ct, file_capacity;
    struct dms_bad_place *places;
    size_t place_ct, place_capacity;
    struct dms_found_commit *commits;
    size_t commit_ct, commit_capacity;
    int (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes); /* or NULL */
    void *progress_context;
    uint64_t done_bytes, total_bytes;
};

/* An empty survey of the store directory; dms_survey_end releases it. */
int dms_survey_begin(struct dms_survey *survey, const char *store_path);
void dms_survey_end(struct dms_survey *survey);

/* Opens one more segment file. limit: UINT64_MAX for the whole file. A file that cannot be opened
 * has descriptor < 0. Numbers must be new; lower ones should come first. */
int dms_survey_add_file(struct dms_survey *survey, uint64_t number, uint64_t limit);

/* Walks all files and notes their blocks, commits and damage. Of the payloads, it reads those of
 * segment and commit blocks only. */
int dms_survey_walk(struct dms_survey *survey);

/* Reads the segment block alone, as the walk does. CORRUPT when there is none. */
int dms_survey_read_beginning(struct dms_survey_file *file);

/* The store uuid that most of the files have, NULL when no segment block is right. */
const uint8_t *dms_survey_store_uuid(const struct dms_survey *survey);

/* Notes the files of other stores than `uuid` (NULL: cannot be told) as damaged, and forgets what
 * was found in them. */
int dms_survey_part_foreign(struct dms_survey *survey, const uint8_t *uuid);

/* Forgets blocks and damage of a file from `end` on. */
void dms_survey_cut(struct dms_survey *survey, size_t file, uint64_t end);

/* The file of a segment, or NULL. */
struct dms_survey_file *dms_survey_file(const struct dms_survey *survey, uint64_t number);

/* The block that begins at an offset of a file, or NULL. */
struct dms_found_block *dms_survey_block(const struct dms_survey_file *file, uint64_t offset);

/* The first block that begins at or after `offset`: a position in file->blocks. */
size_t dms_survey_position(const struct dms_survey_file *file, uint64_t offset);

/* Reads and decodes the header of a found block again. */
int dms_survey_read_header(const struct dms_survey_file *file, const struct dms_found_block *found,
                           struct dms_block *block);

/* Reads a payload into new memory (never NULL when 0), and checks hash and padding. */
int dms_survey_read_payload(const struct dms_survey_file *file, const struct dms_block *block,
                            uint8_t **payload);

/* Notes a damaged place with the current message as its reason. */
int dms_survey_note(struct dms_survey *survey, size_t file, uint64_t offset, uint64_t bytes);

/* The same for a found block, which is no longer good then. */
int dms_survey_note_block(struct dms_survey *survey, struct dms_survey_file *file,
                          struct dms_found_block *block);

/* Whether a failure means that what was read is damaged, not that reading cannot go on. */
static inline bool dms_is_damage(int status)
{
    return status == DMS_ERR_CORRUPT || status == DMS_ERR_IO;
}

/* Notes a file that could not be opened, with the reason. */
int dms_survey_note_missing(struct dms_survey *survey, size_t file);

/* Whether some of the bytes begin .. end - 1 of a file are noted as damaged. */
bool dms_survey_is_noted(const struct dms_survey *survey, size_t file, uint64_t begin,
                         uint64_t end);

/* Puts the places in order of file and offset. */
void dms_survey_sort_places(struct dms_survey *survey);

/* Counts bytes as done and tells the caller; INTERRUPTED when that asks to stop. */
int dms_survey_advance(struct dms_survey *survey, uint64_t bytes);

#endif
