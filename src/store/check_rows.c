/*
 * The content of rows blocks: see check_parts.h.
 */
#include "store/check_parts.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "base/error.h"
#include "dmstore/sample.h"
#include "format/ids.h"
#include "format/rows.h"
#include "store/scan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool is_zero(const uint8_t *bytes, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        if (bytes[k] != 0) {
            return false;
        }
    }
    return true;
}

/* A field of `bytes` bytes with bit_ct bits of content is zero after them, up to a multiple of 8
 * bytes. */
static bool is_padded(const uint8_t *field, size_t bytes, uint64_t bit_ct)
{
    return dms_check_row_tails(field, 1, bytes, bit_ct) &&
           is_zero(field + bytes, (size_t)dms_align(bytes, 8) - bytes);
}

/* The claim that a mask was drawn; drawing it again is worth the time only when content is
 * checked. */
static int check_sampling(const struct dms_schema *schema, const struct dms_row_layout *layout,
                          const uint8_t *row, bool draw, uint8_t *drawn)
{
    uint64_t seed = dms_load_u64(row + 8);
    uint32_t subset_size = dms_load_u32(row + 16);
    uint32_t generator = dms_load_u32(row + 20);
    if (generator == 0) {
        return seed == 0 && subset_size == 0
                   ? 0
                   : dms_fail(DMS_ERR_CORRUPT, "bytes that must be zero are not");
    }
    if (generator != DMS_SAMPLE_PHILOX_FLOYD || subset_size > schema->example_ct) {
        return dms_fail(DMS_ERR_CORRUPT, "mask generator %" PRIu32 " is not known", generator);
    }
    if (!draw) {
        return 0;
    }
    int status = dms_sample_mask(schema->example_ct, subset_size, seed, dms_load_u64(row), drawn);
    if (status == 0 && memcmp(drawn, row + layout->mask, layout->mask_bytes) != 0) {
        status = dms_fail(DMS_ERR_CORRUPT, "the mask is not the one that its seed draws");
    }
    return status;
}

/* Padding, and values that are absent. */
static int check_fields(const struct dms_schema *schema, const struct dms_row_layout *layout,
                        const uint8_t *row)
{
    const uint8_t *presence = row + layout->presence;
    size_t presence_bytes = (layout->column_ct - 2 + 7) / 8;
    if (!is_padded(presence, presence_bytes, layout->column_ct - 2)) {
        return dms_fail(DMS_ERR_CORRUPT, "presence bits after the last column are not zero");
    }
    if (!is_padded(row + layout->mask, layout->mask_bytes, schema->example_ct)) {
        return dms_fail(DMS_ERR_CORRUPT, "bits after the mask are not zero");
    }
    for (uint32_t c = 2; c < layout->column_ct; c++) {
        const struct dms_column *column = &schema->columns[c];
        size_t bytes = (size_t)dms_column_packed_bytes(column, column->target_ct);
        uint64_t bit_ct = dms_column_value_ct(column) * column->element_bits;
        bool is_present = presence[(c - 2) >> 3] >> ((c - 2) & 7) & 1;
        const uint8_t *values = row + layout->offsets[c];
        if (!is_padded(values, bytes, bit_ct) || (!is_present && !is_zero(values, bytes))) {
            return dms_fail(DMS_ERR_CORRUPT, "bytes of column %s that must be zero are not",
                            column->name);
        }
    }
    return 0;
}

static int check_payload(const struct dms_check *check, const struct dms_row_layout *layout,
                         const struct dms_block *block, const uint64_t *ids, const uint8_t *payload)
{
    const struct dms_schema *schema = check->catalog->schema;
    uint8_t *drawn = dms_alloc(layout->mask_bytes, 1);
    int status = drawn ? 0 : DMS_ERR_NO_MEMORY;
    for (uint32_t k = 0; status == 0 && k < block->rows.row_ct; k++) {
        const uint8_t *row = payload + (size_t)k * layout->row_bytes;
        uint64_t id = dms_load_u64(row);
        if (ids && ids[k] != id) {
            status = dms_fail(DMS_ERR_CORRUPT, "the record says model id %" PRIu64, ids[k]);
        }
        status = status ? status : check_sampling(schema, layout, row, check->decode, drawn);
        status = status ? status : check_fields(schema, layout, row);
        if (dms_is_damage(status)) {
            status = dms_fail_prefix(status, "row %" PRIu32 ", model id %" PRIu64, k, id);
        }
    }
    free(drawn);
    return status;
}

/* The ids that the record of a live batch says; *ids NULL for a dead one. */
static int record_ids(const struct dms_check *check, const struct dms_reference *reference,
                      const struct dms_block *block, uint64_t **ids)
{
    *ids = NULL;
    if (!reference) {
        return 0;
    }
    const struct dms_batch_record *batch = &check->catalog->batches[reference->container];
    if (batch->number != block->rows.batch || batch->row_ct != block->rows.row_ct ||
        batch->column_ct != block->rows.column_ct) {
        return dms_fail(DMS_ERR_CORRUPT, "its record is that of other rows");
    }
    *ids = dms_alloc(batch->row_ct, sizeof **ids);
    return *ids ? dms_ids_decode(batch->runs, batch->run_bytes, batch->row_ct, *ids)
                : DMS_ERR_NO_MEMORY;
}

static int check_block(const struct dms_check *check, const struct dms_survey_file *file,
                       const struct dms_block *block, const struct dms_reference *reference)
{
    struct dms_row_layout layout;
    uint8_t *payload = NULL;
    uint64_t *ids = NULL;
    int status = dms_row_layout_make(check->catalog->schema, block->rows.column_ct, &layout);
    if (status == 0 &&
        (block->rows.row_bytes != layout.row_bytes || block->rows.row_ct == 0 ||
         block->payload_bytes != (uint64_t)block->rows.row_ct * block->rows.row_bytes)) {
        status = dms_fail(DMS_ERR_CORRUPT, "its lengths do not fit the schema");
    }
    status = status ? status : record_ids(check, reference, block, &ids);
    status = status ? status : dms_survey_read_payload(file, block, &payload);
    status = status ? status : check_payload(check, &layout, block, ids, payload);
    free(payload);
    free(ids);
    return status;
}

int dms_check_rows(struct dms_check *check, const struct dms_survey_file *file,
                   const struct dms_found_block *found, const struct dms_reference *reference)
{
    struct dms_block block;
    int status = dms_survey_read_header(file, found, &block);
    status = status ? status : check_block(check, file, &block, reference);
    check->chunk_ct++;
    if (status == DMS_ERR_INVALID) {
        status = DMS_ERR_CORRUPT; /* rows wider than any can be */
    }
    return dms_is_damage(status)
               ? dms_fail_prefix(status, "batch %" PRIu64 " of staged rows", found->number)
               : status;
}
