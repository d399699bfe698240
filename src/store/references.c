/*
 * References to live blocks: see references.h.
 */
#include "store/references.h"

#include "base/alloc.h"
#include "base/error.h"
#include "store/tile_directory.h"

#include <inttypes.h>
#include <stdlib.h>

static int add_file(struct dms_survey *survey, uint64_t segment, uint64_t limit)
{
    if (dms_survey_file(survey, segment)) {
        return 0;
    }
    int status = dms_survey_add_file(survey, segment, limit);
    return status ? status : dms_survey_note_missing(survey, survey->file_ct - 1);
}

int dms_references_add_files(struct dms_survey *survey, const struct dms_catalog *catalog)
{
    int status = 0;
    for (size_t k = 0; status == 0 && k < catalog->segment_ct; k++) {
        status =
            add_file(survey, catalog->segments[k].number, catalog->segments[k].committed_bytes);
    }
    for (size_t g = 0; status == 0 && g < catalog->group_ct; g++) {
        const struct dms_group_record *group = &catalog->groups[g];
        for (uint32_t c = 0; status == 0 && c < group->column_ct; c++) {
            status = add_file(survey, group->columns[c].segment, DMS_SEGMENT_BYTES_MAX);
        }
    }
    for (size_t b = 0; status == 0 && b < catalog->batch_ct; b++) {
        status = add_file(survey, catalog->batches[b].segment, DMS_SEGMENT_BYTES_MAX);
    }
    for (size_t f = 0; status == 0 && f < catalog->fit_ct; f++) {
        const struct dms_fit_record *fit = &catalog->fits[f];
        status = add_file(survey, fit->segment, DMS_SEGMENT_BYTES_MAX);
        for (size_t p = 0; status == 0 && p < fit->part_ct; p++) {
            status = add_file(survey, fit->parts[p].segment, DMS_SEGMENT_BYTES_MAX);
        }
    }
    return status;
}

static int add(struct dms_references *references, const struct dms_reference *reference)
{
    int status = dms_grow((void **)&references->items, &references->capacity,
                          references->item_ct + 1, sizeof *references->items);
    if (status == 0) {
        references->items[references->item_ct++] = *reference;
    }
    return status;
}

/* ---- groups ---- */

static int check_directory(const struct dms_group_record *group,
                           const struct dms_group_column *column,
                           const struct dms_directory *directory)
{
    const struct dms_directory_fields *fields = &directory->block.directory;
    if (fields->group != group->number || fields->column_id != column->column_id ||
        fields->row_ct != group->row_ct || fields->present_ct != column->present_ct) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "the directory at offset 0x%" PRIx64
                        " is not that of column %s in group %" PRIu64,
                        column->offset, directory->column->name, group->number);
    }
    bool is_always = column->column_id <= 1;
    if (is_always && column->present_ct != group->row_ct) {
        return dms_fail(DMS_ERR_CORRUPT, "column %s of group %" PRIu64 " lacks rows",
                        directory->column->name, group->number);
    }
    return 0;
}

/* Adds the tiles that a directory names; *stored_bytes is what they take. */
static int add_tiles(struct dms_references *references, const struct dms_reference *whole,
                     const struct dms_directory *directory, uint64_t *stored_bytes)
{
    int status = 0;
    for (uint32_t tile = 0; status == 0 && tile < directory->block.directory.tile_ct; tile++) {
        struct dms_reference reference = *whole;
        reference.kind = DMS_REFERENCE_TILE;
        reference.offset = dms_directory_tile_offset(directory, tile);
        reference.header_hash = dms_directory_tile_hash(directory, tile);
        *stored_bytes +=
            dms_align(DMS_BLOCK_HEADER_BYTES + dms_directory_tile_bytes(directory, tile),
                      DMS_BLOCK_ALIGNMENT);
        status = add(references, &reference);
    }
    return status;
}

static int add_column(struct dms_survey *survey, const struct dms_catalog *catalog,
                      struct dms_references *references, const struct dms_reference *whole,
                      const struct dms_group_column *column)
{
    const struct dms_group_record *group = &catalog->groups[whole->container];
    struct dms_survey_file *file = &survey->files[whole->file];
    struct dms_found_block *found = dms_survey_block(file, column->offset);
    int status = add(references, whole);
    if (status != 0 || !found || found->header_hash != column->header_hash || !found->is_good) {
        return status;
    }
    struct dms_directory directory = {0};
    uint64_t stored_bytes = dms_found_block_extent(found);
    status = dms_directory_open(file, catalog->schema, found, &directory);
    if (status == 0) {
        status = check_directory(group, column, &directory);
    }
    if (status == 0) {
        status = add_tiles(references, whole, &directory, &stored_bytes);
    }
    if (status == 0 && stored_bytes != column->stored_bytes) {
        (void)dms_fail(DMS_ERR_CORRUPT,
                       "column %s of group %" PRIu64 " takes %" PRIu64
                       " bytes, the record says %" PRIu64,
                       directory.column->name, group->number, stored_bytes, column->stored_bytes);
        status = dms_survey_note(survey, whole->file, column->offset, 0); /* the blocks are good */
    }
    if (dms_is_damage(status)) {
        status = dms_survey_note_block(survey, file, found);
    }
    dms_directory_close(&directory);
    return status;
}

static int add_group(struct dms_survey *survey, const struct dms_catalog *catalog, size_t position,
                     struct dms_references *references)
{
    const struct dms_group_record *group = &catalog->groups[position];
    int status = 0;
    if (!dms_group_record_column(group, 0) || !dms_group_record_column(group, 1)) {
        (void)dms_fail(DMS_ERR_CORRUPT, "group %" PRIu64 " has no masks or no model ids",
                       group->number);
        status = dms_survey_note(survey, DMS_NO_FILE, 0, 0);
    }
    for (uint32_t c = 0; status == 0 && c < group->column_ct; c++) {
        const struct dms_group_column *column = &group->columns[c];
        const struct dms_survey_file *file = dms_survey_file(survey, column->segment);
        struct dms_reference whole = {
            .file = (size_t)(file - survey->files),
            .offset = column->offset,
            .header_hash = column->header_hash,
            .kind = DMS_REFERENCE_DIRECTORY,
            .column_id = column->column_id,
            .container = position,
        };
        status = add_column(survey, catalog, references, &whole, column);
    }
    return status;
}

/* ---- batches and fits ---- */

static int add_batch(const struct dms_survey *survey, const struct dms_catalog *catalog,
                     size_t position, struct dms_references *references)
{
    const struct dms_batch_record *batch = &catalog->batches[position];
    const struct dms_survey_file *file = dms_survey_file(survey, batch->segment);
    struct dms_reference reference = {
        .file = (size_t)(file - survey->files),
        .offset = batch->offset,
        .header_hash = batch->header_hash,
        .kind = DMS_REFERENCE_ROWS,
        .container = position,
    };
    return add(references, &reference);
}

static int add_fit(const struct dms_survey *survey, const struct dms_catalog *catalog,
                   size_t position, struct dms_references *references)
{
    const struct dms_fit_record *fit = &catalog->fits[position];
    struct dms_reference reference = {
        .file = (size_t)(dms_survey_file(survey, fit->segment) - survey->files),
        .offset = fit->offset,
        .header_hash = fit->header_hash,
        .kind = DMS_REFERENCE_FIT,
        .container = position,
    };
    int status = add(references, &reference);
    for (size_t p = 0; status == 0 && p < fit->part_ct; p++) {
        reference = (struct dms_reference){
            .file = (size_t)(dms_survey_file(survey, fit->parts[p].segment) - survey->files),
            .offset = fit->parts[p].offset,
            .header_hash = fit->parts[p].header_hash,
            .kind = DMS_REFERENCE_FIT_PART,
            .container = position,
            .part = p,
        };
        status = add(references, &reference);
    }
    return status;
}

/* ---- all ---- */

static int compare_references(const void *a, const void *b)
{
    const struct dms_reference *left = a;
    const struct dms_reference *right = b;
    if (left->file != right->file) {
        return left->file < right->file ? -1 : 1;
    }
    return (left->offset > right->offset) - (left->offset < right->offset);
}

int dms_references_make(struct dms_survey *survey, const struct dms_catalog *catalog,
                        struct dms_references *references)
{
    struct dms_references made = {0};
    int status = 0;
    for (size_t g = 0; status == 0 && g < catalog->group_ct; g++) {
        status = add_group(survey, catalog, g, &made);
    }
    for (size_t b = 0; status == 0 && b < catalog->batch_ct; b++) {
        status = add_batch(survey, catalog, b, &made);
    }
    for (size_t f = 0; status == 0 && f < catalog->fit_ct; f++) {
        status = add_fit(survey, catalog, f, &made);
    }
    if (status != 0) {
        dms_references_free(&made);
        return status;
    }
    if (made.item_ct > 1) {
        qsort(made.items, made.item_ct, sizeof *made.items, compare_references);
    }
    *references = made;
    return 0;
}

void dms_references_free(struct dms_references *references)
{
    free(references->items);
    *references = (struct dms_references){0};
}

/* The first reference to a block at or after an offset of a file. */
static size_t lower_bound(const struct dms_references *references, size_t file, uint64_t offset)
{
    struct dms_reference wanted = {.file = file, .offset = offset};
    size_t low = 0;
    size_t high = references->item_ct;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_references(&references->items[middle], &wanted) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

size_t dms_references_find(const struct dms_references *references, size_t file, uint64_t begin,
                           uint64_t end, const struct dms_reference **first)
{
    size_t from = lower_bound(references, file, begin);
    end = end < begin ? UINT64_MAX : end; /* an offset that cannot be: the sum went over */
    *first = references->items ? references->items + from : NULL;
    return lower_bound(references, file, end) - from;
}

bool dms_reference_holds(const struct dms_survey *survey, const struct dms_reference *reference)
{
    static const uint8_t types[] = {
        [DMS_REFERENCE_TILE] = DMS_BLOCK_CHUNK,
        [DMS_REFERENCE_DIRECTORY] = DMS_BLOCK_DIRECTORY,
        [DMS_REFERENCE_ROWS] = DMS_BLOCK_ROWS,
        [DMS_REFERENCE_FIT] = DMS_BLOCK_FIT,
        [DMS_REFERENCE_FIT_PART] = DMS_BLOCK_FIT_PART,
    };
    const struct dms_found_block *found =
        dms_survey_block(&survey->files[reference->file], reference->offset);
    return found && found->is_good && found->type == types[reference->kind] &&
           found->header_hash == reference->header_hash;
}

int dms_references_note(struct dms_survey *survey, const struct dms_references *references)
{
    int status = 0;
    for (size_t k = 0; status == 0 && k < references->item_ct; k++) {
        const struct dms_reference *reference = &references->items[k];
        uint64_t end = reference->offset + DMS_BLOCK_HEADER_BYTES;
        if (dms_reference_holds(survey, reference) ||
            dms_survey_is_noted(survey, reference->file, reference->offset, end)) {
            continue;
        }
        (void)dms_fail(DMS_ERR_CORRUPT, "no block that is meant stands at offset 0x%" PRIx64,
                       reference->offset);
        status =
            dms_survey_note(survey, reference->file, reference->offset, DMS_BLOCK_HEADER_BYTES);
    }
    return status;
}
