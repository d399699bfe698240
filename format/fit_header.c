/*
 * Headers of fits (SPEC.md section 10.1): their rules, the comparison that tells whether a job may
 * join, and their code. See fit.h.
 */
#include "format/fit.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/cursor.h"
#include "format/ids.h"
#include "format/layout.h"
#include "format/pairs.h"
#include "format/schema.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_SET_CT = 3 };

static const char *const row_set_names[ROW_SET_CT] = {"training", "validation", "held-out"};

static const struct dms_row_set *row_set(const struct dms_fit_header *header, int which)
{
    const struct dms_row_set *const sets[ROW_SET_CT] = {&header->training, &header->validation,
                                                        &header->held_out};
    return sets[which];
}

/* ---- rules ---- */

int dms_fit_name_check(const char *name)
{
    return dms_column_name_check(name) == 0
               ? 0
               : dms_fail(DMS_ERR_INVALID,
                          "'%.*s' is no name for a fit: use at most %d letters, digits, '_', '-' "
                          "and '.', and begin with a letter or '_'",
                          DMS_NAME_BYTES, name, DMS_NAME_BYTES - 1);
}

/* Ranges in order with gaps between them, as many models as row_ct says. */
static int row_set_check(const struct dms_row_set *set, const char *name)
{
    uint64_t row_ct = 0;
    for (size_t k = 0; k < set->range_ct; k++) {
        const struct dms_id_range *range = &set->ranges[k];
        const struct dms_id_range *before = k > 0 ? range - 1 : NULL;
        if (range->id_ct == 0 || range->first_id + (range->id_ct - 1) < range->first_id ||
            (before && range->first_id <= before->first_id) ||
            (before && range->first_id - before->first_id <= before->id_ct)) {
            return dms_fail(DMS_ERR_INVALID,
                            "ranges of %s models must be increasing and must not touch: the one "
                            "that begins at %" PRIu64 " is not",
                            name, range->first_id);
        }
        if (range->id_ct > UINT32_MAX - row_ct) {
            return dms_fail(DMS_ERR_INVALID, "there are too many %s models", name);
        }
        row_ct += range->id_ct;
    }
    return row_ct == set->row_ct
               ? 0
               : dms_fail(DMS_ERR_INVALID,
                          "the ranges of %s models hold %" PRIu64 " ids, not %" PRIu64, name,
                          row_ct, set->row_ct);
}

int dms_fit_header_check(const struct dms_fit_header *header)
{
    int status = dms_fit_name_check(header->name);
    status = status ? status : dms_column_name_check(header->output);
    if (status == 0 && (header->example_ct == 0 || header->example_ct > DMS_EXAMPLE_CT_MAX ||
                        header->target_ct == 0 || header->target_ct > UINT32_MAX)) {
        status = dms_fail(DMS_ERR_INVALID,
                          "fit '%s': there are no fits with %" PRIu64 " examples and %" PRIu64
                          " targets",
                          header->name, header->example_ct, header->target_ct);
    }
    for (int which = 0; status == 0 && which < ROW_SET_CT; which++) {
        status = row_set_check(row_set(header, which), row_set_names[which]);
        status = status ? dms_fail_prefix(status, "fit '%s'", header->name) : 0;
    }
    return status ? status
                  : dms_pairs_check(header->problem, header->problem_ct, "problem of the fit");
}

/* ---- comparing ---- */

static int compare_numbers(const struct dms_fit_header *begun, const char *what, uint64_t there,
                           uint64_t here)
{
    return there == here ? 0
                         : dms_fail(DMS_ERR_CONFLICT,
                                    "fit '%s' was begun with %" PRIu64 " %s, this job has %" PRIu64,
                                    begun->name, there, what, here);
}

static int compare_row_sets(const struct dms_fit_header *begun, const struct dms_row_set *there,
                            const struct dms_row_set *here, const char *name)
{
    char what[32] = "";
    strcat(strcat(what, name), " models");
    int status = compare_numbers(begun, what, there->row_ct, here->row_ct);
    for (size_t k = 0; status == 0 && k < there->range_ct && k < here->range_ct; k++) {
        uint64_t there_end = there->ranges[k].first_id + (there->ranges[k].id_ct - 1);
        uint64_t here_end = here->ranges[k].first_id + (here->ranges[k].id_ct - 1);
        if (there->ranges[k].first_id != here->ranges[k].first_id || there_end != here_end) {
            status = dms_fail(DMS_ERR_CONFLICT,
                              "fit '%s' was begun with %s models %" PRIu64 " to %" PRIu64
                              ", this job has %" PRIu64 " to %" PRIu64,
                              begun->name, name, there->ranges[k].first_id, there_end,
                              here->ranges[k].first_id, here_end);
        }
    }
    if (status == 0 &&
        (there->digest[0] != here->digest[0] || there->digest[1] != here->digest[1])) {
        status = dms_fail(DMS_ERR_CONFLICT,
                          "fit '%s' was begun with the same %s models, but the masks of some have "
                          "changed since",
                          begun->name, name);
    }
    return status;
}

/* What made a fit; a regression by LASSO does not say. */
static const char *method_of(const struct dms_fit_header *header)
{
    for (size_t k = 0; k < header->problem_ct; k++) {
        if (strcmp(header->problem[k].key, "method") == 0) {
            return header->problem[k].value;
        }
    }
    return "lasso";
}

/* Fits of two methods have other keys, too, which say nothing: the method comes first. Both lists
 * are sorted: else it is the first key that is in one only, or has two values. */
static int compare_problems(const struct dms_fit_header *begun, const struct dms_fit_header *asked)
{
    size_t there = 0;
    size_t here = 0;
    if (strcmp(method_of(begun), method_of(asked)) != 0) {
        return dms_fail(DMS_ERR_CONFLICT, "fit '%s' was begun with method = %s, this job has %s",
                        begun->name, method_of(begun), method_of(asked));
    }
    while (there < begun->problem_ct || here < asked->problem_ct) {
        const struct dms_metadata *old = &begun->problem[there];
        const struct dms_metadata *new = &asked->problem[here];
        int order = there == begun->problem_ct  ? 1
                    : here == asked->problem_ct ? -1
                                                : strcmp(old->key, new->key);
        if (order < 0) {
            return dms_fail(DMS_ERR_CONFLICT,
                            "fit '%s' was begun with %s = %s, this job does not have that",
                            begun->name, old->key, old->value);
        }
        if (order > 0) {
            return dms_fail(DMS_ERR_CONFLICT, "fit '%s' was begun without %s, this job has %s = %s",
                            begun->name, new->key, new->key, new->value);
        }
        if (strcmp(old->value, new->value) != 0) {
            return dms_fail(DMS_ERR_CONFLICT, "fit '%s' was begun with %s = %s, this job has %s",
                            begun->name, old->key, old->value, new->value);
        }
        there++;
        here++;
    }
    return 0;
}

int dms_fit_header_compare(const struct dms_fit_header *begun, const struct dms_fit_header *asked)
{
    int status = 0;
    if (memcmp(begun->store_uuid, asked->store_uuid, sizeof begun->store_uuid) != 0) {
        status = dms_fail(DMS_ERR_CONFLICT, "fit '%s' was begun in another store than this job's",
                          begun->name);
    } else if (strcmp(begun->output, asked->output) != 0) {
        status = dms_fail(DMS_ERR_CONFLICT, "fit '%s' was begun with output = %s, this job has %s",
                          begun->name, begun->output, asked->output);
    }
    status =
        status ? status : compare_numbers(begun, "examples", begun->example_ct, asked->example_ct);
    status =
        status ? status : compare_numbers(begun, "targets", begun->target_ct, asked->target_ct);
    status = status ? status : compare_problems(begun, asked);
    for (int which = 0; status == 0 && which < ROW_SET_CT; which++) {
        status = compare_row_sets(begun, row_set(begun, which), row_set(asked, which),
                                  row_set_names[which]);
    }
    return status;
}

/* ---- one block of memory ---- */

/* Room in a block, handed out from its beginning. */
struct room {
    struct dms_id_range *ranges;
    struct dms_metadata *pairs;
    char *text;
};

/* A zeroed header with room behind it. */
static struct dms_fit_header *header_make(size_t range_ct, size_t pair_ct, size_t text_bytes,
                                          struct room *room)
{
    size_t range_bytes;
    size_t pair_bytes;
    size_t bytes = sizeof(struct dms_fit_header);
    if (dms_mul_overflow(range_ct, sizeof(struct dms_id_range), &range_bytes) ||
        dms_mul_overflow(pair_ct, sizeof(struct dms_metadata), &pair_bytes) ||
        dms_add_overflow(bytes, range_bytes, &bytes) ||
        dms_add_overflow(bytes, pair_bytes, &bytes) ||
        dms_add_overflow(bytes, text_bytes, &bytes)) {
        (void)dms_fail(DMS_ERR_NO_MEMORY, "a fit with %zu ranges of models is too large", range_ct);
        return NULL;
    }
    struct dms_fit_header *header = dms_alloc(bytes, 1);
    if (header) {
        room->ranges = (struct dms_id_range *)(header + 1);
        room->pairs = (struct dms_metadata *)(room->ranges + range_ct);
        room->text = (char *)(room->pairs + pair_ct);
    }
    return header;
}

static void row_set_place(struct room *room, const struct dms_row_set *set,
                          struct dms_row_set *copy)
{
    *copy = *set;
    copy->ranges = room->ranges;
    if (set->range_ct > 0) {
        memcpy(copy->ranges, set->ranges, set->range_ct * sizeof *set->ranges);
    }
    room->ranges += set->range_ct;
}

int dms_fit_header_copy(const struct dms_fit_header *original, struct dms_fit_header **copy)
{
    struct room room;
    size_t range_ct =
        original->training.range_ct + original->validation.range_ct + original->held_out.range_ct;
    size_t text_bytes = strlen(original->name) + strlen(original->output) + 2 +
                        dms_pairs_text_bytes(original->problem, original->problem_ct);
    struct dms_fit_header *made = header_make(range_ct, original->problem_ct, text_bytes, &room);
    if (!made) {
        return DMS_ERR_NO_MEMORY;
    }
    *made = *original;
    row_set_place(&room, &original->training, &made->training);
    row_set_place(&room, &original->validation, &made->validation);
    row_set_place(&room, &original->held_out, &made->held_out);
    made->name = dms_text_place(original->name, strlen(original->name), &room.text);
    made->output = dms_text_place(original->output, strlen(original->output), &room.text);
    made->problem = room.pairs;
    dms_pairs_place(original->problem, original->problem_ct, room.pairs, &room.text);
    *copy = made;
    return 0;
}

/* ---- encoding ---- */

static void row_set_encode(const struct dms_row_set *set, struct dms_encoder *encoder)
{
    size_t length_at = encoder->buffer->size + 24;
    uint32_t run_bytes = 0;
    dms_encode_u64(encoder, set->row_ct);
    dms_encode_u64(encoder, set->digest[0]);
    dms_encode_u64(encoder, set->digest[1]);
    dms_encode_u32(encoder, 0);
    dms_encode_u32(encoder, (uint32_t)set->range_ct);
    if (encoder->status == 0) {
        encoder->status =
            dms_id_ranges_encode(set->ranges, set->range_ct, encoder->buffer, &run_bytes);
    }
    if (encoder->status == 0) {
        dms_store_u32(encoder->buffer->data + length_at, run_bytes);
    }
    dms_encode_pad(encoder);
}

int dms_fit_header_encode(const struct dms_fit_header *header, struct dms_buffer *buffer)
{
    struct dms_encoder encoder = dms_encoder_begin(buffer);
    size_t name_bytes = strlen(header->name);
    size_t output_bytes = strlen(header->output);
    dms_encode_bytes(&encoder, header->store_uuid, DMS_UUID_BYTES);
    dms_encode_u64(&encoder, header->sequence);
    dms_encode_u64(&encoder, header->example_ct);
    dms_encode_u64(&encoder, header->target_ct);
    dms_encode_u32(&encoder, (uint32_t)name_bytes);
    dms_encode_u32(&encoder, (uint32_t)output_bytes);
    dms_encode_u32(&encoder, (uint32_t)header->problem_ct);
    dms_encode_u32(&encoder, 0);
    dms_encode_padded(&encoder, header->name, name_bytes);
    dms_encode_padded(&encoder, header->output, output_bytes);
    for (int which = 0; which < ROW_SET_CT; which++) {
        row_set_encode(row_set(header, which), &encoder);
    }
    for (size_t k = 0; k < header->problem_ct; k++) {
        dms_pair_encode(&encoder, &header->problem[k]);
    }
    return encoder.status;
}

/* ---- decoding ---- */

static int fail_malformed(void)
{
    return dms_fail(DMS_ERR_CORRUPT, "header of a fit is malformed");
}

/* A row set as it was read, its ranges still coded. */
struct coded_set {
    struct dms_row_set set;
    const uint8_t *runs;
    uint32_t run_bytes;
};

static void row_set_read(struct dms_cursor *cursor, struct coded_set *coded)
{
    coded->set.row_ct = dms_cursor_u64(cursor);
    coded->set.digest[0] = dms_cursor_u64(cursor);
    coded->set.digest[1] = dms_cursor_u64(cursor);
    coded->run_bytes = dms_cursor_u32(cursor);
    coded->set.range_ct = dms_cursor_u32(cursor);
    coded->runs = dms_cursor_padded(cursor, coded->run_bytes);
    cursor->bad |= coded->set.row_ct > UINT32_MAX;
    cursor->bad |= coded->set.range_ct > coded->run_bytes / 2; /* a range takes two bytes or more */
}

static int row_set_decode(const struct coded_set *coded, struct room *room, struct dms_row_set *set)
{
    struct dms_ids_iterator iterator =
        dms_ids_begin(coded->runs, coded->run_bytes, (uint32_t)coded->set.row_ct);
    struct dms_id_span span;
    size_t range_ct = 0;
    int status;
    *set = coded->set;
    set->ranges = room->ranges;
    while ((status = dms_ids_next(&iterator, &span)) > 0) {
        if (range_ct == set->range_ct) {
            return fail_malformed();
        }
        set->ranges[range_ct++] = (struct dms_id_range){span.first, span.count};
    }
    room->ranges += range_ct;
    return status == 0 && range_ct != set->range_ct ? fail_malformed() : status;
}

/* The fields before the row sets; name and output stay in the payload. */
struct coded_header {
    struct dms_fit_header fields;
    const uint8_t *name, *output;
    uint32_t name_bytes, output_bytes;
    struct coded_set sets[ROW_SET_CT];
};

static int header_read(struct dms_cursor *cursor, struct coded_header *coded)
{
    const uint8_t *uuid = dms_cursor_bytes(cursor, DMS_UUID_BYTES);
    coded->fields.sequence = dms_cursor_u64(cursor);
    coded->fields.example_ct = dms_cursor_u64(cursor);
    coded->fields.target_ct = dms_cursor_u64(cursor);
    coded->name_bytes = dms_cursor_u32(cursor);
    coded->output_bytes = dms_cursor_u32(cursor);
    coded->fields.problem_ct = dms_cursor_u32(cursor);
    cursor->bad |= dms_cursor_u32(cursor) != 0;
    coded->name = dms_cursor_padded(cursor, coded->name_bytes);
    coded->output = dms_cursor_padded(cursor, coded->output_bytes);
    for (int which = 0; which < ROW_SET_CT; which++) {
        row_set_read(cursor, &coded->sets[which]);
    }
    if (cursor->bad || coded->fields.problem_ct > DMS_METADATA_MAX ||
        coded->name_bytes >= DMS_NAME_BYTES || coded->output_bytes >= DMS_NAME_BYTES ||
        memchr(coded->name, 0, coded->name_bytes) ||
        memchr(coded->output, 0, coded->output_bytes)) {
        return fail_malformed();
    }
    memcpy(coded->fields.store_uuid, uuid, DMS_UUID_BYTES);
    return 0;
}

int dms_fit_header_decode(const uint8_t *payload, size_t bytes, struct dms_fit_header **header)
{
    struct dms_cursor cursor = dms_cursor_begin(payload, bytes);
    struct coded_header coded = {0};
    struct room room;
    size_t range_ct = 0;
    int status = header_read(&cursor, &coded);
    if (status != 0) {
        return status;
    }
    for (int which = 0; which < ROW_SET_CT; which++) {
        range_ct += coded.sets[which].set.range_ct;
    }
    size_t pair_ct = coded.fields.problem_ct;
    size_t text_bytes =
        coded.name_bytes + coded.output_bytes + 2 + (bytes - cursor.at) + 2 * pair_ct;
    struct dms_fit_header *made = header_make(range_ct, pair_ct, text_bytes, &room);
    if (!made) {
        return DMS_ERR_NO_MEMORY;
    }
    *made = coded.fields;
    made->name = dms_text_place(coded.name, coded.name_bytes, &room.text);
    made->output = dms_text_place(coded.output, coded.output_bytes, &room.text);
    made->problem = room.pairs;
    status = row_set_decode(&coded.sets[0], &room, &made->training);
    status = status ? status : row_set_decode(&coded.sets[1], &room, &made->validation);
    status = status ? status : row_set_decode(&coded.sets[2], &room, &made->held_out);
    if (status == 0) {
        dms_pairs_read(&cursor, pair_ct, room.pairs, &room.text);
        status = dms_cursor_ended_well(&cursor) ? 0 : fail_malformed();
    }
    if (status == 0 && dms_fit_header_check(made) != 0) {
        status = dms_fail_prefix(DMS_ERR_CORRUPT, "header of a fit is wrong");
    }
    if (status != 0) {
        free(made);
        return status;
    }
    *header = made;
    return 0;
}
