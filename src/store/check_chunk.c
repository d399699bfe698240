/*
 * The content of chunks: see check_parts.h.
 */
#include "store/check_parts.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "base/error.h"
#include "dmstore/snapshot.h"
#include "format/ids.h"
#include "format/schema.h"
#include "store/codec.h"
#include "store/scan.h"
#include "store/sums.h"
#include "store/tile_directory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool dms_check_row_tails(const uint8_t *rows, uint32_t row_ct, size_t row_stride, uint64_t bit_ct)
{
    size_t last = (size_t)(bit_ct / 8);
    uint8_t tail = (uint8_t)(0xFF << (bit_ct % 8));
    if (bit_ct % 8 == 0) {
        return true;
    }
    for (uint32_t row = 0; row < row_ct; row++) {
        if (rows[row * row_stride + last] & tail) {
            return false;
        }
    }
    return true;
}

/* ---- the ids of a group ---- */

static int keep_ids(struct dms_check *check, uint64_t group, uint64_t *ids, uint32_t row_ct)
{
    free(check->ids);
    check->ids = ids;
    check->ids_group = group;
    check->ids_row_ct = row_ct;
    return 0;
}

static int live_ids(struct dms_check *check, const struct dms_group_record *group)
{
    uint64_t *ids = dms_alloc(group->row_ct, sizeof *ids);
    int status =
        ids ? dms_ids_decode(group->runs, group->run_bytes, group->row_ct, ids) : DMS_ERR_NO_MEMORY;
    if (status != 0) {
        free(ids);
        return status;
    }
    return keep_ids(check, group->number, ids, group->row_ct);
}

/* Decodes an id chunk into ids. */
static int chunk_ids(const struct dms_check *check, const struct dms_survey_file *file,
                     const struct dms_found_block *found, uint64_t **ids, uint32_t *row_ct)
{
    const struct dms_column *column = &check->catalog->schema->columns[DMS_SCHEMA_ID_COLUMN];
    struct dms_block block;
    uint8_t *payload = NULL;
    int status = dms_survey_read_header(file, found, &block);
    status = status ? status : dms_chunk_check(check->catalog->schema, column, &block);
    status = status ? status : dms_survey_read_payload(file, &block, &payload);
    if (status != 0) {
        return status;
    }
    uint64_t *decoded = dms_alloc(block.chunk.row_ct, sizeof *decoded);
    uint8_t *rows = dms_alloc(block.chunk.row_ct, sizeof *decoded);
    status = decoded && rows ? dms_chunk_decode(column, &block, payload, NULL, true, rows)
                             : DMS_ERR_NO_MEMORY;
    for (uint32_t row = 0; status == 0 && row < block.chunk.row_ct; row++) {
        decoded[row] = dms_load_u64(rows + (size_t)row * 8);
    }
    free(payload);
    free(rows);
    if (status != 0) {
        free(decoded);
        return status;
    }
    *ids = decoded;
    *row_ct = block.chunk.row_ct;
    return 0;
}

/* The ids of a dead group, from its id chunk in the same file. Where that is damaged, there are
 * none: check->ids is NULL. */
static int dead_ids(struct dms_check *check, const struct dms_survey_file *file, uint64_t group)
{
    uint64_t *ids = NULL;
    uint32_t row_ct = 0;
    int status = 0;
    for (size_t k = 0; k < file->block_ct && !ids && status == 0; k++) {
        const struct dms_found_block *found = &file->blocks[k];
        if (found->type == DMS_BLOCK_CHUNK && found->column_id == DMS_SCHEMA_ID_COLUMN &&
            found->number == group && found->is_good) {
            status = chunk_ids(check, file, found, &ids, &row_ct);
        }
    }
    status = dms_is_damage(status) ? 0 : status;
    return status ? status : keep_ids(check, group, ids, row_ct);
}

/* Makes check->ids those of the chunk's group, if they can be known. */
static int find_ids(struct dms_check *check, const struct dms_survey_file *file, uint64_t number)
{
    if (check->ids && check->ids_group == number) {
        return 0;
    }
    const struct dms_group_record *group = dms_catalog_group(check->catalog, number);
    return group ? live_ids(check, group) : dead_ids(check, file, number);
}

/* ---- live chunks ---- */

/* What a live chunk belongs to. */
struct live_chunk {
    const struct dms_group_record *group;
    struct dms_directory directory;
};

static int open_live(const struct dms_check *check, const struct dms_reference *reference,
                     struct live_chunk *live)
{
    const struct dms_survey_file *file = &check->survey->files[reference->file];
    live->group = &check->catalog->groups[reference->container];
    const struct dms_group_column *column =
        dms_group_record_column(live->group, reference->column_id);
    if (column->present_ct == live->group->row_ct) {
        return 0;
    }
    const struct dms_found_block *found = dms_survey_block(file, column->offset);
    return found ? dms_directory_open(file, check->catalog->schema, found, &live->directory)
                 : dms_fail(DMS_ERR_CORRUPT, "the directory of a chunk is not there");
}

static bool is_present(const struct live_chunk *live, uint32_t row)
{
    const uint8_t *present = live->directory.present;
    return !present || (present[row >> 3] >> (row & 7) & 1);
}

/* Values of absent rows are zero. */
static int check_absent(const struct live_chunk *live, const uint8_t *rows, size_t row_bytes)
{
    for (uint32_t row = 0; live->directory.present && row < live->group->row_ct; row++) {
        for (size_t k = 0; !is_present(live, row) && k < row_bytes; k++) {
            if (rows[row * row_bytes + k] != 0) {
                return dms_fail(DMS_ERR_CORRUPT,
                                "row %" PRIu32 " of group %" PRIu64 " is absent but not zero", row,
                                live->group->number);
            }
        }
    }
    return 0;
}

/* The ids in a live id chunk are those of the group's record. */
static int check_live_ids(const struct dms_check *check, const struct live_chunk *live,
                          const uint8_t *rows)
{
    for (uint32_t row = 0; row < live->group->row_ct; row++) {
        uint64_t id = dms_load_u64(rows + (size_t)row * 8);
        if (check->ids[row] != id) {
            return dms_fail(DMS_ERR_CORRUPT,
                            "row %" PRIu32 " of group %" PRIu64 " has model id %" PRIu64
                            ", its record says %" PRIu64,
                            row, live->group->number, id, check->ids[row]);
        }
    }
    return 0;
}

/* Adds the rows that are live and have values to the totals; moves rows for that. */
static int add_totals(struct dms_check *check, const struct live_chunk *live,
                      const struct dms_column *column, const struct dms_block *block, uint8_t *rows,
                      size_t row_bytes)
{
    const struct dms_schema *schema = check->catalog->schema;
    size_t kept = 0;
    for (uint32_t row = 0; row < live->group->row_ct; row++) {
        if (!dms_row_is_removed(live->group->removed, row) && is_present(live, row)) {
            memmove(rows + kept * row_bytes, rows + row * row_bytes, row_bytes);
            kept++;
        }
    }
    if (column->kind == DMS_COLUMN_MASK) {
        dms_kernels_get()->count_columns(rows, kept, row_bytes, (size_t)schema->example_ct,
                                         check->totals->counts);
        check->totals->has_counts = true;
    } else if (column->kind == DMS_COLUMN_OUTPUT) {
        uint32_t position = (uint32_t)(column - schema->columns);
        struct dms_exact_sum *sums = dms_totals_sums(check->totals, schema, position);
        if (!sums) {
            return DMS_ERR_NO_MEMORY;
        }
        dms_sums_add(column->dtype, rows, kept, row_bytes,
                     (size_t)(block->chunk.target_ct * column->values_per_target),
                     sums + block->chunk.first_target * column->values_per_target);
    }
    return 0;
}

static int check_live(struct dms_check *check, const struct dms_reference *reference,
                      const struct dms_column *column, const struct dms_block *block, uint8_t *rows,
                      size_t row_bytes)
{
    struct live_chunk live = {0};
    int status = open_live(check, reference, &live);
    if (status == 0 && live.group->row_ct != block->chunk.row_ct) {
        status = dms_fail(DMS_ERR_CORRUPT, "a chunk of group %" PRIu64 " has %" PRIu32 " rows",
                          live.group->number, block->chunk.row_ct);
    }
    if (status == 0 && column->kind == DMS_COLUMN_ID) {
        status = live_ids(check, live.group);
        status = status ? status : check_live_ids(check, &live, rows);
    }
    status = status ? status : check_absent(&live, rows, row_bytes);
    if (status == 0 && check->totals) {
        status = add_totals(check, &live, column, block, rows, row_bytes);
    }
    dms_directory_close(&live.directory);
    return status;
}

/* ---- any chunk ---- */

/* No compressor makes more of its input than this. */
static bool is_length_likely(const struct dms_block *block)
{
    return block->payload_bytes <=
           block->chunk.encoded_bytes + block->chunk.encoded_bytes / 128 + 4096;
}

/* Decodes a payload and checks all that its column says of it. */
static int decode(struct dms_check *check, const struct dms_survey_file *file,
                  const struct dms_column *column, const struct dms_block *block,
                  const uint8_t *payload, uint8_t *rows)
{
    bool needs_ids = block->chunk.encoding == DMS_ENCODING_SAMPLED;
    int status = needs_ids ? find_ids(check, file, block->chunk.group) : 0;
    if (status == 0 && needs_ids && (!check->ids || check->ids_row_ct != block->chunk.row_ct)) {
        /* Of a dead group whose ids are lost: nobody can draw these masks any more. */
        return DMS_END;
    }
    status = status ? status : dms_chunk_decode(column, block, payload, check->ids, true, rows);
    uint64_t bit_ct =
        (uint64_t)block->chunk.target_ct * column->values_per_target * column->element_bits;
    size_t row_bytes = (size_t)(block->chunk.decoded_bytes / block->chunk.row_ct);
    if (status == 0 && !dms_check_row_tails(rows, block->chunk.row_ct, row_bytes, bit_ct)) {
        status = dms_fail(DMS_ERR_CORRUPT, "bits after the last value of a row are not zero");
    }
    return status;
}

static int decode_and_check(struct dms_check *check, const struct dms_survey_file *file,
                            const struct dms_column *column, const struct dms_block *block,
                            const struct dms_reference *reference)
{
    uint8_t *payload;
    if (!is_length_likely(block)) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "stored length %" PRIu64 " does not fit %" PRIu64 " bytes of content",
                        block->payload_bytes, block->chunk.encoded_bytes);
    }
    int status = dms_survey_read_payload(file, block, &payload);
    if (status != 0) {
        return status;
    }
    uint8_t *rows = dms_alloc_aligned(64, (size_t)block->chunk.decoded_bytes);
    status = rows ? decode(check, file, column, block, payload, rows) : DMS_ERR_NO_MEMORY;
    if (status == 0 && reference) {
        status = check_live(check, reference, column, block, rows,
                            (size_t)(block->chunk.decoded_bytes / block->chunk.row_ct));
    }
    free(rows);
    free(payload);
    return status == DMS_END ? 0 : status;
}

int dms_check_chunk(struct dms_check *check, const struct dms_survey_file *file,
                    const struct dms_found_block *found, const struct dms_reference *reference)
{
    struct dms_block block;
    int status = dms_survey_read_header(file, found, &block);
    if (status != 0) {
        return status;
    }
    const struct dms_column *column =
        dms_schema_column(check->catalog->schema, block.chunk.column_id);
    if (!column) {
        return dms_fail(DMS_ERR_CORRUPT, "chunk of a column %" PRIu32 " that there is not",
                        block.chunk.column_id);
    }
    status = dms_chunk_check(check->catalog->schema, column, &block);
    if (status == 0 && (check->decode || column->kind == DMS_COLUMN_ID)) {
        status = decode_and_check(check, file, column, &block, reference);
    } else if (status == 0) {
        status = dms_scan_check_payload(file->descriptor, file->path, &block);
    }
    check->chunk_ct++;
    if (status == DMS_ERR_INVALID) {
        status = DMS_ERR_CORRUPT; /* a sampled mask that cannot be drawn */
    }
    if (dms_is_damage(status)) {
        status = dms_fail_prefix(
            status, "tile of targets %" PRIu64 " to %" PRIu64 " of column %s in group %" PRIu64,
            block.chunk.first_target, block.chunk.first_target + block.chunk.target_ct - 1,
            column->name, block.chunk.group);
    }
    return status;
}
