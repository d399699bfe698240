/*
 * Threads of one process that share one store handle: eight append (so that commits are shared),
 * while others ingest, seal, compact, remove and read. Every append that was acknowledged is there
 * at the end, once, and right; a reader never sees one missing that was acknowledged before it
 * looked. Made for the thread sanitizer as much as for itself.
 */
#include "tests/fault/known_rows.h"
#include "tests/unit/tap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum {
    APPENDERS = 8,
    APPENDS = 150,        /* of each appending thread */
    APPEND_RANGE = 10000, /* model ids of one appending thread begin at a multiple of this */
    INGEST_FIRST = 500000,
    INGESTS = 12,
    INGEST_ROWS = 90,
    SHARED_FIRST = 900000, /* ids that every appending thread tries to append */
    SHARED_ROWS = 50,
};

static dms_store *store;
static char path[KNOWN_PATH_BYTES];
static atomic_int failure_ct;
static atomic_bool appending = true;
static _Atomic uint64_t appended[APPENDERS]; /* models of each thread that were acknowledged */
static _Atomic uint64_t shared_added_ct, shared_unchanged_ct;

static void check(int status, const char *what)
{
    if (status != 0 && atomic_fetch_add(&failure_ct, 1) < 10)
        diag("%s: %s: %s", what, dms_error_name(status), dms_error_message());
}

/* Appends rows of its own, and now and then one that all threads append: one of them adds it. */
static void *append(void *argument)
{
    unsigned number = (unsigned)(uintptr_t)argument;

    for (uint64_t k = 0; k < APPENDS; k++) {
        struct dms_write_result result = {0};
        struct known_row known;

        check(known_append(store, (uint64_t)number * APPEND_RANGE + k, 1, 1, DMS_DUPLICATE_ERROR),
              "append");
        atomic_store(&appended[number], k + 1);
        if (k % (APPENDS / SHARED_ROWS) == 0) {
            known_row_make(&known, SHARED_FIRST + k / (APPENDS / SHARED_ROWS), 1);
            check(dms_append_rows(store, &known.row, 1, DMS_DUPLICATE_ERROR, &result),
                  "append what others append");
            atomic_fetch_add(&shared_added_ct, result.added_ct);
            atomic_fetch_add(&shared_unchanged_ct, result.unchanged_ct);
        }
    }
    return NULL;
}

static void *ingest(void *argument)
{
    (void)argument;
    for (uint64_t k = 0; k < INGESTS; k++)
        check(known_write(store, INGEST_FIRST + k * INGEST_ROWS, INGEST_ROWS, 1), "ingest");
    return NULL;
}

static void *maintain(void *argument)
{
    struct timespec pause = {.tv_nsec = 5000000};
    struct dms_compact_options options = {.thread_ct = 2};

    (void)argument;
    for (unsigned k = 0; atomic_load(&appending); k++) {
        if (k % 2 == 0)
            check(dms_store_seal(store, NULL), "seal");
        else
            check(dms_store_compact(store, &options, NULL), "compact");
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* Removes ingested rows and puts them back, so that they are there in the end. */
static void *remove_and_restore(void *argument)
{
    (void)argument;
    while (atomic_load(&appending)) {
        uint64_t ids[3] = {700001, 700002, 700003};

        check(known_append(store, ids[0], 3, 1, DMS_DUPLICATE_REPLACE), "put back");
        check(dms_store_remove(store, ids, 3, false, NULL), "rm");
    }
    check(known_append(store, 700001, 3, 1, DMS_DUPLICATE_REPLACE), "put back");
    return NULL;
}

/* What was acknowledged before a snapshot was opened is in it. */
static void *read_back(void *argument)
{
    (void)argument;
    while (atomic_load(&appending)) {
        uint64_t expected[APPENDERS];
        dms_snapshot *snapshot = NULL;
        int status;

        for (unsigned k = 0; k < APPENDERS; k++)
            expected[k] = atomic_load(&appended[k]);
        status = dms_store_snapshot(store, &snapshot);
        check(status, "snapshot");
        for (uint64_t k = 0; status == 0 && k < APPENDERS; k++) {
            struct dms_position position;

            if (expected[k] > 0)
                check(dms_snapshot_find(snapshot, k * APPEND_RANGE + expected[k] - 1, &position),
                      "a row that was acknowledged");
        }
        dms_snapshot_close(snapshot);
    }
    return NULL;
}

static void run_threads(void)
{
    void *(*const others[])(void *) = {ingest,    maintain, maintain, remove_and_restore,
                                       read_back, read_back};
    enum { OTHERS = sizeof others / sizeof *others };
    pthread_t appenders[APPENDERS];
    pthread_t threads[OTHERS];

    for (unsigned k = 0; k < APPENDERS; k++)
        pthread_create(&appenders[k], NULL, append, (void *)(uintptr_t)k);
    for (unsigned k = 0; k < OTHERS; k++)
        pthread_create(&threads[k], NULL, others[k], NULL);
    for (unsigned k = 0; k < APPENDERS; k++)
        pthread_join(appenders[k], NULL);
    pthread_join(threads[0], NULL);
    atomic_store(&appending, false);
    for (unsigned k = 1; k < OTHERS; k++)
        pthread_join(threads[k], NULL);
}

static void check_content(void)
{
    size_t wanted = APPENDERS * APPENDS + SHARED_ROWS + INGESTS * INGEST_ROWS + 3;
    struct known_content content = {0};
    size_t missing_ct = 0;

    if (!ok(known_read(path, &content) == 0, "every bit of every row is right"))
        diag("%s", known_problem());
    for (uint64_t thread = 0; thread < APPENDERS; thread++)
        for (uint64_t k = 0; k < APPENDS; k++)
            missing_ct += known_version(&content, thread * APPEND_RANGE + k) != 1;
    is_int(missing_ct, 0, "acknowledged rows that are missing");
    is_int(content.row_ct, wanted, "rows in the store");
    is_int(shared_added_ct, SHARED_ROWS, "rows that all threads appended were added once");
    is_int(shared_unchanged_ct, SHARED_ROWS * (APPENDERS - 1), "and found unchanged by the others");
    known_content_clear(&content);
}

int main(void)
{
    snprintf(path, sizeof path, "%.400s/store", known_directory());
    if (!ok(known_create(path, "auto") == 0 && dms_store_open(path, &store) == 0,
            "a store is open")) {
        diag("%s", dms_error_message());
        return tap_done();
    }
    run_threads();
    is_int(failure_ct, 0, "failures in the threads");
    check_content();
    dms_store_close(store);
    if (!ok(known_verify(path) == 0, "the store is whole"))
        diag("%s", known_problem());
    return tap_done();
}
