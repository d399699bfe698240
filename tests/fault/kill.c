/*
 * Writers that die at random moments by kill -9. In each round up to four processes work on one
 * store at once - append, ingest, replace and remove rows, seal, compact - until they are killed
 * one after another. Each owns a range of model ids and notes in shared memory what it is about to
 * do and what was acknowledged. After every round the store is opened and verified, and holds for
 * every model what was acknowledged last, or what was under way at the kill; now and then a copy is
 * recovered from its segments, and must hold the same.
 *
 * DMSTORE_TEST_SEED repeats a run's choices (not its timing). DMSTORE_TEST_CAMPAIGN=1 kills 20,000
 * times instead of 400, DMSTORE_TEST_KILLS=N any number of times.
 */
#include "tests/fault/known_rows.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    WORKER_MAX = 4,
    RANGE = 4096, /* model ids of one worker */
    ORDINARY_KILLS = 400,
    CAMPAIGN_KILLS = 20000,
    STORE_ROUNDS = 20,         /* rounds that one store lasts */
    RECOVER_ROUNDS = 5,        /* every so many rounds a copy is recovered */
    LIFE_MICROSECONDS = 25000, /* longest time from one kill to the next */
    CHECK_SECONDS = 120,
    NOTHING = UINT32_MAX, /* no version is under way */
};

enum work {
    WORK_START,
    WORK_APPEND,
    WORK_INGEST,
    WORK_REPLACE,
    WORK_REMOVE,
    WORK_SEAL,
    WORK_COMPACT,
    WORK_CT
};

static const char *const work_names[WORK_CT] = {"opening", "append", "ingest", "replace",
                                                "rm",      "seal",   "compact"};

/* Shared between the processes of a test. Version 0: the model is not there. */
static struct shared {
    struct {
        _Atomic uint32_t version;   /* acknowledged */
        _Atomic uint32_t under_way; /* what it becomes, or NOTHING */
    } models[WORKER_MAX * RANGE];
    uint64_t next[WORKER_MAX]; /* the first id of each worker's range that is not used yet */
    _Atomic enum work current[WORKER_MAX];
    _Atomic uint64_t acknowledged_ct;
    char failure[1200];
} * shared;

/* --- workers --- */

struct worker {
    dms_store *store;
    unsigned number;
    uint64_t random; /* state of its choices */
};

/* A number below `limit`. */
static uint64_t choose(struct worker *worker, uint64_t limit)
{
    worker->random = known_mix(worker->random, 1);
    return worker->random % limit;
}

static void announce(uint64_t first, uint64_t count, uint32_t version)
{
    for (uint64_t id = first; id < first + count; id++)
        atomic_store(&shared->models[id].under_way, version);
}

static void acknowledge(uint64_t first, uint64_t count)
{
    for (uint64_t id = first; id < first + count; id++) {
        uint32_t version = atomic_load(&shared->models[id].under_way);

        atomic_store(&shared->models[id].version, version);
        atomic_store(&shared->models[id].under_way, NOTHING);
    }
    atomic_fetch_add(&shared->acknowledged_ct, count);
}

/* Up to `most` ids that were never used; 0: there are none left. */
static uint64_t take_new(struct worker *worker, uint64_t most, uint64_t *first)
{
    uint64_t *next = &shared->next[worker->number];
    uint64_t rest = RANGE - *next;
    uint64_t count = 1 + choose(worker, most);

    if (count > rest)
        count = rest;
    *first = (uint64_t)worker->number * RANGE + *next;
    *next += count;
    return count;
}

/* Up to `most` ids among those that were used. */
static uint64_t take_old(struct worker *worker, uint64_t most, uint64_t *first)
{
    uint64_t used = shared->next[worker->number];
    uint64_t count = 1 + choose(worker, most);

    if (count > used)
        count = used;
    *first = (uint64_t)worker->number * RANGE + choose(worker, used - count + 1);
    return count;
}

static int append_rows(struct worker *worker)
{
    uint64_t first;
    uint64_t count = take_new(worker, 3, &first);
    int status;

    announce(first, count, 1);
    status = known_append(worker->store, first, count, 1, DMS_DUPLICATE_ERROR);
    if (status == 0)
        acknowledge(first, count);
    return status;
}

static int ingest_rows(struct worker *worker)
{
    uint64_t first;
    uint64_t count = take_new(worker, 150, &first);
    int status;

    announce(first, count, 1);
    status = known_write(worker->store, first, count, 1);
    if (status == 0)
        acknowledge(first, count);
    return status;
}

static int replace_rows(struct worker *worker)
{
    bool is_bulk = choose(worker, 2) == 0;
    uint32_t version = 2 + (uint32_t)choose(worker, 1000000);
    uint64_t first;
    uint64_t count = take_old(worker, is_bulk ? 100 : 5, &first);
    int status;

    announce(first, count, version);
    status = is_bulk ? known_write(worker->store, first, count, version)
                     : known_append(worker->store, first, count, version, DMS_DUPLICATE_REPLACE);
    if (status == 0)
        acknowledge(first, count);
    return status;
}

static int remove_rows(struct worker *worker)
{
    uint64_t ids[16];
    uint64_t first;
    uint64_t count = take_old(worker, 16, &first);
    int status;

    for (uint64_t k = 0; k < count; k++)
        ids[k] = first + k;
    announce(first, count, 0);
    status = dms_store_remove(worker->store, ids, count, true, NULL);
    if (status == 0)
        acknowledge(first, count);
    return status;
}

static int compact(struct worker *worker)
{
    static const struct dms_codec codecs[] = {
        {DMS_CODEC_NONE, 1}, {DMS_CODEC_ZSTD, 1}, {DMS_CODEC_AUTO, 1}};
    struct dms_compact_options options = {.all = choose(worker, 2) == 0};

    if (choose(worker, 4) == 0)
        options.codec = &codecs[choose(worker, 3)];
    return dms_store_compact(worker->store, &options, NULL);
}

static int do_work(struct worker *worker, enum work work)
{
    bool is_empty = shared->next[worker->number] == 0;

    atomic_store(&shared->current[worker->number], work);
    switch (work) {
    case WORK_INGEST:
        return ingest_rows(worker);
    case WORK_REPLACE:
        return is_empty ? append_rows(worker) : replace_rows(worker);
    case WORK_REMOVE:
        return is_empty ? append_rows(worker) : remove_rows(worker);
    case WORK_SEAL:
        return dms_store_seal(worker->store, NULL);
    case WORK_COMPACT:
        return compact(worker);
    default:
        return append_rows(worker);
    }
}

static enum work choose_work(struct worker *worker)
{
    static const enum work works[] = {WORK_APPEND, WORK_APPEND, WORK_INGEST, WORK_REPLACE,
                                      WORK_REMOVE, WORK_SEAL,   WORK_COMPACT};

    return works[choose(worker, sizeof works / sizeof *works)];
}

/* Works until it is killed. favourite: what this worker does most of the time; WORK_START: of
 * everything. */
static void work_on(const char *path, unsigned number, enum work favourite, uint64_t seed)
{
    struct worker worker = {.number = number, .random = seed};
    int status = dms_store_open(path, &worker.store);

    while (status == 0 && shared->next[number] < RANGE) {
        bool is_favourite = favourite != WORK_START && choose(&worker, 4) != 0;

        status = do_work(&worker, is_favourite ? favourite : choose_work(&worker));
    }
    if (status != 0)
        snprintf(shared->failure, sizeof shared->failure, "worker %u, %s: %s: %s", number,
                 work_names[shared->current[number]], dms_error_name(status), dms_error_message());
    pause(); /* for the kill */
}

/* --- judging --- */

/* Whether all models are as they were acknowledged, or as what was under way would have them. */
static int check_models(const struct known_content *content, const char *what)
{
    for (uint64_t id = 0; id < WORKER_MAX * RANGE; id++) {
        uint32_t found = known_version(content, id);
        uint32_t acknowledged = atomic_load(&shared->models[id].version);
        uint32_t under_way = atomic_load(&shared->models[id].under_way);

        if (found != acknowledged && (under_way == NOTHING || found != under_way)) {
            snprintf(shared->failure, sizeof shared->failure,
                     "%s: model %" PRIu64 " has version %" PRIu32 "; %" PRIu32
                     " was acknowledged, %" PRIu32 " under way",
                     what, id, found, acknowledged, under_way);
            return -1;
        }
    }
    return 0;
}

static int fail_known(const char *what)
{
    snprintf(shared->failure, sizeof shared->failure, "%s: %.1000s", what, known_problem());
    return -1;
}

static int examine_recovered(const char *path, const char *copy)
{
    struct known_content content;

    return known_recover(path, copy, &content) != 0 ? fail_known("recovering a copy")
                                                    : check_models(&content, "recovered");
}

/* What is there now has been seen, so it must stay. */
static void settle(const struct known_content *content)
{
    for (uint64_t id = 0; id < WORKER_MAX * RANGE; id++) {
        atomic_store(&shared->models[id].version, known_version(content, id));
        atomic_store(&shared->models[id].under_way, NOTHING);
    }
}

/* In a process of its own: looks at the store as the next user would. */
static void examine(const char *path, const char *copy, bool recover)
{
    struct known_content content;
    dms_store *store;

    alarm(CHECK_SECONDS);
    snprintf(shared->failure, sizeof shared->failure, "the examination crashes or hangs");
    if (known_verify(path) != 0) {
        fail_known("verifying");
    } else if (known_read(path, &content) != 0) {
        fail_known("reading");
    } else if (check_models(&content, "reading") == 0 &&
               (!recover || examine_recovered(path, copy) == 0)) {
        settle(&content);
        /* Opening for writing clears away what the dead have left; nothing else changes. */
        shared->failure[0] = '\0';
        if (dms_store_open(path, &store) != 0)
            snprintf(shared->failure, sizeof shared->failure, "opening: %s", dms_error_message());
        else
            dms_store_close(store);
    }
}

/* --- rounds --- */

static uint64_t kills_of_work[WORK_CT];

static void wait_for(pid_t process)
{
    while (waitpid(process, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void kill_workers(pid_t *workers, unsigned worker_ct, struct worker *chooser)
{
    for (unsigned k = 0; k < worker_ct; k++) {
        struct timespec life = {.tv_nsec = (long)choose(chooser, LIFE_MICROSECONDS) * 1000};

        nanosleep(&life, NULL);
        kill(workers[k], SIGKILL);
        wait_for(workers[k]);
        kills_of_work[atomic_load(&shared->current[k])]++;
    }
}

/* One round; the number of kills, or 0 after a failure that shared->failure tells. */
static unsigned run_round(const char *path, const char *copy, unsigned round, uint64_t seed)
{
    struct worker chooser = {.random = known_mix(seed, round)};
    unsigned worker_ct = choose(&chooser, 3) == 0 ? 1 : WORKER_MAX;
    enum work favourite = (enum work)choose(&chooser, WORK_CT);
    pid_t workers[WORKER_MAX];
    pid_t judge;

    for (unsigned k = 0; k < worker_ct; k++) {
        atomic_store(&shared->current[k], WORK_START);
        workers[k] = fork();
        if (workers[k] == 0)
            work_on(path, k, favourite, known_mix(seed, (uint64_t)round << 8 | k));
    }
    kill_workers(workers, worker_ct, &chooser);
    if (shared->failure[0] != '\0')
        return 0;
    judge = fork();
    if (judge == 0) {
        examine(path, copy, round % RECOVER_ROUNDS == 0);
        _exit(0);
    }
    wait_for(judge);
    return shared->failure[0] == '\0' ? worker_ct : 0;
}

/* A new store, in which no model is. */
static int renew_store(const char *path, unsigned round)
{
    static const char *const codecs[] = {"none", "zstd", "auto"};
    int status = 0;
    pid_t creator;

    tree_remove(path);
    memset(shared, 0, sizeof *shared);
    for (size_t k = 0; k < WORKER_MAX * RANGE; k++)
        atomic_store(&shared->models[k].under_way, NOTHING);
    creator = fork();
    if (creator == 0) {
        status = known_create(path, codecs[round / STORE_ROUNDS % 3]);
        if (status != 0)
            snprintf(shared->failure, sizeof shared->failure, "create: %s", dms_error_message());
        _exit(0);
    }
    wait_for(creator);
    return shared->failure[0] == '\0' ? 0 : -1;
}

/* Keeps the store that failed for whoever looks into it. */
static void report_failure(const char *path, unsigned round)
{
    char kept[KNOWN_PATH_BYTES];

    snprintf(kept, sizeof kept, "%.400s-kept-%ld", path, (long)getpid());
    diag("round %u: %s", round, shared->failure);
    if (getenv("DMSTORE_TEST_KEEP") != NULL && rename(path, kept) == 0)
        diag("the store is kept as %s", kept);
}

static unsigned long wanted_kills(void)
{
    const char *text = getenv("DMSTORE_TEST_KILLS");

    if (text != NULL)
        return strtoul(text, NULL, 10);
    return getenv("DMSTORE_TEST_CAMPAIGN") != NULL ? CAMPAIGN_KILLS : ORDINARY_KILLS;
}

int main(void)
{
    unsigned long wanted = wanted_kills();
    uint64_t seed = known_seed();
    const char *directory = known_directory();
    char path[KNOWN_PATH_BYTES];
    char copy[KNOWN_PATH_BYTES];
    unsigned long kill_ct = 0;
    unsigned long acknowledged_ct = 0;
    unsigned long recovery_ct = 0;
    bool is_right = true;

    snprintf(path, sizeof path, "%.400s/store", directory);
    snprintf(copy, sizeof copy, "%.400s/copy", directory);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fflush(stdout);
    for (unsigned round = 0; is_right && kill_ct < wanted; round++) {
        unsigned killed = 0;

        if (round % STORE_ROUNDS != 0 ||
            (acknowledged_ct += shared->acknowledged_ct, renew_store(path, round)) == 0)
            killed = run_round(path, copy, round, seed);
        kill_ct += killed;
        recovery_ct += round % RECOVER_ROUNDS == 0;
        is_right = killed > 0;
        if (!is_right)
            report_failure(path, round);
    }
    acknowledged_ct += shared->acknowledged_ct;
    ok(is_right, "%lu writers killed: whole, nothing acknowledged lost, no row twice", kill_ct);
    diag("%lu acknowledged rows, %lu recoveries of a copy", acknowledged_ct, recovery_ct);
    for (int work = 0; work < WORK_CT; work++)
        diag("killed in %s: %" PRIu64, work_names[work], kills_of_work[work]);
    return tap_done();
}
