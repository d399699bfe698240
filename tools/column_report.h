/*
 * What commands say about a column and about a codec: shapes, types, and how many models have a
 * value.
 */
#ifndef DMSTORE_TOOLS_COLUMN_REPORT_H
#define DMSTORE_TOOLS_COLUMN_REPORT_H

#include <stdint.h>

#include <dmstore.h>

#include "json.h"

#define COLUMN_TEXT_BYTES 96

/* The column's shape as `dmstore create` takes it, e.g. "10000x10"; "-" for a scalar. Written into
 * `text`, which is returned. */
char *column_shape_text(const struct dms_column *column, char text[COLUMN_TEXT_BYTES]);

/* The column's dtype as `dmstore create` takes it, e.g. "f16", "s32". */
char *column_dtype_text(const struct dms_column *column, char text[COLUMN_TEXT_BYTES]);

/* "none", "auto", "zstd" with its level, as --codec takes it. */
char *codec_text(const struct dms_codec *codec, char text[COLUMN_TEXT_BYTES]);

/* Members "name", "dtype" and "shape" (an array) of the object that is open. */
void column_json(struct json_writer *json, const struct dms_column *column);

/* In how many live models, staged ones included, the column has a value. */
int column_count_models(const dms_snapshot *snapshot, uint32_t column, uint64_t *model_ct);

#endif
