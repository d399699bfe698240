/*
 * The ids in the index: runs of model ids, and where their rows are (index.h).
 */
#include "store/index.h"

#include "base/error.h"
#include "format/cursor.h"
#include "format/ids.h"
#include "store/index_values.h"

#include <inttypes.h>

struct id_run {
    uint64_t first;
    uint32_t count;
    struct dms_id_place place; /* of the first id */
};

static int id_run_decode(struct dms_cursor *cursor, uint64_t first, struct id_run *run)
{
    run->first = first;
    run->count = dms_cursor_u32(cursor);
    run->place.row = dms_cursor_u32(cursor);
    run->place.container = dms_cursor_u64(cursor);
    run->place.staged = dms_cursor_u64(cursor) != 0;
    if (!dms_cursor_ended_well(cursor) || run->count == 0) {
        return dms_fail(DMS_ERR_CORRUPT, "index entry of model id %" PRIu64 " is malformed", first);
    }
    return 0;
}

static int id_run_put(struct dms_index_txn *txn, const struct id_run *run)
{
    int status;
    struct dms_encoder encoder = dms_encoder_begin(dms_index_value_begin(txn, &status));
    dms_encode_u32(&encoder, run->count);
    dms_encode_u32(&encoder, run->place.row);
    dms_encode_u64(&encoder, run->place.container);
    dms_encode_u64(&encoder, run->place.staged);
    status = status ? status : encoder.status;
    return status ? status : dms_index_value_put(txn, DMS_INDEX_IDS, run->first);
}

/* The run that holds `id` or, where none does, the next one; DMS_END when there is none either. */
static int id_run_at_or_after(struct dms_index_txn *txn, uint64_t id, struct id_run *run)
{
    struct dms_cursor record;
    uint64_t first = id;
    int status = dms_index_value_at_or_before(txn, DMS_INDEX_IDS, &first, &record);
    if (status == 0) {
        status = id_run_decode(&record, first, run);
        if (status != 0 || id - run->first < run->count) {
            return status;
        }
    } else if (status != DMS_END) {
        return status;
    }
    first = id;
    status = dms_index_value_at_or_after(txn, DMS_INDEX_IDS, &first, &record);
    return status ? status : id_run_decode(&record, first, run);
}

int dms_index_find_id(struct dms_index_txn *txn, uint64_t id, struct dms_id_place *place)
{
    struct id_run run;
    int status = id_run_at_or_after(txn, id, &run);
    if (status != 0) {
        return status;
    }
    if (id < run.first || id - run.first >= run.count) {
        return DMS_END;
    }
    *place = run.place;
    place->row += (uint32_t)(id - run.first);
    return 0;
}

int dms_index_next_id(struct dms_index_txn *txn, uint64_t id, uint64_t *next)
{
    struct id_run run;
    int status = id_run_at_or_after(txn, id, &run);
    if (status == 0) {
        *next = run.first > id ? run.first : id;
    }
    return status;
}

/* The part of a run from its ids offset .. offset + count - 1. */
static struct id_run run_part(const struct id_run *run, uint64_t offset, uint64_t count)
{
    struct id_run part = *run;
    part.first += offset;
    part.place.row += (uint32_t)offset;
    part.count = (uint32_t)count;
    return part;
}

int dms_index_release_ids(struct dms_index_txn *txn, uint64_t first, uint64_t count)
{
    uint64_t last = first + (count - 1);
    for (;;) {
        struct id_run run;
        int status = id_run_at_or_after(txn, first, &run);
        if (status != 0) {
            return status == DMS_END ? 0 : status;
        }
        if (run.first > last) {
            return 0;
        }
        status = dms_index_value_delete(txn, DMS_INDEX_IDS, run.first);
        uint64_t run_last = run.first + (run.count - 1);
        if (status == 0 && run.first < first) {
            struct id_run left = run_part(&run, 0, first - run.first);
            status = id_run_put(txn, &left);
        }
        if (status == 0 && run_last > last) {
            struct id_run right = run_part(&run, last + 1 - run.first, run_last - last);
            status = id_run_put(txn, &right);
        }
        if (status != 0) {
            return status;
        }
    }
}

int dms_index_assign_ids(struct dms_index_txn *txn, const uint8_t *runs, size_t run_bytes,
                         uint32_t row_ct, bool staged, uint64_t container)
{
    struct dms_ids_iterator iterator = dms_ids_begin(runs, run_bytes, row_ct);
    struct dms_id_span span;
    int status;
    while ((status = dms_ids_next(&iterator, &span)) > 0) {
        struct id_run run = {span.first, span.count, {staged, container, span.row}};
        status = dms_index_release_ids(txn, span.first, span.count);
        status = status ? status : id_run_put(txn, &run);
        if (status != 0) {
            return status;
        }
    }
    return status;
}

struct id_run_visit {
    int (*visit)(void *context, uint64_t first, uint32_t count, const struct dms_id_place *place);
    void *context;
};

static int visit_id_run(void *context, uint64_t number, struct dms_cursor *cursor)
{
    struct id_run_visit *visit = context;
    struct id_run run;
    int status = id_run_decode(cursor, number, &run);
    return status ? status : visit->visit(visit->context, run.first, run.count, &run.place);
}

int dms_index_each_id_run(struct dms_index_txn *txn,
                          int (*visit)(void *context, uint64_t first, uint32_t count,
                                       const struct dms_id_place *place),
                          void *context)
{
    struct id_run_visit each = {visit, context};
    return dms_index_each_value(txn, DMS_INDEX_IDS, visit_id_run, &each);
}

int dms_index_assign_live_ids(struct dms_index_txn *txn, const uint8_t *runs, size_t run_bytes,
                              uint32_t row_ct, const uint8_t *removed, bool staged,
                              uint64_t container)
{
    struct dms_ids_iterator iterator = dms_ids_begin(runs, run_bytes, row_ct);
    struct dms_id_span span;
    int status;
    while ((status = dms_ids_next(&iterator, &span)) > 0) {
        for (uint32_t k = 0; k < span.count;) {
            uint32_t length = 0;
            while (k + length < span.count && !dms_row_is_removed(removed, span.row + k + length)) {
                length++;
            }
            if (length > 0) {
                struct id_run run = {span.first + k, length, {staged, container, span.row + k}};
                status = id_run_put(txn, &run);
                if (status != 0) {
                    return status;
                }
            }
            k += length + 1;
        }
    }
    return status;
}
