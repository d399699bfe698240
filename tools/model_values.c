/*
 * Reads one column of one model; see model_values.h.
 */
#include "model_values.h"

#include <inttypes.h>
#include <stdlib.h>

static int row_has_value(dms_snapshot *snapshot, const struct dms_position *position,
                         uint32_t column, bool *present)
{
    struct dms_group_info info;
    uint8_t *bits = NULL;
    int code = dms_snapshot_group(snapshot, position->group, &info);

    if (code < 0)
        return code;
    bits = malloc((info.row_ct + 7) / 8);
    if (!bits)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the rows of a group");
    code = dms_snapshot_group_present(snapshot, position->group, column, bits);
    if (code == 0)
        *present = bits[position->row >> 3] >> (position->row & 7) & 1;
    free(bits);
    return code;
}

static uint64_t bytes_of(const struct dms_column *column, uint64_t target_ct)
{
    if (column->kind == DMS_COLUMN_MASK)
        return (column->target_ct + 7) / 8;
    return target_ct * column->values_per_target * dms_column_value_bytes(column);
}

int model_values_read(dms_snapshot *snapshot, const struct dms_position *position, uint32_t column,
                      uint64_t target, uint64_t target_ct, struct model_values *values)
{
    const struct dms_column *description = &dms_snapshot_schema(snapshot)->columns[column];
    uint64_t bytes = bytes_of(description, target_ct);
    bool present = false;
    void *data = NULL;
    int code = row_has_value(snapshot, position, column, &present);

    if (code < 0)
        return code;
    if (present) {
        data = malloc(bytes + 1); /* never 0 */
        if (!data)
            return dms_source_fail(DMS_ERR_NO_MEMORY,
                                   "out of memory for %" PRIu64 " bytes of column %s", bytes,
                                   description->name);
        code = description->kind == DMS_COLUMN_MASK
                   ? dms_snapshot_read_masks(snapshot, position->group, position->row, 1, data)
                   : dms_snapshot_read_values(snapshot, position->group, column, position->row, 1,
                                              target, target_ct, data);
        if (code < 0) {
            free(data);
            return code;
        }
    }
    *values = (struct model_values){
        .column = description,
        .target = target,
        .target_ct = target_ct,
        .present = present,
        .values = data,
    };
    return 0;
}

void model_values_free(struct model_values *values)
{
    free(values->values);
    *values = (struct model_values){0};
}

uint64_t model_values_count(const struct model_values *values)
{
    return values->target_ct * values->column->values_per_target;
}

uint64_t mask_count(const uint8_t *mask, uint64_t example_ct)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i < (example_ct + 7) / 8; i++)
        count += (uint64_t)__builtin_popcount(mask[i]);
    return count;
}
