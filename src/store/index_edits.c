/*
 * Applying edits to the index, and writing a whole catalog into a new one (index.h).
 */
#include "store/index.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/ids.h"
#include "format/schema.h"
#include "store/index_values.h"

#include <inttypes.h>
#include <stdlib.h>

static int apply_add_group(struct dms_index_txn *txn, struct dms_index_meta *meta,
                           const struct dms_edit *edit)
{
    struct dms_group_record record = {0};
    int status = dms_group_record_from_edit(edit, &record);
    if (status == 0) {
        status = dms_index_put_group(txn, &record);
    }
    if (status == 0) {
        status = dms_index_assign_ids(txn, record.runs, record.run_bytes, record.row_ct, false,
                                      record.number);
    }
    if (status == 0) {
        meta->model_ct += record.row_ct;
    }
    dms_group_record_clear(&record);
    return status;
}

static int apply_add_batch(struct dms_index_txn *txn, struct dms_index_meta *meta,
                           const struct dms_edit *edit, uint64_t segment)
{
    struct dms_batch_record record = {0};
    int status = dms_batch_record_from_edit(edit, segment, &record);
    if (status == 0) {
        status = dms_index_put_batch(txn, &record);
    }
    if (status == 0) {
        status = dms_index_assign_ids(txn, record.runs, record.run_bytes, record.row_ct, true,
                                      record.number);
    }
    if (status == 0) {
        meta->model_ct += record.row_ct;
        meta->staged_ct += record.row_ct;
    }
    dms_batch_record_clear(&record);
    return status;
}

static int gone(const char *what, uint64_t number)
{
    return dms_fail(DMS_ERR_CORRUPT,
                    "index has no %s %" PRIu64 " that a commit changes: run 'dmstore recover'",
                    what, number);
}

static int apply_set_column(struct dms_index_txn *txn, const struct dms_edit *edit,
                            uint64_t segment)
{
    struct dms_group_record record = {0};
    int status = dms_index_get_group(txn, edit->set_column.group, &record);
    if (status == DMS_END) {
        return gone("group", edit->set_column.group);
    }
    if (status == 0) {
        status = dms_group_record_set_column(&record, edit, segment);
    }
    if (status == 0) {
        status = dms_index_put_group(txn, &record);
    }
    dms_group_record_clear(&record);
    return status;
}

static int apply_drop_group(struct dms_index_txn *txn, struct dms_index_meta *meta, uint64_t number)
{
    struct dms_group_record record = {0};
    int status = dms_index_get_group(txn, number, &record);
    if (status == DMS_END) {
        return gone("group", number);
    }
    if (status == 0) {
        status = dms_index_value_delete(txn, DMS_INDEX_GROUPS, number);
    }
    if (status == 0) {
        meta->model_ct -= record.live_ct;
    }
    dms_group_record_clear(&record);
    return status;
}

static int apply_drop_batches(struct dms_index_txn *txn, struct dms_index_meta *meta,
                              uint64_t first, uint64_t count)
{
    uint64_t end_number = first + count < first ? UINT64_MAX : first + count;
    for (uint64_t number = first;; number++) {
        struct dms_batch_record record = {0};
        struct dms_cursor cursor;
        int status = dms_index_value_at_or_after(txn, DMS_INDEX_BATCHES, &number, &cursor);
        if (status == DMS_END || (status == 0 && number >= end_number)) {
            return 0;
        }
        if (status == 0) {
            status = dms_batch_record_decode(&cursor, &record);
        }
        if (status == 0) {
            meta->model_ct -= record.live_ct;
            meta->staged_ct -= record.live_ct;
            status = dms_index_value_delete(txn, DMS_INDEX_BATCHES, number);
        }
        dms_batch_record_clear(&record);
        if (status != 0) {
            return status;
        }
    }
}

/* Takes the ids of removed rows out of the id table. */
static int release_rows(struct dms_index_txn *txn, const uint8_t *runs, size_t run_bytes,
                        uint32_t row_ct, const struct dms_edit *edit)
{
    uint64_t *ids = dms_alloc(row_ct, sizeof *ids);
    if (!ids) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = dms_ids_decode(runs, run_bytes, row_ct, ids);
    for (uint32_t k = 0; status == 0 && k < edit->remove_rows.row_ct; k++) {
        uint32_t row = dms_load_u32(edit->remove_rows.rows + (size_t)k * 4);
        status = dms_index_release_ids(txn, ids[row], 1);
    }
    free(ids);
    return status;
}

static int apply_remove_staged(struct dms_index_txn *txn, struct dms_index_meta *meta,
                               const struct dms_edit *edit)
{
    struct dms_batch_record record = {0};
    int status = dms_index_get_batch(txn, edit->remove_rows.container, &record);
    if (status == DMS_END) {
        return gone("batch", edit->remove_rows.container);
    }
    if (status == 0) {
        status = dms_rows_remove(&record.removed, record.row_ct, &record.live_ct, edit);
    }
    if (status == 0) {
        status = release_rows(txn, record.runs, record.run_bytes, record.row_ct, edit);
    }
    if (status == 0) {
        status = dms_index_put_batch(txn, &record);
        meta->model_ct -= edit->remove_rows.row_ct;
        meta->staged_ct -= edit->remove_rows.row_ct;
    }
    dms_batch_record_clear(&record);
    return status;
}

static int apply_remove_rows(struct dms_index_txn *txn, struct dms_index_meta *meta,
                             const struct dms_edit *edit)
{
    if (edit->remove_rows.staged) {
        return apply_remove_staged(txn, meta, edit);
    }
    struct dms_group_record record = {0};
    int status = dms_index_get_group(txn, edit->remove_rows.container, &record);
    if (status == DMS_END) {
        return gone("group", edit->remove_rows.container);
    }
    if (status == 0) {
        status = dms_rows_remove(&record.removed, record.row_ct, &record.live_ct, edit);
    }
    if (status == 0) {
        status = release_rows(txn, record.runs, record.run_bytes, record.row_ct, edit);
    }
    if (status == 0) {
        status = dms_index_put_group(txn, &record);
        meta->model_ct -= edit->remove_rows.row_ct;
    }
    dms_group_record_clear(&record);
    return status;
}

static int apply_set_schema(struct dms_index_txn *txn, const struct dms_edit *edit)
{
    struct dms_schema *schema;
    int status =
        dms_schema_decode(edit->set_schema.schema, (size_t)edit->set_schema.schema_bytes, &schema);
    if (status == 0) {
        status = dms_index_put_schema(txn, schema);
        dms_schema_free(schema);
    }
    return status;
}

static int apply_set_fit(struct dms_index_txn *txn, struct dms_index_meta *meta,
                         const struct dms_edit *edit, uint64_t segment)
{
    struct dms_fit_record record = {0};
    int status = dms_index_get_fit(txn, edit->set_fit.fit, &record);
    if (status == 0) {
        dms_fit_record_move(&record, edit, segment);
    } else if (status == DMS_END) {
        status = dms_fit_record_from_edit(edit, segment, &record);
    }
    status = status ? status : dms_index_put_fit(txn, &record);
    meta->features |= DMS_FEATURE_FITS;
    dms_fit_record_clear(&record);
    return status;
}

static int apply_set_fit_part(struct dms_index_txn *txn, const struct dms_edit *edit,
                              uint64_t segment)
{
    struct dms_fit_record record = {0};
    int status = dms_index_get_fit(txn, edit->set_fit_part.fit, &record);
    if (status == DMS_END) {
        return gone("fit", edit->set_fit_part.fit);
    }
    status = status ? status : dms_fit_record_set_part(&record, edit, segment);
    status = status ? status : dms_index_put_fit(txn, &record);
    dms_fit_record_clear(&record);
    return status;
}

static int apply_remove_fit(struct dms_index_txn *txn, uint64_t number)
{
    int status = dms_index_delete_fit(txn, number);
    return status == DMS_END ? gone("fit", number) : status;
}

int dms_index_apply(struct dms_index_txn *txn, struct dms_index_meta *meta,
                    const struct dms_edit *edit, uint64_t segment)
{
    switch (edit->type) {
    case DMS_EDIT_ADD_GROUP:
        return apply_add_group(txn, meta, edit);
    case DMS_EDIT_SET_COLUMN:
        return apply_set_column(txn, edit, segment);
    case DMS_EDIT_ADD_BATCH:
        return apply_add_batch(txn, meta, edit, segment);
    case DMS_EDIT_DROP_GROUP:
        return apply_drop_group(txn, meta, edit->drop_group.group);
    case DMS_EDIT_DROP_BATCHES:
        return apply_drop_batches(txn, meta, edit->drop_batches.first, edit->drop_batches.count);
    case DMS_EDIT_REMOVE_ROWS:
        return apply_remove_rows(txn, meta, edit);
    case DMS_EDIT_SET_SCHEMA:
        return apply_set_schema(txn, edit);
    case DMS_EDIT_DROP_SEGMENT: {
        int status = dms_index_value_delete(txn, DMS_INDEX_SEGMENTS, edit->drop_segment.segment);
        return status == DMS_END ? gone("segment", edit->drop_segment.segment) : status;
    }
    case DMS_EDIT_SET_FIT:
        return apply_set_fit(txn, meta, edit, segment);
    case DMS_EDIT_SET_FIT_PART:
        return apply_set_fit_part(txn, edit, segment);
    case DMS_EDIT_REMOVE_FIT:
        return apply_remove_fit(txn, edit->remove_fit.fit);
    case DMS_EDIT_STATE:
        break;
    }
    return 0;
}

int dms_index_store_catalog(struct dms_index_txn *txn, struct dms_index_meta *meta,
                            const struct dms_catalog *catalog)
{
    int status = dms_index_put_schema(txn, catalog->schema);
    for (size_t k = 0; status == 0 && k < catalog->segment_ct; k++) {
        status = dms_index_put_segment(txn, &catalog->segments[k]);
    }
    meta->model_ct = 0;
    meta->staged_ct = 0;
    for (size_t k = 0; status == 0 && k < catalog->group_ct; k++) {
        const struct dms_group_record *group = &catalog->groups[k];
        status = dms_index_put_group(txn, group);
        if (status == 0) {
            status = dms_index_assign_live_ids(txn, group->runs, group->run_bytes, group->row_ct,
                                               group->removed, false, group->number);
        }
        meta->model_ct += group->live_ct;
    }
    for (size_t k = 0; status == 0 && k < catalog->batch_ct; k++) {
        const struct dms_batch_record *batch = &catalog->batches[k];
        status = dms_index_put_batch(txn, batch);
        if (status == 0) {
            status = dms_index_assign_live_ids(txn, batch->runs, batch->run_bytes, batch->row_ct,
                                               batch->removed, true, batch->number);
        }
        meta->model_ct += batch->live_ct;
        meta->staged_ct += batch->live_ct;
    }
    for (size_t k = 0; status == 0 && k < catalog->fit_ct; k++) {
        status = dms_index_put_fit(txn, &catalog->fits[k]);
    }
    meta->features |= dms_catalog_features(catalog);
    return status ? status : dms_index_put_meta(txn, meta);
}
