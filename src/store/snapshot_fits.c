/*
 * Reading fits (include/dmstore/fit.h): the records of the catalog say which part has which target;
 * the parts lie in the mapped segment files and are looked at when a target of theirs is first
 * asked for, hash and all.
 */
#include "dmstore/fit.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/fit.h"
#include "format/ids.h"
#include "store/segment.h"
#include "store/snapshot_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One target of the fit. */
struct fitted_place {
    uint32_t target;
    uint32_t part;
    uint32_t position; /* in its part */
};

/* A part that was looked at. */
struct open_part {
    struct dms_fit_part_view view;
    struct dms_metadata *provenance; /* owned */
};

struct dms_fit {
    const struct dms_snapshot *snapshot;
    const struct dms_fit_record *record;
    struct dms_fit_header *header; /* owned, one block */
    struct dms_hash128 header_hash;
    struct fitted_place *places; /* by target */
    size_t target_ct;
    const struct dms_fit_part_record **part_records; /* of the record, as they were added */
    _Atomic(struct open_part *) *parts;              /* NULL: not looked at yet */
};

/* ---- which fits there are ---- */

static int compare_names(const void *a, const void *b)
{
    const struct dms_fit_record *const *left = a;
    const struct dms_fit_record *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

void dms_snapshot_list_fits(struct dms_snapshot *snapshot)
{
    size_t fit_ct = snapshot->catalog.fit_ct;
    for (size_t k = 0; k < fit_ct; k++) {
        snapshot->fits[k] = &snapshot->catalog.fits[k];
    }
    if (fit_ct > 1) {
        qsort(snapshot->fits, fit_ct, sizeof *snapshot->fits, compare_names);
    }
}

size_t dms_snapshot_fit_ct(const dms_snapshot *snapshot)
{
    return snapshot->catalog.fit_ct;
}

const char *dms_snapshot_fit_name(const dms_snapshot *snapshot, size_t index)
{
    return index < snapshot->catalog.fit_ct ? snapshot->fits[index]->name : NULL;
}

/* NOT_FOUND, with the names there are. */
static int fail_unknown(const struct dms_snapshot *snapshot, const char *name)
{
    struct dms_buffer names = {0};
    int status = 0;
    for (size_t k = 0; status == 0 && k < snapshot->catalog.fit_ct; k++) {
        const char *fit = snapshot->fits[k]->name;
        status = k > 0 ? dms_buffer_append(&names, ", ", 2) : 0;
        status = status ? status : dms_buffer_append(&names, fit, strlen(fit));
    }
    status = status ? status : dms_buffer_append_zeros(&names, 1);
    if (status == 0) {
        status = snapshot->catalog.fit_ct == 0
                     ? dms_fail(DMS_ERR_NOT_FOUND, "there is no fit '%s': store '%s' has none",
                                name, snapshot->path)
                     : dms_fail(DMS_ERR_NOT_FOUND, "there is no fit '%s': store '%s' has %s", name,
                                snapshot->path, (const char *)names.data);
    }
    dms_buffer_free(&names);
    return status;
}

/* ---- opening ---- */

/* Finds the block of a record, whose header must be the one that is meant. */
static int find_block(const struct dms_snapshot *snapshot, uint64_t segment, uint64_t offset,
                      uint64_t header_hash, enum dms_block_type type,
                      struct dms_snapshot_file **file, struct dms_block *block)
{
    uint64_t committed_bytes;
    int status = dms_snapshot_file(snapshot, segment, file, &committed_bytes);
    status = status ? status
                    : dms_block_read_header((*file)->descriptor, (*file)->path, segment, offset,
                                            committed_bytes, block);
    if (status == 0 && (block->type != type || block->header_hash != header_hash)) {
        status = dms_fail(DMS_ERR_CORRUPT,
                          "segment '%s': the block at offset 0x%" PRIx64
                          " is not the one that is meant: run 'dmstore verify'",
                          (*file)->path, offset);
    }
    return status;
}

static int open_header(struct dms_fit *fit)
{
    const struct dms_fit_record *record = fit->record;
    struct dms_snapshot_file *file;
    struct dms_block block;
    uint8_t *payload = NULL;
    int status = find_block(fit->snapshot, record->segment, record->offset, record->header_hash,
                            DMS_BLOCK_FIT, &file, &block);
    if (status == 0) {
        payload = dms_alloc_aligned(DMS_BLOCK_ALIGNMENT, (size_t)block.payload_bytes + 1);
        status = payload ? dms_block_read_payload(file->descriptor, file->path, &block, payload)
                         : DMS_ERR_NO_MEMORY;
    }
    if (status == 0) {
        fit->header_hash = dms_hash128(payload, (size_t)block.payload_bytes);
        status = dms_fit_header_decode(payload, (size_t)block.payload_bytes, &fit->header);
    }
    free(payload);
    return status;
}

static int compare_places(const void *a, const void *b)
{
    const struct fitted_place *left = a;
    const struct fitted_place *right = b;
    return (left->target > right->target) - (left->target < right->target);
}

/* Lists the targets of one part behind those that are there. */
static int list_part(struct dms_fit *fit, uint32_t part)
{
    const struct dms_fit_part_record *record = fit->part_records[part];
    struct dms_ids_iterator iterator =
        dms_ids_begin(record->runs, record->run_bytes, record->target_ct);
    struct dms_id_span span;
    int status;
    while ((status = dms_ids_next(&iterator, &span)) > 0) {
        for (uint32_t k = 0; k < span.count; k++) {
            fit->places[fit->target_ct++] =
                (struct fitted_place){(uint32_t)(span.first + k), part, span.row + k};
        }
    }
    return status;
}

static int compare_additions(const void *a, const void *b)
{
    const struct dms_fit_part_record *left = *(const struct dms_fit_part_record *const *)a;
    const struct dms_fit_part_record *right = *(const struct dms_fit_part_record *const *)b;
    return (left->sequence > right->sequence) - (left->sequence < right->sequence);
}

static int list_parts(struct dms_fit *fit)
{
    size_t part_ct = fit->record->part_ct;
    fit->part_records = dms_alloc(part_ct, sizeof *fit->part_records);
    fit->parts = dms_alloc(part_ct, sizeof *fit->parts);
    if (!fit->part_records || !fit->parts) {
        return DMS_ERR_NO_MEMORY;
    }
    for (size_t k = 0; k < part_ct; k++) {
        fit->part_records[k] = &fit->record->parts[k];
    }
    if (part_ct > 1) {
        qsort(fit->part_records, part_ct, sizeof *fit->part_records, compare_additions);
    }
    return 0;
}

static int list_targets(struct dms_fit *fit)
{
    bool is_sorted = true;
    int status = 0;
    fit->places = dms_alloc((size_t)dms_fit_record_target_ct(fit->record), sizeof *fit->places);
    if (!fit->places) {
        return DMS_ERR_NO_MEMORY;
    }
    for (size_t k = 0; status == 0 && k < fit->record->part_ct; k++) {
        status = list_part(fit, (uint32_t)k);
    }
    for (size_t k = 1; k < fit->target_ct; k++) {
        is_sorted &= fit->places[k - 1].target < fit->places[k].target;
    }
    if (!is_sorted) {
        qsort(fit->places, fit->target_ct, sizeof *fit->places, compare_places);
    }
    return status;
}

int dms_fit_open(dms_snapshot *snapshot, const char *name, dms_fit **fit)
{
    const struct dms_fit_record *record = dms_catalog_fit_named(&snapshot->catalog, name);
    if (!record) {
        return fail_unknown(snapshot, name);
    }
    struct dms_fit *opened = dms_alloc(1, sizeof *opened);
    if (!opened) {
        return DMS_ERR_NO_MEMORY;
    }
    opened->snapshot = snapshot;
    opened->record = record;
    int status = open_header(opened);
    status = status ? dms_fail_prefix(status, "fit '%s'", name) : list_parts(opened);
    status = status ? status : list_targets(opened);
    if (status != 0) {
        dms_fit_close(opened);
        return status;
    }
    *fit = opened;
    return 0;
}

static void part_close(struct open_part *part)
{
    if (part) {
        free(part->provenance);
        free(part);
    }
}

void dms_fit_close(dms_fit *fit)
{
    if (!fit) {
        return;
    }
    for (size_t k = 0; fit->parts && k < fit->record->part_ct; k++) {
        part_close(fit->parts[k]);
    }
    free(fit->parts);
    free(fit->part_records);
    free(fit->places);
    free(fit->header);
    free(fit);
}

/* ---- parts ---- */

/* Whether a part is of this fit and has the targets that its record says. */
static int check_part(const struct dms_fit *fit, const struct dms_fit_part_record *record,
                      const struct dms_fit_part_view *view)
{
    struct dms_ids_iterator iterator =
        dms_ids_begin(record->runs, record->run_bytes, record->target_ct);
    struct dms_id_span span;
    bool is_meant = view->header_hash.low == fit->header_hash.low &&
                    view->header_hash.high == fit->header_hash.high &&
                    view->example_ct == fit->header->example_ct &&
                    view->column_target_ct == fit->header->target_ct &&
                    view->target_ct == record->target_ct;
    while (is_meant && dms_ids_next(&iterator, &span) > 0) {
        is_meant = view->targets[span.row] == span.first &&
                   view->targets[span.row + span.count - 1] == span.first + span.count - 1;
    }
    return is_meant
               ? 0
               : dms_fail(DMS_ERR_CORRUPT, "one of its parts is not the one that is meant: run "
                                           "'dmstore verify'");
}

static int look_at_part(const struct dms_fit *fit, const struct dms_fit_part_record *record,
                        struct open_part *part)
{
    struct dms_snapshot_file *file;
    struct dms_block block;
    const uint8_t *map;
    int status = find_block(fit->snapshot, record->segment, record->offset, record->header_hash,
                            DMS_BLOCK_FIT_PART, &file, &block);
    status = status ? status : dms_snapshot_map_file(fit->snapshot, record->segment, &map);
    if (status == 0) {
        /* Hashed in the map, which is lent anyway: a copy of the whole part would take longer. */
        const uint8_t *payload = map + record->offset + DMS_BLOCK_HEADER_BYTES;
        status = dms_hash64(payload, (size_t)block.payload_bytes) == block.payload_hash
                     ? dms_fit_part_view(payload, (size_t)block.payload_bytes, &part->view)
                     : dms_fail(DMS_ERR_CORRUPT,
                                "segment '%s': checksum mismatch in the block at offset 0x%" PRIx64,
                                file->path, block.offset);
    }
    status = status ? status : check_part(fit, record, &part->view);
    return status ? status : dms_fit_part_view_provenance(&part->view, &part->provenance);
}

static int open_part(const struct dms_fit *fit, size_t index, const struct open_part **part)
{
    struct open_part *found = atomic_load(&fit->parts[index]);
    if (!found) {
        struct open_part *made = dms_alloc(1, sizeof *made);
        int status = made ? look_at_part(fit, fit->part_records[index], made) : DMS_ERR_NO_MEMORY;
        if (status != 0) {
            part_close(made);
            return dms_fail_prefix(status, "fit '%s'", fit->record->name);
        }
        if (atomic_compare_exchange_strong(&fit->parts[index], &found, made)) {
            found = made;
        } else {
            part_close(made);
        }
    }
    *part = found;
    return 0;
}

/* ---- what is in it ---- */

const struct dms_fit_header *dms_fit_get_header(const dms_fit *fit)
{
    return fit->header;
}

size_t dms_fit_target_ct(const dms_fit *fit)
{
    return fit->target_ct;
}

int dms_fit_target(const dms_fit *fit, size_t position, struct dms_fitted_target *target)
{
    const struct open_part *part;
    if (position >= fit->target_ct) {
        return dms_fail(DMS_ERR_INVALID, "fit '%s': there is no target at position %zu of %zu",
                        fit->record->name, position, fit->target_ct);
    }
    const struct fitted_place *place = &fit->places[position];
    int status = open_part(fit, place->part, &part);
    if (status == 0) {
        dms_fit_part_view_target(&part->view, place->position, target);
    }
    return status;
}

const char *dms_fit_problem(const struct dms_fit_header *header, const char *key)
{
    for (size_t k = 0; k < header->problem_ct; k++) {
        if (strcmp(header->problem[k].key, key) == 0) {
            return header->problem[k].value;
        }
    }
    return NULL;
}

const char *dms_fit_method(const struct dms_fit_header *header)
{
    const char *method = dms_fit_problem(header, "method");
    return method ? method : "lasso";
}

int dms_fit_find(const dms_fit *fit, uint64_t target, size_t *position)
{
    struct fitted_place wanted = {.target = (uint32_t)target};
    const struct fitted_place *found =
        target > UINT32_MAX || fit->target_ct == 0
            ? NULL
            : bsearch(&wanted, fit->places, fit->target_ct, sizeof wanted, compare_places);
    if (found) {
        *position = (size_t)(found - fit->places);
        return 0;
    }
    if (fit->target_ct == 0) {
        return dms_fail(DMS_ERR_NOT_FOUND, "fit '%s' has no target %" PRIu64 ": it has none yet",
                        fit->record->name, target);
    }
    return dms_fail(DMS_ERR_NOT_FOUND,
                    "fit '%s' has no target %" PRIu64 ": it has %zu targets of %" PRIu32
                    " to %" PRIu32,
                    fit->record->name, target, fit->target_ct, fit->places[0].target,
                    fit->places[fit->target_ct - 1].target);
}

size_t dms_fit_part_ct(const dms_fit *fit)
{
    return fit->record->part_ct;
}

int dms_fit_part_info(const dms_fit *fit, size_t part, struct dms_fit_part_info *info)
{
    const struct open_part *open;
    if (part >= fit->record->part_ct) {
        return dms_fail(DMS_ERR_INVALID, "fit '%s': there is no part %zu of %zu", fit->record->name,
                        part, fit->record->part_ct);
    }
    int status = open_part(fit, part, &open);
    if (status == 0) {
        const struct dms_fit_part_record *record = fit->part_records[part];
        *info = (struct dms_fit_part_info){
            .target_ct = open->view.target_ct,
            .first_target = open->view.targets[0],
            .last_target = open->view.targets[open->view.target_ct - 1],
            .sequence = record->sequence,
            .time_ns = record->time_ns,
            .stored_bytes = record->stored_bytes,
            .provenance_ct = open->view.provenance_ct,
            .provenance = open->provenance,
        };
    }
    return status;
}
