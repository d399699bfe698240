/*
 * Jobs that add parts to fits at the same time. Eight processes add disjoint parts to one fit: all
 * of them are there in the end. Then again and again eight processes work on several fits - add
 * parts, remove a fit of their own, seal, compact - and are killed one after another: what was
 * acknowledged is there and right, the store is whole, and a recovered copy holds the same.
 *
 * DMSTORE_TEST_SEED repeats a run's choices (not its timing). DMSTORE_TEST_CAMPAIGN=1 kills 4,000
 * times instead of 160.
 */
#include "tests/fault/known_fits.h"
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
    JOB_CT = 8,
    TARGETS_OF_JOB = KNOWN_TARGETS / JOB_CT,
    STORE_ROUNDS = 4, /* rounds that one store lasts */
    ORDINARY_ROUNDS = 20,
    CAMPAIGN_ROUNDS = 500,
    LIFE_MICROSECONDS = 40000,
    FIT_CT = 3,
};

static const char *const fit_names[FIT_CT] = {"alpha", "beta", "gamma"};

/* Shared between the processes: targets that were acknowledged, and those under way, by fit. */
static struct shared {
    _Atomic uint64_t acknowledged[FIT_CT];
    _Atomic uint64_t under_way[FIT_CT];
    _Atomic uint64_t added_ct;
    char failure[600];
} * shared;

static void fail_job(unsigned job, const char *what)
{
    snprintf(shared->failure, sizeof shared->failure, "job %u, %s: %s", job, what,
             dms_error_message());
}

static void wait_for(pid_t process)
{
    while (waitpid(process, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* ---- jobs that run to their end ---- */

static void add_share(const char *path, unsigned job)
{
    dms_store *store;
    uint64_t first = (uint64_t)job * TARGETS_OF_JOB;
    int status = dms_store_open(path, &store);

    for (uint64_t target = first; status == 0 && target < first + TARGETS_OF_JOB; target++)
        status = known_fit_add(store, "main", target, target + 1);
    if (status != 0)
        fail_job(job, "adding");
    else
        dms_store_close(store);
}

static void test_concurrent(const char *path)
{
    pid_t jobs[JOB_CT];
    dms_snapshot *snapshot;
    struct known_fit found = {0};

    if (!ok(known_create(path, "auto") == 0, "a store is made"))
        return;
    fflush(stdout);
    for (unsigned job = 0; job < JOB_CT; job++) {
        jobs[job] = fork();
        if (jobs[job] == 0) {
            add_share(path, job);
            _exit(0);
        }
    }
    for (unsigned job = 0; job < JOB_CT; job++)
        wait_for(jobs[job]);
    is_text(shared->failure, "", "eight jobs add to one fit that none of them finds at first");
    if (ok(dms_snapshot_open(path, &snapshot) == 0, "the store opens")) {
        is_int(known_fit_read(snapshot, "main", &found), 0, "the fit opens");
        ok(found.targets == (UINT64_C(1) << KNOWN_TARGETS) - 1 && found.wrong_ct == 0,
           "nothing of them is lost");
        dms_snapshot_close(snapshot);
    }
    ok(known_verify(path) == 0, "the store is whole");
    tree_remove(path);
}

/* ---- jobs that are killed ---- */

/* Adds some of the job's own targets to a fit. */
static int add_some(dms_store *store, unsigned job, uint64_t random)
{
    unsigned fit = random % FIT_CT;
    uint64_t first = (uint64_t)job * TARGETS_OF_JOB + random / 8 % TARGETS_OF_JOB;
    uint64_t bit = UINT64_C(1) << first;
    int status;

    atomic_fetch_or(&shared->under_way[fit], bit);
    status = known_fit_add(store, fit_names[fit], first, first + 1);
    if (status == 0) {
        atomic_fetch_or(&shared->acknowledged[fit], bit);
        atomic_fetch_add(&shared->added_ct, 1);
    }
    return status;
}

/* A fit that only this job knows: added and removed. */
static int come_and_go(dms_store *store, unsigned job)
{
    char name[16];
    int status;

    snprintf(name, sizeof name, "own-%u", job);
    status = known_fit_add(store, name, 0, KNOWN_TARGETS);
    if (status == 0)
        status = dms_store_remove_fit(store, name);
    return status;
}

static void work_on(const char *path, unsigned job, uint64_t random)
{
    dms_store *store;
    int status = dms_store_open(path, &store);

    for (uint64_t k = 0; status == 0; k++) {
        random = known_mix(random, k);
        switch (random / 1024 % 8) {
        case 0:
            status = come_and_go(store, job);
            break;
        case 1:
            status = known_append(store, (uint64_t)job * 100000 + k + random % 1000 * 100, 1, 1,
                                  DMS_DUPLICATE_REPLACE);
            break;
        case 2:
            status = dms_store_compact(store, NULL, NULL);
            break;
        default:
            status = add_some(store, job, random);
        }
    }
    fail_job(job, "working");
    pause(); /* for the kill */
}

/* Whether all fits of a snapshot are as acknowledged, or as what was under way would have them. */
static void judge_fits(const char *path, const char *what)
{
    dms_snapshot *snapshot;

    if (dms_snapshot_open(path, &snapshot) != 0) {
        fail_job(0, what);
        return;
    }
    for (unsigned fit = 0; fit < FIT_CT; fit++) {
        struct known_fit found;
        uint64_t acknowledged = atomic_load(&shared->acknowledged[fit]);

        if (known_fit_read(snapshot, fit_names[fit], &found) != 0) {
            fail_job(fit, what);
        } else if (found.wrong_ct + found.error_ct > 0 || (acknowledged & ~found.targets) != 0 ||
                   (found.targets & ~atomic_load(&shared->under_way[fit])) != 0) {
            snprintf(shared->failure, sizeof shared->failure,
                     "%s: fit %s has targets %" PRIx64 " of %" PRIx64 " acknowledged, %zu wrong",
                     what, fit_names[fit], found.targets, acknowledged, found.wrong_ct);
        } else if (strcmp(what, "reading") == 0) {
            atomic_store(&shared->acknowledged[fit], found.targets); /* seen: it must stay */
        }
    }
    dms_snapshot_close(snapshot);
}

/* In a process of its own: looks at the store as the next user would. */
static void examine(const char *path, const char *copy)
{
    struct known_content content;

    alarm(120);
    if (known_verify(path) != 0)
        snprintf(shared->failure, sizeof shared->failure, "verifying: %.500s", known_problem());
    judge_fits(path, "reading");
    tree_remove(copy);
    if (tree_copy(path, copy) == 0) {
        struct dms_recover_report report;

        if (dms_recover(copy, NULL, &report) != 0)
            fail_job(0, "recovering");
        else
            free(report.lost_ids);
        judge_fits(copy, "recovered");
        if (known_read(copy, &content) != 0)
            snprintf(shared->failure, sizeof shared->failure, "rows: %.500s", known_problem());
        else
            known_content_clear(&content);
    }
}

static void run_round(const char *path, const char *copy, uint64_t seed)
{
    pid_t jobs[JOB_CT];
    pid_t judge;

    for (unsigned job = 0; job < JOB_CT; job++) {
        jobs[job] = fork();
        if (jobs[job] == 0)
            work_on(path, job, known_mix(seed, job));
    }
    for (unsigned job = 0; job < JOB_CT; job++) {
        struct timespec life = {.tv_nsec =
                                    (long)(known_mix(seed, 100 + job) % LIFE_MICROSECONDS) * 1000};

        nanosleep(&life, NULL);
        kill(jobs[job], SIGKILL);
        wait_for(jobs[job]);
    }
    if (shared->failure[0] != '\0')
        return;
    judge = fork();
    if (judge == 0) {
        examine(path, copy);
        _exit(0);
    }
    wait_for(judge);
}

/* A new store without fits. */
static void renew_store(const char *path)
{
    pid_t creator;

    tree_remove(path);
    for (unsigned fit = 0; fit < FIT_CT; fit++) {
        atomic_store(&shared->acknowledged[fit], 0);
        atomic_store(&shared->under_way[fit], 0);
    }
    creator = fork();
    if (creator == 0) {
        if (known_create(path, "none") != 0)
            fail_job(0, "creating");
        _exit(0);
    }
    wait_for(creator);
}

int main(void)
{
    unsigned rounds = getenv("DMSTORE_TEST_CAMPAIGN") ? CAMPAIGN_ROUNDS : ORDINARY_ROUNDS;
    uint64_t seed = known_seed();
    const char *directory = known_directory();
    char path[KNOWN_PATH_BYTES];
    char copy[KNOWN_PATH_BYTES];
    unsigned round = 0;

    snprintf(path, sizeof path, "%.400s/store", directory);
    snprintf(copy, sizeof copy, "%.400s/copy", directory);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fflush(stdout);
    for (; round < rounds && shared->failure[0] == '\0'; round++) {
        if (round % STORE_ROUNDS == 0)
            renew_store(path);
        run_round(path, copy, known_mix(seed, round));
    }
    if (!ok(shared->failure[0] == '\0', "%u jobs killed: nothing acknowledged is lost",
            round * JOB_CT))
        diag("round %u: %s", round - 1, shared->failure);
    diag("%" PRIu64 " parts were acknowledged", atomic_load(&shared->added_ct));
    shared->failure[0] = '\0';
    tree_remove(path);
    test_concurrent(path);
    return tap_done();
}
