/*
 * A part of a fit as a file of its own (SPEC.md section 10.3): a segment block, a fit block and a
 * part block; from a job that cannot write the store to dmstore merge-fits.
 */
#include "store/fit_part.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "format/layout.h"
#include "store/paths.h"
#include "store/scan.h"
#include "store/survey.h"

#include <fcntl.h>
#include <stdlib.h>

/* ---- saving ---- */

static int write_blocks(struct dms_coded_part *coded, struct dms_segment_writer *writer)
{
    struct dms_block header = {.type = DMS_BLOCK_FIT};
    int status = dms_segment_add(writer, &header, coded->header.data, coded->header.size);
    status = status ? status : dms_segment_add_framed(writer, &coded->block, coded->framed);
    return status ? status : dms_file_sync(writer->descriptor, writer->path);
}

int dms_fit_part_save(const dms_fit_part *part, const char *path)
{
    struct dms_segment_writer writer = {.descriptor = -1};
    struct dms_coded_part coded = {0};
    bool is_there = false;
    char *directory = dms_path_parent(path);
    char *temporary = dms_path_temporary(path);
    int status = directory && temporary ? dms_file_check_replaceable(path) : DMS_ERR_NO_MEMORY;
    status = status ? status : dms_fit_part_code(part, &coded);
    if (status == 0) {
        status = dms_segment_create_at(temporary, part->header->store_uuid, 0, DMS_SEGMENT_FIT_PART,
                                       NULL, DMS_FEATURE_FITS, &writer);
        is_there = status == 0;
    }
    status = status ? status : write_blocks(&coded, &writer);
    if (status == 0) {
        status = dms_file_rename(temporary, path);
        is_there = status != 0;
    }
    status = status ? status : dms_directory_sync(directory);
    if (is_there) {
        struct dms_error_state failure;
        dms_error_save(&failure);
        (void)dms_file_remove(temporary);
        dms_error_restore(&failure);
    }
    dms_segment_writer_close(&writer);
    dms_coded_part_clear(&coded);
    free(directory);
    free(temporary);
    return status;
}

/* ---- loading ---- */

struct part_file {
    const char *path;
    int descriptor;
    uint64_t size;
    uint64_t at; /* the end of what was read */
};

/* Reads the block at file->at, which must be of a type; *payload is the caller's. */
static int read_block(struct part_file *file, enum dms_block_type type, struct dms_block *block,
                      uint8_t **payload)
{
    int status =
        dms_block_read_header(file->descriptor, file->path, 0, file->at, file->size, block);
    if (status == 0 && block->type != type) {
        status = dms_fail(DMS_ERR_CORRUPT, "its blocks are not those of a part of a fit");
    }
    if (status != 0) {
        return status;
    }
    uint8_t *read =
        dms_alloc_aligned(DMS_BLOCK_ALIGNMENT, (size_t)dms_block_extent(block)); /* > payload */
    status =
        read ? dms_scan_read_payload(file->descriptor, file->path, block, read) : DMS_ERR_NO_MEMORY;
    if (status != 0) {
        free(read);
        return status;
    }
    file->at += dms_block_extent(block);
    *payload = read;
    return 0;
}

static int read_header(struct part_file *file, struct dms_fit_header **header,
                       struct dms_hash128 *header_hash)
{
    struct dms_block block;
    uint8_t *payload = NULL;
    int status = read_block(file, DMS_BLOCK_FIT, &block, &payload);
    if (status == 0) {
        *header_hash = dms_hash128(payload, (size_t)block.payload_bytes);
        status = dms_fit_header_decode(payload, (size_t)block.payload_bytes, header);
    }
    free(payload);
    return status;
}

/* Makes a part of a checked payload. */
static int take_targets(const struct dms_fit_header *header, const struct dms_fit_part_view *view,
                        dms_fit_part **part)
{
    struct dms_metadata *provenance;
    dms_fit_part *made = NULL;
    int status = dms_fit_part_view_provenance(view, &provenance);
    if (status != 0) {
        return status;
    }
    status = dms_fit_part_create(header, provenance, view->provenance_ct, &made);
    free(provenance);
    for (size_t k = 0; status == 0 && k < view->target_ct; k++) {
        struct dms_fitted_target target;
        dms_fit_part_view_target(view, k, &target);
        status = dms_fit_part_add(made, &target);
    }
    if (status != 0) {
        dms_fit_part_free(made);
        return status;
    }
    *part = made;
    return 0;
}

static int read_targets(struct part_file *file, const struct dms_fit_header *header,
                        struct dms_hash128 header_hash, dms_fit_part **part)
{
    struct dms_block block;
    struct dms_fit_part_view view;
    uint8_t *payload = NULL;
    int status = read_block(file, DMS_BLOCK_FIT_PART, &block, &payload);
    status = status ? status : dms_fit_part_view(payload, (size_t)block.payload_bytes, &view);
    if (status == 0 && (view.header_hash.low != header_hash.low ||
                        view.header_hash.high != header_hash.high || file->at != file->size)) {
        status = dms_fail(DMS_ERR_CORRUPT, "its blocks do not belong together");
    }
    status = status ? status : dms_fit_part_check(payload, &view);
    status = status ? status : take_targets(header, &view, part);
    free(payload);
    return status;
}

static int check_beginning(struct part_file *file)
{
    struct dms_block block;
    struct dms_segment_fields fields;
    uint8_t *payload = NULL;
    int status = read_block(file, DMS_BLOCK_SEGMENT, &block, &payload);
    status =
        status ? status : dms_segment_fields_decode(payload, (size_t)block.payload_bytes, &fields);
    if (status == 0 && fields.kind != DMS_SEGMENT_FIT_PART) {
        status = dms_fail(DMS_ERR_INVALID, "it is another kind of file");
    }
    free(payload);
    return status;
}

static int load(struct part_file *file, dms_fit_part **part)
{
    struct dms_fit_header *header = NULL;
    struct dms_hash128 header_hash;
    int status = dms_file_size(file->descriptor, file->path, &file->size);
    status = status ? status : check_beginning(file);
    status = status ? status : read_header(file, &header, &header_hash);
    status = status ? status : read_targets(file, header, header_hash, part);
    free(header);
    return status;
}

int dms_fit_part_load(const char *path, dms_fit_part **part)
{
    struct part_file file = {.path = path, .descriptor = dms_open(path, O_RDONLY, 0)};
    if (file.descriptor < 0) {
        return file.descriptor;
    }
    int status = load(&file, part);
    dms_close(file.descriptor);
    return status && status != DMS_ERR_NO_MEMORY
               ? dms_fail_prefix(status, "'%s' is no part of a fit that can be used", path)
               : status;
}
