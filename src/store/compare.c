/*
 * Comparing stored and incoming rows: see compare.h.
 */
#include "store/compare.h"

#include "base/alloc.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

/* Values compared at a time, in bytes of one row block. */
enum { PIECE_BYTES = 8 << 20 };

static void compare_rows(const uint8_t *a, const uint8_t *b, size_t row_bytes, uint32_t row_ct,
                         uint8_t *same)
{
    for (uint32_t k = 0; k < row_ct; k++) {
        same[k] &= memcmp(a + k * row_bytes, b + k * row_bytes, row_bytes) == 0;
    }
}

/* Damage makes rows differ, so that they can be replaced; other failures stay failures. */
static int differ_if_damaged(int status, uint32_t row_ct, uint8_t *same)
{
    if (status == DMS_ERR_CORRUPT) {
        memset(same, 0, row_ct);
        return 0;
    }
    return status;
}

static int compare_masks(struct dms_snapshot *snapshot, size_t group, uint32_t row, uint32_t row_ct,
                         const struct dms_row_source *source, uint64_t source_row, uint8_t *same)
{
    size_t mask_bytes = (size_t)(dms_snapshot_schema(snapshot)->example_ct + 7) / 8;
    uint8_t *stored = dms_alloc(row_ct, mask_bytes);
    uint8_t *incoming = dms_alloc(row_ct, mask_bytes);
    int status = stored && incoming ? 0 : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        status = source->read_masks(source->context, source_row, row_ct, incoming);
    }
    if (status == 0) {
        status = dms_snapshot_read_masks(snapshot, group, row, row_ct, stored);
        if (status == 0) {
            compare_rows(stored, incoming, mask_bytes, row_ct, same);
        }
        status = differ_if_damaged(status, row_ct, same);
    }
    free(stored);
    free(incoming);
    return status;
}

/* has_value[k]: the source has a value in row source_row + k; where it has, but the stored row has
 * none, they differ. */
static int compare_presence(struct dms_snapshot *snapshot, size_t group, uint32_t row,
                            uint32_t row_ct, const struct dms_bulk_source *source,
                            uint64_t source_row, uint32_t column_index, uint8_t *has_value,
                            uint8_t *same)
{
    struct dms_group_info info;
    int status = dms_snapshot_group(snapshot, group, &info);
    if (status != 0) {
        return status;
    }
    uint64_t *source_rows = dms_alloc(row_ct, sizeof *source_rows);
    uint8_t *given = dms_alloc(((size_t)row_ct + 7) / 8, 1);
    uint8_t *present = dms_alloc(((size_t)info.row_ct + 7) / 8, 1);
    status = source_rows && given && present ? 0 : DMS_ERR_NO_MEMORY;
    if (status == 0 && source->read_presence) {
        for (uint32_t k = 0; k < row_ct; k++) {
            source_rows[k] = source_row + k;
        }
        status =
            source->read_presence(source->rows->context, column_index, source_rows, row_ct, given);
    } else if (status == 0) {
        memset(given, 0xFF, ((size_t)row_ct + 7) / 8);
    }
    if (status == 0) {
        status = dms_snapshot_group_present(snapshot, group, source->rows->columns[column_index],
                                            present);
        for (uint32_t k = 0; status == 0 && k < row_ct; k++) {
            has_value[k] = given[k >> 3] >> (k & 7) & 1;
            same[k] &= !has_value[k] || (present[(row + k) >> 3] >> ((row + k) & 7) & 1);
        }
        status = differ_if_damaged(status, row_ct, same);
    }
    free(source_rows);
    free(given);
    free(present);
    return status;
}

/* Compares rows that the source has values for; the others stay as they are. */
static void compare_given(const uint8_t *a, const uint8_t *b, size_t row_bytes, uint32_t row_ct,
                          const uint8_t *has_value, uint8_t *same)
{
    for (uint32_t k = 0; k < row_ct; k++) {
        same[k] &= !has_value[k] || memcmp(a + k * row_bytes, b + k * row_bytes, row_bytes) == 0;
    }
}

static int compare_values(struct dms_snapshot *snapshot, size_t group, uint32_t row,
                          uint32_t row_ct, const struct dms_bulk_source *source,
                          uint64_t source_row, uint32_t column_index, const uint8_t *has_value,
                          uint8_t *same)
{
    const struct dms_row_source *rows = source->rows;
    uint32_t column = rows->columns[column_index];
    const struct dms_column *info = &dms_snapshot_schema(snapshot)->columns[column];
    size_t target_bytes = dms_column_value_bytes(info) * (size_t)info->values_per_target;
    uint64_t tile_ct = PIECE_BYTES / ((uint64_t)target_bytes * info->tile_targets * row_ct);
    uint64_t piece_targets = (tile_ct > 0 ? tile_ct : 1) * info->tile_targets;
    piece_targets = piece_targets < info->target_ct ? piece_targets : info->target_ct;
    uint8_t *stored = dms_alloc(row_ct, (size_t)piece_targets * target_bytes);
    uint8_t *incoming = dms_alloc(row_ct, (size_t)piece_targets * target_bytes);
    int status = stored && incoming ? 0 : DMS_ERR_NO_MEMORY;
    for (uint64_t first = 0; status == 0 && first < info->target_ct; first += piece_targets) {
        uint64_t here =
            info->target_ct - first < piece_targets ? info->target_ct - first : piece_targets;
        status = rows->read_values(rows->context, column_index, source_row, row_ct, first, here,
                                   incoming);
        if (status == 0) {
            status =
                dms_snapshot_read_values(snapshot, group, column, row, row_ct, first, here, stored);
            if (status == 0) {
                compare_given(stored, incoming, (size_t)here * target_bytes, row_ct, has_value,
                              same);
            }
            status = differ_if_damaged(status, row_ct, same);
        }
    }
    free(stored);
    free(incoming);
    return status;
}

int dms_rows_compare(struct dms_snapshot *snapshot, size_t group, uint32_t row, uint32_t row_ct,
                     const struct dms_bulk_source *source, uint64_t source_row, uint8_t *same)
{
    memset(same, 1, row_ct);
    uint8_t *has_value = dms_alloc(row_ct, 1);
    if (!has_value) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = source->rows->read_masks
                     ? compare_masks(snapshot, group, row, row_ct, source->rows, source_row, same)
                     : 0;
    for (uint32_t k = 0; status == 0 && k < source->rows->column_ct; k++) {
        status =
            compare_presence(snapshot, group, row, row_ct, source, source_row, k, has_value, same);
        if (status == 0) {
            status = compare_values(snapshot, group, row, row_ct, source, source_row, k, has_value,
                                    same);
        }
    }
    free(has_value);
    return status;
}
