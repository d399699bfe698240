/*
 * Segment files: see segment.h.
 */
#include "store/segment.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "format/schema.h"
#include "store/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

int dms_uuid_make(uint8_t uuid[DMS_UUID_BYTES])
{
    ssize_t got;
    do {
        got = getrandom(uuid, DMS_UUID_BYTES, 0);
    } while (got < 0 && errno == EINTR);
    return got == DMS_UUID_BYTES ? 0 : dms_fail_errno("cannot read random bytes");
}

uint64_t dms_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- writing ---- */

static int add_segment_block(struct dms_segment_writer *writer,
                             const uint8_t store_uuid[DMS_UUID_BYTES],
                             const struct dms_schema *schema, uint64_t features)
{
    bool is_for_readers = writer->kind >= DMS_SEGMENT_MANIFEST;
    struct dms_segment_fields fields = {
        .number = writer->number,
        .major = DMS_FORMAT_MAJOR,
        .minor = DMS_FORMAT_MINOR,
        .features_read_only = is_for_readers ? 0 : features,
        .features_incompatible = is_for_readers ? features : 0,
        .created_ns = dms_now_ns(),
        .kind = writer->kind,
    };
    struct dms_buffer encoded = {0};
    struct dms_buffer payload = {0};
    memcpy(fields.store_uuid, store_uuid, DMS_UUID_BYTES);
    memcpy(fields.segment_uuid, writer->uuid, DMS_UUID_BYTES);
    int status = schema ? dms_schema_encode(schema, &encoded) : 0;
    if (status == 0) {
        fields.schema = encoded.data;
        fields.schema_bytes = (uint32_t)encoded.size;
        status = dms_segment_fields_encode(&fields, &payload);
    }
    if (status == 0) {
        struct dms_block block = {.type = DMS_BLOCK_SEGMENT};
        status = dms_segment_add(writer, &block, payload.data, payload.size);
    }
    if (status == 0) {
        writer->committed = dms_segment_end(writer);
        dms_buffer_clear(&writer->header_hashes);
    }
    dms_buffer_free(&encoded);
    dms_buffer_free(&payload);
    return status;
}

/* Holds the file for as long as it is open. BUSY when another process does. */
static int lock_bulk(const struct dms_segment_writer *writer)
{
    if (flock(writer->descriptor, LOCK_EX | LOCK_NB) == 0) {
        return 0;
    }
    return errno == EWOULDBLOCK
               ? dms_fail(DMS_ERR_BUSY, "another process writes to '%s'", writer->path)
               : dms_fail_errno("cannot lock '%s'", writer->path);
}

int dms_segment_create_at(const char *path, const uint8_t store_uuid[DMS_UUID_BYTES],
                          uint64_t number, enum dms_segment_kind kind,
                          const struct dms_schema *schema, uint64_t features,
                          struct dms_segment_writer *writer)
{
    struct dms_segment_writer made = {
        .number = number, .kind = kind, .descriptor = -1, .is_new = true};
    int status = dms_uuid_make(made.uuid);
    if (status != 0) {
        return status;
    }
    made.path = dms_strdup(path);
    if (!made.path) {
        return DMS_ERR_NO_MEMORY;
    }
    made.descriptor = dms_open(path, O_RDWR | O_CREAT | O_EXCL, 0664);
    if (made.descriptor < 0) {
        status = made.descriptor;
    } else {
        status = kind == DMS_SEGMENT_BULK ? lock_bulk(&made) : 0;
        status = status ? status : add_segment_block(&made, store_uuid, schema, features);
    }
    if (status != 0) {
        if (made.descriptor >= 0) {
            dms_file_remove(path);
        }
        dms_segment_writer_close(&made);
        return status;
    }
    *writer = made;
    return 0;
}

int dms_segment_create(const char *store_path, const uint8_t store_uuid[DMS_UUID_BYTES],
                       uint64_t number, enum dms_segment_kind kind, const struct dms_schema *schema,
                       uint64_t features, struct dms_segment_writer *writer)
{
    char *path = dms_path_segment(store_path, number);
    if (!path) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = dms_segment_create_at(path, store_uuid, number, kind, schema, features, writer);
    free(path);
    return status;
}

static int cut_orphan(const struct dms_segment_writer *writer, uint64_t *orphan_bytes)
{
    uint64_t size;
    int status = dms_file_size(writer->descriptor, writer->path, &size);
    if (status != 0) {
        return status;
    }
    if (size < writer->committed) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "segment '%s' ends at %" PRIu64 ", %" PRIu64
                        " bytes were committed: run 'dmstore verify'",
                        writer->path, size, writer->committed);
    }
    *orphan_bytes = size - writer->committed;
    return *orphan_bytes > 0
               ? dms_file_truncate(writer->descriptor, writer->path, writer->committed)
               : 0;
}

int dms_segment_reopen(const char *store_path, const struct dms_segment_record *record,
                       struct dms_segment_writer *writer, uint64_t *orphan_bytes)
{
    struct dms_segment_writer made = {
        .number = record->number,
        .kind = record->kind,
        .committed = record->committed_bytes,
        .written = record->committed_bytes,
        .descriptor = -1,
    };
    memcpy(made.uuid, record->uuid, DMS_UUID_BYTES);
    made.path = dms_path_segment(store_path, record->number);
    if (!made.path) {
        return DMS_ERR_NO_MEMORY;
    }
    made.descriptor = dms_open(made.path, O_RDWR, 0);
    int status = made.descriptor < 0 ? made.descriptor : 0;
    if (status == 0 && made.kind == DMS_SEGMENT_BULK) {
        status = lock_bulk(&made);
    }
    if (status == 0) {
        status = cut_orphan(&made, orphan_bytes);
    }
    if (status != 0) {
        dms_segment_writer_close(&made);
        return status;
    }
    *writer = made;
    return 0;
}

void dms_segment_writer_close(struct dms_segment_writer *writer)
{
    if (writer->path) {
        dms_close(writer->descriptor);
        free(writer->path);
        dms_buffer_free(&writer->pending);
        dms_buffer_free(&writer->header_hashes);
        *writer = (struct dms_segment_writer){.descriptor = -1};
    }
}

static int remember_block(struct dms_segment_writer *writer, const struct dms_block *block)
{
    uint8_t hash[8];
    dms_store_u64(hash, block->header_hash);
    return dms_buffer_append(&writer->header_hashes, hash, sizeof hash);
}

int dms_segment_add(struct dms_segment_writer *writer, struct dms_block *block, const void *payload,
                    size_t payload_bytes)
{
    block->segment = writer->number;
    block->offset = dms_segment_end(writer);
    size_t before = writer->pending.size;
    int status = dms_block_append(&writer->pending, block, payload, payload_bytes);
    if (status == 0) {
        status = remember_block(writer, block);
    }
    if (status != 0) {
        writer->pending.size = before;
    }
    return status;
}

int dms_segment_add_framed(struct dms_segment_writer *writer, struct dms_block *block,
                           uint8_t *framed)
{
    int status = dms_segment_flush(writer);
    if (status != 0) {
        return status;
    }
    block->segment = writer->number;
    block->offset = writer->written;
    dms_block_encode(block, framed);
    size_t extent = (size_t)dms_block_extent(block);
    size_t used = DMS_BLOCK_HEADER_BYTES + (size_t)block->payload_bytes;
    memset(framed + used, 0, extent - used);
    status = dms_pwrite_full(writer->descriptor, writer->path, framed, extent, writer->written);
    if (status == 0) {
        writer->written += extent;
        status = remember_block(writer, block);
    }
    return status;
}

int dms_segment_flush(struct dms_segment_writer *writer)
{
    if (writer->pending.size == 0) {
        return 0;
    }
    int status = dms_pwrite_full(writer->descriptor, writer->path, writer->pending.data,
                                 writer->pending.size, writer->written);
    if (status == 0) {
        writer->written += writer->pending.size;
        dms_buffer_clear(&writer->pending);
    }
    return status;
}

struct dms_segment_mark dms_segment_mark(const struct dms_segment_writer *writer)
{
    return (struct dms_segment_mark){dms_segment_end(writer), writer->header_hashes.size};
}

void dms_segment_rollback(struct dms_segment_writer *writer, struct dms_segment_mark mark)
{
    writer->header_hashes.size = mark.hash_bytes;
    if (mark.end >= writer->written) {
        writer->pending.size = (size_t)(mark.end - writer->written);
        return;
    }
    dms_buffer_clear(&writer->pending);
    struct dms_error_state failure;
    dms_error_save(&failure);
    /* Where this fails, the next writer cuts the tail as an orphan. */
    (void)dms_file_truncate(writer->descriptor, writer->path, mark.end);
    dms_error_restore(&failure);
    writer->written = mark.end;
}

/* ---- reading ---- */

/* Lets this process open as many files as the administrator allows. */
static bool raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) {
        return false;
    }
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

int dms_segment_open(const char *path)
{
    int descriptor = dms_open(path, O_RDONLY, 0);
    if (descriptor < 0 && errno == EMFILE && raise_descriptor_limit()) {
        descriptor = dms_open(path, O_RDONLY, 0);
    }
    return descriptor < 0 && errno == EMFILE
               ? dms_fail_prefix(descriptor, "raise the limit of open files (ulimit -n)")
               : descriptor;
}

int dms_block_read_header(int descriptor, const char *path, uint64_t segment, uint64_t offset,
                          uint64_t limit, struct dms_block *block)
{
    if (offset % DMS_BLOCK_ALIGNMENT != 0 || offset > limit ||
        limit - offset < DMS_BLOCK_HEADER_BYTES) {
        return dms_fail(DMS_ERR_CORRUPT, "segment '%s': no block can begin at offset 0x%" PRIx64,
                        path, offset);
    }
    uint8_t header[DMS_BLOCK_HEADER_BYTES];
    int status = dms_pread_full(descriptor, path, header, sizeof header, offset);
    if (status != 0) {
        return status;
    }
    struct dms_block decoded;
    status = dms_block_decode(header, segment, offset, &decoded);
    if (status != 0) {
        return dms_fail_prefix(status, "segment '%s'", path);
    }
    if (dms_block_extent(&decoded) > limit - offset) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "segment '%s': block at offset 0x%" PRIx64
                        " reaches beyond the committed %" PRIu64 " bytes",
                        path, offset, limit);
    }
    *block = decoded;
    return 0;
}

int dms_block_read_payload(int descriptor, const char *path, const struct dms_block *block,
                           uint8_t *payload)
{
    size_t bytes = (size_t)block->payload_bytes;
    int status =
        dms_pread_full(descriptor, path, payload, bytes, block->offset + DMS_BLOCK_HEADER_BYTES);
    if (status == 0 && dms_hash64(payload, bytes) != block->payload_hash) {
        status = dms_fail(DMS_ERR_CORRUPT,
                          "segment '%s': checksum mismatch in the block at offset 0x%" PRIx64, path,
                          block->offset);
    }
    return status;
}

int dms_segment_read_fields(int descriptor, const char *path, uint64_t number,
                            struct dms_buffer *payload, struct dms_segment_fields *fields,
                            uint64_t *extent)
{
    uint64_t size;
    struct dms_block block;
    int status = dms_file_size(descriptor, path, &size);
    if (status == 0) {
        status = dms_block_read_header(descriptor, path, number, 0,
                                       dms_align(size, DMS_BLOCK_ALIGNMENT), &block);
    }
    if (status != 0) {
        return status;
    }
    dms_buffer_clear(payload);
    status = dms_buffer_append_zeros(payload, (size_t)block.payload_bytes);
    if (status == 0) {
        status = dms_block_read_payload(descriptor, path, &block, payload->data);
    }
    if (status == 0) {
        status = dms_segment_fields_decode(payload->data, payload->size, fields);
        if (status != 0) {
            return dms_fail_prefix(status, "segment '%s'", path);
        }
        if (fields->number != number) {
            return dms_fail(DMS_ERR_CORRUPT, "segment '%s' says it is number %" PRIu64, path,
                            fields->number);
        }
        *extent = dms_block_extent(&block);
    }
    return status;
}
