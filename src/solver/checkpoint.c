/*
 * Writes and reads checkpoints; see checkpoint.h.
 *
 * The file: magic, then six little-endian 64-bit numbers (whether there is a state, bytes of
 * identity, results and state, count of results, 0), identity, results, state, and XXH3-128 of all
 * of this. Arrays of results and the state are as in memory, since a fit goes on on the kind of
 * machine where it was stopped.
 */
#include "solver/checkpoint.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* For another run of the same job that writes its checkpoint: how long to wait before looking
 * again, and how often. */
#define WAIT_NS 50000000
#define WAITS 200

static const char magic[8] = {'D', 'M', 'S', 'F', 'I', 'T', 'C', '1'};

enum { HEADER_BYTES = 56, HASH_BYTES = 16, RESULT_HEADER_BYTES = 96 };

void dms_checkpoint_free(struct dms_checkpoint *checkpoint)
{
    dms_buffer_free(&checkpoint->identity);
    dms_buffer_free(&checkpoint->results);
    dms_buffer_free(&checkpoint->state);
}

int dms_checkpoint_identify(struct dms_checkpoint *checkpoint, const char *key, const char *value)
{
    char *line = dms_format("%s = %s\n", key, value);
    struct dms_buffer *identity = &checkpoint->identity;
    int code = line ? 0 : DMS_ERR_NO_MEMORY;

    if (identity->size > 0)
        identity->size--; /* the zero byte */
    if (code == 0)
        code = dms_buffer_append(identity, line, strlen(line) + 1);
    free(line);
    return code;
}

/* ---- results ---- */

/* A double's bits as an integer, and back. */
static uint64_t bits_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static double double_of(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

static int add_header(struct dms_buffer *results, const struct dms_fitted_target *target)
{
    const uint64_t fields[RESULT_HEADER_BYTES / 8] = {
        target->target,          target->flags,        bits_of(target->bias),
        bits_of(target->lambda), bits_of(target->gap), bits_of(target->null_deviance),
        bits_of(target->mean),   target->row_ct,       target->weight_ct,
        target->path_ct,         target->chosen,       0,
    };
    uint8_t bytes[RESULT_HEADER_BYTES];

    for (size_t i = 0; i < RESULT_HEADER_BYTES / 8; i++)
        dms_store_u64(bytes + 8 * i, fields[i]);
    return dms_buffer_append(results, bytes, sizeof(bytes));
}

/* The arrays of 8-byte values come first, so that all are aligned. */
int dms_checkpoint_add(struct dms_checkpoint *checkpoint, const struct dms_fitted_target *target)
{
    struct dms_buffer *results = &checkpoint->results;
    size_t before = results->size;
    int code = add_header(results, target);

    if (code == 0)
        code = dms_buffer_append(results, target->weights, 8 * target->weight_ct);
    if (code == 0)
        code = dms_buffer_append(results, target->path_lambdas, 8 * target->path_ct);
    if (code == 0)
        code = dms_buffer_append(results, target->path_errors, 8 * target->path_ct);
    if (code == 0)
        code = dms_buffer_append(results, target->path_gaps, 8 * target->path_ct);
    if (code == 0)
        code = dms_buffer_append(results, target->examples, 4 * target->weight_ct);
    if (code == 0)
        code = dms_buffer_append(results, target->path_weight_cts, 4 * target->path_ct);
    if (code == 0)
        code = dms_buffer_align(results, 8);
    if (code < 0) {
        results->size = before;
        return code;
    }
    checkpoint->result_ct++;
    return 0;
}

/* The result at `at`, with its arrays in place; *bytes: its length. False: it does not fit into
 * the `left` bytes there are. */
static bool result_at(const uint8_t *at, size_t left, struct dms_fitted_target *target,
                      size_t *bytes)
{
    uint64_t fields[RESULT_HEADER_BYTES / 8];
    size_t weight_ct, path_ct, total;

    if (left < RESULT_HEADER_BYTES)
        return false;
    for (size_t i = 0; i < RESULT_HEADER_BYTES / 8; i++)
        fields[i] = dms_load_u64(at + 8 * i);
    weight_ct = (size_t)fields[8];
    path_ct = (size_t)fields[9];
    if (weight_ct > left / 12 || path_ct > left / 28)
        return false;
    total = (RESULT_HEADER_BYTES + 12 * weight_ct + 28 * path_ct + 7) / 8 * 8;
    if (total > left)
        return false;
    *target = (struct dms_fitted_target){
        .target = fields[0],
        .flags = (uint32_t)fields[1],
        .bias = double_of(fields[2]),
        .lambda = double_of(fields[3]),
        .gap = double_of(fields[4]),
        .null_deviance = double_of(fields[5]),
        .mean = double_of(fields[6]),
        .row_ct = fields[7],
        .weight_ct = weight_ct,
        .path_ct = path_ct,
        .chosen = (size_t)fields[10],
    };
    target->weights = (const double *)(at + RESULT_HEADER_BYTES);
    target->path_lambdas = target->weights + weight_ct;
    target->path_errors = target->path_lambdas + path_ct;
    target->path_gaps = target->path_errors + path_ct;
    target->examples = (const uint32_t *)(target->path_gaps + path_ct);
    target->path_weight_cts = target->examples + weight_ct;
    *bytes = total;
    return true;
}

int dms_checkpoint_each(const struct dms_checkpoint *checkpoint,
                        int (*function)(void *context, const struct dms_fitted_target *target),
                        void *context)
{
    const uint8_t *at = checkpoint->results.data;
    size_t left = checkpoint->results.size;

    for (uint64_t i = 0; i < checkpoint->result_ct; i++) {
        struct dms_fitted_target target;
        size_t bytes;
        int code;

        if (!result_at(at, left, &target, &bytes))
            return dms_fail(DMS_ERR_CORRUPT, "result %" PRIu64 " of the checkpoint is damaged", i);
        code = function(context, &target);
        if (code < 0)
            return code;
        at += bytes;
        left -= bytes;
    }
    return 0;
}

/* ---- writing ---- */

struct writer {
    int descriptor;
    const char *path;
    uint64_t offset;
    struct dms_hash_stream *hash;
};

static int put(struct writer *writer, const void *data, size_t bytes)
{
    int code = dms_pwrite_full(writer->descriptor, writer->path, data, bytes, writer->offset);

    dms_hash_stream_add(writer->hash, data, bytes);
    writer->offset += bytes;
    return code;
}

static int put_all(struct writer *writer, const struct dms_checkpoint *checkpoint,
                   const void *state, size_t state_bytes)
{
    size_t identity_bytes = checkpoint->identity.size - 1;
    const uint64_t fields[] = {
        state != NULL, identity_bytes,        checkpoint->results.size,
        state_bytes,   checkpoint->result_ct, 0,
    };
    uint8_t header[HEADER_BYTES], hash_bytes[HASH_BYTES];
    struct dms_hash128 hash;
    int code;

    memcpy(header, magic, sizeof(magic));
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        dms_store_u64(header + sizeof(magic) + 8 * i, fields[i]);
    code = put(writer, header, sizeof(header));
    if (code == 0)
        code = put(writer, checkpoint->identity.data, identity_bytes);
    if (code == 0 && checkpoint->results.size > 0)
        code = put(writer, checkpoint->results.data, checkpoint->results.size);
    if (code == 0 && state_bytes > 0)
        code = put(writer, state, state_bytes);
    if (code < 0)
        return code;
    hash = dms_hash_stream_hash128(writer->hash);
    dms_store_u64(hash_bytes, hash.low);
    dms_store_u64(hash_bytes + 8, hash.high);
    return put(writer, hash_bytes, sizeof(hash_bytes));
}

/* Gives the finished file its name, durably. */
static int publish(const char *temporary, const char *path)
{
    char *parent = dms_path_parent(path);
    int code = parent ? dms_file_rename(temporary, path) : DMS_ERR_NO_MEMORY;

    if (code == 0)
        code = dms_directory_sync(parent);
    free(parent);
    return code;
}

/* Opens the temporary file, locked against other runs of the same job: two that write to it at once
 * would give their mixture the name. Waits for the other one. Where files cannot be locked, as on
 * some network file systems, it is opened as it is. */
static int open_temporary(const char *path)
{
    const struct timespec moment = {.tv_nsec = WAIT_NS};
    int code = dms_open_temporary(path);

    for (int i = 0; code == DMS_ERR_BUSY && i < WAITS; i++) {
        nanosleep(&moment, NULL);
        code = dms_open_temporary(path);
    }
    return code >= 0 || code == DMS_ERR_BUSY
               ? code
               : dms_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0666);
}

int dms_checkpoint_write(const struct dms_checkpoint *checkpoint, const char *path,
                         const void *state, size_t state_bytes)
{
    char *temporary = dms_format("%s.tmp", path);
    struct writer writer = {.descriptor = -1, .path = temporary};
    struct dms_error_state failure;
    int code = temporary ? 0 : DMS_ERR_NO_MEMORY;

    writer.hash = dms_hash_stream_create();
    if (!writer.hash)
        code = DMS_ERR_NO_MEMORY;
    if (code == 0)
        code = writer.descriptor = open_temporary(temporary);
    if (code >= 0)
        code = put_all(&writer, checkpoint, state, state_bytes);
    if (code == 0)
        code = dms_file_sync(writer.descriptor, temporary);
    if (code == 0)
        code = publish(temporary, path);
    if (code < 0 && writer.descriptor >= 0) {
        dms_error_save(&failure);
        (void)dms_file_remove(temporary);
        (void)dms_error_restore(&failure);
    }
    dms_close(writer.descriptor);
    dms_hash_stream_free(writer.hash);
    free(temporary);
    return code < 0 ? dms_fail_prefix(code, "cannot write a checkpoint") : 0;
}

/* ---- reading ---- */

static bool hash_is_right(const struct dms_buffer *file)
{
    size_t bytes = file->size - HASH_BYTES;
    struct dms_hash128 hash = dms_hash128(file->data, bytes);

    return dms_load_u64(file->data + bytes) == hash.low &&
           dms_load_u64(file->data + bytes + 8) == hash.high;
}

/* Names the first line in which the identities differ. */
static int compare_identity(const char *path, const char *has, size_t has_bytes, const char *asked)
{
    const char *has_end = has + has_bytes;

    if (has_bytes == strlen(asked) && memcmp(has, asked, has_bytes) == 0)
        return 0;
    while (has < has_end && *asked) {
        const char *line_end = memchr(has, '\n', (size_t)(has_end - has));
        size_t line_bytes = (size_t)((line_end ? line_end : has_end) - has);
        size_t asked_bytes = strcspn(asked, "\n");

        if (line_bytes != asked_bytes || memcmp(has, asked, line_bytes) != 0)
            return dms_fail(DMS_ERR_CONFLICT,
                            "checkpoint '%s' is of another job: it has %.*s, this one has %.*s; "
                            "remove the file to begin anew",
                            path, (int)line_bytes, has, (int)asked_bytes, asked);
        has += line_bytes + 1;
        asked += asked_bytes + 1;
    }
    return dms_fail(DMS_ERR_CONFLICT, "checkpoint '%s' is of another job", path);
}

static int split_file(struct dms_checkpoint *checkpoint, const struct dms_buffer *file,
                      const char *path)
{
    const uint8_t *at = file->data + HEADER_BYTES;
    uint64_t fields[6];
    int code;

    for (size_t i = 0; i < 6; i++)
        fields[i] = dms_load_u64(file->data + sizeof(magic) + 8 * i);
    if (fields[1] > file->size || fields[2] > file->size || fields[3] > file->size ||
        HEADER_BYTES + fields[1] + fields[2] + fields[3] + HASH_BYTES != file->size)
        return dms_fail(DMS_ERR_CORRUPT, "checkpoint '%s' has the wrong length", path);
    code = compare_identity(path, (const char *)at, (size_t)fields[1],
                            (const char *)checkpoint->identity.data);
    at += fields[1];
    if (code == 0 && fields[2] > 0)
        code = dms_buffer_append(&checkpoint->results, at, (size_t)fields[2]);
    at += fields[2];
    if (code == 0 && fields[3] > 0)
        code = dms_buffer_append(&checkpoint->state, at, (size_t)fields[3]);
    checkpoint->has_state = fields[0] != 0;
    checkpoint->result_ct = fields[4];
    return code;
}

int dms_checkpoint_read(struct dms_checkpoint *checkpoint, const char *path)
{
    struct dms_buffer file = {0};
    int code = dms_read_file(path, SIZE_MAX, &file);

    if (code == 0) {
        if (file.size < sizeof(magic) || memcmp(file.data, magic, sizeof(magic)) != 0)
            code =
                dms_fail(DMS_ERR_INVALID, "'%s' is no checkpoint of this version of dmstore", path);
        else if (file.size < HEADER_BYTES + HASH_BYTES || !hash_is_right(&file))
            code = dms_fail(DMS_ERR_CORRUPT,
                            "checkpoint '%s' is damaged: remove it to begin the fit again", path);
        else
            code = split_file(checkpoint, &file, path);
    }
    dms_buffer_free(&file);
    return code;
}
