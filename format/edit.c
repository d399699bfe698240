/*
 * Edits: see edit.h.
 */
#include "format/edit.h"

#include "base/error.h"
#include "format/cursor.h"

#include <inttypes.h>

enum { EDIT_HEADER_BYTES = 8 };

static void fit_encode(const struct dms_edit *edit, struct dms_encoder *encoder)
{
    if (edit->type == DMS_EDIT_SET_FIT) {
        dms_encode_u64(encoder, edit->set_fit.fit);
        dms_encode_u64(encoder, edit->set_fit.offset);
        dms_encode_u64(encoder, edit->set_fit.header_hash);
        dms_encode_u64(encoder, edit->set_fit.stored_bytes);
        dms_encode_u64(encoder, edit->set_fit.time_ns);
        dms_encode_u32(encoder, edit->set_fit.name_bytes);
        dms_encode_u32(encoder, 0);
        dms_encode_padded(encoder, edit->set_fit.name, edit->set_fit.name_bytes);
    } else if (edit->type == DMS_EDIT_SET_FIT_PART) {
        dms_encode_u64(encoder, edit->set_fit_part.fit);
        dms_encode_u64(encoder, edit->set_fit_part.part);
        dms_encode_u64(encoder, edit->set_fit_part.offset);
        dms_encode_u64(encoder, edit->set_fit_part.header_hash);
        dms_encode_u64(encoder, edit->set_fit_part.stored_bytes);
        dms_encode_u64(encoder, edit->set_fit_part.sequence);
        dms_encode_u64(encoder, edit->set_fit_part.time_ns);
        dms_encode_u32(encoder, edit->set_fit_part.target_ct);
        dms_encode_u32(encoder, edit->set_fit_part.run_bytes);
        dms_encode_padded(encoder, edit->set_fit_part.runs, edit->set_fit_part.run_bytes);
    } else {
        dms_encode_u64(encoder, edit->remove_fit.fit);
    }
}

static void body_encode(const struct dms_edit *edit, struct dms_encoder *encoder)
{
    switch (edit->type) {
    case DMS_EDIT_ADD_GROUP:
        dms_encode_u64(encoder, edit->add_group.group);
        dms_encode_u32(encoder, edit->add_group.row_ct);
        dms_encode_u32(encoder, edit->add_group.run_bytes);
        dms_encode_padded(encoder, edit->add_group.runs, edit->add_group.run_bytes);
        break;
    case DMS_EDIT_SET_COLUMN:
        dms_encode_u64(encoder, edit->set_column.group);
        dms_encode_u32(encoder, edit->set_column.column_id);
        dms_encode_u32(encoder, edit->set_column.present_ct);
        dms_encode_u64(encoder, edit->set_column.offset);
        dms_encode_u64(encoder, edit->set_column.header_hash);
        dms_encode_u64(encoder, edit->set_column.stored_bytes);
        break;
    case DMS_EDIT_ADD_BATCH:
        dms_encode_u64(encoder, edit->add_batch.batch);
        dms_encode_u32(encoder, edit->add_batch.row_ct);
        dms_encode_u32(encoder, edit->add_batch.run_bytes);
        dms_encode_u64(encoder, edit->add_batch.offset);
        dms_encode_u64(encoder, edit->add_batch.header_hash);
        dms_encode_u32(encoder, edit->add_batch.column_ct);
        dms_encode_u32(encoder, 0);
        dms_encode_padded(encoder, edit->add_batch.runs, edit->add_batch.run_bytes);
        break;
    case DMS_EDIT_DROP_GROUP:
        dms_encode_u64(encoder, edit->drop_group.group);
        break;
    case DMS_EDIT_DROP_BATCHES:
        dms_encode_u64(encoder, edit->drop_batches.first);
        dms_encode_u64(encoder, edit->drop_batches.count);
        break;
    case DMS_EDIT_REMOVE_ROWS:
        dms_encode_u32(encoder, edit->remove_rows.staged);
        dms_encode_u32(encoder, edit->remove_rows.row_ct);
        dms_encode_u64(encoder, edit->remove_rows.container);
        dms_encode_padded(encoder, edit->remove_rows.rows, (size_t)edit->remove_rows.row_ct * 4);
        break;
    case DMS_EDIT_SET_SCHEMA:
        dms_encode_u64(encoder, edit->set_schema.schema_bytes);
        dms_encode_padded(encoder, edit->set_schema.schema, (size_t)edit->set_schema.schema_bytes);
        break;
    case DMS_EDIT_DROP_SEGMENT:
        dms_encode_u64(encoder, edit->drop_segment.segment);
        break;
    case DMS_EDIT_STATE:
        dms_encode_u64(encoder, edit->state.offset);
        dms_encode_u64(encoder, edit->state.header_hash);
        break;
    case DMS_EDIT_SET_FIT:
    case DMS_EDIT_SET_FIT_PART:
    case DMS_EDIT_REMOVE_FIT:
        fit_encode(edit, encoder);
        break;
    }
}

int dms_edit_encode(const struct dms_edit *edit, struct dms_buffer *buffer)
{
    struct dms_encoder encoder = dms_encoder_begin(buffer);
    dms_encode_u32(&encoder, (uint32_t)edit->type);
    dms_encode_u32(&encoder, 0);
    body_encode(edit, &encoder);
    if (encoder.status == 0) {
        dms_store_u32(buffer->data + encoder.base + 4,
                      (uint32_t)(buffer->size - encoder.base - EDIT_HEADER_BYTES));
    }
    return encoder.status;
}

/* The bodies whose length varies; sets cursor->bad when something is off. */
static void lists_decode(struct dms_cursor *cursor, struct dms_edit *edit)
{
    switch (edit->type) {
    case DMS_EDIT_ADD_GROUP:
        edit->add_group.group = dms_cursor_u64(cursor);
        edit->add_group.row_ct = dms_cursor_u32(cursor);
        edit->add_group.run_bytes = dms_cursor_u32(cursor);
        edit->add_group.runs = dms_cursor_padded(cursor, edit->add_group.run_bytes);
        cursor->bad |= edit->add_group.row_ct == 0 || edit->add_group.row_ct > DMS_GROUP_ROWS_MAX;
        break;
    case DMS_EDIT_ADD_BATCH:
        edit->add_batch.batch = dms_cursor_u64(cursor);
        edit->add_batch.row_ct = dms_cursor_u32(cursor);
        edit->add_batch.run_bytes = dms_cursor_u32(cursor);
        edit->add_batch.offset = dms_cursor_u64(cursor);
        edit->add_batch.header_hash = dms_cursor_u64(cursor);
        edit->add_batch.column_ct = dms_cursor_u32(cursor);
        cursor->bad |= dms_cursor_u32(cursor) != 0 || edit->add_batch.row_ct == 0;
        edit->add_batch.runs = dms_cursor_padded(cursor, edit->add_batch.run_bytes);
        break;
    case DMS_EDIT_REMOVE_ROWS: {
        uint32_t staged = dms_cursor_u32(cursor);
        edit->remove_rows.staged = staged != 0;
        edit->remove_rows.row_ct = dms_cursor_u32(cursor);
        edit->remove_rows.container = dms_cursor_u64(cursor);
        edit->remove_rows.rows = dms_cursor_padded(cursor, (uint64_t)edit->remove_rows.row_ct * 4);
        cursor->bad |= staged > 1;
        break;
    }
    default:
        edit->set_schema.schema_bytes = dms_cursor_u64(cursor);
        edit->set_schema.schema = dms_cursor_padded(cursor, edit->set_schema.schema_bytes);
        break;
    }
}

static void fit_decode(struct dms_cursor *cursor, struct dms_edit *edit)
{
    if (edit->type == DMS_EDIT_SET_FIT) {
        edit->set_fit.fit = dms_cursor_u64(cursor);
        edit->set_fit.offset = dms_cursor_u64(cursor);
        edit->set_fit.header_hash = dms_cursor_u64(cursor);
        edit->set_fit.stored_bytes = dms_cursor_u64(cursor);
        edit->set_fit.time_ns = dms_cursor_u64(cursor);
        edit->set_fit.name_bytes = dms_cursor_u32(cursor);
        cursor->bad |= dms_cursor_u32(cursor) != 0;
        edit->set_fit.name = dms_cursor_padded(cursor, edit->set_fit.name_bytes);
    } else if (edit->type == DMS_EDIT_SET_FIT_PART) {
        edit->set_fit_part.fit = dms_cursor_u64(cursor);
        edit->set_fit_part.part = dms_cursor_u64(cursor);
        edit->set_fit_part.offset = dms_cursor_u64(cursor);
        edit->set_fit_part.header_hash = dms_cursor_u64(cursor);
        edit->set_fit_part.stored_bytes = dms_cursor_u64(cursor);
        edit->set_fit_part.sequence = dms_cursor_u64(cursor);
        edit->set_fit_part.time_ns = dms_cursor_u64(cursor);
        edit->set_fit_part.target_ct = dms_cursor_u32(cursor);
        edit->set_fit_part.run_bytes = dms_cursor_u32(cursor);
        edit->set_fit_part.runs = dms_cursor_padded(cursor, edit->set_fit_part.run_bytes);
    } else {
        edit->remove_fit.fit = dms_cursor_u64(cursor);
    }
}

static int body_decode(struct dms_cursor *cursor, struct dms_edit *edit)
{
    switch (edit->type) {
    case DMS_EDIT_ADD_GROUP:
    case DMS_EDIT_ADD_BATCH:
    case DMS_EDIT_REMOVE_ROWS:
    case DMS_EDIT_SET_SCHEMA:
        lists_decode(cursor, edit);
        break;
    case DMS_EDIT_SET_COLUMN:
        edit->set_column.group = dms_cursor_u64(cursor);
        edit->set_column.column_id = dms_cursor_u32(cursor);
        edit->set_column.present_ct = dms_cursor_u32(cursor);
        edit->set_column.offset = dms_cursor_u64(cursor);
        edit->set_column.header_hash = dms_cursor_u64(cursor);
        edit->set_column.stored_bytes = dms_cursor_u64(cursor);
        break;
    case DMS_EDIT_DROP_GROUP:
        edit->drop_group.group = dms_cursor_u64(cursor);
        break;
    case DMS_EDIT_DROP_BATCHES:
        edit->drop_batches.first = dms_cursor_u64(cursor);
        edit->drop_batches.count = dms_cursor_u64(cursor);
        break;
    case DMS_EDIT_DROP_SEGMENT:
        edit->drop_segment.segment = dms_cursor_u64(cursor);
        break;
    case DMS_EDIT_STATE:
        edit->state.offset = dms_cursor_u64(cursor);
        edit->state.header_hash = dms_cursor_u64(cursor);
        break;
    case DMS_EDIT_SET_FIT:
    case DMS_EDIT_SET_FIT_PART:
    case DMS_EDIT_REMOVE_FIT:
        fit_decode(cursor, edit);
        break;
    default:
        return dms_fail(DMS_ERR_VERSION,
                        "edit type %u is of a newer format version: update dmstore",
                        (unsigned)edit->type);
    }
    return dms_cursor_ended_well(cursor)
               ? 0
               : dms_fail(DMS_ERR_CORRUPT, "edit of type %u is malformed", (unsigned)edit->type);
}

int dms_edit_next(const uint8_t *payload, size_t bytes, size_t *at, struct dms_edit *edit)
{
    if (*at == bytes) {
        return 0;
    }
    struct dms_cursor cursor = dms_cursor_begin(payload + *at, bytes - *at);
    struct dms_edit decoded = {.type = dms_cursor_u32(&cursor)};
    uint32_t body_bytes = dms_cursor_u32(&cursor);
    const uint8_t *body = body_bytes % 8 == 0 ? dms_cursor_bytes(&cursor, body_bytes) : NULL;
    if (!body) {
        return dms_fail(DMS_ERR_CORRUPT, "edit at byte %zu of a commit is malformed", *at);
    }
    struct dms_cursor inner = dms_cursor_begin(body, body_bytes);
    int status = body_decode(&inner, &decoded);
    if (status != 0) {
        return status;
    }
    *at += cursor.at;
    *edit = decoded;
    return 1;
}
