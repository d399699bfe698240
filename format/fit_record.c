/*
 * Records of fits: see fit_record.h.
 */
#include "format/fit_record.h"

#include "base/alloc.h"
#include "base/error.h"
#include "dmstore/schema.h"
#include "format/ids.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- lists of targets ---- */

/* Whether the runs name exactly target_ct targets in increasing order. */
static int runs_check(const uint8_t *runs, size_t run_bytes, uint32_t target_ct)
{
    struct dms_ids_iterator iterator = dms_ids_begin(runs, run_bytes, target_ct);
    struct dms_id_span span;
    uint64_t next = 0;
    int status;
    while ((status = dms_ids_next(&iterator, &span)) > 0) {
        if (span.first < next || span.first + span.count > UINT32_MAX) {
            return dms_fail(DMS_ERR_CORRUPT, "targets of a fit are not increasing");
        }
        next = span.first + span.count;
    }
    if (status == 0 && (iterator.row != target_ct || target_ct == 0)) {
        status = dms_fail(DMS_ERR_CORRUPT, "list of targets names %" PRIu32 " of %" PRIu32,
                          iterator.row, target_ct);
    }
    return status;
}

bool dms_target_runs_overlap(const uint8_t *a, uint32_t a_bytes, uint32_t a_ct, const uint8_t *b,
                             uint32_t b_bytes, uint32_t b_ct, uint64_t *target)
{
    struct dms_ids_iterator left = dms_ids_begin(a, a_bytes, a_ct);
    struct dms_ids_iterator right = dms_ids_begin(b, b_bytes, b_ct);
    struct dms_id_span one;
    struct dms_id_span other;
    bool has_both = dms_ids_next(&left, &one) > 0 && dms_ids_next(&right, &other) > 0;
    while (has_both) {
        if (one.first + one.count <= other.first) {
            has_both = dms_ids_next(&left, &one) > 0;
        } else if (other.first + other.count <= one.first) {
            has_both = dms_ids_next(&right, &other) > 0;
        } else {
            *target = one.first > other.first ? one.first : other.first;
            return true;
        }
    }
    return false;
}

static bool parts_overlap(const struct dms_fit_part_record *a, const struct dms_fit_part_record *b)
{
    uint64_t target;
    return dms_target_runs_overlap(a->runs, a->run_bytes, a->target_ct, b->runs, b->run_bytes,
                                   b->target_ct, &target);
}

/* ---- parts ---- */

static size_t part_position(const struct dms_fit_record *record, uint64_t number)
{
    size_t at = 0;
    while (at < record->part_ct && record->parts[at].number < number) {
        at++;
    }
    return at;
}

struct dms_fit_part_record *dms_fit_record_part(const struct dms_fit_record *record,
                                                uint64_t number)
{
    size_t at = part_position(record, number);
    return at < record->part_ct && record->parts[at].number == number ? &record->parts[at] : NULL;
}

/* Adds a part, whose runs the record then owns. */
static int add_part(struct dms_fit_record *record, struct dms_fit_part_record *part)
{
    size_t at = part_position(record, part->number);
    int status = dms_grow((void **)&record->parts, &record->part_capacity, record->part_ct + 1,
                          sizeof *part);
    if (status == 0) {
        memmove(record->parts + at + 1, record->parts + at, (record->part_ct - at) * sizeof *part);
        record->parts[at] = *part;
        record->part_ct++;
        part->runs = NULL;
    }
    return status;
}

/* Keeps a copy of checked runs. */
static int runs_copy(const uint8_t *runs, struct dms_fit_part_record *part)
{
    int status = runs_check(runs, part->run_bytes, part->target_ct);
    if (status == 0) {
        part->runs = dms_alloc(part->run_bytes, 1);
        status = part->runs ? 0 : DMS_ERR_NO_MEMORY;
    }
    if (status == 0) {
        memcpy(part->runs, runs, part->run_bytes);
    }
    return status;
}

void dms_fit_part_record_clear(struct dms_fit_part_record *part)
{
    free(part->runs);
    *part = (struct dms_fit_part_record){0};
}

uint64_t dms_fit_record_target_ct(const struct dms_fit_record *record)
{
    uint64_t target_ct = 0;
    for (size_t k = 0; k < record->part_ct; k++) {
        target_ct += record->parts[k].target_ct;
    }
    return target_ct;
}

/* ---- code ---- */

int dms_fit_record_encode(const struct dms_fit_record *record, struct dms_buffer *buffer)
{
    struct dms_encoder encoder = dms_encoder_begin(buffer);
    size_t name_bytes = strlen(record->name);
    dms_encode_u64(&encoder, record->number);
    dms_encode_u64(&encoder, record->segment);
    dms_encode_u64(&encoder, record->offset);
    dms_encode_u64(&encoder, record->header_hash);
    dms_encode_u64(&encoder, record->stored_bytes);
    dms_encode_u64(&encoder, record->time_ns);
    dms_encode_u32(&encoder, (uint32_t)record->part_ct);
    dms_encode_u32(&encoder, (uint32_t)name_bytes);
    dms_encode_padded(&encoder, record->name, name_bytes);
    for (size_t k = 0; k < record->part_ct; k++) {
        const struct dms_fit_part_record *part = &record->parts[k];
        dms_encode_u64(&encoder, part->number);
        dms_encode_u64(&encoder, part->segment);
        dms_encode_u64(&encoder, part->offset);
        dms_encode_u64(&encoder, part->header_hash);
        dms_encode_u64(&encoder, part->stored_bytes);
        dms_encode_u64(&encoder, part->sequence);
        dms_encode_u64(&encoder, part->time_ns);
        dms_encode_u32(&encoder, part->target_ct);
        dms_encode_u32(&encoder, part->run_bytes);
        dms_encode_padded(&encoder, part->runs, part->run_bytes);
    }
    return encoder.status;
}

static int fail_malformed(void)
{
    return dms_fail(DMS_ERR_CORRUPT, "record of a fit is malformed");
}

/* A copy of a name of the length that names have; NULL with *status else. */
static char *name_copy(const uint8_t *name, uint32_t name_bytes, int *status)
{
    if (!name || name_bytes == 0 || name_bytes >= DMS_NAME_BYTES || memchr(name, 0, name_bytes)) {
        *status = fail_malformed();
        return NULL;
    }
    char *copy = dms_alloc((size_t)name_bytes + 1, 1);
    *status = copy ? 0 : DMS_ERR_NO_MEMORY;
    if (copy) {
        memcpy(copy, name, name_bytes);
    }
    return copy;
}

/* Decodes the next part, whose number must be above those before. */
static int part_decode(struct dms_cursor *cursor, struct dms_fit_record *record)
{
    struct dms_fit_part_record part = {.number = dms_cursor_u64(cursor)};
    part.segment = dms_cursor_u64(cursor);
    part.offset = dms_cursor_u64(cursor);
    part.header_hash = dms_cursor_u64(cursor);
    part.stored_bytes = dms_cursor_u64(cursor);
    part.sequence = dms_cursor_u64(cursor);
    part.time_ns = dms_cursor_u64(cursor);
    part.target_ct = dms_cursor_u32(cursor);
    part.run_bytes = dms_cursor_u32(cursor);
    const uint8_t *runs = dms_cursor_padded(cursor, part.run_bytes);
    if (cursor->bad ||
        (record->part_ct > 0 && record->parts[record->part_ct - 1].number >= part.number)) {
        return fail_malformed();
    }
    int status = runs_copy(runs, &part);
    status = status ? status : add_part(record, &part);
    dms_fit_part_record_clear(&part);
    return status;
}

int dms_fit_record_decode(struct dms_cursor *cursor, struct dms_fit_record *record)
{
    struct dms_fit_record decoded = {.number = dms_cursor_u64(cursor)};
    decoded.segment = dms_cursor_u64(cursor);
    decoded.offset = dms_cursor_u64(cursor);
    decoded.header_hash = dms_cursor_u64(cursor);
    decoded.stored_bytes = dms_cursor_u64(cursor);
    decoded.time_ns = dms_cursor_u64(cursor);
    uint32_t part_ct = dms_cursor_u32(cursor);
    uint32_t name_bytes = dms_cursor_u32(cursor);
    const uint8_t *name = dms_cursor_padded(cursor, name_bytes);
    int status;
    decoded.name = name_copy(name, name_bytes, &status);
    for (uint32_t k = 0; status == 0 && k < part_ct; k++) {
        status = part_decode(cursor, &decoded);
    }
    if (status != 0) {
        dms_fit_record_clear(&decoded);
        return status;
    }
    *record = decoded;
    return 0;
}

void dms_fit_record_clear(struct dms_fit_record *record)
{
    for (size_t k = 0; k < record->part_ct; k++) {
        dms_fit_part_record_clear(&record->parts[k]);
    }
    free(record->parts);
    free(record->name);
    *record = (struct dms_fit_record){0};
}

/* ---- edits ---- */

void dms_fit_record_move(struct dms_fit_record *record, const struct dms_edit *edit,
                         uint64_t segment)
{
    record->segment = segment;
    record->offset = edit->set_fit.offset;
    record->header_hash = edit->set_fit.header_hash;
    record->stored_bytes = edit->set_fit.stored_bytes;
    record->time_ns = edit->set_fit.time_ns;
}

int dms_fit_record_from_edit(const struct dms_edit *edit, uint64_t segment,
                             struct dms_fit_record *record)
{
    struct dms_fit_record made = {.number = edit->set_fit.fit};
    int status;
    made.name = name_copy(edit->set_fit.name, edit->set_fit.name_bytes, &status);
    if (status == 0) {
        dms_fit_record_move(&made, edit, segment);
        *record = made;
    }
    return status;
}

int dms_fit_record_set_part(struct dms_fit_record *record, const struct dms_edit *edit,
                            uint64_t segment)
{
    struct dms_fit_part_record made = {
        .number = edit->set_fit_part.part,
        .segment = segment,
        .offset = edit->set_fit_part.offset,
        .header_hash = edit->set_fit_part.header_hash,
        .stored_bytes = edit->set_fit_part.stored_bytes,
        .sequence = edit->set_fit_part.sequence,
        .time_ns = edit->set_fit_part.time_ns,
        .target_ct = edit->set_fit_part.target_ct,
        .run_bytes = edit->set_fit_part.run_bytes,
    };
    int status = runs_copy(edit->set_fit_part.runs, &made);
    for (size_t k = 0; status == 0 && k < record->part_ct; k++) {
        if (record->parts[k].number != made.number && parts_overlap(&record->parts[k], &made)) {
            status = dms_fail(DMS_ERR_CORRUPT, "two parts of fit '%s' have the same target",
                              record->name);
        }
    }
    struct dms_fit_part_record *there = dms_fit_record_part(record, made.number);
    if (status == 0 && there) {
        struct dms_fit_part_record before = *there;
        *there = made;
        made = before;
    } else if (status == 0) {
        status = add_part(record, &made);
    }
    dms_fit_part_record_clear(&made);
    return status;
}

void dms_fit_record_drop_overlapping(struct dms_fit_record *record, const struct dms_edit *edit)
{
    size_t kept = 0;
    for (size_t k = 0; k < record->part_ct; k++) {
        struct dms_fit_part_record *part = &record->parts[k];
        uint64_t target;
        if (part->number != edit->set_fit_part.part &&
            dms_target_runs_overlap(part->runs, part->run_bytes, part->target_ct,
                                    edit->set_fit_part.runs, edit->set_fit_part.run_bytes,
                                    edit->set_fit_part.target_ct, &target)) {
            dms_fit_part_record_clear(part);
        } else {
            record->parts[kept++] = *part;
        }
    }
    record->part_ct = kept;
}

struct dms_edit dms_fit_record_edit(const struct dms_fit_record *record)
{
    return (struct dms_edit){
        .type = DMS_EDIT_SET_FIT,
        .set_fit =
            {
                .fit = record->number,
                .offset = record->offset,
                .header_hash = record->header_hash,
                .stored_bytes = record->stored_bytes,
                .time_ns = record->time_ns,
                .name_bytes = (uint32_t)strlen(record->name),
                .name = (const uint8_t *)record->name,
            },
    };
}

struct dms_edit dms_fit_part_record_edit(const struct dms_fit_record *record,
                                         const struct dms_fit_part_record *part)
{
    return (struct dms_edit){
        .type = DMS_EDIT_SET_FIT_PART,
        .set_fit_part =
            {
                .fit = record->number,
                .part = part->number,
                .offset = part->offset,
                .header_hash = part->header_hash,
                .stored_bytes = part->stored_bytes,
                .sequence = part->sequence,
                .time_ns = part->time_ns,
                .target_ct = part->target_ct,
                .run_bytes = part->run_bytes,
                .runs = part->runs,
            },
    };
}
