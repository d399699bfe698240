/*
 * Directory blocks: see tile_directory.h.
 */
#include "store/tile_directory.h"

#include "base/endian.h"
#include "base/error.h"
#include "kernels/kernels.h"

#include <inttypes.h>
#include <stdlib.h>

const struct dms_column *dms_schema_column(const struct dms_schema *schema, uint32_t column_id)
{
    for (uint32_t c = 0; c < schema->column_ct; c++) {
        if (schema->columns[c].id == column_id) {
            return &schema->columns[c];
        }
    }
    return NULL;
}

/* Bytes of the presence bitmap without its padding. */
static size_t presence_bytes(const struct dms_directory_fields *fields)
{
    return fields->present_ct < fields->row_ct ? ((size_t)fields->row_ct + 7) / 8 : 0;
}

static int check_fields(const struct dms_column *column, const struct dms_block *block)
{
    const struct dms_directory_fields *fields = &block->directory;
    uint64_t expected = dms_align(presence_bytes(fields), 8) +
                        (uint64_t)fields->tile_ct * DMS_DIRECTORY_ENTRY_BYTES;
    if (fields->row_ct == 0 || fields->row_ct > DMS_GROUP_ROWS_MAX ||
        fields->present_ct > fields->row_ct || fields->tile_targets != column->tile_targets ||
        fields->tile_ct != dms_column_tile_ct(column) || block->payload_bytes != expected) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "the directory at offset 0x%" PRIx64 " does not fit column %s",
                        block->offset, column->name);
    }
    return 0;
}

/* The bitmap has as many bits as the header says, and zeros behind them. */
static int check_presence(const struct dms_directory_fields *fields, const uint8_t *payload)
{
    size_t bytes = presence_bytes(fields);
    bool fits = dms_kernels_get()->popcount(payload, bytes) == fields->present_ct;
    fits &= fields->row_ct % 8 == 0 || payload[bytes - 1] >> (fields->row_ct % 8) == 0;
    for (size_t k = bytes; k < dms_align(bytes, 8); k++) {
        fits &= payload[k] == 0;
    }
    return fits ? 0 : dms_fail(DMS_ERR_CORRUPT, "the presence bits of a directory are malformed");
}

int dms_directory_open(const struct dms_survey_file *file, const struct dms_schema *schema,
                       const struct dms_found_block *found, struct dms_directory *directory)
{
    struct dms_directory made = {.file = file};
    int status = dms_survey_read_header(file, found, &made.block);
    if (status != 0) {
        return status;
    }
    const struct dms_directory_fields *fields = &made.block.directory;
    made.column = made.block.type == DMS_BLOCK_DIRECTORY
                      ? dms_schema_column(schema, fields->column_id)
                      : NULL;
    if (!made.column) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "the block at offset 0x%" PRIx64 " is no directory of a known column",
                        found->offset);
    }
    status = check_fields(made.column, &made.block);
    status = status ? status : dms_survey_read_payload(file, &made.block, &made.payload);
    if (status == 0 && presence_bytes(fields) > 0) {
        made.present = made.payload;
        status = check_presence(fields, made.payload);
    }
    if (status != 0) {
        free(made.payload);
        return status;
    }
    made.entries = made.payload + dms_align(presence_bytes(fields), 8);
    *directory = made;
    return 0;
}

void dms_directory_close(struct dms_directory *directory)
{
    free(directory->payload);
    *directory = (struct dms_directory){0};
}

uint64_t dms_directory_tile_offset(const struct dms_directory *directory, uint32_t tile)
{
    return dms_load_u64(directory->entries + (size_t)tile * DMS_DIRECTORY_ENTRY_BYTES);
}

uint64_t dms_directory_tile_bytes(const struct dms_directory *directory, uint32_t tile)
{
    return dms_load_u64(directory->entries + (size_t)tile * DMS_DIRECTORY_ENTRY_BYTES + 8);
}

uint64_t dms_directory_tile_hash(const struct dms_directory *directory, uint32_t tile)
{
    return dms_load_u64(directory->entries + (size_t)tile * DMS_DIRECTORY_ENTRY_BYTES + 24);
}

int dms_directory_tile(const struct dms_directory *directory, uint32_t tile,
                       struct dms_found_block **chunk, struct dms_block *block)
{
    const struct dms_directory_fields *fields = &directory->block.directory;
    const uint8_t *entry = directory->entries + (size_t)tile * DMS_DIRECTORY_ENTRY_BYTES;
    uint64_t offset = dms_load_u64(entry);
    struct dms_found_block *found = dms_survey_block(directory->file, offset);
    if (!found || found->type != DMS_BLOCK_CHUNK ||
        found->payload_bytes != dms_load_u64(entry + 8) ||
        found->payload_hash != dms_load_u64(entry + 16) ||
        found->header_hash != dms_load_u64(entry + 24)) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "tile %" PRIu32 " of column %s in group %" PRIu64
                        " is not at offset 0x%" PRIx64 ", where the directory says",
                        tile, directory->column->name, fields->group, offset);
    }
    struct dms_block read;
    int status = dms_survey_read_header(directory->file, found, &read);
    if (status != 0) {
        return status;
    }
    uint64_t first_target = (uint64_t)tile * fields->tile_targets;
    if (read.chunk.group != fields->group || read.chunk.column_id != fields->column_id ||
        read.chunk.row_ct != fields->row_ct || read.chunk.first_target != first_target) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "the chunk at offset 0x%" PRIx64 " is not tile %" PRIu32
                        " of column %s in group %" PRIu64,
                        offset, tile, directory->column->name, fields->group);
    }
    *chunk = found;
    *block = read;
    return 0;
}
