/*
 * Totals of rows: see totals.h.
 */
#include "store/totals.h"

#include "base/alloc.h"
#include "store/snapshot.h"
#include "store/sums.h"

#include <stdlib.h>
#include <string.h>

/* Rows are read in blocks of about this many bytes. */
enum { BLOCK_BYTES = 4 << 20 };

int dms_totals_begin(struct dms_totals *totals, const struct dms_schema *schema)
{
    struct dms_totals made = {.example_ct = schema->example_ct, .column_ct = schema->column_ct};
    made.counts = dms_alloc((size_t)made.example_ct, sizeof *made.counts);
    made.sums = dms_alloc(made.column_ct, sizeof *made.sums);
    if (!made.counts || !made.sums) {
        dms_totals_free(&made);
        return DMS_ERR_NO_MEMORY;
    }
    *totals = made;
    return 0;
}

void dms_totals_clear(struct dms_totals *totals)
{
    memset(totals->counts, 0, (size_t)totals->example_ct * sizeof *totals->counts);
    totals->has_counts = false;
    for (uint32_t c = 0; c < totals->column_ct; c++) {
        free(totals->sums[c]);
        totals->sums[c] = NULL;
    }
}

void dms_totals_free(struct dms_totals *totals)
{
    for (uint32_t c = 0; totals->sums && c < totals->column_ct; c++) {
        free(totals->sums[c]);
    }
    free(totals->sums);
    free(totals->counts);
    *totals = (struct dms_totals){0};
}

struct dms_exact_sum *dms_totals_sums(struct dms_totals *totals, const struct dms_schema *schema,
                                      uint32_t column)
{
    if (!totals->sums[column]) {
        size_t value_ct = (size_t)dms_column_value_ct(&schema->columns[column]);
        size_t bytes = value_ct * sizeof **totals->sums;
        struct dms_exact_sum *sums = dms_alloc_aligned(_Alignof(struct dms_exact_sum), bytes);
        if (sums) {
            memset(sums, 0, bytes);
        }
        totals->sums[column] = sums;
    }
    return totals->sums[column];
}

int dms_totals_add_masks(struct dms_totals *totals, struct dms_snapshot *snapshot, size_t group,
                         uint32_t row, uint32_t row_ct)
{
    size_t mask_bytes = (size_t)(totals->example_ct + 7) / 8;
    uint32_t block_rows = (uint32_t)(BLOCK_BYTES / mask_bytes) + 1;
    block_rows = block_rows < row_ct ? block_rows : row_ct;
    uint8_t *masks = dms_alloc(block_rows, mask_bytes);
    if (!masks) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = 0;
    for (uint32_t done = 0; status == 0 && done < row_ct;) {
        uint32_t here = row_ct - done < block_rows ? row_ct - done : block_rows;
        status = dms_snapshot_read_masks(snapshot, group, row + done, here, masks);
        if (status == 0) {
            dms_kernels_get()->count_columns(masks, here, mask_bytes, (size_t)totals->example_ct,
                                             totals->counts);
        }
        done += here;
    }
    totals->has_counts = true;
    free(masks);
    return status;
}

/* Adds values of targets first .. first + target_ct - 1 for the rows among row .. row + row_ct - 1
 * that have them. */
static int add_value_block(struct dms_totals *totals, struct dms_snapshot *snapshot, size_t group,
                           uint32_t column, uint32_t row, uint32_t row_ct, uint64_t first,
                           uint64_t target_ct, const uint8_t *present, uint8_t *rows)
{
    const struct dms_schema *schema = dms_snapshot_schema(snapshot);
    const struct dms_column *info = &schema->columns[column];
    size_t row_bytes = (size_t)dms_column_packed_bytes(info, target_ct);
    struct dms_exact_sum *sums = dms_totals_sums(totals, schema, column);
    int status = sums ? dms_snapshot_read_packed(snapshot, group, column, row, row_ct, first,
                                                 target_ct, rows)
                      : DMS_ERR_NO_MEMORY;
    for (uint32_t k = 0; status == 0 && k < row_ct; k++) {
        if (present[(row + k) >> 3] >> ((row + k) & 7) & 1) {
            dms_sums_add(info->dtype, rows + k * row_bytes, 1, row_bytes,
                         (size_t)(target_ct * info->values_per_target),
                         sums + first * info->values_per_target);
        }
    }
    return status;
}

int dms_totals_add_values(struct dms_totals *totals, struct dms_snapshot *snapshot, size_t group,
                          uint32_t column, uint32_t row, uint32_t row_ct)
{
    const struct dms_column *info = &dms_snapshot_schema(snapshot)->columns[column];
    struct dms_group_info group_info;
    int status = dms_snapshot_group(snapshot, group, &group_info);
    if (status != 0) {
        return status;
    }
    /* Whole tiles, so that a compressed chunk is decoded once. */
    uint64_t tile_targets = info->tile_targets;
    size_t tile_bytes = (size_t)dms_column_packed_bytes(info, tile_targets) * row_ct;
    uint8_t *present = dms_alloc(((size_t)group_info.row_ct + 7) / 8, 1);
    uint8_t *rows = dms_alloc(tile_bytes, 1);
    status = present && rows ? dms_snapshot_group_present(snapshot, group, column, present)
                             : DMS_ERR_NO_MEMORY;
    bool any = false;
    for (uint32_t k = row; status == 0 && k < row + row_ct; k++) {
        any |= present[k >> 3] >> (k & 7) & 1;
    }
    for (uint64_t first = 0; status == 0 && any && first < info->target_ct; first += tile_targets) {
        uint64_t here =
            info->target_ct - first < tile_targets ? info->target_ct - first : tile_targets;
        status = add_value_block(totals, snapshot, group, column, row, row_ct, first, here, present,
                                 rows);
    }
    free(present);
    free(rows);
    return status;
}

int dms_totals_add_rows(struct dms_totals *totals, struct dms_snapshot *snapshot, size_t group,
                        uint32_t row, uint32_t row_ct)
{
    const struct dms_schema *schema = dms_snapshot_schema(snapshot);
    int status = dms_totals_add_masks(totals, snapshot, group, row, row_ct);
    for (uint32_t c = 0; status == 0 && c < schema->column_ct; c++) {
        if (schema->columns[c].kind == DMS_COLUMN_OUTPUT) {
            status = dms_totals_add_values(totals, snapshot, group, c, row, row_ct);
        }
    }
    return status;
}

int dms_totals_apply(const struct dms_totals *totals, const struct dms_schema *schema,
                     struct dms_index_txn *txn, int sign)
{
    int status = totals->has_counts
                     ? dms_index_add_counts(txn, totals->counts, totals->example_ct, sign)
                     : 0;
    for (uint32_t c = 0; status == 0 && c < totals->column_ct; c++) {
        const struct dms_column *column = &schema->columns[c];
        if (totals->sums[c]) {
            status = dms_index_add_sums(txn, column, 0, totals->sums[c],
                                        dms_column_value_ct(column), sign);
        }
    }
    return status;
}
