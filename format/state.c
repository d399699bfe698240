/*
 * The catalog and its records: see state.h.
 */
#include "format/state.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/ids.h"
#include "format/schema.h"

#include "dmstore/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- records ---- */

/* A copy of `bytes` bytes at data in *copy (NULL for none). */
static int bytes_copy(const uint8_t *data, size_t bytes, uint8_t **copy)
{
    *copy = NULL;
    if (bytes > 0) {
        *copy = dms_alloc(bytes, 1);
        if (!*copy) {
            return DMS_ERR_NO_MEMORY;
        }
        memcpy(*copy, data, bytes);
    }
    return 0;
}

static size_t bitmap_bytes(uint32_t row_ct)
{
    return ((size_t)row_ct + 7) / 8;
}

static uint32_t bitmap_count(const uint8_t *bits, uint32_t row_ct)
{
    uint32_t count = 0;
    for (uint32_t row = 0; row < row_ct; row++) {
        count += dms_row_is_removed(bits, row);
    }
    return count;
}

/* Whether the runs name exactly row_ct ids. */
static int runs_check(const uint8_t *runs, size_t run_bytes, uint32_t row_ct)
{
    struct dms_ids_iterator iterator = dms_ids_begin(runs, run_bytes, row_ct);
    struct dms_id_span span;
    int status;
    while ((status = dms_ids_next(&iterator, &span)) > 0) {
    }
    if (status == 0 && iterator.row != row_ct) {
        status = dms_fail(DMS_ERR_CORRUPT, "list of model ids names %u of %u rows",
                          (unsigned)iterator.row, (unsigned)row_ct);
    }
    return status;
}

int dms_segment_record_encode(const struct dms_segment_record *record, struct dms_buffer *buffer)
{
    struct dms_encoder encoder = dms_encoder_begin(buffer);
    dms_encode_u64(&encoder, record->number);
    dms_encode_bytes(&encoder, record->uuid, DMS_UUID_BYTES);
    dms_encode_u64(&encoder, record->committed_bytes);
    dms_encode_u32(&encoder, (uint32_t)record->kind);
    dms_encode_u32(&encoder, 0);
    return encoder.status;
}

int dms_segment_record_decode(struct dms_cursor *cursor, struct dms_segment_record *record)
{
    struct dms_segment_record decoded = {.number = dms_cursor_u64(cursor)};
    const uint8_t *uuid = dms_cursor_bytes(cursor, DMS_UUID_BYTES);
    decoded.committed_bytes = dms_cursor_u64(cursor);
    decoded.kind = dms_cursor_u32(cursor);
    cursor->bad |= dms_cursor_u32(cursor) != 0;
    if (cursor->bad || decoded.kind < DMS_SEGMENT_LOG || decoded.kind > DMS_SEGMENT_BULK) {
        return dms_fail(DMS_ERR_CORRUPT, "record of a segment is malformed");
    }
    memcpy(decoded.uuid, uuid, DMS_UUID_BYTES);
    *record = decoded;
    return 0;
}

int dms_group_record_encode(const struct dms_group_record *record, struct dms_buffer *buffer)
{
    struct dms_encoder encoder = dms_encoder_begin(buffer);
    dms_encode_u64(&encoder, record->number);
    dms_encode_u32(&encoder, record->row_ct);
    dms_encode_u32(&encoder, record->live_ct);
    dms_encode_u32(&encoder, record->column_ct);
    dms_encode_u32(&encoder, record->run_bytes);
    dms_encode_padded(&encoder, record->runs, record->run_bytes);
    if (record->live_ct < record->row_ct) {
        dms_encode_padded(&encoder, record->removed, bitmap_bytes(record->row_ct));
    }
    for (uint32_t c = 0; c < record->column_ct; c++) {
        const struct dms_group_column *column = &record->columns[c];
        dms_encode_u32(&encoder, column->column_id);
        dms_encode_u32(&encoder, column->present_ct);
        dms_encode_u64(&encoder, column->segment);
        dms_encode_u64(&encoder, column->offset);
        dms_encode_u64(&encoder, column->header_hash);
        dms_encode_u64(&encoder, column->stored_bytes);
    }
    return encoder.status;
}

static int group_columns_decode(struct dms_cursor *cursor, struct dms_group_record *record)
{
    if (record->column_ct > DMS_COLUMN_MAX) {
        return dms_fail(DMS_ERR_CORRUPT, "group %" PRIu64 " claims %" PRIu32 " columns",
                        record->number, record->column_ct);
    }
    record->columns = dms_alloc(record->column_ct, sizeof *record->columns);
    if (!record->columns) {
        return DMS_ERR_NO_MEMORY;
    }
    for (uint32_t c = 0; c < record->column_ct; c++) {
        struct dms_group_column *column = &record->columns[c];
        column->column_id = dms_cursor_u32(cursor);
        column->present_ct = dms_cursor_u32(cursor);
        column->segment = dms_cursor_u64(cursor);
        column->offset = dms_cursor_u64(cursor);
        column->header_hash = dms_cursor_u64(cursor);
        column->stored_bytes = dms_cursor_u64(cursor);
        cursor->bad |= column->present_ct > record->row_ct;
        cursor->bad |= c > 0 && column->column_id <= record->columns[c - 1].column_id;
    }
    return 0;
}

/* Reads runs and the bitmap of removed rows that follow the fixed fields of a group or batch. */
static int lists_decode(struct dms_cursor *cursor, uint32_t row_ct, uint32_t live_ct,
                        uint32_t run_bytes, uint8_t **runs, uint8_t **removed)
{
    const uint8_t *run_data = dms_cursor_padded(cursor, run_bytes);
    const uint8_t *removed_data =
        live_ct < row_ct ? dms_cursor_padded(cursor, bitmap_bytes(row_ct)) : NULL;
    if (cursor->bad || row_ct == 0 || live_ct > row_ct) {
        return dms_fail(DMS_ERR_CORRUPT, "record of a group is malformed");
    }
    if (removed_data && row_ct % 8 != 0 && removed_data[row_ct / 8] >> row_ct % 8 != 0) {
        return dms_fail(DMS_ERR_CORRUPT, "record of a group removes rows beyond its last");
    }
    if (removed_data && bitmap_count(removed_data, row_ct) != row_ct - live_ct) {
        return dms_fail(DMS_ERR_CORRUPT, "record of a group miscounts its removed rows");
    }
    int status = runs_check(run_data, run_bytes, row_ct);
    if (status == 0) {
        status = bytes_copy(run_data, run_bytes, runs);
    }
    if (status == 0 && removed_data) {
        status = bytes_copy(removed_data, bitmap_bytes(row_ct), removed);
    }
    return status;
}

int dms_group_record_decode(struct dms_cursor *cursor, struct dms_group_record *record)
{
    struct dms_group_record decoded = {.number = dms_cursor_u64(cursor)};
    decoded.row_ct = dms_cursor_u32(cursor);
    decoded.live_ct = dms_cursor_u32(cursor);
    decoded.column_ct = dms_cursor_u32(cursor);
    decoded.run_bytes = dms_cursor_u32(cursor);
    if (decoded.row_ct > DMS_GROUP_ROWS_MAX) {
        return dms_fail(DMS_ERR_CORRUPT, "record of group %" PRIu64 " claims %" PRIu32 " rows",
                        decoded.number, decoded.row_ct);
    }
    int status = lists_decode(cursor, decoded.row_ct, decoded.live_ct, decoded.run_bytes,
                              &decoded.runs, &decoded.removed);
    if (status == 0) {
        status = group_columns_decode(cursor, &decoded);
    }
    if (status == 0 && cursor->bad) {
        status =
            dms_fail(DMS_ERR_CORRUPT, "record of group %" PRIu64 " is malformed", decoded.number);
    }
    if (status != 0) {
        dms_group_record_clear(&decoded);
        return status;
    }
    *record = decoded;
    return 0;
}

void dms_group_record_clear(struct dms_group_record *record)
{
    free(record->runs);
    free(record->removed);
    free(record->columns);
    *record = (struct dms_group_record){0};
}

int dms_batch_record_encode(const struct dms_batch_record *record, struct dms_buffer *buffer)
{
    struct dms_encoder encoder = dms_encoder_begin(buffer);
    dms_encode_u64(&encoder, record->number);
    dms_encode_u64(&encoder, record->segment);
    dms_encode_u64(&encoder, record->offset);
    dms_encode_u64(&encoder, record->header_hash);
    dms_encode_u32(&encoder, record->row_ct);
    dms_encode_u32(&encoder, record->live_ct);
    dms_encode_u32(&encoder, record->column_ct);
    dms_encode_u32(&encoder, record->run_bytes);
    dms_encode_padded(&encoder, record->runs, record->run_bytes);
    if (record->live_ct < record->row_ct) {
        dms_encode_padded(&encoder, record->removed, bitmap_bytes(record->row_ct));
    }
    return encoder.status;
}

int dms_batch_record_decode(struct dms_cursor *cursor, struct dms_batch_record *record)
{
    struct dms_batch_record decoded = {.number = dms_cursor_u64(cursor)};
    decoded.segment = dms_cursor_u64(cursor);
    decoded.offset = dms_cursor_u64(cursor);
    decoded.header_hash = dms_cursor_u64(cursor);
    decoded.row_ct = dms_cursor_u32(cursor);
    decoded.live_ct = dms_cursor_u32(cursor);
    decoded.column_ct = dms_cursor_u32(cursor);
    decoded.run_bytes = dms_cursor_u32(cursor);
    int status = lists_decode(cursor, decoded.row_ct, decoded.live_ct, decoded.run_bytes,
                              &decoded.runs, &decoded.removed);
    if (status != 0) {
        dms_batch_record_clear(&decoded);
        return status;
    }
    *record = decoded;
    return 0;
}

void dms_batch_record_clear(struct dms_batch_record *record)
{
    free(record->runs);
    free(record->removed);
    *record = (struct dms_batch_record){0};
}

int dms_group_record_from_edit(const struct dms_edit *edit, struct dms_group_record *record)
{
    struct dms_group_record made = {
        .number = edit->add_group.group,
        .row_ct = edit->add_group.row_ct,
        .live_ct = edit->add_group.row_ct,
        .run_bytes = edit->add_group.run_bytes,
    };
    int status = runs_check(edit->add_group.runs, made.run_bytes, made.row_ct);
    if (status == 0) {
        status = bytes_copy(edit->add_group.runs, made.run_bytes, &made.runs);
    }
    if (status == 0) {
        *record = made;
    }
    return status;
}

int dms_batch_record_from_edit(const struct dms_edit *edit, uint64_t segment,
                               struct dms_batch_record *record)
{
    struct dms_batch_record made = {
        .number = edit->add_batch.batch,
        .segment = segment,
        .offset = edit->add_batch.offset,
        .header_hash = edit->add_batch.header_hash,
        .row_ct = edit->add_batch.row_ct,
        .live_ct = edit->add_batch.row_ct,
        .column_ct = edit->add_batch.column_ct,
        .run_bytes = edit->add_batch.run_bytes,
    };
    int status = runs_check(edit->add_batch.runs, made.run_bytes, made.row_ct);
    if (status == 0) {
        status = bytes_copy(edit->add_batch.runs, made.run_bytes, &made.runs);
    }
    if (status == 0) {
        *record = made;
    }
    return status;
}

int dms_group_record_set_column(struct dms_group_record *record, const struct dms_edit *edit,
                                uint64_t segment)
{
    if (edit->set_column.present_ct > record->row_ct) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "group %" PRIu64 ": column %" PRIu32 " has more values than rows",
                        record->number, edit->set_column.column_id);
    }
    uint32_t at = 0;
    while (at < record->column_ct && record->columns[at].column_id < edit->set_column.column_id) {
        at++;
    }
    if (at == record->column_ct || record->columns[at].column_id != edit->set_column.column_id) {
        struct dms_group_column *grown =
            dms_realloc_array(record->columns, record->column_ct + 1, sizeof *grown);
        if (!grown) {
            return DMS_ERR_NO_MEMORY;
        }
        memmove(grown + at + 1, grown + at, (record->column_ct - at) * sizeof *grown);
        record->columns = grown;
        record->column_ct++;
    }
    record->columns[at] = (struct dms_group_column){
        .column_id = edit->set_column.column_id,
        .present_ct = edit->set_column.present_ct,
        .segment = segment,
        .offset = edit->set_column.offset,
        .header_hash = edit->set_column.header_hash,
        .stored_bytes = edit->set_column.stored_bytes,
    };
    return 0;
}

int dms_rows_remove(uint8_t **removed, uint32_t row_ct, uint32_t *live_ct,
                    const struct dms_edit *edit)
{
    if (!*removed) {
        *removed = dms_alloc(bitmap_bytes(row_ct), 1);
        if (!*removed) {
            return DMS_ERR_NO_MEMORY;
        }
    }
    for (uint32_t k = 0; k < edit->remove_rows.row_ct; k++) {
        uint32_t row = dms_load_u32(edit->remove_rows.rows + (size_t)k * 4);
        if (row >= row_ct || dms_row_is_removed(*removed, row)) {
            return dms_fail(DMS_ERR_CORRUPT, "row %" PRIu32 " of %s %" PRIu64 " cannot be removed",
                            row, edit->remove_rows.staged ? "batch" : "group",
                            edit->remove_rows.container);
        }
        (*removed)[row >> 3] |= (uint8_t)(1u << (row & 7));
        *live_ct -= 1;
    }
    return 0;
}

const struct dms_group_column *dms_group_record_column(const struct dms_group_record *record,
                                                       uint32_t column_id)
{
    for (uint32_t c = 0; c < record->column_ct; c++) {
        if (record->columns[c].column_id == column_id) {
            return &record->columns[c];
        }
    }
    return NULL;
}

/* ---- the catalog ---- */

/* All records begin with their number, in increasing order. Where `number` is, or would be. */
static size_t lower_bound(const void *records, size_t record_ct, size_t record_bytes,
                          uint64_t number)
{
    size_t low = 0;
    size_t high = record_ct;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const uint64_t *found = (const void *)((const char *)records + middle * record_bytes);
        if (*found < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void *find(const void *records, size_t record_ct, size_t record_bytes, uint64_t number)
{
    size_t at = lower_bound(records, record_ct, record_bytes, number);
    if (at == record_ct) {
        return NULL;
    }
    char *record = (char *)records + at * record_bytes;
    return *(uint64_t *)(void *)record == number ? record : NULL;
}

struct dms_segment_record *dms_catalog_segment(const struct dms_catalog *catalog, uint64_t number)
{
    return find(catalog->segments, catalog->segment_ct, sizeof *catalog->segments, number);
}

struct dms_group_record *dms_catalog_group(const struct dms_catalog *catalog, uint64_t number)
{
    return find(catalog->groups, catalog->group_ct, sizeof *catalog->groups, number);
}

struct dms_batch_record *dms_catalog_batch(const struct dms_catalog *catalog, uint64_t number)
{
    return find(catalog->batches, catalog->batch_ct, sizeof *catalog->batches, number);
}

struct dms_fit_record *dms_catalog_fit(const struct dms_catalog *catalog, uint64_t number)
{
    return find(catalog->fits, catalog->fit_ct, sizeof *catalog->fits, number);
}

struct dms_fit_record *dms_catalog_fit_named(const struct dms_catalog *catalog, const char *name)
{
    for (size_t k = 0; k < catalog->fit_ct; k++) {
        if (strcmp(catalog->fits[k].name, name) == 0) {
            return &catalog->fits[k];
        }
    }
    return NULL;
}

struct dms_fit_record *dms_catalog_fit_of_edit(const struct dms_catalog *catalog,
                                               const struct dms_edit *edit)
{
    size_t name_bytes = edit->set_fit.name_bytes;
    for (size_t k = 0; k < catalog->fit_ct; k++) {
        if (strlen(catalog->fits[k].name) == name_bytes &&
            memcmp(catalog->fits[k].name, edit->set_fit.name, name_bytes) == 0) {
            return &catalog->fits[k];
        }
    }
    return NULL;
}

uint64_t dms_catalog_features(const struct dms_catalog *catalog)
{
    return catalog->fit_ct > 0 ? DMS_FEATURE_FITS : 0;
}

/* Makes room for a record with this number in a sorted array; *slot is where it goes. */
static int insert(void **records, size_t *record_ct, size_t *capacity, size_t record_bytes,
                  uint64_t number, void **slot)
{
    size_t at = lower_bound(*records, *record_ct, record_bytes, number);
    if (find(*records, *record_ct, record_bytes, number)) {
        return dms_fail(DMS_ERR_CORRUPT, "number %" PRIu64 " is there twice", number);
    }
    int status = dms_grow(records, capacity, *record_ct + 1, record_bytes);
    if (status != 0) {
        return status;
    }
    char *place = (char *)*records + at * record_bytes;
    memmove(place + record_bytes, place, (*record_ct - at) * record_bytes);
    *record_ct += 1;
    *slot = place;
    return 0;
}

int dms_catalog_add_segment(struct dms_catalog *catalog, const struct dms_segment_record *record)
{
    void *slot;
    int status = insert((void **)&catalog->segments, &catalog->segment_ct,
                        &catalog->segment_capacity, sizeof *record, record->number, &slot);
    if (status == 0) {
        memcpy(slot, record, sizeof *record);
    }
    return status;
}

int dms_catalog_add_group(struct dms_catalog *catalog, struct dms_group_record *record)
{
    void *slot;
    int status = insert((void **)&catalog->groups, &catalog->group_ct, &catalog->group_capacity,
                        sizeof *record, record->number, &slot);
    if (status == 0) {
        memcpy(slot, record, sizeof *record);
        *record = (struct dms_group_record){0};
    }
    return status;
}

int dms_catalog_add_batch(struct dms_catalog *catalog, struct dms_batch_record *record)
{
    void *slot;
    int status = insert((void **)&catalog->batches, &catalog->batch_ct, &catalog->batch_capacity,
                        sizeof *record, record->number, &slot);
    if (status == 0) {
        memcpy(slot, record, sizeof *record);
        *record = (struct dms_batch_record){0};
    }
    return status;
}

int dms_catalog_add_fit(struct dms_catalog *catalog, struct dms_fit_record *record)
{
    void *slot;
    if (dms_catalog_fit_named(catalog, record->name)) {
        return dms_fail(DMS_ERR_CORRUPT, "fit '%s' is there twice", record->name);
    }
    int status = insert((void **)&catalog->fits, &catalog->fit_ct, &catalog->fit_capacity,
                        sizeof *record, record->number, &slot);
    if (status == 0) {
        memcpy(slot, record, sizeof *record);
        *record = (struct dms_fit_record){0};
    }
    return status;
}

static int missing(const char *what, uint64_t number)
{
    return dms_fail(DMS_ERR_CORRUPT, "a commit changes %s %" PRIu64 ", which is not there", what,
                    number);
}

static int drop_group(struct dms_catalog *catalog, uint64_t number)
{
    struct dms_group_record *group = dms_catalog_group(catalog, number);
    if (!group) {
        return missing("group", number);
    }
    dms_group_record_clear(group);
    size_t after = catalog->group_ct - (size_t)(group - catalog->groups) - 1;
    memmove(group, group + 1, after * sizeof *group);
    catalog->group_ct--;
    return 0;
}

static int drop_batches(struct dms_catalog *catalog, uint64_t first, uint64_t count)
{
    struct dms_batch_record *batches = catalog->batches;
    uint64_t end = first + count < first ? UINT64_MAX : first + count;
    size_t from = lower_bound(batches, catalog->batch_ct, sizeof *batches, first);
    size_t to = lower_bound(batches, catalog->batch_ct, sizeof *batches, end);
    for (size_t k = from; k < to; k++) {
        dms_batch_record_clear(&batches[k]);
    }
    if (to > from) {
        memmove(batches + from, batches + to, (catalog->batch_ct - to) * sizeof *batches);
        catalog->batch_ct -= to - from;
    }
    return 0;
}

static int drop_segment(struct dms_catalog *catalog, uint64_t number)
{
    struct dms_segment_record *segment = dms_catalog_segment(catalog, number);
    if (!segment) {
        return missing("segment", number);
    }
    size_t after = catalog->segment_ct - (size_t)(segment - catalog->segments) - 1;
    memmove(segment, segment + 1, after * sizeof *segment);
    catalog->segment_ct--;
    return 0;
}

static int remove_rows(struct dms_catalog *catalog, const struct dms_edit *edit)
{
    if (edit->remove_rows.staged) {
        struct dms_batch_record *batch = dms_catalog_batch(catalog, edit->remove_rows.container);
        return batch ? dms_rows_remove(&batch->removed, batch->row_ct, &batch->live_ct, edit)
                     : missing("batch", edit->remove_rows.container);
    }
    struct dms_group_record *group = dms_catalog_group(catalog, edit->remove_rows.container);
    return group ? dms_rows_remove(&group->removed, group->row_ct, &group->live_ct, edit)
                 : missing("group", edit->remove_rows.container);
}

static int set_schema(struct dms_catalog *catalog, const struct dms_edit *edit)
{
    struct dms_schema *schema;
    int status =
        dms_schema_decode(edit->set_schema.schema, (size_t)edit->set_schema.schema_bytes, &schema);
    if (status == 0) {
        dms_schema_free(catalog->schema);
        catalog->schema = schema;
    }
    return status;
}

static int set_fit(struct dms_catalog *catalog, const struct dms_edit *edit, uint64_t segment)
{
    struct dms_fit_record *there = dms_catalog_fit(catalog, edit->set_fit.fit);
    if (there) {
        dms_fit_record_move(there, edit, segment);
        return 0;
    }
    struct dms_fit_record record = {0};
    int status = dms_fit_record_from_edit(edit, segment, &record);
    status = status ? status : dms_catalog_add_fit(catalog, &record);
    dms_fit_record_clear(&record);
    return status;
}

static int set_fit_part(struct dms_catalog *catalog, const struct dms_edit *edit, uint64_t segment)
{
    struct dms_fit_record *fit = dms_catalog_fit(catalog, edit->set_fit_part.fit);
    return fit ? dms_fit_record_set_part(fit, edit, segment)
               : missing("fit", edit->set_fit_part.fit);
}

static int remove_fit(struct dms_catalog *catalog, uint64_t number)
{
    struct dms_fit_record *fit = dms_catalog_fit(catalog, number);
    if (!fit) {
        return missing("fit", number);
    }
    dms_fit_record_clear(fit);
    size_t after = catalog->fit_ct - (size_t)(fit - catalog->fits) - 1;
    memmove(fit, fit + 1, after * sizeof *fit);
    catalog->fit_ct--;
    return 0;
}

int dms_catalog_apply(struct dms_catalog *catalog, const struct dms_edit *edit, uint64_t segment)
{
    int status = 0;
    switch (edit->type) {
    case DMS_EDIT_ADD_GROUP: {
        struct dms_group_record record = {0};
        status = dms_group_record_from_edit(edit, &record);
        if (status == 0) {
            status = dms_catalog_add_group(catalog, &record);
        }
        dms_group_record_clear(&record);
        return status;
    }
    case DMS_EDIT_ADD_BATCH: {
        struct dms_batch_record record = {0};
        status = dms_batch_record_from_edit(edit, segment, &record);
        if (status == 0) {
            status = dms_catalog_add_batch(catalog, &record);
        }
        dms_batch_record_clear(&record);
        return status;
    }
    case DMS_EDIT_SET_COLUMN: {
        struct dms_group_record *group = dms_catalog_group(catalog, edit->set_column.group);
        return group ? dms_group_record_set_column(group, edit, segment)
                     : missing("group", edit->set_column.group);
    }
    case DMS_EDIT_DROP_GROUP:
        return drop_group(catalog, edit->drop_group.group);
    case DMS_EDIT_DROP_BATCHES:
        return drop_batches(catalog, edit->drop_batches.first, edit->drop_batches.count);
    case DMS_EDIT_REMOVE_ROWS:
        return remove_rows(catalog, edit);
    case DMS_EDIT_SET_SCHEMA:
        return set_schema(catalog, edit);
    case DMS_EDIT_DROP_SEGMENT:
        return drop_segment(catalog, edit->drop_segment.segment);
    case DMS_EDIT_SET_FIT:
        return set_fit(catalog, edit, segment);
    case DMS_EDIT_SET_FIT_PART:
        return set_fit_part(catalog, edit, segment);
    case DMS_EDIT_REMOVE_FIT:
        return remove_fit(catalog, edit->remove_fit.fit);
    case DMS_EDIT_STATE:
        break;
    }
    return status;
}

/* ---- state payloads ---- */

int dms_catalog_encode(const struct dms_catalog *catalog, uint64_t commit_hash, const char *path,
                       struct dms_buffer *buffer)
{
    struct dms_buffer schema = {0};
    int status = dms_schema_encode(catalog->schema, &schema);
    if (status != 0) {
        goto out;
    }
    size_t path_bytes = path ? strlen(path) : 0;
    struct dms_encoder encoder = dms_encoder_begin(buffer);
    dms_encode_u64(&encoder, catalog->sequence);
    dms_encode_u64(&encoder, commit_hash);
    dms_encode_u64(&encoder, catalog->next_group);
    dms_encode_u64(&encoder, catalog->next_batch);
    dms_encode_u64(&encoder, catalog->next_segment);
    dms_encode_u32(&encoder, (uint32_t)catalog->segment_ct);
    dms_encode_u32(&encoder, (uint32_t)catalog->group_ct);
    dms_encode_u32(&encoder, (uint32_t)catalog->batch_ct);
    dms_encode_u32(&encoder, (uint32_t)schema.size);
    dms_encode_u32(&encoder, (uint32_t)path_bytes);
    dms_encode_u32(&encoder, (uint32_t)catalog->fit_ct);
    dms_encode_padded(&encoder, schema.data, schema.size);
    dms_encode_padded(&encoder, path, path_bytes);
    status = encoder.status;
    for (size_t k = 0; status == 0 && k < catalog->segment_ct; k++) {
        status = dms_segment_record_encode(&catalog->segments[k], buffer);
    }
    for (size_t k = 0; status == 0 && k < catalog->group_ct; k++) {
        status = dms_group_record_encode(&catalog->groups[k], buffer);
    }
    for (size_t k = 0; status == 0 && k < catalog->batch_ct; k++) {
        status = dms_batch_record_encode(&catalog->batches[k], buffer);
    }
    for (size_t k = 0; status == 0 && k < catalog->fit_ct; k++) {
        status = dms_fit_record_encode(&catalog->fits[k], buffer);
    }
out:
    dms_buffer_free(&schema);
    return status;
}

/* How many records of each kind a state has. */
struct record_counts {
    uint32_t segment_ct, group_ct, batch_ct, fit_ct;
};

static int records_decode(struct dms_cursor *cursor, const struct record_counts *counts,
                          struct dms_catalog *catalog)
{
    int status = 0;
    for (uint32_t k = 0; status == 0 && k < counts->segment_ct; k++) {
        struct dms_segment_record record;
        status = dms_segment_record_decode(cursor, &record);
        if (status == 0) {
            status = dms_catalog_add_segment(catalog, &record);
        }
    }
    for (uint32_t k = 0; status == 0 && k < counts->group_ct; k++) {
        struct dms_group_record record = {0};
        status = dms_group_record_decode(cursor, &record);
        if (status == 0) {
            status = dms_catalog_add_group(catalog, &record);
        }
        dms_group_record_clear(&record);
    }
    for (uint32_t k = 0; status == 0 && k < counts->batch_ct; k++) {
        struct dms_batch_record record = {0};
        status = dms_batch_record_decode(cursor, &record);
        if (status == 0) {
            status = dms_catalog_add_batch(catalog, &record);
        }
        dms_batch_record_clear(&record);
    }
    for (uint32_t k = 0; status == 0 && k < counts->fit_ct; k++) {
        struct dms_fit_record record = {0};
        status = dms_fit_record_decode(cursor, &record);
        if (status == 0) {
            status = dms_catalog_add_fit(catalog, &record);
        }
        dms_fit_record_clear(&record);
    }
    return status;
}

static int path_copy(const uint8_t *bytes, size_t byte_ct, char **path)
{
    *path = dms_alloc(byte_ct + 1, 1);
    if (!*path) {
        return DMS_ERR_NO_MEMORY;
    }
    memcpy(*path, bytes, byte_ct);
    return 0;
}

int dms_catalog_decode(const uint8_t *payload, size_t bytes, struct dms_catalog *catalog,
                       char **path)
{
    struct dms_cursor cursor = dms_cursor_begin(payload, bytes);
    struct dms_catalog decoded = {.sequence = dms_cursor_u64(&cursor)};
    char *decoded_path = NULL;
    decoded.commit_hash = dms_cursor_u64(&cursor);
    decoded.next_group = dms_cursor_u64(&cursor);
    decoded.next_batch = dms_cursor_u64(&cursor);
    decoded.next_segment = dms_cursor_u64(&cursor);
    struct record_counts counts = {.segment_ct = dms_cursor_u32(&cursor)};
    counts.group_ct = dms_cursor_u32(&cursor);
    counts.batch_ct = dms_cursor_u32(&cursor);
    uint32_t schema_bytes = dms_cursor_u32(&cursor);
    uint32_t path_bytes = dms_cursor_u32(&cursor);
    counts.fit_ct = dms_cursor_u32(&cursor);
    const uint8_t *schema = dms_cursor_padded(&cursor, schema_bytes);
    const uint8_t *path_data = dms_cursor_padded(&cursor, path_bytes);
    if (path_data && memchr(path_data, 0, path_bytes)) {
        cursor.bad = true;
    }
    int status = cursor.bad ? dms_fail(DMS_ERR_CORRUPT, "state is malformed") : 0;
    if (status == 0) {
        status = dms_schema_decode(schema, schema_bytes, &decoded.schema);
    }
    if (status == 0) {
        status = records_decode(&cursor, &counts, &decoded);
    }
    if (status == 0 && !dms_cursor_ended_well(&cursor)) {
        status = dms_fail(DMS_ERR_CORRUPT, "state is malformed");
    }
    if (status == 0 && path) {
        status = path_copy(path_data, path_bytes, &decoded_path);
    }
    if (status != 0) {
        dms_catalog_clear(&decoded);
        return status;
    }
    *catalog = decoded;
    if (path) {
        *path = decoded_path;
    }
    return 0;
}

void dms_catalog_clear(struct dms_catalog *catalog)
{
    for (size_t k = 0; k < catalog->group_ct; k++) {
        dms_group_record_clear(&catalog->groups[k]);
    }
    for (size_t k = 0; k < catalog->batch_ct; k++) {
        dms_batch_record_clear(&catalog->batches[k]);
    }
    for (size_t k = 0; k < catalog->fit_ct; k++) {
        dms_fit_record_clear(&catalog->fits[k]);
    }
    free(catalog->segments);
    free(catalog->groups);
    free(catalog->batches);
    free(catalog->fits);
    dms_schema_free(catalog->schema);
    *catalog = (struct dms_catalog){0};
}
