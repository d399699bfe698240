/*
 * Writes files under a temporary name that becomes their own; see output_file.h.
 */
#include "output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dmstore/store.h>

#include "report.h"

/* More than one write(2) may take at once on some systems. */
#define WRITE_BYTES_MAX (1u << 30)

char *output_file_path(const char *directory, const char *file)
{
    size_t bytes = strlen(directory) + strlen(file) + 2;
    char *path = malloc(bytes);

    if (path)
        snprintf(path, bytes, "%s/%s", directory, file);
    else
        (void)dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    return path;
}

/* Sets the paths: that of the target of a symbolic link, which shall stay one, and the temporary
 * one beside it. */
static int set_paths(struct output_file *file, const char *path)
{
    struct stat status;
    size_t bytes;

    if (stat(path, &status) == 0) {
        if (!S_ISREG(status.st_mode))
            return dms_source_fail(
                DMS_ERR_INVALID, "cannot write '%s': it is there and is not a regular file", path);
        file->path = realpath(path, NULL);
    } else {
        file->path = strdup(path);
    }
    if (!file->path)
        return tool_source_fail_errno("cannot write '%s'", path);
    bytes = strlen(file->path) + sizeof(".tmp") + 20;
    file->temporary_path = malloc(bytes);
    if (!file->temporary_path)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    snprintf(file->temporary_path, bytes, "%s.%ld.tmp", file->path, (long)getpid());
    return 0;
}

int output_file_create(struct output_file *file, const char *path)
{
    int code;

    *file = (struct output_file){.descriptor = STDOUT_FILENO};
    if (strcmp(path, "-") == 0)
        return 0;
    file->descriptor = -1;
    code = set_paths(file, path);
    if (code < 0)
        goto failed;
    file->descriptor = open(file->temporary_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file->descriptor < 0) {
        code = tool_source_fail_errno("cannot create '%s'", file->temporary_path);
        goto failed;
    }
    return 0;
failed:
    output_file_abandon(file);
    return code;
}

static const char *path_of(const struct output_file *file)
{
    return file->path ? file->path : "standard output";
}

int output_file_write_at(const struct output_file *file, uint64_t offset, uint64_t bytes,
                         const void *data)
{
    const uint8_t *next = data;

    while (bytes > 0) {
        size_t part = bytes < WRITE_BYTES_MAX ? (size_t)bytes : WRITE_BYTES_MAX;
        ssize_t put = pwrite(file->descriptor, next, part, (off_t)offset);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return tool_source_fail_errno("cannot write '%s'", path_of(file));
        next += put;
        offset += (uint64_t)put;
        bytes -= (uint64_t)put;
    }
    return 0;
}

int output_file_append(const struct output_file *file, uint64_t bytes, const void *data)
{
    const uint8_t *next = data;

    while (bytes > 0) {
        size_t part = bytes < WRITE_BYTES_MAX ? (size_t)bytes : WRITE_BYTES_MAX;
        ssize_t put = write(file->descriptor, next, part);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return tool_source_fail_errno("cannot write '%s'", path_of(file));
        next += put;
        bytes -= (uint64_t)put;
    }
    return 0;
}

static ssize_t write_stream(void *file, const char *data, size_t bytes)
{
    return output_file_append(file, bytes, data) < 0 ? -1 : (ssize_t)bytes;
}

FILE *output_file_stream(struct output_file *file)
{
    FILE *stream = fopencookie(file, "w", (cookie_io_functions_t){.write = write_stream});

    if (!stream)
        (void)dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    return stream;
}

int output_file_begin_stream(struct output_file *file, const char *path, FILE **stream)
{
    int code = output_file_create(file, path);

    *stream = code == 0 ? output_file_stream(file) : NULL;
    return code == 0 && !*stream ? DMS_ERR_NO_MEMORY : code;
}

int output_file_end_stream(struct output_file *file, FILE *stream, int code)
{
    bool is_written = stream && !ferror(stream);

    /* A write that failed has set the message. */
    if (stream && fclose(stream) != 0)
        is_written = false;
    if (code == 0 && !is_written)
        code = DMS_ERR_IO;
    if (code == 0)
        code = output_file_commit(file);
    output_file_abandon(file);
    return code;
}

static int sync_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t bytes = slash == path ? 1 : slash ? (size_t)(slash - path) : 0;
    char *directory = slash ? strndup(path, bytes) : strdup(".");
    int descriptor, code = 0;

    if (!directory)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0 || fsync(descriptor) != 0)
        code = tool_source_fail_errno("cannot sync the directory '%s'", directory);
    if (descriptor >= 0)
        close(descriptor);
    free(directory);
    return code;
}

int output_file_commit(struct output_file *file)
{
    int code = 0;

    if (!file->path)
        return 0; /* standard output: write(2) has told all there is to know */
    if (fsync(file->descriptor) != 0)
        code = tool_source_fail_errno("cannot sync '%s'", file->temporary_path);
    else if (rename(file->temporary_path, file->path) != 0)
        code =
            tool_source_fail_errno("cannot rename '%s' to '%s'", file->temporary_path, file->path);
    if (code == 0) {
        code = sync_directory_of(file->path);
        free(file->temporary_path);
        file->temporary_path = NULL; /* it has its name: nothing is left to remove */
    }
    output_file_abandon(file);
    return code;
}

void output_file_abandon(struct output_file *file)
{
    if (file->path && file->descriptor >= 0) {
        close(file->descriptor);
        if (file->temporary_path)
            unlink(file->temporary_path);
    }
    free(file->path);
    free(file->temporary_path);
    *file = (struct output_file){.descriptor = -1};
}
