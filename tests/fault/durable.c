/*
 * What a disk holds after a power failure: see durable.h. Contents are kept in memory by inode,
 * names by directory; a name whose file was never synced is restored as an empty file.
 */
#include "tests/fault/durable.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CONTENT_MAX = 1024, NAME_MAX_CT = 2048 };

static struct content {
    ino_t inode;
    uint8_t *data;
    size_t size;
} contents[CONTENT_MAX];
static size_t content_ct;

static struct name {
    char *path; /* NULL: gone */
    ino_t inode;
    bool is_directory;
} names[NAME_MAX_CT];
static size_t name_ct;

static char root[PATH_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void give_up(const char *what)
{
    fprintf(stderr, "durable.c: %s\n", what);
    abort();
}

static struct content *content_of(ino_t inode)
{
    for (size_t k = 0; k < content_ct; k++)
        if (contents[k].inode == inode)
            return &contents[k];
    if (content_ct == CONTENT_MAX)
        give_up("too many files");
    contents[content_ct] = (struct content){.inode = inode};
    return &contents[content_ct++];
}

static void resize(struct content *content, size_t size)
{
    content->data = realloc(content->data, size + 1);
    if (content->data == NULL)
        give_up("no memory");
    if (size > content->size)
        memset(content->data + content->size, 0, size - content->size);
    content->size = size;
}

/* Takes the content of a file as it is now. System calls are made directly: those of the C library
 * are inject.c's. */
static void take_content(const char *path, const struct stat *status)
{
    struct content *content = content_of(status->st_ino);
    int descriptor = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);

    resize(content, (size_t)status->st_size);
    if (descriptor < 0 ||
        syscall(SYS_pread64, descriptor, content->data, content->size, 0) != (ssize_t)content->size)
        give_up("a file cannot be read");
    syscall(SYS_close, descriptor);
}

static void add_name(const char *path, const struct stat *status)
{
    if (name_ct == NAME_MAX_CT)
        give_up("too many names");
    names[name_ct].path = strdup(path);
    names[name_ct].inode = status->st_ino;
    names[name_ct].is_directory = S_ISDIR(status->st_mode);
    name_ct++;
}

static bool is_directly_in(const char *path, const char *directory)
{
    size_t length = strlen(directory);

    return strncmp(path, directory, length) == 0 && path[length] == '/' &&
           strchr(path + length + 1, '/') == NULL;
}

/* Takes the names in a directory as they are now. */
static void take_names(const char *directory)
{
    DIR *stream = opendir(directory);
    struct dirent *entry;

    for (size_t k = 0; k < name_ct; k++) {
        if (names[k].path != NULL && is_directly_in(names[k].path, directory)) {
            free(names[k].path);
            names[k].path = NULL;
        }
    }
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        char path[PATH_MAX];
        struct stat status;

        snprintf(path, sizeof path, "%.3000s/%s", directory, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            lstat(path, &status) == 0)
            add_name(path, &status);
    }
    if (stream != NULL)
        closedir(stream);
}

static int take_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    if (place->level > 0)
        add_name(path, status);
    if (type == FTW_F)
        take_content(path, status);
    return 0;
}

void durable_begin(const char *directory)
{
    snprintf(root, sizeof root, "%s", directory);
    nftw(directory, take_entry, 8, FTW_PHYS);
}

void durable_sync(int descriptor)
{
    char link[64];
    char path[PATH_MAX] = "";
    struct stat status;

    pthread_mutex_lock(&lock);
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    if (readlink(link, path, sizeof path - 1) < 0 || fstat(descriptor, &status) != 0)
        give_up("a file that is synced cannot be examined");
    if (S_ISDIR(status.st_mode))
        take_names(path);
    else
        take_content(link, &status);
    pthread_mutex_unlock(&lock);
}

void durable_write(int descriptor, const void *data, size_t size, off_t offset)
{
    struct content *content;
    struct stat status;

    pthread_mutex_lock(&lock);
    if (fstat(descriptor, &status) != 0)
        give_up("a file that is written cannot be examined");
    content = content_of(status.st_ino);
    if (content->size < (size_t)offset + size)
        resize(content, (size_t)offset + size);
    memcpy(content->data + offset, data, size);
    pthread_mutex_unlock(&lock);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    return place->level == 0
               ? 0
               : (int)syscall(SYS_unlinkat, AT_FDCWD, path, type == FTW_DP ? AT_REMOVEDIR : 0);
}

/* A name is there only if its directory is; those were noted before what is in them, or are tried
 * again. */
static bool restore_name(struct name *name)
{
    struct content *content;
    int descriptor;

    if (name->is_directory)
        return syscall(SYS_mkdirat, AT_FDCWD, name->path, 0777) == 0;
    descriptor = (int)syscall(SYS_openat, AT_FDCWD, name->path,
                              O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor < 0)
        return false;
    content = content_of(name->inode);
    if (syscall(SYS_pwrite64, descriptor, content->data, content->size, 0) !=
        (ssize_t)content->size)
        give_up("a file cannot be restored");
    syscall(SYS_close, descriptor);
    return true;
}

void durable_restore(void)
{
    bool progress = true;

    pthread_mutex_lock(&lock);
    nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    while (progress) {
        progress = false;
        for (size_t k = 0; k < name_ct; k++) {
            if (names[k].path != NULL && restore_name(&names[k])) {
                free(names[k].path);
                names[k].path = NULL;
                progress = true;
            }
        }
    }
    pthread_mutex_unlock(&lock);
}
