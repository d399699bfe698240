/*
 * Reading staged rows: batches of whole rows, laid out by the first columns of the schema
 * (format/rows.h).
 */
#include "store/snapshot_parts.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "base/error.h"
#include "dmstore/sample.h"
#include "format/schema.h"
#include "kernels/kernels.h"
#include "store/segment.h"

#include <inttypes.h>
#include <stdlib.h>

/* Where the sampled entry stands in a row: after the model id. */
enum { SAMPLING_OFFSET = 8 };

/* A batch whose block was checked. */
struct staged_batch {
    struct dms_snapshot_file *file;
    const struct dms_row_layout *layout;
    uint64_t rows; /* offset of row 0 in the file */
};

static int get_layout(const struct dms_snapshot *snapshot, uint32_t column_ct,
                      const struct dms_row_layout **layout)
{
    const struct dms_schema *schema = snapshot->catalog.schema;
    if (column_ct > schema->column_ct) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "its rows have %" PRIu32 " columns, the schema has %" PRIu32, column_ct,
                        schema->column_ct);
    }
    struct dms_row_layout *found = atomic_load(&snapshot->layouts[column_ct]);
    if (found) {
        *layout = found;
        return 0;
    }
    struct dms_row_layout *made = dms_alloc(1, sizeof *made);
    int status = made ? dms_row_layout_make(schema, column_ct, made) : DMS_ERR_NO_MEMORY;
    if (status != 0) {
        free(made);
        return status;
    }
    if (!atomic_compare_exchange_strong(&snapshot->layouts[column_ct], &found, made)) {
        free(made);
        made = found;
    }
    *layout = made;
    return 0;
}

/* Checks the rows block of a batch, header and payload. */
static int check_batch(const struct dms_batch_record *record, const struct dms_row_layout *layout,
                       const struct dms_snapshot_file *file, uint64_t committed_bytes)
{
    struct dms_block block;
    int status = dms_block_read_header(file->descriptor, file->path, record->segment,
                                       record->offset, committed_bytes, &block);
    if (status != 0) {
        return status;
    }
    const struct dms_rows_fields *fields = &block.rows;
    if (block.type != DMS_BLOCK_ROWS || block.header_hash != record->header_hash ||
        fields->batch != record->number || fields->row_ct != record->row_ct ||
        fields->column_ct != record->column_ct || fields->row_bytes != layout->row_bytes ||
        block.payload_bytes != (uint64_t)layout->row_bytes * record->row_ct) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "segment '%s': the block at offset 0x%" PRIx64
                        " is not the one that the index means",
                        file->path, record->offset);
    }
    return dms_snapshot_check_payload(file, &block);
}

static int fail_batch(int code, const struct dms_batch_record *record)
{
    return dms_fail_prefix(code, "batch %" PRIu64 " of staged rows", record->number);
}

static int open_batch(const struct dms_snapshot *snapshot, size_t group, struct staged_batch *batch)
{
    const struct dms_batch_record *record = dms_snapshot_staged_batch(snapshot, group);
    atomic_bool *checked = &snapshot->batches_checked[group - snapshot->catalog.group_ct];
    uint64_t committed_bytes;
    int status = dms_snapshot_file(snapshot, record->segment, &batch->file, &committed_bytes);
    if (status == 0) {
        status = get_layout(snapshot, record->column_ct, &batch->layout);
    }
    if (status == 0 && !atomic_load_explicit(checked, memory_order_relaxed)) {
        status = check_batch(record, batch->layout, batch->file, committed_bytes);
        if (status == 0) {
            atomic_store_explicit(checked, true, memory_order_relaxed);
        }
    }
    batch->rows = record->offset + DMS_BLOCK_HEADER_BYTES;
    return status ? fail_batch(status, record) : 0;
}

/* Reads bits of some rows, from bit `bit` of their part at `part_offset` on. */
static int read_part(const struct staged_batch *batch, const struct dms_batch_record *record,
                     uint32_t row, size_t part_offset, size_t bit, struct dms_row_bits bits,
                     struct dms_rows_in_memory to)
{
    size_t row_bytes = batch->layout->row_bytes;
    uint64_t offset = batch->rows + (uint64_t)row * row_bytes + part_offset;
    int status = dms_rows_read(batch->file, offset, row_bytes, bit, bits, to);
    return status ? fail_batch(status, record) : 0;
}

int dms_snapshot_staged_present(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                                uint8_t *present)
{
    const struct dms_batch_record *record = dms_snapshot_staged_batch(snapshot, group);
    struct staged_batch batch;
    int status = open_batch(snapshot, group, &batch);
    if (status != 0 || column >= record->column_ct) {
        return status;
    }
    uint8_t *flags = dms_alloc(record->row_ct, 1);
    if (!flags) {
        return DMS_ERR_NO_MEMORY;
    }
    status = read_part(
        &batch, record, 0, batch.layout->presence, column - DMS_SCHEMA_FIRST_VALUE_COLUMN,
        (struct dms_row_bits){record->row_ct, 1}, (struct dms_rows_in_memory){flags, 1, 0});
    if (status == 0) {
        dms_kernels_get()->pack_bits(flags, record->row_ct, present);
    }
    free(flags);
    return status;
}

int dms_snapshot_staged_packed(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                               uint32_t row, uint32_t row_ct, uint64_t target, uint64_t target_ct,
                               uint8_t *rows)
{
    const struct dms_batch_record *record = dms_snapshot_staged_batch(snapshot, group);
    const struct dms_column *described = &snapshot->catalog.schema->columns[column];
    struct staged_batch batch;
    int status = open_batch(snapshot, group, &batch);
    if (status != 0 || column >= record->column_ct) {
        return status;
    }
    size_t target_bits = (size_t)described->values_per_target * described->element_bits;
    bool is_mask = column == DMS_SCHEMA_MASK_COLUMN;
    struct dms_rows_in_memory to = {rows, (size_t)dms_column_packed_bytes(described, target_ct), 0};
    return read_part(&batch, record, row,
                     is_mask ? batch.layout->mask : batch.layout->offsets[column],
                     (size_t)target * target_bits,
                     (struct dms_row_bits){row_ct, (size_t)target_ct * target_bits}, to);
}

int dms_snapshot_staged_sampling(const struct dms_snapshot *snapshot, size_t group, uint32_t row,
                                 uint32_t row_ct, uint8_t *entries, bool *all_sampled)
{
    const struct dms_batch_record *record = dms_snapshot_staged_batch(snapshot, group);
    struct staged_batch batch;
    int status = open_batch(snapshot, group, &batch);
    if (status == 0) {
        status = read_part(&batch, record, row, SAMPLING_OFFSET, 0,
                           (struct dms_row_bits){row_ct, DMS_SAMPLED_ENTRY_BYTES * 8},
                           (struct dms_rows_in_memory){entries, DMS_SAMPLED_ENTRY_BYTES, 0});
    }
    if (status != 0) {
        return status;
    }
    *all_sampled = true;
    for (uint32_t k = 0; k < row_ct; k++) {
        uint32_t generator = dms_load_u32(entries + (size_t)k * DMS_SAMPLED_ENTRY_BYTES + 12);
        *all_sampled &= generator == DMS_SAMPLE_PHILOX_FLOYD;
    }
    return 0;
}
