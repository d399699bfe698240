/*
 * Checking blocks: see check.h.
 */
#include "store/check.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/schema.h"
#include "store/check_parts.h"
#include "store/replay.h"
#include "store/scan.h"
#include "store/tile_directory.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- directories and states ---- */

/* A directory's tiles are where it says; those in a damaged place have been reported with that. */
static int check_directory(struct dms_check *check, const struct dms_survey_file *file,
                           const struct dms_found_block *found)
{
    size_t file_index = (size_t)(file - check->survey->files);
    struct dms_directory directory = {0};
    int status = dms_directory_open(file, check->catalog->schema, found, &directory);
    if (status != 0) {
        return status;
    }
    for (uint32_t tile = 0; status == 0 && tile < directory.block.directory.tile_ct; tile++) {
        struct dms_found_block *chunk;
        struct dms_block block;
        uint64_t offset = dms_directory_tile_offset(&directory, tile);
        status = dms_directory_tile(&directory, tile, &chunk, &block);
        if (dms_is_damage(status) &&
            dms_survey_is_noted(check->survey, file_index, offset, offset + 1)) {
            status = 0;
        }
    }
    dms_directory_close(&directory);
    return status;
}

static int check_state(const struct dms_survey_file *file, const struct dms_found_block *found)
{
    struct dms_block block;
    struct dms_catalog catalog = {0};
    uint8_t *payload;
    int status = dms_survey_read_header(file, found, &block);
    status = status ? status : dms_survey_read_payload(file, &block, &payload);
    if (status != 0) {
        return status;
    }
    status = dms_catalog_decode(payload, (size_t)block.payload_bytes, &catalog, NULL);
    if (status == 0 && catalog.sequence != block.state_sequence) {
        status =
            dms_fail(DMS_ERR_CORRUPT, "the state at offset 0x%" PRIx64 " has two sequence numbers",
                     block.offset);
    }
    dms_catalog_clear(&catalog);
    free(payload);
    return status;
}

/* ---- commits ---- */

struct commit_check {
    const struct dms_check *check;
    const struct dms_survey_file *file;
};

/* A block that an edit refers to. */
static int check_referred(const struct commit_check *commit, uint64_t offset, uint64_t header_hash,
                          enum dms_block_type type)
{
    size_t file_index = (size_t)(commit->file - commit->check->survey->files);
    const struct dms_found_block *found = dms_survey_block(commit->file, offset);
    if ((found && found->header_hash == header_hash && found->type == (uint8_t)type) ||
        dms_survey_is_noted(commit->check->survey, file_index, offset, offset + 1)) {
        return 0;
    }
    return dms_fail(
        DMS_ERR_CORRUPT,
        "an edit of a commit refers to a block at offset 0x%" PRIx64 " that is not there", offset);
}

static int check_edit(void *context, const struct dms_edit *edit)
{
    const struct commit_check *commit = context;
    switch (edit->type) {
    case DMS_EDIT_SET_COLUMN:
        return check_referred(commit, edit->set_column.offset, edit->set_column.header_hash,
                              DMS_BLOCK_DIRECTORY);
    case DMS_EDIT_ADD_BATCH:
        return check_referred(commit, edit->add_batch.offset, edit->add_batch.header_hash,
                              DMS_BLOCK_ROWS);
    case DMS_EDIT_STATE:
        return check_referred(commit, edit->state.offset, edit->state.header_hash, DMS_BLOCK_STATE);
    case DMS_EDIT_SET_FIT:
        return check_referred(commit, edit->set_fit.offset, edit->set_fit.header_hash,
                              DMS_BLOCK_FIT);
    case DMS_EDIT_SET_FIT_PART:
        return check_referred(commit, edit->set_fit_part.offset, edit->set_fit_part.header_hash,
                              DMS_BLOCK_FIT_PART);
    case DMS_EDIT_SET_SCHEMA: {
        struct dms_schema *schema;
        int status = dms_schema_decode(edit->set_schema.schema,
                                       (size_t)edit->set_schema.schema_bytes, &schema);
        if (status == 0) {
            dms_schema_free(schema);
        }
        return status;
    }
    default:
        return 0;
    }
}

/* previous_end: the end of the commit before in the file, or of the segment block. */
static int check_commit(const struct dms_check *check, const struct dms_survey_file *file,
                        const struct dms_found_block *found, uint64_t previous_end)
{
    size_t file_index = (size_t)(file - check->survey->files);
    struct dms_found_commit commit = {.file = file_index};
    struct commit_check context = {check, file};
    int status = dms_survey_read_header(file, found, &commit.block);
    status = status ? status : dms_commit_each_edit(check->survey, &commit, check_edit, &context);
    uint64_t begin = commit.block.commit.begin;
    if (status != 0 ||
        dms_survey_is_noted(check->survey, file_index, previous_end, found->offset)) {
        return status;
    }
    if (begin != previous_end) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "commit %" PRIu64 " covers the blocks from offset 0x%" PRIx64
                        ", the commit before ends at 0x%" PRIx64,
                        commit.block.commit.sequence, begin, previous_end);
    }
    return dms_commit_check_blocks(check->survey, &commit, false);
}

/* ---- all blocks ---- */

static int check_block(struct dms_check *check, const struct dms_survey_file *file,
                       const struct dms_found_block *found, uint64_t previous_end)
{
    const struct dms_reference *live;
    size_t file_index = (size_t)(file - check->survey->files);
    size_t live_ct =
        dms_references_find(check->references, file_index, found->offset, found->offset + 1, &live);
    const struct dms_reference *reference = live_ct > 0 ? live : NULL;
    if (check->live_only && !reference) {
        return 0;
    }
    switch (found->type) {
    case DMS_BLOCK_CHUNK:
        return dms_check_chunk(check, file, found, reference);
    case DMS_BLOCK_ROWS:
        return dms_check_rows(check, file, found, reference);
    case DMS_BLOCK_DIRECTORY:
        return check_directory(check, file, found);
    case DMS_BLOCK_STATE:
        return check_state(file, found);
    case DMS_BLOCK_FIT:
        return dms_check_fit(check, file, found, reference);
    case DMS_BLOCK_FIT_PART:
        return dms_check_fit_part(check, file, found, reference);
    case DMS_BLOCK_COMMIT:
        return check_commit(check, file, found, previous_end);
    default:
        return 0; /* the segment block was read by the walk */
    }
}

static int check_file(struct dms_check *check, size_t file_index)
{
    struct dms_survey *survey = check->survey;
    uint64_t previous_end = 0;
    int status = 0;
    for (size_t k = 0; status == 0 && k < survey->files[file_index].block_ct; k++) {
        struct dms_survey_file *file = &survey->files[file_index];
        struct dms_found_block *found = &file->blocks[k];
        if (found->is_good) {
            status = check_block(check, file, found, previous_end);
        }
        if (dms_is_damage(status)) {
            status = dms_survey_note_block(survey, file, found);
        }
        if (found->type == DMS_BLOCK_SEGMENT || found->type == DMS_BLOCK_COMMIT) {
            previous_end = found->offset + dms_found_block_extent(found);
        }
        status = status ? status : dms_survey_advance(survey, dms_found_block_extent(found));
    }
    return status;
}

int dms_check_run(struct dms_check *check)
{
    int status = 0;
    for (size_t k = 0; status == 0 && k < check->survey->file_ct; k++) {
        if (check->survey->files[k].descriptor >= 0 && !check->survey->files[k].is_foreign) {
            status = check_file(check, k);
        }
    }
    free(check->ids);
    check->ids = NULL;
    return status;
}
