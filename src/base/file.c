/*
 * Whole, retried, durable file operations on top of the plain system calls. Nothing is buffered
 * here: bytes go straight from the caller to the kernel and back.
 */
#include "base/file.h"

#include "base/alloc.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* One transfer never asks for more: Linux moves at most 2^31 - 4096 bytes at a time. */
#define MAX_TRANSFER_BYTES ((size_t)1 << 30)

/* How many temporary names dms_write_file_atomic() tries before it gives up. */
#define TEMPORARY_NAME_TRIES 100

/* open() with EINTR retried; -1 with errno set on failure. */
static int open_retried(const char *path, int flags, mode_t mode)
{
    int descriptor;

    do
        descriptor = open(path, flags | O_CLOEXEC, mode);
    while (descriptor < 0 && errno == EINTR);
    return descriptor;
}

int dms_open(const char *path, int flags, mode_t mode)
{
    int descriptor = open_retried(path, flags, mode);

    if (descriptor < 0)
        return dms_fail_errno((flags & O_CREAT) != 0 ? "cannot create '%s'" : "cannot open '%s'",
                              path);
    return descriptor;
}

void dms_close(int descriptor)
{
    int errno_value = errno;

    /* Not retried on EINTR: Linux has released the descriptor by then. */
    if (descriptor >= 0)
        close(descriptor);
    errno = errno_value;
}

/* Offsets are signed in the system's interface: the end of a transfer must fit. */
static int check_range(const char *path, size_t size, uint64_t offset)
{
    if (offset > INT64_MAX || size > INT64_MAX - offset)
        return dms_fail(DMS_ERR_INVALID, "'%s': %zu bytes at offset %" PRIu64 " are out of range",
                        path, size, offset);
    return DMS_OK;
}

int dms_pread_full(int descriptor, const char *path, void *data, size_t size, uint64_t offset)
{
    uint8_t *to = data;
    size_t done = 0;
    int result = check_range(path, size, offset);

    if (result < 0)
        return result;
    while (done < size) {
        size_t rest = size - done;
        ssize_t got =
            pread(descriptor, to + done, rest < MAX_TRANSFER_BYTES ? rest : MAX_TRANSFER_BYTES,
                  (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return dms_fail_errno("cannot read %zu bytes at offset %" PRIu64 " of '%s'", size,
                                  offset, path);
        if (got == 0)
            return dms_fail(DMS_ERR_CORRUPT,
                            "'%s' is truncated: it ends at offset %" PRIu64
                            ", but %zu bytes at offset %" PRIu64 " are needed",
                            path, offset + done, size, offset);
        done += (size_t)got;
    }
    return DMS_OK;
}

int dms_pwrite_full(int descriptor, const char *path, const void *data, size_t size,
                    uint64_t offset)
{
    const uint8_t *from = data;
    size_t done = 0;
    int result = check_range(path, size, offset);

    if (result < 0)
        return result;
    while (done < size) {
        size_t rest = size - done;
        ssize_t put =
            pwrite(descriptor, from + done, rest < MAX_TRANSFER_BYTES ? rest : MAX_TRANSFER_BYTES,
                   (off_t)(offset + done));

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return dms_fail_errno("cannot write %zu bytes at offset %" PRIu64 " of '%s'", size,
                                  offset, path);
        if (put == 0)
            return dms_fail(DMS_ERR_IO,
                            "cannot write at offset %" PRIu64 " of '%s': the system took no bytes",
                            offset + done, path);
        done += (size_t)put;
    }
    return DMS_OK;
}

int dms_file_size(int descriptor, const char *path, uint64_t *size)
{
    struct stat status;

    if (fstat(descriptor, &status) != 0)
        return dms_fail_errno("cannot find the size of '%s'", path);
    *size = (uint64_t)status.st_size;
    return DMS_OK;
}

int dms_file_check_regular(int descriptor, const char *path)
{
    struct stat status;

    if (fstat(descriptor, &status) != 0)
        return dms_fail_errno("cannot look at '%s'", path);
    return S_ISREG(status.st_mode) ? DMS_OK : dms_fail(DMS_ERR_CORRUPT, "it is no regular file");
}

/* Whether `path` names the open file. */
static bool is_named(int descriptor, const char *path)
{
    struct stat opened, named;

    return fstat(descriptor, &opened) == 0 && stat(path, &named) == 0 &&
           opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

int dms_open_temporary(const char *path)
{
    for (;;) {
        /* A link there would have another file cut off. */
        int descriptor = dms_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0666), code;

        if (descriptor < 0)
            return descriptor;
        if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
            code = errno == EWOULDBLOCK
                       ? dms_fail(DMS_ERR_BUSY, "another process writes '%s'", path)
                       : dms_fail_errno("cannot lock '%s'", path);
            dms_close(descriptor);
            return code;
        }
        /* What its writer has just renamed is not the temporary file any more, and must not be
         * written to. */
        if (is_named(descriptor, path)) {
            code = dms_file_truncate(descriptor, path, 0);
            if (code == DMS_OK)
                return descriptor;
            dms_close(descriptor);
            return code;
        }
        dms_close(descriptor);
    }
}

/* Removes a file that is locked and still has its name: nobody else gives another file that name
 * until then, since all writers lock what they find. */
static int remove_locked(int descriptor, const char *path)
{
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? dms_fail(DMS_ERR_BUSY, "another process writes '%s'", path)
                                    : dms_fail_errno("cannot lock '%s'", path);
    return is_named(descriptor, path) ? dms_file_remove(path) : DMS_OK;
}

int dms_remove_temporary(const char *path)
{
    /* For writing: some network file systems lock only what may be written. */
    int descriptor = dms_open(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW, 0), code;

    if (descriptor < 0)
        return descriptor == DMS_ERR_NOT_FOUND ? DMS_OK : descriptor;
    code = remove_locked(descriptor, path);
    dms_close(descriptor);
    return code;
}

int dms_file_truncate(int descriptor, const char *path, uint64_t size)
{
    int result = check_range(path, 0, size);

    if (result < 0)
        return result;
    do
        result = ftruncate(descriptor, (off_t)size);
    while (result != 0 && errno == EINTR);
    if (result != 0)
        return dms_fail_errno("cannot set the length of '%s' to %" PRIu64 " bytes", path, size);
    return DMS_OK;
}

int dms_file_sync(int descriptor, const char *path)
{
    int result;

    do
        result = fdatasync(descriptor);
    while (result != 0 && errno == EINTR);
    if (result != 0)
        return dms_fail_errno("cannot sync '%s' to disk", path);
    return DMS_OK;
}

int dms_directory_sync(const char *path)
{
    int descriptor = dms_open(path, O_RDONLY | O_DIRECTORY, 0);
    int result;

    if (descriptor < 0)
        return descriptor;
    do
        result = fsync(descriptor);
    while (result != 0 && errno == EINTR);
    if (result != 0)
        result = dms_fail_errno("cannot sync the directory '%s' to disk", path);
    dms_close(descriptor);
    return result;
}

int dms_file_rename(const char *from, const char *to)
{
    if (rename(from, to) != 0)
        return dms_fail_errno("cannot rename '%s' to '%s'", from, to);
    return DMS_OK;
}

int dms_file_exchange(const char *one, const char *other)
{
    if (renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) == 0)
        return DMS_OK;
    if (errno == EINVAL || errno == ENOSYS)
        return dms_fail(DMS_ERR_UNSUPPORTED, "'%s' and '%s' cannot be exchanged here", one, other);
    return dms_fail_errno("cannot exchange '%s' and '%s'", one, other);
}

int dms_file_remove(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return dms_fail_errno("cannot remove '%s'", path);
    return DMS_OK;
}

int dms_file_exists(const char *path, bool *exists)
{
    struct stat status;

    if (lstat(path, &status) == 0)
        *exists = true;
    else if (errno == ENOENT || errno == ENOTDIR)
        *exists = false;
    else
        return dms_fail_errno("cannot look at '%s'", path);
    return DMS_OK;
}

int dms_file_check_replaceable(const char *path)
{
    struct stat status;

    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return dms_fail(DMS_ERR_INVALID, "cannot write '%s': it is there and is not a regular file",
                        path);
    return DMS_OK;
}

/*
 * Creates a new file beside `path`. Process id, time and a counter make the name unusual; O_EXCL
 * makes it ours even when another host on the same file system hits upon the same one.
 */
static int create_temporary(const char *path, char **temporary_path, int *descriptor)
{
    static atomic_uint counter;
    char *name = NULL;
    int opened = -1;

    for (int tries = 0; opened < 0 && tries < TEMPORARY_NAME_TRIES; tries++) {
        struct timespec now = {0};

        clock_gettime(CLOCK_REALTIME, &now);
        free(name);
        name = dms_format("%s.tmp-%ld-%lx-%x", path, (long)getpid(), (unsigned long)now.tv_nsec,
                          atomic_fetch_add(&counter, 1));
        if (name == NULL)
            return DMS_ERR_NO_MEMORY;
        opened = open_retried(name, O_WRONLY | O_CREAT | O_EXCL, 0666);
        if (opened < 0 && errno != EEXIST)
            break;
    }
    if (opened < 0) {
        int result = dms_fail_errno("cannot create '%s'", name);

        free(name);
        return result;
    }
    *temporary_path = name;
    *descriptor = opened;
    return DMS_OK;
}

int dms_write_file_atomic(const char *path, const void *data, size_t size)
{
    char *directory = dms_path_parent(path);
    char *temporary_path = NULL;
    int descriptor = -1;
    int result = DMS_ERR_NO_MEMORY;

    if (directory == NULL)
        goto out;
    result = create_temporary(path, &temporary_path, &descriptor);
    if (result < 0)
        goto out;
    result = dms_pwrite_full(descriptor, temporary_path, data, size, 0);
    if (result == DMS_OK)
        result = dms_file_sync(descriptor, temporary_path);
    if (result == DMS_OK)
        result = dms_file_rename(temporary_path, path);
    if (result < 0) {
        unlink(temporary_path);
        goto out;
    }
    result = dms_directory_sync(directory);
out:
    dms_close(descriptor);
    free(temporary_path);
    free(directory);
    return result;
}

int dms_read_file(const char *path, size_t limit_bytes, struct dms_buffer *buffer)
{
    int descriptor = dms_open(path, O_RDONLY, 0);
    uint64_t size;
    int result;

    if (descriptor < 0)
        return descriptor;
    result = dms_file_size(descriptor, path, &size);
    if (result < 0)
        goto out;
    if (size > limit_bytes) {
        result = dms_fail(DMS_ERR_INVALID,
                          "'%s' has %" PRIu64 " bytes, more than the %zu that are allowed", path,
                          size, limit_bytes);
        goto out;
    }
    if (size == 0)
        goto out; /* the buffer may have no memory yet to point into */
    result = dms_buffer_reserve(buffer, (size_t)size);
    if (result < 0)
        goto out;
    result = dms_pread_full(descriptor, path, buffer->data + buffer->size, (size_t)size, 0);
    if (result == DMS_OK)
        buffer->size += (size_t)size;
out:
    dms_close(descriptor);
    return result;
}

int dms_file_map(int descriptor, const char *path, size_t size, const uint8_t **map)
{
    void *address = mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, 0);

    if (address == MAP_FAILED)
        return dms_fail_errno("cannot map %zu bytes of '%s'", size, path);
    *map = address;
    return DMS_OK;
}

void dms_file_unmap(const uint8_t *map, size_t size)
{
    if (map != NULL)
        munmap((void *)(uintptr_t)map, size);
}

char *dms_path_join(const char *directory, const char *name)
{
    size_t length = strlen(directory);
    const char *separator = length > 0 && directory[length - 1] == '/' ? "" : "/";

    return dms_format("%s%s%s", directory, separator, name);
}

char *dms_path_parent(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return dms_strdup(".");
    if (slash == path)
        return dms_strdup("/");
    return dms_format("%.*s", (int)(slash - path), path);
}
