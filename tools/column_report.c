/*
 * Describes columns and counts their values; see column_report.h.
 */
#include "column_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

char *column_shape_text(const struct dms_column *column, char text[COLUMN_TEXT_BYTES])
{
    int used = snprintf(text, COLUMN_TEXT_BYTES, "%s", column->dimension_ct ? "" : "-");

    /* Four dimensions of 20 digits always have room. */
    for (uint32_t i = 0; i < column->dimension_ct; i++)
        used += snprintf(text + used, COLUMN_TEXT_BYTES - (size_t)used, "%s%" PRIu64,
                         i > 0 ? "x" : "", column->dimensions[i]);
    return text;
}

char *column_dtype_text(const struct dms_column *column, char text[COLUMN_TEXT_BYTES])
{
    if (column->dtype == DMS_TEXT)
        snprintf(text, COLUMN_TEXT_BYTES, "s%u", column->element_bits / 8);
    else
        snprintf(text, COLUMN_TEXT_BYTES, "%s", dms_dtype_name(column->dtype));
    return text;
}

char *codec_text(const struct dms_codec *codec, char text[COLUMN_TEXT_BYTES])
{
    if (codec->kind == DMS_CODEC_ZSTD)
        snprintf(text, COLUMN_TEXT_BYTES, "zstd:%d", codec->level);
    else
        snprintf(text, COLUMN_TEXT_BYTES, "%s", codec->kind == DMS_CODEC_AUTO ? "auto" : "none");
    return text;
}

void column_json(struct json_writer *json, const struct dms_column *column)
{
    char dtype[COLUMN_TEXT_BYTES];

    json_text(json, "name", column->name);
    json_text(json, "dtype", column_dtype_text(column, dtype));
    json_array_open(json, "shape");
    for (uint32_t i = 0; i < column->dimension_ct; i++)
        json_u64(json, NULL, column->dimensions[i]);
    json_array_close(json);
}

/* Live rows of one group that have a value. */
static int count_in_group(const dms_snapshot *snapshot, size_t group, uint32_t column,
                          uint64_t *model_ct)
{
    struct dms_group_info info;
    uint8_t *live = NULL, *present = NULL;
    size_t bitmap_bytes;
    int code;

    code = dms_snapshot_group(snapshot, group, &info);
    if (code < 0)
        return code;
    bitmap_bytes = (info.row_ct + 7) / 8;
    live = malloc(bitmap_bytes);
    present = malloc(bitmap_bytes);
    if (!live || !present) {
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the rows of a group");
        goto out;
    }
    code = dms_snapshot_group_live(snapshot, group, live);
    if (code < 0)
        goto out;
    code = dms_snapshot_group_present(snapshot, group, column, present);
    if (code < 0)
        goto out;
    for (size_t i = 0; i < bitmap_bytes; i++)
        *model_ct += (uint64_t)__builtin_popcount(live[i] & present[i]);
out:
    free(present);
    free(live);
    return code;
}

int column_count_models(const dms_snapshot *snapshot, uint32_t column, uint64_t *model_ct)
{
    size_t group_ct = dms_snapshot_group_ct(snapshot);
    uint64_t count = 0;

    for (size_t group = 0; group < group_ct; group++) {
        int code = count_in_group(snapshot, group, column, &count);

        if (code < 0)
            return code;
    }
    *model_ct = count;
    return 0;
}
