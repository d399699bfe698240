/*
 * Reading values of rows: the tiles that a range of targets touches, each from the file as it is or
 * decoded, put together row by row. All reads are copies made by pread, so that a file that is cut
 * short is an error and never a signal.
 */
#include "store/snapshot_parts.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "base/error.h"
#include "dmstore/sample.h"
#include "format/schema.h"
#include "kernels/kernels.h"
#include "store/codec.h"
#include "store/segment.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What is wanted of one tile. */
struct tile_part {
    size_t group;
    uint32_t column;
    uint32_t tile;
    uint32_t row;
    struct dms_row_bits bits;
    size_t bit; /* of the tile's rows at which it begins */
    struct dms_rows_in_memory to;
};

/* ---- encoded chunks ---- */

/* Reads a payload into new memory and checks its hash. */
static int read_payload(const struct dms_chunk_place *place, uint8_t **payload)
{
    uint8_t *made = dms_alloc_aligned(64, (size_t)place->block.payload_bytes + 1);
    if (!made) {
        return DMS_ERR_NO_MEMORY;
    }
    int status =
        dms_block_read_payload(place->file->descriptor, place->file->path, &place->block, made);
    if (status != 0) {
        free(made);
        return status;
    }
    *payload = made;
    return 0;
}

/* Reads and decodes a compressed chunk; straight into the destination when all of it is wanted
 * there. */
static int read_compressed(const struct dms_column *column, const struct dms_chunk_place *place,
                           const struct tile_part *part)
{
    const struct dms_chunk_fields *chunk = &place->block.chunk;
    size_t row_bytes = (size_t)(chunk->decoded_bytes / chunk->row_ct);
    bool is_all = part->bits.row_ct == chunk->row_ct && part->to.stride == row_bytes &&
                  part->to.bit == 0 && part->bit == 0 && (part->bits.bit_ct + 7) / 8 == row_bytes;
    uint8_t *payload = NULL;
    uint8_t *owned = is_all ? NULL : dms_alloc_aligned(64, (size_t)chunk->decoded_bytes);
    uint8_t *rows = is_all ? part->to.data : owned;
    int status = rows ? read_payload(place, &payload) : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        status = dms_chunk_decode(column, &place->block, payload, NULL, false, rows);
    }
    if (status == 0 && !is_all) {
        struct dms_rows_in_memory from = {rows + part->row * row_bytes, row_bytes, part->bit};
        dms_rows_copy(part->to, from, part->bits);
    }
    free(payload);
    free(owned);
    return status;
}

/* The entries of a sampled chunk, one a row of the group. */
static int read_entries(const struct dms_column *column, const struct dms_chunk_place *place,
                        uint8_t **entries)
{
    /* Taken as plain rows of 16 bytes, what the codec yields is the decoded chunk. */
    struct dms_block plain = place->block;
    plain.chunk.encoding = DMS_ENCODING_PLAIN;
    plain.chunk.decoded_bytes = plain.chunk.encoded_bytes;
    uint8_t *payload = NULL;
    uint8_t *made = dms_alloc_aligned(64, (size_t)plain.chunk.decoded_bytes);
    int status = made ? read_payload(place, &payload) : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        status = dms_chunk_decode(column, &plain, payload, NULL, false, made);
    }
    free(payload);
    if (status != 0) {
        free(made);
        return status;
    }
    *entries = made;
    return 0;
}

/* Draws the mask of one row again. */
static int draw_mask(const struct dms_column *column, const uint8_t *entry, uint64_t id,
                     uint8_t *mask)
{
    uint32_t generator = dms_load_u32(entry + 12);
    if (generator != DMS_SAMPLE_PHILOX_FLOYD) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "mask generator %" PRIu32 " of model %" PRIu64 " is not known", generator,
                        id);
    }
    return dms_sample_mask(column->target_ct, dms_load_u32(entry + 8), dms_load_u64(entry), id,
                           mask);
}

/* Reads a sampled chunk and draws the rows that are wanted, and no others: drawing is the expensive
 * part. */
static int read_sampled(const struct dms_snapshot *snapshot, const struct dms_column *column,
                        const struct dms_chunk_place *place, const struct tile_part *part)
{
    uint8_t *entries = NULL;
    uint8_t *mask = dms_alloc((size_t)dms_column_packed_bytes(column, column->target_ct), 1);
    uint64_t *ids = dms_alloc(place->block.chunk.row_ct, sizeof *ids);
    int status =
        mask && ids ? dms_snapshot_group_ids(snapshot, part->group, ids) : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        status = read_entries(column, place, &entries);
    }
    for (uint32_t k = 0; status == 0 && k < part->bits.row_ct; k++) {
        size_t row = (size_t)part->row + k;
        status = draw_mask(column, entries + row * DMS_SAMPLED_ENTRY_BYTES, ids[row], mask);
        if (status == 0) {
            struct dms_rows_in_memory into = {part->to.data + k * part->to.stride, part->to.stride,
                                              part->to.bit};
            dms_rows_copy(into, (struct dms_rows_in_memory){mask, 0, part->bit},
                          (struct dms_row_bits){1, part->bits.bit_ct});
        }
    }
    free(entries);
    free(mask);
    free(ids);
    return status;
}

/* ---- tiles ---- */

/* Reads a part of a chunk that was not verified before, or has to be decoded every time. */
static int read_new_part(const struct dms_snapshot *snapshot, const struct tile_part *part,
                         uint32_t *stride)
{
    const struct dms_column *column = &snapshot->catalog.schema->columns[part->column];
    struct dms_chunk_place place;
    int status = dms_snapshot_chunk_place(snapshot, part->group, part->column, part->tile, &place);
    if (status != 0) {
        return status;
    }
    const struct dms_chunk_fields *chunk = &place.block.chunk;
    if (dms_chunk_is_raw(chunk)) {
        status = dms_snapshot_verify_raw(&place);
        *stride = chunk->row_stride;
    } else if (chunk->encoding == DMS_ENCODING_SAMPLED) {
        status = read_sampled(snapshot, column, &place, part);
    } else {
        status = read_compressed(column, &place, part);
    }
    return status ? dms_snapshot_fail_chunk(snapshot, status, part->group, part->column, part->tile)
                  : 0;
}

static int read_tile_part(const struct dms_snapshot *snapshot, struct dms_tile_directory *directory,
                          uint64_t segment, const struct tile_part *part)
{
    struct dms_tile_entry *entry = &directory->tiles[part->tile];
    uint32_t stride = atomic_load_explicit(&entry->verified_stride, memory_order_relaxed);
    struct dms_snapshot_file *file;
    uint64_t committed_bytes;
    if (stride == 0) {
        int status = read_new_part(snapshot, part, &stride);
        if (status != 0 || stride == 0) {
            return status;
        }
    }
    int status = dms_snapshot_file(snapshot, segment, &file, &committed_bytes);
    if (status == 0) {
        uint64_t offset = entry->offset + DMS_BLOCK_HEADER_BYTES + (uint64_t)part->row * stride;
        status = dms_rows_read(file, offset, stride, part->bit, part->bits, part->to);
    }
    return status ? dms_snapshot_fail_chunk(snapshot, status, part->group, part->column, part->tile)
                  : 0;
}

static int read_sealed(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                       uint32_t row, uint32_t row_ct, uint64_t target, uint64_t target_ct,
                       uint8_t *rows)
{
    const struct dms_column *described = &snapshot->catalog.schema->columns[column];
    size_t target_bits = (size_t)described->values_per_target * described->element_bits;
    struct dms_tile_directory *directory;
    int status = dms_snapshot_directory(snapshot, group, column, &directory);
    if (status != 0 || !directory) {
        return status;
    }
    uint64_t segment =
        dms_group_record_column(&snapshot->catalog.groups[group], described->id)->segment;
    for (uint64_t at = target; status == 0 && at < target + target_ct;) {
        uint64_t in_tile = at % described->tile_targets;
        uint64_t here = described->tile_targets - in_tile;
        here = here < target + target_ct - at ? here : target + target_ct - at;
        struct tile_part part = {
            .group = group,
            .column = column,
            .tile = (uint32_t)(at / described->tile_targets),
            .row = row,
            .bits = {row_ct, (size_t)here * target_bits},
            .bit = (size_t)in_tile * target_bits,
            .to = {rows, (size_t)dms_column_packed_bytes(described, target_ct),
                   (size_t)(at - target) * target_bits},
        };
        status = read_tile_part(snapshot, directory, segment, &part);
        at += here;
    }
    return status;
}

/* ---- what callers see ---- */

static int check_request(const struct dms_snapshot *snapshot, size_t group, uint32_t column,
                         uint32_t row, uint32_t row_ct, uint64_t target, uint64_t target_ct)
{
    int status = dms_snapshot_check_column(snapshot, column);
    if (status == 0) {
        status = dms_snapshot_check_rows(snapshot, group, row, row_ct);
    }
    if (status != 0) {
        return status;
    }
    const struct dms_column *described = &snapshot->catalog.schema->columns[column];
    if (described->kind == DMS_COLUMN_ID) {
        return dms_fail(DMS_ERR_INVALID,
                        "the model ids are no values: read them with dms_snapshot_group_ids");
    }
    if (target > described->target_ct || target_ct > described->target_ct - target) {
        return dms_fail(DMS_ERR_INVALID,
                        "%" PRIu64 " targets from %" PRIu64
                        " on are out of range: column %s has %" PRIu64,
                        target_ct, target, described->name, described->target_ct);
    }
    return 0;
}

int dms_snapshot_read_packed(struct dms_snapshot *snapshot, size_t group, uint32_t column,
                             uint32_t row, uint32_t row_ct, uint64_t target, uint64_t target_ct,
                             uint8_t *rows)
{
    int status = check_request(snapshot, group, column, row, row_ct, target, target_ct);
    if (status != 0) {
        return status;
    }
    const struct dms_column *described = &snapshot->catalog.schema->columns[column];
    memset(rows, 0, (size_t)dms_column_packed_bytes(described, target_ct) * row_ct);
    return dms_snapshot_sealed_group(snapshot, group)
               ? read_sealed(snapshot, group, column, row, row_ct, target, target_ct, rows)
               : dms_snapshot_staged_packed(snapshot, group, column, row, row_ct, target, target_ct,
                                            rows);
}

int dms_snapshot_read_masks(dms_snapshot *snapshot, size_t group, uint32_t row, uint32_t row_ct,
                            uint8_t *masks)
{
    return dms_snapshot_read_packed(snapshot, group, DMS_SCHEMA_MASK_COLUMN, row, row_ct, 0,
                                    snapshot->catalog.schema->example_ct, masks);
}

/* Reads values of type bool, and makes a byte of every bit. */
static int read_flags(struct dms_snapshot *snapshot, size_t group, uint32_t column, uint32_t row,
                      uint32_t row_ct, uint64_t target, uint64_t target_ct, uint8_t *values)
{
    int status = check_request(snapshot, group, column, row, row_ct, target, target_ct);
    if (status != 0) {
        return status;
    }
    const struct dms_column *described = &snapshot->catalog.schema->columns[column];
    size_t row_bytes = (size_t)dms_column_packed_bytes(described, target_ct);
    size_t value_ct = (size_t)(target_ct * described->values_per_target);
    uint8_t *packed = dms_alloc_aligned(64, row_bytes * row_ct + 1);
    if (!packed) {
        return DMS_ERR_NO_MEMORY;
    }
    status =
        dms_snapshot_read_packed(snapshot, group, column, row, row_ct, target, target_ct, packed);
    for (uint32_t k = 0; status == 0 && k < row_ct; k++) {
        dms_kernels_get()->unpack_bits(packed + k * row_bytes, value_ct, values + k * value_ct);
    }
    free(packed);
    return status;
}

int dms_snapshot_read_values(dms_snapshot *snapshot, size_t group, uint32_t column, uint32_t row,
                             uint32_t row_ct, uint64_t target, uint64_t target_ct, void *values)
{
    int status = dms_snapshot_check_column(snapshot, column);
    if (status != 0) {
        return status;
    }
    const struct dms_column *described = &snapshot->catalog.schema->columns[column];
    if (described->kind == DMS_COLUMN_MASK) {
        return dms_fail(DMS_ERR_INVALID,
                        "masks are no values: read them with dms_snapshot_read_masks");
    }
    return described->dtype == DMS_BOOL
               ? read_flags(snapshot, group, column, row, row_ct, target, target_ct, values)
               : dms_snapshot_read_packed(snapshot, group, column, row, row_ct, target, target_ct,
                                          values);
}

int dms_snapshot_read_sampling(struct dms_snapshot *snapshot, size_t group, uint32_t row,
                               uint32_t row_ct, uint8_t *entries, bool *all_sampled)
{
    const uint32_t column = DMS_SCHEMA_MASK_COLUMN;
    int status = dms_snapshot_check_rows(snapshot, group, row, row_ct);
    if (status != 0) {
        return status;
    }
    if (!dms_snapshot_sealed_group(snapshot, group)) {
        return dms_snapshot_staged_sampling(snapshot, group, row, row_ct, entries, all_sampled);
    }
    struct dms_chunk_place place;
    status = dms_snapshot_chunk_place(snapshot, group, column, 0, &place);
    if (status != 0) {
        return status;
    }
    if (place.block.chunk.encoding != DMS_ENCODING_SAMPLED) {
        *all_sampled = false;
        return 0;
    }
    uint8_t *all;
    status = read_entries(&snapshot->catalog.schema->columns[column], &place, &all);
    if (status != 0) {
        return dms_snapshot_fail_chunk(snapshot, status, group, column, 0);
    }
    memcpy(entries, all + (size_t)row * DMS_SAMPLED_ENTRY_BYTES,
           (size_t)row_ct * DMS_SAMPLED_ENTRY_BYTES);
    free(all);
    *all_sampled = true;
    return 0;
}
