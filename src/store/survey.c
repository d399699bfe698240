/*
 * Surveying segment files: see survey.h.
 */
#include "store/survey.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/file.h"
#include "format/schema.h"
#include "store/paths.h"
#include "store/scan.h"
#include "store/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int dms_survey_begin(struct dms_survey *survey, const char *store_path)
{
    *survey = (struct dms_survey){0};
    survey->store_path = dms_strdup(store_path);
    survey->directory = dms_path_segments(store_path);
    if (!survey->store_path || !survey->directory) {
        dms_survey_end(survey);
        return DMS_ERR_NO_MEMORY;
    }
    return 0;
}

void dms_survey_end(struct dms_survey *survey)
{
    for (size_t k = 0; k < survey->file_ct; k++) {
        struct dms_survey_file *file = &survey->files[k];
        dms_close(file->descriptor);
        free(file->path);
        free(file->blocks);
        dms_schema_free(file->schema);
    }
    for (size_t k = 0; k < survey->place_ct; k++) {
        free(survey->places[k].what);
    }
    free(survey->files);
    free(survey->places);
    free(survey->commits);
    free(survey->store_path);
    free(survey->directory);
    *survey = (struct dms_survey){0};
}

/* ---- files ---- */

struct dms_survey_file *dms_survey_file(const struct dms_survey *survey, uint64_t number)
{
    for (size_t k = 0; k < survey->file_ct; k++) {
        if (survey->files[k].number == number) {
            return &survey->files[k];
        }
    }
    return NULL;
}

int dms_survey_add_file(struct dms_survey *survey, uint64_t number, uint64_t limit)
{
    struct dms_survey_file made = {.number = number, .limit = limit, .descriptor = -1};
    made.record = (struct dms_segment_record){.number = number, .kind = DMS_SEGMENT_LOG};
    int status = dms_grow((void **)&survey->files, &survey->file_capacity, survey->file_ct + 1,
                          sizeof *survey->files);
    made.path = status == 0 ? dms_path_segment(survey->store_path, number) : NULL;
    if (!made.path) {
        return DMS_ERR_NO_MEMORY;
    }
    made.descriptor = dms_segment_open(made.path);
    bool is_unreadable = made.descriptor == DMS_ERR_NOT_FOUND ||
                         (made.descriptor == DMS_ERR_IO && errno != EMFILE && errno != ENFILE);
    if (made.descriptor < 0 && !is_unreadable) {
        free(made.path);
        return made.descriptor;
    }
    if (made.descriptor >= 0) {
        status = dms_file_size(made.descriptor, made.path, &made.size);
        if (status != 0) {
            dms_close(made.descriptor);
            free(made.path);
            return status;
        }
    }
    if (limit == UINT64_MAX) {
        made.limit = made.size;
    }
    made.block_limit = made.size < made.limit ? made.size : made.limit;
    survey->files[survey->file_ct++] = made;
    return 0;
}

/* ---- blocks ---- */

size_t dms_survey_position(const struct dms_survey_file *file, uint64_t offset)
{
    size_t low = 0;
    size_t high = file->block_ct;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (file->blocks[middle].offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct dms_found_block *dms_survey_block(const struct dms_survey_file *file, uint64_t offset)
{
    size_t at = dms_survey_position(file, offset);
    return at < file->block_ct && file->blocks[at].offset == offset ? &file->blocks[at] : NULL;
}

int dms_survey_read_header(const struct dms_survey_file *file, const struct dms_found_block *found,
                           struct dms_block *block)
{
    return dms_block_read_header(file->descriptor, file->path, file->number, found->offset,
                                 file->block_limit, block);
}

int dms_survey_read_payload(const struct dms_survey_file *file, const struct dms_block *block,
                            uint8_t **payload)
{
    uint8_t *read = dms_alloc_aligned(
        DMS_BLOCK_ALIGNMENT, (size_t)(dms_block_extent(block) - DMS_BLOCK_HEADER_BYTES) + 1);
    if (!read) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = dms_scan_read_payload(file->descriptor, file->path, block, read);
    if (status != 0) {
        free(read);
        return status;
    }
    *payload = read;
    return 0;
}

/* ---- places ---- */

int dms_survey_note(struct dms_survey *survey, size_t file, uint64_t offset, uint64_t bytes)
{
    struct dms_bad_place place = {.file = file, .offset = offset, .bytes = bytes};
    place.what = dms_strdup(dms_error_message());
    if (!place.what) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = dms_grow((void **)&survey->places, &survey->place_capacity, survey->place_ct + 1,
                          sizeof *survey->places);
    if (status != 0) {
        free(place.what);
        return status;
    }
    survey->places[survey->place_ct++] = place;
    return 0;
}

int dms_survey_note_block(struct dms_survey *survey, struct dms_survey_file *file,
                          struct dms_found_block *block)
{
    block->is_good = false;
    return dms_survey_note(survey, (size_t)(file - survey->files), block->offset,
                           dms_found_block_extent(block));
}

bool dms_survey_is_noted(const struct dms_survey *survey, size_t file, uint64_t begin, uint64_t end)
{
    for (size_t k = 0; k < survey->place_ct; k++) {
        const struct dms_bad_place *place = &survey->places[k];
        if (place->file == file && place->offset < end && begin < place->offset + place->bytes) {
            return true;
        }
    }
    return false;
}

static int compare_places(const void *a, const void *b)
{
    const struct dms_bad_place *left = a;
    const struct dms_bad_place *right = b;
    if (left->file != right->file) {
        return left->file < right->file ? -1 : 1;
    }
    return (left->offset > right->offset) - (left->offset < right->offset);
}

void dms_survey_sort_places(struct dms_survey *survey)
{
    if (survey->place_ct > 1) {
        qsort(survey->places, survey->place_ct, sizeof *survey->places, compare_places);
    }
}

int dms_survey_advance(struct dms_survey *survey, uint64_t bytes)
{
    survey->done_bytes += bytes;
    if (survey->progress &&
        survey->progress(survey->progress_context, survey->done_bytes, survey->total_bytes) != 0) {
        return dms_fail(DMS_ERR_INTERRUPTED, "stopped as asked");
    }
    return 0;
}

/* ---- the walk ---- */

static uint64_t block_number(const struct dms_block *block)
{
    switch (block->type) {
    case DMS_BLOCK_CHUNK:
        return block->chunk.group;
    case DMS_BLOCK_DIRECTORY:
        return block->directory.group;
    case DMS_BLOCK_ROWS:
        return block->rows.batch;
    case DMS_BLOCK_STATE:
        return block->state_sequence;
    case DMS_BLOCK_COMMIT:
        return block->commit.sequence;
    case DMS_BLOCK_FIT:
        return block->fit;
    case DMS_BLOCK_FIT_PART:
        return block->fit_part.part;
    case DMS_BLOCK_SEGMENT:
        break;
    }
    return 0;
}

static int add_block(struct dms_survey_file *file, const struct dms_block *block)
{
    int status = dms_grow((void **)&file->blocks, &file->block_capacity, file->block_ct + 1,
                          sizeof *file->blocks);
    if (status == 0) {
        file->blocks[file->block_ct++] = (struct dms_found_block){
            .offset = block->offset,
            .payload_bytes = block->payload_bytes,
            .payload_hash = block->payload_hash,
            .header_hash = block->header_hash,
            .number = block_number(block),
            .column_id = block->type == DMS_BLOCK_CHUNK       ? block->chunk.column_id
                         : block->type == DMS_BLOCK_DIRECTORY ? block->directory.column_id
                                                              : 0,
            .type = (uint8_t)block->type,
            .is_good = true,
        };
    }
    return status;
}

/* Takes what a segment block says of its file. */
static int read_segment_block(struct dms_survey_file *file, const struct dms_block *block)
{
    uint8_t *payload;
    struct dms_segment_fields fields;
    int status = dms_survey_read_payload(file, block, &payload);
    if (status != 0) {
        return status;
    }
    status = dms_segment_fields_decode(payload, (size_t)block->payload_bytes, &fields);
    if (status == 0 && (fields.number != file->number || fields.kind > DMS_SEGMENT_BULK)) {
        status = dms_fail(DMS_ERR_CORRUPT, "the segment block says number %" PRIu64 ", kind %u",
                          fields.number, (unsigned)fields.kind);
    }
    if (status == 0) {
        status = dms_schema_decode(fields.schema, fields.schema_bytes, &file->schema);
    }
    if (status == 0) {
        memcpy(file->store_uuid, fields.store_uuid, DMS_UUID_BYTES);
        memcpy(file->record.uuid, fields.segment_uuid, DMS_UUID_BYTES);
        file->record.kind = fields.kind;
    }
    free(payload);
    return status;
}

static int take_commit(struct dms_survey *survey, size_t file_index, const struct dms_block *block)
{
    const struct dms_survey_file *file = &survey->files[file_index];
    int status = dms_scan_check_payload(file->descriptor, file->path, block);
    if (status == 0) {
        status = dms_grow((void **)&survey->commits, &survey->commit_capacity,
                          survey->commit_ct + 1, sizeof *survey->commits);
    }
    if (status == 0) {
        survey->commits[survey->commit_ct++] =
            (struct dms_found_commit){.file = file_index, .block = *block};
    }
    return status;
}

static int take_block(struct dms_survey *survey, size_t file_index, const struct dms_block *block)
{
    struct dms_survey_file *file = &survey->files[file_index];
    int status = add_block(file, block);
    if (status != 0) {
        return status;
    }
    if (block->type == DMS_BLOCK_SEGMENT) {
        status = read_segment_block(file, block);
    } else if (block->type == DMS_BLOCK_COMMIT) {
        status = take_commit(survey, file_index, block);
    }
    if (dms_is_damage(status)) {
        status = dms_survey_note_block(survey, file, &file->blocks[file->block_ct - 1]);
    }
    return status;
}

/* A file under the number of another one has no block that is right; says so. */
static void explain_beginning(const struct dms_survey_file *file)
{
    uint8_t header[DMS_BLOCK_HEADER_BYTES];
    struct dms_block block;
    if (file->block_limit < sizeof header ||
        dms_pread_full(file->descriptor, file->path, header, sizeof header, 0) != 0) {
        return;
    }
    struct dms_error_state reason;
    dms_error_save(&reason);
    uint64_t number = dms_load_u64(header + 16);
    if (number != file->number && dms_block_decode(header, number, 0, &block) == 0) {
        (void)dms_fail(DMS_ERR_CORRUPT,
                       "the file is segment %" PRIu64 ", not %" PRIu64 ": was it renamed?", number,
                       file->number);
    } else {
        dms_error_restore(&reason);
    }
}

static int walk_file(struct dms_survey *survey, size_t file_index)
{
    struct dms_survey_file *file = &survey->files[file_index];
    struct dms_scan scan;
    struct dms_scan_item item;
    int status =
        dms_scan_begin(&scan, file->descriptor, file->path, file->number, file->block_limit);
    while (status == 0 && (status = dms_scan_next(&scan, &item)) > 0) {
        if (!item.is_damaged) {
            status = take_block(survey, file_index, &item.block);
            continue;
        }
        if (item.offset == 0) {
            explain_beginning(file);
        }
        status = dms_survey_note(survey, file_index, item.offset, item.bytes);
    }
    dms_scan_end(&scan);
    if (status == 0 && file->size < file->limit) {
        (void)dms_fail(DMS_ERR_CORRUPT,
                       "the file ends at %" PRIu64 ", %" PRIu64 " bytes were committed", file->size,
                       file->limit);
        status = dms_survey_note(survey, file_index, file->size, file->limit - file->size);
    }
    return status;
}

int dms_survey_note_missing(struct dms_survey *survey, size_t file_index)
{
    const struct dms_survey_file *file = &survey->files[file_index];
    int descriptor = dms_open(file->path, O_RDONLY, 0);
    if (descriptor >= 0) {
        dms_close(descriptor);
        (void)dms_fail(DMS_ERR_IO, "the segment file could not be opened at first");
    } else if (descriptor == DMS_ERR_NOT_FOUND) {
        (void)dms_fail(descriptor, "the segment file is missing");
    }
    return dms_survey_note(survey, file_index, 0, file->limit);
}

int dms_survey_walk(struct dms_survey *survey)
{
    int status = 0;
    for (size_t k = 0; status == 0 && k < survey->file_ct; k++) {
        status = survey->files[k].descriptor < 0 ? dms_survey_note_missing(survey, k)
                                                 : walk_file(survey, k);
    }
    return status;
}

int dms_survey_read_beginning(struct dms_survey_file *file)
{
    struct dms_block block;
    int status = dms_block_read_header(file->descriptor, file->path, file->number, 0,
                                       dms_align(file->size, DMS_BLOCK_ALIGNMENT), &block);
    return status ? status : read_segment_block(file, &block);
}

/* ---- other stores' files ---- */

static bool is_same_uuid(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, DMS_UUID_BYTES) == 0;
}

const uint8_t *dms_survey_store_uuid(const struct dms_survey *survey)
{
    const uint8_t *best = NULL;
    size_t best_ct = 0;
    for (size_t k = 0; k < survey->file_ct; k++) {
        const struct dms_survey_file *file = &survey->files[k];
        size_t count = 0;
        for (size_t other = k; file->schema && other < survey->file_ct; other++) {
            count += survey->files[other].schema &&
                     is_same_uuid(survey->files[other].store_uuid, file->store_uuid);
        }
        if (count > best_ct) {
            best = file->store_uuid;
            best_ct = count;
        }
    }
    return best;
}

void dms_survey_cut(struct dms_survey *survey, size_t file, uint64_t end)
{
    size_t kept = 0;
    for (size_t k = 0; k < survey->place_ct; k++) {
        struct dms_bad_place *place = &survey->places[k];
        if (place->file == file && place->offset >= end) {
            free(place->what);
        } else {
            survey->places[kept++] = *place;
        }
    }
    survey->place_ct = kept;
    survey->files[file].block_ct = dms_survey_position(&survey->files[file], end);
}

int dms_survey_part_foreign(struct dms_survey *survey, const uint8_t *uuid)
{
    int status = 0;
    for (size_t k = 0; status == 0 && uuid && k < survey->file_ct; k++) {
        struct dms_survey_file *file = &survey->files[k];
        if (!file->schema || is_same_uuid(file->store_uuid, uuid)) {
            continue;
        }
        file->is_foreign = true;
        dms_survey_cut(survey, k, 0);
        (void)dms_fail(DMS_ERR_CORRUPT, "the file belongs to another store");
        status = dms_survey_note(survey, k, 0, file->limit);
    }
    return status;
}
