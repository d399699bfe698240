/*
 * Calls to the system that fail on demand: see inject.h. The environment variables, read when the
 * module is loaded, are
 *
 *     DMS_INJECT_FAULT        EIO, ENOSPC, EINTR, short, memory, kill or power
 *     DMS_INJECT_UNDER        the directory below which calls on files count (an absolute path)
 *     DMS_INJECT_AT           the number of the first call that fails; 0: none
 *     DMS_INJECT_LASTING      set: all counted calls after it fail, too
 *     DMS_INJECT_COUNT        a file that gets the number of calls counted when the process exits
 *     DMS_INJECT_FILE_SYSTEM  the magic number that statfs reports (0x6969: NFS)
 *
 * Syncs are counted but not made: what is tested here is the order of calls and what follows when
 * one fails, and that does not depend on the disk.
 */
#include "tests/fault/inject.h"

#include "tests/fault/durable.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum {
    DESCRIPTOR_MAX = 65536,
    UNDER_BYTES = 4096,
    BLOCK_MAX = 1 << 16, /* blocks of memory that are watched at a time; a power of two */
    EARLY_BYTES = 1 << 16,
};

/* Kinds of calls, for what can go wrong in each. */
enum call {
    CALL_READ = 1,
    CALL_WRITE = 2,
    CALL_SYNC = 4,
    CALL_TRUNCATE = 8,
    CALL_OPEN = 16,
    CALL_CREATE = 32, /* of a name: open with O_CREAT, mkdir, rename */
    CALL_REMOVE = 64,
    CALL_MAP = 128,
    CALL_LOCK = 256,
    CALL_EXAMINE = 512, /* statfs */
    CALL_MEMORY = 1024,
};

static const unsigned calls_of_fault[INJECT_FAULT_CT] = {
    [INJECT_EIO] = CALL_MEMORY - 1,
    [INJECT_ENOSPC] = CALL_WRITE | CALL_SYNC | CALL_TRUNCATE | CALL_CREATE,
    [INJECT_EINTR] =
        CALL_READ | CALL_WRITE | CALL_SYNC | CALL_TRUNCATE | CALL_OPEN | CALL_LOCK | CALL_EXAMINE,
    [INJECT_SHORT] = CALL_READ | CALL_WRITE,
    [INJECT_MEMORY] = CALL_MEMORY,
    [INJECT_KILL] = CALL_MEMORY - 1,
    [INJECT_POWER] = CALL_MEMORY - 1,
};

static _Atomic(enum inject_fault) fault; /* set last, after what follows */
static char under[UNDER_BYTES];
static uint64_t fail_at;
static bool is_lasting;
static atomic_uint_fast64_t call_ct;
static atomic_bool is_ours[DESCRIPTOR_MAX]; /* open files below `under` */
static unsigned long file_system;           /* 0: as it is */

/* For other threads the power has failed, too: they get no further than their next call. */
static atomic_bool has_failed;

void inject_power_failure(void)
{
    atomic_store(&has_failed, true);
    durable_restore();
}

/* Counts a call and decides whether it fails. */
static bool must_fail(enum call call)
{
    enum inject_fault kind = atomic_load(&fault);
    uint64_t number;

    if ((calls_of_fault[kind] & call) == 0)
        return false;
    while (atomic_load(&has_failed))
        pause();
    number = atomic_fetch_add(&call_ct, 1) + 1;
    if (fail_at == 0 || number < fail_at || (number > fail_at && !is_lasting))
        return false;
    if (kind == INJECT_POWER)
        inject_power_failure();
    if (kind == INJECT_KILL || kind == INJECT_POWER)
        raise(SIGKILL);
    return kind != INJECT_EINTR || (number - fail_at) % 2 == 0;
}

static bool is_under(const char *path)
{
    size_t length = strlen(under);

    return length > 0 && strncmp(path, under, length) == 0 &&
           (path[length] == '/' || path[length] == '\0');
}

static bool is_watched(int descriptor)
{
    return descriptor >= 0 && descriptor < DESCRIPTOR_MAX && atomic_load(&is_ours[descriptor]);
}

/* Whether a call on a file fails with an error; then errno is set. Short transfers are left to the
 * caller. */
static bool file_fails(enum call call, bool counts, int plain_error)
{
    if (!counts || !must_fail(call))
        return false;
    switch (atomic_load(&fault)) {
    case INJECT_ENOSPC:
        errno = ENOSPC;
        return true;
    case INJECT_EINTR:
        errno = EINTR;
        return true;
    default:
        errno = plain_error;
        return true;
    }
}

/* How many bytes a read or write of `size` bytes may move; 0: it fails, errno is set. */
static size_t transfer_bytes(enum call call, int descriptor, size_t size)
{
    bool is_short = atomic_load(&fault) == INJECT_SHORT;

    if (!file_fails(call, is_watched(descriptor) && size > 0, EIO))
        return size;
    return is_short ? (size + 1) / 2 : 0;
}

/* --- files --- */

static int open_file(int directory, const char *path, int flags, mode_t mode)
{
    bool counts = is_under(path);
    int descriptor;

    if (file_fails((flags & O_CREAT) != 0 ? CALL_OPEN | CALL_CREATE : CALL_OPEN, counts, EIO))
        return -1;
    descriptor = (int)syscall(SYS_openat, directory, path, flags, mode);
    if (descriptor >= 0 && descriptor < DESCRIPTOR_MAX)
        atomic_store(&is_ours[descriptor], counts);
    return descriptor;
}

EXPORT int open(const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_file(AT_FDCWD, path, flags, mode);
}

EXPORT int openat(int directory, const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_file(directory, path, flags, mode);
}

EXPORT int close(int descriptor)
{
    if (is_watched(descriptor))
        atomic_store(&is_ours[descriptor], false);
    return (int)syscall(SYS_close, descriptor);
}

EXPORT ssize_t pread(int descriptor, void *data, size_t size, off_t offset)
{
    size_t bytes = transfer_bytes(CALL_READ, descriptor, size);

    return bytes == 0 && size > 0 ? -1 : syscall(SYS_pread64, descriptor, data, bytes, offset);
}

EXPORT ssize_t read(int descriptor, void *data, size_t size)
{
    size_t bytes = transfer_bytes(CALL_READ, descriptor, size);

    return bytes == 0 && size > 0 ? -1 : syscall(SYS_read, descriptor, data, bytes);
}

EXPORT ssize_t pwrite(int descriptor, const void *data, size_t size, off_t offset)
{
    size_t bytes = transfer_bytes(CALL_WRITE, descriptor, size);
    ssize_t put =
        bytes == 0 && size > 0 ? -1 : syscall(SYS_pwrite64, descriptor, data, bytes, offset);

    if (put > 0 && atomic_load(&fault) == INJECT_POWER && is_watched(descriptor) &&
        (fcntl(descriptor, F_GETFL) & O_DSYNC) != 0)
        durable_write(descriptor, data, (size_t)put, offset);
    return put;
}

EXPORT ssize_t write(int descriptor, const void *data, size_t size)
{
    size_t bytes = transfer_bytes(CALL_WRITE, descriptor, size);

    return bytes == 0 && size > 0 ? -1 : syscall(SYS_write, descriptor, data, bytes);
}

/* A short one moves half of the first part. */
EXPORT ssize_t writev(int descriptor, const struct iovec *parts, int part_ct)
{
    size_t size = part_ct > 0 ? parts[0].iov_len : 0;
    size_t bytes = transfer_bytes(CALL_WRITE, descriptor, size);

    if (bytes == 0 && size > 0)
        return -1;
    if (bytes < size)
        return syscall(SYS_write, descriptor, parts[0].iov_base, bytes);
    return syscall(SYS_writev, descriptor, parts, part_ct);
}

static int pretend_sync(int descriptor)
{
    if (file_fails(CALL_SYNC, true, EIO))
        return -1;
    if (atomic_load(&fault) == INJECT_POWER)
        durable_sync(descriptor);
    return 0;
}

EXPORT int fdatasync(int descriptor)
{
    return is_watched(descriptor) ? pretend_sync(descriptor)
                                  : (int)syscall(SYS_fdatasync, descriptor);
}

EXPORT int fsync(int descriptor)
{
    return is_watched(descriptor) ? pretend_sync(descriptor) : (int)syscall(SYS_fsync, descriptor);
}

EXPORT int ftruncate(int descriptor, off_t size)
{
    if (file_fails(CALL_TRUNCATE, is_watched(descriptor), EIO))
        return -1;
    return (int)syscall(SYS_ftruncate, descriptor, size);
}

EXPORT int rename(const char *from, const char *to)
{
    if (file_fails(CALL_CREATE, is_under(to), EIO))
        return -1;
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

EXPORT int renameat2(int from_directory, const char *from, int to_directory, const char *to,
                     unsigned flags)
{
    if (file_fails(CALL_CREATE, is_under(to), EIO))
        return -1;
    return (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
}

EXPORT int mkdir(const char *path, mode_t mode)
{
    if (file_fails(CALL_CREATE, is_under(path), EIO))
        return -1;
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

EXPORT int unlink(const char *path)
{
    if (file_fails(CALL_REMOVE, is_under(path), EIO))
        return -1;
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

EXPORT void *mmap(void *address, size_t size, int protection, int flags, int descriptor,
                  off_t offset)
{
    if (file_fails(CALL_MAP, (flags & MAP_ANONYMOUS) == 0 && is_watched(descriptor), ENOMEM))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, address, size, protection, flags, descriptor, offset);
}

EXPORT int flock(int descriptor, int operation)
{
    if (file_fails(CALL_LOCK, is_watched(descriptor), ENOLCK))
        return -1;
    return (int)syscall(SYS_flock, descriptor, operation);
}

static int report_file_system(long result, struct statfs *status)
{
    if (result == 0 && file_system != 0)
        status->f_type = (__typeof__(status->f_type))file_system;
    return (int)result;
}

EXPORT int statfs(const char *path, struct statfs *status)
{
    if (file_fails(CALL_EXAMINE, is_under(path), EIO))
        return -1;
    return report_file_system(syscall(SYS_statfs, path, status), status);
}

EXPORT int fstatfs(int descriptor, struct statfs *status)
{
    if (file_fails(CALL_EXAMINE, is_watched(descriptor), EIO))
        return -1;
    return report_file_system(syscall(SYS_fstatfs, descriptor, status), status);
}

/* The names that programs built for large files use; off_t has 64 bits either way. */
EXPORT int open64(const char *path, int flags, ...) __attribute__((alias("open")));
EXPORT int openat64(int directory, const char *path, int flags, ...)
    __attribute__((alias("openat")));
EXPORT ssize_t pread64(int descriptor, void *data, size_t size, off_t offset)
    __attribute__((alias("pread")));
EXPORT ssize_t pwrite64(int descriptor, const void *data, size_t size, off_t offset)
    __attribute__((alias("pwrite")));
EXPORT int ftruncate64(int descriptor, off_t size) __attribute__((alias("ftruncate")));
EXPORT void *mmap64(void *address, size_t size, int protection, int flags, int descriptor,
                    off_t offset) __attribute__((alias("mmap")));

/* --- memory --- */

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void (*free)(void *);
    int (*pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
} real;

/* What the dynamic linker asks for while it looks up the real functions; never given back. */
static _Alignas(16) char early_memory[EARLY_BYTES];
static size_t early_used;

static void *early_alloc(size_t size)
{
    void *block = early_memory + early_used;

    if (size > EARLY_BYTES - early_used)
        return NULL;
    early_used += (size + 15) & ~(size_t)15;
    return block;
}

static bool is_early(const void *block)
{
    return (const char *)block >= early_memory && (const char *)block < early_memory + EARLY_BYTES;
}

static void look_up(void *function, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    memcpy(function, &found, sizeof found);
}

/* Whether the real functions can be called: not while they are being looked up. */
static bool is_ready(void)
{
    static enum { NEW, BUSY, READY } state;

    if (state == NEW) {
        state = BUSY;
        look_up(&real.calloc, "calloc");
        look_up(&real.realloc, "realloc");
        look_up(&real.posix_memalign, "posix_memalign");
        look_up(&real.aligned_alloc, "aligned_alloc");
        look_up(&real.free, "free");
        look_up(&real.pthread_create, "pthread_create");
        look_up(&real.malloc, "malloc");
        state = READY;
    }
    return state == READY;
}

/* Blocks that the program's own code has obtained: a hash table by address, of which only a fault
 * of memory makes use. */
static struct {
    void *block;
    uintptr_t caller;
} blocks[BLOCK_MAX];
static size_t block_ct;
static pthread_mutex_t block_lock = PTHREAD_MUTEX_INITIALIZER;

extern const char __executable_start __attribute__((weak));
extern const char etext __attribute__((weak));

static size_t block_slot(const void *block)
{
    size_t slot = ((uintptr_t)block >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 40 & (BLOCK_MAX - 1);

    while (blocks[slot].block != NULL && blocks[slot].block != block)
        slot = (slot + 1) & (BLOCK_MAX - 1);
    return slot;
}

static void watch_block(void *block, const void *caller)
{
    bool is_program = (const char *)caller >= &__executable_start && (const char *)caller < &etext;
    size_t slot;

    if (atomic_load(&fault) != INJECT_MEMORY || block == NULL || !is_program)
        return;
    pthread_mutex_lock(&block_lock);
    if (block_ct < BLOCK_MAX / 2) {
        slot = block_slot(block);
        blocks[slot].block = block;
        blocks[slot].caller = (uintptr_t)caller - (uintptr_t)&__executable_start;
        block_ct++;
    }
    pthread_mutex_unlock(&block_lock);
}

static void unwatch_block(const void *block)
{
    size_t slot;

    if (atomic_load(&fault) != INJECT_MEMORY || block == NULL)
        return;
    pthread_mutex_lock(&block_lock);
    slot = block_slot(block);
    if (blocks[slot].block != NULL) {
        blocks[slot].block = NULL;
        block_ct--;
        /* Those that follow are put in again, so that no search ends early at the gap. */
        while (blocks[slot = (slot + 1) & (BLOCK_MAX - 1)].block != NULL) {
            void *moved = blocks[slot].block;
            uintptr_t caller = blocks[slot].caller;
            size_t target;

            blocks[slot].block = NULL;
            target = block_slot(moved);
            blocks[target].block = moved;
            blocks[target].caller = caller;
        }
    }
    pthread_mutex_unlock(&block_lock);
}

size_t inject_unfreed(uintptr_t *caller)
{
    size_t count = 0;

    for (size_t slot = 0; slot < BLOCK_MAX; slot++) {
        if (blocks[slot].block != NULL) {
            count++;
            *caller = blocks[slot].caller;
        }
    }
    return count;
}

static bool memory_fails(void)
{
    if (!must_fail(CALL_MEMORY))
        return false;
    errno = ENOMEM;
    return true;
}

EXPORT void *malloc(size_t size)
{
    void *block;

    if (!is_ready())
        return early_alloc(size);
    block = memory_fails() ? NULL : real.malloc(size);
    watch_block(block, __builtin_return_address(0));
    return block;
}

EXPORT void *calloc(size_t count, size_t size)
{
    void *block;

    if (!is_ready())
        return early_alloc(count * size);
    block = memory_fails() ? NULL : real.calloc(count, size);
    watch_block(block, __builtin_return_address(0));
    return block;
}

EXPORT void *realloc(void *block, size_t size)
{
    void *moved;

    if (!is_ready())
        return NULL;
    if (memory_fails())
        return NULL;
    unwatch_block(block);
    moved = real.realloc(block, size);
    watch_block(moved, __builtin_return_address(0));
    return moved;
}

EXPORT int posix_memalign(void **block, size_t alignment, size_t size)
{
    int error;

    if (!is_ready() || memory_fails())
        return ENOMEM;
    error = real.posix_memalign(block, alignment, size);
    if (error == 0)
        watch_block(*block, __builtin_return_address(0));
    return error;
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    void *block;

    if (!is_ready() || memory_fails())
        return NULL;
    block = real.aligned_alloc(alignment, size);
    watch_block(block, __builtin_return_address(0));
    return block;
}

EXPORT void free(void *block)
{
    if (is_early(block) || !is_ready())
        return;
    unwatch_block(block);
    real.free(block);
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*function)(void *), void *argument)
{
    return !is_ready() || memory_fails()
               ? EAGAIN
               : real.pthread_create(thread, attributes, function, argument);
}

/* --- control --- */

void inject_begin(const struct inject_plan *plan)
{
    atomic_store(&fault, INJECT_NONE);
    if (block_ct > 0)
        memset(blocks, 0, sizeof blocks);
    block_ct = 0;
    snprintf(under, sizeof under, "%s", plan->under != NULL ? plan->under : "");
    fail_at = plan->at;
    is_lasting = plan->lasting;
    atomic_store(&call_ct, 0);
    if (plan->fault == INJECT_POWER)
        durable_begin(under);
    atomic_store(&fault, plan->fault);
}

uint64_t inject_end(void)
{
    atomic_store(&fault, INJECT_NONE);
    return atomic_load(&call_ct);
}

__attribute__((constructor)) static void begin_by_environment(void)
{
    static const char *const names[INJECT_FAULT_CT] = {"none",  "EIO",    "ENOSPC", "EINTR",
                                                       "short", "memory", "kill",   "power"};
    const char *name = getenv("DMS_INJECT_FAULT");
    const char *at = getenv("DMS_INJECT_AT");
    const char *magic = getenv("DMS_INJECT_FILE_SYSTEM");
    struct inject_plan plan = {.under = getenv("DMS_INJECT_UNDER"),
                               .lasting = getenv("DMS_INJECT_LASTING") != NULL};

    if (magic != NULL)
        file_system = strtoul(magic, NULL, 0);
    if (name == NULL)
        return;
    plan.at = at != NULL ? strtoull(at, NULL, 10) : 0;
    for (int kind = 0; kind < INJECT_FAULT_CT; kind++)
        if (strcmp(names[kind], name) == 0)
            plan.fault = (enum inject_fault)kind;
    inject_begin(&plan);
}

__attribute__((destructor)) static void report_count(void)
{
    const char *path = getenv("DMS_INJECT_COUNT");
    uint64_t count = inject_end();

    if (path != NULL) {
        char text[32];
        int length = snprintf(text, sizeof text, "%" PRIu64 "\n", count);
        int descriptor =
            (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

        if (descriptor >= 0) {
            (void)!syscall(SYS_write, descriptor, text, length);
            syscall(SYS_close, descriptor);
        }
    }
}
