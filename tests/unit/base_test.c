/*
 * The base layer: messages, memory, buffers, hashes, files and the thread pool. System calls are
 * replaced here by ones that fail on demand, so that interruptions, short transfers and full disks
 * are met for certain.
 */
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/pool.h"

#include "tests/unit/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- failing system calls --- */

/* What the next calls of one system call do before they work again. */
struct fault {
    int fail_ct;      /* fail this many times */
    int errno_value;  /* with this errno */
    size_t max_bytes; /* then move at most so many bytes at a time; 0: no limit */
    int call_ct;
};

static struct fault read_fault, write_fault, sync_fault, truncate_fault, open_fault, rename_fault;

static bool must_fail(struct fault *fault)
{
    fault->call_ct++;
    if (fault->fail_ct == 0)
        return false;
    fault->fail_ct--;
    errno = fault->errno_value;
    return true;
}

static size_t limited(const struct fault *fault, size_t size)
{
    return fault->max_bytes != 0 && size > fault->max_bytes ? fault->max_bytes : size;
}

ssize_t pread(int descriptor, void *data, size_t size, off_t offset)
{
    if (must_fail(&read_fault))
        return -1;
    return syscall(SYS_pread64, descriptor, data, limited(&read_fault, size), offset);
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t offset)
{
    if (must_fail(&write_fault))
        return -1;
    return syscall(SYS_pwrite64, descriptor, data, limited(&write_fault, size), offset);
}

int fdatasync(int descriptor)
{
    return must_fail(&sync_fault) ? -1 : (int)syscall(SYS_fdatasync, descriptor);
}

int fsync(int descriptor)
{
    return must_fail(&sync_fault) ? -1 : (int)syscall(SYS_fsync, descriptor);
}

int ftruncate(int descriptor, off_t size)
{
    return must_fail(&truncate_fault) ? -1 : (int)syscall(SYS_ftruncate, descriptor, size);
}

int rename(const char *from, const char *to)
{
    if (must_fail(&rename_fault))
        return -1;
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (must_fail(&open_fault))
        return -1;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* --- errors --- */

static void *fail_in_thread(void *unused)
{
    (void)unused;
    dms_fail(DMS_ERR_BUSY, "of the other thread");
    return NULL;
}

static void test_errors(void)
{
    static const struct {
        int errno_value, code;
    } mapped[] = {
        {ENOSPC, DMS_ERR_NO_SPACE},  {EDQUOT, DMS_ERR_NO_SPACE},  {EACCES, DMS_ERR_PERMISSION},
        {EPERM, DMS_ERR_PERMISSION}, {EROFS, DMS_ERR_PERMISSION}, {ENOENT, DMS_ERR_NOT_FOUND},
        {EEXIST, DMS_ERR_EXISTS},    {ENOMEM, DMS_ERR_NO_MEMORY}, {EIO, DMS_ERR_IO},
    };
    struct dms_error_state state;
    pthread_t thread;

    is_text(dms_error_message(), "", "no message at first");
    is_int(dms_fail(DMS_ERR_CORRUPT, "chunk %d", 812), DMS_ERR_CORRUPT,
           "dms_fail returns its code");
    is_text(dms_error_message(), "chunk 812", "dms_fail sets the message");
    is_int(dms_fail_prefix(DMS_ERR_IO, "column %s", "mask"), DMS_ERR_IO,
           "a prefix may change the code");
    is_text(dms_error_message(), "column mask: chunk 812", "a prefix goes before the message");
    dms_fail(DMS_ERR_IO, "again: %s", dms_error_message());
    is_text(dms_error_message(), "again: column mask: chunk 812", "the message may be an argument");
    for (size_t i = 0; i < sizeof(mapped) / sizeof(mapped[0]); i++) {
        errno = mapped[i].errno_value;
        is_int(dms_fail_errno("x"), mapped[i].code, strerror(mapped[i].errno_value));
        is_int(errno, mapped[i].errno_value, "errno is kept");
        contains(dms_error_message(), strerror(mapped[i].errno_value),
                 "the message describes errno");
    }
    dms_fail(DMS_ERR_CONFLICT, "mine");
    dms_error_save(&state);
    pthread_create(&thread, NULL, fail_in_thread, NULL);
    pthread_join(thread, NULL);
    is_text(dms_error_message(), "mine", "each thread has its own message");
    dms_fail(DMS_ERR_IO, "other");
    is_int(dms_error_restore(&state), DMS_ERR_CONFLICT, "restoring returns the code");
    is_text(dms_error_message(), "mine", "restoring brings the message back");
}

static void test_error_names(void)
{
    is_text(dms_error_name(DMS_OK), "DMS_OK", "the name of success");
    is_text(dms_error_name(DMS_END), "DMS_END", "the name of the end");
    is_text(dms_error_name(DMS_ERR_INVALID), "DMS_ERR_INVALID", "the name of the first error");
    is_text(dms_error_name(DMS_ERR_UNSUPPORTED), "DMS_ERR_UNSUPPORTED", "the name of error -11");
    is_text(dms_error_name(DMS_ERR_BUSY), "DMS_ERR_BUSY", "the name of the last error");
    is_text(dms_error_name(-17), "unknown dmstore error", "a number below all codes");
    is_text(dms_error_name(2), "unknown dmstore error", "a number above all codes");
    is_text(dms_error_name(-2147483647 - 1), "unknown dmstore error", "the lowest number");
}

static void test_long_messages(void)
{
    char text[2 * DMS_ERROR_MESSAGE_BYTES];
    size_t length;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    dms_fail(DMS_ERR_IO, "%s", text);
    length = strlen(dms_error_message());
    is_int(length, DMS_ERROR_MESSAGE_BYTES - 1, "a long message fills the space");
    is_text(dms_error_message() + length - 4, "x...", "and ends in dots");
    errno = EIO;
    dms_fail_errno("%s", text);
    is_int(strlen(dms_error_message()), DMS_ERROR_MESSAGE_BYTES - 1, "with errno");
    dms_fail_prefix(DMS_ERR_IO, "prefix");
    ok(strncmp(dms_error_message(), "prefix: xxx", 11) == 0,
       "a prefix is kept before a long message");
    text[DMS_ERROR_MESSAGE_BYTES - 1] = '\0';
    dms_fail(DMS_ERR_IO, "%s", text);
    is_text(dms_error_message(), text, "a message that just fits is not cut");
}

/* --- memory --- */

static void test_memory(void)
{
    size_t result, capacity = 0;
    void *array = NULL;
    uint8_t *memory = dms_alloc(10, 10);
    bool zero = true;

    for (int i = 0; i < 100; i++)
        zero &= memory[i] == 0;
    ok(zero, "dms_alloc gives zeros");
    free(memory);
    memory = dms_alloc(0, 8);
    ok(memory != NULL, "nothing is something");
    free(memory);
    ok(dms_alloc(SIZE_MAX / 2, 3) == NULL, "a product that overflows is refused");
    contains(dms_error_message(), "x 3 bytes", "the message has the numbers");
    ok(dms_realloc_array(NULL, SIZE_MAX / 2, 3) == NULL, "the same when resizing");
    ok(dms_mul_overflow(SIZE_MAX, 2, &result) && dms_add_overflow(SIZE_MAX, 1, &result),
       "overflows");
    ok(!dms_mul_overflow(6, 7, &result) && result == 42, "a product that fits");
    memory = dms_alloc_aligned(4096, 100);
    ok(memory != NULL && (uintptr_t)memory % 4096 == 0, "aligned memory");
    free(memory);
    is_int(dms_grow(&array, &capacity, 5, 8), DMS_OK, "an array grows");
    ok(array != NULL && capacity >= 5, "to at least what was asked for");
    result = capacity;
    is_int(dms_grow(&array, &capacity, result + 1, 8), DMS_OK, "and again");
    ok(capacity >= result + result / 2, "by a factor");
    result = capacity;
    is_int(dms_grow(&array, &capacity, SIZE_MAX / 4, 8), DMS_ERR_NO_MEMORY,
           "but not beyond memory");
    is_int(capacity, result, "which changes nothing");
    free(array);
}

static void test_buffer(void)
{
    struct dms_buffer buffer = {0};

    is_int(dms_buffer_append(&buffer, NULL, 0), DMS_OK, "nothing is appended to nothing");
    dms_buffer_append(&buffer, "abc", 3);
    dms_buffer_append_zeros(&buffer, 2);
    dms_buffer_append(&buffer, "d", 1);
    ok(buffer.size == 6 && memcmp(buffer.data, "abc\0\0d", 6) == 0, "pieces follow each other");
    dms_buffer_align(&buffer, 8);
    dms_buffer_align(&buffer, 8);
    ok(buffer.size == 8 && buffer.data[7] == 0, "aligning adds zeros up to the boundary, once");
    for (int i = 0; i < 10000; i++)
        dms_buffer_append(&buffer, &i, sizeof(i));
    ok(buffer.size == 8 + 40000 && dms_load_u32(buffer.data + 8 + 4 * 777) == 777, "it grows");
    is_int(dms_buffer_reserve(&buffer, SIZE_MAX - 5), DMS_ERR_NO_MEMORY, "an impossible size");
    is_int(buffer.size, 40008, "leaves it alone");
    dms_buffer_clear(&buffer);
    ok(buffer.size == 0 && buffer.capacity >= 40008, "clearing keeps the memory");
    dms_buffer_free(&buffer);
    ok(buffer.data == NULL && buffer.capacity == 0, "freeing leaves an empty buffer");
    dms_buffer_free(NULL);
}

static void test_endian(void)
{
    uint8_t bytes[9] = {0, 1, 2, 3, 4, 5, 6, 7, 0x88};
    uint8_t stored[9] = {0};

    is_int(dms_load_u16(bytes + 1), 0x0201, "16 bits");
    is_int(dms_load_u32(bytes + 1), 0x04030201, "32 bits");
    ok(dms_load_u64(bytes + 1) == UINT64_C(0x8807060504030201), "64 bits");
    dms_store_u64(stored + 1, UINT64_C(0x8807060504030201));
    ok(memcmp(bytes, stored, 9) == 0, "64 bits stored");
    dms_store_u32(stored + 1, 0xfffefdfc);
    dms_store_u16(stored + 5, 0xbeef);
    ok(memcmp(stored, "\0\xfc\xfd\xfe\xff\xef\xbe\x07\x88", 9) == 0, "32 and 16 bits stored");
}

/* The golden values are what the shared libxxhash 0.8.1 gives. */
static void test_hash(void)
{
    struct dms_hash_stream *stream = dms_hash_stream_create();
    struct dms_hash128 empty = dms_hash128(NULL, 0);
    uint8_t data[5000];
    bool same = true;

    ok(dms_hash64(NULL, 0) == UINT64_C(0x2d06800538d394c2), "XXH3-64 of nothing");
    ok(empty.high == UINT64_C(0x99aa06d3014798d8) && empty.low == UINT64_C(0x6001c324468d497f),
       "XXH3-128 of nothing");
    ok(dms_hash64("dmstore", 7) == UINT64_C(0x2ba35c503fa79b06), "XXH3-64 of a word");
    ok(dms_hash128("dmstore", 7).high == UINT64_C(0xcfa7919a5fe10bbd) &&
           dms_hash128("dmstore", 7).low == UINT64_C(0x99ed59427afc0796),
       "XXH3-128 of a word");
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * i);
    for (size_t size = 0; size <= sizeof(data); size += 125)
        for (size_t piece = 1; piece <= size; piece = piece * 3 + 1) {
            struct dms_hash128 whole = dms_hash128(data, size), pieces;

            dms_hash_stream_reset(stream);
            for (size_t done = 0; done < size; done += piece)
                dms_hash_stream_add(stream, data + done, size - done < piece ? size - done : piece);
            pieces = dms_hash_stream_hash128(stream);
            same &= dms_hash_stream_hash64(stream) == dms_hash64(data, size);
            same &= pieces.low == whole.low && pieces.high == whole.high;
        }
    ok(same, "hashes of pieces are hashes of the whole, at both widths");
    dms_hash_stream_free(stream);
    dms_hash_stream_free(NULL);
}

/* --- files --- */

static char directory[] = "base_test.XXXXXX";

static size_t entries_in(const char *path)
{
    DIR *handle = opendir(path);
    size_t entry_ct = 0;

    while (handle != NULL && readdir(handle) != NULL)
        entry_ct++;
    if (handle != NULL)
        closedir(handle);
    return entry_ct - 2; /* "." and ".." */
}

static void test_transfers(const char *path)
{
    uint8_t data[1000], back[1000];
    const uint8_t *map = NULL;
    uint64_t size = 0;
    int descriptor = dms_open(path, O_RDWR | O_CREAT | O_EXCL, 0600);

    ok(descriptor >= 0, "a file is created");
    ok((fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0, "and closed on exec");
    is_int(dms_open(path, O_RDWR | O_CREAT | O_EXCL, 0600), DMS_ERR_EXISTS, "only once");
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7);
    write_fault = (struct fault){.fail_ct = 3, .errno_value = EINTR, .max_bytes = 333};
    is_int(dms_pwrite_full(descriptor, path, data, sizeof(data), 10), DMS_OK, "short writes go on");
    is_int(write_fault.call_ct, 3 + 4, "through interruptions and in pieces");
    read_fault = (struct fault){.fail_ct = 2, .errno_value = EINTR, .max_bytes = 999};
    is_int(dms_pread_full(descriptor, path, back, sizeof(back), 10), DMS_OK, "short reads go on");
    ok(memcmp(data, back, sizeof(data)) == 0, "what is read is what was written");
    is_int(dms_file_size(descriptor, path, &size), DMS_OK, "a file has a size");
    is_int(size, 1010, "which is known");
    is_int(dms_pread_full(descriptor, path, back, 11, 1000), DMS_ERR_CORRUPT,
           "no reads past the end");
    contains(dms_error_message(), "it ends at offset 1010", "the message says where it ends");
    contains(dms_error_message(), path, "and of which file");
    is_int(dms_pread_full(descriptor, path, back, 1, UINT64_MAX), DMS_ERR_INVALID,
           "nor beyond files");
    is_int(dms_pwrite_full(descriptor, path, back, 2, INT64_MAX), DMS_ERR_INVALID, "nor writes");
    is_int(dms_file_map(descriptor, path, 1010, &map), DMS_OK, "a file is mapped");
    ok(map != NULL && memcmp(map + 10, data, sizeof(data)) == 0, "and read in place");
    dms_file_unmap(map, 1010);
    truncate_fault = (struct fault){.fail_ct = 1, .errno_value = EINTR};
    is_int(dms_file_truncate(descriptor, path, 5), DMS_OK, "a file is cut");
    dms_file_size(descriptor, path, &size);
    is_int(size, 5, "to a new size");
    dms_close(descriptor);
    dms_close(-1);
    write_fault = read_fault = (struct fault){0};
}

static void test_file_failures(const char *path)
{
    uint8_t data[10] = {0};
    int descriptor;

    open_fault = (struct fault){.fail_ct = 2, .errno_value = EINTR};
    descriptor = dms_open(path, O_RDWR, 0);
    ok(descriptor >= 0 && open_fault.call_ct == 3, "opening goes on after interruptions");
    write_fault = (struct fault){.fail_ct = 1, .errno_value = ENOSPC};
    is_int(dms_pwrite_full(descriptor, path, data, 10, 0), DMS_ERR_NO_SPACE, "a full disk");
    contains(dms_error_message(), path, "is reported with the path");
    read_fault = (struct fault){.fail_ct = 1, .errno_value = EIO};
    is_int(dms_pread_full(descriptor, path, data, 1, 0), DMS_ERR_IO, "a bad disk");
    sync_fault = (struct fault){.fail_ct = 1, .errno_value = EINTR};
    is_int(dms_file_sync(descriptor, path), DMS_OK, "an interrupted sync goes on");
    sync_fault = (struct fault){.fail_ct = 1, .errno_value = EIO};
    is_int(dms_file_sync(descriptor, path), DMS_ERR_IO, "a failed sync fails");
    is_int(sync_fault.call_ct, 1, "and is not tried again");
    truncate_fault = (struct fault){.fail_ct = 1, .errno_value = EROFS};
    is_int(dms_file_truncate(descriptor, path, 0), DMS_ERR_PERMISSION, "a read-only disk");
    dms_close(descriptor);
    is_int(dms_open("/nowhere/at/all", O_RDONLY, 0), DMS_ERR_NOT_FOUND, "a file that is not there");
    contains(dms_error_message(), "cannot open '/nowhere/at/all': No such file",
             "the whole message");
    is_int(dms_directory_sync("/nowhere"), DMS_ERR_NOT_FOUND, "a directory that is not there");
}

static void test_atomic_write(const char *path)
{
    struct fault *const faults[] = {&write_fault, &sync_fault, &rename_fault, &open_fault};
    struct dms_buffer buffer = {0};
    size_t entries = entries_in(directory);
    bool exists = true;

    is_int(dms_file_exists(path, &exists), DMS_OK, "looking for a file");
    ok(!exists, "that is not there");
    is_int(dms_write_file_atomic(path, "", 0), DMS_OK, "an empty file is written");
    is_int(dms_read_file(path, 0, &buffer), DMS_OK, "and read");
    is_int(buffer.size, 0, "as nothing");
    is_int(dms_write_file_atomic(path, "first", 5), DMS_OK, "a file is written whole");
    is_int(dms_write_file_atomic(path, "2nd", 3), DMS_OK, "and replaced");
    is_int(dms_read_file(path, 3, &buffer), DMS_OK, "it is read whole");
    ok(buffer.size == 3 && memcmp(buffer.data, "2nd", 3) == 0, "with the new content");
    is_int(dms_read_file(path, 2, &buffer), DMS_ERR_INVALID, "unless it is too long");
    dms_file_exists(path, &exists);
    ok(exists, "now it is there");

    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        *faults[i] = (struct fault){.fail_ct = 1, .errno_value = ENOSPC};
        is_int(dms_write_file_atomic(path, "third", 5), DMS_ERR_NO_SPACE, "each step may fail");
        is_int(entries_in(directory), entries + 1, "no temporary file is left then");
    }
    dms_buffer_clear(&buffer);
    dms_read_file(path, 100, &buffer);
    ok(buffer.size == 3 && memcmp(buffer.data, "2nd", 3) == 0, "and the old content stays");
    dms_buffer_free(&buffer);
    is_int(dms_file_remove(path), DMS_OK, "a file is removed");
    is_int(dms_file_remove(path), DMS_OK, "or was not there");
}

/* A link at the temporary name leads nowhere: what it points to stays as it is. */
static void test_temporary_link(const char *path)
{
    struct dms_buffer buffer = {0};
    char link[300];

    snprintf(link, sizeof(link), "%s.link", path);
    is_int(dms_write_file_atomic(path, "kept", 4), DMS_OK, "somebody's file");
    ok(symlink(path, link) == 0 && dms_open_temporary(link) < 0, "a link to it is not written to");
    contains(dms_error_message(), link, "the link is named");
    is_int(dms_read_file(path, 100, &buffer), DMS_OK, "the file");
    is_int(buffer.size, 4, "is as it was");
    dms_buffer_free(&buffer);
    dms_file_remove(link);
    dms_file_remove(path);
}

static void check_path(char *got, const char *wanted)
{
    is_text(got, wanted, "a path");
    free(got);
}

static void test_files(void)
{
    char *path;

    if (!ok(mkdtemp(directory) != NULL, "a directory for the test"))
        return;
    path = dms_path_join(directory, "file");
    test_transfers(path);
    test_file_failures(path);
    dms_file_remove(path);
    test_atomic_write(path);
    test_temporary_link(path);
    is_int(entries_in(directory), 0, "nothing is left behind");
    rmdir(directory);
    free(path);
    check_path(dms_path_join("a", "b"), "a/b");
    check_path(dms_path_join("a/", "b"), "a/b");
    check_path(dms_path_join("/", "b"), "/b");
    check_path(dms_path_parent("a/b/c"), "a/b");
    check_path(dms_path_parent("/c"), "/");
    check_path(dms_path_parent("c"), ".");
}

/* --- the thread pool --- */

enum { TASK_CT = 1000 };

struct tally {
    struct dms_pool *pool;
    atomic_uint runs[TASK_CT];
    atomic_uint run_ct;
    size_t failing_task;
};

static int tally_one(void *context, size_t index)
{
    struct tally *tally = context;

    atomic_fetch_add(&tally->runs[index], 1);
    atomic_fetch_add(&tally->run_ct, 1);
    if (index == tally->failing_task)
        return dms_fail(DMS_ERR_CONFLICT, "task %zu failed", index);
    return DMS_OK;
}

static int tally_all(void *context, size_t index)
{
    struct tally *tally = context;

    (void)index;
    return dms_pool_run(tally->pool, TASK_CT, tally_one, tally);
}

static bool each_ran(const struct tally *tally, unsigned times)
{
    for (size_t i = 0; i < TASK_CT; i++)
        if (atomic_load(&tally->runs[i]) != times)
            return false;
    return true;
}

static void *run_from_thread(void *context)
{
    tally_all(context, 0);
    return NULL;
}

static void test_pool_runs(unsigned threads)
{
    static struct tally tally;
    struct dms_pool *pool = NULL;
    pthread_t callers[4];
    int result;

    is_int(dms_pool_create(threads, &pool), DMS_OK, "a pool is created");
    is_int(dms_pool_threads(pool), threads, "with the threads asked for");
    memset(&tally, 0, sizeof(tally));
    tally.pool = pool;
    tally.failing_task = SIZE_MAX;
    is_int(dms_pool_run(pool, 0, tally_one, &tally), DMS_OK, "no tasks");
    is_int(tally_all(&tally, 0), DMS_OK, "many tasks");
    ok(each_ran(&tally, 1), "each runs once");
    is_int(dms_pool_run(pool, 5, tally_all, &tally), DMS_OK, "tasks that run tasks");
    ok(each_ran(&tally, 6), "each of them runs");
    for (int i = 0; i < 4; i++)
        pthread_create(&callers[i], NULL, run_from_thread, &tally);
    for (int i = 0; i < 4; i++)
        pthread_join(callers[i], NULL);
    ok(each_ran(&tally, 10), "several callers at once");

    memset(&tally, 0, sizeof(tally));
    tally.pool = pool;
    tally.failing_task = 3;
    dms_fail(DMS_ERR_IO, "an older message");
    result = dms_pool_run(pool, TASK_CT, tally_one, &tally);
    is_int(result, DMS_ERR_CONFLICT, "a task fails");
    is_text(dms_error_message(), "task 3 failed", "its message reaches the caller");
    ok(atomic_load(&tally.run_ct) < TASK_CT || threads > 1, "the tasks after it are skipped");
    tally.failing_task = SIZE_MAX;
    is_int(tally_all(&tally, 0), DMS_OK, "the pool works on afterwards");
    dms_pool_free(pool);
}

static int wait_for_all(void *context, size_t index)
{
    (void)index;
    pthread_barrier_wait(context);
    return DMS_OK;
}

static int note_signal_mask(void *context, size_t index)
{
    sigset_t *masks = context;

    pthread_sigmask(SIG_SETMASK, NULL, &masks[index]);
    usleep(2000); /* long enough that a worker takes one too */
    return DMS_OK;
}

static void test_pool_threads(void)
{
    struct dms_pool *pool = NULL;
    pthread_barrier_t barrier;
    sigset_t masks[64];
    unsigned workers_ct = 0;
    int status = 0;
    pid_t child;

    dms_pool_create(4, &pool);
    pthread_barrier_init(&barrier, NULL, 4);
    is_int(dms_pool_run(pool, 4, wait_for_all, &barrier), DMS_OK, "4 threads run 4 tasks at once");
    pthread_barrier_destroy(&barrier);
    dms_pool_run(pool, 64, note_signal_mask, masks);
    for (int i = 0; i < 64; i++)
        if (sigismember(&masks[i], SIGINT) == 1 && sigismember(&masks[i], SIGBUS) == 0)
            workers_ct++;
    ok(workers_ct > 0 && workers_ct < 64, "workers leave SIGINT to the caller, not SIGBUS");
    fflush(stdout);
    child = fork();
    if (child == 0) {
        int result = dms_pool_run(pool, 4, wait_for_all, NULL);

        dms_pool_free(pool);
        _exit(result == DMS_ERR_FORKED ? 0 : 1);
    }
    waitpid(child, &status, 0);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a forked child is refused, and may free");
    dms_pool_free(pool);
    dms_pool_create(0, &pool);
    ok(dms_pool_threads(pool) >= 1, "0 threads: as many as there are processors");
    dms_pool_free(pool);
    dms_pool_free(NULL);
}

int main(void)
{
    test_errors();
    test_error_names();
    test_long_messages();
    test_memory();
    test_buffer();
    test_endian();
    test_hash();
    test_files();
    test_pool_runs(1);
    test_pool_runs(2);
    test_pool_runs(7);
    test_pool_threads();
    return tap_done();
}
