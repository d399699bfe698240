/*
 * Writes NumPy files: see npy.h.
 */
#include "tests/bench/npy.h"

#include "dmstore/npy.h"
#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void write_at(const struct bench_npy *file, uint64_t offset, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        ssize_t written = pwrite(file->descriptor, at, size, (off_t)offset);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            bench_die("cannot write '%s': %s", file->path, strerror(errno));
        }
        at += written;
        offset += (uint64_t)written;
        size -= (size_t)written;
    }
}

struct bench_npy bench_npy_create(const char *path, char kind, uint32_t item_bytes, uint64_t row_ct,
                                  uint64_t column_ct)
{
    uint8_t header[DMS_NPY_HEADER_BYTES];
    struct dms_npy npy = {
        .kind = kind,
        .item_bytes = item_bytes,
        .dimension_ct = column_ct > 0 ? 2 : 1,
        .dimensions = {row_ct, column_ct},
    };
    struct bench_npy file = {.path = path};
    bench_check(dms_npy_print(&npy, header), path);
    file.data_offset = npy.data_offset;
    file.row_bytes = (size_t)(column_ct > 0 ? column_ct : 1) * item_bytes;
    file.descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file.descriptor < 0 ||
        ftruncate(file.descriptor, (off_t)(npy.data_offset + npy.data_bytes)) != 0) {
        bench_die("cannot create '%s': %s", path, strerror(errno));
    }
    write_at(&file, 0, header, (size_t)npy.data_offset);
    return file;
}

void bench_npy_write(const struct bench_npy *file, uint64_t row, uint64_t row_ct, const void *bytes)
{
    write_at(file, file->data_offset + row * file->row_bytes, bytes,
             (size_t)row_ct * file->row_bytes);
}

void bench_npy_close(struct bench_npy *file)
{
    if (close(file->descriptor) != 0) {
        bench_die("cannot write '%s': %s", file->path, strerror(errno));
    }
    file->descriptor = -1;
}

void bench_npy_save(const char *path, char kind, uint32_t item_bytes, uint64_t value_ct,
                    const void *values)
{
    struct bench_npy file = bench_npy_create(path, kind, item_bytes, value_ct, 0);
    bench_npy_write(&file, 0, value_ct, values);
    bench_npy_close(&file);
}
