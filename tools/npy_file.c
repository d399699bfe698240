/*
 * Opens, reads and writes .npy files; see npy_file.h. The header itself is
 * parsed and printed by the library (dmstore/npy.h).
 */
#include "npy_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dmstore/store.h>

#include "report.h"

/* Longer headers are not NumPy's, and are not worth the memory. */
#define HEADER_BYTES_MAX (1u << 20)

#define INTEGER_BLOCK_ROWS 8192

/* ---- bytes ---- */

static int read_at(int descriptor, const char *path, uint64_t offset, uint64_t bytes, void *out)
{
    uint8_t *next = out;

    while (bytes > 0) {
        size_t part = bytes < (1u << 30) ? (size_t)bytes : 1u << 30;
        ssize_t got = pread(descriptor, next, part, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tool_source_fail_errno("cannot read '%s'", path);
        if (got == 0)
            return dms_source_fail(DMS_ERR_CORRUPT,
                                   "'%s' ends at byte %" PRIu64
                                   ", before the end of its values: it was cut short",
                                   path, offset);
        next += got;
        offset += (uint64_t)got;
        bytes -= (uint64_t)got;
    }
    return 0;
}

/* ---- descriptions ---- */

static const char *kind_name(char kind)
{
    switch (kind) {
    case 'b':
        return "bool";
    case 'u':
        return "uint";
    case 'i':
        return "int";
    case 'f':
        return "float";
    case 'S':
        return "bytes";
    default:
        return "unknown";
    }
}

void npy_describe_shape(uint32_t dimension_ct, const uint64_t *dimensions, char *text,
                        size_t text_bytes)
{
    size_t used = (size_t)snprintf(text, text_bytes, "(");

    for (uint32_t i = 0; i < dimension_ct && used < text_bytes; i++)
        used += (size_t)snprintf(text + used, text_bytes - used, "%s%" PRIu64, i > 0 ? ", " : "",
                                 dimensions[i]);
    if (used < text_bytes)
        snprintf(text + used, text_bytes - used, dimension_ct == 1 ? ",)" : ")");
}

char *npy_describe(const struct dms_npy *npy, char text[NPY_DESCRIPTION_BYTES])
{
    char shape[NPY_DESCRIPTION_BYTES / 2 + 64];

    npy_describe_shape(npy->dimension_ct, npy->dimensions, shape, sizeof(shape));
    if (npy->kind == 'b')
        snprintf(text, NPY_DESCRIPTION_BYTES, "bool %s", shape);
    else
        snprintf(text, NPY_DESCRIPTION_BYTES, "%s%u %s", kind_name(npy->kind),
                 npy->kind == 'S' ? npy->item_bytes : 8 * npy->item_bytes, shape);
    return text;
}

/* ---- reading ---- */

static int parse_header(struct npy_file *file, uint64_t file_bytes)
{
    uint8_t prefix[DMS_NPY_PREFIX_BYTES];
    uint8_t *header = NULL;
    size_t prefix_bytes = file_bytes < sizeof(prefix) ? (size_t)file_bytes : sizeof(prefix);
    size_t header_bytes;
    int code;

    code = read_at(file->descriptor, file->path, 0, prefix_bytes, prefix);
    if (code < 0)
        return code;
    code = dms_npy_header_bytes(prefix, prefix_bytes, &header_bytes);
    if (code < 0)
        goto out;
    if (header_bytes > HEADER_BYTES_MAX || header_bytes > file_bytes) {
        code =
            dms_source_fail(DMS_ERR_INVALID, "its header is said to take %zu bytes", header_bytes);
        goto out;
    }
    header = malloc(header_bytes);
    if (!header) {
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
        goto out;
    }
    code = read_at(file->descriptor, file->path, 0, header_bytes, header);
    if (code == 0)
        code = dms_npy_parse(header, header_bytes, &file->npy);
out:
    free(header);
    if (code < 0)
        return dms_source_fail(code, "cannot use '%s': %s", file->path, dms_error_message());
    return 0;
}

static int check_length(const struct npy_file *file, uint64_t file_bytes)
{
    const struct dms_npy *npy = &file->npy;
    uint64_t data_bytes = file_bytes - npy->data_offset; /* the header was read whole */
    char description[NPY_DESCRIPTION_BYTES];

    if (data_bytes == npy->data_bytes)
        return 0;
    return dms_source_fail(DMS_ERR_INVALID,
                           "'%s' says that it holds %s, which takes %" PRIu64 " bytes, but %" PRIu64
                           " bytes follow its header: the file is %s",
                           file->path, npy_describe(npy, description), npy->data_bytes, data_bytes,
                           data_bytes < npy->data_bytes ? "cut short or still being written"
                                                        : "not one array");
}

int npy_file_open(struct npy_file *file, const char *path)
{
    struct stat status;
    int code;

    *file = (struct npy_file){.path = path};
    file->descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (file->descriptor < 0)
        return tool_source_fail_errno("cannot open '%s'", path);
    if (fstat(file->descriptor, &status) != 0) {
        code = tool_source_fail_errno("cannot open '%s'", path);
        goto failed;
    }
    if (!S_ISREG(status.st_mode)) {
        code = dms_source_fail(DMS_ERR_INVALID, "'%s' is not a regular file", path);
        goto failed;
    }
    code = parse_header(file, (uint64_t)status.st_size);
    if (code < 0)
        goto failed;
    code = check_length(file, (uint64_t)status.st_size);
    if (code < 0)
        goto failed;
    if (file->npy.dimension_ct == 0) {
        code = dms_source_fail(DMS_ERR_INVALID, "'%s' holds a single value and no rows", path);
        goto failed;
    }
    file->row_ct = file->npy.dimensions[0];
    file->row_values = 1;
    for (uint32_t i = 1; i < file->npy.dimension_ct; i++)
        file->row_values *= file->npy.dimensions[i]; /* an overflow needs a zero dimension */
    file->row_bytes = file->row_ct > 0 ? file->npy.data_bytes / file->row_ct : 0;
    return 0;
failed:
    npy_file_close(file);
    return code;
}

void npy_file_close(struct npy_file *file)
{
    if (file->path && file->descriptor >= 0)
        close(file->descriptor);
    *file = (struct npy_file){.descriptor = -1};
}

int npy_file_read(const struct npy_file *file, uint64_t row, uint64_t row_ct, uint64_t byte,
                  uint64_t byte_ct, void *out)
{
    uint64_t offset = file->npy.data_offset + row * file->row_bytes + byte;
    uint8_t *next = out;

    if (byte_ct == file->row_bytes)
        return read_at(file->descriptor, file->path, offset, row_ct * byte_ct, out);
    for (uint64_t i = 0; i < row_ct; i++) {
        int code = read_at(file->descriptor, file->path, offset, byte_ct, next);

        if (code < 0)
            return code;
        next += byte_ct;
        offset += file->row_bytes;
    }
    return 0;
}

/* One little-endian integer of item_bytes bytes as 64 bits; false when it is negative. */
static bool load_integer(const uint8_t *data, const struct dms_npy *npy, uint64_t *value)
{
    uint64_t number = 0;
    bool negative = npy->kind == 'i' && data[npy->item_bytes - 1] >= 0x80;

    for (uint32_t i = 0; i < npy->item_bytes; i++)
        number |= (uint64_t)data[i] << 8 * i;
    *value = number;
    return !negative;
}

int npy_file_open_integers(struct npy_file *file, const char *path, const char *what)
{
    char description[NPY_DESCRIPTION_BYTES];
    int code = npy_file_open(file, path);

    if (code < 0)
        return code;
    if (strchr("biu", file->npy.kind) && file->npy.dimension_ct <= 2 && file->row_values == 1)
        return 0;
    code = dms_source_fail(DMS_ERR_INVALID,
                           "'%s' is %s; wanted one %s a row: integers of shape (rows,)", path,
                           npy_describe(&file->npy, description), what);
    npy_file_close(file);
    return code;
}

int npy_file_read_integers(const struct npy_file *file, const char *what, uint64_t row,
                           uint64_t row_ct, uint64_t *values)
{
    uint8_t block[INTEGER_BLOCK_ROWS * sizeof(uint64_t)];

    for (uint64_t done = 0; done < row_ct; done += INTEGER_BLOCK_ROWS) {
        uint64_t block_ct = row_ct - done < INTEGER_BLOCK_ROWS ? row_ct - done : INTEGER_BLOCK_ROWS;
        int code = npy_file_read(file, row + done, block_ct, 0, file->row_bytes, block);

        if (code < 0)
            return code;
        for (uint64_t i = 0; i < block_ct; i++) {
            const uint8_t *integer = block + i * file->npy.item_bytes;

            if (!load_integer(integer, &file->npy, &values[done + i]))
                return dms_source_fail(DMS_ERR_INVALID,
                                       "'%s': the %s of row %" PRIu64 " is negative", file->path,
                                       what, row + done + i);
        }
    }
    return 0;
}

/* ---- writing ---- */

int npy_writer_create(struct npy_writer *writer, const char *path, char kind, uint32_t item_bytes,
                      uint32_t dimension_ct, const uint64_t *dimensions)
{
    uint8_t header[DMS_NPY_HEADER_BYTES];
    int code;

    *writer = (struct npy_writer){0};
    writer->npy =
        (struct dms_npy){.kind = kind, .item_bytes = item_bytes, .dimension_ct = dimension_ct};
    memcpy(writer->npy.dimensions, dimensions, dimension_ct * sizeof(*dimensions));
    code = dms_npy_print(&writer->npy, header);
    if (code < 0)
        return dms_source_fail(code, "cannot write '%s': %s", path, dms_error_message());
    writer->row_bytes = item_bytes;
    for (uint32_t i = 1; i < dimension_ct; i++)
        writer->row_bytes *= dimensions[i];
    code = output_file_create(&writer->file, path);
    if (code < 0)
        return code;
    code = output_file_append(&writer->file, writer->npy.data_offset, header);
    if (code < 0)
        output_file_abandon(&writer->file);
    return code;
}

int npy_writer_write(const struct npy_writer *writer, uint64_t row, uint64_t row_ct, uint64_t byte,
                     uint64_t byte_ct, const void *data)
{
    uint64_t offset = writer->npy.data_offset + row * writer->row_bytes + byte;
    const uint8_t *next = data;

    if (byte_ct == writer->row_bytes)
        return output_file_write_at(&writer->file, offset, row_ct * byte_ct, data);
    for (uint64_t i = 0; i < row_ct; i++) {
        int code = output_file_write_at(&writer->file, offset, byte_ct, next);

        if (code < 0)
            return code;
        next += byte_ct;
        offset += writer->row_bytes;
    }
    return 0;
}

int npy_writer_commit(struct npy_writer *writer)
{
    return output_file_commit(&writer->file);
}

void npy_writer_abandon(struct npy_writer *writer)
{
    output_file_abandon(&writer->file);
}

int npy_write(const char *path, char kind, uint32_t item_bytes, uint32_t dimension_ct,
              const uint64_t *dimensions, const void *data)
{
    struct npy_writer writer = {0};
    int code = npy_writer_create(&writer, path, kind, item_bytes, dimension_ct, dimensions);

    if (code == 0 && dimensions[0] > 0)
        code = npy_writer_write(&writer, 0, dimensions[0], 0, writer.row_bytes, data);
    if (code == 0)
        code = npy_writer_commit(&writer);
    npy_writer_abandon(&writer);
    return code;
}

bool npy_is_path(const char *path)
{
    size_t bytes = strlen(path);

    return bytes >= 4 && strcmp(path + bytes - 4, ".npy") == 0;
}
