/*
 * Readers beside a writer: they never fail, never wait, and always see one committed state,
 * whatever the writer does - also when one of them is stopped with a snapshot in its hands, forks,
 * or finds its files cut short. The store's index does not grow because of them.
 *
 * DMSTORE_TEST_CAMPAIGN=1 runs the mixed part for ten minutes instead of five seconds.
 */
#include "tests/fault/known_rows.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PROCESS_READERS = 4,
    THREAD_READERS = 4,
    ORDINARY_SECONDS = 5,
    CAMPAIGN_SECONDS = 600,
    STOPPED_COMMITS = 600, /* made while a reader is stopped */
    INDEX_SLACK_BYTES = 256 << 10,
};

static char directory[KNOWN_PATH_BYTES];

static const char *path_of(const char *name, char path[KNOWN_PATH_BYTES])
{
    snprintf(path, KNOWN_PATH_BYTES, "%.400s/%s", directory, name);
    return path;
}

/* What processes of a test tell each other. */
static struct shared {
    atomic_bool stop;
    atomic_bool ready;
    _Atomic uint64_t snapshot_ct;
    _Atomic uint64_t commit_ct;
    char failure[1024];
} * shared;

__attribute__((format(printf, 1, 2))) static void tell_failure(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(shared->failure, sizeof shared->failure, format, arguments);
    va_end(arguments);
}

/* 0 if the child ended well. */
static int wait_for(pid_t process)
{
    int status = -1;

    while (waitpid(process, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static pid_t fork_child(void)
{
    fflush(stdout);
    return fork();
}

/* --- a writer and eight readers --- */

static bool is_same(const struct known_content *a, const struct known_content *b)
{
    return a->row_ct == b->row_ct && memcmp(a->rows, b->rows, a->row_ct * sizeof *a->rows) == 0;
}

/* Opens one snapshot and reads it twice, with a pause; it must not change. Versions of this
 * program's rows only grow, so a later snapshot must not be older. */
static int read_twice(const char *path, uint64_t *sequence)
{
    struct known_content first = {0};
    struct known_content second = {0};
    struct timespec pause = {.tv_nsec = 3000000};
    struct dms_snapshot_info info;
    dms_snapshot *snapshot;
    int status = dms_snapshot_open(path, &snapshot);

    if (status != 0) {
        tell_failure("opening a snapshot: %s", dms_error_message());
        return status;
    }
    dms_snapshot_info(snapshot, &info);
    status = known_read_snapshot(snapshot, &first);
    if (status == 0) {
        nanosleep(&pause, NULL);
        status = known_read_snapshot(snapshot, &second);
    }
    if (status != 0) {
        tell_failure("%s", known_problem());
    } else if (!is_same(&first, &second) || info.sequence < *sequence) {
        tell_failure("a snapshot changes, or is older than the one before");
        status = -1;
    }
    *sequence = info.sequence;
    atomic_fetch_add(&shared->snapshot_ct, 1);
    known_content_clear(&first);
    known_content_clear(&second);
    dms_snapshot_close(snapshot);
    return status;
}

static void *read_until_stopped(void *path)
{
    uint64_t sequence = 0;

    while (!atomic_load(&shared->stop) && shared->failure[0] == '\0')
        if (read_twice(path, &sequence) != 0)
            break;
    return NULL;
}

static void read_in_threads(char *path)
{
    pthread_t threads[THREAD_READERS];

    for (int k = 0; k < THREAD_READERS; k++)
        pthread_create(&threads[k], NULL, read_until_stopped, path);
    for (int k = 0; k < THREAD_READERS; k++)
        pthread_join(threads[k], NULL);
}

/* A bit of everything that changes a store; the store stays about as large as it is. */
static int change(dms_store *store, uint64_t step)
{
    static const struct dms_codec codecs[] = {{DMS_CODEC_NONE, 1}, {DMS_CODEC_ZSTD, 1}};
    struct dms_compact_options options = {.all = true};
    uint64_t ids[8];
    uint64_t first = known_mix(step, 7) % 300;

    switch (known_mix(step, 8) % 10) {
    case 0:
        for (uint64_t k = 0; k < 8; k++)
            ids[k] = first + k;
        return dms_store_remove(store, ids, 8, true, NULL);
    case 1:
        return known_write(store, first, 40, (uint32_t)step + 2);
    case 2:
        return dms_store_seal(store, NULL);
    case 3:
        if (step % 4 == 0)
            options.codec = &codecs[step / 4 % 2];
        return dms_store_compact(store, &options, NULL);
    default:
        return known_append(store, first, 2, (uint32_t)step + 2, DMS_DUPLICATE_REPLACE);
    }
}

static int write_for(const char *path, int seconds)
{
    time_t end = time(NULL) + seconds;
    dms_store *store;
    int status = dms_store_open(path, &store);

    if (status != 0)
        return status;
    for (uint64_t step = 0; status == 0 && time(NULL) < end && shared->failure[0] == '\0'; step++) {
        status = change(store, step);
        atomic_fetch_add(&shared->commit_ct, 1);
    }
    dms_store_close(store);
    return status;
}

static void test_readers_beside_a_writer(void)
{
    int seconds = getenv("DMSTORE_TEST_CAMPAIGN") != NULL ? CAMPAIGN_SECONDS : ORDINARY_SECONDS;
    char path[KNOWN_PATH_BYTES];
    pid_t readers[PROCESS_READERS + 1];
    int failure_ct = 0;
    int status;

    ok(known_create(path_of("mixed", path), "auto") == 0, "a store is made");
    memset(shared, 0, sizeof *shared);
    for (int k = 0; k <= PROCESS_READERS; k++) {
        readers[k] = fork_child();
        if (readers[k] == 0) {
            if (k == PROCESS_READERS)
                read_in_threads(path);
            else
                read_until_stopped(path);
            _exit(shared->failure[0] != '\0');
        }
    }
    status = write_for(path, seconds);
    atomic_store(&shared->stop, true);
    for (int k = 0; k <= PROCESS_READERS; k++)
        failure_ct += wait_for(readers[k]) != 0;
    if (!ok(status == 0 && failure_ct == 0,
            "a writer beside %d reading processes and %d threads: no failure", PROCESS_READERS,
            THREAD_READERS))
        diag("writer: %d %s; reader: %s", status, status ? dms_error_message() : "",
             shared->failure);
    if (!ok(known_verify(path) == 0, "the store is whole"))
        diag("%s", known_problem());
    diag("%lu changes, %lu snapshots read twice", (unsigned long)shared->commit_ct,
         (unsigned long)shared->snapshot_ct);
}

/* --- a reader that is stopped --- */

static off_t index_bytes(const char *path)
{
    char file[KNOWN_PATH_BYTES];
    struct stat status;

    snprintf(file, sizeof file, "%.400s/lmdb/data.mdb", path);
    return stat(file, &status) == 0 ? status.st_size : -1;
}

/* The same number of rows is there before and after; the index should need no more room. */
static int churn(const char *path, uint32_t version)
{
    dms_store *store;
    int status = dms_store_open(path, &store);

    if (status != 0)
        return status;
    for (unsigned k = 0; status == 0 && k < STOPPED_COMMITS; k++) {
        status = known_append(store, k % 50 * 4, 4, version + k, DMS_DUPLICATE_REPLACE);
        if (status == 0 && k % 100 == 99)
            status = dms_store_compact(store, NULL, NULL);
    }
    dms_store_close(store);
    return status;
}

/* Reads a snapshot, is stopped by itself, and reads it again. */
static void read_stop_read(const char *path)
{
    struct known_content before = {0};
    struct known_content after = {0};
    dms_snapshot *snapshot;

    if (dms_snapshot_open(path, &snapshot) != 0 || known_read_snapshot(snapshot, &before) != 0) {
        tell_failure("before: %s / %s", dms_error_message(), known_problem());
        _exit(1);
    }
    raise(SIGSTOP);
    if (known_read_snapshot(snapshot, &after) != 0)
        tell_failure("afterwards: %s", known_problem());
    else if (!is_same(&before, &after))
        tell_failure("the snapshot has changed");
    _exit(shared->failure[0] != '\0');
}

static void test_stopped_reader(void)
{
    char path[KNOWN_PATH_BYTES];
    off_t grown, grown_with_reader;
    int status, reader_status;
    pid_t reader;

    memset(shared, 0, sizeof *shared);
    status = known_create(path_of("stopped", path), "none");
    if (status == 0)
        status = churn(path, 1);
    if (!ok(status == 0, "a store is filled"))
        diag("%s", dms_error_message());
    grown = index_bytes(path);
    reader = fork_child();
    if (reader == 0)
        read_stop_read(path);
    waitpid(reader, &reader_status, WUNTRACED);
    ok(WIFSTOPPED(reader_status), "a reader is stopped while it holds a snapshot");
    status = churn(path, 10001);
    if (!ok(status == 0, "the writer goes on for %d commits and %d compactions", STOPPED_COMMITS,
            STOPPED_COMMITS / 100))
        diag("%s", dms_error_message());
    grown_with_reader = index_bytes(path);
    if (!ok(grown_with_reader <= grown + INDEX_SLACK_BYTES,
            "the index does not grow because of the reader"))
        diag("%lld bytes before, %lld after", (long long)grown, (long long)grown_with_reader);
    kill(reader, SIGCONT);
    if (!ok(wait_for(reader) == 0, "the reader goes on with the snapshot that it had"))
        diag("%s", shared->failure);
    diag("index: %lld bytes before, %lld bytes after", (long long)grown,
         (long long)grown_with_reader);
}

/* --- a child of a fork --- */

/* In the child: the snapshot can be used, the handle not; the store can be opened again. */
static void use_after_fork(const char *path, dms_store *store, dms_snapshot *snapshot)
{
    struct known_content content = {0};
    dms_store *own;
    int status;

    if (known_read_snapshot(snapshot, &content) != 0 || content.row_ct != 50)
        tell_failure("the parent's snapshot: %s", known_problem());
    status = known_append(store, 1000, 1, 1, DMS_DUPLICATE_ERROR);
    if (status != DMS_ERR_FORKED)
        tell_failure("the parent's handle gives %d (%s)", status, dms_error_message());
    dms_store_close(store);
    status = dms_store_open(path, &own);
    if (status == 0) {
        status = known_append(own, 2000, 5, 1, DMS_DUPLICATE_ERROR);
        if (status == 0)
            status = known_write(own, 3000, 70, 1);
        dms_store_close(own);
    }
    if (status != 0)
        tell_failure("the child's own handle: %s", dms_error_message());
    if (known_read(path, &content) != 0 || content.row_ct != 125)
        tell_failure("the child reads %zu rows (%s)", content.row_ct, known_problem());
    dms_snapshot_close(snapshot);
    _exit(shared->failure[0] != '\0');
}

static void test_fork(void)
{
    struct known_content content = {0};
    char path[KNOWN_PATH_BYTES];
    dms_snapshot *snapshot = NULL;
    dms_store *store = NULL;
    pid_t child;
    int status;

    memset(shared, 0, sizeof *shared);
    status = known_create(path_of("forked", path), "auto");
    if (status == 0)
        status = dms_store_open(path, &store);
    if (status == 0)
        status = known_append(store, 0, 50, 1, DMS_DUPLICATE_ERROR);
    if (status == 0)
        status = dms_store_snapshot(store, &snapshot);
    if (!ok(status == 0, "a store and a snapshot are open")) {
        diag("%s", dms_error_message());
        return;
    }
    child = fork_child();
    if (child == 0)
        use_after_fork(path, store, snapshot);
    if (!ok(wait_for(child) == 0,
            "a forked child uses the snapshot, is refused the handle, and opens its own"))
        diag("%s", shared->failure);
    status = known_append(store, 100, 5, 1, DMS_DUPLICATE_ERROR);
    if (!ok(status == 0, "the parent's handle still works"))
        diag("%s", dms_error_message());
    dms_snapshot_close(snapshot);
    dms_store_close(store);
    status = known_read(path, &content);
    if (!ok(status == 0 && content.row_ct == 130 && known_verify(path) == 0,
            "the rows of both are there"))
        diag("%zu rows; %s", content.row_ct, known_problem());
    known_content_clear(&content);
}

/* --- compaction under a reader --- */

static void test_compaction_under_a_snapshot(const char *codec)
{
    const struct dms_codec other = {codec[0] == 'n' ? DMS_CODEC_ZSTD : DMS_CODEC_NONE, 1};
    struct dms_compact_options options = {.codec = &other};
    struct known_content before = {0};
    struct known_content after = {0};
    struct known_content now = {0};
    uint64_t ids[100];
    char path[KNOWN_PATH_BYTES];
    dms_snapshot *snapshot = NULL;
    dms_store *store = NULL;
    int status;

    for (uint64_t k = 0; k < 100; k++)
        ids[k] = 2 * k;
    status = known_create(path_of(codec, path), codec);
    if (status == 0)
        status = dms_store_open(path, &store);
    if (status == 0)
        status = known_write(store, 0, 200, 1);
    if (status == 0)
        status = known_append(store, 200, 30, 1, DMS_DUPLICATE_ERROR);
    if (status == 0)
        status = dms_snapshot_open(path, &snapshot);
    if (status == 0)
        status = dms_store_remove(store, ids, 100, false, NULL);
    for (int round = 0; status == 0 && round < 3; round++)
        status = dms_store_compact(store, &options, NULL);
    if (!ok(status == 0, "codec %s: rows are removed and the store is compacted under a snapshot",
            codec)) {
        diag("%s", dms_error_message());
        return;
    }
    status = known_read_snapshot(snapshot, &before);
    if (status == 0)
        status = known_read_snapshot(snapshot, &after);
    if (status == 0)
        status = known_read(path, &now);
    if (!ok(status == 0 && before.row_ct == 230 && is_same(&before, &after) && now.row_ct == 130,
            "codec %s: the snapshot has its rows, a new one has the others", codec))
        diag("%zu and %zu rows; %s", before.row_ct, now.row_ct, known_problem());
    known_content_clear(&before);
    known_content_clear(&after);
    known_content_clear(&now);
    dms_snapshot_close(snapshot);
    dms_store_close(store);
}

/* --- a file that is cut short under a snapshot --- */

/* Cuts all segments of a store to half their length, or the rest of that. */
static void cut_segments(const char *path, int halvings)
{
    char pattern[KNOWN_PATH_BYTES];
    struct stat status;
    glob_t found;

    snprintf(pattern, sizeof pattern, "%.400s/segments/*.dms", path);
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t k = 0; k < found.gl_pathc; k++)
        if (stat(found.gl_pathv[k], &status) == 0 &&
            truncate(found.gl_pathv[k], status.st_size >> halvings) != 0)
            diag("cannot cut %s", found.gl_pathv[k]);
    globfree(&found);
}

/* In a child: reads what was read before the cut (so that its hash is known to be right) or was
 * not; then everything. */
static void read_cut(const char *path, bool touch, int halvings)
{
    struct known_content content = {0};
    struct dms_verify_report report = {0};
    dms_snapshot *snapshot;
    int status = dms_snapshot_open(path, &snapshot);

    alarm(60);
    if (status == 0 && touch && known_read_snapshot(snapshot, &content) != 0)
        tell_failure("before the cut: %s", known_problem());
    cut_segments(path, halvings);
    if (known_read_snapshot(snapshot, &content) == 0)
        tell_failure("reading a cut file succeeds");
    else if (strstr(known_problem(), path) == NULL)
        tell_failure("the message does not name the file: %s", known_problem());
    status = dms_verify(path, NULL, &report);
    if (status == 0 && report.damage_ct == 0)
        tell_failure("verify finds nothing");
    dms_snapshot_close(snapshot);
    _exit(shared->failure[0] != '\0');
}

static void test_cut_file(const char *codec, bool touch, int halvings)
{
    char name[64];
    char path[KNOWN_PATH_BYTES];
    dms_store *store = NULL;
    pid_t reader;
    int status;

    memset(shared, 0, sizeof *shared);
    snprintf(name, sizeof name, "cut-%s-%d-%d", codec, touch, halvings);
    status = known_create(path_of(name, path), codec);
    if (status == 0)
        status = dms_store_open(path, &store);
    if (status == 0)
        status = known_write(store, 0, 2000, 1);
    if (status == 0)
        status = known_append(store, 5000, 200, 1, DMS_DUPLICATE_ERROR);
    dms_store_close(store);
    reader = fork_child();
    if (reader == 0)
        read_cut(path, touch, halvings);
    reader = wait_for(reader);
    if (!ok(status == 0 && reader == 0,
            "codec %s, chunks %s before: files cut to 1/%d under a snapshot are an error", codec,
            touch ? "read" : "unread", 1 << halvings))
        diag("%d (signal %d): %s", reader, WIFSIGNALED(reader) ? WTERMSIG(reader) : 0,
             shared->failure);
}

int main(void)
{
    snprintf(directory, sizeof directory, "%s", known_directory());
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    test_fork();
    test_compaction_under_a_snapshot("none");
    test_compaction_under_a_snapshot("zstd");
    for (int touch = 0; touch < 2; touch++) {
        for (int halvings = 1; halvings <= 9; halvings += 4) {
            test_cut_file("none", touch, halvings);
            test_cut_file("zstd", touch, halvings);
        }
    }
    test_stopped_reader();
    test_readers_beside_a_writer();
    return tap_done();
}
