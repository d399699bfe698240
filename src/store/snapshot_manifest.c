/*
 * Manifests: a snapshot as a file (a segment block and a state block, SPEC.md section 5), from
 * which it is opened again without the index, without a lock and without leave to write.
 */
#include "store/snapshot_parts.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "store/paths.h"
#include "store/segment.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- writing ---- */

static int add_state(const struct dms_snapshot *snapshot, struct dms_segment_writer *writer)
{
    const struct dms_catalog *catalog = &snapshot->catalog;
    struct dms_buffer payload = {0};
    int status = dms_catalog_encode(catalog, catalog->commit_hash, snapshot->path, &payload);
    if (status == 0) {
        struct dms_block block = {.type = DMS_BLOCK_STATE, .state_sequence = catalog->sequence};
        status = dms_segment_add(writer, &block, payload.data, payload.size);
    }
    dms_buffer_free(&payload);
    return status;
}

int dms_snapshot_write_manifest(const dms_snapshot *snapshot, const char *path)
{
    struct dms_segment_writer writer = {.descriptor = -1};
    char *directory = dms_path_parent(path);
    char *temporary = dms_path_temporary(path);
    bool is_there = false;
    int status = directory && temporary ? dms_file_check_replaceable(path) : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        status = dms_segment_create_at(temporary, snapshot->store_uuid, 0, DMS_SEGMENT_MANIFEST,
                                       snapshot->catalog.schema,
                                       dms_catalog_features(&snapshot->catalog), &writer);
        is_there = status == 0;
    }
    if (status == 0) {
        status = add_state(snapshot, &writer);
    }
    if (status == 0) {
        status = dms_segment_flush(&writer);
    }
    if (status == 0) {
        status = dms_file_sync(writer.descriptor, temporary);
    }
    if (status == 0) {
        status = dms_file_rename(temporary, path);
        is_there = status != 0;
    }
    if (status == 0) {
        status = dms_directory_sync(directory);
    }
    if (is_there) {
        unlink(temporary);
    }
    dms_segment_writer_close(&writer);
    free(directory);
    free(temporary);
    return status;
}

/* ---- opening ---- */

/* Checks that the padding of a block, from the end of its payload on, is zero. */
static int check_padding(int descriptor, const char *path, uint64_t from, uint64_t to)
{
    static const uint8_t zeros[DMS_BLOCK_ALIGNMENT];
    uint8_t padding[DMS_BLOCK_ALIGNMENT];
    size_t bytes = (size_t)(to - from);
    int status = dms_pread_full(descriptor, path, padding, bytes, from);
    if (status == 0 && memcmp(padding, zeros, bytes) != 0) {
        status = dms_fail(DMS_ERR_CORRUPT, "its padding at offset 0x%" PRIx64 " is not zero", from);
    }
    return status;
}

/* Reads the state block that ends the file. */
static int read_state(int descriptor, const char *path, uint64_t offset,
                      struct dms_catalog *catalog, char **store_path)
{
    uint64_t size;
    struct dms_block block;
    uint8_t *payload = NULL;
    int status = dms_file_size(descriptor, path, &size);
    if (status == 0) {
        status = dms_block_read_header(descriptor, path, 0, offset, size, &block);
    }
    if (status == 0 &&
        (block.type != DMS_BLOCK_STATE || offset + dms_block_extent(&block) != size)) {
        status = dms_fail(DMS_ERR_CORRUPT, "it is not one state long");
    }
    if (status == 0) {
        payload = dms_alloc_aligned(64, (size_t)block.payload_bytes + 1);
        status =
            payload ? dms_block_read_payload(descriptor, path, &block, payload) : DMS_ERR_NO_MEMORY;
    }
    if (status == 0) {
        status = check_padding(descriptor, path,
                               offset + DMS_BLOCK_HEADER_BYTES + block.payload_bytes, size);
    }
    if (status == 0) {
        status = dms_catalog_decode(payload, (size_t)block.payload_bytes, catalog, store_path);
    }
    if (status == 0 && catalog->sequence != block.state_sequence) {
        status = dms_fail(DMS_ERR_CORRUPT, "its header and its state disagree");
    }
    free(payload);
    return status;
}

/* Reads all of a manifest. The caller owns *catalog and *store_path, which may be set also after a
 * failure. */
static int read_manifest(const char *path, uint8_t store_uuid[DMS_UUID_BYTES],
                         struct dms_catalog *catalog, char **store_path)
{
    int descriptor = dms_open(path, O_RDONLY, 0);
    if (descriptor < 0) {
        return descriptor;
    }
    struct dms_buffer payload = {0};
    struct dms_segment_fields fields;
    uint64_t extent;
    int status = dms_segment_read_fields(descriptor, path, 0, &payload, &fields, &extent);
    if (status == 0 && fields.kind != DMS_SEGMENT_MANIFEST) {
        status = dms_fail(DMS_ERR_INVALID, "it is another kind of file");
    }
    if (status == 0) {
        memcpy(store_uuid, fields.store_uuid, DMS_UUID_BYTES);
        status = check_padding(descriptor, path, DMS_BLOCK_HEADER_BYTES + payload.size, extent);
    }
    if (status == 0) {
        status = read_state(descriptor, path, extent, catalog, store_path);
    }
    dms_buffer_free(&payload);
    dms_close(descriptor);
    return status ? dms_fail_prefix(status, "'%s' is no manifest that can be used", path) : 0;
}

/* Whether the directory is the store that the manifest is about, as far as its first segment tells.
 */
static bool is_store(const char *store_path, const uint8_t store_uuid[DMS_UUID_BYTES],
                     const struct dms_catalog *catalog)
{
    if (catalog->segment_ct == 0) {
        return true;
    }
    struct dms_buffer payload = {0};
    struct dms_segment_fields fields;
    uint64_t extent;
    uint64_t number = catalog->segments[0].number;
    char *path = dms_path_segment(store_path, number);
    int descriptor = path ? dms_open(path, O_RDONLY, 0) : -1;
    bool is = descriptor >= 0 &&
              dms_segment_read_fields(descriptor, path, number, &payload, &fields, &extent) == 0 &&
              memcmp(fields.store_uuid, store_uuid, DMS_UUID_BYTES) == 0;
    dms_close(descriptor);
    dms_buffer_free(&payload);
    free(path);
    return is;
}

/* Opens all segments and checks that they are the ones meant. */
static int open_segments(struct dms_snapshot *snapshot)
{
    int status = dms_snapshot_open_files(snapshot);
    for (size_t k = 0; status == 0 && k < snapshot->catalog.segment_ct; k++) {
        struct dms_snapshot_file *file;
        uint64_t committed_bytes;
        status = dms_snapshot_file(snapshot, snapshot->catalog.segments[k].number, &file,
                                   &committed_bytes);
    }
    return status;
}

int dms_snapshot_open_manifest(const char *path, struct dms_snapshot **snapshot)
{
    uint8_t store_uuid[DMS_UUID_BYTES];
    struct dms_catalog catalog = {0};
    char *store_path = NULL;
    struct dms_snapshot *made = NULL;
    char *beside = dms_path_parent(path);
    int status =
        beside ? read_manifest(path, store_uuid, &catalog, &store_path) : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        /* A store that was moved or mounted elsewhere has its manifest in it, or is not found. */
        bool has_moved =
            !is_store(store_path, store_uuid, &catalog) && is_store(beside, store_uuid, &catalog);
        status = dms_snapshot_make(has_moved ? beside : store_path, store_uuid, &catalog, &made);
        if (status == 0) {
            status = open_segments(made);
        }
        if (status != 0) {
            status =
                dms_fail_prefix(status, "cannot open the store that manifest '%s' is about", path);
        }
    }
    free(store_path);
    free(beside);
    dms_catalog_clear(&catalog);
    if (status != 0) {
        dms_snapshot_close(made);
        return status;
    }
    *snapshot = made;
    return 0;
}
