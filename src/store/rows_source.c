/*
 * Stored rows as a source: see rows_source.h.
 */
#include "store/rows_source.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/layout.h"
#include "format/schema.h"

#include <stdlib.h>
#include <string.h>

/* Positions from k on that stand one after another in one group, up to `limit`. */
static uint32_t adjacent(const struct dms_rows_source *source, uint64_t k, uint32_t limit)
{
    const struct dms_source_position *first = &source->positions[k];
    uint32_t count = 1;
    while (count < limit && first[count].at.group == first->at.group &&
           first[count].at.row == first->at.row + count) {
        count++;
    }
    return count;
}

static int read_masks(void *context, uint64_t row, uint32_t row_ct, uint8_t *masks)
{
    const struct dms_rows_source *source = context;
    size_t mask_bytes = (size_t)(dms_snapshot_schema(source->snapshot)->example_ct + 7) / 8;
    for (uint32_t done = 0; done < row_ct;) {
        const struct dms_source_position *position = &source->positions[row + done];
        uint32_t count = adjacent(source, row + done, row_ct - done);
        int status = dms_snapshot_read_masks(source->snapshot, position->at.group, position->at.row,
                                             count, masks + done * mask_bytes);
        if (status != 0) {
            return status;
        }
        done += count;
    }
    return 0;
}

static int read_values(void *context, uint32_t column_index, uint64_t row, uint32_t row_ct,
                       uint64_t target, uint64_t target_ct, void *values)
{
    const struct dms_rows_source *source = context;
    uint32_t column = source->source_columns[column_index];
    const struct dms_column *info = &dms_snapshot_schema(source->snapshot)->columns[column];
    size_t row_bytes = dms_column_value_bytes(info) * (size_t)(info->values_per_target * target_ct);
    for (uint32_t done = 0; done < row_ct;) {
        const struct dms_source_position *position = &source->positions[row + done];
        uint32_t count = adjacent(source, row + done, row_ct - done);
        int status = dms_snapshot_read_values(source->snapshot, position->at.group, column,
                                              position->at.row, count, target, target_ct,
                                              (uint8_t *)values + done * row_bytes);
        if (status != 0) {
            return status;
        }
        done += count;
    }
    return 0;
}

static int read_presence(void *context, uint32_t column_index, const uint64_t *source_rows,
                         uint32_t row_ct, uint8_t *present)
{
    const struct dms_rows_source *source = context;
    uint8_t bits[(DMS_GROUP_ROWS_MAX + 7) / 8];
    size_t group = SIZE_MAX;
    for (uint32_t k = 0; k < row_ct; k++) {
        const struct dms_position *at = &source->positions[source_rows[k]].at;
        if (at->group != group) {
            group = at->group;
            int status = dms_snapshot_group_present(source->snapshot, group,
                                                    source->source_columns[column_index], bits);
            if (status != 0) {
                return status;
            }
        }
        if (bits[at->row >> 3] >> (at->row & 7) & 1) {
            present[k >> 3] |= (uint8_t)(1u << (k & 7));
        }
    }
    return 0;
}

static int read_sampling(void *context, const uint64_t *source_rows, uint32_t row_ct,
                         uint8_t *entries, bool *all_sampled)
{
    const struct dms_rows_source *source = context;
    *all_sampled = true;
    for (uint32_t done = 0; done < row_ct && *all_sampled;) {
        const struct dms_position *at = &source->positions[source_rows[done]].at;
        uint32_t count = 1;
        while (done + count < row_ct && source_rows[done + count] == source_rows[done] + count &&
               source->positions[source_rows[done + count]].at.group == at->group &&
               source->positions[source_rows[done + count]].at.row == at->row + count) {
            count++;
        }
        int status = dms_snapshot_read_sampling(source->snapshot, at->group, at->row, count,
                                                entries + (size_t)done * DMS_SAMPLED_ENTRY_BYTES,
                                                all_sampled);
        if (status != 0) {
            return status;
        }
        done += count;
    }
    return 0;
}

/* The columns that both schemas have. */
static void match_columns(const struct dms_schema *schema, const struct dms_schema *source_schema,
                          struct dms_rows_source *source)
{
    for (uint32_t c = DMS_SCHEMA_FIRST_VALUE_COLUMN; c < schema->column_ct; c++) {
        for (uint32_t s = DMS_SCHEMA_FIRST_VALUE_COLUMN; s < source_schema->column_ct; s++) {
            if (strcmp(schema->columns[c].name, source_schema->columns[s].name) == 0) {
                source->columns[source->rows.column_ct] = c;
                source->source_columns[source->rows.column_ct++] = s;
            }
        }
    }
}

int dms_rows_source_make(struct dms_snapshot *snapshot, const struct dms_schema *schema,
                         const struct dms_source_position *positions, size_t position_ct,
                         struct dms_rows_source *source)
{
    *source = (struct dms_rows_source){.snapshot = snapshot, .positions = positions};
    source->ids = dms_alloc(position_ct, sizeof *source->ids);
    source->columns = dms_alloc(schema->column_ct, sizeof *source->columns);
    source->source_columns = dms_alloc(schema->column_ct, sizeof *source->source_columns);
    if (!source->ids || !source->columns || !source->source_columns) {
        dms_rows_source_free(source);
        return DMS_ERR_NO_MEMORY;
    }
    for (size_t k = 0; k < position_ct; k++) {
        source->ids[k] = positions[k].id;
    }
    match_columns(schema, dms_snapshot_schema(snapshot), source);
    source->rows.context = source;
    source->rows.row_ct = position_ct;
    source->rows.ids = source->ids;
    source->rows.read_masks = read_masks;
    source->rows.columns = source->columns;
    source->rows.read_values = read_values;
    source->bulk = (struct dms_bulk_source){&source->rows, true, read_presence, read_sampling};
    return 0;
}

void dms_rows_source_free(struct dms_rows_source *source)
{
    free(source->ids);
    free(source->columns);
    free(source->source_columns);
    *source = (struct dms_rows_source){0};
}

/* Appends the live rows of one group. */
static int add_live(struct dms_snapshot *snapshot, size_t group,
                    struct dms_source_position *positions, size_t *position_ct)
{
    struct dms_group_info info;
    int status = dms_snapshot_group(snapshot, group, &info);
    if (status != 0) {
        return status;
    }
    uint64_t *ids = dms_alloc(info.row_ct, sizeof *ids);
    uint8_t *live = dms_alloc(((size_t)info.row_ct + 7) / 8, 1);
    status = ids && live ? dms_snapshot_group_ids(snapshot, group, ids) : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        status = dms_snapshot_group_live(snapshot, group, live);
    }
    for (uint32_t row = 0; status == 0 && row < info.row_ct; row++) {
        if (live[row >> 3] >> (row & 7) & 1) {
            positions[(*position_ct)++] = (struct dms_source_position){ids[row], {group, row}};
        }
    }
    free(ids);
    free(live);
    return status;
}

int dms_live_positions(struct dms_snapshot *snapshot, const size_t *groups, size_t group_ct,
                       struct dms_source_position **positions, size_t *position_ct)
{
    size_t total = 0;
    int status = 0;
    for (size_t k = 0; status == 0 && k < group_ct; k++) {
        struct dms_group_info info;
        status = dms_snapshot_group(snapshot, groups[k], &info);
        total += status == 0 ? info.live_ct : 0;
    }
    struct dms_source_position *made = status == 0 ? dms_alloc(total, sizeof *made) : NULL;
    if (!made) {
        return status ? status : DMS_ERR_NO_MEMORY;
    }
    size_t count = 0;
    for (size_t k = 0; status == 0 && k < group_ct; k++) {
        status = add_live(snapshot, groups[k], made, &count);
    }
    if (status != 0) {
        free(made);
        return status;
    }
    *positions = made;
    *position_ct = count;
    return 0;
}

static int compare_positions(const void *a, const void *b)
{
    uint64_t left = ((const struct dms_source_position *)a)->id;
    uint64_t right = ((const struct dms_source_position *)b)->id;
    return (left > right) - (left < right);
}

void dms_positions_sort(struct dms_source_position *positions, size_t position_ct)
{
    if (position_ct > 0) {
        qsort(positions, position_ct, sizeof *positions, compare_positions);
    }
}
