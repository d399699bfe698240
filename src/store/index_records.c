/*
 * The records of the index: what the store has come to, its schema, segments, groups and batches,
 * and the segments that are being written (index.h).
 */
#include "store/index.h"

#include "format/cursor.h"
#include "format/schema.h"
#include "store/index_values.h"

#include <string.h>

/* Keys of the meta table: these two, and the fits, whose numbers have 63 bits. A table of their own
 * would have to be made in stores that have none yet, which LMDB allows only before others use it.
 */
enum { META_STATE = 1, META_SCHEMA = 2 };
#define META_FITS (UINT64_C(1) << 63)

/* ---- meta and schema ---- */

int dms_index_get_meta(struct dms_index_txn *txn, struct dms_index_meta *meta)
{
    struct dms_cursor cursor;
    int status = dms_index_value_get(txn, DMS_INDEX_META, META_STATE, &cursor);
    if (status != 0) {
        return status == DMS_END ? dms_index_value_fail(txn, DMS_INDEX_META) : status;
    }
    struct dms_index_meta read = {0};
    const uint8_t *uuid = dms_cursor_bytes(&cursor, DMS_UUID_BYTES);
    read.sequence = dms_cursor_u64(&cursor);
    read.commit_hash = dms_cursor_u64(&cursor);
    read.next_group = dms_cursor_u64(&cursor);
    read.next_batch = dms_cursor_u64(&cursor);
    read.next_segment = dms_cursor_u64(&cursor);
    read.log_segment = dms_cursor_u64(&cursor);
    read.bulk_segment = dms_cursor_u64(&cursor);
    read.staged_ct = dms_cursor_u64(&cursor);
    read.model_ct = dms_cursor_u64(&cursor);
    read.orphan_bytes = dms_cursor_u64(&cursor);
    read.statistics_stale = dms_cursor_u64(&cursor);
    read.features = cursor.at < cursor.size ? dms_cursor_u64(&cursor) : 0;
    if (!dms_cursor_ended_well(&cursor)) {
        return dms_index_value_fail(txn, DMS_INDEX_META);
    }
    memcpy(read.store_uuid, uuid, DMS_UUID_BYTES);
    *meta = read;
    return 0;
}

int dms_index_put_meta(struct dms_index_txn *txn, const struct dms_index_meta *meta)
{
    int status;
    struct dms_encoder encoder = dms_encoder_begin(dms_index_value_begin(txn, &status));
    dms_encode_bytes(&encoder, meta->store_uuid, DMS_UUID_BYTES);
    dms_encode_u64(&encoder, meta->sequence);
    dms_encode_u64(&encoder, meta->commit_hash);
    dms_encode_u64(&encoder, meta->next_group);
    dms_encode_u64(&encoder, meta->next_batch);
    dms_encode_u64(&encoder, meta->next_segment);
    dms_encode_u64(&encoder, meta->log_segment);
    dms_encode_u64(&encoder, meta->bulk_segment);
    dms_encode_u64(&encoder, meta->staged_ct);
    dms_encode_u64(&encoder, meta->model_ct);
    dms_encode_u64(&encoder, meta->orphan_bytes);
    dms_encode_u64(&encoder, meta->statistics_stale);
    if (meta->features != 0) {
        dms_encode_u64(&encoder, meta->features);
    }
    status = status ? status : encoder.status;
    if (status == 0 && meta->features != 0) {
        dms_index_value_is_newer(txn);
    }
    return status ? status : dms_index_value_put(txn, DMS_INDEX_META, META_STATE);
}

int dms_index_get_schema(struct dms_index_txn *txn, struct dms_schema **schema)
{
    struct dms_cursor cursor;
    int status = dms_index_value_get(txn, DMS_INDEX_META, META_SCHEMA, &cursor);
    if (status != 0) {
        return status == DMS_END ? dms_index_value_fail(txn, DMS_INDEX_META) : status;
    }
    return dms_schema_decode(cursor.data, cursor.size, schema);
}

int dms_index_put_schema(struct dms_index_txn *txn, const struct dms_schema *schema)
{
    int status;
    struct dms_buffer *buffer = dms_index_value_begin(txn, &status);
    status = status ? status : dms_schema_encode(schema, buffer);
    return status ? status : dms_index_value_put(txn, DMS_INDEX_META, META_SCHEMA);
}

/* ---- segments, groups, batches ---- */

int dms_index_get_segment(struct dms_index_txn *txn, uint64_t number,
                          struct dms_segment_record *record)
{
    struct dms_cursor cursor;
    int status = dms_index_value_get(txn, DMS_INDEX_SEGMENTS, number, &cursor);
    return status ? status : dms_segment_record_decode(&cursor, record);
}

int dms_index_put_segment(struct dms_index_txn *txn, const struct dms_segment_record *record)
{
    int status;
    struct dms_buffer *buffer = dms_index_value_begin(txn, &status);
    status = status ? status : dms_segment_record_encode(record, buffer);
    return status ? status : dms_index_value_put(txn, DMS_INDEX_SEGMENTS, record->number);
}

int dms_index_get_group(struct dms_index_txn *txn, uint64_t number, struct dms_group_record *record)
{
    struct dms_cursor cursor;
    int status = dms_index_value_get(txn, DMS_INDEX_GROUPS, number, &cursor);
    return status ? status : dms_group_record_decode(&cursor, record);
}

int dms_index_put_group(struct dms_index_txn *txn, const struct dms_group_record *record)
{
    int status;
    struct dms_buffer *buffer = dms_index_value_begin(txn, &status);
    status = status ? status : dms_group_record_encode(record, buffer);
    return status ? status : dms_index_value_put(txn, DMS_INDEX_GROUPS, record->number);
}

int dms_index_get_batch(struct dms_index_txn *txn, uint64_t number, struct dms_batch_record *record)
{
    struct dms_cursor cursor;
    int status = dms_index_value_get(txn, DMS_INDEX_BATCHES, number, &cursor);
    return status ? status : dms_batch_record_decode(&cursor, record);
}

int dms_index_put_batch(struct dms_index_txn *txn, const struct dms_batch_record *record)
{
    int status;
    struct dms_buffer *buffer = dms_index_value_begin(txn, &status);
    status = status ? status : dms_batch_record_encode(record, buffer);
    return status ? status : dms_index_value_put(txn, DMS_INDEX_BATCHES, record->number);
}

/* ---- fits ---- */

int dms_index_get_fit(struct dms_index_txn *txn, uint64_t number, struct dms_fit_record *record)
{
    struct dms_cursor cursor;
    int status = dms_index_value_get(txn, DMS_INDEX_META, META_FITS | number, &cursor);
    return status ? status : dms_fit_record_decode(&cursor, record);
}

int dms_index_put_fit(struct dms_index_txn *txn, const struct dms_fit_record *record)
{
    int status;
    struct dms_buffer *buffer = dms_index_value_begin(txn, &status);
    status = status ? status : dms_fit_record_encode(record, buffer);
    if (status == 0) {
        dms_index_value_is_newer(txn);
    }
    return status ? status : dms_index_value_put(txn, DMS_INDEX_META, META_FITS | record->number);
}

int dms_index_delete_fit(struct dms_index_txn *txn, uint64_t number)
{
    return dms_index_value_delete(txn, DMS_INDEX_META, META_FITS | number);
}

static int load_fit(void *context, uint64_t number, struct dms_cursor *cursor)
{
    struct dms_fit_record record = {0};
    if (number < META_FITS) {
        return 0;
    }
    int status = dms_fit_record_decode(cursor, &record);
    status = status ? status : dms_catalog_add_fit(context, &record);
    dms_fit_record_clear(&record);
    return status;
}

struct fit_search {
    const char *name;
    struct dms_fit_record found;
};

/* Ends the walk with 1 at the fit of the name. */
static int match_fit(void *context, uint64_t number, struct dms_cursor *cursor)
{
    struct fit_search *search = context;
    struct dms_fit_record record = {0};
    if (number < META_FITS) {
        return 0;
    }
    int status = dms_fit_record_decode(cursor, &record);
    if (status == 0 && strcmp(record.name, search->name) == 0) {
        search->found = record;
        return 1;
    }
    dms_fit_record_clear(&record);
    return status;
}

int dms_index_find_fit(struct dms_index_txn *txn, const char *name, struct dms_fit_record *record)
{
    struct fit_search search = {.name = name};
    int status = dms_index_each_value(txn, DMS_INDEX_META, match_fit, &search);
    if (status == 1) {
        *record = search.found;
        return 0;
    }
    return status ? status : DMS_END;
}

/* ---- the whole catalog ---- */

static int load_segment(void *context, uint64_t number, struct dms_cursor *cursor)
{
    struct dms_segment_record record;
    int status = dms_segment_record_decode(cursor, &record);
    (void)number;
    return status ? status : dms_catalog_add_segment(context, &record);
}

static int load_group(void *context, uint64_t number, struct dms_cursor *cursor)
{
    struct dms_group_record record;
    (void)number;
    int status = dms_group_record_decode(cursor, &record);
    if (status == 0) {
        status = dms_catalog_add_group(context, &record);
        dms_group_record_clear(&record);
    }
    return status;
}

static int load_batch(void *context, uint64_t number, struct dms_cursor *cursor)
{
    struct dms_batch_record record;
    (void)number;
    int status = dms_batch_record_decode(cursor, &record);
    if (status == 0) {
        status = dms_catalog_add_batch(context, &record);
        dms_batch_record_clear(&record);
    }
    return status;
}

int dms_index_load(struct dms_index_txn *txn, struct dms_catalog *catalog)
{
    struct dms_catalog loaded = {0};
    struct dms_index_meta meta;
    int status = dms_index_get_meta(txn, &meta);
    if (status == 0) {
        status = dms_index_get_schema(txn, &loaded.schema);
    }
    if (status == 0) {
        status = dms_index_each_value(txn, DMS_INDEX_SEGMENTS, load_segment, &loaded);
    }
    if (status == 0) {
        status = dms_index_each_value(txn, DMS_INDEX_GROUPS, load_group, &loaded);
    }
    if (status == 0) {
        status = dms_index_each_value(txn, DMS_INDEX_BATCHES, load_batch, &loaded);
    }
    if (status == 0) {
        status = dms_index_each_value(txn, DMS_INDEX_META, load_fit, &loaded);
    }
    if (status != 0) {
        dms_catalog_clear(&loaded);
        return status;
    }
    loaded.sequence = meta.sequence;
    loaded.commit_hash = meta.commit_hash;
    loaded.next_group = meta.next_group;
    loaded.next_batch = meta.next_batch;
    loaded.next_segment = meta.next_segment;
    *catalog = loaded;
    return 0;
}

/* ---- pending segments ---- */

int dms_index_put_pending(struct dms_index_txn *txn, uint64_t segment)
{
    int status;
    dms_index_value_begin(txn, &status);
    return status ? status : dms_index_value_put(txn, DMS_INDEX_PENDING, segment);
}

int dms_index_delete_pending(struct dms_index_txn *txn, uint64_t segment)
{
    return dms_index_value_delete(txn, DMS_INDEX_PENDING, segment);
}

int dms_index_is_pending(struct dms_index_txn *txn, uint64_t segment)
{
    struct dms_cursor cursor;
    return dms_index_value_get(txn, DMS_INDEX_PENDING, segment, &cursor);
}

struct pending_visit {
    int (*visit)(void *context, uint64_t segment);
    void *context;
};

static int visit_pending(void *context, uint64_t number, struct dms_cursor *record)
{
    struct pending_visit *each = context;
    (void)record;
    return each->visit(each->context, number);
}

int dms_index_each_pending(struct dms_index_txn *txn, int (*visit)(void *context, uint64_t segment),
                           void *context)
{
    struct pending_visit each = {visit, context};
    return dms_index_each_value(txn, DMS_INDEX_PENDING, visit_pending, &each);
}
