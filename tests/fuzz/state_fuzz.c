/*
 * Fuzz target: states, and the records that are both their parts and the values of the index. The
 * first byte says which. What is accepted is encoded to the same bytes again.
 */
#include "fuzz.h"

#include "base/buffer.h"
#include "format/cursor.h"
#include "format/ids.h"
#include "format/state.h"

#include <string.h>

enum { ROWS_MAX = 1 << 20 }; /* of an id list that is decoded to an array */

static void require_same(struct dms_buffer *again, const uint8_t *data, size_t size)
{
    require(again->size == size && memcmp(again->data, data, size) == 0);
    dms_buffer_free(again);
}

static void fuzz_catalog(const uint8_t *data, size_t size)
{
    struct dms_catalog catalog = {0};
    struct dms_buffer again = {0};
    char *path = NULL;

    if (dms_catalog_decode(data, size, &catalog, &path) != 0)
        return;
    require(dms_catalog_encode(&catalog, catalog.commit_hash, path, &again) == 0);
    require_same(&again, data, size);
    dms_catalog_clear(&catalog);
    free(path);
}

static void fuzz_group(const uint8_t *data, size_t size)
{
    struct dms_cursor cursor = dms_cursor_begin(data, size);
    struct dms_group_record record = {0};
    struct dms_buffer again = {0};

    if (dms_group_record_decode(&cursor, &record) != 0)
        return;
    require(dms_group_record_encode(&record, &again) == 0);
    require_same(&again, data, cursor.at);
    require(dms_group_record_column(&record, UINT32_MAX) == NULL ||
            record.columns[record.column_ct - 1].column_id == UINT32_MAX);
    dms_group_record_clear(&record);
}

static void fuzz_batch(const uint8_t *data, size_t size)
{
    struct dms_cursor cursor = dms_cursor_begin(data, size);
    struct dms_batch_record record = {0};
    struct dms_buffer again = {0};

    if (dms_batch_record_decode(&cursor, &record) != 0)
        return;
    require(dms_batch_record_encode(&record, &again) == 0);
    require_same(&again, data, cursor.at);
    dms_batch_record_clear(&record);
}

static void fuzz_segment(const uint8_t *data, size_t size)
{
    struct dms_cursor cursor = dms_cursor_begin(data, size);
    struct dms_segment_record record;
    struct dms_buffer again = {0};

    if (dms_segment_record_decode(&cursor, &record) != 0)
        return;
    require(dms_segment_record_encode(&record, &again) == 0);
    require_same(&again, data, cursor.at);
}

/* A row count, then id runs. */
static void fuzz_ids(const uint8_t *data, size_t size)
{
    struct dms_buffer again = {0};
    uint32_t row_ct = size < 4 ? 0 : dms_load_u32(data);
    uint32_t run_bytes = 0;
    uint64_t *ids;

    if (row_ct == 0 || row_ct > ROWS_MAX)
        return;
    ids = malloc(row_ct * sizeof(*ids));
    require(ids != NULL);
    if (dms_ids_decode(data + 4, size - 4, row_ct, ids) == 0) {
        require(dms_ids_encode(ids, row_ct, &again, &run_bytes) == 0 && run_bytes == size - 4);
        require_same(&again, data + 4, size - 4);
    }
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(const uint8_t *, size_t) = {fuzz_catalog, fuzz_group, fuzz_batch,
                                                               fuzz_segment, fuzz_ids};

    if (size > 0)
        targets[data[0] % (sizeof(targets) / sizeof(targets[0]))](data + 1, size - 1);
    return 0;
}
